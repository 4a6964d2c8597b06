"""``handgrad check``: judge somebody's layers, losses, update rules and models."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from handgrad.checker import Report

_PAUSE = 0.2  # seconds between two looks at the files


@click.command(
    epilog="Examples:  handgrad check my_layers.py\n\n"
    "handgrad check cs231n/ --html report.html\n\n"
    "handgrad check my_package.my_layers:conv_forward_naive\n\n"
    "handgrad check my_layers.py --only conv_forward_naive --watch\n\n"
    "handgrad check --rubric rubric.toml submissions/ --results results/"
)
@click.argument("target", metavar="PATH")
@click.option("--only", default="", help="Check this function, and its partner, only.")
@click.option(
    "--dropout",
    type=click.Choice(["keep", "drop"]),
    help="What dropout's p is the probability of; before 2018 the courses dropped with it.  Without "
    "it, the course or the files' own docstrings say; else it is that of keeping.",
)
@click.option(
    "--course",
    help="Course and generation, as in cs231n-2020: says what dropout's p means, and answers imports "
    "of the course's modules that are not there.  Without it the course is guessed.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Judge the library's contract: also what no course takes points for.",
)
@click.option("--notes", is_flag=True, help="Also show what is unusual but not wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
@click.option(
    "--html", type=click.Path(path_type=Path), help="Write a page with maps of the errors."
)
@click.option("--watch", is_flag=True, help="Check again whenever a file is saved, until Ctrl-C.")
@click.option(
    "--rubric",
    type=click.Path(path_type=Path),
    help="PATH holds submissions; points are in this file.  --course, --dropout and --strict go before it.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder of the table and the pages of a rubric.",
)
@click.pass_context
def command(
    context: click.Context,
    target: str,
    only: str,
    dropout: str | None,
    course: str | None,
    strict: bool,
    notes: bool,
    as_json: bool,
    html: Path | None,
    watch: bool,
    rubric: Path | None,
    results: Path,
) -> None:
    """Judge what PATH defines: a file, a folder, or package.module:function.

    Functions are recognised by the names that the courses give them; other pairs are marked with
    @handgrad.checker.backward_of.  Exit code 0: right; 1: something is wrong; 2: it could not run.
    """
    from handgrad.checker.discover import Options
    from handgrad.checker.folder import check_apart

    if rubric is not None:
        without = {
            "--only": only,
            "--notes": notes,
            "--json": as_json,
            "--html": html,
            "--watch": watch,
        }
        for option, given in without.items():
            if given:
                raise click.UsageError(f"{option} has no meaning with --rubric")
        context.exit(_judge_submissions(rubric, Path(target), results, dropout, course, strict))

    drops = None if dropout is None else dropout == "drop"

    def once() -> int:
        report = check_apart(target, Options(drops, only, course, strict))
        _show(report, as_json, notes)
        if html is not None:
            from handgrad.checker.verdict_page import page, records_of

            html.write_text(page(f"handgrad check {target}", records_of(report)), "utf-8")
        return report.exit_code

    if watch:
        _watch(target, once)
    context.exit(once())


def _show(report: Report, as_json: bool, notes: bool) -> None:
    from handgrad.checker.text import as_text

    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=1))
        return
    for line in as_text(report, notes=notes).splitlines():
        click.secho(line, bold=" WRONG " in line)


def _watch(target: str, once: Callable[[], int]) -> None:
    """Check at each change; a file that cannot be checked is a message, not the end."""
    from handgrad.errors import HandgradError

    path = Path(target.rpartition(":")[0] if not Path(target).exists() else target)
    seen: object = None
    while True:
        now = _times(path)
        if now != seen:
            seen, start = now, time.perf_counter()
            try:
                once()
            except HandgradError as error:
                click.echo(str(error), err=True)
            click.echo(f"-- {time.perf_counter() - start:.1f} s; waiting for the next change")
        time.sleep(_PAUSE)


def _times(path: Path) -> list[tuple[str, int]]:
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    return [(str(file), file.stat().st_mtime_ns) for file in files if file.exists()]


def _judge_submissions(
    rubric: Path,
    folder: Path,
    results: Path,
    dropout: str | None,
    course: str | None,
    strict: bool,
) -> int:
    from handgrad.checker.points import read_rubric
    from handgrad.checker.rubric import NO_LIMIT, Row, judge_all
    from handgrad.checker.worker import can_limit_memory
    from handgrad.courses.profiles import get_profile

    points = read_rubric(rubric)
    if course is not None:
        get_profile(course)
        points = replace(points, course=course)
    if dropout is not None:
        points = replace(points, dropout=dropout)
    points = replace(points, strict=points.strict or strict)
    if not folder.is_dir():
        raise click.BadParameter(f"{folder} is no folder of submissions")
    if not can_limit_memory():
        click.echo(f"Note: {NO_LIMIT}", err=True)

    def seen(row: Row) -> None:
        click.echo(f"{row.name:<24} {row.points(points):>6g}  {row.problem}".rstrip())

    judge_all(points, folder, results, seen=seen)
    click.echo(f"Overview: {results / 'index.html'}")
    click.echo(f"Tables: {results / 'results.csv'}, {results / 'grades.csv'}")
    return 0
