"""``handgrad evaluate``: measure trained runs, class by class."""

from __future__ import annotations

import json
from pathlib import Path

import click

from handgrad.cli.paths import PathType, look_here_too

EPILOG = """\b
Examples:
  handgrad evaluate runs/20260101-120000-digits --split val
  handgrad evaluate runs/20260101-120000-digits --tta flip+shift
  handgrad evaluate runs/*-digits
"""
TTA_HELP = (
    "Average over views of each image: flip, shift (3 views), shifts (9), or two, as flip+shifts."
)


@click.command(epilog=EPILOG)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PathType())
@click.option(
    "--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True
)
@click.option("--tta", metavar="VIEWS", help=TTA_HELP)
@click.option("--data-dir", help="Folder or archive of the data set, if it has moved.")
@click.option("--engine", help="naive, vectorized, native or auto (default: that of the run).")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def command(
    runs: tuple[Path, ...],
    split: str,
    tta: str | None,
    data_dir: str | None,
    engine: str | None,
    as_json: bool,
) -> None:
    """Measure the trained network of RUN: accuracy, confusion matrix, accuracy of each class.

    Of several runs it is their ensemble: the mean of the probabilities.  The figures of one run as it
    is also go to its folder; those of an ensemble or of several views are only printed.
    """
    look_here_too()
    from rich.console import Console

    from handgrad.cli.show import line, show_evaluation
    from handgrad.training.trained import evaluate_run, evaluate_together

    if len(runs) == 1 and tta is None:
        evaluation = evaluate_run(runs[0], split, data_dir=data_dir, engine=engine)
    else:
        evaluation = evaluate_together(runs, split, tta=tta, data_dir=data_dir, engine=engine)
    if as_json:
        click.echo(json.dumps({key: evaluation[key] for key in evaluation if key != "examples"}))
        return
    console = Console()
    if len(runs) > 1:
        for run, accuracy in zip(runs, evaluation["singly"], strict=True):
            line(console, f"{run}: {100 * accuracy:.2f} %")
        line(console, f"Together, by the mean of the probabilities of {len(runs)} runs:")
    show_evaluation(console, evaluation)
