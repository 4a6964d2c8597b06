"""What to do with labels that are no class numbers: the advice in messages, chosen by what came."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.errors import call_of

REGRESSION = (
    "for a regression, give a network a loss of numbers, as nn.Sequential(layers, loss='mse'), and numbers "
    "for y of the shape of its scores"
)


def advice_on_kind(name: str, y: Any, given: Any, classes: int | None = None) -> str:
    """Return what makes class numbers of labels that are not integers; "" if nothing does.

    They came as `given`, and are the array `y`; there are `classes` classes, if that is known.
    """
    is_torch = type(y).__module__.partition(".")[0] == "torch"
    convert = f"convert it with {call_of('long()' if is_torch else 'astype(int)', name, given)}"
    if is_torch:
        y = np.array(y.detach().cpu().tolist())
    kind, values = y.dtype.kind, y.reshape(-1)
    train = name if name in ("y", "y_train") else "y_train"
    number = (
        f"; number the classes: classes = np.unique({train}), then {name} = np.searchsorted(classes, "
        f"{name})"
    )
    if kind in "US" or (kind == "O" and all(isinstance(value, str) for value in values)):
        return number
    if kind == "O":
        return advice_on_integers(name, y, given)
    if kind == "f" and not np.isfinite(values).all():
        return (
            f"; leave out the rows without a label, keep = np.isfinite({name}), and then {convert}"
        )
    if kind == "b" or (kind == "f" and (values == np.round(values)).all()):
        if values.size and (values.min() < 0 or (classes is not None and values.max() >= classes)):
            is_few = classes is not None and 2 <= len(np.unique(values)) <= classes
            return f"{number}; or, {REGRESSION}" if is_few else f"; {REGRESSION}"
        return f"; {convert}"
    return f"; {REGRESSION}" if kind == "f" else ""


def advice_on_integers(name: str, x: np.ndarray, given: Any) -> str:
    """Return what makes integers of the Python objects in `x`, if they are whole numbers; else ""."""
    is_whole = all(isinstance(value, int | np.integer | np.bool_) for value in x.reshape(-1))
    return f"; convert it with {call_of('astype(int)', name, given)}" if is_whole else ""


def advice_on_shape(name: str, y: Any, rows: int, given: Any) -> str:
    """Return what makes labels of the shape (rows,) of `y`, which has another one; "" if nothing does."""
    shape = tuple(y.shape)
    if len(shape) > 1 and rows in shape and int(np.prod(shape)) == rows:
        return f"; flatten it with {call_of('reshape(-1)', name, given)}"
    if len(shape) == 2 and shape[0] == rows and _is_one_hot(y):
        return f"; it is one-hot: take the class numbers, {call_of('argmax(1)', name, given)}"
    return ""


def _is_one_hot(y: Any) -> bool:
    """Return whether each row holds a single 1, and else zeros."""
    values = np.array(y.tolist())
    if values.dtype.kind not in "biuf":
        return False
    return bool((((values == 0) | (values == 1)).all(1) & (values.sum(1) == 1)).all())
