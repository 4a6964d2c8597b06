"""The sums of gradients over the ranks, sent while backward goes on.

The gradients lie one behind the other in buckets, the last layers first.  A bucket is sent as soon as the
last own shard's backward has passed all its layers.  Each rank owns an equal part of every bucket::

    1. each rank sends the sums over its own nodes of the tree to the owner of each part
    2. the owner adds them in the order of the tree, and sends the sum to all

With one node a rank (ranks that are a power of two, and divide the shards) a rank sends, of M bytes of
gradients on R ranks, M (R - 1) / R in each of the two, which no other way of adding does with less
(P. Patarasuk and X. Yuan, 2009).  MPI goes on with it whenever backward hands over a gradient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from time import perf_counter, sleep
from typing import Any

import numpy as np

from handgrad.distributed.world import RankError, World
from handgrad.errors import OptionError
from handgrad.training.arrays import Arrays
from handgrad.training.tree import Node, nodes_of, share_out, total

BUCKET = 1 << 18  # bytes of gradients that are sent together
_NUMBERS, _BATCH, _HASH, _FIRST = 11, 12, 13, 100  # tags; buckets have two each from _FIRST on


class _Bucket:
    """Some gradients, one behind the other; what comes and goes of them."""

    def __init__(self, number: int, names: list[str], params: Arrays, wire: Wire) -> None:
        self.number = number
        self.dtype = params[names[0]].dtype
        self.places: dict[str, slice] = {}
        size = 0
        for name in names:
            self.places[name] = slice(size, size + params[name].size)
            size += params[name].size
        world = wire.world
        cuts = [size * r // world.size for r in range(world.size + 1)]
        self.parts = [slice(a, b) for a, b in pairwise(cuts)]
        own = self.parts[world.rank]
        length = own.stop - own.start
        self.out = np.empty(
            (len(wire.nodes[world.rank]), size), self.dtype
        )  # sums of the own nodes
        self.into = {
            rank: np.empty((len(wire.nodes[rank]), length), self.dtype)
            for rank in range(world.size)
            if rank != world.rank
        }
        self.begin()

    def begin(self) -> None:
        self.total = np.empty(
            self.out.shape[1], self.dtype
        )  # anew: the gradients of a step are views of it
        self.missing = set(self.places)
        self.sent: dict[int, list[Any]] = {}
        self.coming: dict[int, list[Any]] = {}
        self.state = "filling"
        self.not_before = 0.0

    def slots(self, name: str, shape: tuple[int, ...]) -> list[np.ndarray]:
        """Return where the sums of a gradient over each of the own nodes belong."""
        return [row[self.places[name]].reshape(shape) for row in self.out]

    def fill(self, name: str, parts: Sequence[np.ndarray]) -> None:
        for slot, array in zip(self.slots(name, parts[0].shape), parts, strict=True):
            if array.base is None or array.ctypes.data != slot.ctypes.data:
                slot[...] = array
        self.missing.discard(name)


class Wire:
    """The `handgrad.training.shards.Wire` of MPI.

    Attributes:
        nodes: of each rank.
        owns: the shards of each rank.
        check_every: steps between two comparisons of parameters.
        seconds: the times of the last step: flying, while a message was under way, and waiting, those
            of them in which nothing else was done.
    """

    def __init__(self, world: World, shards: int, check_every: int = 100) -> None:
        if world.size > shards:
            raise OptionError(
                f"mpirun: {world.size} ranks, but training.shards is {shards}; run at most {shards} ranks, "
                f"or begin a run with --set training.shards={world.size}"
            )
        self.world = world
        self.rank, self.size = world.rank, world.size
        self.shards = shards
        self.owns = share_out(shards, world.size)
        self.own = self.owns[world.rank]
        self.nodes = [nodes_of(shards, own.start, own.stop) for own in self.owns]
        self.check_every = check_every
        self.reason: str | None = None  # why this rank wants to stop
        self.must_stop = False  # agreed by all
        self.seconds = {"flying": 0.0, "waiting": 0.0}
        self._layout: list[tuple[str, Any, Any]] | None = None
        self._buckets: list[_Bucket] = []
        self._home: dict[str, _Bucket] = {}
        self._flying: list[_Bucket] = []
        self._since: float | None = None
        self._scale = 1.0

    def begin(self, params: Arrays, scale: float | None) -> None:
        """A step begins, of these parameters; the sums of all shards are scaled (None: not)."""
        self._scale = 1.0 if scale is None else scale
        layout = [(name, w.shape, w.dtype) for name, w in params.items()]
        if layout != self._layout:
            self._layout = layout
            self._shapes = {name: w.shape for name, w in params.items()}
            self._buckets = self._made(params)
            self._home = {name: bucket for bucket in self._buckets for name in bucket.places}
        for bucket in self._buckets:
            bucket.begin()
        self._flying = []
        self._since = None
        self.seconds = {"flying": 0.0, "waiting": 0.0}

    def _made(self, params: Arrays) -> list[_Bucket]:
        groups: list[list[str]] = []
        size = 0
        for name in reversed(params):
            w = params[name]
            is_full = size + w.nbytes > BUCKET
            if not groups or is_full or params[groups[-1][0]].dtype != w.dtype:
                groups.append([])
                size = 0
            groups[-1].append(name)
            size += w.nbytes
        return [_Bucket(i, names, params, self) for i, names in enumerate(groups)]

    def slots(self, name: str) -> list[np.ndarray]:
        """Return where the sums of the gradient `name` over each own node may be written."""
        return self._home[name].slots(name, self._shapes[name])

    def ready(self, name: str, parts: Sequence[np.ndarray]) -> None:
        """The sums of the gradient `name` over each of the own nodes are there."""
        bucket = self._home[name]
        bucket.fill(name, parts)
        if not bucket.missing:
            self._send(bucket)
        self._go_on()

    def finish(self) -> Arrays:
        """Return the gradients, summed over all shards."""
        started = perf_counter()
        while self._flying:
            for bucket in list(self._flying):
                self.world.wait(bucket.coming, f"the gradients of {next(iter(bucket.places))}")
                sleep(max(0.0, bucket.not_before - perf_counter()))
                self._advance(bucket)
        for bucket in self._buckets:
            if bucket.state != "done":
                raise RankError(f"the gradients of {', '.join(sorted(bucket.missing))} never came")
            self.world.wait(bucket.sent, "the gradients")
        now = perf_counter()
        if self._since is not None:
            self.seconds["flying"] += now - self._since
        self.seconds["waiting"] += now - started
        return {
            name: bucket.total[place].reshape(self._shapes[name])
            for bucket in self._buckets
            for name, place in bucket.places.items()
        }

    def _send(self, bucket: _Bucket) -> None:
        """Send the sums over the own nodes to the owners of the parts."""
        if self._since is None:
            self._since = perf_counter()
        tag = _FIRST + 2 * bucket.number
        bucket.state = "scattering"
        bucket.not_before = perf_counter() + self.world.delay
        bucket.coming = {
            r: [self.world.receive(row, r, tag) for row in rows] for r, rows in bucket.into.items()
        }
        bucket.sent = {
            r: [self.world.send(row[bucket.parts[r]], r, tag) for row in bucket.out]
            for r in bucket.into
        }
        self._flying.append(bucket)
        if not bucket.into:
            self._advance(bucket)

    def _go_on(self) -> None:
        for bucket in list(self._flying):
            requests = [r for own in bucket.coming.values() for r in own]
            if self.world.is_done(requests) and perf_counter() >= bucket.not_before:
                self._advance(bucket)

    def _advance(self, bucket: _Bucket) -> None:
        """What was coming is there: add it and hand it on, or be done."""
        world = self.world
        if bucket.state == "gathering":
            bucket.state = "done"
            self._flying.remove(bucket)
            if not self._flying and self._since is not None:
                self.seconds["flying"] += perf_counter() - self._since
                self._since = None
            return
        part = bucket.parts[world.rank]
        rows: dict[Node, np.ndarray] = {}
        for rank, nodes in enumerate(self.nodes):
            sums = bucket.out[:, part] if rank == world.rank else bucket.into[rank]
            rows |= dict(zip(nodes, sums, strict=True))
        own = bucket.total[part]
        np.multiply(total(self.shards, rows, np.add), bucket.dtype.type(self._scale), out=own)
        tag = _FIRST + 2 * bucket.number + 1
        bucket.state = "gathering"
        bucket.not_before = perf_counter() + world.delay
        bucket.coming = {
            r: [world.receive(bucket.total[bucket.parts[r]], r, tag)] for r in bucket.into
        }
        for r in bucket.into:
            bucket.sent[r].append(world.send(own, r, tag))
        if not bucket.into:
            self._advance(bucket)

    def numbers(self, parts: Sequence[np.ndarray]) -> dict[Node, np.ndarray]:
        """Return small vectors of all nodes, given those of the own ones; and agree on a stop."""
        world = self.world
        shape = parts[0].shape
        wants_stop = self.reason is not None
        own = np.stack([np.concatenate([[wants_stop], p.reshape(-1)]) for p in parts])
        into = {
            r: np.empty((len(self.nodes[r]), own.shape[1]))
            for r in range(world.size)
            if r != world.rank
        }
        coming = {r: [world.receive(array, r, _NUMBERS)] for r, array in into.items()}
        for r in into:
            coming[r].append(world.send(own, r, _NUMBERS))
        world.wait(coming, "the losses")
        found: dict[Node, np.ndarray] = {}
        for rank, nodes in enumerate(self.nodes):
            sums = own if rank == world.rank else into[rank]
            self.must_stop |= bool(sums[:, 0].any())
            found |= {node: row[1:].reshape(shape) for node, row in zip(nodes, sums, strict=True)}
        return found

    def batch(self, pieces: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Return numbered arrays of all ranks, given the own ones."""
        world = self.world
        found = {number: np.ascontiguousarray(array) for number, array in pieces.items()}
        mine = list(found.values())
        told = [[number, a.shape, a.dtype.str] for number, a in found.items()]
        requests: dict[int, list[Any]] = {}
        for rank, own in enumerate(world.share(told, "the scores")):
            if rank == world.rank:
                continue
            requests[rank] = [world.send(a, rank, _BATCH) for a in mine]
            for number, shape, dtype in own:
                found[number] = np.empty(shape, dtype)
                requests[rank].append(world.receive(found[number], rank, _BATCH))
        world.wait(requests, "the scores")
        return found

    def checked(self, params: Arrays, step: int) -> None:
        """Compare the parameters of the ranks every `check_every` steps.

        Raises RankError, naming rank and parameter, where a rank holds other numbers than rank 0.
        """
        if step % self.check_every:
            return
        digests = b"".join(digest(w) for w in params.values())
        every = self.world.share(digests.hex(), "the comparison of parameters")
        length = len(digests) // max(len(params), 1)
        for rank, text in enumerate(every):
            other, first = bytes.fromhex(text), bytes.fromhex(every[0])
            for i, name in enumerate(params):
                place = slice(i * length, (i + 1) * length)
                if other[place] != first[place]:
                    raise RankError(
                        f"rank {rank} holds other numbers in {name} than rank 0 after step {step}: the "
                        "memory or processor of one of them fails, or its code differs"
                    )


def digest(array: np.ndarray) -> bytes:
    """Return 16 bytes that tell the numbers of `array` from others."""
    return hashlib.blake2b(np.ascontiguousarray(array).view(np.uint8).data, digest_size=16).digest()
