"""``handgrad train``: from one command to a trained network and its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from handgrad import engines
from handgrad.cli.paths import PathType, look_here_too
from handgrad.errors import HandgradError

# option of the command -> key of the configuration
KEYS = {
    "name": "name",
    "seed": "seed",
    "engine": "engine",
    "device": "device",
    "data_dir": "data.root",
    "model": "model.name",
    "rule": "optimizer.name",
    "lr": "optimizer.learning_rate",
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
}

EPILOG = """\b
Examples:
  handgrad train
  handgrad train --dataset shapes --epochs 5 --lr 2e-3
  handgrad train --dataset cifar10 --data-dir ~/cifar --model ThreeLayerConvNet
  handgrad train --config run.toml --set model.reg=0.01
  handgrad train --resume runs/20260101-120000-digits
"""


@click.command(epilog=EPILOG)
@click.option("--config", type=PathType(dir_okay=False), help="TOML file to start from.")
@click.option("--dataset", help="digits (default), shapes or cifar10; sets fitting defaults.")
@click.option("--data-dir", help="Folder or archive of cifar10 (default: $HANDGRAD_DATA).")
@click.option("--model", help="ConvNet, resnet20, ..., or your own package.module:Class.")
@click.option("--rule", help="Update rule: sgd, sgd_momentum, adam, ...")
@click.option("--lr", type=float, help="Learning rate.")
@click.option("--epochs", type=int, help="Passes over the training set.")
@click.option("--batch-size", type=int, help="Images a step.")
@click.option("--engine", help="naive, vectorized, native or auto (default).")
@click.option("--device", help="cpu (default), or cuda: PyTorch's arrays on a GPU.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to compute with.")
@click.option("--seed", type=int, help="Seed of every random number of the run (default 0).")
@click.option("--name", help="Name of the run.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="Any other setting, as model.reg=0.01 (a TOML value); repeatable.")  # fmt: skip
@click.option(
    "--out", type=PathType(file_okay=False), help="Folder for run folders (default: runs)."
)
@click.option("--resume", type=PathType(), metavar="RUN", help="Continue a stopped run.")
@click.option(
    "--open", "open_report", is_flag=True, help="Open the report in a browser, if there is one."
)
@click.option("--quiet", is_flag=True, help="Print the result only.")
def command(
    config: Path | None,
    dataset: str | None,
    threads: int | None,
    settings: tuple[str, ...],
    out: Path | None,
    resume: Path | None,
    open_report: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Train a network and write a run folder with its report."""
    from rich.console import Console

    from handgrad.cli.show import line, show_result, show_start, stopped_text
    from handgrad.report import write_report
    from handgrad.training.config import RunConfig
    from handgrad.training.progress import ProgressBar
    from handgrad.training.run import new_run_folder, resume_run, start_run

    look_here_too()
    console = Console()
    if threads is not None:
        engines.set_threads(threads)
    given = {KEYS[option]: value for option, value in options.items() if value is not None}
    given |= dict(_setting(text) for text in settings)
    if resume is not None:
        files = {"--config": config, "--dataset": dataset, "--out": out}
        extra = [*given, *(option for option in files if files[option] is not None)]
        if extra:
            raise click.UsageError(
                f"--resume continues a run as it was configured; leave out {', '.join(extra)}"
            )
        run = resume_run(resume)
    else:
        if config is None:
            start = RunConfig.default("digits" if dataset is None else dataset)
        else:
            start = RunConfig.from_toml(config)
            if dataset is not None:
                given["data.name"] = dataset
        chosen = start.with_overrides(given)
        if options["data_dir"] is not None and chosen.data["name"] != "cifar10":
            raise click.UsageError(f"--data-dir is for cifar10, not for {chosen.data['name']}")
        run = start_run(chosen, new_run_folder(out or Path("runs"), chosen.name))
    if not quiet:
        show_start(console, run)
    try:
        signal = run.train(callbacks=[] if quiet else [ProgressBar()])
    except (HandgradError, OSError):
        if run.has_checkpoints:
            text = f"The checkpoints are kept. Continue with: handgrad train --resume {run.folder}"
            click.echo(text, err=True)
        raise
    if signal is not None:
        line(console, stopped_text(run))
        return 128 + signal
    evaluation = run.evaluate()
    show_result(console, run, evaluation, write_report(run.folder))
    if open_report:
        _open(run.folder / "report.html")
    return 0


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise click.UsageError(f"--set takes KEY=VALUE, as in model.reg=0.01; got {text!r}")
    from handgrad.training.config import parse_toml

    try:
        return key.strip(), parse_toml(f"value = {value}")["value"]
    except ValueError:
        return key.strip(), value.strip()


def _open(report: Path) -> None:
    """Open `report` in a graphical browser; do nothing where there is no screen."""
    import os
    import sys
    import webbrowser

    if sys.stdout.isatty() and (sys.platform != "linux" or os.environ.get("DISPLAY")):
        webbrowser.open(report.resolve().as_uri())
