"""Mistakes of the SVM loss: its margins, and the gradient of the true class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.losses.softmax import pair
from handgrad.checker.records import Call


def _svm(
    delta: float = 1.0,
    skip: bool = True,
    own: Callable[[Any], Any] = lambda count: count,
    cost: Callable[[Any], Any] = lambda margins: margins,
    slope: Callable[[Any], Any] = lambda margins: 1.0 * (margins > 0),
    sign: float = 1.0,
    only_loss: bool = False,
    cut: bool = True,
    own_of_margins: bool = False,
    least: float = 0.0,
) -> Any:
    """Predict the hinge loss: skip, whether the true class is left out; own, its gradient.

    least: margins that are not larger count as nothing.
    """

    def predict(call: Call) -> dict[str, Any]:
        x, y = np.asarray(call.arrays["x"], float), call.options[0]
        rows = np.arange(len(x))
        margins = sign * (x - x[rows, y][:, None]) + delta
        margins = np.maximum(0, margins) if cut else margins
        margins = np.where(margins > least, margins, 0) if least else margins
        for_dx = margins.copy()
        if skip or only_loss:
            for_dx[rows, y] = 0
        if skip:
            margins[rows, y] = 0
        dx = slope(for_dx)
        counted = for_dx.sum(axis=1) if own_of_margins else np.sum(for_dx > 0, axis=1)
        number = own(counted)
        dx[rows, y] -= np.where(np.isinf(number), x.shape[1] - 1, number)
        return pair(np.sum(cost(margins)) / len(x), dx / len(x), call)

    return predict


def _column(call: Call) -> dict[str, Any]:
    """x[:, y] takes the scores of all labels for each row."""
    x, y = np.asarray(call.arrays["x"], float), call.options[0]
    margins = np.maximum(0, x - x[:, y].sum(axis=1, keepdims=True) + 1)
    margins[np.arange(len(x)), y] = 0
    return {"loss": margins.sum() / len(x)}


def _largest_only(call: Call) -> dict[str, Any]:
    """Only the largest margin of each row counts."""
    x, y = np.asarray(call.arrays["x"], float), call.options[0]
    rows = np.arange(len(x))
    margins = np.maximum(0, x - x[rows, y][:, None] + 1)
    margins[rows, y] = 0
    dx, worst = np.zeros_like(x), margins.argmax(axis=1)
    hit = margins.max(axis=1) > 0
    dx[rows[hit], worst[hit]] += 1
    dx[rows[hit], y[hit]] -= 1
    return pair(margins.max(axis=1).sum() / len(x), dx / len(x), call)


def _margin_outside(call: Call) -> dict[str, Any]:
    """max(0, s_j - s_y) + 1: the margins of all other classes count."""
    x, y = np.asarray(call.arrays["x"], float), call.options[0]
    rows = np.arange(len(x))
    margins, dx = np.maximum(0, x - x[rows, y][:, None]) + 1, np.ones_like(x)
    margins[rows, y], dx[rows, y] = 0, 1 - x.shape[1]
    return pair(margins.sum() / len(x), dx / len(x), call)


def _margin_behind(call: Call) -> dict[str, Any]:
    """max(0, s_j - s_y) averaged, and 1 added to the loss: no margin in the gradient."""
    found = _svm(0.0)(call)
    return {**found, **({"loss": found["loss"] + 1} if "loss" in found else {})}


FORWARD = [
    Hypothesis(
        "margin_outside",
        "the margin 1 is added to the loss, not to each difference: max(0, x - x[y] + 1)",
        _margin_behind,
        r"\+\s*1",
    ),
    Hypothesis(
        "every_class",
        "dx: every other class gets 1: it must be those whose margin is violated",
        _svm(slope=np.ones_like, own=lambda count: np.maximum(count, 1) + 1),
        r"\bdx\b",
    ),
    Hypothesis(
        "every_class",
        "dx: every other class gets 1: it must be those whose margin is violated",
        _svm(slope=np.ones_like, own=lambda count: count + 1),
        r"\bdx\b",
    ),
    Hypothesis(
        "true_class_counted",
        "the margin of the true class is counted: it adds 1 to the loss of each row",
        _svm(skip=False),
        r"margins?\[|maximum",
    ),
    Hypothesis(
        "true_class_counted",
        "the margin of the true class is counted in the loss: it adds 1 for each row",
        _svm(skip=False, only_loss=True),
        r"sum|loss",
    ),
    Hypothesis(
        "margin_threshold",
        "a margin x - x[y] + 1 counts only where it is larger than 1: it counts from 0 on",
        _svm(least=1.0),
        r">=?\s*1|1\s*<",
    ),
    Hypothesis(
        "margin_missing", "the margin 1 is missing: max(0, x - x[y] + 1)", _svm(0.0), r"maximum"
    ),
    Hypothesis(
        "margin_sign", "the margin has the wrong sign: max(0, x - x[y] + 1)", _svm(-1.0), r"-\s*1"
    ),
    Hypothesis(
        "scores_swapped",
        "the scores are subtracted the wrong way round: max(0, x - x[y] + 1)",
        _svm(sign=-1.0),
        r"maximum",
    ),
    Hypothesis(
        "margin_squared",
        "the margins are squared: the course's loss is not",
        _svm(cost=np.square),
        r"\*\*\s*2|square",
    ),
    Hypothesis(
        "own_class_gradient",
        "{key}: the true class lacks its gradient, minus the number of violated margins",
        _svm(own=lambda count: 0 * count),
        r"\bdx\[",
    ),
    Hypothesis(
        "own_class_once",
        "{key}: the true class gets -1, not minus the number of violated margins",
        _svm(own=lambda count: 0 * count + 1),
        r"\bdx\[",
    ),
    Hypothesis(
        "own_class_sign",
        "{key}: the gradient of the true class has the wrong sign",
        _svm(own=lambda count: -count),
        r"\bdx\[",
    ),
    Hypothesis(
        "other_classes_gradient",
        "{key}: only the true class has a gradient: each violated class j gets X[i], or 1/N, too",
        _svm(slope=lambda margins: 0.0 * margins),
        r"\bd[xW]\w*\[",
    ),
    Hypothesis(
        "other_classes_gradient",
        "{key}: only the true class has a gradient, and its own margin 1 counts there",
        _svm(slope=lambda margins: 0.0 * margins, own=lambda count: count - 1),
        r"\bd[xW]\w*\[",
    ),
    Hypothesis(
        "every_class",
        "{key}: every class has a gradient, also those whose margin is not violated",
        _svm(slope=np.ones_like, own=lambda count: count + 1),
        r"ones|\bd[xW]",
    ),
    Hypothesis(
        "every_class",
        "{key}: every class has a gradient, also those whose margin is not violated",
        _svm(slope=np.ones_like),
        r"ones|\bd[xW]",
    ),
    Hypothesis(
        "margins_in_gradient",
        "{key} holds the margins themselves, not whether they are violated",
        _svm(slope=lambda m: m.copy()),
        r"\bdx",
    ),
    *[
        Hypothesis(
            "margin_size",
            f"the margin is {delta:g}: it must be 1, max(0, x - x[y] + 1)",
            _svm(delta),
            r"maximum|\+",
        )
        for delta in (0.1, 0.2, 0.5, 1.5, 2.0, 5.0, 10.0, 100.0)
    ],
    Hypothesis(
        "label_column",
        "x[:, y] takes the scores of all labels for each row; use x[np.arange(N), y]",
        _column,
        r"\[:,",
    ),
    Hypothesis(
        "largest_margin_only",
        "only the largest margin of each row counts: the course's loss sums them all",
        _largest_only,
        r"max",
    ),
    Hypothesis(
        "margin_not_cut",
        "negative margins count too: max(0, ...) is missing",
        _svm(cut=False),
        r"-",
    ),
    Hypothesis(
        "margin_outside",
        "{key}: 1 is added outside of the maximum: take max(0, s_j - s_y + 1), not max(0, s_j - s_y) + 1",
        _margin_outside,
        r"\+\s*1",
    ),
    Hypothesis(
        "margin_absolute",
        "negative margins count with the other sign: take max(0, ...), not the absolute value",
        _svm(
            cut=False,
            cost=np.abs,
            slope=lambda margins: 1.0 * (margins != 0),
            own=lambda count: np.full(count.shape, np.inf),
        ),
        r"abs",
    ),
    Hypothesis(
        "own_class_counted",
        "{key}: the true class counts classes, not violated margins",
        _svm(own=lambda count: np.full(count.shape, np.inf)),
        r"\bdx\[",
    ),
    Hypothesis(
        "margins_in_gradient",
        "{key} uses the sum of the margins for the true class, not their number",
        _svm(own_of_margins=True),
        r"\bdx",
    ),
    Hypothesis(
        "margins_in_gradient",
        "{key} holds the margins themselves, and their sum for the true class, not whether they are violated",
        _svm(slope=lambda m: m.copy(), own_of_margins=True),
        r"\bdx",
    ),
]
