"""``handgrad evaluate``: measure a trained run, class by class."""

from __future__ import annotations

import json
from pathlib import Path

import click

from handgrad.cli.paths import PathType, look_here_too


@click.command(epilog="Example:  handgrad evaluate runs/20260101-120000-digits --split val")
@click.argument("run", type=PathType())
@click.option(
    "--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True
)
@click.option("--data-dir", help="Folder or archive of the data set, if it has moved.")
@click.option("--engine", help="naive, vectorized, native or auto (default: that of the run).")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def command(run: Path, split: str, data_dir: str | None, engine: str | None, as_json: bool) -> None:
    """Measure the trained network of RUN: accuracy, confusion matrix, accuracy of each class."""
    look_here_too()
    from rich.console import Console

    from handgrad.cli.show import show_evaluation
    from handgrad.training.trained import evaluate_run

    evaluation = evaluate_run(run, split, data_dir=data_dir, engine=engine)
    if as_json:
        click.echo(json.dumps({key: evaluation[key] for key in evaluation if key != "examples"}))
    else:
        show_evaluation(Console(), evaluation)
