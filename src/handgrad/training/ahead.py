"""The next batch, made by a thread while the network computes with this one.

The batches are those that would be made without it, to the bit.  When a batch has been drawn and changed, the
thread goes on from there with a copy of the random stream: it draws the next rows, makes numbers of them and
augments them.  The next step takes this batch if the stream still stands where the copy began, and then moves
it to where the copy ended; if anything else has drawn in between (dropout, an estimate of the accuracy, a
step taken back), it makes its batch itself.

Only batches of `Rows` are made ahead, which cannot change, without an augmentation or with one of the
library's, and only those that are large enough to be worth it.

Several steps of a plan (`handgrad.training.compiled`) may take their batches in one piece.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from handgrad.data import Augmentation, Rows
from handgrad.training.circumstances import get_state, set_state
from handgrad.training.passes import drawn_seed
from handgrad.training.sampling import Sampling, augmented
from handgrad.training.shard_streams import augmenting
from handgrad.training.shards import Cut, bounds_of

WORTH = 50_000  # numbers of a batch from which on a thread gains


class Wish(NamedTuple):
    """What a batch depends on beside sampling and stream.

    Attributes:
        X: all rows.
        size: of the batch.
        step: of the epoch.
        share: of training that is done.
        cut: into how many shards and which of them, None for one piece.
        steps: of how many of the epoch the batches are wanted, at most.
    """

    X: Any
    augment: Any
    size: int
    step: int
    share: float
    epoch: int
    cut: tuple[int, range] | None = None
    steps: int = 1

    def is_filled_by(self, made: Wish) -> bool:
        """Whether what was made for `made` begins here, of the very same objects, and is not too much."""
        same = self.X is made.X and self.augment is made.augment
        return same and self[2:-1] == made[2:-1] and made.steps <= self.steps

    @property
    def can_be_made_ahead(self) -> bool:
        """Whether a thread may make the batch, and gains something by it."""
        library = self.augment is None or isinstance(self.augment, Augmentation)
        if not isinstance(self.X, Rows) or not library:
            return False
        return self.steps * self.size * int(np.prod(self.X.shape[1:])) >= WORTH


class Batch(NamedTuple):
    """The rows of a step and their numbers; of several steps, one batch after the other."""

    rows: np.ndarray
    X: Any


class _Made(NamedTuple):
    """A batch made ahead, the sampling after it, and where the copy of the stream stands then."""

    batch: Batch
    sampling: Sampling
    state: dict[str, Any]


class Ahead:
    """Draws batches, the next one ahead where that is allowed.

    Attribute: hits, how many batches had been made ahead.
    """

    def __init__(self) -> None:
        self.hits = 0
        self._pool: ThreadPoolExecutor | None = None
        self._next: tuple[Wish, dict[str, Any], Future[_Made]] | None = None

    def take(self, sampling: Sampling, random: Any, wish: Wish, alone: int = 1) -> Batch:
        """Return the batch of `wish`, and leave `sampling` and the stream `random` behind it.

        Of several steps, it holds those that were made ahead, or if none were, the first `alone` of them.
        """
        made = self._made(random, wish)
        if made is None:
            return _batch(sampling, random, wish._replace(steps=min(alone, wish.steps)))
        sampling.follow(made.sampling)
        set_state(random, made.state)
        self.hits += 1
        return made.batch

    def go_on(self, sampling: Sampling, random: Any, wish: Wish) -> None:
        """Begin to make the batch of `wish`, which is the next one if nothing comes in between."""
        if sampling.passes or not wish.can_be_made_ahead:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "handgrad-ahead")
        state, stream = get_state(random), copy.deepcopy(random)
        self._next = wish, state, self._pool.submit(_make, sampling.twin(), stream, wish)

    def close(self) -> None:
        """End the thread; the next call of `go_on` begins another one."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = self._next = None

    def _made(self, random: Any, wish: Wish) -> _Made | None:
        """The batch that was made ahead, if it is the one that is wanted."""
        if self._next is None:
            return None
        wanted, state, future = self._next
        self._next = None
        if not wish.is_filled_by(wanted) or not _is_same(get_state(random), state):
            return None
        return future.result()


def _batch(sampling: Sampling, random: Any, wish: Wish) -> Batch:
    if wish.steps > 1:
        each = [wish._replace(step=wish.step + i, steps=1) for i in range(wish.steps)]
        return _joined(_batch(sampling, random, one) for one in each)
    rows = sampling.draw(wish.size, random, wish.step, wish.share)
    epoch = sampling.passes.number - 1 if sampling.passes else wish.epoch
    if wish.cut is not None:
        return Batch(rows, _cut(wish, rows, drawn_seed(random), epoch))
    return Batch(rows, augmented(wish.augment, wish.X[rows], random, rows, epoch))


def _joined(batches: Iterator[Batch]) -> Batch:
    rows, numbers = zip(*batches, strict=True)
    return Batch(np.concatenate(rows), np.concatenate(numbers))


def _cut(wish: Wish, rows: np.ndarray, seed: int, epoch: int) -> Cut:
    """Return the own shards of a batch, each augmented by a stream of its own."""
    assert wish.cut is not None
    count, own = wish.cut
    bounds = bounds_of(len(rows), count)
    places = {shard: bounds[shard] for shard in own}
    pieces = {
        shard: augmented(
            wish.augment, wish.X[rows[place]], augmenting(seed, shard), rows[place], epoch
        )
        for shard, place in places.items()
    }
    return Cut(pieces, places, seed)


def _make(sampling: Sampling, random: Any, wish: Wish) -> _Made:
    batch = _batch(sampling, random, wish)
    return _Made(batch, sampling, get_state(random))


def _is_same(one: Any, two: Any) -> bool:
    """Whether two states of a stream are the same."""
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(_is_same(one[key], two[key]) for key in one)
    if isinstance(one, np.ndarray):
        return bool((one == two).all())
    return bool(one == two)
