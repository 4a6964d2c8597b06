"""Asking the process that computes: one question at a time, with a time limit, and only so many waiting."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from handgrad.errors import HandgradError
from handgrad.processes import Process, ProcessError

LIMIT = 60.0  # seconds for an answer
WAITING = 6  # questions


class Busy(HandgradError):
    """Too many questions wait for an answer."""


class Worker:
    """The process that computes, started at the first question, and anew where it ended.

    It is also started anew where one of `files`, which networks import, was saved since.
    """

    def __init__(self, files: list[Path] = []) -> None:  # noqa: B006
        """Start nothing yet; the folders of `files` are put on the path that is imported from."""
        self._files = files
        self._saved: list[int] = []
        self._process: Process | None = None
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(WAITING)

    def ask(self, **question: Any) -> Any:
        """Return the answer to a question of `handgrad.lab.worker`.

        Raises Busy where too many wait, ProcessError where the process cannot answer or takes too long.
        """
        if not self._places.acquire(blocking=False):
            raise Busy("lab: too many questions at once")
        try:
            with self._lock:
                return self._ask(question)
        finally:
            self._places.release()

    def _ask(self, question: dict[str, Any]) -> Any:
        saved = [_time(file) for file in self._files]
        if self._process is not None and saved != self._saved:
            self.close()
        if self._process is None or self._process.process.poll() is not None:
            self._saved = saved
            self._process = Process(
                "handgrad.lab.worker", threads=1, environment=searched(self._files)
            )
        process = self._process
        timer = threading.Timer(LIMIT, process.kill)
        timer.start()
        try:
            return process.request(**question)
        except ProcessError as error:
            if process.process.poll() is None and "ended with status" not in str(error):
                raise
            process.close()
            self._process = None
            raise ProcessError("lab: the answer took too long, or too much memory") from None
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.close()


def searched(files: list[Path]) -> dict[str, str]:
    """Return the environment in which modules are found in the folders of `files` too."""
    places = dict.fromkeys(str(file.parent) for file in files)
    path = [*places, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path)} if path else {}


def _time(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
