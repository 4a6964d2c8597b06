"""Mistakes of dropout that a single call shows; how often it drops is left to the expectations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call, is_numeric


def _test(value: Callable[[Any, float], Any]) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        param = call.options[0]
        return {"out": value(call.arrays["x"], param["p"])} if param["mode"] == "test" else {}

    return predict


def _backward(mode: str, value: Callable[[Any, Any, float], Any]) -> Any:
    """Predict dx from (dout, the mask that forward used, p)."""

    def predict(call: Call) -> dict[str, Any]:
        param = call.options[0]
        if param["mode"] != mode or call.out is None:
            return {}
        return {"dx": value(call.dout, np.asarray(call.out) / call.arrays["x"], param["p"])}

    return predict


def _another_mask(call: Call) -> dict[str, Any]:
    """Return what came, if it is dout times the numbers of forward's mask in other places."""
    got, mask = call.got["dx"], np.asarray(call.out) / call.arrays["x"]
    if call.options[0]["mode"] != "train" or not is_numeric(got) or np.shape(got) != mask.shape:
        return {}
    share = np.round(got / call.dout, 9)
    factors = np.unique(share[share != 0])
    drawn = len(factors) == 1 and 0 in share and np.any((share != 0) != (mask != 0))
    return {"dx": got} if drawn else {}


def _dropped_at_test(call: Call) -> dict[str, Any]:
    """Return what came in test mode, if some of it is zero and the rest proportional to x."""
    got: Any = call.got.get("out")
    if (
        call.options[0]["mode"] != "test"
        or not is_numeric(got)
        or np.shape(got) != call.arrays["x"].shape
    ):
        return {}
    share = np.round(np.asarray(got) / call.arrays["x"], 9)
    return {"out": got} if 0 in share and len(np.unique(share)) == 2 else {}


FORWARD = [
    Hypothesis(
        "scaled_at_test",
        "out is multiplied by p in test mode: with inverted dropout it is x",
        _test(lambda x, p: x * p),
        r"\*\s*p",
    ),
    Hypothesis(
        "scaled_at_test",
        "out is multiplied by 1 - p in test mode: with inverted dropout it is x",
        _test(lambda x, p: x * (1 - p)),
        r"1\s*-\s*p",
    ),
    Hypothesis(
        "scaled_at_test",
        "out is divided by p in test mode: with inverted dropout it is x",
        _test(lambda x, p: x / p),
        r"/\s*p",
    ),
    Hypothesis(
        "zero_at_test",
        "out is zero in test mode: it must be x",
        _test(lambda x, p: 0 * x),
        r"zeros|test",
    ),
    Hypothesis("dropped_at_test", "units are dropped in test mode too", _dropped_at_test, r"test"),
]
_FACTORS: list[tuple[str, Callable[[float], float]]] = [
    ("1", lambda p: 1.0),
    ("p", lambda p: p),
    ("1 - p", lambda p: 1 - p),
    ("1/p", lambda p: 1 / p),
    ("1/(1 - p)", lambda p: 1 / (1 - p)),
    ("1/p**2", lambda p: 1 / p**2),
    ("p**2", lambda p: p**2),
]


def _product(mask: Callable[[Any], Any], of: Callable[[float], float]) -> Any:
    return lambda dout, m, p: dout * mask(m) * of(p)


def _masked(
    name: str, says: str, mask: Callable[[Any], Any], factors: Sequence[int], line: str
) -> list[Hypothesis]:
    """dx = dout * mask * factor, in train mode; {factor} in the words stands for the factor."""
    return [
        Hypothesis(
            name,
            says.replace("{factor}", words),
            _backward("train", _product(mask, of)),
            line,
        )
        for words, of in (_FACTORS[i] for i in factors)
    ]


def _kept(mask: Any) -> Any:
    return mask != 0


def _dropped(mask: Any) -> Any:
    return mask == 0


BACKWARD = [
    *_masked(
        "mask_unscaled",
        "dx is not divided by the keep probability, though out is",
        _kept,
        [0],
        r"\bdx\s*=|return",
    ),
    *_masked(
        "mask_scaled_twice",
        "dx is divided by the keep probability twice",
        _kept,
        [5],
        r"/\s*\(?p|\bdx\s*=",
    ),
    *_masked(
        "mask_multiplied",
        "kept gradients are multiplied by {factor}: it must be what forward multiplied with",
        _kept,
        [1, 2, 3, 4, 6],
        r"\*\s*p|\bdx\s*=",
    ),
    Hypothesis(
        "mask_scaled_twice",
        "dx is divided by 1 - p as well",
        _backward("train", lambda d, m, p: d * m / (1 - p)),
        r"/|\bdx\s*=",
    ),
    *_masked(
        "mask_lost",
        "dx is dout times {factor}: the mask is not applied",
        np.ones_like,
        range(5),
        r"\bdx\s*=|return",
    ),
    *_masked(
        "mask_negated",
        "dx keeps the units that forward dropped",
        _dropped,
        range(5),
        r"~|1\s*-|not|==",
    ),
    Hypothesis(
        "mask_without_dout",
        "dx is the mask itself: it must be multiplied by dout",
        _backward("train", lambda d, m, p: m),
        r"mask",
    ),
    Hypothesis(
        "mask_without_dout",
        "dx is the mask itself: it must be multiplied by dout",
        _backward("train", lambda d, m, p: 1.0 * (m != 0)),
        r"mask",
    ),
    Hypothesis(
        "mask_divided",
        "dx is dout divided by the mask",
        _backward("train", lambda d, m, p: d / m),
        r"/",
    ),
    Hypothesis(
        "mask_regenerated",
        "backward draws a new mask: it must use the one that forward drew",
        _another_mask,
        r"rand",
    ),
    *[
        Hypothesis(
            "scaled_at_test",
            f"dx is multiplied by {words} in test mode: it is dout",
            _backward("test", _product(np.ones_like, of)),
            r"[*/]\s*\(?p",
        )
        for words, of in _FACTORS[1:5]
    ],
    Hypothesis(
        "zero_at_test",
        "dx is zero in test mode: it is dout",
        _backward("test", lambda d, m, p: 0 * d),
        r"zeros|test",
    ),
]
