"""The exceptions of Handgrad, and the small checks that raise them.

Every message says which layer and argument, what was expected, what came, and, where it helps, what
to do about it.  Each exception is also the built-in one that a caller would expect (a ValueError or a
TypeError), so ``except ValueError`` keeps working.
"""

from __future__ import annotations

import inspect
import operator
import os
import re
from collections.abc import Collection, Iterable, Mapping, Set
from math import inf, isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np

LARGEST_COUNT = 2**63 - 1
LARGEST_SIZE = 2**59
"""An array of more numbers is refused: as complex128 it would not fit 63-bit addresses."""

MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What code raises that reads a file's content and trusts its form."""


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


class OperationError(HandgradError, TypeError):
    """An operation in a network's forward that is no layer, so has no backward."""


class ConcurrencyError(HandgradError, RuntimeError):
    """Two threads want to train one model at the same time."""


class DataError(HandgradError, ValueError):
    """A data file or folder is missing, corrupt, or not what it says it is."""


class CheckpointError(HandgradError, ValueError):
    """A checkpoint or run folder is missing, corrupt, or of another run."""


def one_line(error: BaseException | str) -> str:
    """Return what `error` says as one line of at most 200 characters.

    >>> one_line(ValueError("cut off\\n  at byte 3"))
    'cut off at byte 3'
    """
    return " ".join(str(error).split())[:200] or type(error).__name__


def shown(value: Any) -> str:
    """Return `value` as it stands in messages: on one line, and cut off where it is long.

    >>> shown(np.float64(2.5))
    '2.5'
    """
    if isinstance(value, np.generic):
        value = value.item()
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # an integer of more digits than Python writes
        text = f"{type(value).__name__} that is too long to show"
    return text if len(text) <= 80 else text[:77] + "..."


def call_of(method: str, name: str, given: Any) -> str:
    """Return the call of a `method` of arrays on `name`, which is `given`: perhaps a list, which lacks it.

    >>> call_of("astype(int)", "y", np.zeros(2)), call_of("astype(int)", "y", [0.0, 0.0])
    ('y.astype(int)', 'np.asarray(y).astype(int)')
    """
    has_it = hasattr(given, method.partition("(")[0])
    return f"{name}.{method}" if has_it else f"np.asarray({name}).{method}"


def shape_of(layer: str, name: str, array: Any) -> tuple[int, ...]:
    """Return the shape of `array`; DtypeError if it is no array."""
    try:
        return tuple(array.shape)
    except (AttributeError, TypeError):
        raise DtypeError(f"{layer}: {name} must be an array, got {type(array).__name__}") from None


def check_ndim(layer: str, name: str, array: Any, ndim: int, meaning: str) -> None:
    """Raise ShapeError unless `array` has `ndim` dimensions; `meaning` names them, as in "(N, D)"."""
    if type(array) is np.ndarray and array.ndim == ndim:
        return
    shape = shape_of(layer, name, array)
    if len(shape) != ndim:
        raise ShapeError(
            f"{layer}: {name} must have {ndim} dimensions {meaning}, got {len(shape)} (shape {shape})"
        )


def check_min_ndim(layer: str, name: str, array: Any, minimum: int, meaning: str) -> None:
    """Raise ShapeError unless `array` has at least `minimum` dimensions, as in "(N, ...)"."""
    shape = shape_of(layer, name, array)
    if len(shape) < minimum:
        raise ShapeError(
            f"{layer}: {name} must have at least {minimum} dimensions {meaning}, got {len(shape)} "
            f"(shape {shape})"
        )


def check_shape(layer: str, name: str, array: Any, expected: tuple[int, ...], why: str) -> None:
    """Raise ShapeError unless `array.shape` is `expected`; `why` says where the expectation comes from."""
    if type(array) is np.ndarray and array.shape == expected:
        return
    shape = shape_of(layer, name, array)
    if shape != expected:
        raise ShapeError(f"{layer}: {name} must have shape {expected} ({why}), got {shape}")


def check_size(layer: str, what: str, *sizes: int) -> None:
    """Raise ShapeError if the product of `sizes`, the numbers in `what`, is more than `LARGEST_SIZE`."""
    if prod(sizes) > LARGEST_SIZE:
        raise ShapeError(
            f"{layer}: {what} would hold {' x '.join(map(str, sizes))} numbers, beyond any memory"
        )


def is_one_of(value: Any, choices: Collection[Any]) -> bool:
    """Return whether `value` is one of `choices`, also where it cannot be hashed or compared."""
    try:
        return bool(value in choices)
    except Exception:  # as the comparison of arrays, which may be of any library
        return False


def check_choice(layer: str, name: str, value: Any, choices: Collection[Any]) -> None:
    """Raise OptionError unless `value` is one of `choices`."""
    if not is_one_of(value, choices):
        known = ", ".join(repr(choice) for choice in choices)
        raise OptionError(f"{layer}: {name} must be one of {known}; got {shown(value)}")


def check_known(where: str, given: Iterable[Any], known: Collection[str]) -> None:
    """Raise OptionError if `given` holds a name that is not in `known`; it names the nearest known one."""
    unknown = [name for name in given if name not in known]
    if unknown:
        names = ", ".join(f'"{name}"' for name in unknown)
        near = dict.fromkeys(f'"{close}"' for name in unknown if (close := nearest(name, known)))
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise OptionError(
            f"{where}: unrecognized {names}; known are {', '.join(sorted(known)) or 'none'}{hint}"
        )


def nearest(name: Any, known: Iterable[str]) -> str | None:
    """Return the name of `known` that `name` most likely stands for, or None if it is like none.

    >>> nearest("padding", ["stride", "pad"]), nearest("lr", ["learning_rate", "l2"]), nearest("xyz", ["pad"])
    ('pad', 'learning_rate', None)
    """
    import difflib  # 10 ms, that only a mistake costs

    name = str(name)
    plain = {other.replace("_", "").lower(): other for other in known}
    initials = {
        "".join(word[:1] for word in other.split("_")): other for other in known if "_" in other
    }
    same = name.replace("_", "").lower()
    if same in initials:
        return initials[same]
    found = difflib.get_close_matches(same, plain, n=1, cutoff=0.5)
    return plain[found[0]] if found else None


def keywords_of(cls: type, last: type) -> list[str]:
    """Return the names that the constructors of `cls` and its bases, down to `last`, take."""
    names: dict[str, None] = {}
    for base in cls.__mro__[: cls.__mro__.index(last) + 1]:
        if "__init__" in vars(base):
            _, *parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
            names |= {
                p.name: None for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            }
    return list(names)


def check_keys(layer: str, name: str, param: Any, known: Set[str], hint: str = "") -> None:
    """Raise OptionError unless `param`, the argument `name`, is a dictionary with `known` keys alone."""
    check_dictionary(layer, name, param, hint)
    if not param.keys() <= known:
        check_known(f"{layer}: {name}", param, known)


def check_dictionary(layer: str, name: str, value: Any, hint: str = "") -> None:
    """Raise OptionError unless `value` is a dictionary."""
    if type(value) is not dict and not isinstance(value, Mapping):
        raise OptionError(f"{layer}: {name} must be a dictionary, got {type(value).__name__}{hint}")


def check_callable(layer: str, name: str, value: Any) -> None:
    """Raise OptionError unless `value` can be called; a class is no function, though it can be."""
    if not callable(value) or isinstance(value, type):
        raise OptionError(f"{layer}: {name} must be a function, got {shown(value)}")


def check_takes(layer: str, name: str, function: Any, arguments: str, count: int) -> None:
    """Raise OptionError if `function` cannot be called with `count` arguments, in words `arguments`."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # compiled functions may not tell
        return
    try:
        signature.bind(*[None] * count)
    except TypeError:
        raise OptionError(
            f"{layer}: {name} must be a function of {arguments}, got one of {signature}"
        ) from None


def as_items(layer: str, name: str, value: Any, what: str) -> list[Any]:
    """Return the items of `value`, a list, tuple, range or array of one axis; `what` says of what."""
    is_list = isinstance(value, list | tuple | range)
    if not is_list and not (isinstance(value, np.ndarray) and value.ndim == 1):
        raise OptionError(f"{layer}: {name} must be a list of {what}, got {shown(value)}")
    return list(value)


def as_flag(layer: str, name: str, value: Any) -> bool:
    """Return `value`, true or false (of Python or NumPy), as a bool; nothing else is taken for one."""
    if not isinstance(value, bool | np.bool_):
        raise OptionError(f"{layer}: {name} must be true or false, got {shown(value)}")
    return bool(value)


def as_count(
    layer: str, name: str, value: Any, minimum: int = 1, maximum: int = LARGEST_COUNT
) -> int:
    """Return `value` as an int in [minimum, maximum]; integral floats such as 3.0 are taken too."""
    if type(value) is int and minimum <= value <= maximum:
        return value
    number: int | None
    try:
        number = operator.index(value)
    except TypeError:
        number = int(value) if isinstance(value, float) and value.is_integer() else None
    if number is None or isinstance(value, bool | np.bool_):
        raise OptionError(
            f"{layer}: {name} must be an integer of at least {minimum}, got {shown(value)}"
        )
    if not minimum <= number <= maximum:
        limit = f"least {minimum}" if number < minimum else f"most {maximum}"
        raise OptionError(f"{layer}: {name} must be at {limit}, got {shown(value)}")
    return number


def as_pair(layer: str, name: str, value: Any, minimum: int = 1) -> tuple[int, int]:
    """Return `value`, one count or a pair (vertical, horizontal), as a pair of ints."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise OptionError(
                f"{layer}: {name} must be an integer or a pair (vertical, horizontal), got {shown(value)}"
            )
        return as_count(layer, name, value[0], minimum), as_count(layer, name, value[1], minimum)
    count = as_count(layer, name, value, minimum)
    return count, count


def as_number(
    layer: str,
    name: str,
    value: Any,
    low: float = -inf,
    high: float = inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return `value`, a number and no text, as a finite float in [low, high].

    With `open_low` or `open_high` that end is left out.
    """
    if type(value) is float and low < value < high:  # so it is finite, too
        return value
    number: float | None
    try:
        number = float(value)
    except OverflowError:
        number = inf
    except (TypeError, ValueError):
        number = None
    if number is None or isinstance(value, bool | np.bool_ | str | bytes):
        raise OptionError(f"{layer}: {name} must be a number, got {shown(value)}")
    inside = (low < number if open_low else low <= number) and (
        number < high if open_high else number <= high
    )
    if not inside or not isfinite(number):
        limits = f"in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        if high == inf:
            above = "above" if open_low else "of at least"
            limits = "a finite number" + ("" if low == -inf else f" {above} {low:g}")
        raise OptionError(f"{layer}: {name} must be {limits}, got {shown(value)}")
    return number


def dtype_name(dtype: Any) -> str | None:
    """Return NumPy's name of `dtype`, given as a text, a type or a dtype; None if it is none."""
    if not isinstance(dtype, str | type | np.dtype):
        return None
    try:
        return np.dtype(dtype).name
    except (TypeError, ValueError, SyntaxError, Warning):  # texts can be wrong in all these ways
        return None


def as_path(layer: str, name: str, value: Any) -> Path:
    """Return `value` as a Path; OptionError if it is no path at all."""
    is_path = isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str)
    text = os.fspath(value) if is_path else ""
    parts = [len(part.encode("utf-8", "surrogatepass")) for part in re.split(r"[/\\]", text)]
    if not text or "\0" in text or max(parts) > 255 or sum(parts) > 4000:
        raise OptionError(
            f"{layer}: {name} must be the path of a file or folder, got {shown(value)}"
        )
    return Path(value)


def check_name(layer: str, name: str, value: str) -> None:
    """Raise OptionError where a file's name is no text; of other bytes Python makes halves of surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise OptionError(
            f"{layer}: {name} must be a name in UTF-8, got {shown(value)}; give it another name"
        ) from None


def required(layer: str, where: str, param: Any, key: str) -> Any:
    """Return ``param[key]``; OptionError if `param`, the argument `where`, is no dictionary or lacks it."""
    check_dictionary(layer, where, param)
    if key not in param:
        raise OptionError(
            f"{layer}: {where} lacks the key {key!r}; it has {sorted(map(str, param))}"
        )
    return param[key]
