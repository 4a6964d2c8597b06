"""How often each row of the training set counts, and a step that is computed in parts."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from handgrad.engines.arrays import as_numpy
from handgrad.errors import OptionError, ShapeError, as_items, as_number, check_choice
from handgrad.nn.losses import takes_weights
from handgrad.training.arrays import Arrays
from handgrad.training.checks import check_data


def weights_of_rows(
    model: Any, y: np.ndarray, task: str, class_weight: Any, sample_weight: Any
) -> np.ndarray | None:
    """Return how often each training row counts, (N,) float64, or None where all count once.

    Args:
        model: its ``loss`` takes sample_weight, else OptionError.
        y: labels or targets, (N, ...).
        task: class_weight is for a classification.
        class_weight: "balanced", ``N / (classes * rows of the class)``; (C,) numbers; or a dictionary from
            labels to numbers, 1 for those that it lacks.
        sample_weight: (N,) numbers.
    """
    if class_weight is None and sample_weight is None:
        return None
    own = getattr(getattr(model, "_loss", None), "func", None)
    if not takes_weights(model.loss) or (own is not None and not takes_weights(own)):
        name = getattr(getattr(model, "_loss", None), "name", None)
        what = f"its loss {name!r}" if name else f"{type(model).__name__}.loss"
        raise OptionError(
            f"Solver: class_weight and sample_weight need a model whose loss takes sample_weight; {what} "
            "does not"
        )
    weights = np.ones(len(y))
    if sample_weight is not None:
        weights = _numbers("sample_weight", sample_weight)
        if weights.shape != (len(y),):
            raise ShapeError(
                f"Solver: sample_weight must have shape ({len(y)},), a number for each training row, "
                f"got {weights.shape}"
            )
    if class_weight is not None:
        if task != "classification":
            raise OptionError(f"Solver: class_weight is for a classification, not for a {task}")
        weights = weights * _of_classes(class_weight, y, getattr(model, "num_classes", None))[y]
    if not weights.sum() > 0:
        raise OptionError("Solver: the weights of the training rows must not all be zero")
    return weights


def rows_of(
    model: Any, data: Any, task: str, class_weight: Any, sample_weight: Any
) -> tuple[tuple[Any, ...], np.ndarray | None]:
    """Return the checked X_train, y_train, X_val, y_val of `data`, and `weights_of_rows`.

    Training rows of weight 0 are left out.
    """
    X, y, X_val, y_val = check_data(data, getattr(model, "num_classes", None), task)
    weights = weights_of_rows(model, y, task, class_weight, sample_weight)
    if weights is not None and not weights.all():
        counted = np.flatnonzero(weights)
        X, y, weights = X[counted], y[counted], weights[counted]
    return (X, y, X_val, y_val), weights


def _of_classes(class_weight: Any, y: np.ndarray, num_classes: int | None) -> np.ndarray:
    """Return the weight of each class, (C,)."""
    counts = np.bincount(y, minlength=num_classes or 0)
    if isinstance(class_weight, str):
        check_choice("Solver", "class_weight (or numbers)", class_weight, ("balanced",))
        return len(y) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    if isinstance(class_weight, Mapping):
        weights = np.ones(len(counts))
        for label, value in class_weight.items():
            text = str(label)
            if not text.isdigit() or int(text) >= len(counts):
                raise OptionError(
                    f"Solver: class_weight must have labels in [0, {len(counts)}), got {label!r}"
                )
            weights[int(text)] = as_number("Solver", f"class_weight of {label}", value, 0.0)
        return weights
    weights = _numbers("class_weight", class_weight)
    if weights.shape != (len(counts),):
        raise ShapeError(
            f"Solver: class_weight must have shape ({len(counts)},), a number for each class, "
            f"got {weights.shape}"
        )
    return weights


def _numbers(name: str, value: Any) -> np.ndarray:
    array = as_numpy("Solver", name, value)
    if array.dtype.kind not in "biuf":
        raise OptionError(f"Solver: {name} must hold numbers, got {array.dtype}")
    array = array.astype(np.float64)
    if not (np.isfinite(array) & (array >= 0)).all():
        raise OptionError(f"Solver: {name} must hold finite numbers of at least 0")
    return array


def frozen_names(params: Mapping[str, Any], patterns: Any) -> frozenset[str]:
    """Return the names of `params` that fit one of `patterns`, as "conv*"; each pattern must fit one."""
    if isinstance(patterns, str):
        patterns = [patterns]
    names: set[str] = set()
    for pattern in as_items("Solver", "freeze", patterns, "patterns of names"):
        found = fnmatch.filter(params, pattern) if isinstance(pattern, str) else []
        if not found:
            raise OptionError(
                f"Solver: freeze: no parameter is called {pattern!r}; there are {', '.join(params)}"
            )
        names.update(found)
    if names and len(names) == len(params):
        raise OptionError("Solver: freeze leaves no parameter to train")
    return frozenset(names)


def loss_in_parts(
    model: Any, X: Any, y: Any, weights: np.ndarray | None, parts: int
) -> tuple[float, Arrays]:
    """Return the loss and the gradients of a batch, computed in so many parts, one after the other.

    The parts are the rows in their order, cut into equal pieces (the first ones a row longer).  A mean over
    the batch is the mean of the parts' means, each with its share s of the rows or weights:

        loss = ((s1 loss1 + s2 loss2) + s3 loss3) + ...          gradients likewise

    The order of this sum is that of the rows, and depends on nothing else.  The batch in one piece adds the
    same numbers in its engine's order.  It agrees to rounding, and to the last bit where sums of the numbers
    are exact.  Batch normalisation sees each part by itself.
    """
    if parts == 1:
        loss, grads = called(model, X, y, weights)
        return float(loss), grads
    N = len(y)
    length, longer = divmod(N, parts)
    cuts = [i * length + min(i, longer) for i in range(parts + 1)]
    whole = float(N) if weights is None else float(weights.sum())
    total = 0.0
    sums: Arrays = {}
    for start, end in pairwise(cuts):
        own = None if weights is None else weights[start:end]
        part = float(end - start) if own is None else float(own.sum())
        if part == 0.0:  # more parts than rows
            continue
        loss, grads = called(model, X[start:end], y[start:end], own)
        share = part / whole
        total += share * float(loss)
        for name, gradient in grads.items():
            scaled = gradient * gradient.dtype.type(share)
            sums[name] = sums[name] + scaled if name in sums else scaled
    return total, sums


def called(model: Any, X: Any, y: Any, weights: np.ndarray | None) -> Any:
    """Return ``model.loss`` of rows that count as often as `weights` says, all once for None."""
    return model.loss(X, y) if weights is None else model.loss(X, y, sample_weight=weights)
