"""``handgrad scaling``: what many ranks would do, on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from handgrad.cli.configuration import chosen, configuration_options, given_settings
from handgrad.cli.paths import look_here_too

EPILOG = """\b
Examples:
  handgrad scaling --recipe ant --data-dir ~/cifar --latency 30e-6 --bandwidth 1.2e9
  handgrad scaling --shard-time 0.05 --rest-time 0.01 --bytes 1.1e6 --latency 30e-6 --bandwidth 1.2e9
Measure latency and bandwidth with:  mpirun -n 2 handgrad doctor --mpi
"""
_STEPS = 5  # of a measurement; the fastest counts


@click.command(epilog=EPILOG)
@configuration_options
@click.option("--latency", type=click.FloatRange(0), default=50e-6, show_default=True,
              help="Seconds of a message, one way.")  # fmt: skip
@click.option("--bandwidth", type=click.FloatRange(1), default=1.2e9, show_default=True,
              help="Bytes a second of a rank (1.2e9: 10 Gbit/s).")  # fmt: skip
@click.option("--message-time", type=click.FloatRange(0), default=10e-6, show_default=True,
              help="Seconds that a message keeps a rank busy.")  # fmt: skip
@click.option("--shards", type=click.IntRange(1, 4096), default=8, show_default=True,
              help="Shards of a batch.")  # fmt: skip
@click.option(
    "--shard-time", type=click.FloatRange(0), help="Seconds of a shard (default: measured)."
)
@click.option("--rest-time", type=click.FloatRange(0), help="Seconds of the rest of a step.")
@click.option("--bytes", "size", type=click.FloatRange(1), help="Bytes of the gradients.")
def command(
    config: Path | None,
    recipe: str | None,
    dataset: str | None,
    threads: int | None,
    settings: tuple[str, ...],
    latency: float,
    bandwidth: float,
    message_time: float,
    shards: int,
    shard_time: float | None,
    rest_time: float | None,
    size: float | None,
    **options: Any,
) -> None:
    """Predict the speed of 2 to 256 ranks from a few measured numbers.

    The time of a shard and the size of the gradients are measured with the configuration, here and now,
    unless they are given.
    """
    from handgrad import engines
    from handgrad.distributed.scaling import PUBLISHED, RANKS, Inputs, efficiency, step_time

    look_here_too()
    if None in (shard_time, rest_time, size):
        if threads is not None:
            engines.set_threads(threads)
        made = chosen(config, recipe, dataset, given_settings(options, settings))
        measured = _measured(made, shards)
        shard_time = measured[0] if shard_time is None else shard_time
        rest_time = measured[1] if rest_time is None else rest_time
        size = measured[2] if size is None else size
    assert shard_time is not None
    assert rest_time is not None
    assert size is not None
    inputs = Inputs(
        shard_time, rest_time, int(size), latency, bandwidth, shards, message=message_time
    )
    click.echo(
        f"A shard {1e3 * shard_time:.4g} ms, the rest of a step {1e3 * rest_time:.4g} ms, gradients "
        f"{size / 1e6:.4g} MB, latency {1e6 * latency:.4g} us, {1e6 * message_time:.4g} us a message, "
        f"bandwidth {bandwidth / 1e9:.4g} GB/s\n"
    )
    click.echo("        the same batch                    the same rows a rank")
    click.echo("ranks   step (ms)  speed  efficiency      step (ms)  speed  efficiency")
    for ranks in RANKS:
        same = ""
        if ranks <= shards:
            part = efficiency(inputs, ranks)
            same = (
                f"{1e3 * step_time(inputs, ranks):9.4g}  {part * ranks:5.3g}  {100 * part:8.1f} %"
            )
        part = efficiency(inputs, ranks, weak=True)
        time = 1e3 * step_time(inputs, ranks, weak=True)
        click.echo(
            f"{ranks:5d}   {same:<28}      {time:9.4g}  {part * ranks:5.3g}  {100 * part:8.1f} %".rstrip()
        )
    click.echo("\nPublished, each with the same rows a rank:")
    for what, where, share, source in PUBLISHED:
        click.echo(f"  {what}, {where}: {share} ({source})")


def _measured(made: Any, shards: int) -> tuple[float, float, int]:
    """Return the seconds of a shard, those of the rest of a step, and the bytes of the gradients."""
    import tempfile
    from time import perf_counter

    from handgrad import engines
    from handgrad.training.run import Run
    from handgrad.training.shards import Shards

    class _Timed(Shards):
        spent = 0.0

        def gradients(self, *arguments: Any) -> Any:
            started = perf_counter()
            found = super().gradients(*arguments)
            self.spent = perf_counter() - started
            return found

    config = made.config.with_overrides({"training.shards": shards})
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, Path(folder), made.dataset)
    solver, timed = run.solver, _Timed(shards, run.solver.batch_size)
    solver.shards = timed
    best = (float("inf"), 0.0)
    with engines.use(config.engine):
        for _ in range(_STEPS):
            started = perf_counter()
            solver.try_step()
            best = min(best, (perf_counter() - started, timed.spent))
    whole, inside = best
    return inside / shards, whole - inside, sum(w.nbytes for w in run.model.params.values())
