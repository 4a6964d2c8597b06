"""Judging a network of layer objects: each recorded call of a layer, and the gradient of the loss.

The derivative along a random direction v must be what backward claims:

    d/dh sum(dout f(x + h v)) = sum(dx v)            for every call f of a layer
    d/dh loss(w + h v)        = sum(dw v)            for every parameter w

The line for a call names the layer whose pair is wrong.  The line for a parameter sees that all is put
together rightly.
"""

from __future__ import annotations

import copy
import inspect
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from handgrad import nn
from handgrad.checker.records import RIGHT, UNTESTED, WRONG, Cause, Raised, Verdict, is_numeric
from handgrad.checker.undisturbed import quiet, run, seeded, source_file, source_lines
from handgrad.errors import OptionError

_STEPS = (1e-6, 1e-5, 1e-4)
_TOLERANCE = 1e-5
_ROWS = 4


def is_network(thing: Any) -> bool:
    """Whether `thing` is a network of layer objects, or a class of such."""
    if inspect.isclass(thing):
        return issubclass(thing, nn.Model) and thing.__module__.split(".")[0] != "handgrad"
    return isinstance(thing, nn.Model)


def judge(name: str, thing: Any, given: Any = None) -> Verdict:
    """Return the verdict on a network, or on a class that needs no arguments.

    given: (X, y), or None; the targets of a loss of one's own cannot be guessed from everything.
    """
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
        errors, causes, reason = _look(model, given)
    if reason and not causes:
        return Verdict(name, UNTESTED, errors, reason=reason, **place)
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


def _look(model: Any, given: Any) -> tuple[dict[str, float], list[Cause], str]:
    """Compare the layers' gradients, and the loss's, with differences; in float64.

    Returns the errors, the causes, and why the loss could not be tested.
    """
    rng = np.random.default_rng(7)
    model = copy.deepcopy(model)
    model.compile(None)
    model.dtype = np.float64
    model.params = {name: w.astype(np.float64) for name, w in model.params.items()}
    xs = tuple(rng.standard_normal((_ROWS, *shape)) for shape in model._input_shapes)
    X = xs if len(xs) > 1 else xs[0]
    if given is not None:
        X, target = _given(given)
    causes: list[Cause] = []
    calls = run(lambda: copy.deepcopy(model).trace(X))
    if isinstance(calls, Raised):
        return {}, [Cause("raises", f"forward raises {calls}", line=calls.line)], ""
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
        return errors, causes, ""
    tried = [("given", target)] if given is not None else _targets(model, X, rng)
    worst: list[Cause] = []
    refusals = []
    for words, y in tried:
        trained = run(_of(model, partial(copy.deepcopy(model).loss, X, y)))
        if isinstance(trained, Raised) or not np.all(np.isfinite(trained[0])):
            refusals.append((words, trained))
            continue
        largest, unlike = _of_loss(model, X, y, trained[1], rng)
        if not unlike:
            return errors | largest, [], ""
        worst = worst or unlike
        errors |= {key: errors.get(key, value) for key, value in largest.items()}
    if worst:
        return errors, worst, ""
    words, trained = refusals[0]
    if len(tried) == 1 and isinstance(trained, Raised):
        return errors, [Cause("raises", f"loss raises {trained}", line=trained.line)], ""
    reason = (
        f"its loss takes neither {' nor '.join(words for words, _ in refusals)}; give the targets: "
        "handgrad.check(model, inputs=(X, y))"
    )
    return errors, [], reason


def _of(model: Any, call: Callable[[], Any]) -> Callable[[], Any]:
    """Mark a call as one of the model's class, whose file's lines an exception is to name."""
    call.__wrapped__ = type(model)  # type: ignore[attr-defined]
    return call


def _given(given: Any) -> tuple[Any, Any]:
    """Return X and y of what the caller gave."""
    if isinstance(given, Mapping) and {"X", "y"} <= given.keys():
        return given["X"], given["y"]
    if isinstance(given, list | tuple) and len(given) == 2:
        return given[0], given[1]
    raise OptionError("check: inputs of a network are (X, y), what its loss takes")


def _targets(model: Any, X: Any, rng: Any) -> list[tuple[str, Any]]:
    """Return what the loss may take as y, in words and numbers; the library's classifications take labels."""
    labels = ("class labels", rng.integers(0, model.num_classes, _ROWS))
    if getattr(model._loss, "task", None) == "classification":
        return [labels]
    scores = run(lambda: copy.deepcopy(model).loss(X))
    if not is_numeric(scores):
        return [labels]
    shape = np.shape(scores)
    several = len(shape) == 2 and shape[1] > 1
    return [
        *([labels] if several else []),
        ("numbers of the output's shape", rng.standard_normal(shape)),
        ("probabilities of the output's shape", rng.uniform(0.1, 0.9, shape)),
        ("0 and 1 of the output's shape", rng.integers(0, 2, shape)),
        ("one number a row", rng.standard_normal(_ROWS)),
        ("1 and -1", rng.choice([-1, 1], _ROWS)),
        *([] if several else [labels]),
    ]


def _of_loss(
    model: Any, X: Any, y: Any, grads: Any, rng: Any
) -> tuple[dict[str, float], list[Cause]]:
    """Compare the gradients of the parameters with differences of the loss."""
    errors: dict[str, float] = {}
    causes = []
    for name, w in model.params.items():
        error = _of_parameter(model, name, w, grads[name], X, y, rng)
        errors["gradients"] = max(errors.get("gradients", 0.0), error)
        if not error <= _TOLERANCE:
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
