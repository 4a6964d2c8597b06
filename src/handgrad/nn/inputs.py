"""The inputs of a network, and their shapes, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad.engines.arrays import as_numpy
from handgrad.errors import DtypeError, ShapeError
from handgrad.nn.options import Shape, as_row_shape


def input_shapes(where: str, shape: Any) -> list[Shape] | None:
    """Return the shapes of the inputs: several where `shape` is a list of shapes."""
    if shape is None:
        return None
    if (
        isinstance(shape, tuple | list)
        and shape
        and all(isinstance(x, tuple | list) for x in shape)
    ):
        return [as_row_shape(where, one) for one in shape]
    return [as_row_shape(where, shape)]


def as_inputs(name: str, X: Any, dtype: Any) -> list[np.ndarray]:
    """Return X, an array or a tuple of several, as a list of arrays of as many rows."""
    given = X if isinstance(X, tuple) else (X,)
    real = dtype is None or dtype(0).dtype.kind != "c"
    must = f"hold {'real ' if real else ''}numbers"
    xs = [as_numpy(name, "X", x, must) for x in given]
    for x in xs:
        if x.ndim < 2:
            raise ShapeError(f"{name}: X must have shape (N, ...), got {x.shape}")
        if x.dtype.kind not in ("iuf" if real else "iufc"):
            hint = "; its imaginary part would be lost" if x.dtype.kind == "c" else ""
            raise DtypeError(f"{name}: X must {must}, got {x.dtype}{hint}")
    if any(len(x) != len(xs[0]) for x in xs):
        raise ShapeError(
            f"{name}: the inputs must have as many rows, got {texts([x.shape for x in xs])}"
        )
    return xs


def check_rows(name: str, rows: Sequence[Shape], expected: Sequence[Shape]) -> None:
    """Raise ShapeError unless the inputs have the shapes `expected`, those of one row each."""
    if list(rows) == list(expected):
        return
    if len(rows) != len(expected):
        raise ShapeError(
            f"{name}: X must be a tuple of {len(expected)} arrays, got {len(rows)}"
            if len(expected) > 1
            else f"{name}: X must be one array, got {len(rows)}"
        )
    shown = " and ".join(str(("N", *row)).replace("'", "") for row in expected)
    got = " and ".join(str(("N", *row)).replace("'", "") for row in rows)
    raise ShapeError(f"{name}: X must have shape {shown}; got {got}")


def texts(shapes: Sequence[Shape]) -> str:
    """Return shapes as in "(2, 3) and (2, 4)"."""
    return " and ".join(str(tuple(shape)) for shape in shapes)
