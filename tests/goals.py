"""What the suites say about the goals of reliability, as JSON lines in the file that HANDGRAD_GOALS names.

A test that counts something itself calls `record`.  Where a goal is many tests, they carry
``@pytest.mark.goal(number, "what one of them is")`` (or ``pytestmark`` for a whole file); conftest.py
counts them, and writes one line for each goal and text when the run is over.  A test that makes several
such checks says how many by ``record_property("checks", n)``.  Without HANDGRAD_GOALS nothing is
written.  A line holds:

    goal     the number
    figure   what was found, as in "200 kills, 200 bit-identical"
    test     the test that found it, or the file
    passed   false where a test failed; a figure of `record` is always of a test that passed so far
    date     when, in UTC
    commit   ``git describe`` of the checkout, "" where there is none
"""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path


def record(goal: int, figure: str, *, test: str | None = None, passed: bool = True) -> None:
    """Append the figure of a goal; call it last in a test, when everything has been checked."""
    path = os.environ.get("HANDGRAD_GOALS")
    if not path:
        return
    if test is None:
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    line = {
        "goal": goal,
        "figure": figure,
        "test": test,
        "passed": passed,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
    }
    with Path(path).open("ab") as file:  # one write, so that processes side by side do not mix
        file.write(json.dumps(line).encode() + b"\n")


@cache
def commit() -> str:
    """Return the commit of the checkout that holds the tests."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


class Counter:
    """Counts the tests marked with a goal; pytest calls its methods."""

    def __init__(self) -> None:
        self.results: dict[tuple[int, str, str], list[int]] = {}

    def add(self, goal: int, what: str, file: str, outcome: str, checks: int = 1) -> None:
        """Count one test, or the checks that it made."""
        counts = self.results.setdefault((goal, what, file), [0, 0, 0])
        counts[("passed", "failed", "skipped").index(outcome)] += checks

    def write(self) -> None:
        """Record one figure for each goal and text."""
        for (goal, what, file), (passed, failed, skipped) in sorted(self.results.items()):
            figure = f"{passed + failed:,} {what}, {failed} failed"
            figure += f", {skipped} skipped" if skipped else ""
            record(goal, figure, test=file, passed=failed == 0)
