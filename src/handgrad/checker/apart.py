"""Running something in a copy of this process, so that a crash or an endless loop harms only the copy."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import select
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

_exit = os._exit  # `named_exit` replaces it


@contextlib.contextmanager
def named_exit() -> Iterator[None]:
    """Let ``os._exit`` be an exception that says so, as ``sys.exit`` is."""
    before, os._exit = os._exit, _raise_exit  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = before


def _raise_exit(code: int = 0) -> Any:
    raise SystemExit(f"os._exit, exit code {code}")


def can_fork() -> bool:
    """Whether this system can copy a process; Windows cannot."""
    return hasattr(os, "fork")


def apart(work: Callable[[], Any], seconds: float, patience: float) -> Any:
    """Return what ``work()`` returns (as JSON carries it), computed in a forked process.

    None, if it crashes, raises, takes more than `seconds` of processor time, or does not end within
    `patience` seconds of the clock, which a busy machine needs; or if this system cannot fork.
    """
    if not can_fork():
        return None
    read, write = os.pipe()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads, which the copy does not use
            child = os.fork()
    except OSError:  # no more processes, or none allowed
        os.close(read)
        os.close(write)
        return None
    if child == 0:
        with contextlib.suppress(BaseException):
            os.close(read)
            faulthandler.disable()  # a crash is no news
            _end_after(seconds)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            os.write(write, json.dumps(work()).encode())
        _exit(0)
    os.close(write)
    try:
        return _answer(read, time.monotonic() + patience)
    finally:
        os.close(read)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _end_after(seconds: float) -> None:
    """Let the system end this process after so much processor time."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _answer(pipe: int, end: float) -> Any:
    parts = []
    while True:
        left = end - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return None
        part = os.read(pipe, 1 << 16)
        if not part:
            break
        parts.append(part)
    try:
        return json.loads(b"".join(parts))
    except ValueError:
        return None
