"""Mistakes of layer normalisation."""

from __future__ import annotations

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.norms import norm, norm_backward
from handgrad.checker.hypotheses.norms.norm import layer_parts
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
BACKWARD = norm_backward.backward(layer_parts)
