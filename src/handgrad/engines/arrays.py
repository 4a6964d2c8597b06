"""Bring the arrays of one call to one library and one dtype."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from handgrad.errors import DtypeError, ShapeError

Array = Any  # an array of any library that the array API standard describes

_DTYPES = tuple(np.dtype(name) for name in ("float32", "float64", "complex128"))
_NAMES = "float32, float64 or complex128"


def namespace(*arrays: Array) -> ModuleType:
    """Return the array API namespace of `arrays` (NumPy's own for NumPy arrays)."""
    if all(isinstance(array, np.ndarray | np.generic) for array in arrays):
        return np
    import array_api_compat

    return array_api_compat.array_namespace(*arrays)


def as_numpy(layer: str, name: str, value: Any) -> np.ndarray:
    """Return `value`, an array or nested lists, as a NumPy array; masks are refused, never dropped."""
    if isinstance(value, np.ndarray) and hasattr(value, "mask"):
        raise DtypeError(
            f"{layer}: {name} must have no mask, got a MaskedArray; leave out the rows with "
            f"masked numbers, or put a number of your choice in their place, {name}.filled(number)"
        )
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{layer}: {name} is not a rectangular array: {error}") from None


def promote(layer: str, **arrays: Array) -> tuple[Array, ...]:
    """Return `arrays` in their common dtype, the one that NumPy's promotion gives.

    Integers count as float64.  Arrays that already agree come back as they are, whatever their
    strides; big-endian and misaligned ones come back as copies, which the caller may not write to.
    Raises DtypeError for dtypes other than float32, float64 and complex128, and for a mixture of
    array libraries; the message names the argument.
    """
    values = tuple(arrays.values())
    for value in values:
        if type(value) is not np.ndarray or value.dtype not in _DTYPES or not value.flags.aligned:
            break
        if value.dtype != values[0].dtype or not value.dtype.isnative:
            break
    else:
        return values
    foreign = {name: value for name, value in arrays.items() if hasattr(value, "shape")}
    if all(isinstance(value, np.ndarray | np.generic) for value in foreign.values()):
        return _promote_numpy(layer, arrays)
    return _promote_foreign(layer, arrays)


def _promote_numpy(layer: str, arrays: dict[str, Array]) -> tuple[np.ndarray, ...]:
    converted: list[np.ndarray] = []
    for name, value in arrays.items():
        array = as_numpy(layer, name, value)
        if array.dtype.kind in "iu":
            array = array.astype(np.float64)
        elif array.dtype.newbyteorder("=") not in _DTYPES:
            came = type(value).__name__ if array.dtype.kind == "O" else array.dtype
            raise DtypeError(
                f"{layer}: {name} must be {_NAMES} (or integers), got {came}"
                f"{_how_to_convert(name, array)}"
            )
        converted.append(array)
    dtype = np.result_type(*(array.dtype for array in converted)).newbyteorder("=")
    return tuple(np.require(array, dtype, ["ALIGNED"]) for array in converted)


def _how_to_convert(name: str, array: np.ndarray) -> str:
    """Return how `array` becomes one of the dtypes; "" where it holds no numbers, or would lose some."""
    if array.dtype.kind == "c":
        return f"; convert it with {name}.astype(np.complex128)"
    try:
        is_possible = array.dtype.kind in "fbO" and array.astype(np.float32) is not None
    except (TypeError, ValueError):
        is_possible = False
    return f"; convert it with {name}.astype(np.float32)" if is_possible else ""


def _promote_foreign(layer: str, arrays: dict[str, Array]) -> tuple[Array, ...]:
    try:
        xp = namespace(*arrays.values())
    except TypeError:
        kinds = ", ".join(f"{name}: {type(value).__name__}" for name, value in arrays.items())
        raise DtypeError(f"{layer}: all arrays must be of one array library, got {kinds}") from None
    allowed = (xp.float32, xp.float64, xp.complex128)
    dtypes = []
    for name, value in arrays.items():
        if xp.isdtype(value.dtype, "integral"):
            dtypes.append(xp.float64)
        elif value.dtype in allowed:
            dtypes.append(value.dtype)
        else:
            raise DtypeError(f"{layer}: {name} must be {_NAMES} (or integers), got {value.dtype}")
    dtype = xp.result_type(*dtypes)
    return tuple(xp.astype(value, dtype, copy=False) for value in arrays.values())


def cast(layer: str, name: str, value: Array, like: Array) -> Array:
    """Return `value` in the library and dtype of `like`; complex to real is refused, never dropped."""
    if type(value) is np.ndarray and value.dtype is like.dtype and value.flags.aligned:
        return value
    (value,) = promote(layer, **{name: value})
    if isinstance(value, np.ndarray) != isinstance(like, np.ndarray):
        raise DtypeError(
            f"{layer}: {name} must be of the same array library as the forward pass "
            f"({type(like).__name__}), got {type(value).__name__}"
        )
    xp = namespace(like)
    if value.dtype == like.dtype:
        return value
    if xp.isdtype(value.dtype, "complex floating"):
        raise DtypeError(f"{layer}: {name} is {value.dtype}, but the forward pass was {like.dtype}")
    return xp.astype(value, like.dtype)


def real_part(array: Array) -> Array:
    """Return the real part of a complex `array`, a real one as it is: what branches compare."""
    xp = namespace(array)
    return xp.real(array) if xp.isdtype(array.dtype, "complex floating") else array
