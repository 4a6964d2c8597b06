"""The exceptions of Handgrad, and the small checks that raise them.

Every message says which layer and argument, what was expected, what came, and, where it helps, what
to do about it.  Each exception is also the built-in one that a caller would expect (a ValueError or a
TypeError), so ``except ValueError`` keeps working.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Mapping
from typing import Any


class HandgradError(Exception):
    """The family of all errors that Handgrad raises on purpose."""


class ShapeError(HandgradError, ValueError):
    """An array has the wrong number of dimensions or the wrong sizes."""


class DtypeError(HandgradError, TypeError):
    """An array, or an argument, has a type that the function does not take."""


class LabelError(HandgradError, ValueError):
    """A class label is not an integer in ``[0, num_classes)``."""


class OptionError(HandgradError, ValueError):
    """An option is unknown, missing, or outside its range."""


class CacheError(HandgradError, ValueError):
    """A backward function was given something that its own forward did not make."""


class NonFiniteError(HandgradError, ValueError):
    """A NaN or an infinity where only finite numbers make sense."""


class EngineError(HandgradError, ValueError):
    """An engine is unknown, not built, or cannot take these arrays."""


class DataError(HandgradError, ValueError):
    """A data file or folder is missing, corrupt, or not what it says it is."""


class CheckpointError(HandgradError, ValueError):
    """A checkpoint or run folder is missing, corrupt, or of another run."""


def check_ndim(layer: str, name: str, array: Any, ndim: int, meaning: str) -> None:
    """Raise ShapeError unless `array` has `ndim` dimensions; `meaning` names them, as in "(N, D)"."""
    if array.ndim != ndim:
        raise ShapeError(
            f"{layer}: {name} must have {ndim} dimensions {meaning}, got {array.ndim} "
            f"(shape {tuple(array.shape)})"
        )


def check_min_ndim(layer: str, name: str, array: Any, minimum: int, meaning: str) -> None:
    """Raise ShapeError unless `array` has at least `minimum` dimensions, as in "(N, ...)"."""
    if array.ndim < minimum:
        raise ShapeError(
            f"{layer}: {name} must have at least {minimum} dimensions {meaning}, got {array.ndim} "
            f"(shape {tuple(array.shape)})"
        )


def check_shape(layer: str, name: str, array: Any, expected: tuple[int, ...], why: str) -> None:
    """Raise ShapeError unless `array.shape` is `expected`; `why` says where the expectation comes from."""
    if tuple(array.shape) != expected:
        raise ShapeError(
            f"{layer}: {name} must have shape {expected} ({why}), got {tuple(array.shape)}"
        )


def check_choice(layer: str, name: str, value: Any, choices: Collection[Any]) -> None:
    """Raise OptionError unless `value` is one of `choices`."""
    if value not in choices:
        known = ", ".join(repr(choice) for choice in choices)
        raise OptionError(f"{layer}: {name} must be one of {known}; got {value!r}")


def check_known(where: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raise OptionError if `given` holds a name that is not in `known`."""
    unknown = [name for name in given if name not in known]
    if unknown:
        names = ", ".join(f'"{name}"' for name in unknown)
        raise OptionError(f"{where}: unrecognized {names}; known are {', '.join(sorted(known))}")


def as_count(layer: str, name: str, value: Any, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`; integral floats such as 3.0 are taken too."""
    try:
        number = operator.index(value)
    except TypeError:
        if not (isinstance(value, float) and value.is_integer()):
            raise OptionError(
                f"{layer}: {name} must be an integer of at least {minimum}, got {value!r}"
            ) from None
        number = int(value)
    if number < minimum:
        raise OptionError(f"{layer}: {name} must be at least {minimum}, got {value!r}")
    return number


def as_pair(layer: str, name: str, value: Any, minimum: int = 1) -> tuple[int, int]:
    """Return `value`, one count or a pair (vertical, horizontal), as a pair of ints."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise OptionError(
                f"{layer}: {name} must be an integer or a pair (vertical, horizontal), got {value!r}"
            )
        return as_count(layer, name, value[0], minimum), as_count(layer, name, value[1], minimum)
    count = as_count(layer, name, value, minimum)
    return count, count


def as_number(
    layer: str, name: str, value: Any, low: float, high: float, *, open_low: bool = False
) -> float:
    """Return `value` as a float in [low, high], or (low, high] with `open_low`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise OptionError(f"{layer}: {name} must be a number, got {value!r}") from None
    if not (low < number if open_low else low <= number) or not number <= high:
        bracket = "(" if open_low else "["
        raise OptionError(f"{layer}: {name} must be in {bracket}{low:g}, {high:g}], got {value!r}")
    return number


def required(layer: str, where: str, param: Any, key: str) -> Any:
    """Return ``param[key]``; OptionError if `param`, the argument `where`, is no dictionary or lacks it."""
    if not isinstance(param, Mapping):
        raise OptionError(f"{layer}: {where} must be a dictionary, got {type(param).__name__}")
    if key not in param:
        raise OptionError(
            f"{layer}: {where} lacks the key {key!r}; it has {sorted(map(str, param))}"
        )
    return param[key]
