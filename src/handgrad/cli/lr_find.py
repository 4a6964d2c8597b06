"""``handgrad lr-find``: which learning rate to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from handgrad import engines
from handgrad.cli.configuration import chosen, configuration_options, given_settings
from handgrad.cli.paths import PathType, look_here_too

EPILOG = """\b
Examples:
  handgrad lr-find
  handgrad lr-find --data photos --out rates.png
  handgrad lr-find --config run.toml --low 1e-7 --high 1
"""


@click.command(epilog=EPILOG)
@configuration_options
@click.option("--low", type=float, default=1e-6, show_default=True, help="The first rate.")
@click.option("--high", type=float, default=10.0, show_default=True, help="The last rate.")
@click.option(
    "--steps", type=click.IntRange(10), default=100, show_default=True, help="Steps of the test."
)
@click.option("--out", type=PathType(dir_okay=False), default=Path("lr-find.png"), show_default=True,
              help="The picture of the curve.")  # fmt: skip
def command(
    config: Path | None,
    recipe: str | None,
    dataset: str | None,
    threads: int | None,
    settings: tuple[str, ...],
    low: float,
    high: float,
    steps: int,
    out: Path,
    **options: Any,
) -> None:
    """Raise the learning rate step by step in a short training; print the rate to begin with.

    Nothing is kept of the training.  The picture shows the loss at each rate.
    """
    from handgrad.files import atomic_write
    from handgrad.report.figures import png, range_figure
    from handgrad.training.lr_find import lr_find
    from handgrad.training.run import Run

    look_here_too()
    if not out.parent.is_dir():
        raise click.UsageError(f"--out: there is no folder {out.parent}")
    if threads is not None:
        engines.set_threads(threads)
    made = chosen(config, recipe, dataset, given_settings(options, settings))
    run = Run(made.config, out.parent, made.dataset)
    with engines.use(run.config.engine):
        found = lr_find(run.solver, low, high, steps)
    atomic_write(out, png(range_figure(found)))
    click.echo(f"{len(found.rates)} steps; {found.reason}")
    click.echo(f"Suggested learning rate: {found.suggestion:.2g}   (now {_now(run.config):g})")
    click.echo(f"Picture: {out}")


def _now(config: Any) -> float:
    return float(config.optimizer["learning_rate"])
