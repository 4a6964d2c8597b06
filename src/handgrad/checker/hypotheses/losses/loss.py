"""Mistakes of losses: those of the softmax and of the SVM, and divisions by the wrong number."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.losses import softmax, svm
from handgrad.checker.records import Call


def _of_classes(power: int) -> Any:
    """N is replaced by the number of classes, or both are divided by."""

    def predict(call: Call) -> dict[str, Any]:
        N, C = np.shape(call.arrays["x"])
        factor = 1 / C if power == 1 else N / C
        return {key: np.asarray(value) * factor for key, value in call.expected.items()}

    return predict


def _times_x(call: Call) -> dict[str, Any]:
    """x^T dx, as where the scores are taken for the rows X of a linear classifier."""
    x, dx = np.asarray(call.arrays["x"]), call.expected.get("dx")
    return {} if dx is None else {"dx": x.T @ np.asarray(dx)}


FORWARD = [
    *softmax.FORWARD,
    *svm.FORWARD,
    Hypothesis(
        "scores_for_rows",
        "dx is multiplied by x^T, as dW of a linear classifier is: x are the scores, and dx has their shape",
        _times_x,
        r"dot|@|matmul",
    ),
    Hypothesis(
        "divided_by_classes",
        "{key} is divided by the number of classes, not by N",
        _of_classes(0),
        r"/",
    ),
    Hypothesis(
        "divided_by_classes",
        "{key} is divided by the number of classes as well: the mean is over the rows only",
        _of_classes(1),
        r"/|mean",
    ),
]
BACKWARD = FORWARD
