"""What losses share beside scores of classes: targets shaped like x, and weights of rows.

A weighted loss is the mean in which row n counts w[n] times: a constant weight changes nothing, an
integer one is a row that stands there so often, zero one that is not there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.engines.arrays import Array, as_numpy, namespace, promote, real_part
from handgrad.errors import (
    LabelError,
    NonFiniteError,
    OptionError,
    ShapeError,
    check_min_ndim,
    shown,
)


def check_targets(
    layer: str, x: Any, y: Any, low: float | None = None, high: float | None = None
) -> tuple[Array, Array]:
    """Return finite x, (N, ...), and targets y of its shape, dtype and library, within [low, high].

    Targets (N,) also go with x (N, 1); nothing else is broadcast.
    """
    (x,) = promote(layer, x=x)
    check_min_ndim(layer, "x", x, 1, "(N, ...)")
    if 0 in x.shape:
        raise ShapeError(f"{layer}: x must have at least one number, got shape {tuple(x.shape)}")
    _check_finite(layer, "x", x, "look for a learning rate that is too high, or NaN in the data")
    y = _like(layer, "y", y, x)
    if tuple(y.shape) != tuple(x.shape):
        if {tuple(y.shape), tuple(x.shape)} != {(x.shape[0],), (x.shape[0], 1)}:
            raise ShapeError(
                f"{layer}: y must have the shape of x, {tuple(x.shape)}, a target for each number; "
                f"got {tuple(y.shape)}"
            )
        y = namespace(y).reshape(y, tuple(x.shape))
    _check_finite(layer, "y", y, "leave out the rows without a target")
    xp, values = namespace(y), real_part(y)
    if low is not None and (least := float(xp.min(values))) < low:
        raise LabelError(f"{layer}: y must be at least {low:g}, got {least:g}")
    if high is not None and (most := float(xp.max(values))) > high:
        raise LabelError(f"{layer}: y must be at most {high:g}, got {most:g}")
    return x, y


def row_weights(layer: str, x: Array, sample_weight: Any) -> Array:
    """Return the weights of the rows of x, (N,), of sum 1; None is the same for all."""
    xp, N = namespace(x), x.shape[0]
    if sample_weight is None:
        return xp.full((N,), 1.0 / N, dtype=x.dtype, device=_device(x))
    return _shares(layer, _weights(layer, "sample_weight", sample_weight, N, "row"), x)


def class_weights(
    layer: str, x: Array, y: Array, class_weight: Any, sample_weight: Any
) -> Array | None:
    """Return the weights of the rows of scores x, (N,), of sum 1; None if no weights are given.

    class_weight is (C,), of which a row has that of its label y; sample_weight is (N,).
    """
    if class_weight is None and sample_weight is None:
        return None
    weights = np.ones(x.shape[0])
    if class_weight is not None:
        of_classes = _weights(layer, "class_weight", class_weight, x.shape[1], "class")
        weights = of_classes[as_numpy(layer, "y", y.cpu() if hasattr(y, "cpu") else y)]
    if sample_weight is not None:
        weights = weights * _weights(layer, "sample_weight", sample_weight, x.shape[0], "row")
    return _shares(layer, weights, x)


def _shares(layer: str, weights: np.ndarray, x: Array) -> Array:
    total = weights.sum()
    if not total > 0:
        raise OptionError(f"{layer}: the weights of the rows must not all be zero")
    xp = namespace(x)
    return xp.asarray(weights / total, dtype=x.dtype, device=_device(x))


def _weights(layer: str, name: str, value: Any, count: int, of: str) -> np.ndarray:
    """Return weights as float64, one a row or class: finite and at least 0."""
    if hasattr(value, "requires_grad") and value.device.type != "meta":
        value = value.detach().cpu()
    array = as_numpy(layer, name, value)
    if array.dtype.kind not in "iuf":
        raise OptionError(f"{layer}: {name} must hold real numbers, got {array.dtype}")
    if array.shape != (count,):
        raise ShapeError(
            f"{layer}: {name} must have shape ({count},), one a {of}, got {array.shape}"
        )
    array = array.astype(np.float64)
    if not (np.isfinite(array) & (array >= 0)).all():
        wrong = int((~(np.isfinite(array) & (array >= 0))).argmax())
        raise OptionError(
            f"{layer}: {name} must be finite and at least 0, got {array[wrong]} at place {wrong}"
        )
    return array


def expanded(weights: Array, x: Array) -> Array:
    """Return the weights, (N,), as (N, 1, ...) to be multiplied with x, over the numbers of a row."""
    xp = namespace(x)
    count = max(int(np.prod(x.shape[1:])), 1)
    return xp.reshape(weights, (x.shape[0], *(1,) * (x.ndim - 1))) / count


def _like(layer: str, name: str, y: Any, x: Array) -> Array:
    """Return y in the library, place and dtype of x; booleans count as 0 and 1."""
    xp = namespace(x)
    if isinstance(x, np.ndarray) or isinstance(y, np.ndarray) or not hasattr(y, "shape"):
        array = as_numpy(layer, name, y)
        if array.dtype.kind not in "biuf" and not (array.dtype.kind == "c" and _is_complex(x)):
            raise LabelError(f"{layer}: {name} must hold real numbers, got {array.dtype} "
                             f"({shown(array.reshape(-1)[:1].tolist())})")  # fmt: skip
        dtype = np.dtype(np.complex128 if array.dtype.kind == "c" else np.float64)
        array = array.astype(dtype)
        if isinstance(x, np.ndarray):
            with np.errstate(over="ignore"):
                return array.astype(x.dtype)
        return xp.asarray(array, dtype=x.dtype, device=x.device)
    if xp.isdtype(y.dtype, "bool"):
        y = xp.astype(y, x.dtype)
    (y,) = promote(layer, **{name: y})
    return xp.astype(y, x.dtype)


def _is_complex(x: Array) -> bool:
    return bool(namespace(x).isdtype(x.dtype, "complex floating"))


def _check_finite(layer: str, name: str, x: Array, hint: str) -> None:
    xp = namespace(x)
    finite = xp.isfinite(x)
    if not bool(xp.all(finite)):
        place = int(xp.argmax(xp.astype(xp.reshape(~finite, (-1,)), xp.int32)))
        index = [int(i) for i in np.unravel_index(place, tuple(x.shape))]
        raise NonFiniteError(
            f"{layer}: {name} must be finite, got {x[tuple(index)]} at {name}{index}; {hint}"
        )


def _device(x: Array) -> Any:
    return getattr(x, "device", None)
