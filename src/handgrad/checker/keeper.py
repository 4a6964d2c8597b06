"""The process that is kept: ``python -m handgrad.checker.keeper`` judges one task after another (see `kept`).

Each task is judged in a copy of this process, which has loaded all that judging needs and has not run
any submission, so that no task reaches the next.  Where the system cannot copy a process it is judged in this
one, which is put back afterwards (see `reset`), and ends where that cannot be done.

Tasks come line by line, as JSON, on standard input.  An answer is one line with the number of the copy, and
one with the status that it ended with.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import sys
import warnings
from typing import IO, Any

from handgrad import engines
from handgrad.checker import worker
from handgrad.checker.apart import can_fork
from handgrad.checker.reset import Before

_exit = os._exit  # tasks replace it


def serve(tasks: IO[str], answers: IO[str]) -> None:
    """Judge each task; end with the input."""
    for line in tasks:
        task = json.loads(line)
        _load(task["load"])
        clean = True
        if can_fork():
            code = _in_a_copy(task, tasks, answers)
        else:
            _say(answers, process=os.getpid())
            code, clean = _here(task)
        _say(answers, code=code, clean=clean)
        if not clean:
            _exit(0)  # threads that never end are not waited for


def _load(libraries: list[str]) -> None:
    """Import installed libraries that earlier tasks needed, so that not each has to."""
    for name in libraries:
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _say(answers: IO[str], **line: Any) -> None:
    answers.write(json.dumps(line) + "\n")
    answers.flush()


def _in_a_copy(task: dict[str, Any], tasks: IO[str], answers: IO[str]) -> int:
    """Judge in a copy of this process, the first of a group of its own; return how it ended."""
    if not hasattr(os, "fork"):
        return 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, which the copy does not use
        child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.setsid()
            os.close(answers.fileno())
            os.close(tasks.fileno())
            _prepare(task)
            worker.judge(task)
        _exit(0)
    _say(answers, process=child)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _here(task: dict[str, Any]) -> tuple[int, bool]:
    """Judge in this process; return a status, and whether the process is as before."""
    before = Before()
    code = 0
    try:
        _prepare(task)
        worker.judge(task, keeps=True)
    except BaseException:
        code = 1
    finally:
        faulthandler.disable()
        clean = before.put_back()
    return code, clean


def _prepare(task: dict[str, Any]) -> None:
    os.chdir(task["cwd"])
    os.environ.update(task.get("environment", {}))
    if "search" in task:
        sys.path[:] = task["search"]


if __name__ == "__main__":
    # what a task prints must not get between the answers
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    lines = os.fdopen(os.dup(0), encoding="utf-8")
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    worker.can_limit_memory()  # what judging loads later is loaded before the first task
    engines.available()
    serve(lines, channel)
