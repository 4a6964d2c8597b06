"""``handgrad notebook``: run the courses' own notebooks as they were written."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from handgrad.courses.notebook import CellResult, NotebookResult


INTERRUPTED = 130  # the exit code after Ctrl-C
_NUMBERS = ("cell", "printed now", "printed then", "verdict")  # columns that are never broken


@click.group(epilog="Example:  handgrad notebook run ConvolutionalNetworks.ipynb --data-dir ~/data")
def command() -> None:
    """Run the notebooks of CS231n, nndl and skynet as they were written."""


@command.command(epilog="Example:  handgrad notebook run Dropout.ipynb --course cs231n-2020")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--course", help="The course and generation (default: told from the notebook).")
@click.option("--data-dir", help="Folder of CIFAR-10 (default: $HANDGRAD_DATA, then the cache).")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the executed notebook here.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the verdict and all outputs here, as one HTML page.",
)
@click.option(
    "--timeout",
    type=click.IntRange(min=1),
    default=1800,
    show_default=True,
    help="Seconds that one cell may take.",
)
@click.option(
    "--student",
    type=click.Path(path_type=Path),
    help="Folder with a student's layers.py, fc_net.py, …: used where they are finished.",
)
@click.option("--package", help="A fork's name for the course's package, as in cs682 for cs231n.")
@click.option("--python2", is_flag=True, help="Convert the cells from Python 2 first.")
@click.option("--solve", is_flag=True, help="Fill the well-known open exercises.")
@click.option("--quiet", is_flag=True, help="Print only the verdict.")
def run(
    file: Path,
    course: str | None,
    data_dir: str | None,
    out: Path | None,
    report: Path | None,
    timeout: int,
    student: Path | None,
    package: str | None,
    python2: bool,
    solve: bool,
    quiet: bool,
) -> int:
    """Run the notebook FILE and judge what it prints.

    Every printed error is compared with the bound in the notebook's own text, and with the output that
    the file holds.  With --student, the checker says what is wrong with the student's functions that
    the notebook uses.  The exit code is 1 if a bound is broken, or a cell fails that no open exercise
    explains; 2 if the notebook cannot be run.  Ctrl-C ends the run and keeps the verdict so far.  FILE
    itself is not changed.
    """
    from rich.console import Console

    from handgrad.cli.show import line
    from handgrad.courses.notebook import run_notebook

    console = Console()
    for path in (out, report):
        if path is not None and not path.absolute().parent.is_dir():
            raise click.BadParameter(f"the folder {path.parent} does not exist")
    result = run_notebook(
        file,
        course=course,
        data_dir=data_dir,
        student=student,
        solve=solve,
        timeout=timeout,
        package=package,
        python2=python2,
        progress=None if quiet else _progress,
    )
    line(console, f"Course: {result.choice.profile} ({result.choice.why})")
    _show(console, result)
    if out is not None:
        from handgrad.courses.notebook import read

        read.package("nbformat").write(result.notebook, out)
        line(console, f"Executed notebook: {out}")
    if report is not None:
        from handgrad.courses.notebook.run_page import report_page

        report.write_text(report_page(result), encoding="utf-8")
        line(console, f"Report: {report}")
    if result.interrupted:
        # what the stopped kernel leaves unread is no message for people
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        click.echo(f"handgrad: {result.stopped}", err=True)
        return INTERRUPTED
    if result.stopped:
        raise click.ClickException(result.stopped)
    return 0 if result.is_good else 1


@command.command("list", epilog="Example:  handgrad notebook list")
def list_courses() -> None:
    """Show the courses, their notebooks, and what of them runs."""
    from rich.console import Console
    from rich.table import Table

    from handgrad.courses import PROFILES
    from handgrad.courses.notebook.catalogue import CATALOGUE

    console = Console()
    table = Table(title="Courses (--course)", title_justify="left")
    for name in ("course", "is", "dropout", "Adam's first t"):
        table.add_column(name)
    for profile in PROFILES.values():
        table.add_row(profile.name, profile.description, f"{profile.dropout}s", str(profile.adam_t))
    console.print(table)
    table = Table(title="Notebooks", title_justify="left")
    for name in ("courses", "notebooks", "what runs"):
        table.add_column(name)
    for entry in CATALOGUE:
        table.add_row(*entry)
    console.print(table)


def _progress(cell: CellResult, count: int) -> None:
    """Say which of `count` cells runs, in place on a terminal, and what became of it."""
    from handgrad.courses.notebook.results import RUNNING

    if cell.state == RUNNING and not cell.seconds:
        text = f"cell {cell.number:3d}: {cell.state:14s}{cell.note}"
        if sys.stderr.isatty():
            width = max(20, shutil.get_terminal_size().columns - 1)
            click.echo(f"{text[:width]}\r", err=True, nl=False)
        else:
            click.echo(text[:110], err=True)
        return
    ending = "\033[K" if sys.stderr.isatty() else ""  # wipes what is left of the line before
    click.echo(
        f"cell {cell.number:3d}: {cell.state:14s}{cell.seconds:8.2f} s  {cell.note}{ending}",
        err=True,
    )


def _show(console: Console, result: NotebookResult) -> None:
    """Print the student's files, the verdict, the cells that need a word, and the summary."""
    from handgrad.cli.show import line
    from handgrad.courses.notebook.run_page import legend, summary, unjudged

    for answer in result.answers:
        line(console, f"{answer.module}: from {answer.path}")
        line(console, f"  theirs: {', '.join(answer.finished) or 'nothing yet'}")
        if answer.unfinished:
            line(console, f"  the library's, still unfinished: {', '.join(answer.unfinished)}")
    if result.findings:
        _print_verdict(console, result)
    if why := unjudged(result):
        line(console, why)
    if result.diagnosis is not None:
        line(console, "Diagnosis of the student's functions (handgrad check):")
        for text in result.diagnosis.lines():
            line(console, f"  {text}")
    for cell in result.cells:
        if cell.note:
            line(console, f"cell {cell.number}: {cell.state}: {cell.note}")
    for word, text in legend(result):
        line(console, f"{word}: {text}")
    line(console, summary(result))


def _print_verdict(console: Console, result: NotebookResult) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from handgrad.courses.notebook.verdict import shown

    table = Table(
        title=f"Verdict on {result.path.name}",
        title_justify="left",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for name in ("cell", "quantity", "printed now", "printed then", "bound", "verdict"):
        table.add_column(
            name,
            justify="right" if name == "cell" else "left",
            no_wrap=name in _NUMBERS,
            overflow="fold",
        )
    for finding in result.findings:
        bad = finding in result.broken
        cells = (str(finding.cell), finding.quantity, shown(finding.now), shown(finding.then),
                 finding.bound or "-", finding.verdict or "-")  # fmt: skip
        table.add_row(*(Text(cell, style="bold red" if bad else "") for cell in cells))
    console.print(table)
