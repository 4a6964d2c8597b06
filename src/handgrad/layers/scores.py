"""The checks of scores and labels that the losses share."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.engines.arrays import DTYPES, Array, as_numpy, namespace, promote
from handgrad.errors import LabelError, NonFiniteError, ShapeError, check_ndim, shown
from handgrad.labels import advice_on_kind, advice_on_shape


def check_scores(layer: str, x: Any, y: Any) -> tuple[Array, Array]:
    """Return finite scores x, (N, C), and labels y, (N,), as int64 of x's array library."""
    if type(x) is not np.ndarray or x.dtype not in DTYPES or not x.flags.aligned:
        (x,) = promote(layer, x=x)
    if x.ndim != 2:
        check_ndim(layer, "x", x, 2, "(N, C)")
    if 0 in x.shape:
        raise ShapeError(
            f"{layer}: x must have at least one row and one class, got shape {tuple(x.shape)}"
        )
    if type(x) is np.ndarray:
        finite = np.isfinite(x)
        is_finite = np.logical_and.reduce(finite, axis=None)
    else:
        xp = namespace(x)
        finite = xp.isfinite(x)
        is_finite = xp.all(finite)
    if not is_finite:
        n, c = divmod(_first(~finite), x.shape[1])
        raise NonFiniteError(
            f"{layer}: x must be finite, got {x[n, c]} at x[{n}, {c}]; look for a "
            "learning rate that is too high, or NaN in the data"
        )
    return x, _check_labels(layer, y, x)


def _check_labels(layer: str, y: Any, x: Array) -> Array:
    N, C = x.shape
    plain = type(y) is np.ndarray is type(x) and y.dtype == np.int64 and y.shape == (N,)
    if plain and np.maximum.reduce(y.view(np.uint64)) < C:  # negative ones are large
        return y  # the quick way to the same answer
    xp, given = namespace(x), y
    if isinstance(x, np.ndarray) or isinstance(y, np.ndarray) or not hasattr(y, "shape"):
        y = as_numpy(layer, "y", y, "be an array of integers", advice_on_kind)
    if tuple(y.shape) != (N,):
        raise ShapeError(
            f"{layer}: y must have shape ({N},), one label a row of x {tuple(x.shape)}, "
            f"got {tuple(y.shape)}{advice_on_shape('y', y, N, given)}"
        )
    is_own = isinstance(y, np.ndarray)
    if not (y.dtype.kind in "iu" if is_own else xp.isdtype(y.dtype, "integral")):
        raise LabelError(
            f"{layer}: y must hold integers in [0, {C}), got {y.dtype} (y[0] = {shown(y[0])})"
            f"{advice_on_kind('y', y, given, C)}"
        )
    if is_own and not isinstance(x, np.ndarray):
        y = xp.asarray(y, device=x.device)
    y = xp.astype(y, xp.int64, copy=False)
    if int(xp.min(y)) < 0 or int(xp.max(y)) >= C:
        n = _first((y < 0) | (y >= C))
        raise LabelError(
            f"{layer}: y must be in [0, {C}), the classes of x {tuple(x.shape)}; "
            f"got y[{n}] = {int(y[n])}"
        )
    return y


def _first(mask: Array) -> int:
    """Index of the first True of `mask`, in row-major order."""
    xp = namespace(mask)
    return int(xp.argmax(xp.astype(xp.reshape(mask, (-1,)), xp.int32)))


def one_hot(x: Array, y: Array) -> Array:
    """Return rows of zeros with a one at the label, (N, C), in x's dtype."""
    xp = namespace(x)
    classes = xp.arange(x.shape[1], device=x.device)
    return xp.astype(xp.expand_dims(y, axis=1) == classes, x.dtype)
