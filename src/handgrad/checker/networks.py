"""Judging a network of layer objects: each recorded call of a layer, and the gradient of the loss.

The derivative along a random direction v must be what backward claims:

    d/dh sum(dout f(x + h v)) = sum(dx v)            for every call f of a layer
    d/dh loss(w + h v)        = sum(dw v)            for every parameter w

The first names the layer whose pair is wrong, the second sees that all is put together rightly.
"""

from __future__ import annotations

import copy
import inspect
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad import nn
from handgrad.checker.records import RIGHT, UNTESTED, WRONG, Cause, Raised, Verdict
from handgrad.checker.running import quiet, run, seeded, source_file, source_lines

_STEPS = (1e-6, 1e-5, 1e-4)
_TOLERANCE = 1e-5
_ROWS = 4


def is_network(thing: Any) -> bool:
    """Whether `thing` is a network of layer objects, or a class of such."""
    if inspect.isclass(thing):
        return issubclass(thing, nn.Model) and thing.__module__.split(".")[0] != "handgrad"
    return isinstance(thing, nn.Model)


def judge(name: str, thing: Any) -> Verdict:
    """Return the verdict on a network, or on a class that needs no arguments."""
    start = time.perf_counter()
    cls = thing if inspect.isclass(thing) else type(thing)
    lines, first = source_lines(cls)
    place: dict[str, Any] = {"file": source_file(cls), "line": first if lines else None}
    with quiet():
        model = run(thing) if inspect.isclass(thing) else thing
        if isinstance(model, Raised):
            if model.kind == "TypeError" and "argument" in model.message:
                reason = (
                    "its constructor needs arguments; check an object: handgrad.check(Net(...))"
                )
                return Verdict(name, UNTESTED, reason=reason, **place)
            cause = Cause("raises", f"the constructor raises {model}", line=model.line)
            return Verdict(name, WRONG, causes=[cause], **place)
        if model._input_shapes is None:
            reason = "the shape of its input is not known; pass input_shape to its constructor"
            return Verdict(name, UNTESTED, reason=reason, **place)
        errors, causes = _look(model)
    return Verdict(
        name,
        WRONG if causes else RIGHT,
        errors,
        causes,
        configurations=1,
        method="differences",
        seconds=time.perf_counter() - start,
        **place,
    )


def _look(model: Any) -> tuple[dict[str, float], list[Cause]]:
    """Compare the layers' gradients, and the loss's, with differences; in float64."""
    rng = np.random.default_rng(7)
    model = copy.deepcopy(model)
    model.compile(None)
    model.dtype = np.float64
    model.params = {name: w.astype(np.float64) for name, w in model.params.items()}
    xs = tuple(rng.standard_normal((_ROWS, *shape)) for shape in model._input_shapes)
    X = xs if len(xs) > 1 else xs[0]
    y = rng.integers(0, model.num_classes, _ROWS)
    causes: list[Cause] = []
    calls = run(lambda: copy.deepcopy(model).trace(X))
    if isinstance(calls, Raised):
        return {}, [Cause("raises", f"forward raises {calls}", line=calls.line)]
    wrong = set()
    errors: dict[str, float] = {}
    for label, layer, inputs, params in calls:
        found = _of_call(layer, [*inputs], [*params], rng)
        if isinstance(found, Raised):
            says = f"layer {label}, {layer!r}, raises {found}"
            causes.append(Cause("layer_raises", says, line=found.line))
            wrong.add(label)
            continue
        errors["layers"] = max(errors.get("layers", 0.0), found)
        if found > _TOLERANCE and label.partition("#")[0] not in wrong:
            wrong.add(label.partition("#")[0])
            says = (
                f"the backward of layer {label}, {layer!r}, is not the derivative of its forward: "
                f"off by {found:.2g} along a random direction"
            )
            causes.append(Cause("layer_gradient", says))
    if wrong:
        return errors, causes
    trained = run(lambda: copy.deepcopy(model).loss(X, y))
    if isinstance(trained, Raised):
        return errors, [Cause("raises", f"loss raises {trained}", line=trained.line)]
    for name, w in model.params.items():
        error = _of_parameter(model, name, w, trained[1][name], X, y, rng)
        errors["gradients"] = max(errors.get("gradients", 0.0), error)
        if error > _TOLERANCE:
            says = f"the gradient of {name} is not that of the loss: off by {error:.2g} along a direction"
            causes.append(Cause("network_gradient", says, keys=(name,)))
    return errors, causes


def _of_call(layer: Any, xs: list[Any], params: list[Any], rng: Any) -> float | Raised:
    """Return the relative error of a layer's backward along a random direction."""
    arrays = xs + params
    directions = [rng.standard_normal(array.shape) for array in arrays]
    count = len(xs)

    def forward(h: float) -> Any:
        moved = [a + h * v for a, v in zip(arrays, directions, strict=True)]
        own = copy.deepcopy(layer)
        return run(lambda: own.forward(moved[:count], moved[count:], "train"))

    result = forward(0.0)
    if isinstance(result, Raised):
        return result
    out, cache = result
    dout = rng.standard_normal(out.shape)
    gradients = run(lambda: layer.backward(dout, cache))
    if isinstance(gradients, Raised):
        return gradients
    dxs, dparams = gradients
    return _error(lambda h: float(np.sum(dout * forward(h)[0])), [*dxs, *dparams], directions)


def _of_parameter(
    model: Any, name: str, w: np.ndarray, dw: np.ndarray, X: Any, y: Any, rng: Any
) -> float:
    """Return the relative error of a parameter's gradient along a random direction."""
    direction = rng.standard_normal(w.shape)

    def loss(h: float) -> float:
        moved = copy.deepcopy(model)
        moved.params[name] = w + h * direction
        seeded()
        return float(moved.loss(X, y)[0])

    return _error(loss, [dw], [direction])


def _error(
    function: Callable[[float], float], gradients: list[Any], directions: list[Any]
) -> float:
    """Return the smallest difference, of several steps, from the claimed slope, relative to its terms.

    At a kink a step may be off, but no step agrees with a wrong gradient.
    """
    claimed = sum(float(np.sum(g * v)) for g, v in zip(gradients, directions, strict=True))
    size = sum(
        float(np.linalg.norm(g) * np.linalg.norm(v))
        for g, v in zip(gradients, directions, strict=True)
    )
    slopes = [(function(h) - function(-h)) / (2 * h) for h in _STEPS]
    size = max(size, *map(abs, slopes), 1e-3)
    return min(abs(slope - claimed) for slope in slopes) / size
