"""``handgrad doctor``: what is installed, what is slow, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from handgrad import engines, environment

if TYPE_CHECKING:
    from handgrad.distributed.world import World


EPILOG = """\b
Examples:
  handgrad doctor
  mpirun -n 2 handgrad doctor --mpi
"""


@click.command(epilog=EPILOG)
@click.option(
    "--mpi", is_flag=True, help="Say which MPI there is, and measure it between the ranks."
)
def command(mpi: bool) -> int:
    """Say what is installed, what is slow, and how to mend it."""
    if mpi:
        from handgrad.cli.ranks import with_ranks

        return with_ranks(_mpi)
    _show()
    return 0


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
        table.add_row("native threads", str(control.threads()))
        table.add_row("native convolution", "exact" if control.exact() else "fast (Winograd)")
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
