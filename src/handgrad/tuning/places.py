"""Locks of the processes that share one folder.

The operating system gives a lock back when its process ends, however that comes about.  So a trial whose
lock is free has nobody who computes it, and there is no time to wait for.
"""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from handgrad.files import atomic_write

try:
    _fcntl: Any = importlib.import_module("fcntl")
except ImportError:  # Windows
    _fcntl = None


class Lock:
    """A lock on a file, held by one process until it ends or calls `close`."""

    def __init__(self, path: Path) -> None:
        """Open the file, and make it where it is missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("ab")

    def take(self, wait: bool) -> bool:
        """Take the lock; return whether that was possible, without `wait` at once."""
        try:
            if _fcntl is not None:
                _fcntl.flock(self._file, _fcntl.LOCK_EX | (0 if wait else _fcntl.LOCK_NB))
            else:
                msvcrt: Any = importlib.import_module("msvcrt")
                self._file.seek(0)
                how = msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK
                msvcrt.locking(self._file.fileno(), how, 1)
        except OSError:
            if wait:
                raise
            return False
        return True

    def close(self) -> None:
        """Give the lock back."""
        self._file.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock `path` inside of the ``with`` block; wait for it."""
    lock = Lock(path)
    try:
        lock.take(wait=True)
        yield
    finally:
        lock.close()


class Place:
    """The folder of a search, which several processes, of several machines too, may share.

    Attributes: folder; name, a random text that says which folder it is, on every machine that sees it.
    """

    def __init__(self, folder: Path) -> None:
        """Find the name of `folder`, or give it one."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with self.asking():
            file = folder / "place"
            if not file.exists():
                atomic_write(file, secrets.token_hex(8).encode())
            self.name = file.read_text(encoding="utf-8")

    def asking(self) -> Any:
        """Return a ``with`` block in which this process alone asks for trials."""
        return locked(self.folder / "locks" / "asking")

    def lock_of(self, number: int) -> Lock | None:
        """Return the lock of a trial, taken, or None where another process computes it."""
        lock = Lock(self.folder / "locks" / f"{number:04d}")
        if lock.take(wait=False):
            return lock
        lock.close()
        return None

    def run_folder(self, number: int) -> Path:
        """Return the run folder of a trial."""
        return self.folder / f"trial-{number:04d}"
