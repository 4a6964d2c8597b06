"""What a function of NumPy computes on the way to its scores: the arrays that it makes are watched.

Two views together see nearly all.  The rows and the weights become arrays that note what NumPy's functions
make of them; and Python says, line by line, which arrays the function's variables hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import numpy as np

from handgrad.interop.trace import Seen
from handgrad.interop.widened import with_arrays

Array = np.ndarray
_MOST: Final = 2_000  # values
_MOST_NUMBERS: Final = 50_000_000
_MOST_CALLS: Final = 100  # of one function
_OWN: Final = tuple(str(Path(np.__file__).parent.parent / name) for name in ("numpy", "scipy"))


class _Noted(np.ndarray):
    """An array that notes what becomes of it."""

    notes: Notes | None = None

    def __array_finalize__(self, other: Any) -> None:
        self.notes = getattr(other, "notes", None)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *given: Any, out: Any = None, **options: Any
    ) -> Any:
        if out is not None:
            options["out"] = tuple(_plain(a) for a in out)
        made = getattr(ufunc, method)(*map(_plain, given), **_plain(options))
        if out is not None:  # the numbers are in the arrays that were given for them
            self._note(made)
            return out[0] if len(out) == 1 else out
        return self._note(made)

    def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
        return self._note(function(*_plain(given), **_plain(options)))

    def dot(self, other: Any, out: Any = None) -> Any:
        """As NumPy's function, which notes."""
        return np.dot(self, other) if out is None else np.dot(self, other, out)

    def _note(self, made: Any) -> Any:
        if isinstance(made, tuple | list):
            return type(made)(self._note(one) for one in made)
        if not isinstance(made, np.ndarray) or self.notes is None:
            return made
        if made.size in self.notes.sizes:  # others are pieces of loops
            self.notes.add("", made)
        return _noted(made, self.notes)


def _noted(array: Array, notes: Notes) -> Array:
    found = array.view(_Noted)
    found.notes = notes
    return found


def _plain(thing: Any) -> Any:
    if isinstance(thing, _Noted):
        return thing.view(np.ndarray)
    if type(thing) in (tuple, list):
        return type(thing)(map(_plain, thing))
    if type(thing) is dict:
        return {key: _plain(value) for key, value in thing.items()}
    return thing


class Notes:
    """The arrays that were seen, each once, in their order.

    Args:
        rows: of the batch; arrays of as many rows are kept, and those of the `sizes`.
    """

    def __init__(self, rows: int, sizes: set[int]) -> None:
        self.rows, self.sizes = rows, sizes
        self.seen: list[Seen] = []
        self._known: set[tuple[Any, ...]] = set()
        self._numbers = 0
        self._calls: dict[CodeType, int] = {}
        self._lines: dict[FrameType, set[int]] = {}

    def add(self, name: str, thing: Any) -> None:
        """Keep an array, or those of a tuple or a list, if they may be a layer's."""
        if isinstance(thing, tuple | list) and len(thing) < 50:
            for one in thing:
                if isinstance(one, np.ndarray):
                    self.add(name, one)
        if not isinstance(thing, np.ndarray) or thing.dtype.kind != "f" or not thing.ndim:
            return
        if len(thing) != self.rows and thing.size not in self.sizes:
            return
        if len(self.seen) >= _MOST or self._numbers + thing.size > _MOST_NUMBERS:
            return
        array = np.array(thing.view(np.ndarray), order="C")
        key = (array.shape, array.dtype, hash(array.tobytes()))
        if key not in self._known:
            self._known.add(key)
            self._numbers += array.size
            self.seen.append(Seen(name, array))

    def trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        """For `sys.settrace`: look at the variables wherever a line is reached for the first time."""
        code = frame.f_code
        if event == "call":
            self._calls[code] = self._calls.get(code, 0) + 1
            is_own = code.co_filename.startswith((*_OWN, "<frozen")) or code.co_filename == __file__
            if is_own or self._calls[code] > _MOST_CALLS:
                return None
            self._lines[frame] = set()
        lines = self._lines.get(frame)
        if lines is None:
            return None
        if event == "return":
            del self._lines[frame]
        elif frame.f_lineno in lines:
            return self.trace
        lines.add(frame.f_lineno)
        for name, value in list(frame.f_locals.items()):
            self.add(name, value)
        if event == "return":
            self.add(code.co_name, arg)
        return self.trace


def watch(
    function: Callable[..., Any], xs: Sequence[Array], sizes: set[int]
) -> tuple[list[Seen], str]:
    """Call `function` on `xs`; return the arrays seen, those given first, and the error it ended with.

    sizes: of the arrays that are looked for, beside those that have as many rows as `xs`.

    >>> seen, broken = watch(lambda x: np.tanh(2 * x), [np.ones((3, 2))], {6})
    >>> [float(one.value[0, 0].round(2)) for one in seen], broken
    ([1.0, 2.0, 0.96], '')
    """
    notes, broken = Notes(len(xs[0]), sizes), ""
    for i, x in enumerate(xs):
        notes.add(f"x{i}", x)
    noting = with_arrays(function, lambda a: _noted(a, notes) if isinstance(a, np.ndarray) else a)
    before = sys.gettrace()
    sys.settrace(notes.trace)
    try:
        with np.errstate(all="ignore"):
            notes.add("scores", noting(*(_noted(x, notes) for x in xs)))
    except Exception as error:  # somebody else's code
        broken = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    finally:
        sys.settrace(before)
    return notes.seen, broken
