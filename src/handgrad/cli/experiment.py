"""``handgrad experiment``: the courses' studies, from one command to numbers, figure and sentences."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handgrad.cli.paths import PathType

if TYPE_CHECKING:
    from handgrad.experiments import Study
    from handgrad.experiments.trials import Outcome

ALL, LIST = "all", "list"
OFFLINE = ("digits", "shapes")

EPILOG = """\b
Examples:
  handgrad experiment list
  handgrad experiment dropout
  handgrad experiment update-rules batchnorm-init --data-dir ~/cifar
  handgrad experiment activations --seeds 5
  handgrad experiment image-filters --image photo.jpg
  handgrad experiment dropout --live
  handgrad experiment all --report
"""


@click.command(epilog=EPILOG)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--dataset", help="digits, shapes or cifar10 (default: the study's own, offline).")
@click.option("--data-dir", help="Folder or archive of cifar10; do the studies on it.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help="First seed of every trial.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1, 1000),
              help="How many seeds (default: 3 where trials are compared; 1 with --quick).")  # fmt: skip
@click.option("--image", type=PathType(exists=True, dir_okay=False),
              help="Picture for image-filters.")  # fmt: skip
@click.option("--out", type=PathType(file_okay=False), default="experiments", show_default=True,
              help="Folder for the results.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1, 256),
              help="Trials at a time (default: one a core).")  # fmt: skip
@click.option("--quick", is_flag=True, help="Tiny trials, only to see that all works.")
@click.option("--again", is_flag=True, help="Do finished trials anew.")
@click.option("--live", is_flag=True, help="Show the trials on the page of `handgrad lab`.")
@click.option("--report", is_flag=True, help="Write one page with all these studies.")
@click.option("--markdown", is_flag=True, help="Print a table of what came out, with provenance.")
def command(
    names: tuple[str, ...],
    dataset: str | None,
    data_dir: str | None,
    seed: int,
    seeds: int | None,
    image: Path | None,
    out: Path,
    workers: int | None,
    quick: bool,
    again: bool,
    live: bool,
    report: bool,
    markdown: bool,
) -> int:
    """Do studies: train several networks from several seeds, draw a figure, say in two sentences what
    to see.

    NAME is a study, `all`, or `list`.  What was finished before is kept: after Ctrl-C the same
    command goes on.
    """
    from handgrad import experiments
    from handgrad.experiments import studies_page
    from handgrad.experiments.trials import run_studies

    if LIST in names:
        for name in experiments.NAMES:
            click.echo(f"{name:<22} {experiments.get_study(name).title}")
        return 0
    wanted = experiments.NAMES if ALL in names else tuple(dict.fromkeys(names))
    studies = [experiments.get_study(name) for name in wanted]
    if ALL in names:
        studies = _possible(studies)
    chosen = _dataset(dataset, data_dir)
    settings = {
        study.name: experiments.Setting(
            chosen or study.dataset, quick, seed, image, seeds or (1 if quick else study.seeds)
        )
        for study in studies
    }
    if live:
        from handgrad.cli.live import show_lab

        show_lab(out)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    outcomes: list[Outcome] = []
    running = run_studies(
        studies,
        settings,
        out,
        workers=workers,
        data_dir=data_dir,
        again=again,
        tell=_tell,
        live=live,
    )
    try:
        with closing(running):
            for outcome in running:
                outcomes.append(outcome)
                _show(outcome, studies_page.trial_rows(outcome.results, outcome.study.columns))
    except KeyboardInterrupt:
        click.echo(
            f"Stopped; finished trials are kept in {out}, the same command goes on from there."
        )
        return 130
    outcomes.sort(key=lambda outcome: wanted.index(outcome.study.name))
    if report:
        pages = [
            (o.results, o.study.columns, (o.folder / "figure.png").read_bytes()) for o in outcomes
        ]
        studies_page.write_page(out / "report.html", pages)
        click.echo(f"Report: {out / 'report.html'}")
    if markdown:
        click.echo(studies_page.markdown([outcome.results for outcome in outcomes]))
    return 0


def _possible(studies: Sequence[Study]) -> list[Study]:
    """Return the studies whose libraries are installed; name the others."""
    from importlib.util import find_spec

    missing = [study for study in studies if study.needs and find_spec(study.needs) is None]
    for study in missing:
        click.echo(f"{study.name} is left out: it needs {study.needs}")
    return [study for study in studies if study not in missing]


def _dataset(dataset: str | None, data_dir: str | None) -> str | None:
    """Return the data set that was asked for; refuse a folder without CIFAR-10 before any work."""
    from handgrad.data import DATASETS, find_cifar10
    from handgrad.errors import check_choice

    if dataset is not None:
        check_choice("experiment", "dataset", dataset, list(DATASETS))
    if data_dir is not None and dataset not in (None, "cifar10"):
        raise click.UsageError(f"--data-dir is for cifar10, not for {dataset}")
    if data_dir is None and dataset != "cifar10":
        return dataset
    find_cifar10(data_dir)
    return "cifar10"


def _tell(study: Study, trial: dict[str, Any], done: int, of: int) -> None:
    click.echo(f"{study.name}  {done}/{of}  {trial['label']}  {trial['seconds']:.1f} s")


def _show(outcome: Outcome, rows: Sequence[Sequence[str]]) -> None:
    """Print what a study came to."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    click.echo(f"\n{outcome.study.title}")
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(f"  {'  '.join(cells)}".rstrip())
    for sentence in outcome.results["sentences"]:
        click.echo(sentence)
    click.echo(f"Figure: {outcome.folder / 'figure.png'}\n")
