"""What a network says of an input of one's own, and what it looked at: all by the library's own dx."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from handgrad.errors import OptionError, ShapeError
from handgrad.lab.looking import Passed, probabilities
from handgrad.lab.opened import NEIGHBOURS, Opened, packed, picture
from handgrad.training.pictures import score_of

SMOOTH = 24  # noisy copies of a smooth gradient
NOISE = 0.15  # of the range of the input
PATCHES = 12  # places of the occluding square along a side, at most
PLANES = 8  # units of a layer whose planes are shown
_LARGEST_INPUT = 1 << 20  # numbers


def pixels_of(run: Opened, given: dict[str, Any]) -> np.ndarray:
    """Return the network's input (1, ...) of what a page sends.

    given: {"row": number of the fixed set}; {"pixels": bytes of gray or RGB in 0..255, by rows, "height",
    "width", "channels"}; or {"columns": {name: value}} of a table.

    Raises OptionError, ShapeError or what the preprocessing raises.
    """
    preprocessing: Any = run.description.preprocessing
    kind = getattr(preprocessing, "kind", "")
    if "row" in given:
        X, _ = run.rows("val", 200)
        number = given["row"]
        if not isinstance(number, int) or not 0 <= number < len(X):
            raise OptionError("lab: there is no such row")
        return X[number : number + 1]
    if "columns" in given:
        if kind != "table" or not isinstance(given["columns"], dict):
            raise OptionError("lab: this network does not take rows of a table")
        columns = {str(k): np.array([v]) for k, v in given["columns"].items()}
        return np.asarray(preprocessing(columns))
    if kind != "images":
        raise OptionError("lab: this network does not look at pictures")
    image = _image(given)
    C, H, W = preprocessing.image_shape
    resized = np.stack([_resized(plane, H, W) for plane in _channels(image, C)])
    return np.asarray(preprocessing(resized[None] * (preprocessing.levels / 255)))


def _image(given: dict[str, Any]) -> np.ndarray:
    sizes: list[Any] = [given.get(name) for name in ("channels", "height", "width")]
    if not all(isinstance(n, int) and 0 < n <= 4096 for n in sizes):
        raise ShapeError("lab: a picture needs channels, height and width")
    values = np.array(given.get("pixels", []))
    if values.size != prod(sizes) or values.size > _LARGEST_INPUT or values.dtype.kind not in "iuf":
        raise ShapeError("lab: the pixels do not fill the picture")
    image: np.ndarray = np.clip(values.astype(np.float64), 0, 255).reshape(sizes)
    return image


def _channels(image: np.ndarray, number: int) -> np.ndarray:
    """Return `image` with so many channels: gray is the mean, colour is gray three times."""
    if len(image) == number:
        return image
    return np.repeat(image.mean(axis=0, keepdims=True), number, axis=0)


def _resized(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the means of `plane` over a grid of height x width, by areas."""
    rows, columns = _areas(plane.shape[0], height), _areas(plane.shape[1], width)
    resized: np.ndarray = rows @ plane @ columns.T
    return resized


def _areas(old: int, new: int) -> np.ndarray:
    """Return (new, old): how much of each old cell lies in each new one, rows summing to 1."""
    edges = np.linspace(0, old, new + 1)
    cells = np.arange(old)
    low = np.maximum(edges[:-1, None], cells)
    high = np.minimum(edges[1:, None], cells + 1)
    share = np.maximum(high - low, 0)
    areas: np.ndarray = share / share.sum(axis=1, keepdims=True)
    return areas


def answer(run: Opened, weights: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return probabilities, maps of what was looked at, neighbours, and units that fire.

    Returns:
        A dictionary with outputs, classes (where there are), input (as a picture), gradient, smooth and
        occlusion ((H, W) or (D,)), neighbours (of the training set), and units (of each layer the three
        that fire most).

    Source of the maps: K. Simonyan et al. (2013), arXiv:1312.6034; D. Smilkov et al. (2017),
    arXiv:1706.03825; M. D. Zeiler, R. Fergus (2013), arXiv:1311.2901.
    """
    step = run.choose(weights)
    x = pixels_of(run, given)
    outputs = probabilities(run, x)[0]
    chosen = int(np.argmax(outputs)) if run.description.task != "regression" else 0
    target = given.get("target")
    if isinstance(target, int) and 0 <= target < len(outputs):
        chosen = target
    is_image = x.ndim == 4
    gradient = _gradient(run, x, chosen)
    found = {
        "step": step,
        "outputs": [float(f"{v:.6g}") for v in outputs],
        "classes": list(run.description.class_names or run.description.target_names),
        "chosen": chosen,
        "task": run.description.task,
        "picture": picture(run.description.preprocessing, x[0]),
        "gradient": packed(_map(gradient)),
        "smooth": packed(_map(_smooth(run, x, chosen))),
        "neighbours": _neighbours(run, x),
        "units": _units(run, x),
    }
    if is_image:
        found["occlusion"] = packed(_occlusion(run, x, chosen))
    else:
        columns = getattr(run.description.preprocessing, "columns", ())
        found["features"] = _features(columns, gradient[0])
    return found


def _gradient(run: Opened, X: np.ndarray, chosen: int) -> np.ndarray:
    def score(scores: np.ndarray, y: None) -> tuple[float, np.ndarray]:
        return score_of(scores, np.full(len(scores), chosen))

    return np.asarray(run.model.gradients(X, score, "test").dx)


def _smooth(run: Opened, x: np.ndarray, chosen: int) -> np.ndarray:
    """Return the mean gradient of noisy copies of `x`; the noise is the same each time."""
    scale = NOISE * float(x.max() - x.min())
    noise = np.random.default_rng(0).normal(0, scale, (SMOOTH, *x.shape[1:]))
    copies = (x + noise).astype(x.dtype)
    mean: np.ndarray = _gradient(run, copies, chosen).mean(axis=0, keepdims=True)
    return mean


def _map(gradient: np.ndarray) -> np.ndarray:
    """Return the largest size of a gradient (1, C, H, W) at each pixel, else its sizes."""
    sizes: np.ndarray = np.abs(gradient[0])
    return sizes.max(axis=0) if sizes.ndim == 3 else sizes.reshape(-1)[:1024]


def _occlusion(run: Opened, x: np.ndarray, chosen: int) -> np.ndarray:
    """Return by how much the output falls where a gray square covers a place, (rows, columns)."""
    _, _, H, W = x.shape
    size = max(2, min(H, W) // 4)
    tops = np.unique(np.linspace(0, H - size, min(PATCHES, H - size + 1)).astype(int))
    lefts = np.unique(np.linspace(0, W - size, min(PATCHES, W - size + 1)).astype(int))
    covered = np.repeat(x, len(tops) * len(lefts), axis=0)
    gray = x.mean(axis=(2, 3))[0]
    for i, (top, left) in enumerate((t, s) for t in tops for s in lefts):
        covered[i, :, top : top + size, left : left + size] = gray[:, None, None]
    whole = probabilities(run, x)[0, chosen]
    falls: np.ndarray = whole - probabilities(run, covered)[:, chosen]
    return falls.reshape(len(tops), len(lefts))


def _features(columns: Any, slopes: np.ndarray) -> list[dict[str, Any]]:
    """Return the slope of the output by each number that the network sees, by name."""
    names: list[str] = []
    for column in columns:
        names += list(getattr(column, "outputs", ())) or [column.name]
    flat = np.ravel(slopes)
    if len(names) != len(flat):
        names = [f"x{i + 1}" for i in range(len(flat))]
    return [{"name": n, "slope": float(v)} for n, v in zip(names, flat.tolist(), strict=True)][:64]


def _neighbours(run: Opened, x: np.ndarray, number: int = 6) -> list[dict[str, Any]]:
    """Return the training rows whose last hidden numbers are nearest to those of `x`."""
    X, y = run.rows("train", NEIGHBOURS)
    mine, theirs = (
        _hidden(run, x),
        np.concatenate([_hidden(run, X[i : i + 200]) for i in range(0, len(X), 200)]),
    )
    distances = np.linalg.norm(theirs - mine, axis=1)
    preprocessing = run.description.preprocessing
    return [
        {
            "distance": float(f"{distances[i]:.4g}"),
            "target": run.target(y[i]),
            "picture": picture(preprocessing, X[i]),
        }
        for i in np.argsort(distances, kind="stable")[:number]
    ]


def _hidden(run: Opened, X: np.ndarray) -> np.ndarray:
    """Return what goes into the last layer with weights, (N, D)."""
    passed = Passed(run.model, X, None)
    last = next(
        (call for call in reversed(passed.calls) if call.layer.parameters), passed.calls[-1]
    )
    return np.asarray(passed.values[last.inputs[0]]).reshape(len(X), -1)


def _units(run: Opened, x: np.ndarray) -> list[dict[str, Any]]:
    """Return the three units, or channels, of each layer whose mean is largest."""
    passed = Passed(run.model, x, None)
    found = []
    for call in passed.calls:
        out = np.asarray(passed.values[call.output])[0]
        means = out.reshape(len(out), -1).mean(axis=1)
        top = np.argsort(-means, kind="stable")[:3]
        found.append(
            {"label": call.label, "units": [[int(i), float(f"{means[i]:.4g}")] for i in top]}
        )
    return found


def plane(
    run: Opened, weights: str, low: list[float], high: list[float], size: int = 48
) -> dict[str, Any]:
    """Return what a network of two columns says at a grid of points: outputs (size * size, C), by rows.

    units: of each layer but the last, what its first units say at a coarser grid.

    Raises OptionError for a network of other inputs.
    """
    names = [c.name for c in getattr(run.description.preprocessing, "columns", ())]
    if len(names) != 2:
        raise OptionError("lab: the boundary is drawn for tables of two columns")
    step = run.choose(weights)
    size = min(max(size, 2), 96)
    xs, ys = np.linspace(low[0], high[0], size), np.linspace(low[1], high[1], size)
    grid = {names[0]: np.tile(xs, size), names[1]: np.repeat(ys, size)}
    inputs = np.asarray(run.description.preprocessing(grid))
    outputs = probabilities(run, inputs)
    coarse = np.arange(size * size).reshape(size, size)[
        :: max(size // 24, 1), :: max(size // 24, 1)
    ]
    passed = Passed(run.model, inputs[coarse.ravel()], None)
    units = []
    for call in passed.calls[:-1]:
        values = np.asarray(passed.values[call.output]).reshape(coarse.size, -1)[:, :PLANES]
        planes = [packed(v.reshape(coarse.shape)) for v in values.T]
        units.append({"label": call.label, "planes": planes})
    return {
        "step": step,
        "size": size,
        "outputs": [packed(o.reshape(size, size), 96) for o in outputs.T],
        "classes": list(run.description.class_names),
        "units": units,
    }
