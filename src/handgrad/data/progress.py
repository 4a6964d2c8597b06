"""Who is told how far long work on data has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Tell = Callable[[str, int, int], None]
_listener: ContextVar[Tell | None] = ContextVar("listener", default=None)


@contextmanager
def told(tell: Tell) -> Iterator[None]:
    """Call ``tell(what, done, total)`` while data are read inside of the ``with`` block."""
    token = _listener.set(tell)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(what: str, done: int, total: int) -> None:
    """Say how far the work `what` has come."""
    listener = _listener.get()
    if listener is not None:
        listener(what, done, total)
