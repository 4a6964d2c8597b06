"""Mistakes of update rules: each a rule with one thing done wrong, run over the same steps."""

from __future__ import annotations

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.rules import adam, momentum, squares
from handgrad.checker.hypotheses.rules.rule import of

FORWARD = [
    *momentum.FORWARD,
    *squares.FORWARD,
    *adam.FORWARD,
    Hypothesis(
        "sgd_sign",
        "the step goes up the gradient: it must be subtracted",
        of(("sgd",), lambda w, dw, c: (w + c.get("learning_rate", 1e-2) * dw, c)),
        r"\+",
    ),
    Hypothesis(
        "learning_rate_missing",
        "the learning rate is missing",
        of(("sgd",), lambda w, dw, c: (w - dw, c)),
    ),
    Hypothesis(
        "not_updated", "next_w is w: the step is never taken", of(("sgd",), lambda w, dw, c: (w, c))
    ),
    Hypothesis(
        "weights_lost",
        "next_w is the step alone: w is not used",
        of(("sgd",), lambda w, dw, c: (-c.get("learning_rate", 1e-2) * dw, c)),
    ),
]
BACKWARD: list[Hypothesis] = []
