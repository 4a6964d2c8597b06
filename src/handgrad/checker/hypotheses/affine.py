"""Mistakes of affine."""

from handgrad.checker.hypotheses.hypothesis import Hypothesis

FORWARD: list[Hypothesis] = []
BACKWARD: list[Hypothesis] = []
