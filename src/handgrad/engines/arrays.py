"""Bring the arrays of one call to one library and one dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from numbers import Number
from types import ModuleType
from typing import Any

import numpy as np

from handgrad.errors import DtypeError, ShapeError, call_of, shown

Array = Any  # an array of any library that the array API standard describes

DTYPES = tuple(np.dtype(name) for name in ("float32", "float64", "complex128"))
_NAMES = "float32, float64 or complex128"


def namespace(*arrays: Array) -> ModuleType:
    """Return the array API namespace of `arrays` (NumPy's own for NumPy arrays)."""
    for array in arrays:
        if not isinstance(array, np.ndarray | np.generic):
            break
    else:
        return np
    import array_api_compat

    return array_api_compat.array_namespace(*arrays)


def as_numpy(
    layer: str,
    name: str,
    value: Any,
    must: str = "be an array of numbers",
    advise: Callable[[str, np.ndarray, Any], str] | None = None,
) -> np.ndarray:
    """Return `value`, an array or nested lists, as a NumPy array; masks are refused, never dropped.

    `must` says in messages what is wanted, `advise` what to do about an array of objects, such as labels
    (`handgrad.labels`).  Raises DtypeError for what holds objects or cannot be converted, and ShapeError
    for ragged lists; the messages say what to do.
    """
    if type(value) is np.ndarray and value.dtype.kind != "O":
        return value
    if isinstance(value, np.ndarray) and hasattr(value, "mask"):
        raise DtypeError(
            f"{layer}: {name} must have no mask, got a MaskedArray; leave out the rows with "
            f"masked numbers, or put a number of your choice in their place, {name}.filled(number)"
        )
    try:
        array = np.asarray(value)
    except Exception as error:  # other libraries raise errors of many kinds
        raise _unconverted(layer, name, value, error) from None
    if array.dtype.kind == "O":
        advice = advise(name, array, value) if advise else ""
        got = f"{type(value).__name__} of objects{advice}" if advice else objects_in(name, value)
        raise DtypeError(f"{layer}: {name} must {must}, got {got}")
    return array


def _unconverted(layer: str, name: str, value: Any, error: Exception) -> DtypeError | ShapeError:
    """The error to raise where NumPy or another library could not make an array of `value`."""
    kind, given = type(value).__name__, name
    if isinstance(value, list | tuple):
        first = next((item for item in value if hasattr(item, "requires_grad")), None)
        if first is None:
            return ShapeError(f"{layer}: {name} is not a rectangular array: {error}")
        value, kind = first, f"a {kind} of {type(first).__name__}s"
        given = f"torch.stack({name})"
    place = getattr(getattr(value, "device", None), "type", "cpu")
    if place == "meta":
        return DtypeError(
            f"{layer}: {name} must hold numbers, got {kind} without data (device meta)"
        )
    hints = {
        "requires grad": getattr(value, "requires_grad", False) is True and "detach()",
        "is bfloat16": "bfloat16" in str(getattr(value, "dtype", "")) and "float()",
        "is on a GPU": place != "cpu" and "cpu()",
        "is sparse": "sparse" in str(getattr(value, "layout", "")) and "to_dense()",
    }
    for what, hint in hints.items():
        if hint:
            return DtypeError(
                f"{layer}: {name} must be an array that NumPy can read, got {kind} that {what}; "
                f"pass {given}.{hint}"
            )
    return DtypeError(f"{layer}: {name} must be an array, got {kind}: {shown(error)}")


def objects_in(name: str, value: Any) -> str:
    """What is in `value`, of which NumPy made an array of objects, and what to do about it."""
    kind = type(value).__name__
    if hasattr(value, "dtypes") and hasattr(value, "columns"):  # a data frame of pandas or its like
        columns = [c for c in value.columns if np.asarray(value[c]).dtype.kind not in "biufc"]
        if not columns:
            return f"{kind} whose columns are of several kinds; pass {name}.astype(float)"
        which = "column" if len(columns) == 1 else "columns"
        return (
            f"{kind} with no plain numbers in the {which} {', '.join(map(repr, columns))}; convert or drop "
            f"such, as in {name}.drop(columns={columns!r})"
        )
    if hasattr(value, "toarray"):
        return f"{kind}, which is sparse; pass {name}.toarray()"
    if isinstance(value, Iterator):
        return f"{kind}, which is no array; collect its items with np.stack(list({name}))"
    if isinstance(value, type):
        return f"the class {kind if kind != 'type' else value.__name__}, not an array"
    if isinstance(value, np.ndarray | list | tuple) or hasattr(value, "dtype"):
        flat = np.asarray(value, dtype=object).ravel()
        wrong = next((i for i, item in enumerate(flat) if not _is_real(item)), None)
        if wrong is None:
            return f"{kind} of Python objects; pass np.array({name}, float)"
        place = np.unravel_index(wrong, np.asarray(value, dtype=object).shape)
        where = "".join(f"[{i}]" for i in place)
        return f"{kind} of objects: {name}{where} is {shown(flat[wrong])}, no real number"
    return kind


def _is_real(item: Any) -> bool:
    """Whether `item` is a number that NumPy makes a float of."""
    try:
        return isinstance(item, Number) and float(item) is not None  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def promote(layer: str, **arrays: Array) -> tuple[Array, ...]:
    """Return `arrays` in their common dtype, the one that NumPy's promotion gives.

    Integers count as float64.  Arrays that already agree come back as they are, whatever their
    strides; big-endian and misaligned ones come back as copies, which the caller may not write to.
    Raises DtypeError for dtypes other than float32, float64 and complex128, and for a mixture of
    array libraries; the message names the argument.
    """
    values = tuple(arrays.values())
    for value in values:
        if type(value) is not np.ndarray or value.dtype not in DTYPES or not value.flags.aligned:
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
        array = as_numpy(layer, name, value, f"be {_NAMES} (or integers)")
        if array.dtype.kind in "iu":
            array = array.astype(np.float64)
        elif array.dtype.newbyteorder("=") not in DTYPES:
            raise DtypeError(
                f"{layer}: {name} must be {_NAMES} (or integers), got {array.dtype}"
                f"{how_to_convert(name, array, value)}"
            )
        converted.append(array)
    dtype = np.result_type(*(array.dtype for array in converted)).newbyteorder("=")
    return tuple(np.require(array, dtype, ["ALIGNED"]) for array in converted)


def how_to_convert(name: str, array: np.ndarray, given: Any) -> str:
    """Return how `given`, the array `array`, becomes one of the dtypes; "" where nothing does.

    It is "" also where numbers would be lost.
    """
    if array.dtype.kind == "c":
        return f"; convert it with {call_of('astype(np.complex128)', name, given)}"
    try:
        is_possible = array.dtype.kind in "fb" and array.astype(np.float32) is not None
    except (TypeError, ValueError):
        is_possible = False
    call = call_of("astype(np.float32)", name, given)
    return f"; convert it with {call}" if is_possible else ""


def _promote_foreign(layer: str, arrays: dict[str, Array]) -> tuple[Array, ...]:
    try:
        xp = namespace(*arrays.values())
    except TypeError:
        kinds = ", ".join(f"{name}: {type(value).__name__}" for name, value in arrays.items())
        raise DtypeError(f"{layer}: all arrays must be of one array library, got {kinds}") from None
    allowed = (xp.float32, xp.float64, xp.complex128)
    dtypes = []
    for name, value in arrays.items():
        _check_dense(layer, name, value)
        if xp.isdtype(value.dtype, "integral"):
            dtypes.append(xp.float64)
        elif value.dtype in allowed:
            dtypes.append(value.dtype)
        else:
            raise DtypeError(f"{layer}: {name} must be {_NAMES} (or integers), got {value.dtype}")
    dtype = xp.result_type(*dtypes)
    return tuple(xp.astype(value, dtype, copy=False) for value in arrays.values())


def _check_dense(layer: str, name: str, value: Array) -> None:
    """Raise DtypeError for tensors that layers cannot compute with: sparse ones, and those without data."""
    if "sparse" in str(getattr(value, "layout", "")):
        raise DtypeError(
            f"{layer}: {name} must be dense, got a sparse tensor; pass {name}.to_dense()"
        )
    if getattr(getattr(value, "device", None), "type", "") == "meta":
        raise DtypeError(
            f"{layer}: {name} must hold numbers, got a tensor without data (device meta)"
        )


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
