"""Running a notebook: a kernel of its own, in a temporary folder, cell by cell."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handgrad.courses import get_profile
from handgrad.courses.notebook.cells import (
    is_preparation,
    open_names,
    read_names,
    stored_names,
)
from handgrad.courses.notebook.diagnosis import Diagnosis, diagnose, leant_on
from handgrad.courses.notebook.guess import Choice, guess_course
from handgrad.courses.notebook.read import package, read_notebook
from handgrad.courses.notebook.solve import solution
from handgrad.courses.notebook.student import Answer, examine
from handgrad.courses.notebook.verdict import AS_THEN, BROKEN, Finding, judge_cell
from handgrad.courses.notebook.workspace import workspace
from handgrad.data import find_cifar10
from handgrad.errors import DataError, HandgradError

RAN, PASSED, OPEN, SOLVED, WAITS, FAILED = (
    "ran", "passed", "open exercise", "solved", "waits", "FAILED",
)  # fmt: skip
START = 300  # seconds in which the kernel must be ready
_SEEDS = re.compile(r"\bseed\(|\bRandomState\(\d|\bdefault_rng\(\d")


@dataclass
class CellResult:
    """What became of one code cell: its state, a note, and how long it ran."""

    number: int
    state: str
    seconds: float = 0.0
    note: str = ""


@dataclass
class NotebookResult:
    """A notebook that was run: the executed notebook, its cells, and the findings.

    Attributes:
        notebook: the executed notebook; sources unchanged, outputs new.
        choice: the profile, and why.
        answers: the student's files, if any.
        diagnosis: what the checker says of the student's functions that the notebook used.
        stopped: why the run ended early, if it did.
        seconds_then: how long the cells took when the file was saved, where it says so.
    """

    path: Path
    notebook: Any
    choice: Choice
    answers: list[Answer] = field(default_factory=list)
    cells: list[CellResult] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    diagnosis: Diagnosis | None = None
    stopped: str = ""
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
        """The cells that raised an error which no open exercise explains."""
        return [cell for cell in self.cells if cell.state == FAILED]

    @property
    def is_good(self) -> bool:
        """Whether no bound is broken, no cell failed, and nothing behind a missed bound is wrong."""
        return not (self.broken or self.failed or (self.diagnosis and self.diagnosis.guilty))


def run_notebook(
    path: str | Path,
    *,
    course: str | None = None,
    data_dir: str | Path | None = None,
    student: str | Path | None = None,
    solve: bool = False,
    timeout: int = 1800,
    progress: Callable[[CellResult, int], None] | None = None,
) -> NotebookResult:
    """Run the notebook in the file `path` as it was written, and judge what it prints.

    Args:
        path: an ``.ipynb`` file; it is not changed.
        course: a profile's name; None chooses it from the notebook.
        data_dir: where CIFAR-10 lies; None looks where `handgrad data` puts it.
        student: a folder with a student's files, which then answer the imports where they are finished.
        solve: fill the well-known open exercises.
        timeout: seconds that one cell may take.
        progress: called after every code cell, with its result and the number of code cells.

    Raises:
        HandgradError: the notebook cannot be run; the message is one line that says why.
    """
    path = Path(path)
    notebook = read_notebook(path)
    choice = (
        guess_course(notebook) if course is None else Choice(get_profile(course).name, "as asked")
    )
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    batches = _find_data(path, code, data_dir)
    answers = [] if student is None else examine(student, get_profile(choice.profile).course)
    result = NotebookResult(path, notebook, choice, answers)
    with workspace(path, code, batches) as folder:
        runner = _Runner(result, solve, timeout)
        runner.run(folder, None if data_dir is None else str(Path(data_dir).resolve()), progress)
        if answers:
            result.diagnosis = _diagnosis(result, folder)
    return result


def _diagnosis(result: NotebookResult, folder: Path) -> Diagnosis | None:
    """Return the checker's word on the student's functions that the notebook used; None if on none.

    Those behind a failed cell or a missed bound are marked, and a bound that the file's earlier output
    missed too counts here: that output may be the student's own.
    """
    bad = {finding.cell for finding in result.findings if finding.verdict in (BROKEN, AS_THEN)}
    bad |= {cell.number for cell in result.failed}
    cells = [(cell.number, result.notebook.cells[cell.number].source) for cell in result.cells]
    found = leant_on(result.answers, cells)
    if not found:
        return None
    return diagnose(result.choice.profile, result.answers, found, bad, folder)


def _find_data(path: Path, code: str, data_dir: str | Path | None) -> Path | None:
    """Return the folder of CIFAR-10's batches, or None; DataError if the notebook needs it."""
    if "get_CIFAR10_data" not in code and "load_CIFAR10" not in code:
        return None
    try:
        found = find_cifar10(data_dir).path
    except HandgradError as error:
        raise DataError(f"{path.name} loads CIFAR-10, which is missing: {error}") from None
    return found if found.is_dir() else None


class _Runner:
    """The state of one run: the kernel's client, and which variables still wait for an exercise."""

    def __init__(self, result: NotebookResult, solve: bool, timeout: int) -> None:
        self.result = result
        self.solve = solve
        self.timeout = timeout
        self.open: dict[str, int] = {}  # variable -> the cell that left it open
        self.code = ""
        self.client: Any = None

    def run(
        self,
        folder: Path,
        data_dir: str | None,
        progress: Callable[[CellResult, int], None] | None,
    ) -> None:
        problems = package("nbclient.exceptions")
        result = self.result
        self.client = _client(result.notebook, folder, self.timeout)
        count = sum(cell.cell_type == "code" for cell in result.notebook.cells)
        markdown = ""
        start = time.perf_counter()
        with self.client.setup_kernel(env=_environment(folder), stderr=subprocess.DEVNULL):
            try:
                self._prepare(data_dir)
            except problems.CellTimeoutError:
                raise DataError(f"the kernel was not ready within {START} s") from None
            for number, cell in enumerate(result.notebook.cells):
                if cell.cell_type != "code":
                    markdown += cell.source + "\n\n"
                    continue
                earlier, cell.outputs = cell.outputs, []
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
                done.seconds = time.perf_counter() - began
                result.cells.append(done)
                result.seconds_then += _seconds_then(cell)
                if done.state != PASSED:
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
                    break
                if cell.source.strip():
                    markdown = ""
        result.seconds = time.perf_counter() - start

    def _prepare(self, data_dir: str | None) -> None:
        """Run the hidden first cell."""
        options = {
            "course": self.result.choice.profile,
            "data_dir": data_dir,
            "answers": {a.module: (str(a.path), a.unfinished) for a in self.result.answers},
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
        if is_preparation(cell.source):
            note = "only prepares Colab (drive, folder, build)"
            text = f"[handgrad notebook: passed: {note}]\n"
            stream = package("nbformat.v4").new_output("stream", name="stdout", text=text)
            cell.outputs = [stream]
            return CellResult(number, PASSED, note=note)
        self.code += cell.source + "\n"
        failure = self._run(cell.source, cell=cell, number=number)
        if failure:
            cause = self._explained(cell, failure)
            if cause is None:
                return CellResult(number, FAILED, note=failure)
            for name in stored_names(cell.source):
                self.open.setdefault(name, number)
            return CellResult(number, WAITS, note=f"waits for the exercise of cell {cause}")
        names = open_names(cell.source)
        for name in stored_names(cell.source) - names:
            self.open.pop(name, None)
        if not names:
            return CellResult(number, RAN)
        return self._exercise(number, cell, names)

    def _exercise(self, number: int, cell: Any, names: set[str]) -> CellResult:
        """Fill the open exercise of `cell` if asked and known; note it as open otherwise."""
        what = ", ".join(sorted(names))
        answer = solution(names, self.code) if self.solve else None
        if answer is not None:
            failure = self._run(answer, cell=cell, number=number, more=True)
            if not failure:
                return CellResult(number, SOLVED, note=f"{what} filled by --solve")
            return CellResult(number, FAILED, note=f"{what} could not be filled: {failure}")
        self.open |= dict.fromkeys(names, number)
        return CellResult(number, OPEN, note=f"{what} left None")

    def _explained(self, cell: Any, failure: str) -> int | None:
        """Return the cell of the open exercise that explains `failure`, None if none does."""
        waiting = read_names(cell.source) & self.open.keys()
        if waiting and ("NoneType" in failure or failure.startswith("NameError")):
            return min(self.open[name] for name in waiting)
        return None

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
        self.client.execute_cell(running, number, store_history=not hidden)
        if cell is not None:
            cell.outputs = [*cell.outputs, *running.outputs] if more else running.outputs
            cell.execution_count = running.execution_count
        for output in running.outputs:
            if output.output_type == "error":
                lines = str(output.evalue).strip().splitlines() or [""]
                return f"{output.ename}: {lines[0]}"
        return ""


def _client(notebook: Any, folder: Path, timeout: int) -> Any:
    """Return a notebook client whose kernel is this very Python."""
    package("ipykernel")  # the kernel itself
    spec_class = package("jupyter_client.kernelspec").KernelSpec
    manager: type = package("jupyter_client.manager").AsyncKernelManager

    class ThisPython(manager):  # type: ignore[misc]
        """Starts kernels of the running interpreter, whatever the notebook's file names."""

        def __init__(self, **options: Any) -> None:
            if os.name == "posix":  # sockets in the temporary folder, no open ports
                options |= {"transport": "ipc", "ip": str(_aside(folder) / "kernel")}
            super().__init__(**options)

        @property
        def kernel_spec(self) -> Any:
            argv = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f",
                    "{connection_file}"]  # fmt: skip
            return spec_class(argv=argv, display_name="Handgrad", language="python")

    return package("nbclient").NotebookClient(
        copy.deepcopy(notebook),  # it puts every cell that it runs into its notebook
        timeout=timeout,
        kernel_name="python3",
        kernel_manager_class=ThisPython,
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
    )


def _aside(folder: Path) -> Path:
    """Return the folder beside `folder` for what IPython and Jupyter write."""
    aside = folder.parent / "aside"
    aside.mkdir(exist_ok=True)
    return aside


def _environment(folder: Path) -> dict[str, str]:
    """Return the kernel's environment: this one's, with IPython's and Jupyter's folders set aside."""
    environment = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    paths = [str(Path(path).absolute()) for path in _entries(environment.get("PYTHONPATH", ""))]
    if paths:  # the kernel runs in another folder
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    aside = str(_aside(folder))
    return environment | {
        "IPYTHONDIR": aside,
        "JUPYTER_RUNTIME_DIR": aside,
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def _entries(path: str) -> list[str]:
    return [entry for entry in path.split(os.pathsep) if entry]


def _seconds_then(cell: Any) -> float:
    """Return how long the cell took when it was saved: Colab notes it, in milliseconds."""
    noted = cell.metadata.get("executionInfo", {}).get("elapsed", 0)
    return noted / 1000 if isinstance(noted, int | float) else 0.0
