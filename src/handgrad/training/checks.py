"""What the Solver checks: the data before training, and every step for numbers that are not finite."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    DtypeError,
    LabelError,
    NonFiniteError,
    OptionError,
    ShapeError,
    required,
)
from handgrad.training.arrays import Arrays, all_finite
from handgrad.training.callbacks import Callback

_CHUNK = 1 << 22  # numbers looked at in one go


def check_model(model: Any) -> None:
    """Raise DtypeError unless `model` has what the Solver uses of it."""
    params = getattr(model, "params", None)
    if not isinstance(params, Mapping) or not callable(getattr(model, "loss", None)):
        raise DtypeError(
            "Solver: model must have params, a dictionary name -> array, and a function loss(X, y); "
            f"got {type(model).__name__}"
        )


def checked_callbacks(callbacks: Any) -> list[Callback]:
    """Return `callbacks` as a list, after checking that they are callbacks."""
    if not isinstance(callbacks, Iterable):
        raise OptionError(f"Solver: callbacks must be a list of Callbacks, got {callbacks!r}")
    checked = list(callbacks)
    for i, callback in enumerate(checked):
        if not isinstance(callback, Callback):
            raise OptionError(f"Solver: callbacks[{i}] must be a Callback, got {callback!r}")
    return checked


def check_data(data: Any, num_classes: int | None) -> tuple[np.ndarray, ...]:
    """Return X_train, y_train, X_val, y_val of `data`; raise the error that says what is wrong."""
    checked: list[np.ndarray] = []
    for part in ("train", "val"):
        X, y = (
            as_numpy("Solver", name, required("Solver", "data", data, name))
            for name in (f"X_{part}", f"y_{part}")
        )
        _check_images(f"X_{part}", X)
        _check_labels(f"y_{part}", y, f"X_{part}", len(X), num_classes)
        checked += [X, y]
    X_train, _, X_val, _ = checked
    if X_train.shape[1:] != X_val.shape[1:]:
        raise ShapeError(
            f"Solver: X_val must have rows of the shape of X_train's, {X_train.shape[1:]}, "
            f"got {X_val.shape[1:]}"
        )
    return tuple(checked)


def _check_images(name: str, X: np.ndarray) -> None:
    if X.dtype.kind not in "fiub":
        raise DtypeError(f"Solver: {name} must hold real numbers, got {X.dtype}")
    if X.ndim < 2 or len(X) == 0:
        raise ShapeError(
            f"Solver: {name} must be (N, ...) with at least one row, got shape {X.shape}"
        )
    rows = max(1, _CHUNK // max(1, X[0].size))
    with np.errstate(all="ignore"):
        for start in range(0, len(X), rows):
            chunk = X[start : start + rows]
            if not all_finite(chunk):
                bad = ~np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1)
                raise NonFiniteError(
                    f"Solver: {name} must be finite, but row {start + int(bad.argmax())} has NaN or "
                    "infinity; remove such rows, or see how they were computed"
                )


def _check_labels(name: str, y: np.ndarray, X_name: str, rows: int, classes: int | None) -> None:
    if y.ndim != 1 or len(y) != rows:
        raise ShapeError(
            f"Solver: {name} must have shape ({rows},), one label for each row of {X_name}, "
            f"got {y.shape}"
        )
    if y.dtype.kind not in "iu":
        raise LabelError(
            f"Solver: {name} must hold integers, got {y.dtype}; convert it with {name}.astype(int)"
        )
    wrong = y < 0 if classes is None else (y < 0) | (y >= classes)
    if wrong.any():
        row = int(wrong.argmax())
        limit = "at least 0" if classes is None else f"in [0, {classes})"
        raise LabelError(f"Solver: {name} must be {limit}, but {name}[{row}] is {y[row]}")


def warn_of_single_rows(model: Any) -> None:
    """Warn if batch normalisation over a batch of one row would leave nothing of the row."""
    if getattr(model, "normalization", None) != "batchnorm":
        return
    # over images there still are the places of each channel to normalise over
    layers = [
        f"affine{name.removeprefix('gamma')}"
        for name in model.params
        if name.startswith("gamma") and model.params[name.replace("gamma", "W")].ndim == 2
    ]
    if layers:
        warnings.warn(
            f"Solver: with batch_size 1, batch normalisation makes the output of "
            f"{', '.join(layers)} a constant that does not depend on X; use larger batches",
            stacklevel=3,
        )


def check_gradients(params: Mapping[str, Any], grads: Any) -> None:
    """Raise ShapeError unless `grads` has the names and shapes of `params`."""
    if not isinstance(grads, Mapping):
        raise DtypeError(
            "Solver: model.loss(X, y) must return (loss, grads), grads a dictionary with the keys "
            f"of model.params; got {type(grads).__name__}"
        )
    if grads.keys() != params.keys():
        missing = sorted(params.keys() - grads.keys())
        extra = sorted(grads.keys() - params.keys())
        raise ShapeError(
            "Solver: the gradients of model.loss must have the keys of model.params; "
            f"missing {missing or 'none'}, unknown {extra or 'none'}"
        )
    for name, w in params.items():
        if np.shape(grads[name]) != w.shape:
            raise ShapeError(
                f"Solver: the gradient of {name} must have the parameter's shape {w.shape}, "
                f"got {np.shape(grads[name])}"
            )


def divergence(
    model: Any, X: np.ndarray, grads: Arrays, error: NonFiniteError, where: str, is_first: bool
) -> NonFiniteError:
    """Explain `error`, raised by a step; `model` holds the parameters from before it.

    X: the batch; grads: the gradients, {} if there are none; where: the place in the run;
    is_first: whether no step went well before this one.
    """
    params = [name for name, w in model.params.items() if not all_finite(w)]
    gradients = [name for name, dw in grads.items() if not all_finite(dw)]
    with np.errstate(all="ignore"):
        layer = _first_bad_layer(model, X)
    found = []
    if params:
        found.append(f"parameters that are not finite: {_several(params)}")
    if layer:
        found.append(f"first layer whose output is not finite: {layer}")
    if gradients:
        found.append(f"gradients that are not finite: {_several(gradients)}")
    if not all_finite(X):
        cause = "the batch itself is not finite: look at augment"
    elif params:
        cause = "the model was built, or changed, with NaN or infinity in it"
    elif is_first:
        cause = "initial weights too large, or data far from zero mean and unit size"
    else:
        cause = "the learning rate is too high; try a tenth of it"
    return NonFiniteError(
        f"Solver: {error}, at {where}. {'; '.join(found) or 'Nothing else is amiss'}. "
        f"Likely cause: {cause}. The model keeps the parameters from before this step."
    )


def _first_bad_layer(model: Any, X: np.ndarray) -> str | None:
    """Return the name of the first layer with a non-finite output, if the model can tell."""
    if not hasattr(model, "activations"):
        return None
    for name, out in model.activations(X).items():
        if not all_finite(out):
            return str(name)
    return None


def _several(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
