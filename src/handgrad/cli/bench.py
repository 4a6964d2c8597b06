"""``handgrad bench``: verify, then time, against PyTorch in the same run."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from handgrad import environment

EPILOG = """\b
Examples:
  handgrad bench --list
  handgrad bench 1 7 --json results.json
  handgrad bench 5 --no-torch --quick
  handgrad bench --latency
  handgrad bench 1 2 3 --isa avx2          as on a processor without AVX-512
  handgrad bench scale --picture scale.png what an image costs by batch and image size, and more cores
  handgrad bench --table results.json      the README's table, from such files
PyTorch is an extra: pip install 'handgrad[torch]'
"""


SCALE = 0


class _Row(click.types.IntParamType):
    """The number of a row, or the word scale."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, `SCALE` for scale."""
        return SCALE if value == "scale" else super().convert(value, param, ctx)


@click.command(epilog=EPILOG)
@click.argument("numbers", metavar="[ROW]... or scale", type=_Row(), nargs=-1)
@click.option("--list", "show_list", is_flag=True, help="List the rows.")
@click.option("--quick", is_flag=True, help="Fewer images and turns, no torch.compile: a trial.")
@click.option("--engine", default="auto", show_default=True, help="The engine under test.")
@click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True,
              help="Threads of each side.")  # fmt: skip
@click.option("--repeats", type=click.IntRange(1), help="Turns of each side (default 15, quick 3).")
@click.option("--isa", type=click.Choice(["avx2"]),
              help="Limit both sides to this instruction set; PyTorch then runs eagerly.")  # fmt: skip
@click.option("--precision", type=click.Choice(["float32", "bf16", "auto"]), default="float32",
              show_default=True, help="What Handgrad trains and scores in.")  # fmt: skip
@click.option("--latency", is_flag=True, help="Time one image in each form that `export` writes.")
@click.option("--no-torch", is_flag=True, help="Do not compare with PyTorch.")
@click.option(
    "--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the results."
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw what scale has measured.",
)
@click.option(
    "--table", "tables", multiple=True, type=click.Path(dir_okay=False, path_type=Path),
    help="Measure nothing; print these results as a Markdown table.",
)  # fmt: skip
def command(
    numbers: tuple[int, ...],
    show_list: bool,
    quick: bool,
    engine: str,
    threads: int,
    repeats: int | None,
    isa: str | None,
    precision: str,
    latency: bool,
    no_torch: bool,
    file: Path | None,
    picture: Path | None,
    tables: tuple[Path, ...],
) -> int:
    """Time Handgrad and PyTorch on the same work (all rows, or those numbered).

    Each row is verified first against the vectorized engine in float64; what computes something
    else is not timed, and the exit status is 1.  A ratio says how many times as long the other
    side takes.
    """
    from handgrad.bench import Bench, WrongResult, all_rows
    from handgrad.bench.measure import lines, summaries

    if tables:
        from handgrad.bench.table import read_report, table

        click.echo(table([read_report(path) for path in tables]))
        return 0
    if latency:
        return _latency(engine, repeats or (3 if quick else 15), 0.02 if quick else 0.1)
    if SCALE in numbers:
        return _scale(threads, quick, not no_torch, file, picture)
    if picture is not None:
        raise click.UsageError("--picture is for `handgrad bench scale`")
    known = all_rows(quick)
    if show_list:
        for row in known.values():
            click.echo(f"{row.number}  {row.title}")
        return 0
    if unknown := [number for number in numbers if number not in known]:
        raise click.UsageError(f"there is no row {unknown[0]}; handgrad bench --list shows them")
    if file is not None and not file.parent.is_dir():
        raise click.UsageError(f"--json: there is no folder {file.parent}")
    report: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "results": [],
        "wrong": [],
    }
    with Bench(
        engine,
        threads=threads,
        rounds=repeats or (3 if quick else 15),
        seconds=0.02 if quick else 0.2,
        with_torch=not no_torch,
        may_compile=not quick,
        say=lambda text: click.echo(text, err=True),
        isa=isa,
        precision=precision,
    ) as bench:
        report |= {
            "engine": bench.engine,
            "threads": threads,
            "isa": isa,
            "precision": precision,
            "machine": _machine(),
            "peer": bench.peer.info if bench.peer else None,
        }
        _show_machine(report)
        for row in [known[number] for number in numbers] or known.values():
            click.echo(f"\n{row.number}  {row.title}")
            results: list[dict[str, Any]] = []
            try:
                for result in bench.run(row):
                    results.append(result)
                    click.echo("\n".join(lines(result)))
            except WrongResult as error:
                report["wrong"].append(f"row {row.number}: {error}")
                click.echo(f"NOT TIMED, the results are wrong: {error}")
            report["results"] += results
            for summary in summaries(results):
                click.echo(
                    f"all: {summary['name']}: geometric mean {summary['geometric_mean']:.3g} x, "
                    f"worst {summary['worst']:.3g} x ({summary['worst_case']})"
                )
    report["summaries"] = summaries(report["results"])
    if file is not None:
        from handgrad.files import atomic_write

        atomic_write(file, (json.dumps(report, indent=2) + "\n").encode())
    return 1 if report["wrong"] else 0


def _scale(
    threads: int, quick: bool, with_torch: bool, file: Path | None, picture: Path | None
) -> int:
    """Print what an image costs by batch and image size, and what the split of work promises more cores."""
    import importlib.util

    from handgrad import engines
    from handgrad.bench import scale

    if "native" not in engines.available():
        raise click.UsageError("scale: it measures the native engine, which is missing here")
    if with_torch and importlib.util.find_spec("torch") is None:
        raise click.UsageError(
            "bench: PyTorch is not installed; run `pip install 'handgrad[torch]'`, or use --no-torch"
        )
    title = f"{environment.cpu()}, {threads} threads a side"
    click.echo(f"{title}; a training step, float32, the least of some turns")
    points = []
    for kind, point in scale.curves(0.02 if quick else 0.5, threads, with_torch, quick):
        points.append((kind, point))
        click.echo(scale.line(point))
    whole, regions = scale.trace(scale.our_step(16 if quick else 128, 32))
    splits = [scale.split(whole, regions, cores) for cores in scale.CORES]
    chunks = sum(map(len, regions))
    click.echo(
        f"\nA step of {16 if quick else 128} images of 32 x 32, {len(regions)} regions of {chunks} chunks, "
        f"handed to simulated cores, {scale.BARRIER * 1e6:g} us a barrier:"
    )
    for one in splits:
        click.echo(scale.line_of_split(one))
    if picture is not None:
        scale.draw(points, splits, picture, title)
        click.echo(f"drawn: {picture}")
    if file is not None:
        from handgrad.files import atomic_write

        report = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "quick": quick,
            "threads": threads,
            "machine": _machine(),
            "points": [{"varied": kind, **point._asdict()} for kind, point in points],
            "splits": [one._asdict() for one in splits],
        }
        atomic_write(file, (json.dumps(report, indent=2) + "\n").encode())
    return 0


def _latency(engine: str, rounds: int, seconds: float) -> int:
    """Print how long one image takes in each form; 1 where one computes something else."""
    from handgrad import engines
    from handgrad.bench.latency import lines, measure, networks
    from handgrad.bench.measure import WrongResult

    with engines.use(engine):
        for name, (model, X) in networks().items():
            try:
                click.echo("\n".join(lines(name, measure(model, X, rounds, seconds))))
            except WrongResult as error:
                click.echo(f"NOT TIMED, the results are wrong: {error}")
                return 1
    return 0


def _machine() -> dict[str, Any]:
    """Return what the numbers depend on, apart from the code."""
    return {
        "cpu": environment.cpu(),
        "cores": environment.cores(),
        "blas": environment.blas(),
        "versions": environment.versions(),
        "data": "cifar10" if os.environ.get("HANDGRAD_DATA") else "synthetic",
    }


def _show_machine(report: dict[str, Any]) -> None:
    machine, peer, blas = report["machine"], report["peer"], report["machine"]["blas"]
    versions = machine["versions"]
    click.echo(
        f"Handgrad {versions['handgrad']}, {report['engine']} engine; Python {versions['python']}, "
        f"NumPy {versions['numpy']} ({blas.get('library')} {blas.get('version')}, "
        f"{blas.get('kernel')})"
    )
    if peer is not None:
        click.echo(f"PyTorch {peer['torch']} ({peer['instructions']}); compile {peer['compile']}")
    click.echo(f"{machine['cpu']}, {machine['cores']} cores; {report['threads']} threads a side")
    click.echo("Medians [quartiles], minimum, and how many times as long as Handgrad takes")
    if report["quick"]:
        click.echo("A quick trial: fewer images, short turns; not for comparison")
