"""Mistakes of the softmax loss: in its value, in its gradient, in its exponentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call


def pair(loss: Any, dx: Any, call: Call) -> dict[str, Any]:
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
        return pair(-np.sum(logs[rows, y]) / N, dx(p, one, x) if dx else (p - one) / N, call)

    return predict


def _unshifted_logs(call: Call) -> dict[str, Any]:
    """x - log(sum(exp(x))), and its exponential as p: where the sum overflows p is 0, not undefined."""
    x, y = np.asarray(call.arrays["x"], float), call.options[0]
    logs = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    one = np.eye(x.shape[1])[y]
    return pair(-np.sum(logs[one > 0]) / len(x), (np.exp(logs) - one) / len(x), call)


def _naive(p: np.ndarray, moved: np.ndarray) -> Any:
    return np.log(p)


def _column_everywhere(call: Call) -> dict[str, Any]:
    """dx[:, y] -= 1 takes 1 off every row in the columns of all labels."""
    x, y = np.asarray(call.arrays["x"], float), call.options[0]
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    p[:, y] -= 1
    return {"dx": pair(0.0, p / len(x), call)["dx"]}


def _added_constant(eps: float) -> Hypothesis:
    def log(p: np.ndarray, moved: np.ndarray) -> Any:
        return np.log(p + eps)

    says = f"{eps:g} is added in the logarithm: take the logarithm of the sum instead"
    return Hypothesis("log_of_probability", says, _softmax(log=log), r"log")


def _dx(value: Callable[..., Any]) -> Any:
    """Predict N dx alone, from (p, 1[y], x, exp(x - max), log p)."""

    def predict(call: Call) -> dict[str, Any]:
        x, rows = np.asarray(call.arrays["x"], float), np.arange(len(call.arrays["x"]))
        moved = x - x.max(axis=1, keepdims=True)
        e = np.exp(moved)
        one = np.zeros_like(x)
        one[rows, call.options[0]] = 1
        total = e.sum(axis=1, keepdims=True)
        dx = value(e / total, one, x, e, moved - np.log(total)) / len(x)
        return {"dx": (1.0 if call.dout is None else call.dout) * dx}

    return predict


def _loss(value: Callable[..., Any]) -> Any:
    """Predict N times the loss alone, from (log p, y, x)."""

    def predict(call: Call) -> dict[str, Any]:
        x = np.asarray(call.arrays["x"], float)
        moved = x - x.max(axis=1, keepdims=True)
        logs = moved - np.log(np.exp(moved).sum(axis=1, keepdims=True))
        return {"loss": value(logs, call.options[0], x) / len(x)}

    return predict


def _picked(value: np.ndarray, y: np.ndarray) -> Any:
    return value[np.arange(len(value)), y]


_VALUES = [
    (
        "label_column",
        "the loss sums log p[:, y], the columns of all labels; use log p[np.arange(N), y]",
        lambda logs, y, x: -logs[:, y].sum(),
        r"\[:,",
    ),
    (
        "label_column",
        "the loss takes x[:, y], the scores of all labels; use x[np.arange(N), y]",
        lambda logs, y, x: (_picked(x, y) - _picked(logs, y) - x[:, y].sum(axis=1)).sum(),
        r"\[:,",
    ),
    (
        "log_of_sum",
        "the loss is the logarithm of the sum of p[y]: it must be the sum of the logarithms",
        lambda logs, y, x: -np.log(np.exp(_picked(logs, y)).sum()),
        r"log",
    ),
    (
        "log_of_sum",
        "the loss is the logarithm of the mean of p[y]: it must be the mean of the logarithms",
        lambda logs, y, x: -len(x) * np.log(np.exp(_picked(logs, y)).mean()),
        r"log",
    ),
    (
        "every_class",
        "the loss sums log p of every class, not only of the label's",
        lambda logs, y, x: -logs.sum(),
        r"sum|mean",
    ),
    (
        "logarithm_missing",
        "the loss uses p, not its logarithm",
        lambda logs, y, x: -np.exp(_picked(logs, y)).sum(),
        r"loss",
    ),
    (
        "logarithm_missing",
        "the loss is the mean of 1 - p, not of -log p",
        lambda logs, y, x: (1 - np.exp(_picked(logs, y))).sum(),
        r"loss",
    ),
    (
        "logarithm_missing",
        "the loss is the mean of p: it must be that of -log p",
        lambda logs, y, x: np.exp(_picked(logs, y)).sum(),
        r"loss",
    ),
    (
        "logarithm_base",
        "the logarithm is that to the base 10: it must be the natural one",
        lambda logs, y, x: -_picked(logs, y).sum() / np.log(10),
        r"log10",
    ),
    (
        "logarithm_base",
        "the logarithm is that to the base 2: it must be the natural one",
        lambda logs, y, x: -_picked(logs, y).sum() / np.log(2),
        r"log2",
    ),
    (
        "maximum_not_added",
        "the row's maximum is missing from the loss: subtract it from the label's score too",
        lambda logs, y, x: (x.max(axis=1) * -1 - _picked(logs, y)).sum(),
        r"loss|log",
    ),
    (
        "maximum_not_added",
        "the row's maximum is added once too often to the loss",
        lambda logs, y, x: (x.max(axis=1) - _picked(logs, y)).sum(),
        r"loss|log",
    ),
    (
        "label_score_missing",
        "the loss lacks the score of the label: -x[y] + log sum exp x",
        lambda logs, y, x: (_picked(x, y) - _picked(logs, y)).sum(),
        r"loss",
    ),
    (
        "normaliser_missing",
        "the loss lacks the logarithm of the sum of exponentials",
        lambda logs, y, x: -_picked(x - x.max(axis=1, keepdims=True), y).sum(),
        r"loss|log",
    ),
    (
        "normaliser_missing",
        "the loss lacks the logarithm of the sum of exponentials",
        lambda logs, y, x: -_picked(x, y).sum(),
        r"loss|log",
    ),
    (
        "largest_score_as_label",
        "the loss takes the largest score (that of the shift), not that of the label",
        lambda logs, y, x: -logs.max(axis=1).sum(),
        r"max",
    ),
    (
        "normalised_over_all",
        "the exponentials are divided by the sum over the batch, not over each row",
        lambda logs, y, x: -_picked(x - np.log(np.exp(x).sum()), y).sum(),
        r"sum\(",
    ),
    (
        "normalised_over_all",
        "the exponentials are divided by the sum of each column, not of each row",
        lambda logs, y, x: -_picked(x - np.log(np.exp(x).sum(axis=0)), y).sum(),
        r"axis\s*=\s*0",
    ),
    (
        "wrong_way_round",
        "the loss is log(1 - p) of the other classes too, as of independent classes",
        lambda logs, y, x: (
            -(
                _picked(logs, y)
                - _picked(np.log1p(-np.exp(logs)), y)
                + np.log1p(-np.exp(logs)).sum(axis=1)
            ).sum()
        ),
        r"1\s*-",
    ),
]
_GRADIENTS = [
    (
        "label_missing",
        "{key} is p / N: 1 must be subtracted at the label",
        lambda p, one, x, e, logs: p,
        r"\bdx",
    ),
    (
        "label_added",
        "{key}: 1 is added at the label, not subtracted",
        lambda p, one, x, e, logs: p + one,
        r"\+=",
    ),
    (
        "label_first_divided",
        "{key}: p is divided by N before 1 is subtracted: divide after",
        lambda p, one, x, e, logs: p - one * len(x),
        r"/\s*=",
    ),
    (
        "label_divided_alone",
        "{key}: only the 1 at the label is divided by N, not p",
        lambda p, one, x, e, logs: p * len(x) - one,
        r"/",
    ),
    (
        "probability_one_minus",
        "{key}: p - 1 is taken everywhere, not at the label only",
        lambda p, one, x, e, logs: p - 1,
        r"-\s*1",
    ),
    (
        "label_only",
        "{key} is filled at the label only: the other classes must hold p",
        lambda p, one, x, e, logs: (p - one) * one,
        r"\bdx\[",
    ),
    (
        "label_only",
        "{key} is -1 at the label: p is missing",
        lambda p, one, x, e, logs: -one,
        r"\bdx",
    ),
    (
        "not_normalised",
        "{key} uses exp(x), not p: divide by the sum of each row",
        lambda p, one, x, e, logs: e - one,
        r"exp|\bdx",
    ),
    (
        "not_normalised",
        "{key} uses the scores, not p",
        lambda p, one, x, e, logs: x - one,
        r"\bdx",
    ),
    (
        "not_normalised",
        "{key} uses log p, not p",
        lambda p, one, x, e, logs: logs - one,
        r"log|\bdx",
    ),
    (
        "normalised_over_all",
        "{key} divides by the sum over the whole batch, not over each row",
        lambda p, one, x, e, logs: e / e.sum() - one,
        r"sum\(",
    ),
    (
        "normalised_over_all",
        "{key} divides by the sum of each column, not of each row",
        lambda p, one, x, e, logs: e / e.sum(axis=0) - one,
        r"axis\s*=\s*0",
    ),
    (
        "slope_of_probability",
        "{key} is the derivative by p, -1/p at the label: carry it through the softmax to p - 1",
        lambda p, one, x, e, logs: -one / p,
        r"/",
    ),
    (
        "slope_of_probability",
        "{key} multiplies by p (1 - p): log and softmax together give p - 1 at the label",
        lambda p, one, x, e, logs: (p - one) * p * (1 - p),
        r"1\s*-",
    ),
    (
        "slope_of_probability",
        "{key} is p (1 - p): log and softmax together give p - 1 at the label",
        lambda p, one, x, e, logs: p * (1 - p),
        r"1\s*-",
    ),
]

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
        "no_max_shift",
        "the exponential overflows for large scores: subtract each row's maximum first",
        _unshifted_logs,
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
    *[Hypothesis(name, says, _loss(value), line) for name, says, value, line in _VALUES],
    *[Hypothesis(name, says, _dx(value), line) for name, says, value, line in _GRADIENTS],
    Hypothesis(
        "label_column",
        "{key}: dx[:, y] subtracts 1 in every row; use dx[np.arange(N), y]",
        _column_everywhere,
        r"\[:,",
    ),
]
