"""Latency and bandwidth between ranks."""

from __future__ import annotations

import platform
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from handgrad.distributed.world import World

_SMALL, _LARGE = 8, 1 << 22  # bytes of a message
_ROUNDS, _LARGE_ROUNDS = 200, 8
_TAG = 21


class Line(NamedTuple):
    """What was measured between rank 0 and another one.

    Attributes:
        machine: its name.
        latency: in seconds, half of a round trip of 8 bytes.
        bandwidth: in bytes a second, of messages of 4 MiB.
    """

    rank: int
    machine: str
    latency: float
    bandwidth: float


def measure(world: World) -> list[Line]:
    """Return latency and bandwidth from rank 0 to each other one; all ranks call it together."""
    machines = world.share(platform.node(), "the names of the machines")
    lines = []
    for rank in range(1, world.size):
        times = [_round_trips(world, rank, size, rounds)
                 for size, rounds in ((_SMALL, _ROUNDS), (_LARGE, _LARGE_ROUNDS))]  # fmt: skip
        small, large = (time / 2 for time in times)
        bandwidth = _LARGE / max(large - small, 1e-9)
        lines.append(Line(rank, machines[rank], small, bandwidth))
    return list(map(_line, world.share([list(line) for line in lines], "the measurements")[0]))


def _line(values: list[Any]) -> Line:
    return Line(*values)


def _round_trips(world: World, other: int, size: int, rounds: int) -> float:
    """Return the shortest time of a message from rank 0 to `other` and back."""
    world.share(0, "the start of a measurement")
    if world.rank not in (0, other):
        return 0.0
    peer = other if world.rank == 0 else 0
    data, back = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    best = float("inf")
    for _ in range(rounds):
        started = perf_counter()
        for mine in (True, False) if world.rank == 0 else (False, True):
            request = world.send(data, peer, _TAG) if mine else world.receive(back, peer, _TAG)
            world.wait({peer: [request]}, "a measurement")
        best = min(best, perf_counter() - started)
    return best
