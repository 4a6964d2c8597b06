"""Mistakes of ReLU, and of what elementwise layers share."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call, is_numeric


def _back(mask: Any) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        return {"dx": np.asarray(mask(call.arrays["x"], call.dout), float)}

    return predict


def _forward(value: Any) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        return {"out": np.asarray(value(call.arrays["x"]))}

    return predict


def _leaky(call: Call) -> dict[str, Any]:
    """Return what came, if negative numbers are all multiplied by one factor."""
    x = np.asarray(call.arrays["x"], float)
    key = "out" if "out" in call.expected else "dx"
    of = x if key == "out" else np.asarray(call.dout)
    got: Any = call.got[key]
    if not is_numeric(got) or np.shape(got) != x.shape or not np.any(x < 0):
        return {}
    slopes = (np.asarray(got) / of)[x < 0]
    slope = float(slopes.flat[0])
    if not np.allclose(slopes, slope) or not 0 < abs(slope) < 1:
        return {}
    return {key: np.where(x < 0, slope * of, call.expected[key])}


FORWARD = [
    Hypothesis(
        "relu_leaky", "negative numbers are not cut to 0 but scaled: this is a leaky ReLU", _leaky
    ),
    Hypothesis("relu_negated", "out is max(0, -x)", _forward(lambda x: np.maximum(0, -x)), r"-"),
    Hypothesis(
        "relu_square", "out is x**2 where x is positive", _forward(lambda x: x * np.maximum(x, 0))
    ),
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
        "relu_mask_negated",
        "dx keeps dout where x is not positive: the comparison is the wrong way round",
        _back(lambda x, dout: dout * (x <= 0)),
        r"[<>]",
    ),
    Hypothesis(
        "relu_mask_without_dout",
        "dx is 0 or 1: it must hold dout itself",
        _back(lambda x, dout: 1.0 * (dout * (x > 0) > 0)),
        r">",
    ),
    Hypothesis(
        "relu_times_x",
        "dx is x where it is positive: it must be dout there",
        _back(lambda x, dout: np.maximum(x, 0)),
        r"maximum|\bx\b",
    ),
    Hypothesis(
        "relu_of_dout",
        "dx is max(0, dout), in addition to the mask x > 0",
        _back(lambda x, dout: np.maximum(dout, 0) * (x > 0)),
        r"maximum|dout",
    ),
    Hypothesis(
        "relu_mask_sign",
        "dx is -dout where x is negative: it must be 0 there",
        _back(lambda x, dout: dout * np.sign(x)),
        r"sign|-\s*1",
    ),
    Hypothesis(
        "relu_mask_lost",
        "dx is dout wherever x is not 0: the mask must be x > 0",
        _back(lambda x, dout: dout * (x != 0)),
        r"!=",
    ),
    Hypothesis("relu_leaky", "dx is not 0 where x is negative: this is a leaky ReLU", _leaky),
    Hypothesis(
        "relu_threshold",
        "the mask is x > 1, not x > 0",
        _back(lambda x, dout: dout * (x > 1)),
        r">",
    ),
]
