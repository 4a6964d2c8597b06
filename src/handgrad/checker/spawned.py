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
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

FOLDER = "HANDGRAD_CHECK_FOLDER"  # the variable that names what the new process may write to
_PATIENCE = 30.0  # seconds: a start of Python, the judgement, the search

_judged: dict[str, Any] | None = None  # the file that is being judged, and how
_asked: dict[str, Any] | None = None  # in the new process: the question
_answer: dict[str, Any] | None = None


@contextlib.contextmanager
def judging(file: Path, drops: bool, course: str | None, strict: bool) -> Iterator[None]:
    """Say what is judged, so that a new process can judge it, too."""
    global _judged
    before = _judged
    _judged = {"file": str(file), "drops": drops, "course": course, "strict": strict, "found": []}
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


def answer() -> dict[str, Any] | None:
    """Return the edit that the new process found, or None for it, and the seconds that it looked."""
    return _answer


def search(
    name: str,
    keys: Sequence[str],
    lines: Sequence[int],
    seconds: float,
    work: Callable[..., Any],
) -> tuple[Any, float]:
    """Return what ``work(seconds=seconds)`` returns in a new process, or None, and how long it took there.

    name: of the function; keys: which of its results are to become right; lines: where.  Without a file,
    as for pairs that exist only in this process, nothing is looked for.
    """
    global _answer
    asked = [name, list(keys), list(lines)]
    if _asked is not None:  # this is the new process
        if _answer is None and asked == _asked["asked"]:
            before = time.process_time()
            found = work(seconds=_asked["seconds"])
            _answer = {"edit": found, "seconds": time.process_time() - before}
        earlier = [edit for other, edit in _asked["found"] if other == asked]
        return (earlier[0] if earlier else None), 0.0
    if _judged is None or not name or "<locals>" in name:
        return None, 0.0
    question = json.dumps({**_judged, "asked": asked, "seconds": seconds})
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
        answered = json.loads(done.stdout.decode().splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        return None, seconds  # it crashed, or did not end
    if answered is None:
        return None, 0.0
    _judged["found"].append([asked, answered["edit"]])  # the next process does without looking
    return answered["edit"], answered["seconds"]
