"""What a Solver looks at after an epoch: accuracy, loss, and the metric that decides what is best."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from handgrad.engines.devices import to_numpy
from handgrad.errors import NonFiniteError, OptionError, check_choice
from handgrad.nn.losses import TASKS
from handgrad.training.evaluate import log_softmax
from handgrad.training.metrics import DEFAULTS, Metric, accuracy, as_metric


class Figures(NamedTuple):
    """accuracy: share of right rows or answers, None for a regression; loss; metric: a number."""

    accuracy: float | None
    loss: float
    metric: float


def task_of(model: Any, task: str | None) -> str:
    """Return the task of a `model`: what its loss is for, else `task`, else classification."""
    if task is not None:
        check_choice("Solver", "task", task, TASKS)
    own = getattr(model, "task", None)
    if own in TASKS and task not in (None, own):
        raise OptionError(
            f"Solver: task is {task!r}, but the model's loss is for a {own}; give the network another loss"
        )
    return own if own in TASKS else task or "classification"


class Looking:
    """How the scores of a model are judged.

    Attributes: task; name, of the metric, "loss" for the validation loss; is_better_high.
    """

    def __init__(
        self,
        model: Any,
        task: str,
        metric: Any,
        unit: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        """unit: makes predictions and targets of a regression numbers of their own unit, for the metric."""
        self.task = task
        self._model = model
        self._unit = unit
        self.name, self._metric = as_metric(
            "Solver", DEFAULTS[task] if metric is None else metric, task
        )

    @property
    def is_better_high(self) -> bool:
        """Whether more is better."""
        return self._metric.is_better_high

    @property
    def counts_right_ones(self) -> bool:
        """Whether it is the accuracy that decides."""
        return self.name == "accuracy" and self._metric.function is accuracy

    def score(self, metric: float) -> float:
        """Return the metric with the sign for which more is better."""
        return metric if self._metric.is_better_high else -metric

    def figures(self, scores: np.ndarray, y: np.ndarray, *, needs_loss: bool) -> Figures:
        """Judge scores (N, ...) of rows with targets y; the loss is NaN where it is not asked for."""
        metric = self._metric
        right = None
        if self.task == "classification" and scores.ndim == 2:
            right = int(np.count_nonzero(np.argmax(scores, axis=1) == y)) / len(y)
        elif self.task == "multilabel":
            right = float(((scores > 0) == (y == 1)).mean())
        loss = math.nan
        if needs_loss or self.name == "loss":
            loss = loss_of(self._model, scores, y)
        if self.name == "loss":
            value = loss
        elif right is not None and self.counts_right_ones:
            value = right
        else:
            value = self._measured(metric, scores, y)
        return Figures(right, loss, value)

    def record(self, train: Figures, val: Figures) -> dict[str, Any]:
        """Return what the record of an epoch says of them; None for what is not finite."""
        found: dict[str, Any] = {}
        if val.accuracy is not None:
            found |= {"train_acc": train.accuracy, "val_acc": val.accuracy}
        found["val_loss"] = _finite(val.loss)
        if not self.counts_right_ones and self.name != "loss":
            found |= {
                "metric": self.name,
                "train_metric": _finite(train.metric),
                "val_metric": _finite(val.metric),
            }
        return found

    def text(self, train: Figures, val: Figures) -> str:
        """Return the courses' words for accuracies, and such for another metric."""
        if self.counts_right_ones or (self.name == "loss" and val.accuracy is not None):
            return f"train acc: {train.accuracy:f}; val_acc: {val.accuracy:f}"
        return f"train {self.name}: {train.metric:f}; val_{self.name}: {val.metric:f}"

    def _measured(self, metric: Metric, scores: np.ndarray, y: np.ndarray) -> float:
        predictions = as_predictions(self._model, self.task, scores)
        if self.task == "regression" and self._unit is not None:
            predictions, y = self._unit(predictions), self._unit(y)
        return float(metric.function(predictions, y))


def loss_of(model: Any, scores: np.ndarray, y: np.ndarray) -> float:
    """Return the model's loss of `scores` without regularisation; without one of its own, cross-entropy.

    It is NaN of scores that are not finite: the next step says what went wrong.
    """
    if hasattr(model, "loss_of"):
        try:
            return float(model.loss_of(scores, y))
        except NonFiniteError:
            return math.nan
    if scores.ndim != 2 or y.ndim != 1:
        return math.nan
    return float(-log_softmax(to_numpy(scores).real)[np.arange(len(y)), y].mean())


def as_predictions(model: Any, task: str, scores: np.ndarray) -> np.ndarray:
    """Return what `scores` say: probabilities (N, C), those of yes (N, K), or numbers, in float64.

    The scores of a Poisson loss are logarithms of rates.
    """
    scores = np.asarray(scores).real
    if task == "classification":
        return np.exp(log_softmax(scores))
    scores = scores.astype(np.float64)
    if task == "multilabel":
        decay = np.exp(-np.abs(scores))
        return np.where(scores >= 0, 1.0, decay) / (1.0 + decay)
    is_log = getattr(getattr(model, "_loss", None), "name", None) == "poisson"
    return np.exp(scores) if is_log else scores


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
