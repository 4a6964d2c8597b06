"""Mistakes of the softmax and the SVM loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call


def _pair(loss: Any, dx: Any, call: Call) -> dict[str, Any]:
    """Return the loss, and dx times its upstream gradient."""
    return {"loss": loss, "dx": (1.0 if call.dout is None else call.dout) * dx}


def _softmax(
    shift: Callable[[np.ndarray], Any] = lambda x: x.max(axis=1, keepdims=True),
    log: Callable[[np.ndarray, np.ndarray], Any] | None = None,
    dx: Callable[[np.ndarray, np.ndarray, np.ndarray], Any] | None = None,
) -> Any:
    """Predict with another shift, another logarithm, or another gradient (from p, 1[y], x)."""

    def predict(call: Call) -> dict[str, Any]:
        x, y = np.asarray(call.arrays["x"], float), call.options[0]
        N = len(x)
        moved = x - shift(x)
        e = np.exp(moved)
        p = e / e.sum(axis=1, keepdims=True)
        rows = np.arange(N)
        one = np.zeros_like(p)
        one[rows, y] = 1
        logs = log(p, moved) if log else moved - np.log(e.sum(axis=1, keepdims=True))
        return _pair(-np.sum(logs[rows, y]) / N, dx(p, one, x) if dx else (p - one) / N, call)

    return predict


def _naive(p: np.ndarray, moved: np.ndarray) -> Any:
    return np.log(p)


def _column_everywhere(call: Call) -> dict[str, Any]:
    """dx[:, y] -= 1 takes 1 off every row in the columns of all labels."""
    x, y = np.asarray(call.arrays["x"], float), call.options[0]
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    p[:, y] -= 1
    return _pair(call.expected["loss"], p / len(x), call)


def _svm(
    delta: float = 1.0,
    skip: bool = True,
    own: Callable[[Any], Any] = lambda count: count,
    cost: Callable[[Any], Any] = lambda margins: margins,
    slope: Callable[[Any], Any] = lambda margins: 1.0 * (margins > 0),
    sign: float = 1.0,
    only_loss: bool = False,
) -> Any:
    """Predict the hinge loss: skip, whether the true class is left out; own, its gradient."""

    def predict(call: Call) -> dict[str, Any]:
        x, y = np.asarray(call.arrays["x"], float), call.options[0]
        rows = np.arange(len(x))
        margins = np.maximum(0, sign * (x - x[rows, y][:, None]) + delta)
        for_dx = margins.copy()
        if skip or only_loss:
            for_dx[rows, y] = 0
        if skip:
            margins[rows, y] = 0
        dx = slope(for_dx)
        dx[rows, y] -= own(np.sum(for_dx > 0, axis=1))
        return _pair(np.sum(cost(margins)) / len(x), dx / len(x), call)

    return predict


def _added_constant(eps: float) -> Hypothesis:
    def log(p: np.ndarray, moved: np.ndarray) -> Any:
        return np.log(p + eps)

    says = f"{eps:g} is added in the logarithm: take the logarithm of the sum instead"
    return Hypothesis("log_of_probability", says, _softmax(log=log), r"log")


FORWARD = [
    Hypothesis(
        "no_max_shift",
        "the exponential overflows for large scores: subtract each row's maximum first",
        _softmax(lambda x: 0.0, _naive),
        r"exp",
    ),
    Hypothesis(
        "no_max_shift",
        "the exponential overflows for large scores: subtract each row's maximum first",
        _softmax(lambda x: 0.0),
        r"exp",
    ),
    Hypothesis(
        "log_of_probability",
        "log(p) is infinite where p underflows to 0: take the logarithm of the sum "
        "(log p = x - log sum exp x)",
        _softmax(log=_naive),
        r"log",
    ),
    *[_added_constant(eps) for eps in (1e-8, 1e-10, 1e-12, 1e-7, 1e-15)],
    Hypothesis(
        "shift_over_all",
        "the maximum of all scores is subtracted, not each row's: other rows underflow",
        _softmax(np.max),
        r"max",
    ),
    Hypothesis(
        "shift_over_all",
        "the maximum of all scores is subtracted, not each row's: other rows underflow",
        _softmax(np.max, _naive),
        r"max",
    ),
    Hypothesis(
        "shift_over_columns",
        "the maximum over the batch is subtracted, not each row's",
        _softmax(lambda x: x.max(axis=0)),
        r"max",
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
        "margins_in_gradient",
        "{key} holds the margins themselves, not whether they are violated",
        _svm(slope=lambda m: m.copy()),
        r"\bdx",
    ),
    Hypothesis(
        "label_missing",
        "{key} is p / N: 1 must be subtracted at the label",
        _softmax(dx=lambda p, one, x: p / len(x)),
        r"\bdx",
    ),
    Hypothesis(
        "label_added",
        "{key}: 1 is added at the label, not subtracted",
        _softmax(dx=lambda p, one, x: (p + one) / len(x)),
        r"\+=",
    ),
    Hypothesis(
        "label_column",
        "{key}: dx[:, y] subtracts 1 in every row; use dx[np.arange(N), y]",
        _column_everywhere,
        r"\[:,",
    ),
    Hypothesis(
        "label_first_divided",
        "{key}: p is divided by N before 1 is subtracted: divide after",
        _softmax(dx=lambda p, one, x: p / len(x) - one),
        r"/\s*=",
    ),
    Hypothesis(
        "probability_one_minus",
        "{key}: p - 1 is taken everywhere, not at the label only",
        _softmax(dx=lambda p, one, x: (p - 1) / len(x)),
        r"-\s*1",
    ),
]
BACKWARD = FORWARD
