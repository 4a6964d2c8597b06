"""Mistakes of conv."""

from handgrad.checker.hypotheses.hypothesis import Hypothesis

FORWARD: list[Hypothesis] = []
BACKWARD: list[Hypothesis] = []
