"""Judging many submissions: each in a process of its own, with limits, for a table of points.

A rubric is a TOML file::

    dropout = "keep"          # what dropout's p means; or "drop"
    seconds = 60              # for one submission
    memory = 2048             # MiB

    [points]
    affine_forward = 1
    affine_backward = 2

A submission is a folder, or a Python file.  It is copied, and the copy is checked by
`handgrad.checker.worker`, which can write nowhere else; what it prints is thrown away.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handgrad.checker.loading import CheckError
from handgrad.checker.page import page
from handgrad.checker.records import RIGHT, UNTESTED

_KEYS = {"dropout", "memory", "points", "seconds"}
_LARGEST_ANSWER = 20_000_000  # bytes


@dataclass(frozen=True)
class Rubric:
    """Points for each function, and the limits of one submission."""

    points: dict[str, float]
    seconds: float = 60.0
    memory: int = 2048
    dropout: str = "keep"


@dataclass
class Row:
    """What became of one submission: its records, or the reason why there are none."""

    name: str
    records: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""

    def points(self, rubric: Rubric) -> float:
        """Return the points of the functions that are right."""
        right = {record["function"] for record in self.records if record["verdict"] == RIGHT}
        return sum(points for name, points in rubric.points.items() if name in right)


def read_rubric(path: Path) -> Rubric:
    """Read a rubric; CheckError says what is wrong with it."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckError(f"check: the rubric {path} cannot be read: {error}") from None
    unknown = sorted(set(table) - _KEYS)
    points = table.get("points")
    if unknown:
        raise CheckError(
            f"check: {path}: unknown {', '.join(unknown)}; known are {', '.join(sorted(_KEYS))}"
        )
    if not isinstance(points, dict) or not points:
        raise CheckError(f"check: {path} needs a table [points], function = points")
    numbers = [*points.values(), table.get("seconds", 60), table.get("memory", 2048)]
    if not all(isinstance(number, int | float) and number >= 0 for number in numbers):
        raise CheckError(f"check: {path}: points, seconds and memory must be numbers of at least 0")
    if table.get("dropout", "keep") not in ("keep", "drop"):
        raise CheckError(f'check: {path}: dropout must be "keep" or "drop"')
    return Rubric(**table)


def judge_all(rubric: Rubric, folder: Path, results: Path, *, seen: Any = None) -> list[Row]:
    """Judge every submission in `folder`; write results.csv and one page for each.

    seen: called with each row when it is there.
    """
    submissions = sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith((".", "_")) and (path.is_dir() or path.suffix == ".py")
    )
    if not submissions:
        raise CheckError(f"check: {folder} holds no submissions (folders or Python files)")
    results.mkdir(parents=True, exist_ok=True)
    rows = []
    for submission in submissions:
        row = judge_one(rubric, submission)
        rows.append(row)
        records = row.records or [_nothing(row.problem)]
        (results / f"{row.name}.html").write_text(page(row.name, records), "utf-8")
        if seen:
            seen(row)
    _write_table(rubric, rows, results / "results.csv")
    return rows


def judge_one(rubric: Rubric, submission: Path) -> Row:
    """Check a copy of a submission in a process with limits."""
    with tempfile.TemporaryDirectory(prefix="handgrad-") as scratch:
        copy, answer = Path(scratch, "submission"), Path(scratch, "answer.json")
        copy.mkdir()
        try:
            if submission.is_dir():
                shutil.copytree(submission, copy, dirs_exist_ok=True, symlinks=True)
            else:
                shutil.copy(submission, copy)
        except (OSError, shutil.Error) as error:
            return Row(submission.stem, problem=f"cannot be copied: {error}")
        name = submission.name if submission.is_dir() else submission.stem
        command = [sys.executable, "-P", "-m", "handgrad.checker.worker", str(copy), str(answer)]
        command += [rubric.dropout, str(rubric.memory), str(int(rubric.seconds) + 1)]
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(Path(__file__).parents[2]),  # -P keeps the submission's folder out
            "HOME": scratch,
            "TMPDIR": scratch,
            "OPENBLAS_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=copy,
            env=environment,
            start_new_session=True,
        )
        try:
            code = process.wait(rubric.seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            return Row(name, problem=f"stopped after {rubric.seconds:g} seconds")
        finally:
            _kill(process)
        return _read_answer(name, answer, code)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()


def _read_answer(name: str, answer: Path, code: int) -> Row:
    try:
        if answer.stat().st_size > _LARGEST_ANSWER:
            return Row(name, problem="its report is too large")
        found = json.loads(answer.read_text("utf-8"))
        row = Row(name, found["records"], found["problem"])
        if row.records and all(record["verdict"] == UNTESTED for record in row.records):
            row.problem = row.problem or str(row.records[0]["reason"])
        return row
    except (OSError, ValueError, KeyError):
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return Row(name, problem=f"it ended before it was judged ({how})")


def _nothing(problem: str) -> dict[str, Any]:
    return {
        "function": "submission", "verdict": "not testable here", "reason": problem, "causes": [],
        "errors": {}, "file": "", "line": None,
    }  # fmt: skip


def _write_table(rubric: Rubric, rows: list[Row], path: Path) -> None:
    total = sum(rubric.points.values())
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["submission", "points", "of", "problem", *rubric.points])
        for row in rows:
            verdicts = {record["function"]: record["verdict"] for record in row.records}
            cells = [verdicts.get(function, "missing") for function in rubric.points]
            name = (
                "'" + row.name if row.name[:1] in "=+-@" else row.name
            )  # no formula in a spreadsheet
            writer.writerow([name, f"{row.points(rubric):g}", f"{total:g}", row.problem, *cells])
