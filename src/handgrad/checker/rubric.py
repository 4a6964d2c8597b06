"""Judging many submissions, each apart from the others and within limits, for a table of points.

A submission is a folder, a Python file, a zip file or a notebook.  It is copied, and the copy is
checked in a kept process (see `kept` and `worker`), which can write nowhere else; what it prints is thrown
away.
The rubric is read by `handgrad.checker.points`, the results are written by `handgrad.checker.results`.
"""

from __future__ import annotations

import os
import site
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handgrad.checker import results as written
from handgrad.checker.kept import GRACE, Kept
from handgrad.checker.likeness import Likeness, alike, read_sources
from handgrad.checker.loading import CheckError
from handgrad.checker.points import Rubric as Rubric
from handgrad.checker.points import read_rubric as read_rubric
from handgrad.checker.records import NOT_WRITTEN, UNTESTED
from handgrad.checker.submissions import copy, name_of, submissions_in, wide_file
from handgrad.checker.worker import can_limit_memory

_KEPT = (
    "PATH", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL",
)  # fmt: skip
NO_LIMIT = "this system limits no process's memory: a submission that takes too much is not stopped"


@dataclass
class Row:
    """What became of one submission: its records, or the reason why there are none.

    Attributes:
        records: one for each function.
        problem: what kept some or all of it from being judged.
        remarks: the course that was guessed, which of two definitions counts, what was left out.
        sources: see `likeness.read_sources`.
    """

    name: str
    records: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""
    remarks: list[str] = field(default_factory=list)
    sources: dict[str, Any] = field(default_factory=dict)

    def record(self, function: str) -> dict[str, Any] | None:
        """Return the record of a function, or None."""
        return next((one for one in self.records if one["function"] == function), None)

    def points_of(self, rubric: Rubric, function: str) -> float:
        """Return the points of one function."""
        return rubric.of(function, self.record(function))

    def points(self, rubric: Rubric) -> float:
        """Return the points of all functions."""
        return sum(self.points_of(rubric, function) for function in rubric.points)

    @property
    def libraries(self) -> list[str]:
        """Libraries that differentiate by themselves, and where they are used."""
        return list(self.sources.get("libraries", ()))


@dataclass
class Class:
    """All rows, and the pairs of submissions that should be looked at together."""

    rows: list[Row]
    pairs: list[Likeness]
    remarks: list[str]


def judge_all(
    rubric: Rubric, folder: Path, results: Path, *, seen: Callable[[Row], None] | None = None
) -> list[Row]:
    """Judge every submission in `folder`; write tables and pages into `results`.

    seen: called with each row when it is there.
    """
    rows = []
    found = submissions_in(folder)
    results.mkdir(parents=True, exist_ok=True)
    remarks = [] if can_limit_memory() else [NO_LIMIT]
    try:
        with keeping() as kept:
            for submission in found:
                row = judge_one(rubric, submission.path, name=submission.name, kept=kept)
                rows.append(row)
                if seen:
                    seen(row)
    finally:  # after Ctrl-C, what there is
        remarks += [f"stopped after {len(rows)} of {len(found)}"] if len(rows) < len(found) else []
        written.write(rubric, Class(rows, _pairs(rubric, rows), remarks), results)
    return rows


def _pairs(rubric: Rubric, rows: Sequence[Row]) -> list[Likeness]:
    skeleton = None
    if rubric.skeleton is not None:
        with tempfile.TemporaryDirectory(prefix="handgrad-") as scratch:
            copy(rubric.skeleton, Path(scratch), frozenset(rubric.points))
            skeleton = read_sources(Path(scratch), rubric.points)["functions"]
    functions = {row.name: _own_functions(row) for row in rows}
    return alike(functions, rubric.points, skeleton)


def _own_functions(row: Row) -> dict[str, Sequence[str]]:
    """The functions of a submission, without those that are still the skeleton's."""
    empty = {f"{one['file']}:{one['function']}" for one in row.records
             if one["verdict"] == NOT_WRITTEN}  # fmt: skip
    functions = row.sources.get("functions", {})
    return {place: tokens for place, tokens in functions.items() if place not in empty}


@contextmanager
def keeping() -> Iterator[Kept]:
    """Yield a process that judges submissions; it knows nothing of the teacher's."""
    with tempfile.TemporaryDirectory(prefix="handgrad-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch).resolve()
        with Kept(environment(folder), folder) as kept:
            yield kept


def judge_one(rubric: Rubric, submission: Path, *, name: str = "", kept: Kept | None = None) -> Row:
    """Check a copy of a submission in a process with limits.

    kept: the process that is asked; without it, one of its own.

    Where one function hangs, crashes or takes too much memory, the others are judged again one by
    one, within as much time once more.
    """
    if kept is None:
        with keeping() as kept:
            return judge_one(rubric, submission, name=name, kept=kept)
    row = Row(name or name_of(submission))
    with tempfile.TemporaryDirectory(prefix="handgrad-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch).resolve() / "submission"
        folder.mkdir()
        try:
            row.remarks += copy(submission, folder, frozenset(rubric.points))
        except CheckError as error:
            row.problem = str(error).removeprefix("check: ")
            return row
        answer = _ask(kept, rubric, folder, "", rubric.seconds)
        row.sources = answer.get("sources", {})
        records = answer["records"]
        row.problem = answer["problem"]
        row.remarks += answer["remarks"]
        if answer.get("again"):
            records, notes = _one_by_one(kept, rubric, folder)
            row.remarks += notes
            if not any(_is_unjudged(one) for one in records):
                row.remarks.append(f"judged function by function; at first, {row.problem}")
                row.problem = ""
        if not records:
            row.problem = wide_file(folder) or row.problem
    row.records, notes = _counted(rubric, records, row.sources.get("imports", {}))
    row.remarks += notes
    if row.records and all(record["verdict"] == UNTESTED for record in row.records):
        row.problem = row.problem or str(row.records[0]["reason"])
    return row


def _one_by_one(kept: Kept, rubric: Rubric, folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    end = time.monotonic() + rubric.seconds + GRACE
    records: list[dict[str, Any]] = []
    remarks: list[str] = []
    for function in rubric.points:
        if any(record["function"] == function for record in records):
            continue
        left = end - time.monotonic()
        if left <= 0:
            records.append(_unjudged(function, "there was no time left to judge it"))
            continue
        seconds = min(left, max(rubric.seconds / 4, 2.0))
        answer = _ask(kept, rubric, folder, function.partition(".")[0], seconds)
        known = {record["function"] for record in records}
        records += [one for one in answer["records"] if one["function"] not in known]
        remarks += [one for one in answer["remarks"] if one not in remarks]
        if answer.get("again"):
            records.append(_unjudged(function, answer["problem"]))
    return records, remarks


def _is_unjudged(record: Mapping[str, Any]) -> bool:
    return bool(record["verdict"] == UNTESTED and not record["file"])


def _unjudged(function: str, reason: str) -> dict[str, Any]:
    return {
        "function": function, "verdict": UNTESTED, "reason": reason, "causes": [], "errors": {},
        "notes": [], "cautions": [], "file": "", "line": None, "parts": {}, "maps": [],
    }  # fmt: skip


# the process


def _ask(kept: Kept, rubric: Rubric, folder: Path, only: str, seconds: float) -> dict[str, Any]:
    """Return what the process says: records, remarks, a problem, and whether to try again."""
    scratch = folder.parent
    task = {
        "path": str(folder), "folder": str(folder), "cwd": str(folder), "environment": own(scratch),
        "memory": rubric.memory, "seconds": seconds, "functions": list(rubric.points),
        "check": {
            "drops": None if rubric.dropout is None else rubric.dropout == "drop",
            "course": rubric.course, "strict": rubric.strict, "only": only,
        },
    }  # fmt: skip
    return kept.judge(task, scratch, folder)


def own(scratch: Path) -> dict[str, str]:
    """Return the variables that name a submission's own folder."""
    return dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP"), str(scratch))


def environment(scratch: Path) -> dict[str, str]:
    """Return the worker's environment: nothing of the teacher's but what Python needs to start."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    paths = [str(Path(__file__).parents[2])]  # -P keeps the submission's folder out
    paths += [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep)
              if one and Path(one).is_absolute()]  # fmt: skip
    base = {"PYTHONUSERBASE": site.getuserbase()} if site.ENABLE_USER_SITE else {}
    threads = {"OPENBLAS_NUM_THREADS": "1", "HANDGRAD_NUM_THREADS": "1"}
    return {**kept, **own(scratch), **base, **threads, "PYTHONPATH": os.pathsep.join(paths)}


# one verdict for each function


def _counted(
    rubric: Rubric, records: Sequence[dict[str, Any]], imports: dict[str, list[str]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return one record for each function, and remarks about those that were defined twice.

    The rubric's file counts; else the one that most of the submission's files import; else the one
    of a course's place, the nearest to the top, the first by name.
    """
    importers = {
        file: [
            other for other, names in imports.items() if other != file and Path(file).stem in names
        ]
        for file in {record["file"] for record in records}
    }

    def rank(record: dict[str, Any]) -> tuple[Any, ...]:
        file = record["file"]
        named = [i for i, name in enumerate(rubric.file) if f"/{file}".endswith(f"/{name}")]
        return (min(named, default=len(rubric.file)), record["verdict"] == UNTESTED,
                -len(importers[file]), file.count("/"), file)  # fmt: skip

    chosen: dict[str, dict[str, Any]] = {}
    remarks: dict[str, list[str]] = {}
    for record in records:
        name = record["function"]
        if name in chosen:
            continue
        same = sorted((one for one in records if one["function"] == name), key=rank)
        chosen[name] = same[0]
        files = list(dict.fromkeys(one["file"] for one in same))
        if len(files) > 1:
            file = files[0]
            others = ", ".join(files[1:])
            if rank(same[0])[0] < len(rubric.file):
                why = "the rubric names it"
            elif importers[file] and len(importers[file]) > len(importers[files[1]]):
                why = f"imported by {', '.join(sorted(importers[file])[:3])}"
            else:
                why = "no file is imported more than another: the first one is taken"
            remarks.setdefault(f"{file} counts ({why}), not {others}", []).append(name)
    return list(chosen.values()), [f"{', '.join(names)}: {why}" for why, names in remarks.items()]
