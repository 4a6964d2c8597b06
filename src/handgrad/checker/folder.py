"""Checking the files of a folder one after another in a kept process.

A file that crashes, never ends or takes all memory costs itself, and what it does to its process does
not reach the next.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from handgrad.checker.discover import (
    Judged,
    Options,
    check_path,
    files_of,
    found_at,
    joined,
    not_judged,
)
from handgrad.checker.kept import Kept
from handgrad.checker.records import Verdict
from handgrad.checker.report import Report
from handgrad.courses.profiles import get_profile

SECONDS = 60.0  # for one file
MEMORY = 4096  # MiB, where the system has limits


def check_apart(target: str, options: Options) -> Report:
    """Check what `check_path` checks; a folder's files in a kept process."""
    path, name = found_at(target)
    only = name or options.only
    if path is None or path.is_file():
        return check_path(target, **options._asdict())
    if options.course is not None:
        get_profile(options.course)  # an unknown one is refused before anything runs
    files = files_of(path)
    with tempfile.TemporaryDirectory(prefix="handgrad-", ignore_cleanup_errors=True) as scratch:
        return joined(
            target, only, list(_judged(path, files, options._replace(only=only), Path(scratch)))
        )


def _judged(folder: Path, files: list[Path], options: Options, scratch: Path) -> Iterator[Judged]:
    search = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
    )
    with Kept({**os.environ, "PYTHONPATH": search}, Path.cwd()) as kept:
        for file in files:
            task = {
                "path": str(file), "cwd": str(Path.cwd()), "search": sys.path,
                "memory": MEMORY, "seconds": SECONDS, "check": options._asdict(),
            }  # fmt: skip
            answer = kept.judge(task, scratch, folder)
            if answer["problem"]:
                yield not_judged(file, answer["problem"])
            else:
                verdicts = [Verdict.of(record) for record in answer["records"]]
                guessed = answer["guessed"] and tuple(answer["guessed"])
                yield Judged(file, verdicts, guessed, tuple(answer["notes"]))
