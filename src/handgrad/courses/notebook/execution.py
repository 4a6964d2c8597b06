"""The run itself: cell by cell, with what each leaves open, wants, or takes down with it."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from handgrad.courses.notebook import cells as look
from handgrad.courses.notebook.client import environment, make_client
from handgrad.courses.notebook.read import package
from handgrad.courses.notebook.results import (
    FAILED,
    FOLLOWS,
    OPEN,
    OUTSIDE,
    PASSED,
    RAN,
    RUNNING,
    SOLVED,
    WAITS,
    CellResult,
    NotebookResult,
)
from handgrad.courses.notebook.solve import solution
from handgrad.courses.notebook.verdict import judge_cell
from handgrad.courses.shims import outside
from handgrad.errors import DataError

START = 300  # seconds in which the kernel must be ready
_SEEDS = re.compile(r"\bseed\(|\bRandomState\(\d|\bdefault_rng\(\d")
_OUTSIDE = re.compile(r"(?:^|: )([^:]*\b(?:is|are) outside of Handgrad.*)$")
_UNDEFINED = re.compile(r"^NameError: name '(\w+)' is not defined")
_NO_NAME = re.compile(r"^ImportError: cannot import name '(\w+)' from '([\w.]+)' \(.*\)$")
_NONE = re.compile(r"\bNone(?:Type)?\b")
_ABSENT = ("NameError", "NotImplementedError")
_EMPTY = ("KeyError", "IndexError", "ValueError", "ZeroDivisionError")

Progress = Callable[[CellResult, int], None]


class Runner:
    """The state of one run: the kernel's client, and which variables are missing, and why."""

    def __init__(
        self,
        result: NotebookResult,
        solve: bool,
        timeout: int,
        renamed: str | None = None,
        python2: bool = False,
    ) -> None:
        """Prepare to run the notebook of `result`; `renamed` is a fork's name for the course's package."""
        self.result = result
        self.solve = solve
        self.timeout = timeout
        self.renamed = renamed
        self.python2 = python2
        self.open: dict[str, int] = {}  # variable -> the cell that left it open
        self.empty: set[str] = set()  # those of them that are empty, and not None
        self.missing: dict[str, tuple[int, str]] = {}  # name -> the cell that was to make it, state
        self.lost: tuple[int, str] | None = None  # a star-import that failed: its cell, state
        self.code = ""
        self.client: Any = None

    def run(self, folder: Path, data_dir: str | None, progress: Progress | None) -> None:
        """Run all cells in `folder`; `progress` is called before and after each."""
        problems = package("nbclient.exceptions")
        result = self.result
        self.client = make_client(result.notebook, folder, self.timeout)
        start = time.perf_counter()
        try:
            with self.client.setup_kernel(env=environment(folder), stderr=subprocess.DEVNULL):
                try:
                    self._prepare(data_dir)
                except problems.CellTimeoutError:
                    raise DataError(f"the kernel was not ready within {START} s") from None
                self._cells(progress, problems)
        except KeyboardInterrupt:
            result.interrupted = True
            result.stopped = result.stopped or "interrupted before the first cell"
        result.seconds = time.perf_counter() - start

    def _cells(self, progress: Progress | None, problems: Any) -> None:
        result = self.result
        count = sum(cell.cell_type == "code" for cell in result.notebook.cells)
        markdown = ""
        for number, cell in enumerate(result.notebook.cells):
            if cell.cell_type != "code":
                markdown += cell.source + "\n\n"
                continue
            earlier, cell.outputs = cell.outputs, []
            if progress is not None:
                progress(CellResult(number, RUNNING, note=_first_line(cell.source)), count)
            began = time.perf_counter()
            try:
                done = self._cell(number, cell)
            except problems.CellTimeoutError:
                done = CellResult(number, FAILED)
                result.stopped = (
                    f"cell {number} ran longer than {self.timeout} s; --timeout gives it longer"
                )
            except problems.DeadKernelError:
                done = CellResult(number, FAILED)
                result.stopped = f"the kernel died in cell {number}; did the memory run out?"
            except KeyboardInterrupt:
                done = CellResult(number, RUNNING, note="interrupted")
                result.interrupted = True
                result.stopped = (
                    f"interrupted in cell {number}; the verdict is on the cells before it"
                )
            done.seconds = time.perf_counter() - began
            result.cells.append(done)
            result.seconds_then += _seconds_then(cell)
            if (
                done.state not in (PASSED, RUNNING) and not result.stopped
            ):  # a cell cut off is not judged
                result.findings += judge_cell(
                    number,
                    cell.source,
                    markdown,
                    cell.outputs,
                    earlier,
                    seeded=_SEEDS.search(self.code) is not None,
                )
            if progress is not None:
                progress(done, count)
            if result.stopped:
                return
            if cell.source.strip():
                markdown = ""

    def _prepare(self, data_dir: str | None) -> None:
        """Run the hidden first cell."""
        options = {
            "course": self.result.choice.profile,
            "data_dir": data_dir,
            "answers": {a.module: (str(a.path), a.unfinished) for a in self.result.answers},
            "package": self.renamed,
            "python2": self.python2,
        }
        self.client.timeout = max(
            self.timeout, START
        )  # the user's limit is for the notebook's cells
        failure = self._run(
            "import json as _json, sys as _sys\n"
            f"_sys.path.append({str(Path(__file__).parents[3])!r})\n"
            "from handgrad.courses.notebook.kernel import prepare as _prepare\n"
            f"_prepare(get_ipython(), **_json.loads({json.dumps(options)!r}))\n"
            "del _json, _sys, _prepare",
            hidden=True,
        )
        self.client.timeout = self.timeout
        if failure:
            raise DataError(
                f"the course {self.result.choice.profile} cannot be prepared: {failure}"
            )

    def _cell(self, number: int, cell: Any) -> CellResult:
        """Run the code cell `cell` and say what became of it."""
        if not cell.source.strip():
            return CellResult(number, RAN)
        if look.is_preparation(cell.source):
            note = "only prepares Colab (drive, folder, build)"
            text = f"[handgrad notebook: passed: {note}]\n"
            stream = package("nbformat.v4").new_output("stream", name="stdout", text=text)
            cell.outputs = [stream]
            return CellResult(number, PASSED, note=note)
        self.code += cell.source + "\n"
        failure = self._run(cell.source, cell=cell, number=number)
        if failure:
            return self._failed(number, cell, failure)
        names = look.open_names(cell.source)
        for name in look.stored_names(cell.source) - names:
            self.open.pop(name, None)
            self.missing.pop(name, None)
        for name, other in look.renamings(cell.source).items():
            if other in self.open:
                self.open[name] = self.open[other]
        if not names:
            return CellResult(number, RAN)
        return self._exercise(number, cell, names)

    def _exercise(self, number: int, cell: Any, names: set[str], behind: str = "") -> CellResult:
        """Fill the open exercise of `cell` if asked and known; note it as open otherwise.

        `behind` are the statements behind the exercise that its variables' being None kept from running.
        """
        what = ", ".join(sorted(names))
        answer = solution(names, self.code) if self.solve else None
        if look.left_empty(cell.source):
            behind = look.behind_pass(cell.source)  # it printed what was empty
        if answer is not None:
            printed = cell.outputs
            cell.outputs = [output for output in printed if output.output_type != "error"]
            failure = self._run(f"{answer}\n{behind}", cell=cell, number=number, more=True)
            if not failure:
                return CellResult(number, SOLVED, note=f"{what} filled by --solve")
            if not failure.startswith("NameError"):
                return CellResult(number, FAILED, note=f"{what} could not be filled: {failure}")
            cell.outputs = printed  # the notebook lacks what the known solution builds upon
        self.open |= dict.fromkeys(names, number)
        self.empty |= look.left_empty(cell.source)
        self.empty -= look.left_none(cell.source)
        left = " and ".join(
            f"{', '.join(sorted(some))} left {how}"
            for some, how in (
                (look.left_none(cell.source), "None"),
                (look.left_empty(cell.source), "empty"),
                (names - look.left_none(cell.source) - look.left_empty(cell.source), "open"),
            )
            if some
        )
        return CellResult(number, OPEN, note=left)

    def _failed(self, number: int, cell: Any, failure: str) -> CellResult:
        """Say why `cell` failed: an open exercise, what is outside, an earlier failure, or itself."""
        none = _NONE.search(failure) is not None or failure.startswith(_ABSENT)
        own = look.left_none(cell.source) | look.left_functions(cell.source)
        unmade = _UNDEFINED.match(failure)
        if unmade and unmade[1] not in self.missing and look.waits_for(cell.source, unmade[1]):
            own = {unmade[1]}
        elif not (own & look.read_names(cell.source) and none):
            own = set()
        if own:
            done = self._exercise(number, cell, own, look.behind(cell.source, own))
            if done.state == OPEN:
                self.open |= dict.fromkeys(look.stored_names(cell.source) - own, number)
            return done
        waiting = look.read_names(cell.source) & self.open.keys()
        if not none:
            waiting &= self.empty if failure.startswith(_EMPTY) else set()
        if waiting:
            stored = look.stored_names(cell.source)
            cause = min(self.open[name] for name in waiting - stored or waiting)
            for name in stored:
                self.open.setdefault(name, cause)
            return CellResult(number, WAITS, note=f"waits for the exercise of cell {cause}")
        stored = look.stored_names(cell.source)
        done = self._told(number, failure, look.read_names(cell.source), stored)
        for name in stored:
            self.missing.setdefault(name, (number, done.state))
        if look.imports_all(cell.source) and ("ImportError" in failure or "NotFound" in failure):
            self.lost = self.lost or (number, done.state)
        return done

    def _told(self, number: int, failure: str, reads: set[str], stores: set[str]) -> CellResult:
        """Return what a failure that no exercise explains says of its cell, which reads and stores names."""
        if match := _OUTSIDE.search(failure):
            return CellResult(number, OUTSIDE, note=match[1])
        found = None
        if match := _UNDEFINED.match(failure):
            found = self.missing.get(match[1], self.lost)
        elif _NONE.search(failure):  # what a failed cell began with None
            found = min((self.missing[name] for name in reads & self.missing.keys()), default=None)
        if found is not None:
            cause, state = found
            state = OUTSIDE if state == OUTSIDE else FOLLOWS
            return CellResult(
                number, state, note=f"{failure}: follows from cell {cause}, which failed"
            )
        stale = {name: self.missing[name] for name in (reads - stores) & self.missing.keys()}
        old = min(
            ((cause, name) for name, (cause, state) in stale.items() if state != OUTSIDE),
            default=None,
        )
        if old is not None and failure.startswith(("KeyError", "IndexError")):
            note = f"{failure}: perhaps it follows from cell {old[0]}, which failed and was to make {old[1]}"
            return CellResult(number, FOLLOWS, note=note)
        if match := _NO_NAME.match(failure):
            name, module = match.groups()
            if why := outside(f"{module}.{name}"):
                return CellResult(number, OUTSIDE, note=why)
            whose = f"in {self.result.choice.profile} of Handgrad"
            if module.partition(".")[0] in ("numpy", "scipy", "matplotlib"):
                whose = "in the version that is installed"
            failure = f"ImportError: {module} has no {name} {whose}"
        return CellResult(number, FAILED, note=failure)

    def _run(
        self,
        source: str,
        *,
        cell: Any = None,
        number: int = 0,
        hidden: bool = False,
        more: bool = False,
    ) -> str:
        """Run `source` and return the error it raised, as "Type: message", or ""."""
        running = package("nbformat.v4").new_code_cell(source)
        try:
            self.client.execute_cell(running, number, store_history=not hidden)
        finally:
            if cell is not None:  # what it printed before an interruption is kept
                cell.outputs = [*cell.outputs, *running.outputs] if more else running.outputs
                cell.execution_count = running.execution_count
        for output in running.outputs:
            if output.output_type == "error":
                lines = str(output.evalue).strip().splitlines() or [""]
                return f"{output.ename}: {lines[0]}"
        return ""


def _first_line(source: str) -> str:
    """Return the first line of `source` that does something, for the eye."""
    lines = [line.strip() for line in source.splitlines()]
    return next((line for line in lines if line and not line.startswith("#")), "")


def _seconds_then(cell: Any) -> float:
    """Return how long the cell took when it was saved: Colab notes it, in milliseconds."""
    noted = cell.metadata.get("executionInfo", {}).get("elapsed", 0)
    return noted / 1000 if isinstance(noted, int | float) else 0.0
