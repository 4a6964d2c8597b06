"""Commands that several ranks of MPI run together: one of them prints, and all end together."""

from __future__ import annotations

import atexit
import sys
import traceback
from collections.abc import Callable
from time import sleep
from typing import TYPE_CHECKING

import click

from handgrad.cli.failures import failure
from handgrad.distributed.launch import launched

if TYPE_CHECKING:
    from handgrad.distributed.world import World
    from handgrad.training.config import RunConfig
    from handgrad.training.run import Ranks

SHARDS = 8  # of a batch under MPI, unless set
_FIRST = 2.0  # seconds in which rank 0 says what all ranks would say


def with_ranks(work: Callable[[World | None], int]) -> int:
    """Do `work` with the ranks that MPI started, with None where it started none; return the exit code.

    Where a rank fails, all end with its exit code, and its message is printed once.
    """
    told = launched()
    if told is None:
        return work(None)
    from handgrad.distributed.world import give_up, join, leave, silence
    from handgrad.errors import HandgradError

    try:
        world = join()
    except HandgradError as error:
        if told.rank:
            sleep(_FIRST)  # where all lack it, rank 0 says so and ends the others
        place = f"rank {told.rank}: " if told.rank else ""
        click.echo(f"handgrad: {place}{error}", err=True)
        give_up(2)
        return 2
    atexit.register(leave, world)
    if world.rank:
        silence()
    world.exit_code = _worked(world, work)
    return world.exit_code


def _worked(world: World, work: Callable[[World | None], int]) -> int:
    """Do `work`; return the exit code, after all have heard of an error."""
    from handgrad.distributed.world import OtherRankEnded

    try:
        return work(world)
    except OtherRankEnded:
        message, code = None, 2
    except SystemExit as end:  # a signal that came before, or after, the training
        message, code = "stopped", end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        found = failure(error)
        if found is None:
            found = "".join(traceback.format_exception(error)), 1
        message, code = found
    text, code = world.end(message, code)
    if text is not None:
        click.echo(f"handgrad: {text.strip()}", err=True)
    sys.stderr.flush()
    return code


def in_shards(config: RunConfig, world: World | None) -> RunConfig:
    """Return `config` with the number of shards that it has under MPI."""
    if world is None:
        return config
    world.timeout = config.training.rank_timeout
    if config.training.shards:
        return config
    return config.with_overrides({"training.shards": SHARDS})


def ranks_of(world: World | None) -> Ranks | None:
    """Return what makes the sums of a run's shards, None without MPI."""
    if world is None:
        return None
    from handgrad.distributed.wire import Wire

    return lambda shards: Wire(world, shards)


def share_cores(world: World, threads: int | None) -> None:
    """Set the threads of this rank: what was asked for, or its part of the machine's cores."""
    import os

    from handgrad import engines, environment

    cores = environment.cores()
    if cores == (os.cpu_count() or 1):  # else the launcher has given this rank cores of its own
        cores //= world.per_node
    engines.set_threads(threads or max(1, cores))
