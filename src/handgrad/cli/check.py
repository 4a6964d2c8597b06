"""``handgrad check``: judge somebody's layers, losses, update rules and models."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from handgrad.checker import Report


@click.command(
    epilog="Examples:  handgrad check my_layers.py\n\n"
    "handgrad check cs231n/ --json\n\n"
    "handgrad check my_package.my_layers:conv_forward_naive"
)
@click.argument("target", metavar="PATH")
@click.option("--only", default="", help="Check this function, and its partner, only.")
@click.option(
    "--dropout",
    type=click.Choice(["keep", "drop"]),
    default="keep",
    show_default=True,
    help="What dropout's p is the probability of; before 2018 the courses dropped with it.",
)
@click.option("--notes", is_flag=True, help="Also show what is unusual but not wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
@click.pass_context
def command(
    context: click.Context, target: str, only: str, dropout: str, notes: bool, as_json: bool
) -> None:
    """Judge what PATH defines: a file, a folder, or package.module:function.

    Functions are recognised by the names that the courses give them; other pairs are marked with
    @handgrad.checker.backward_of.  Exit code 0: right; 1: something is wrong; 2: it could not run.
    """
    from handgrad.checker import check_path

    sys.path.insert(0, "")  # package.module is looked for in the current folder too
    report = check_path(target, drops=dropout == "drop", only=only)
    _show(report, as_json, notes)
    context.exit(report.exit_code)


def _show(report: Report, as_json: bool, notes: bool) -> None:
    from handgrad.checker.text import as_text

    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=1))
        return
    for line in as_text(report, notes=notes).splitlines():
        click.secho(line, bold=" WRONG " in line)
