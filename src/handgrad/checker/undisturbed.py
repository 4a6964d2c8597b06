"""Running somebody's code so that it can neither be disturbed nor disturb.

Every call gets copies of its arguments, NumPy's and Python's random numbers start from the same
seed, what it prints is swallowed, and an exception becomes a `Raised` with the line of the code that
is being checked.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import random
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from handgrad.checker import relics
from handgrad.checker.records import Raised

SEED = 231
# what is told of each exception while somebody wants to see it
watching: ContextVar[Callable[[BaseException], None] | None] = ContextVar("watching", default=None)


class _Sink(io.TextIOBase):
    """A stream that swallows what is written, and keeps nothing of it."""

    def write(self, text: str) -> int:
        """Swallow."""
        return len(text)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow prints and warnings, but for lost imaginary parts, and keep the random states."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(_Sink()):
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            with contextlib.redirect_stderr(_Sink()):
                yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def seeded(seed: int = SEED) -> None:
    """Set both global random streams."""
    np.random.seed(seed)
    random.seed(seed)


def run(function: Callable[..., Any], *arguments: Any, seed: int | None = SEED) -> Any:
    """Return ``function(*arguments)``, or a `Raised`."""
    if seed is not None:
        seeded(seed)
    try:
        return function(*arguments)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # a SystemExit of the code is its own mistake too
        if see := watching.get():
            see(error)
        relic = relics.of_error(error, source_file(function))
        text = ends_program(error) or " ".join(str(error).split()) or "no message"
        return relic or Raised(type(error).__name__, text, _line(function, error))


def ends_program(error: BaseException) -> str:
    """Say that an exception would end the whole program; "" of another."""
    if not isinstance(error, SystemExit):
        return ""
    code = error.code if error.code is not None else 0
    if str(code).startswith("os._exit"):
        return f"it ends the whole program ({code})"
    how = f"exit code {code}" if isinstance(code, int) else repr(code)
    return f"it ends the whole program (sys.exit, {how})"


def _line(function: Callable[..., Any], error: BaseException) -> int | None:
    """The last line of the function's own file that the exception passed through."""
    file = source_file(function)
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == file
    ]
    return lines[-1] if lines else None


def source_file(function: Any) -> str:
    """The file that defines `function`; "" if it has none."""
    try:
        return inspect.getsourcefile(inspect.unwrap(function)) or ""
    except TypeError:
        return ""


def source_lines(function: Any) -> tuple[list[str], int]:
    """The lines of `function` and the number of the first; none if it has no source."""
    try:
        return inspect.getsourcelines(inspect.unwrap(function))
    except (OSError, TypeError):
        return [], 0


def fresh(value: Any) -> Any:
    """Return a deep copy, or the value itself where that is impossible."""
    try:
        return copy.deepcopy(value)
    except Exception:  # a generator, a module, a tensor of a graph: whatever it is, it is theirs
        return value


def changed(before: Any, after: Any, path: str = "") -> str | None:
    """Return the path of the first thing that differs between two copies, or None."""
    if isinstance(before, np.ndarray) and before.dtype.kind == "O":  # arrays of several shapes
        same_kind = isinstance(after, np.ndarray) and after.shape == before.shape
        after = after.ravel().tolist() if same_kind else after
        return changed(before.ravel().tolist(), after, path)
    if isinstance(before, np.ndarray):
        equal = (
            isinstance(after, np.ndarray)
            and before.shape == after.shape
            and before.dtype == after.dtype
            and np.array_equal(before, after, equal_nan=before.dtype.kind in "fc")
        )
        return None if equal else path
    if isinstance(before, dict):
        if not isinstance(after, dict) or before.keys() - after.keys():
            return path
        return _first(changed(before[k], after[k], f"{path}[{k!r}]") for k in before)
    if isinstance(before, list | tuple):
        if not isinstance(after, list | tuple) or len(before) != len(after):
            return path
        pairs = zip(before, after, strict=True)
        return _first(changed(a, b, f"{path}[{i}]") for i, (a, b) in enumerate(pairs))
    if isinstance(before, int | float | str | bool | None):
        return None if before == after or before != before else path
    return None


def _first(found: Any) -> str | None:
    return next((path for path in found if path is not None), None)
