"""`handgrad course`: a course to hand out, with exercises, tests, rubric and solutions."""

from __future__ import annotations

from pathlib import Path

import click

from handgrad.courses.kit import write_course, write_exercises


@click.group("course")
def command() -> None:
    """Make a course to hand out: chapters, exercises with tests, a rubric, and solutions apart."""


@command.command("new")
@click.argument("folder", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Write a course into FOLDER, which must be new or empty."""
    write_course(folder)
    click.echo(f"{folder}: chapters/ and student/ to hand out, solutions/ and rubric.toml for you")
    click.echo(f"Try: handgrad check {folder / 'student'}, then read {folder / 'README.md'}")


@command.command("exercises")
@click.argument("solutions", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("student", type=click.Path(path_type=Path))
def exercises(solutions: Path, student: Path) -> None:
    """Write the exercises of the Python files in SOLUTIONS into the folder STUDENT.

    What stands between a line "# TODO: ..." and a line "# END" is left out.
    """
    for path in write_exercises(solutions, student):
        click.echo(path)
