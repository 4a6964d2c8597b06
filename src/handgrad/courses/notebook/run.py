"""Running a notebook: a kernel of its own, in a temporary folder, cell by cell."""

from __future__ import annotations

from pathlib import Path

from handgrad.courses import get_profile
from handgrad.courses.notebook.cells import calls
from handgrad.courses.notebook.diagnosis import Diagnosis, diagnose, leant_on
from handgrad.courses.notebook.execution import Progress, Runner
from handgrad.courses.notebook.guess import Choice, guess_course
from handgrad.courses.notebook.read import read_notebook, refuse_python_2
from handgrad.courses.notebook.results import NotebookResult
from handgrad.courses.notebook.scope import check_package, check_scope, imported
from handgrad.courses.notebook.student import examine
from handgrad.courses.notebook.verdict import AS_THEN, BROKEN, states_bound
from handgrad.courses.notebook.workspace import workspace
from handgrad.data import find_cifar10
from handgrad.errors import DataError, HandgradError

_LOADERS = ("get_CIFAR10_data", "load_CIFAR10", "load_CIFAR_batch")


def run_notebook(
    path: str | Path,
    *,
    course: str | None = None,
    data_dir: str | Path | None = None,
    student: str | Path | None = None,
    package: str | None = None,
    solve: bool = False,
    python2: bool = False,
    timeout: int = 1800,
    progress: Progress | None = None,
) -> NotebookResult:
    """Run the notebook in the file `path` as it was written, and judge what it prints.

    Args:
        path: an ``.ipynb`` file; it is not changed.
        course: a profile's name; None chooses it from the notebook.
        data_dir: where CIFAR-10 lies; None looks where `handgrad data` puts it.
        student: a folder with a student's files, which then answer the imports where they are finished.
        package: the name under which a fork keeps the course's package, as "cs682" for cs231n.
        solve: fill the well-known open exercises.
        python2: convert the cells from Python 2 first.
        timeout: seconds that one cell may take.
        progress: called before every code cell (state "running") and after it, with its result and the
            number of code cells.

    Raises:
        HandgradError: the notebook cannot be run; the message is one line that says why.
    """
    path = Path(path)
    notebook = read_notebook(path, python2=python2, any_python=True)
    codes = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    modules = imported(codes)
    check_scope(path, modules, package)
    refuse_python_2(path, notebook, converted=python2)
    if course is None:
        choice = guess_course(notebook, package)
    else:
        choice = Choice(get_profile(course).name, "as asked")
        if package is not None:
            check_package(package, modules)
    batches = _find_data(path, codes, data_dir)
    base = get_profile(choice.profile).course
    answers = [] if student is None else examine(student, base, package)
    result = NotebookResult(path, notebook, choice, answers)
    result.states_bound = states_bound(notebook.cells)
    result.holds_output = any(cell.get("outputs") for cell in notebook.cells)
    with workspace(path, "\n".join(codes), batches) as folder:
        runner = Runner(result, solve, timeout, package, python2)
        runner.run(folder, None if data_dir is None else str(Path(data_dir).resolve()), progress)
        if answers and not result.interrupted:
            result.diagnosis = _diagnosis(result, folder, package)
    return result


def _diagnosis(result: NotebookResult, folder: Path, package: str | None) -> Diagnosis | None:
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
    return diagnose(result.choice.profile, result.answers, found, bad, folder, package)


def _find_data(path: Path, codes: list[str], data_dir: str | Path | None) -> Path | None:
    """Return the folder of CIFAR-10's batches, or None; DataError if the notebook calls for it."""
    wanted = calls(codes, _LOADERS)
    try:
        found = find_cifar10(data_dir).path
    except HandgradError as error:
        if not wanted:
            return None
        raise DataError(f"{path.name} loads CIFAR-10, which is missing: {error}") from None
    return found if found.is_dir() and wanted else None
