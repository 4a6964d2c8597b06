"""The options that layer objects and networks share, checked and brought to one form."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    DtypeError,
    ShapeError,
    as_count,
    as_items,
    as_number,
    check_choice,
    dtype_name,
)

VARIANCES = {"xavier": 1.0, "kaiming": 2.0}
"""Of the weights, times 1 / fan_in, the number of inputs that an output has."""

Shape = tuple[int, ...]
Init = float | str | Callable[[Shape, Any], Any]

_DTYPES = ("float32", "float64", "complex128")


def as_dtype(model: str, dtype: Any) -> Any:
    """Return `dtype`, one of float32, float64 and complex128 in any form, as NumPy's scalar type."""
    if dtype_name(dtype) not in _DTYPES:
        raise DtypeError(f"{model}: dtype must be one of {', '.join(_DTYPES)}; got {dtype!r}")
    return np.dtype(dtype).type


def as_random_source(model: str, rng: Any) -> Any:
    """Return what to draw from: NumPy's global stream for None, a new Generator for a seed."""
    if rng is None:
        return np.random
    if isinstance(rng, np.random.Generator | np.random.RandomState):
        return rng
    return np.random.default_rng(as_count(model, "rng (a Generator, RandomState or seed)", rng, 0))


def as_init(where: str, init: Any) -> Init:
    """Return `init`, the name of a rule, a standard deviation, or a function."""
    if callable(init):
        function: Callable[[Shape, Any], Any] = init
        return function
    if isinstance(init, str):
        check_choice(where, "init (or a number or function)", init, list(VARIANCES))
        return init
    return as_number(where, "init", init, 0)


def draw(where: str, init: Init, shape: Shape, fan_in: int, rng: Any) -> np.ndarray:
    """Return new weights.

    A name is the rule ``sqrt(variance / fan_in) * normal``, a number the standard deviation, and a
    function is called as ``init(shape, rng)``.
    """
    if callable(init):
        value = as_numpy(where, "what init(shape, rng) returns", init(shape, rng))
        if value.shape != shape:
            raise ShapeError(
                f"{where}: init(shape, rng) must return an array of shape {shape}, got {value.shape}"
            )
        if value.dtype.kind not in "iufc":
            raise DtypeError(f"{where}: init must return numbers, got {value.dtype}")
        return value.astype(np.float64) if value.dtype.kind in "iu" else value.copy()
    scale = sqrt(VARIANCES[init] / fan_in) if isinstance(init, str) else init
    weights: np.ndarray = scale * rng.standard_normal(shape)
    return weights


def as_row_shape(where: str, shape: Any) -> Shape:
    """Return `shape`, that of one row or image without N, as a tuple of positive ints."""
    if isinstance(shape, int | np.integer):
        shape = (shape,)
    sizes = as_items(where, "input_shape", shape, "sizes, the shape of one row, as (3, 32, 32)")
    return tuple(as_count(where, f"input_shape[{i}]", n) for i, n in enumerate(sizes))
