"""What is wrong with the student's functions that a notebook leans on, whether its bounds show it or not.

A gradient check cannot see a dropout that does not scale, and many cells only print.  Which functions a
cell leans on is read off the sources: the names in the cell, where its variables come from, and what
the student's own functions and classes call.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handgrad.checker.records import WRONG
from handgrad.courses.notebook.cells import stored_names
from handgrad.courses.notebook.read import parse
from handgrad.courses.notebook.student import Answer

SECONDS = 300


@dataclass
class Diagnosis:
    """The checker's verdicts on a student's functions.

    Attributes:
        cells: function -> the cells that lean on it.
        bad: the cells that failed or broke a bound.
        records: the verdicts, as `handgrad.checker.Verdict.as_dict` gives them.
        text: the verdicts as `handgrad check` prints them.
        problem: why there are none.
    """

    cells: dict[str, list[int]] = field(default_factory=dict)
    bad: set[int] = field(default_factory=set)
    records: list[dict[str, Any]] = field(default_factory=list)
    text: str = ""
    problem: str = ""

    @property
    def wrong(self) -> list[str]:
        """The functions that the checker calls wrong."""
        return [record["function"] for record in self.records if record["verdict"] == WRONG]

    @property
    def guilty(self) -> list[str]:
        """The wrong functions that a failed cell or a broken bound leans on."""
        return [name for name in self.wrong if self.bad.intersection(self.cells[name])]

    def lines(self) -> list[str]:
        """Return what is printed: the verdicts, and which cells each wrong function touches."""
        if self.problem:
            return [self.problem]
        return [*self.text.splitlines(), *(f"{name}: {self.touched(name)}" for name in self.wrong)]

    def touched(self, name: str) -> str:
        """Return which failed cells and broken bounds lean on the function `name`, in words."""
        bad = [str(number) for number in self.cells[name] if number in self.bad]
        if bad:
            return f"behind cell {', '.join(bad)}, which failed or broke a bound"
        return f"no bound shows it; used in cell {', '.join(map(str, self.cells[name]))}"


def leant_on(answers: Sequence[Answer], cells: Iterable[tuple[int, str]]) -> dict[str, list[int]]:
    """Return the student's finished functions that cells lean on, with these cells.

    Args:
        answers: the student's files.
        cells: (number, source), in their order.
    """
    calls = _calls(answers)
    origin: dict[str, set[str]] = {}  # variable -> the student's functions that it came from
    found: dict[str, list[int]] = {}
    for number, source in cells:
        tree = parse(source)
        used: set[str] = set()
        for statement in [] if tree is None else tree.body:
            words = _words(statement)
            here = (words & calls.keys()).union(*(origin.get(word, set()) for word in words))
            used |= here
            for name in stored_names(ast.unparse(statement)) - calls.keys():
                origin[name] = here
        for name in _closed(used, calls):
            found.setdefault(name, []).append(number)
    return found


def diagnose(
    course: str,
    answers: Sequence[Answer],
    cells: dict[str, list[int]],
    bad: set[int],
    folder: Path,
    package: str | None = None,
) -> Diagnosis:
    """Let the checker judge the functions in `cells`, in a process that runs in `folder`."""
    answer = folder / "verdicts.json"
    options = {
        "course": course,
        "answers": {a.module: (str(a.path), list(a.finished), list(a.unfinished)) for a in answers},
        "suspects": list(cells),
        "package": package,
        "answer": str(answer),
    }
    result = Diagnosis(cells, bad)
    try:
        process = subprocess.run(
            [sys.executable, "-P", "-m", "handgrad.courses.notebook.judging"],
            input=json.dumps(options),
            text=True,
            capture_output=True,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": _path(), "MPLBACKEND": "agg"},
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        result.problem = f"the checker did not come to an end in {SECONDS} s"
        return result
    try:
        found = json.loads(answer.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        last = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
        result.problem = f"the checker could not run: {last[-1]}"
        return result
    result.records, result.text = found["records"], found["text"]
    return result


def _path() -> str:
    """Return where the process finds this very package, in front of what it had."""
    entries = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(entry for entry in entries if entry)


def _calls(answers: Sequence[Answer]) -> dict[str, set[str]]:
    """Return each finished function or class with the finished ones that its source names."""
    finished = {name for answer in answers for name in answer.finished}
    calls: dict[str, set[str]] = {name: set() for name in finished}
    for answer in answers:
        for node in ast.parse(answer.path.read_bytes()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in finished:
                calls[node.name] |= (_words(node) & finished) - {node.name}
    return calls


def _closed(names: set[str], calls: dict[str, set[str]]) -> list[str]:
    """Return `names` and all that they lead to, in the order of `calls`."""
    reached, waiting = set(names), list(names)
    while waiting:
        more = calls[waiting.pop()] - reached
        reached |= more
        waiting += more
    return [name for name in calls if name in reached]


def _words(node: ast.AST) -> set[str]:
    """Return the names that `node` reads, and its texts, as in ``update_rule='adam'``."""
    names = {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }
    attributes = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    texts = {
        n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }
    return names | attributes | texts
