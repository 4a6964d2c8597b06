"""Verdicts on a file, function by function: what changed is judged again, in a process that is kept warm."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from typing import Any

from handgrad.checker.discover import Options, joined
from handgrad.checker.folder import MEMORY
from handgrad.checker.groups import Group, Grouped, groups_of
from handgrad.checker.kept import Kept
from handgrad.checker.loading import CheckError
from handgrad.checker.records import UNTESTED
from handgrad.lab.verdicts import CHECKING

SECONDS = 60.0  # for the functions that are judged together
_MOST = 400  # verdicts on a file that are kept, those of former versions too


@dataclass
class Found:
    """What the checker said of a group: a record for each function, its lines then, and the course guessed.

    course: "" where none was guessed, None where that is not known.
    """

    records: list[dict[str, Any]]
    lines: dict[str, tuple[int, int]]
    course: str | None = None


@dataclass
class Judged:
    """A file as it is judged: what is known, and what is still to do."""

    path: Path
    stamp: tuple[int, ...] = ()
    grouped: Grouped = field(default_factory=lambda: Grouped((), {}, ()))
    found: dict[str, Found] = field(default_factory=dict)  # by key of the group
    problem: str | None = None
    saved: float = 0.0  # when the file was seen to be another one
    seconds: float = 0.0  # from then until all of it was judged
    again: int = 0  # how many groups were judged since

    @property
    def waiting(self) -> list[Group]:
        """The groups without a verdict."""
        return [] if self.problem else [g for g in self.grouped.groups if g.key not in self.found]

    def functions(self) -> list[dict[str, Any]]:
        """Return the records of all functions in the order of the file."""
        rows = []
        for group in self.grouped.groups:
            if group.key in self.found:
                found = self.found[group.key]
                lines = found.lines, self.grouped.lines
                rows += [_moved(record, self.path.name, *lines) for record in found.records]
            elif not self.problem:
                rows += [{"function": name, "verdict": CHECKING} for name in group.functions]
        return rows


class Judging:
    """Judge files whenever they are saved, one group of functions after another, in one thread.

    version: it grows with every verdict.
    """

    def __init__(self, files: list[Path]) -> None:
        """Begin with all of them."""
        self.files = {path: Judged(path) for path in files}
        self.version = 0
        self._changed = Condition()
        self._kept: Kept | None = None
        self._thread: Thread | None = None
        self._now: tuple[Path, str] | None = (
            None  # what is judged: the file, and the key of its group
        )
        self._is_closed = False
        self.look()

    def look(self) -> int:
        """Look whether a file was saved, and begin to judge what changed; return the version."""
        with self._changed:
            for judged in self.files.values():
                stamp = tuple(map(time_of, (judged.path, *judged.grouped.beside)))
                if stamp != judged.stamp:
                    self._renew(judged)
            is_idle = self._thread is None or not self._thread.is_alive()
            if is_idle and not self._is_closed and self._next() is not None:
                self._thread = Thread(target=self._work, daemon=True, name="judging")
                self._thread.start()
            return self.version

    def wait(self, seconds: float) -> bool:
        """Look, and wait until all is judged; return whether it is."""
        self.look()
        with self._changed:
            return self._changed.wait_for(lambda: self._next() is None, seconds)

    def close(self) -> None:
        """End the process that judges."""
        with self._changed:
            self._is_closed = True
            kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()
        if self._thread is not None:
            self._thread.join(5.0)

    def _renew(self, judged: Judged) -> None:
        """Read a file anew, and keep the verdicts on what is as it was."""
        judged.problem = None
        judged.saved, judged.seconds, judged.again = time.perf_counter(), 0.0, 0
        try:
            judged.grouped = groups_of(judged.path)
            if not judged.grouped.groups:
                joined(str(judged.path), "", [])  # says what to do
        except CheckError as error:
            judged.problem = str(error).removeprefix("check: ")[:400]
        judged.stamp = tuple(map(time_of, (judged.path, *judged.grouped.beside)))
        self.version += 1
        awaited = {(judged.path, group.key) for group in judged.waiting}
        is_mine = self._now is not None and self._now[0] == judged.path
        if is_mine and self._now not in awaited and self._kept is not None:
            self._kept.give_up()  # nobody waits for it any more
        self._changed.notify_all()

    def _next(self) -> tuple[Judged, Group] | None:
        for judged in self.files.values():
            for group in judged.waiting:
                return judged, group
        return None

    def _work(self) -> None:
        with tempfile.TemporaryDirectory(prefix="handgrad-", ignore_cleanup_errors=True) as scratch:
            while True:
                with self._changed:
                    following = self._next()
                    if following is None or self._is_closed:
                        self._now = self._thread = None
                        return
                    judged, group = following
                    self._now = judged.path, group.key
                    if self._kept is None:
                        self._kept = Kept(_environment(), Path.cwd())
                    kept = self._kept
                answer = kept.judge(_task(judged.path, group), Path(scratch), judged.path.parent)
                with self._changed:
                    self._now = None
                    if group in judged.waiting:
                        self._take(judged, group, answer)
                    self.version += 1
                    self._changed.notify_all()

    def _take(self, judged: Judged, group: Group, answer: dict[str, Any]) -> None:
        """Keep what came of a group."""
        judged.again += 1
        problem = answer["problem"]
        if problem and not answer.get("again"):  # it cannot be imported: so it is with all groups
            judged.problem = str(problem)[:400]
        elif problem:
            records = [
                {"function": name, "verdict": UNTESTED, "reason": problem}
                for name in group.functions
            ]
            judged.found[group.key] = Found(records, judged.grouped.lines)
        else:
            course = (answer.get("guessed") or [""])[0]
            if any(found.course not in (None, course) for found in judged.found.values()):
                judged.found = {}  # the file looks like another course's now, where p means something else
            records = list({r["function"]: r for r in answer["records"]}.values())
            judged.found[group.key] = Found(records, judged.grouped.lines, course)
        while len(judged.found) > _MOST:
            del judged.found[next(iter(judged.found))]
        if not judged.waiting:
            judged.seconds = time.perf_counter() - judged.saved


def time_of(path: Path) -> int:
    """Return when a file was saved last, in nanoseconds; 0 for none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    search = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": search}


def _task(path: Path, group: Group) -> dict[str, Any]:
    options = Options(only=group.name)
    return {"path": str(path), "cwd": str(path.parent), "search": sys.path, "memory": MEMORY,
            "seconds": SECONDS, "check": options._asdict()}  # fmt: skip


def _moved(
    record: dict[str, Any],
    file: str,
    before: dict[str, tuple[int, int]],
    now: dict[str, tuple[int, int]],
) -> dict[str, Any]:
    """Return a record with its lines where its function stands now."""

    def line(number: int) -> int:
        for name, (first, last) in before.items():
            if first <= number <= last and name in now:
                return now[name][0] + number - first
        return number

    def text(says: str) -> str:
        pattern = rf"(\bline |\b{re.escape(file)}:)(\d+)"
        return re.sub(pattern, lambda found: found[1] + str(line(int(found[2]))), says)

    def moved(value: Any) -> Any:
        if isinstance(value, str):
            return text(value)
        if isinstance(value, list):
            return [moved(one) for one in value]
        if isinstance(value, dict):
            return {k: line(v) if k == "line" and v else moved(v) for k, v in value.items()}
        return value

    kept = {"function", "verdict", "reason", "causes", "line", "errors"}
    return {key: moved({key: value})[key] for key, value in record.items() if key in kept}
