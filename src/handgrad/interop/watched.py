"""A function of NumPy that is watched: what its lines compute becomes a `Trace`, value by value.

The rows go in as arrays that note what NumPy's functions make of them.  What leaves these, as through
``np.asarray``, is seen where a line of the function gives it a name, or returns it.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from handgrad.interop.trace import Seen

Array = np.ndarray
_MOST_NUMBERS = 20_000_000  # of all values that are kept
_MOST_VALUES = 4_000
_OWN = str(Path(__file__).parents[1])
_LIBRARIES = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), _OWN)
_METHODS = ("reshape", "transpose", "swapaxes", "take", "astype", "copy", "flatten", "ravel", "squeeze",
            "dot", "repeat", "__getitem__")  # fmt: skip


class _Notes:
    """The values so far, in their order."""

    def __init__(self, rows: int) -> None:
        self.rows, self.numbers = rows, 0
        self.seen: list[Seen] = []

    def note(self, name: str, value: Any) -> None:
        """Keep a copy, unless the last ones hold the same."""
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.ndim:
            return
        if not value.size or self.rows not in value.shape[:1] or len(self.seen) >= _MOST_VALUES:
            return
        plain = value.view(np.ndarray)
        if any(
            s.value.shape == plain.shape and np.array_equal(s.value, plain, equal_nan=True)
            for s in self.seen[-12:]
        ):
            return
        self.numbers += plain.size
        if self.numbers <= _MOST_NUMBERS:
            self.seen.append(Seen(name, plain.copy()))


class _Noted(np.ndarray):
    """An array that notes what is made of it."""

    notes: _Notes | None = None

    def __array_finalize__(self, other: Any) -> None:
        self.notes = getattr(other, "notes", None)

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **options: Any) -> Any:
        out = options.get("out", ())
        if out:
            options["out"] = tuple(_plain(a) for a in out)
        found = getattr(ufunc, method)(*map(_plain, args), **options)
        if method == "at" or found is None:
            return found
        made = _noted(found, self._notes_of((*args, *out)), ufunc.__name__)
        return out[0] if len(out) == 1 and isinstance(out[0], _Noted) else made

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        found = function(*_plain(args), **_plain(options))
        return _noted(found, self.notes, getattr(function, "__name__", ""))

    def _notes_of(self, args: Sequence[Any]) -> _Notes | None:
        return next((a.notes for a in args if isinstance(a, _Noted) and a.notes), self.notes)


def _method(name: str) -> Callable[..., Any]:
    def method(self: _Noted, *args: Any, **options: Any) -> Any:
        found = getattr(np.ndarray, name)(_plain(self), *_plain(args), **_plain(options))
        return _noted(found, self.notes, name)

    return method


for _name in _METHODS:
    setattr(_Noted, _name, _method(_name))


def _plain(thing: Any) -> Any:
    """Without the noting, inside of lists and mappings, too."""
    if isinstance(thing, _Noted):
        return thing.view(np.ndarray)
    if isinstance(thing, list | tuple) and type(thing) in (list, tuple):
        return type(thing)(map(_plain, thing))
    return {k: _plain(v) for k, v in thing.items()} if type(thing) is dict else thing


def _noted(found: Any, notes: _Notes | None, name: str) -> Any:
    if isinstance(found, list | tuple) and type(found) in (list, tuple):
        return type(found)(_noted(one, notes, name) for one in found)
    if not isinstance(found, np.ndarray) or notes is None:
        return found
    notes.note(name, found)
    made = found.view(_Noted)
    made.notes = notes
    return made


class _Lines:
    """Looks at the names of a function's lines: each line once in a call, so that loops cost little."""

    def __init__(self, notes: _Notes) -> None:
        self.notes, self.calls = notes, 0

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename.startswith(_LIBRARIES) or self.calls > 20_000:
            return None
        self.calls += 1
        known: set[int] = set()

        def look(frame: FrameType, event: str, arg: Any) -> Any:
            if event == "return" or (event == "line" and frame.f_lineno not in known):
                known.add(frame.f_lineno)
                for name, value in [*frame.f_locals.items()]:
                    self._note(name, value)
            if event == "return":
                self._note(frame.f_code.co_name, arg)
            return look

        return look

    def _note(self, name: str, value: Any) -> None:
        inner: Sequence[Any] = (value,)
        if isinstance(value, list | tuple):
            inner = value[:40]
        elif isinstance(value, Mapping):
            inner = [*value.values()][:40]
        for one in inner:
            self.notes.note(name, one)


def values(call: Callable[..., Any], xs: Sequence[Array]) -> list[Seen] | None:
    """What `call` computes on the rows `xs`, these first; None where it cannot be watched.

    >>> import numpy as np
    >>> def twice(x):
    ...     h = np.tanh(x)
    ...     return 2 * h
    >>> [seen.value.round(2).tolist() for seen in values(twice, [np.ones((1, 2))])]
    [[[1.0, 1.0]], [[0.76, 0.76]], [[1.52, 1.52]]]
    """
    notes = _Notes(len(xs[0]))
    notes.seen = [Seen("x", np.array(x)) for x in xs]
    before = sys.gettrace()
    if before is not None:  # a debugger, or what measures coverage, keeps its place
        lines: Any = None
    else:
        lines = _Lines(notes)
    given = [_noted(np.array(x), notes, "x") for x in xs]
    try:
        if lines is not None:
            sys.settrace(lines)
        with np.errstate(all="ignore"):
            call(*given)
    except Exception:  # somebody else's code, which may not take such arrays
        return None
    finally:
        if lines is not None:
            sys.settrace(before)
    return notes.seen
