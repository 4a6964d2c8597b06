"""How good predictions are, by task, each as one number; and how sure that number is.

Of a classification they compare probabilities, (N, C), with labels, (N,); of multilabel, probabilities of
yes, (N, K), with 0 and 1, (N, K); of a regression, predictions with targets of their shape.

====================  ==================================================  ============  ===============
name                  what it is                                          best          tasks
====================  ==================================================  ============  ===============
``accuracy``          share of rows (multilabel: of answers) right       1             classes, labels
``balanced_accuracy`` mean over the classes of their share of right rows  1             classes
``macro_f1``          mean over the classes of 2 PR / (P + R)             1             classes, labels
``roc_auc``           share of pairs (one of a class, one not) in order;  1             classes, labels
                      the mean over the classes where they are several
``log_loss``          mean of -log of the probability of what is true     0             classes, labels
``calibration_error`` mean distance of certainty and accuracy, 15 bins    0             classes
``mae``, ``rmse``     mean distance; root of the mean squared distance    0             regression
``r2``                1 - squared distances / those of the mean           1             regression
====================  ==================================================  ============  ===============

Sources: calibration: C. Guo et al. (2017), arXiv:1706.04599; bootstrap: B. Efron (1979).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from handgrad.engines.arrays import as_numpy
from handgrad.errors import LabelError, OptionError, ShapeError, as_count, as_number, check_choice

BINS = 15  # of the certainty, in the calibration error
_LEAST = 1e-300  # probabilities below count as this in a logarithm


class Metric(NamedTuple):
    """A metric by name.

    Attributes:
        function: (predictions, y) -> a number, NaN where there is none, as of one class alone.
        tasks: those that it is for.
        is_better_high: whether more is better.
    """

    function: Callable[[np.ndarray, np.ndarray], float]
    tasks: tuple[str, ...]
    is_better_high: bool = True


def accuracy(p: Any, y: Any) -> float:
    """Return the share of rows whose largest probability is at the label; of answers, if multilabel.

    Args:
        p: probabilities or scores, (N, C); of multilabel probabilities of yes, (N, K).
        y: labels, (N,); of multilabel 0 and 1, (N, K).
    """
    p, y = _checked(p, y)
    if y.ndim == 2:
        return float(((p >= 0.5) == (y == 1)).mean())
    return float((p.argmax(axis=1) == y).mean())


def top_k(p: Any, y: Any, k: int = 5) -> float:
    """Return the share of rows (N,) whose label is among the k largest of p, (N, C)."""
    p, y = _checked(p, y, one_label=True)
    k = as_count("top_k", "k", k, 1, p.shape[1])
    best = np.argsort(-p, axis=1, kind="stable")[:, :k]
    return float((best == y[:, None]).any(axis=1).mean())


def confusion_matrix(p: Any, y: Any) -> np.ndarray:
    """Return counts (C, C): rows are the true classes, columns the predicted ones."""
    p, y = _checked(p, y, one_label=True)
    C = p.shape[1]
    return np.bincount(y * C + p.argmax(axis=1), minlength=C * C).reshape(C, C)


def by_class(p: Any, y: Any) -> list[dict[str, float | int | None]]:
    """Return precision, recall, f1 and support of each class, or of each label if multilabel.

    precision is None where nothing was predicted, recall where there are no rows, f1 where both are.
    """
    p, y = _checked(p, y)
    if y.ndim == 2:
        said, true = p >= 0.5, y == 1
        hits, predicted, support = (said & true).sum(0), said.sum(0), true.sum(0)
    else:
        counts = confusion_matrix(p, y)
        hits, predicted, support = counts.diagonal(), counts.sum(0), counts.sum(1)
    return [
        {
            "precision": int(h) / int(m) if m else None,
            "recall": int(h) / int(s) if s else None,
            "f1": 2 * int(h) / int(m + s) if m + s else None,
            "support": int(s),
        }
        for h, m, s in zip(hits, predicted, support, strict=True)
    ]


def balanced_accuracy(p: Any, y: Any) -> float:
    """Return the mean over the classes that have rows of their share of right rows."""
    recalls = [row["recall"] for row in by_class(*_checked(p, y, one_label=True))]
    return float(np.mean([recall for recall in recalls if recall is not None]))


def macro_f1(p: Any, y: Any) -> float:
    """Return the mean over the classes, seen or predicted, of the harmonic mean of precision and recall."""
    found = [row["f1"] for row in by_class(p, y)]
    return float(np.mean([f1 for f1 in found if f1 is not None] or [0.0]))


def roc_auc(p: Any, y: Any) -> float:
    """Return the area under the ROC curve; of several classes the mean of each against the rest.

    It is the share of pairs, one row of the class and one not, whose probabilities are in order; a tie is
    half a pair.  NaN where a class has no rows, or all.
    """
    p, y = _checked(p, y)
    if y.ndim == 2:
        areas = [_area(p[:, k], y[:, k] == 1) for k in range(y.shape[1])]
    elif p.shape[1] == 2:
        return _area(p[:, 1], y == 1)
    else:
        areas = [_area(p[:, c], y == c) for c in range(p.shape[1])]
    return float(np.mean(areas))


def _area(scores: np.ndarray, is_one: np.ndarray) -> float:
    ones, others = int(is_one.sum()), int((~is_one).sum())
    if not ones or not others:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - 0.5 * (counts - 1))[place]  # the mean rank of ties, from 1
    return float((ranks[is_one].sum() - 0.5 * ones * (ones + 1)) / (ones * others))


def log_loss(p: Any, y: Any) -> float:
    """Return the mean of -log of the probability of what is true, in nats."""
    p, y = _checked(p, y)
    true = np.where(y == 1, p, 1.0 - p) if y.ndim == 2 else p[np.arange(len(y)), y]
    return float(-np.log(np.maximum(true, _LEAST)).mean())


def reliability(p: Any, y: Any, bins: int = BINS) -> list[tuple[float, float, int]]:
    """Return (mean certainty, share right, rows) of each bin of the largest probability that has rows."""
    p, y = _checked(p, y, one_label=True)
    bins = as_count("reliability", "bins", bins)
    sure, right = p.max(axis=1), p.argmax(axis=1) == y
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    return [
        (float(sure[place == b].mean()), float(right[place == b].mean()), int((place == b).sum()))
        for b in np.unique(place)
    ]


def calibration_error(p: Any, y: Any) -> float:
    """Return the mean over the rows of the distance between certainty and accuracy of their bin."""
    rows = reliability(p, y)
    return float(sum(n * abs(sure - right) for sure, right, n in rows) / sum(n for _, _, n in rows))


def mae(p: Any, y: Any) -> float:
    """Return the mean of |p - y|, in the unit of y."""
    p, y = _numbers(p, y)
    return float(np.abs(p - y).mean())


def rmse(p: Any, y: Any) -> float:
    """Return the root of the mean of (p - y)^2, in the unit of y."""
    p, y = _numbers(p, y)
    return float(np.sqrt(((p - y) ** 2).mean()))


def r2(p: Any, y: Any) -> float:
    """Return 1 - sum (p - y)^2 / sum (y - mean y)^2, of several targets the mean.

    Of a constant target it is 1 if all predictions are right, else 0; of a single row NaN.
    """
    p, y = _numbers(p, y)
    if len(y) < 2:
        return float("nan")
    p, y = p.reshape(len(p), -1), y.reshape(len(y), -1)
    missed, spread = ((p - y) ** 2).sum(0), ((y - y.mean(0)) ** 2).sum(0)
    constant = spread == 0
    values = np.where(constant, missed == 0, 1.0 - missed / np.where(constant, 1.0, spread))
    return float(values.mean())


_CLASSES, _LABELS, _NUMBERS = "classification", "multilabel", "regression"
METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, (_CLASSES, _LABELS)),
    "balanced_accuracy": Metric(balanced_accuracy, (_CLASSES,)),
    "macro_f1": Metric(macro_f1, (_CLASSES, _LABELS)),
    "roc_auc": Metric(roc_auc, (_CLASSES, _LABELS)),
    "log_loss": Metric(log_loss, (_CLASSES, _LABELS), False),
    "calibration_error": Metric(calibration_error, (_CLASSES,), False),
    "r2": Metric(r2, (_NUMBERS,)),
    "mae": Metric(mae, (_NUMBERS,), False),
    "rmse": Metric(rmse, (_NUMBERS,), False),
}
DEFAULTS = {_CLASSES: "accuracy", _LABELS: "accuracy", _NUMBERS: "r2"}


def metrics_of(task: str) -> dict[str, Metric]:
    """Return the metrics of a task, the first of them the one that is looked at unless told otherwise.

    >>> list(metrics_of("regression"))
    ['r2', 'mae', 'rmse']
    """
    check_choice("metrics_of", "task", task, DEFAULTS)
    return {name: metric for name, metric in METRICS.items() if task in metric.tasks}


def measured(task: str, p: Any, y: Any) -> dict[str, float | None]:
    """Return all metrics of a task by name, None for one that these rows do not have."""
    values = {name: metric.function(p, y) for name, metric in metrics_of(task).items()}
    if task == _CLASSES and np.shape(p)[1] > 5:
        values["top_5"] = top_k(p, y, 5)
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def bootstrap(
    metric: str | Callable[[np.ndarray, np.ndarray], float],
    p: Any,
    y: Any,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Return an interval of a metric: between its quantiles over rows drawn anew, with replacement.

    Args:
        metric: a name of `METRICS`, or such a function.
        p: predictions, (N, ...).
        y: labels or targets, (N, ...).
        draws: how often N rows are drawn.
        level: the share of the values that the interval holds, in (0, 1).
        seed: of the draws.

    Returns:
        Its ends, or None where no draw has a value.

    Raises:
        OptionError: an option is unknown or out of range.  ShapeError: p and y do not fit.

    >>> bootstrap("accuracy", [[0.9, 0.1], [0.2, 0.8]], [0, 1])
    (1.0, 1.0)
    """
    if not callable(metric):
        check_choice("bootstrap", "metric", metric, METRICS)
        metric = METRICS[metric].function
    draws = as_count("bootstrap", "draws", draws)
    level = as_number("bootstrap", "level", level, 0.0, 1.0, open_low=True, open_high=True)
    p, y = as_numpy("bootstrap", "p", p), as_numpy("bootstrap", "y", y)
    if p.ndim == 0 or y.ndim == 0 or len(p) != len(y) or len(y) == 0:
        raise ShapeError(f"bootstrap: p and y must have as many rows, got {p.shape} and {y.shape}")
    rng = np.random.default_rng(as_count("bootstrap", "seed", seed, 0))
    values = []
    for _ in range(draws):
        rows = rng.integers(len(y), size=len(y))
        value = float(metric(p[rows], y[rows]))
        if np.isfinite(value):
            values.append(value)
    if not values:
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def roc_curve(scores: Any, is_one: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the false and true positive rates, (T,), of every threshold of the scores, from 0 to 1."""
    hits, misses = _cumulated(scores, is_one)
    return misses / max(misses[-1], 1), hits / max(hits[-1], 1)


def precision_recall_curve(scores: Any, is_one: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return recall and precision, (T,), of every threshold of the scores, the highest first."""
    hits, misses = _cumulated(scores, is_one)
    return hits[1:] / max(hits[-1], 1), hits[1:] / (hits[1:] + misses[1:])


def _cumulated(scores: Any, is_one: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return how many rows of the class, and how many others, have a score at or above each threshold."""
    scores = as_numpy("roc_curve", "scores", scores)
    is_one = as_numpy("roc_curve", "is_one", is_one)
    if scores.ndim != 1 or scores.shape != is_one.shape or len(scores) == 0:
        raise ShapeError(
            f"roc_curve: scores and is_one must have one shape (N,), got {scores.shape} and {is_one.shape}"
        )
    if scores.dtype.kind not in "biuf" or is_one.dtype.kind not in "biuf":
        raise LabelError(
            f"roc_curve: scores and is_one must hold real numbers, got {scores.dtype} and {is_one.dtype}"
        )
    order = np.argsort(-scores.astype(float), kind="stable")
    ones = (is_one != 0)[order]
    ends = np.flatnonzero(np.append(np.diff(scores[order].astype(float)) != 0, True))
    hits, all_rows = np.cumsum(ones)[ends], ends + 1
    zero = np.zeros(1, int)
    return np.concatenate([zero, hits]), np.concatenate([zero, all_rows - hits])


def _checked(p: Any, y: Any, one_label: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (N, C) with labels (N,), or (N, K) with 0 and 1 (N, K)."""
    p, y = as_numpy("metrics", "p", p), as_numpy("metrics", "y", y)
    if p.ndim != 2 or 0 in p.shape or p.dtype.kind not in "biuf":
        raise ShapeError(f"metrics: p must be numbers (N, C), got {p.dtype} of shape {p.shape}")
    if y.shape == p.shape and not one_label:
        if y.dtype.kind not in "biuf" or not ((y == 0) | (y == 1)).all():
            raise LabelError("metrics: y of several labels, (N, K), must hold 0 and 1")
        return p, y
    if y.shape != (len(p),):
        raise ShapeError(f"metrics: y must have shape ({len(p)},), a label a row, got {y.shape}")
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= p.shape[1]:
        raise LabelError(f"metrics: y must hold integers in [0, {p.shape[1]}), got {y.dtype}")
    return p, y.astype(np.int64)


def _numbers(p: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions and targets in float64, of one shape; (N, 1) goes with (N,)."""
    p, y = as_numpy("metrics", "p", p), as_numpy("metrics", "y", y)
    if p.dtype.kind not in "biuf" or y.dtype.kind not in "biuf":
        raise LabelError(f"metrics: p and y must hold real numbers, got {p.dtype} and {y.dtype}")
    if p.shape != y.shape and {p.shape, y.shape} == {(p.size,), (p.size, 1)}:
        p, y = p.reshape(-1), y.reshape(-1)
    if p.shape != y.shape or p.ndim == 0 or p.size == 0:
        raise ShapeError(f"metrics: p and y must have one shape, got {p.shape} and {y.shape}")
    return p.astype(np.float64), y.astype(np.float64)


def as_metric(where: str, metric: Any, task: str) -> tuple[str, Metric]:
    """Return the name and the metric that `metric` is: a name of the task, or a function; more is better.

    Raises OptionError for one of another task.
    """
    if callable(metric) and not isinstance(metric, type):
        return getattr(metric, "__name__", "metric"), Metric(metric, (task,))
    known = metrics_of(task)
    if isinstance(metric, str) and metric in METRICS and metric not in known:
        raise OptionError(
            f"{where}: metric {metric!r} is not for a {task}; its metrics are loss, {', '.join(known)}"
        )
    check_choice(where, "metric (or a function)", metric, ["loss", *known])
    return metric, known.get(metric, Metric(lambda p, y: float("nan"), (task,), False))
