"""A batch cut into a fixed number of shards, whose gradients are summed in one fixed tree.

    loss = sum_s share_s loss_s        dW = sum_s share_s dW_s        share_s = rows of s / rows of the batch

Where all shards have as many rows, their gradients are added as they are, and the sum is scaled.

The rows of the batch are cut in their order into equal pieces (the first ones a row longer).  The sums are
those of `handgrad.training.tree`, so the numbers are the same to the last bit whichever process computes
which shard, and on however many threads.  The penalty of the weights is added once, to the sum.

- Dropout and augmentation draw by shard: one number is drawn for the step, and each shard has streams of
  its own, from that number and its own.
- Batch normalisation takes the statistics of each shard ("ghost" batches); the running statistics move by
  the mean over the shards.  With ``norm_sync`` it takes those of the whole batch
  (`handgrad.nn.lockstep`).

Source: E. Hoffer et al. (2017), Train longer, generalize better, arXiv:1705.08741 (ghost batches).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np

from handgrad.engines.devices import to_numpy
from handgrad.errors import OptionError
from handgrad.nn.layer import PairLayer
from handgrad.nn.leaving import Leaving
from handgrad.nn.lockstep import Lockstep
from handgrad.nn.model import Model
from handgrad.nn.state import Stateful
from handgrad.training.arrays import Arrays, buffers_of
from handgrad.training.averaging import load_buffers
from handgrad.training.shard_streams import drawing
from handgrad.training.tree import Node, nodes_of, split, total
from handgrad.training.weighting import called


class Cut(NamedTuple):
    """A batch in shards.

    Attributes:
        pieces: own shard -> its rows.
        places: own shard -> where in the batch they are.
        seed: the number drawn for the step.
    """

    pieces: Mapping[int, Any]
    places: Mapping[int, slice]
    seed: int

    def one_of(self, rows: np.ndarray) -> tuple[np.ndarray, Any]:
        """Return the places in the training set, and the rows, of one own shard: to find what went wrong."""
        shard = next(iter(self.pieces))
        return rows[self.places[shard]], self.pieces[shard]


class Wire(Protocol):
    """What sums the shards of several processes; `handgrad.distributed` has one for MPI.

    Attributes:
        own: the shards of this process.
        reason: why this one wants to stop, None where it does not.
        must_stop: whether one of them does, which all know after the same step.
    """

    rank: int
    size: int
    own: range
    reason: str | None
    must_stop: bool

    def begin(self, params: Arrays, scale: float | None) -> None:
        """A step begins, of these parameters; the sums of all shards are scaled (None: not)."""

    def slots(self, name: str) -> list[np.ndarray]:
        """Return where the sums of the gradient `name` over each own node may be written."""

    def ready(self, name: str, parts: Sequence[np.ndarray]) -> None:
        """The sums of the gradient `name` over each of the own nodes are there."""

    def finish(self) -> Arrays:
        """Return the gradients, summed over all shards."""

    def numbers(self, parts: Sequence[np.ndarray]) -> dict[Node, np.ndarray]:
        """Return small vectors of all nodes, given those of the own ones."""

    def batch(self, pieces: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Return numbered arrays of all processes, given the own ones."""

    def checked(self, params: Arrays, step: int) -> None:
        """Compare the parameters of the processes, where it is time."""


class Shards:
    """How batches are cut, which shards this process computes, and who sums them.

    Attributes:
        count: of all shards.
        own: those of this process.
        wire: None where it computes all.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        *,
        own: range | None = None,
        wire: Wire | None = None,
        norm_sync: bool = False,
    ) -> None:
        """Check the options; OptionError if a batch has fewer rows than shards."""
        if count > batch_size:
            raise OptionError(
                f"Solver: shards must be at most batch_size, {batch_size}, got {count}"
            )
        self.count = count
        self.own = range(count) if own is None else own
        self.wire = wire
        self.norm_sync = norm_sync
        self.nodes = nodes_of(count, self.own.start, self.own.stop)
        self._merges = _merges(self.nodes)

    def over(self, wire: Wire) -> Shards:
        """Return the same shards, of which this process computes its own, and `wire` sums those of all."""
        return Shards(self.count, self.count, own=wire.own, wire=wire, norm_sync=self.norm_sync)

    def gradients(
        self, solver: Any, cut: Cut, y: np.ndarray, weights: np.ndarray | None
    ) -> tuple[float, Arrays]:
        """Return the loss and the gradients of a batch, and move the running statistics."""
        model, bounds = solver.model, bounds_of(len(y), self.count)
        whole = float(len(y)) if weights is None else float(weights.sum())
        shares = {}
        for shard in self.own:
            own = bounds[shard]
            part = own.stop - own.start if weights is None else weights[own].sum()
            shares[shard] = float(part) / whole if whole else 0.0
        scale = 1.0 if self.norm_sync else _common_share(bounds) if weights is None else None
        sums = _Sums(self, model.params, scale, makes_new_gradients(model))
        leaving = Leaving()
        step = _Step(solver, cut, y, weights, bounds, shares, sums, leaving)
        found = self._in_lockstep(step) if self.norm_sync else self._one_by_one(step)
        numbers = self._of_all([found.numbers[shard] for shard in self.own])
        grads = sums.finish()
        loss = float(numbers[0])
        if found.buffers:
            load_buffers(model, _unpacked(numbers[1:], found.buffers))
        if getattr(solver.sampler, "passes", None):
            pieces = found.scores if self.wire is None else self.wire.batch(found.scores)
            model.last_scores = np.concatenate([pieces[shard] for shard in range(self.count)])
        if leaving.was_heard:
            loss, grads = model.penalised(loss, grads, model.params)
        return loss, {name: grads[name] for name in model.params if name in grads}

    def _one_by_one(self, step: _Step) -> _Found:
        model, found = step.solver.model, _Found()
        before = buffers_of(model)
        for shard in self.own:
            share = step.shares[shard]
            seen: set[str] = set()

            def take(name: str, gradient: Any, shard: int = shard, share: float = share,
                     seen: set[str] = seen) -> None:  # fmt: skip
                seen.add(name)
                step.sums.add(shard, name, gradient, share)

            with step.drawing(shard), _alone(model, before), step.leaving.to(take):
                if share:
                    loss, grads = called(model, step.cut.pieces[shard], *step.targets(shard))
                else:  # nothing of it counts
                    loss, grads = 0.0, {n: np.zeros_like(w) for n, w in model.params.items()}
                after = buffers_of(model)
                for name, gradient in grads.items():
                    if name not in seen:
                        take(name, gradient)
                found.note(shard, share, float(loss), after, model)
        return found

    def _in_lockstep(self, step: _Step) -> _Found:
        found, pieces = _Found(), step.cut.pieces
        rows = {shard: step.bounds[shard].stop - step.bounds[shard].start for shard in self.own}
        lockstep = Lockstep(
            step.solver.model,
            self._of_all,
            lambda shard, place: step.drawing(shard, place + 1),
            rows,
            len(step.y),
        )
        step.leaving.was_heard = True
        outs = lockstep.forward({shard: pieces[shard] for shard in self.own})
        losses, dscores = {}, {}
        for shard in self.own:
            loss, slope = lockstep.loss(outs[shard], *step.targets(shard))
            # a batch statistic mixes the shards: each loss counts by its share from here on
            losses[shard] = float(loss) * step.shares[shard]
            dscores[shard] = slope * slope.dtype.type(step.shares[shard])
        lockstep.backward(dscores, lambda shard, name, g: step.sums.add(shard, name, g, 1.0))
        lockstep.keep(outs)
        for shard in self.own:
            found.numbers[shard] = np.array([losses[shard]])
            found.scores[shard] = to_numpy(outs[shard])
        return found

    def _of_all(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """Return the sum over all shards of small vectors, given those of the own shards in order."""
        parts = {(s, s + 1): v for s, v in zip(self.own, vectors, strict=True)}
        known = {}
        for node in self.nodes:
            known[node] = total(node[1], parts, np.add, node[0])
        if self.wire is not None:
            known = self.wire.numbers([known[node] for node in self.nodes])
        return total(self.count, known, np.add)


def shards_of(count: int | None, batch_size: int, norm_sync: bool) -> Shards | None:
    """Return how batches are cut into `count` shards, None where they stay in one piece."""
    if (count or 1) == 1:
        return None
    assert count is not None
    return Shards(count, batch_size, norm_sync=norm_sync)


def bounds_of(rows: int, count: int) -> list[slice]:
    """Return where each of `count` shards of a batch of so many rows lies.

    >>> bounds_of(7, 3)
    [slice(0, 3, None), slice(3, 5, None), slice(5, 7, None)]
    """
    length, longer = divmod(rows, count)
    cuts = [i * length + min(i, longer) for i in range(count + 1)]
    return [slice(start, end) for start, end in pairwise(cuts)]


class _Step(NamedTuple):
    """What the own shards of one step are computed from, and where their gradients go.

    bounds and shares are by shard; weights, of the rows of the batch, None where all count alike.
    """

    solver: Any
    cut: Cut
    y: np.ndarray
    weights: np.ndarray | None
    bounds: Sequence[slice]
    shares: Mapping[int, float]
    sums: _Sums
    leaving: Leaving

    def targets(self, shard: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the targets and the weights of one shard's rows."""
        rows = self.bounds[shard]
        return self.y[rows], None if self.weights is None else self.weights[rows]

    def drawing(self, shard: int, place: int = 0) -> AbstractContextManager[None]:
        """Let all random streams be those of one shard inside of the ``with`` block."""
        return drawing(self.solver, self.cut.seed, shard, place)


class _Found:
    """What the own shards came to: by shard its numbers (loss, buffers) and scores; buffers, a pattern."""

    def __init__(self) -> None:
        self.numbers: dict[int, np.ndarray] = {}
        self.scores: dict[int, np.ndarray] = {}
        self.buffers: Arrays = {}

    def note(self, shard: int, share: float, loss: float, buffers: Arrays, model: Any) -> None:
        self.buffers = buffers
        packed = [np.array([loss]), *(b.ravel() for b in buffers.values() if b.dtype.kind == "f")]
        self.numbers[shard] = share * np.concatenate([p.astype(np.float64) for p in packed])
        scores = getattr(model, "last_scores", None)
        if scores is not None:
            self.scores[shard] = to_numpy(scores)


class _Sums:
    """The gradients of the own shards, added along the tree as far as they alone allow."""

    def __init__(self, shards: Shards, params: Arrays, scale: float | None, are_new: bool) -> None:
        """scale: of all shards, None where each has its own; are_new: no other code writes gradients."""
        self._shards, self._scale, self._are_new = shards, scale, are_new
        self._stacks: dict[str, list[_Sum]] = {name: [] for name in params}
        if shards.wire is not None:
            shards.wire.begin(params, scale)

    def add(self, shard: int, name: str, gradient: Any, share: float) -> None:
        """Add the gradient of one shard, which counts by its share; shards come in their order."""
        array, stack = to_numpy(gradient), self._stacks[name]
        last = _Sum(array, False)
        if self._scale is None:
            last = _Sum(np.multiply(array, array.dtype.type(share), order="C"), True)
        elif not self._are_new and not self._shards._merges[shard]:  # it is kept beyond this call
            last = _Sum(np.array(array, order="C"), True)
        wire, merges = self._shards.wire, self._shards._merges[shard]
        leaves = wire is not None and shard == self._shards.own[-1]
        for left in reversed(range(merges)):
            out = wire.slots(name)[-1] if wire is not None and leaves and not left else None
            last = stack.pop().plus(last, out)
        stack.append(last)
        if wire is not None and leaves:
            wire.ready(name, [own.array for own in stack])

    def finish(self) -> Arrays:
        """Return the gradients, summed over all shards."""
        scale = self._scale
        if self._shards.wire is not None:
            return self._shards.wire.finish()
        tops = {name: stack[0] for name, stack in self._stacks.items() if stack}
        if scale in (None, 1.0):
            return {name: top.array for name, top in tops.items()}
        return {name: top.times(scale) for name, top in tops.items()}


class _Sum(NamedTuple):
    """A gradient of some shards; is_own: it was made here, and may be written."""

    array: np.ndarray
    is_own: bool

    def plus(self, other: _Sum, out: np.ndarray | None) -> _Sum:
        """Return this sum with the `other`: in `out`, else in its place where it is own."""
        if out is None and self.is_own:
            out = self.array
        return _Sum(np.add(self.array, other.array, out=out, order="C"), True)

    def times(self, scale: float) -> np.ndarray:
        """Return the array times a number, in its place where it is own."""
        out = self.array if self.is_own else None
        return np.multiply(self.array, self.array.dtype.type(scale), out=out, order="C")


def makes_new_gradients(model: Any) -> bool:
    """Return whether all layers are the library's, whose gradients are new arrays in each call."""
    if not isinstance(model, Model) or type(model).loss is not Model.loss:
        return False
    kinds = {type(layer) for layer in model._layers}
    return all(issubclass(k, PairLayer) and k.__module__.startswith("handgrad.") for k in kinds)


def _common_share(bounds: Sequence[slice]) -> float | None:
    """Return the share of each shard where all have as many rows, else None."""
    return 1 / len(bounds) if len({own.stop - own.start for own in bounds}) == 1 else None


def _merges(nodes: Sequence[Node]) -> dict[int, int]:
    """Return after which shard how many sums are added up, the last ones first."""
    merges: dict[int, int] = {}

    def go(low: int, high: int) -> None:
        if high - low == 1:
            merges.setdefault(low, 0)
            return
        middle = split(low, high)
        go(low, middle)
        go(middle, high)
        merges[high - 1] += 1

    for low, high in nodes:
        go(low, high)
    return merges


def _unpacked(numbers: np.ndarray, like: Arrays) -> Arrays:
    """Return buffers like those of one shard, the numbers with a point from `numbers`."""
    found, at = {}, 0
    for name, buffer in like.items():
        if buffer.dtype.kind == "f":
            found[name] = numbers[at : at + buffer.size].reshape(buffer.shape).astype(buffer.dtype)
            at += buffer.size
        else:
            found[name] = buffer
    return found


@contextmanager
def _alone(model: Any, before: Arrays) -> Iterator[None]:
    """Let what a call keeps end with the ``with`` block; each shard begins where the others did."""
    if isinstance(model, Stateful):
        with model.fixed():
            yield
        return
    try:
        yield
    finally:
        load_buffers(model, before)
