"""What the Solver checks: the data before training, and every step for numbers that are not finite."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.data.rows import Rows, as_rows
from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    DtypeError,
    LabelError,
    NonFiniteError,
    OptionError,
    ShapeError,
    as_items,
    call_of,
    check_dictionary,
    check_known,
    required,
    shown,
)
from handgrad.labels import advice_on_kind, advice_on_shape
from handgrad.training.arrays import Arrays, all_finite
from handgrad.training.callback import Callback

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

_CHUNK = 1 << 22  # numbers looked at in one go


def check_model(model: Any) -> None:
    """Raise DtypeError unless `model` has what the Solver uses of it."""
    params = None if isinstance(model, type) else getattr(model, "params", None)
    if not isinstance(params, Mapping) or not callable(getattr(model, "loss", None)):
        raise DtypeError(
            "Solver: model must have params, a dictionary name -> array, and a function loss(X, y); "
            f"got {shown(model) if isinstance(model, type) else type(model).__name__}"
        )
    check_weights(model)


def check_weights(model: Any) -> None:
    """Raise an error if the network `model` says that its params are not those that it was made with."""
    if not isinstance(model, type) and hasattr(model, "check_params"):
        model.check_params()
    elif isinstance(model, type) or not isinstance(getattr(model, "params", None), Mapping):
        raise DtypeError(f"model must have params, a dictionary name -> array, got {shown(model)}")


def checked_callbacks(callbacks: Any) -> list[Callback]:
    """Return `callbacks` as a list, after checking that they are callbacks."""
    checked = as_items("Solver", "callbacks", callbacks, "Callbacks")
    for i, callback in enumerate(checked):
        if not isinstance(callback, Callback):
            raise OptionError(f"Solver: callbacks[{i}] must be a Callback, got {callback!r}")
    return checked


def check_data(
    data: Any, num_classes: int | None, task: str = "classification"
) -> tuple[np.ndarray, ...]:
    """Return X_train, y_train, X_val, y_val of `data`; raise the error that says what is wrong."""
    checked: list[np.ndarray] = []
    for part in ("train", "val"):
        given = [required("Solver", "data", data, f"{name}_{part}") for name in "Xy"]
        must = "hold integers, the numbers of classes"
        if task != "classification":
            must = "hold numbers" if task == "regression" else "hold 0 and 1"
        X = as_rows("Solver", f"X_{part}", given[0])
        y = as_numpy("Solver", f"y_{part}", given[1], must, advice_on_kind)
        _check_images(f"X_{part}", X, given[0])
        if task == "classification":
            _check_labels(f"y_{part}", y, f"X_{part}", len(X), num_classes, given[1])
        else:
            y = _as_targets(f"y_{part}", y, f"X_{part}", len(X), num_classes, task)
        checked += [X, y]
    X_train, _, X_val, _ = checked
    if X_train.shape[1:] != X_val.shape[1:]:
        raise ShapeError(
            f"Solver: X_val must have rows of the shape of X_train's, {X_train.shape[1:]}, "
            f"got {X_val.shape[1:]}"
        )
    return tuple(checked)


def _check_images(name: str, X: Any, given: Any) -> None:
    if X.dtype.kind not in "fiu":
        floats = call_of("astype(np.float32)", name, given)
        hint = f"; convert it with {floats}" if X.dtype.kind == "b" else ""
        raise DtypeError(f"Solver: {name} must hold real numbers, got {X.dtype}{hint}")
    if X.ndim < 2 or len(X) == 0:
        raise ShapeError(
            f"Solver: {name} must be (N, ...) with at least one row, got shape {X.shape}"
        )
    if isinstance(X, Rows) and X.is_finite:
        return
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


def _check_labels(
    name: str, y: np.ndarray, X_name: str, rows: int, classes: int | None, given: Any
) -> None:
    if y.ndim != 1 or len(y) != rows:
        raise ShapeError(
            f"Solver: {name} must have shape ({rows},), one label for each row of {X_name}, "
            f"got {y.shape}{advice_on_shape(name, y, rows, given)}"
        )
    if y.dtype.kind not in "iu":
        raise LabelError(
            f"Solver: {name} must hold integers, the numbers of classes, got {y.dtype} "
            f"({name}[0] = {shown(y[0])}){advice_on_kind(name, y, given, classes)}"
        )
    wrong = y < 0 if classes is None else (y < 0) | (y >= classes)
    if wrong.any():
        row = int(wrong.argmax())
        limit = "at least 0" if classes is None else f"in [0, {classes})"
        raise LabelError(f"Solver: {name} must be {limit}, but {name}[{row}] is {y[row]}")


def _as_targets(
    name: str, y: np.ndarray, X_name: str, rows: int, outputs: int | None, task: str
) -> np.ndarray:
    """Return the targets of a regression, or the 0 and 1 of multilabel, (N, K); (N,) where K is 1."""
    fits = y.shape == (rows,) if y.ndim == 1 else y.ndim == 2 and len(y) == rows
    if not fits or (outputs is not None and y.size != rows * outputs):
        wanted = f"({rows}, {outputs or 'K'})" + (f" or ({rows},)" if outputs in (None, 1) else "")
        raise ShapeError(
            f"Solver: {name} must have shape {wanted}, of a {task} a number for each score of each row of "
            f"{X_name}, got {y.shape}"
        )
    if y.dtype.kind not in "biuf":
        raise LabelError(
            f"Solver: {name} must hold numbers, of a {task}, got {y.dtype} ({name}[0] = {shown(y[0])})"
        )
    finite = np.isfinite(y).reshape(rows, -1).all(axis=1)
    if not finite.all():
        raise NonFiniteError(
            f"Solver: {name} must be finite, but row {int((~finite).argmax())} has NaN or infinity; leave "
            "out the rows without a target"
        )
    if task == "multilabel" and not ((y == 0) | (y == 1)).all():
        raise LabelError(
            f"Solver: {name} must hold 0 and 1, of multilabel, got {shown(y[0])} first"
        )
    return y.reshape(rows, -1)


def make_ready(model: Any, X: Arrays, batch_size: int) -> None:
    """Warn of batches of one row, and let the model take from the rows what it needs (`prepare`)."""
    if min(batch_size, len(X)) == 1:
        _warn_of_single_rows(model, batch_size)
    if hasattr(model, "prepare"):
        model.prepare(X)


def _warn_of_single_rows(model: Any, batch_size: int) -> None:
    """Warn if batch normalisation over a batch of one row would leave nothing of the row."""
    # over images of several pixels there still are the places of each channel to normalise over
    layers = model.row_norms() if hasattr(model, "row_norms") else []
    cause = "with batch_size 1" if batch_size == 1 else "with a training set of one row"
    if layers:
        warnings.warn(
            f"Solver: {cause}, batch normalisation makes the output of "
            f"{', '.join(layers)} a constant that does not depend on X; use larger batches",
            stacklevel=4,
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


def check_buffers(buffers: Arrays) -> None:
    """Raise NonFiniteError if running statistics are not finite: training would not notice them."""
    wrong = [name for name, array in buffers.items() if not all_finite(array)]
    if wrong:
        raise NonFiniteError(f"running statistics are not finite: {_several(wrong)}")


def check_rule_state(configs: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Raise NonFiniteError if the state of the update rule is not finite.

    A square of a gradient that overflows may stop a parameter for good, and never show in it.
    """
    wrong = [
        f"{key} of {name}"
        for name, config in configs.items()
        for key, value in config.items()
        if isinstance(value, np.ndarray) and not all_finite(value)
    ]
    if wrong:
        raise NonFiniteError(
            f"Solver: the state of the update rule is not finite, at {where}: {_several(wrong)}. "
            "Likely cause: gradients too large to be squared; try a tenth of the learning rate, or "
            "smaller initial weights."
        )


def divergence(
    solver: Solver, error: NonFiniteError, rows: np.ndarray, X: np.ndarray
) -> NonFiniteError:
    """Explain `error`, raised by a step that has been undone.

    rows: the places of the batch in the training set; X: the batch, after augment.
    """
    model, grads = solver.model, solver.grads
    params = [name for name, w in model.params.items() if not all_finite(w)]
    with np.errstate(all="ignore"):
        layers = _outputs(model, X)
    first = next((name for name, out in layers.items() if not all_finite(out)), None)
    # backward goes from the loss to the data: where it began stands first
    gradients = [name for name in reversed(grads) if not all_finite(grads[name])]
    found = []
    if params:
        found.append(f"parameters that are not finite: {_several(params)}")
    if first:
        found.append(f"first layer whose output is not finite: {first}")
    if gradients:
        found.append(f"gradients that are not finite: {_several(gradients)}")
        if not first:
            found.append(f"first layer in backward: {_layer_of(model, gradients[0])}")
    bad_rows = [row for row, x in zip(rows, X, strict=True) if not all_finite(x)]
    if bad_rows:
        found.append(f"images of the batch that are not finite: training rows {_several(bad_rows)}")
    else:
        found.append(f"batch: training rows {_several(list(rows))}")
    if bad_rows and all_finite(solver.X_train[rows]):
        cause = "the batch itself is not finite: look at augment"
    elif bad_rows:
        cause = "the batch itself is not finite: the data were changed after training began"
    elif params:
        cause = "the model was built, or changed, with NaN or infinity in it"
    elif solver.iteration == 0:
        cause = "initial weights too large, or data far from zero mean and unit size"
    else:
        cause = "the learning rate is too high; try a tenth of it"
    rate = solver.learning_rate or solver.optim_config.get("learning_rate", "by default")
    where = f"iteration {solver.iteration + 1} (epoch {solver.epoch}), learning rate {rate}"
    return NonFiniteError(
        f"Solver: {error}, at {where}. {'; '.join(found)}. "
        f"Likely cause: {cause}. The model keeps the parameters from before this step."
    )


def _outputs(model: Any, X: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outputs of the layers, in order, if the model can tell."""
    return model.activations(X) if hasattr(model, "activations") else {}


def _layer_of(model: Any, param: str) -> str:
    """Return the layer of `param`, if the model can tell, as affine3 for W3; else the parameter."""
    layer: str = model.layer_of(param) if hasattr(model, "layer_of") else param
    return layer


def _several(names: list[Any]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(map(str, names[:4])) + more


def split_settings(
    config: dict[str, Any],
    params: Mapping[str, Any] | None,
    where: str,
    known: Collection[str] | None,
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the settings of a rule for all parameters, and by name those of single ones.

    Those of single ones are under "parameters" in `config`, each by a pattern, which must fit a name out
    of `params`; of several that fit, the last counts.  For None they are returned by pattern.  Keys that
    are not `known` are refused, unless it is None; `where` says to whom they belong.
    """
    common = dict(config)
    if known is not None:
        check_known(where, common, {*known, "parameters"})
    special = common.pop("parameters", {})
    check_dictionary("optim_config", "parameters", special)
    for pattern, settings in special.items():
        check_dictionary("optim_config", f"parameters of {pattern}", settings)
        if known is not None:
            check_known(f"{where}, parameters of {pattern}", settings, known)
    if params is None:
        return common, special
    found: dict[str, dict[str, Any]] = {name: {} for name in params}
    for pattern, settings in special.items():
        names = fnmatch.filter(params, pattern)
        if not names:
            raise OptionError(
                f"optim_config: no parameter is called {pattern!r}; there are {', '.join(params)}"
            )
        for name in names:
            found[name] |= settings
    return common, found
