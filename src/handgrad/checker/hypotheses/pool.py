"""Mistakes of pool."""

from handgrad.checker.hypotheses.hypothesis import Hypothesis

FORWARD: list[Hypothesis] = []
BACKWARD: list[Hypothesis] = []
