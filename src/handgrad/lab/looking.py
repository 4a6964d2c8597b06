"""What the lab shows of a network: its layers, and inside of one its numbers, formula and source."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import handgrad
from handgrad import layers
from handgrad.errors import OptionError
from handgrad.lab.opened import LOOKED_AT, SHOWN, Opened, histogram, packed, picture
from handgrad.layers.pair import backward_name
from handgrad.nn.custom import CustomLayer
from handgrad.nn.gradients import Played
from handgrad.nn.graph import Call, Graph
from handgrad.nn.layer import Layer, PairLayer
from handgrad.nn.state import in_mode
from handgrad.training.evaluate import predict_probabilities
from handgrad.training.judging import outputs_of

MAPS = 64  # channels, or filters, that are shown
GLIMPSED, GLIMPSED_UNITS = 8, 96  # maps and numbers of a layer in the diagram
UNITS = 1024  # numbers of a vector that are shown
_LONGEST = 20_000  # characters of a source


class Passed:
    """One forward and backward pass of rows, of which every layer's numbers are kept.

    Attributes:
        calls: in their order.
        values: inputs and outputs, by number.
        slopes: gradients of the loss by values, by number.
        grads: of the parameters.
    """

    def __init__(self, model: Any, X: np.ndarray, y: Any, mode: str = "test") -> None:
        """Pass `X` through `model`, and the gradient of its loss at `y` back; y None passes none back."""
        xs = model._checked(X)
        with in_mode(mode):
            graph, output = model._record([x.shape for x in xs], mode)
            call = model._begin(mode)
            played = _Kept(graph.calls, call.params, call.layers, mode)
            scores = played.forward(xs, output.index)
            self.slopes: dict[int, np.ndarray] = {}
            self.grads: dict[str, np.ndarray] = {}
            if y is not None:
                _, dscores = model._loss(scores, y)
                self.grads, _ = played.backward(dscores, output.index, len(xs))
                self.slopes = played.slopes
        self.graph: Graph = graph
        self.calls: list[Call] = graph.calls
        self.values = played.values
        self.scores = scores


class _Kept(Played):
    """`Played` that keeps what goes through it."""

    def forward(self, xs: Any, output: int) -> Any:
        """Return value number `output`, and keep all of them."""
        self.values: dict[int, Any] = dict(enumerate(xs))
        for layer, call in self._calls:
            weights = [self._params[name] for name in layer.parameters]
            inputs = [self.values[i] for i in call.inputs]
            self.values[call.output], cache = layer.forward(inputs, weights, self._mode)
            self._caches.append(cache)
        return self.values[output]

    def backward(self, dout: Any, output: int, inputs: int) -> Any:
        """Return the gradients, and keep those of the values."""
        self.slopes: dict[int, Any] = {output: dout}
        grads: dict[str, Any] = {}
        for (layer, call), cache in zip(self._calls[::-1], self._caches[::-1], strict=True):
            if call.output not in self.slopes:
                continue
            dxs, dparams = layer.backward(self.slopes[call.output], cache)
            for name, gradient in zip(layer.parameters, dparams, strict=True):
                grads[name] = grads[name] + gradient if name in grads else gradient
            for i, dx in zip(call.inputs, dxs, strict=True):
                self.slopes[i] = self.slopes[i] + dx if i in self.slopes else dx
        return grads, []


# -- the whole network ---------------------------------------------------------------------------------


def network(run: Opened, weights: str, row: int = 0) -> dict[str, Any]:
    """Return the diagram of a run's network: its layers in order, their shapes, counts and health.

    Each has `shown`, what comes out of it for the row `row`: some of its maps, or its numbers.
    """
    step = run.choose(weights)
    X, y = run.rows("val", LOOKED_AT)
    passed = Passed(run.model, X, run_targets(run, y))
    row = min(max(row, 0), len(X) - 1)
    names = {i: f"input{i + 1 if i else ''}" for i in range(len(passed.graph.inputs))}
    found = diagram(passed, run.model, row, names)
    return {
        "name": type(run.model).__name__,
        "step": step,
        "input_shape": list(run.description.input_shape),
        "input": glimpse(X[row]),
        "outputs": _rounded(probabilities(run, X[row : row + 1]))[0],
        "layers": found,
        "params": int(sum(w.size for w in run.model.params.values())),
        "task": run.description.task,
        "classes": list(run.description.class_names),
        "kind": getattr(run.description.preprocessing, "kind", ""),
    }


def diagram(passed: Passed, model: Any, row: int, names: dict[int, str]) -> list[dict[str, Any]]:
    """Return the layers of `model` in their order, with what comes out of each for the row `row`.

    names: of the values that go in, by number.
    """
    found = []
    for call in passed.calls:
        names[call.output] = call.label
        found.append({
            "label": call.label,
            "kind": call.layer.kind,
            "text": repr(call.layer),
            "inputs": [names[i] for i in call.inputs],
            "shape": list(call.shape[1:]),
            "params": sum(model.params[name].size for name in call.layer.parameters),
            "own": isinstance(call.layer, CustomLayer),
            "shown": glimpse(_array(passed.values[call.output])[row]),
            **health(call, passed, model.params),
        })  # fmt: skip
    return found


def glimpse(value: np.ndarray) -> dict[str, Any]:
    """Return little of a row's value: its first maps, or as many numbers as the diagram has room for."""
    if value.ndim == 3:
        return packed(value[:GLIMPSED], 32)
    return packed(np.ravel(value)[:GLIMPSED_UNITS])


def health(call: Call, passed: Passed, params: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return mean, std, share of zeros and of dead units of an output, and how its gradient is."""
    out = _array(passed.values[call.output])
    axes = (0, *range(2, out.ndim))
    dead = float(1 - np.mean(out.any(axis=axes))) if out.ndim > 1 else 0.0
    slope = passed.slopes.get(call.output)
    size = None if slope is None else _finite(np.abs(_array(slope)).mean())
    warnings = []
    if not np.isfinite(out).all():
        warnings.append("its output holds NaN or infinity")
    if dead >= 0.5:
        warnings.append(f"{100 * dead:.0f} % of its units are 0 for every row looked at")
    if call.layer.kind in ("sigmoid", "tanh") and np.mean(np.abs(out) > 0.98) > 0.5:
        warnings.append("more than half of its outputs are saturated")
    still = [name for name in call.layer.parameters if name in passed.grads
             and not np.any(_array(passed.grads[name])) and params[name].ndim > 1]  # fmt: skip
    if still:
        warnings.append(f"the gradient of {', '.join(still)} is 0")
    return {
        "mean": _finite(out.mean()),
        "std": _finite(out.std()),
        "zeros": float(np.mean(out == 0)),
        "dead": dead,
        "slope": size,
        "warnings": warnings,
    }


# -- one layer -----------------------------------------------------------------------------------------


def layer(run: Opened, weights: str, label: str, row: int, pixels: Any = None) -> dict[str, Any]:
    """Return the inside of a layer: what goes through it for a row, its weights, gradients, and source."""
    step = run.choose(weights)
    X, y = run.rows("val", LOOKED_AT)
    targets = run_targets(run, y)
    many = Passed(run.model, X, targets)
    call = next((call for call in many.calls if call.label == label), None)
    if call is None:
        raise OptionError("lab: the network has no such layer")
    if pixels is not None:
        one = Passed(run.model, pixels, None)
    else:
        row = min(max(row, 0), len(X) - 1)
        one = Passed(run.model, X[row : row + 1], targets[row : row + 1])
    place = many.calls.index(call)
    mine = one.calls[place]
    out = _array(many.values[call.output])
    slope = one.slopes.get(mine.output)
    return {
        "label": label,
        "step": step,
        "inputs": [_maps(one.values[i]) for i in mine.inputs],
        "output": _maps(one.values[mine.output]),
        "gradient": None if slope is None else _maps(slope),
        "histogram": histogram(out),
        "units": _units(out),
        "params": [_parameter(name, run.model.params[name], many.grads.get(name))
                   for name in call.layer.parameters],
        **source_of(call.layer, many.values[call.inputs[0]]),
        **health(call, many, run.model.params),
    }  # fmt: skip


def _units(out: np.ndarray) -> dict[str, Any]:
    """Return how often each unit, or channel, is above 0, and the mean of each."""
    axes = (0, *range(2, out.ndim))
    with np.errstate(all="ignore"):
        fires = (out > 0).mean(axis=axes)[:UNITS]
        mean = out.mean(axis=axes)[:UNITS]
    return {"fires": [_finite(v) for v in fires], "mean": [_finite(v) for v in mean]}


def _parameter(name: str, w: np.ndarray, dw: Any) -> dict[str, Any]:
    shown = w
    if w.ndim == 4:
        shown = w[:MAPS] if w.shape[1] in (1, 3) else w[:MAPS, :3].mean(axis=1, keepdims=True)
    elif w.ndim == 2:
        shown = w[:256, :256]
    elif w.ndim == 1:
        shown = w[:UNITS]
    return {
        "name": name,
        "shape": list(w.shape),
        "maps": packed(shown),
        "histogram": histogram(w),
        "gradient": None if dw is None else histogram(_array(dw)),
    }


def _maps(value: Any) -> dict[str, Any]:
    """Return a row's value as pictures, or as a row of numbers."""
    array = _array(value)[0]
    whole = list(array.shape)
    array = (
        array[:MAPS] if array.ndim == 3 else array.reshape(-1)[:UNITS] if array.ndim < 2 else array
    )
    found = packed(array)
    if array.ndim < 2:
        found["values"] = [_finite(v) for v in array.tolist()]
    return {**found, "whole": whole}


# -- formula and source --------------------------------------------------------------------------------


def source_of(layer: Layer, x: Any) -> dict[str, Any]:
    """Return the name, formula and source of a layer's forward and backward."""
    if isinstance(layer, CustomLayer):
        forward, backward = layer.pair.forward, layer.pair._backward
        return {"pair": layer.pair.__name__, "formula": layer.pair.__doc__ or "",
                "forward": _source(forward), "backward": _source(backward),
                "file": _file(forward)}  # fmt: skip
    if not isinstance(layer, PairLayer):
        return {"pair": type(layer).__name__, "formula": inspect.getdoc(type(layer)) or "",
                "forward": _source(type(layer).forward), "backward": _source(type(layer).backward),
                "file": _file(type(layer))}  # fmt: skip
    pair = layer.pair(x)
    forward, backward = getattr(layers, f"{pair}_forward"), getattr(layers, backward_name(pair))
    module = inspect.getmodule(forward)
    inner = [getattr(module, name, None) for name in ("_forward", "_backward")]
    return {
        "pair": pair,
        "formula": inspect.getdoc(module) or "",
        "forward": _source(forward) + _inner(inner[0]),
        "backward": _source(backward) + _inner(inner[1]),
        "file": _file(forward),
    }


def _inner(function: Any) -> str:
    return "\n\n" + _source(function) if callable(function) else ""


def _source(function: Callable[..., Any] | None) -> str:
    if function is None:
        return ""
    try:
        return inspect.getsource(inspect.unwrap(function))[:_LONGEST]
    except (OSError, TypeError):
        return ""


def _file(thing: Any) -> str:
    try:
        path = Path(inspect.getsourcefile(inspect.unwrap(thing)) or "")
    except TypeError:
        return ""
    home = Path(handgrad.__file__).parent.parent
    return path.relative_to(home).as_posix() if path.is_relative_to(home) else path.name


# -- the fixed set -------------------------------------------------------------------------------------


def shown_rows(run: Opened, number: int = SHOWN) -> dict[str, Any]:
    """Return the fixed set: pictures, or numbers, and what they are."""
    X, y = run.rows("val", number)
    preprocessing = run.description.preprocessing
    rows = []
    for x, target in zip(X, y, strict=True):
        shown = picture(preprocessing, x)
        rows.append({
            "picture": shown,
            "values": None if shown else [_finite(v) for v in np.ravel(x)[:64]],
            "target": run.target(target),
        })  # fmt: skip
    columns = [c.name for c in getattr(preprocessing, "columns", ())]
    return {"rows": rows, "columns": columns}


def predictions(run: Opened, weights: list[str], number: int = 16) -> dict[str, Any]:
    """Return what the network says of the fixed set at each of `weights`."""
    X, y = run.rows("val", number)
    found = []
    for name in weights:
        step = run.choose(name)
        found.append({"weights": name, "step": step, "outputs": _rounded(probabilities(run, X))})
    targets = [run.target(t) for t in y]
    return {"moments": found, "targets": targets, "classes": list(run.description.class_names)}


def probabilities(run: Opened, X: np.ndarray) -> np.ndarray:
    """Return probabilities, or the numbers of a regression in their own unit."""
    if run.description.task == "classification":
        return predict_probabilities(run.model, X)
    return outputs_of(run.model, X, run.description)


def run_targets(run: Opened, y: np.ndarray) -> np.ndarray:
    """Return targets as the network's loss takes them."""
    if run.description.task == "regression":
        return run.description.standardise(y)
    return y


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[_finite(v) or 0.0 for v in row] for row in np.asarray(values).reshape(len(values), -1)]


def _array(value: Any) -> np.ndarray:
    return np.asarray(value)


def _finite(value: Any) -> float | None:
    number = float(value)
    return float(f"{number:.5g}") if np.isfinite(number) else None
