"""Mistakes of sandwiches: a step that is left out, on the way there or on the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from handgrad import layers
from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call
from handgrad.checker.undisturbed import fresh

Slice = tuple[str, tuple[str, ...], tuple[Any, ...]]  # layer, arrays other than x, options


def steps_of(call: Call) -> list[Slice]:
    """The layers of the sandwich, as its arrays and options tell them."""
    arrays, options = call.arrays, [option for option in call.options if isinstance(option, dict)]
    images = np.ndim(arrays["w"]) == 4
    found: list[Slice] = [("conv" if images else "affine", ("w", "b"), ())]
    pools = [option for option in options if "pool_height" in option]
    others = [option for option in options if "pool_height" not in option]
    if images:
        found = [("conv", ("w", "b"), (others.pop(0),))]
    if "gamma" in arrays:
        kind = "batchnorm" if "mode" in others[0] else "layernorm"
        found.append(("spatial_" * images + kind, ("gamma", "beta"), (others[0],)))
    found.append(("relu", (), ()))
    found += [("max_pool", (), (option,)) for option in pools]
    return found


def through(steps: Sequence[Slice], call: Call, skipped: str = "") -> tuple[Any, dict[str, Any]]:
    """Return the output and the gradients of dout; skipped: the layer that backward leaves out."""
    out, caches = np.asarray(call.arrays["x"], float), []
    for name, keys, options in steps:
        forward = getattr(layers, f"{name}_forward")
        values = [np.asarray(call.arrays[key], float) for key in keys]
        out, cache = forward(out, *values, *fresh(options), engine="vectorized")
        caches.append(cache)
    if call.dout is None or np.shape(call.dout) != np.shape(out):
        return out, {}
    flow: Any = np.asarray(call.dout)
    gradients: dict[str, Any] = {}
    for (name, keys, _), cache in zip(reversed(steps), reversed(caches), strict=True):
        if name == skipped:
            gradients |= {f"d{key}": np.zeros(np.shape(call.arrays[key])) for key in keys}
            continue
        result = getattr(layers, f"{name}_backward")(flow, cache)
        flow, *rest = result if isinstance(result, tuple) else (result,)
        gradients |= {f"d{key}": value for key, value in zip(keys, rest, strict=True)}
    return out, {"dx": flow, **gradients}


def _is(name: str) -> Callable[[Slice], bool]:
    return lambda step: name in step[0]


def _forward_without(name: str) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        steps = steps_of(call)
        left = [step for step in steps if not _is(name)(step)]
        return {"out": through(left, call)[0]} if len(left) < len(steps) else {}

    return predict


def _exchanged(first: str, second: str) -> Any:
    """Two neighbours in the wrong order."""

    def predict(call: Call) -> dict[str, Any]:
        steps = steps_of(call)
        names = [step[0] for step in steps]
        i = next(i for i, name in enumerate(names) if first in name)
        j = next(i for i, name in enumerate(names) if second in name)
        steps[i], steps[j] = steps[j], steps[i]
        out, gradients = through(steps, call)
        return {"out": out} if call.dout is None else gradients

    return predict


def _backward_without(name: str) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        steps = steps_of(call)
        skipped = next((step[0] for step in steps if _is(name)(step)), "")
        return through(steps, call, skipped)[1] if skipped else {}

    return predict


def _relu_of_dout(call: Call) -> dict[str, Any]:
    """The mask is taken from dout: ReLU's forward is called in backward."""
    changed = Call(call.config, dout=np.maximum(call.dout, 0))
    return _backward_without("relu")(changed)


_WORDS = (("relu", "ReLU"), ("norm", "the normalisation"), ("pool", "the pooling"))
FORWARD = [
    *[
        Hypothesis(
            f"{name}_missing", f"{words} is left out", _forward_without(name), rf"{name}_forward"
        )
        for name, words in _WORDS
    ],
    Hypothesis(
        "order_of_layers",
        "ReLU comes before the normalisation: it must come after it",
        _exchanged("relu", "norm"),
        r"relu_forward",
    ),
]
BACKWARD = [
    *[
        Hypothesis(
            f"{name}_missing",
            f"the backward pass of {words} is left out",
            _backward_without(name),
            rf"{name}_backward|return",
        )
        for name, words in _WORDS
    ],
    Hypothesis(
        "relu_mask_of_dout",
        "the gradient is cut where dout is negative: ReLU's mask comes from its input",
        _relu_of_dout,
        r"relu",
    ),
]
