"""Mistakes of dropout that a single call shows; how often it drops is left to the expectations."""

from __future__ import annotations

from collections.abc import Callable
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
    return {"dx": got} if np.all(np.isin(share, np.round(mask, 9))) else {}


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
    Hypothesis("dropped_at_test", "units are dropped in test mode too", _dropped_at_test, r"test"),
]
BACKWARD = [
    Hypothesis(
        "mask_unscaled",
        "dx is not divided by the keep probability, though out is",
        _backward("train", lambda d, m, p: d * (m != 0)),
        r"\bdx\s*=",
    ),
    Hypothesis(
        "mask_lost",
        "dx is dout: the mask is not applied",
        _backward("train", lambda d, m, p: d),
        r"\bdx\s*=",
    ),
    Hypothesis(
        "mask_scaled_twice",
        "dx is divided by the keep probability twice",
        _backward("train", lambda d, m, p: d * m / p),
        r"/\s*\(?p|\bdx\s*=",
    ),
    Hypothesis(
        "mask_scaled_twice",
        "dx is divided by 1 - p as well",
        _backward("train", lambda d, m, p: d * m / (1 - p)),
        r"/|\bdx\s*=",
    ),
    Hypothesis(
        "mask_multiplied",
        "dx is multiplied by p",
        _backward("train", lambda d, m, p: d * m * p),
        r"\*\s*p|\bdx\s*=",
    ),
    Hypothesis(
        "mask_negated",
        "dx keeps the units that forward dropped",
        _backward("train", lambda d, m, p: d * (m == 0) * np.max(m)),
        r"~|1\s*-|not",
    ),
    Hypothesis(
        "mask_negated",
        "dx keeps the units that forward dropped",
        _backward("train", lambda d, m, p: d * (m == 0)),
        r"~|1\s*-|not",
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
    Hypothesis(
        "scaled_at_test",
        "dx is multiplied by p in test mode: it is dout",
        _backward("test", lambda d, m, p: d * p),
        r"\*\s*p",
    ),
]
