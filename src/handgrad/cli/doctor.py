"""``handgrad doctor``: what is installed, what is slow, and how to mend it."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import click

from handgrad import engines, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handgrad.distributed.world import World


EPILOG = """\b
Examples:
  handgrad doctor
  handgrad doctor --measure     times convolutions, and keeps the fastest ways for this processor
  mpirun -n 2 handgrad doctor --mpi
"""


@click.command(epilog=EPILOG)
@click.option(
    "--mpi", is_flag=True, help="Say which MPI there is, and measure it between the ranks."
)
@click.option(
    "--measure",
    is_flag=True,
    help="Time convolutions; keep which way is the fastest, for this processor.",
)
def command(mpi: bool, measure: bool) -> int:
    """Say what is installed, what is slow, and how to mend it."""
    if measure:
        _measure()
    if mpi:
        from handgrad.cli.ranks import with_ranks

        return with_ranks(_mpi)
    _show()
    return 0


def _measure() -> None:
    """Measure which way convolutions are computed the fastest, and say what came of it."""
    if "native" not in engines.available():
        raise click.UsageError(
            "--measure: the native engine is missing, so there is nothing to choose"
        )
    module = engines.get("native").choices
    before = perf_counter()
    try:
        found, seconds, built_in = module.measure()
    except OSError as error:
        raise click.UsageError(f"--measure: {module.path()} cannot be written: {error}") from error
    click.echo(
        f"measured in {perf_counter() - before:.2f} s, kept in {module.path()}: transforms cost "
        f"{found.number:g} times, weights {found.weight:g} times what is built in; the convolutions tried "
        f"take {1e3 * seconds:.2f} ms, by the built-in choices {1e3 * built_in:.2f} ms"
    )


def _mpi(world: World | None) -> int:
    """Say which MPI there is; with several ranks, measure latency and bandwidth."""
    from handgrad.distributed.launch import launched
    from handgrad.distributed.measuring import measure
    from handgrad.distributed.world import join

    alone = world is None
    world = world or join()
    every = world.share(world.per_node, "the number of ranks a machine")
    lines = measure(world)
    click.echo(f"MPI             {world.library}")
    click.echo(
        f"ranks           {world.size}, on each machine {', '.join(map(str, sorted(set(every))))}"
    )
    for line in lines:
        click.echo(
            f"rank 0 to {line.rank:<5} {line.machine}: latency {1e6 * line.latency:.1f} us, "
            f"bandwidth {line.bandwidth / 1e9:.2f} GB/s"
        )
    if alone or launched() is None:
        click.echo("To measure latency and bandwidth, run: mpirun -n 2 handgrad doctor --mpi")
    return 0


def _show() -> None:
    from rich.console import Console
    from rich.table import Table

    from handgrad.cli.show import line

    table = Table(title="Handgrad doctor", show_header=False, title_justify="left")
    for package, version in environment.versions().items():
        table.add_row(package, version)
    table.add_section()
    usable = engines.available()
    table.add_row("engines", ", ".join(usable))
    table.add_row("default engine", "native" if "native" in usable else "vectorized")
    if "native" in usable:
        control = engines.get("native").control
        table.add_row("native kernels", f"{control.isa()} (of {', '.join(control.isas())})")
        table.add_row("native bf16", f"{control.bf16()} (of {', '.join(control.bf16s())})")
        table.add_row("native threads", str(control.threads()))
        table.add_row("native convolution", "exact" if control.exact() else "fast (Winograd)")
        for name, text in _choices():
            table.add_row(name, text)
    table.add_section()
    table.add_row("processor", environment.cpu())
    table.add_row("cores", str(environment.cores()))
    blas = environment.blas()
    if blas:
        table.add_row("BLAS", f"{blas['library']} {blas['version']}")
        table.add_row("BLAS kernel", str(blas["kernel"]))
        table.add_row("BLAS threads", str(blas["threads"]))
    console = Console()
    console.print(table)
    for advice in _advice(blas):
        line(console, f"- {advice}")


def _choices() -> Iterator[tuple[str, str]]:
    """Yield how convolutions of some sizes are computed, and why so."""
    module = engines.get("native").choices
    known = module.current()
    yield "choices", f"{known.source}: transforms x {known.number:g}, weights x {known.weight:g}"
    names = {0: "direct"}
    for (N, C, length, F), tiles in module.chosen():
        ways = [names.get(tile, f"{tile}x{tile}") for tile in tiles]
        yield (
            f"  {N}, {C}-{F} at {length}",
            f"forward {ways[0]}, input {ways[1]}, weights {ways[2]}",
        )


def _advice(blas: dict[str, object]) -> list[str]:
    advice = []
    command = environment.slow_blas_hint()
    if command and "native" not in engines.available():
        advice.append(
            f"NumPy's BLAS runs its {blas['kernel']} kernels on a processor with AVX-512 and reaches "
            f"about half its speed; before starting Python, run: {command}"
        )
    threads = blas.get("threads")
    if isinstance(threads, int) and threads > environment.cores():
        advice.append(
            f"BLAS uses {threads} threads on {environment.cores()} cores; "
            f"run: export OPENBLAS_NUM_THREADS={environment.cores()}"
        )
    if missing := engines.missing_text():
        advice.append(missing)
    return advice or ["Nothing to mend."]
