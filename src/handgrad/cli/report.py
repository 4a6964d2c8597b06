"""``handgrad report``: write the report of a run again."""

from __future__ import annotations

from pathlib import Path

import click

from handgrad.cli.paths import PathType


@click.command(epilog="Example:  handgrad report runs/20260101-120000-digits")
@click.argument("run", type=PathType())
def command(run: Path) -> None:
    """Write the report of the folder RUN again, from its records."""
    from handgrad.report import write_report

    path = write_report(run)
    click.echo(f"Report: {path}")
    click.echo(f"Figures: {path.parent / 'figures'}")
