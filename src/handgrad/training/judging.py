"""The record of an evaluation, by task: metrics and their intervals, classes, curves for the report."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from handgrad.data import Description
from handgrad.errors import OptionError, ShapeError
from handgrad.training.estimates import as_predictions, loss_of
from handgrad.training.evaluate import evaluate_scores, scores_of
from handgrad.training.metrics import (
    bootstrap,
    by_class,
    measured,
    metrics_of,
    precision_recall_curve,
    reliability,
    roc_curve,
)

POINTS = 200  # of a curve, and classes that have curves
SHOWN = 2000  # rows of a regression whose predictions are kept for the report
_WORK = 2_000_000  # numbers sorted for an interval that sorts; beyond it has none
_DRAWS = 300
_SORTS = ("roc_auc",)


def outputs_of(model: Any, X: Any, description: Description) -> np.ndarray:
    """Return probabilities (N, C), or the numbers (N, T) of a regression in their own unit, float64."""
    return answers_of(model, scores_of(model, X), description)


def answers_of(model: Any, scores: np.ndarray, description: Description) -> np.ndarray:
    """Return what `outputs_of` does, of scores (N, C)."""
    task = description.task
    found = as_predictions(model, task, scores)
    return as_unit(model, found, description) if task == "regression" else found


def as_unit(model: Any, predictions: np.ndarray, description: Description) -> np.ndarray:
    """Return predictions of a regression in the targets' own unit."""
    return description.unit(predictions) if standardises(model, description) else predictions


def standardises(model: Any, description: Description) -> bool:
    """Return whether the targets were standardised for training: of a regression, but not of counts."""
    is_count = getattr(getattr(model, "_loss", None), "name", None) == "poisson"
    return description.task == "regression" and not is_count


def evaluation_of(model: Any, X: Any, y: np.ndarray, description: Description) -> dict[str, Any]:
    """Return the record of how `model` does on the rows X (N, ...), with targets y; ready for JSON."""
    if len(y) == 0:
        raise ShapeError("evaluate: there are no rows in this part of the data")
    scores = scores_of(model, X)
    return evaluation_of_scores(model, scores, y, description)


def evaluation_of_scores(
    model: Any, scores: np.ndarray, y: np.ndarray, description: Description
) -> dict[str, Any]:
    """Return the record for scores (N, C) that are known already."""
    task = description.task
    predictions = as_predictions(model, task, scores)
    if task == "regression":
        return _of_numbers(model, scores, predictions, y, description)
    record: dict[str, Any] = {"task": task}
    if task == "classification":
        record |= evaluate_scores(scores, y, description.class_names).to_dict()
        record["reliability"] = [list(row) for row in reliability(predictions, y)]
    else:
        record |= {
            "accuracy": float(((predictions >= 0.5) == (y == 1)).mean()),
            "loss": loss_of(model, scores, y),
            "class_names": list(description.class_names),
            "count": len(y),
        }
    record |= {
        "metrics": measured(task, predictions, y),
        "intervals": _intervals(task, predictions, y),
        "by_class": by_class(predictions, y),
        "curves": _curves(predictions, y),
    }
    return record


def _of_numbers(
    model: Any, scores: np.ndarray, predictions: np.ndarray, y: np.ndarray, description: Description
) -> dict[str, Any]:
    """Return the record of a regression: all numbers but the loss are in the targets' own unit."""
    y = y.reshape(len(y), -1)
    trained_on = description.standardise(y) if standardises(model, description) else y
    loss = loss_of(model, scores, trained_on.astype(scores.dtype))
    predictions = as_unit(model, predictions, description)
    thin = slice(None, None, max(1, -(-len(y) // SHOWN)))
    return {
        "task": "regression",
        "loss": loss,
        "count": len(y),
        "class_names": [],
        "target_names": list(description.target_names),
        "metrics": measured("regression", predictions, y),
        "intervals": _intervals("regression", predictions, y),
        "by_target": [
            measured("regression", predictions[:, t], y[:, t]) for t in range(y.shape[1])
        ],
        "predictions": predictions[thin].tolist(),
        "targets": y[thin].tolist(),
    }


def _intervals(task: str, predictions: np.ndarray, y: np.ndarray) -> dict[str, list[float] | None]:
    """Return an interval of 95 % of each metric; None where it would take too long, or does not exist."""
    found: dict[str, list[float] | None] = {}
    for name, metric in metrics_of(task).items():
        if predictions.size * (_DRAWS if name in _SORTS else 1) > _WORK * (
            10 if name in _SORTS else 1
        ):
            found[name] = None
            continue
        interval = bootstrap(metric.function, predictions, y, draws=_DRAWS)
        found[name] = None if interval is None else list(interval)
    return found


def _curves(p: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Return the ROC and the precision-recall curve of each class that some rows are of, and some not."""
    found: dict[str, Any] = {}
    C = p.shape[1]
    for c in range(C) if C != 2 or y.ndim == 2 else (1,):
        is_one = y[:, c] == 1 if y.ndim == 2 else y == c
        if len(found) >= POINTS or is_one.all() or not is_one.any():
            continue
        false, true = _thinned(*roc_curve(p[:, c], is_one))
        recall, precision = _thinned(*precision_recall_curve(p[:, c], is_one))
        found[str(c)] = {"roc": [false, true], "precision_recall": [recall, precision]}
    return found


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[list[float], list[float]]:
    """Return at most `POINTS` points of a curve, its ends among them."""
    places = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).round().astype(int))
    return [round(float(v), 6) for v in x[places]], [round(float(v), 6) for v in y[places]]


def importances(
    model: Any,
    X: np.ndarray,
    y: np.ndarray,
    description: Description,
    groups: dict[str, slice],
    repeats: int = 3,
    seed: int = 0,
) -> dict[str, float]:
    """Return how much worse the loss is when the values of a column are shuffled, largest first.

    groups: column -> its places in X (N, D).

    Source: L. Breiman, "Random forests" (2001).
    """
    if X.ndim != 2:
        raise OptionError("permutation importance is of columns, X must be (N, D)")
    rng = np.random.default_rng(seed)
    targets = y
    if standardises(model, description):
        targets = description.standardise(y)
    elif description.task == "regression":
        targets = y.reshape(len(y), -1)

    def loss(rows: np.ndarray) -> float:
        return loss_of(model, scores_of(model, rows), targets)

    before = loss(X)
    found: dict[str, float] = {}
    for name, places in groups.items():
        worse = []
        for _ in range(repeats):
            shuffled = X.copy()
            shuffled[:, places] = X[rng.permutation(len(X))][:, places]
            worse.append(loss(shuffled) - before)
        found[name] = float(np.mean(worse)) if math.isfinite(sum(worse)) else math.nan
    return dict(sorted(found.items(), key=lambda item: -item[1]))
