"""What a trained model gets right: accuracy, confusion matrix, and telling examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from handgrad.data.rows import as_rows
from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    LabelError,
    NonFiniteError,
    OptionError,
    ShapeError,
    as_count,
    as_items,
    check_callable,
    shown,
)
from handgrad.labels import advice_on_kind
from handgrad.training import views
from handgrad.training.arrays import all_finite, steady


@dataclass(frozen=True, repr=False)
class Evaluation:
    """How a model does on labelled rows.

    Attributes:
        accuracy: share of rows that are right.
        loss: mean cross-entropy, in nats.
        confusion: (C, C) counts, rows are the true classes, columns the predicted ones.
        per_class: share of right rows of each class, None for a class without rows.
        class_names: C texts.
        count: the number of rows.

    >>> evaluate(model, X, y).accuracy  # doctest: +SKIP
    """

    accuracy: float
    loss: float
    confusion: np.ndarray
    per_class: tuple[float | None, ...]
    class_names: tuple[str, ...]
    count: int

    def __repr__(self) -> str:
        return views.evaluation_text(self)

    def _repr_html_(self) -> str:
        return views.evaluation_page(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the same as lists and numbers, ready for JSON."""
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "confusion": self.confusion.tolist(),
            "per_class": list(self.per_class),
            "class_names": list(self.class_names),
            "count": self.count,
        }


def predict_probabilities(model: Any, X: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """Class probabilities, ``softmax(model.loss(X))``.

    Args:
        model: ``model.loss(X)`` returns scores.
        X: rows, (N, ...).
        batch_size: rows scored at a time.

    Returns:
        Probabilities (N, C), float64.
    """
    return np.exp(log_softmax(scores_of(model, X, batch_size)))


def predict(model: Any, X: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """Return the class with the largest score for each row of X, (N,).

    >>> import numpy as np
    >>> from handgrad.models import TwoLayerNet
    >>> predict(TwoLayerNet(input_dim=4), np.zeros((2, 4))).shape
    (2,)
    """
    return scores_of(model, X, batch_size).argmax(axis=1)


def evaluate(
    model: Any,
    X: np.ndarray,
    y: np.ndarray,
    class_names: Sequence[str] | None = None,
    batch_size: int = 256,
) -> Evaluation:
    """Compare the predictions of `model` with the labels.

    Args:
        model: ``model.loss(X)`` returns scores (N, C).
        X: rows, (N, ...).
        y: labels, (N,).
        class_names: C texts; None gives the numbers.
        batch_size: rows scored at a time.

    Raises:
        ShapeError: X is empty, or y or class_names does not fit.
        LabelError: a label is not in [0, C).
    """
    return evaluate_scores(scores_of(model, X, batch_size), y, class_names)


def evaluate_scores(
    scores: np.ndarray, y: np.ndarray, class_names: Sequence[str] | None = None
) -> Evaluation:
    """Compare the largest of `scores`, (N, C), with the labels; the rest is as in `evaluate`."""
    N, C = _two_axes(scores)
    y = _checked_labels(y, N, C)
    if class_names is None:
        class_names = [str(label) for label in range(C)]
    class_names = as_items("evaluate", "class_names", class_names, "texts")
    if len(class_names) != C:
        raise ShapeError(
            f"evaluate: class_names must have {C} names, one for each score, got {len(class_names)}"
        )
    predicted = scores.argmax(axis=1)
    confusion = np.bincount(y * C + predicted, minlength=C * C).reshape(C, C)
    right = confusion.diagonal()
    rows = confusion.sum(axis=1)
    return Evaluation(
        accuracy=float(right.sum() / N),
        loss=float(-log_softmax(scores)[np.arange(N), y].mean()),
        confusion=confusion,
        per_class=tuple(float(k / n) if n else None for k, n in zip(right, rows, strict=True)),
        class_names=tuple(class_names),
        count=N,
    )


def examples(
    model: Any, X: np.ndarray, y: np.ndarray, k: int = 8, batch_size: int = 256
) -> dict[str, list[dict[str, Any]]]:
    """Choose the rows that show most about `model`.

    Args:
        model: ``model.loss(X)`` returns scores (N, C).
        X: rows, (N, ...).
        y: labels, (N,).
        k: at most so many of each kind.
        batch_size: rows scored at a time.

    Returns:
        Lists under "right" and "wrong", the most certain first, and "uncertain", the least
        certain first; each entry has index, true, predicted, and probabilities (C numbers).
    """
    return examples_of_scores(scores_of(model, X, batch_size), y, k)


def examples_of_scores(
    scores: np.ndarray, y: np.ndarray, k: int
) -> dict[str, list[dict[str, Any]]]:
    """Choose the rows by their `scores`, (N, C); the rest is as in `examples`."""
    k = as_count("examples", "k", k, minimum=0)
    probabilities = np.exp(log_softmax(scores))
    y = _checked_labels(y, *_two_axes(scores))
    predicted = probabilities.argmax(axis=1)
    certainty = probabilities.max(axis=1)
    order = np.argsort(-certainty, kind="stable")
    is_right = (predicted == y)[order]
    chosen = {"right": order[is_right], "wrong": order[~is_right], "uncertain": order[::-1]}
    return {
        kind: [
            {
                "index": int(row),
                "true": int(y[row]),
                "predicted": int(predicted[row]),
                "probabilities": probabilities[row].tolist(),
            }
            for row in rows[:k]
        ]
        for kind, rows in chosen.items()
    }


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Return ``s - max s - log(sum exp(s - max s))`` of each row s, in float64."""
    shifted = scores.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def scores_of(model: Any, X: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """Return ``model.loss(X)``, (N, C), computed `batch_size` rows at a time; it must be finite."""
    batch_size = as_count("evaluate", "batch_size", batch_size)
    if isinstance(model, type):
        raise OptionError(f"evaluate: model must be a network, got the class {model.__name__}")
    check_callable("evaluate", "model.loss", getattr(model, "loss", None))
    X = as_rows("evaluate", "X", X)
    if X.ndim < 2 or len(X) == 0:
        raise ShapeError(f"evaluate: X must be (N, ...) with at least one row, got {X.shape}")
    # NaN and infinity are looked for below
    with np.errstate(all="ignore"), steady(model):
        batches = [model.loss(X[i : i + batch_size]) for i in range(0, len(X), batch_size)]
    scores = _joined(batches, X)
    if not all_finite(scores):
        bad = int((~np.isfinite(scores)).any(axis=1).argmax())
        raise NonFiniteError(
            f"evaluate: the scores must be finite, but those of row {bad} are {scores[bad]}; "
            "look for NaN in X and in the model's parameters"
        )
    return scores


def _joined(batches: list[Any], X: np.ndarray) -> np.ndarray:
    """The scores of all batches as one array, if the model returned such."""
    arrays = [as_numpy("evaluate", "the scores of model.loss(X)", batch) for batch in batches]
    rows = sum(len(a) if a.ndim else 0 for a in arrays)
    if any(a.ndim < 2 or a.shape[1:] != arrays[0].shape[1:] for a in arrays) or rows != len(X):
        raise ShapeError(
            f"evaluate: model.loss(X) must return scores (N, C), a row for each of the {len(X)} rows of X, "
            f"got {arrays[0].shape}"
        )
    return np.concatenate(arrays)


def _two_axes(scores: np.ndarray) -> tuple[int, int]:
    """The shape of scores of whole rows: of pixels, (N, C, H, W), there is no evaluation."""
    if scores.ndim != 2:
        raise ShapeError(
            f"evaluate: scores must be (N, C), a score for each class of a row, got shape {scores.shape}"
        )
    return scores.shape[0], scores.shape[1]


def _checked_labels(y: Any, N: int, C: int) -> np.ndarray:
    y = as_numpy("evaluate", "y", y, "hold integers", advice_on_kind)
    if y.shape != (N,):
        raise ShapeError(f"evaluate: y must have shape ({N},), a label for each row, got {y.shape}")
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= C:
        some = f" from {y.min()} to {y.max()}" if y.dtype.kind in "iuf" else f" ({shown(y[0])})"
        raise LabelError(f"evaluate: y must hold integers in [0, {C}), got {y.dtype}{some}")
    return y.astype(np.int64)
