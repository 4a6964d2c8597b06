"""``handgrad train``: from one command to a trained network and its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handgrad import engines
from handgrad.cli.configuration import chosen, configuration_options, given_settings
from handgrad.cli.paths import PathType, look_here_too
from handgrad.cli.ranks import in_shards, ranks_of, share_cores, with_ranks
from handgrad.errors import HandgradError

if TYPE_CHECKING:
    from rich.console import Console

    from handgrad.distributed.world import World
    from handgrad.training.run import Run

EPILOG = """\b
Examples:
  handgrad train
  handgrad train --dataset shapes --epochs 5 --lr 2e-3
  handgrad train --dataset cifar10 --data-dir ~/cifar --model ThreeLayerConvNet
  handgrad train --data photos
  handgrad train --data wine.csv --target quality
  handgrad train --config run.toml --set model.reg=0.01
  handgrad train --recipe list
  handgrad train --recipe ant --data-dir ~/cifar
  handgrad train --resume runs/20260101-120000-digits
  handgrad train --resume runs/20260101-120000-digits --epochs 50
  mpirun -n 4 handgrad train --config run.toml
  handgrad train --data photos --from runs/20260101-120000-digits --freeze 'W1'
"""


@click.command(epilog=EPILOG)
@configuration_options
@click.option(
    "--out", type=PathType(file_okay=False), help="Folder for run folders (default: runs)."
)
@click.option("--repeat", type=click.IntRange(1), default=1, metavar="N",
              help="Train N times, from N seeds; print mean and spread.")  # fmt: skip
@click.option(
    "--resume",
    type=PathType(),
    metavar="RUN",
    help="Continue a stopped run; with --epochs N train any run on, to N epochs in all.",
)
@click.option(
    "--open", "open_report", is_flag=True, help="Open the report in a browser, if there is one."
)
@click.option(
    "--live",
    is_flag=True,
    help="Show the training on the page of `handgrad lab`, and steer it.",
)
@click.option("--quiet", is_flag=True, help="Print the result only.")
def command(
    config: Path | None,
    recipe: str | None,
    dataset: str | None,
    threads: int | None,
    settings: tuple[str, ...],
    out: Path | None,
    repeat: int,
    resume: Path | None,
    open_report: bool,
    live: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Train a network and write a run folder with its report.

    Started by mpirun, all its ranks train the one network together, each a part of every batch.
    """
    given = given_settings(options, settings)
    chosen_by = (config, recipe, dataset)
    return with_ranks(
        lambda world: _command(
            world, chosen_by, threads, given, out, repeat, resume, open_report, live, quiet
        )
    )


def _command(
    world: World | None,
    chosen_by: tuple[Path | None, str | None, str | None],
    threads: int | None,
    given: dict[str, Any],
    out: Path | None,
    repeat: int,
    resume: Path | None,
    open_report: bool,
    live: bool,
    quiet: bool,
) -> int:
    from rich.console import Console

    from handgrad.cli.show import show_choices, show_recipes, show_repeats
    from handgrad.training.build import read_config
    from handgrad.training.recipes import load_recipe, reached_by, recipe_names
    from handgrad.training.run import new_run_folder, resume_run, start_run

    look_here_too()
    console = Console()
    config, recipe, dataset = chosen_by
    if recipe == "list":
        show_recipes(console, [load_recipe(name) for name in recipe_names()])
        return 0
    if live and world is not None and world.size > 1:
        raise click.UsageError("--live steers a training of one process; leave it out under mpirun")
    if world is not None:
        share_cores(world, threads)
    elif threads is not None:
        engines.set_threads(threads)
    ranks = ranks_of(world)
    if resume is not None:
        files = {"--config": config, "--recipe": recipe, "--dataset": dataset, "--out": out}
        epochs = given.pop("training.epochs", None)
        extra = [*given, *(option for option in files if files[option] is not None)]
        extra += ["--repeat"] if repeat > 1 else []
        if extra:
            raise click.UsageError(
                f"--resume continues a run as it was configured; leave out {', '.join(extra)}"
            )
        if world is not None:
            world.timeout = read_config(resume).training.rank_timeout
        return _train(console, resume_run(resume, epochs, ranks), quiet, open_report, world, live)
    made = chosen(config, recipe, dataset, given)
    if not quiet:
        show_choices(console, made)
    reached: list[dict[str, Any]] = []
    chosen_config = in_shards(made.config, world)
    first = chosen_config.seed
    for seed in range(first, first + repeat):
        seeded = chosen_config.with_overrides({"seed": seed})
        folder = new_run_folder(out or Path("runs"), chosen_config.name)
        if world is not None:
            folder = Path(world.share(str(folder), "the start of a run")[0])
        run = start_run(seeded, folder, made.dataset, ranks)
        if code := _train(console, run, quiet, open_report, world, live):
            return code
        if run.writes:
            reached.append(reached_by(run))
    if reached[1:]:
        show_repeats(console, reached)
    return 0


def _train(
    console: Console, run: Run, quiet: bool, open_report: bool, world: World | None, live: bool
) -> int:
    """Train `run`, say what it reached, and return the exit code."""
    from handgrad.cli.live import watchers
    from handgrad.cli.show import line, show_result, show_start, stopped_text
    from handgrad.distributed.watching import rank_0_alone
    from handgrad.report import write_report
    from handgrad.training.progress import ProgressBar

    if world is not None:
        from handgrad.distributed.agreement import check_agreement, facts_of

        try:
            check_agreement(world, facts_of(run))
        except HandgradError:
            if run.solver.iteration == 0:
                run.remove()
            raise
    if not quiet:
        show_start(console, run)
    bar = [] if quiet else [ProgressBar()]
    try:
        seen = [*bar, *(watchers(run) if live else [])] if run.writes else []
        signal = run.train(callbacks=seen)
    except (HandgradError, OSError):
        if run.writes and run.has_checkpoints:
            text = f"The checkpoints are kept. Continue with: handgrad train --resume {run.folder}"
            click.echo(text, err=True)
        raise
    if signal is not None:
        line(console, stopped_text(run))
        return 128 + signal
    with rank_0_alone(world, "the test and the report") as is_mine:
        if not is_mine:
            return 0
        if not run.is_finished:  # somebody stopped it on the page
            line(console, stopped_text(run))
            return 0
        evaluation = run.evaluate()
        show_result(console, run, evaluation, write_report(run.folder))
    if open_report:
        _open(run.folder / "report.html")
    return 0


def _open(report: Path) -> None:
    """Open `report` in a graphical browser; do nothing where there is no screen."""
    import os
    import sys
    import webbrowser

    if sys.stdout.isatty() and (sys.platform != "linux" or os.environ.get("DISPLAY")):
        webbrowser.open(report.resolve().as_uri())
