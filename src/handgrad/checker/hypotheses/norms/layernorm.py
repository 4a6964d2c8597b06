"""Mistakes of layer normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.norms import norm, norm_backward
from handgrad.checker.hypotheses.norms.norm import Parts, layer_parts
from handgrad.checker.hypotheses.norms.statistics import STATISTICS

FORWARD = [
    *norm.forward(layer_parts, STATISTICS),
    Hypothesis(
        "wrong_axis",
        "the columns are normalised over the batch, as batch normalisation does: "
        "mean and variance must be taken over each row",
        norm.forward_of(layer_parts, norm.over((0,))),
        r"axis\s*=\s*0",
    ),
    Hypothesis(
        "wrong_axis",
        "all numbers are normalised together, not each row",
        norm.forward_of(layer_parts, norm.over((0, 1))),
        r"mean",
    ),
]


def _of_columns(first: int, second: int) -> Any:
    """Batch norm's formula: gamma outside of the sums, which are over axis `first` and `second`."""

    def dx(g: Any, xhat: Any, std: Any, parts: Parts) -> Any:
        dout, size = parts.dout, parts.x.shape[1]
        sums = [
            np.sum(one, axis=axis, keepdims=True)
            for one, axis in ((dout, first), (dout * xhat, second))
        ]
        return parts.gamma / std * (dout - sums[0] / size - xhat * sums[1] / size)

    return dx


BACKWARD = [
    *norm_backward.backward(layer_parts),
    *[
        Hypothesis(
            "gamma_outside",
            "gamma is taken out of the sums, as in batch norm's formula: here it differs along the sum, and "
            f"belongs inside{more}",
            norm.backward_of(layer_parts, _of_columns(first, second)),
            r"\bdx\b",
        )
        for first, second, more in (
            (0, 1, "; the sum of dout is over the batch"),
            (1, 0, "; the sum of dout xhat is over the batch"),
            (0, 0, "; the sums are over the batch"),
        )
    ],
]
