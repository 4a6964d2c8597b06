"""What becomes of a notebook that is run: its cells' states, the findings, and whether it is good."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handgrad.courses.notebook.diagnosis import Diagnosis
from handgrad.courses.notebook.guess import Choice
from handgrad.courses.notebook.student import Answer
from handgrad.courses.notebook.verdict import BROKEN, Finding

RAN, PASSED, OPEN, SOLVED, WAITS, FAILED = (
    "ran", "passed", "open exercise", "solved", "waits", "FAILED",
)  # fmt: skip
OUTSIDE, FOLLOWS, RUNNING = "outside", "follows", "running"
STATES = {
    PASSED: "only prepares Colab (a drive, a folder, a build); not run",
    OPEN: "an exercise of the course that is not filled in",
    SOLVED: "an exercise that --solve filled in",
    WAITS: "needs what an open exercise was to make",
    OUTSIDE: "needs what is outside of Handgrad",
    FOLLOWS: "fails because of a cell that failed before it",
    FAILED: "raised an error that nothing above explains",
}


@dataclass
class CellResult:
    """What became of one code cell: its state, a note, and how long it ran.

    >>> CellResult(3, 'done', 1.5).seconds
    1.5
    """

    number: int
    state: str
    seconds: float = 0.0
    note: str = ""


@dataclass
class NotebookResult:
    """A notebook that was run: the executed notebook, its cells, and the findings.

    Attributes:
        notebook: the executed notebook; sources as they ran, outputs new.
        choice: the profile, and why.
        answers: the student's files, if any.
        diagnosis: what the checker says of the student's functions that the notebook used.
        stopped: why the run ended early, if it did.
        interrupted: whether the user ended it.
        states_bound: whether the notebook states a bound anywhere.
        holds_output: whether the file holds an earlier output.
        seconds_then: how long the cells took when the file was saved, where it says so.

    >>> result.findings  # doctest: +SKIP
    """

    path: Path
    notebook: Any
    choice: Choice
    answers: list[Answer] = field(default_factory=list)
    cells: list[CellResult] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    diagnosis: Diagnosis | None = None
    stopped: str = ""
    interrupted: bool = False
    states_bound: bool = False
    holds_output: bool = False
    seconds: float = 0.0
    seconds_then: float = 0.0

    def count(self, *states: str) -> int:
        """Return how many cells ended in one of `states`."""
        return sum(cell.state in states for cell in self.cells)

    @property
    def broken(self) -> list[Finding]:
        """The figures that break their bound."""
        return [finding for finding in self.findings if finding.verdict == BROKEN]

    @property
    def failed(self) -> list[CellResult]:
        """The cells that raised an error which no open exercise and no earlier failure explains."""
        return [cell for cell in self.cells if cell.state == FAILED]

    @property
    def is_good(self) -> bool:
        """Whether no bound is broken, no cell failed, and nothing behind a missed bound is wrong."""
        return not (self.broken or self.failed or (self.diagnosis and self.diagnosis.guilty))

    @property
    def word(self) -> str:
        """The result in one word."""
        if self.stopped:
            return "STOPPED"
        if self.failed:
            return "FAILED"
        if self.broken:
            return "BROKEN"
        return "GOOD" if self.is_good else "WRONG"
