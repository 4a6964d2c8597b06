"""Looking for an edit where the system cannot fork: ``python -m handgrad.checker.spawned_process``.

A new process imports the same file, judges the same function once more, and searches there; when its
edited code crashes or never ends, only that process does.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

FOLDER = "HANDGRAD_CHECK_FOLDER"  # the variable that names what the new process may write to
_PATIENCE = 30.0  # seconds: a start of Python, the judgement, the search

_judged: dict[str, Any] | None = None  # the file that is being judged, and how
_asked: dict[str, Any] | None = None  # in the new process: the question
_answer: Any = None


@contextlib.contextmanager
def judging(file: Path, drops: bool, course: str | None, strict: bool) -> Iterator[None]:
    """Say what is judged, so that a new process can judge it, too."""
    global _judged
    before = _judged
    _judged = {"file": str(file), "drops": drops, "course": course, "strict": strict}
    try:
        yield
    finally:
        _judged = before


def guard(folder: str) -> None:
    """Let the new processes be guarded like this one; see `worker`."""
    os.environ[FOLDER] = folder


def is_asked() -> bool:
    """Whether this is the new process."""
    return _asked is not None


def ask(question: dict[str, Any]) -> dict[str, Any]:
    """Make this the new process, asked this question."""
    global _asked
    _asked = question
    return question


def answer() -> Any:
    """Return the edit that the new process found, or None."""
    return _answer


def search(name: str, keys: Sequence[str], work: Callable[[], Any]) -> Any:
    """Return what ``work()`` returns, found by a new process; None if it finds nothing.

    name: of the function; keys: which of its results are to become right.  Without a file, as for
    pairs that exist only in this process, nothing is looked for.
    """
    global _answer
    if _asked is not None:  # this is the new process
        if _answer is None and (name, list(keys)) == (_asked["name"], _asked["keys"]):
            _answer = work()
        return None
    if _judged is None or not name or "<locals>" in name:
        return None
    question = json.dumps({**_judged, "name": name, "keys": list(keys)})
    path = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
    )
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", f"{__name__}_process", question],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
        return json.loads(done.stdout.decode().splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        return None
