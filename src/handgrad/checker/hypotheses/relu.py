"""Mistakes of ReLU, and of what elementwise layers share."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call


def _back(mask: Any) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        return {"dx": np.asarray(mask(call.arrays["x"], call.dout), float)}

    return predict


def _forward(value: Any) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        return {"out": np.asarray(value(call.arrays["x"]))}

    return predict


FORWARD = [
    Hypothesis("relu_absolute", "out is |x|, not max(0, x)", _forward(np.abs), r"abs"),
    Hypothesis(
        "relu_identity", "out is x: negative numbers are let through", _forward(lambda x: x)
    ),
    Hypothesis(
        "relu_mask",
        "out is the mask x > 0, not x where it is positive",
        _forward(lambda x: 1.0 * (x > 0)),
        r">",
    ),
    Hypothesis(
        "relu_minimum",
        "out is min(0, x): the comparison is the wrong way round",
        _forward(lambda x: np.minimum(x, 0)),
        r"min|<",
    ),
    Hypothesis(
        "relu_threshold", "out is cut at 1, not at 0", _forward(lambda x: np.where(x > 1, x, 0))
    ),
    Hypothesis(
        "relu_max_one",
        "out is max(1, x): the comparison is with 1",
        _forward(lambda x: np.maximum(x, 1)),
    ),
    Hypothesis("relu_global", "out is one number: the maximum of all x", _forward(np.max)),
]
BACKWARD = [
    Hypothesis(
        "relu_mask_of_dout",
        "dx keeps dout where dout is positive: the mask must come from x",
        _back(lambda x, dout: dout * (dout > 0)),
        r"dout\s*(>|<|\[)|maximum\(.*dout",
    ),
    Hypothesis(
        "relu_mask_lost",
        "dx is dout: the mask x > 0 is missing",
        _back(lambda x, dout: dout),
        r"dx\s*=|return",
    ),
    Hypothesis(
        "relu_mask_negated",
        "dx keeps dout where x is negative: the comparison is the wrong way round",
        _back(lambda x, dout: dout * (x < 0)),
        r"[<>]",
    ),
    Hypothesis(
        "relu_times_x",
        "dx is dout times x: the slope of ReLU is 1, not x",
        _back(lambda x, dout: dout * np.maximum(x, 0)),
        r"\*",
    ),
    Hypothesis(
        "relu_mask_without_dout",
        "dx is the mask itself: it is not multiplied by dout",
        _back(lambda x, dout: 1.0 * (x > 0)),
        r">",
    ),
    Hypothesis(
        "relu_threshold",
        "the mask is x > 1, not x > 0",
        _back(lambda x, dout: dout * (x > 1)),
        r">",
    ),
]
