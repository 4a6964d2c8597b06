"""Where a plan of a Solver takes the rows of its steps from.

=====================  ===============================================================================
rows                   what the plan reads
=====================  ===============================================================================
numbers                the array itself, out of which it takes its batches
bytes with their       the bytes, in memory or those of some steps read from their file; it makes
preprocessing          numbers of those in a batch
all others             blocks: the batches of several steps, one behind the other, which the thread that
                       runs ahead (`handgrad.training.ahead`) makes while the steps before are computed
=====================  ===============================================================================

Flips and crops are done by the plan as it takes a batch, all other augmentations in blocks.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from handgrad import engines
from handgrad.data.augment import Augmentation
from handgrad.data.cache import StoredImages
from handgrad.data.preprocessing import Preprocessing
from handgrad.data.rows import Rows
from handgrad.environment import cores
from handgrad.nn.compiled.parts import Feed
from handgrad.training.ahead import Wish
from handgrad.training.step import wish

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

BYTES = 1 << 23  # of a block, beside which the next one is made


class Drawn(NamedTuple):
    """What steps take.

    Attributes:
        rows: of the training set, (steps, batch).
        feed: where a plan reads them.
        places: of them there.
        moves: of each of them, None where none is.
    """

    rows: np.ndarray
    feed: Feed
    places: np.ndarray
    moves: np.ndarray | None = None


class Stored:
    """All rows of a training set, out of which a plan takes its batches."""

    def __init__(self, X: Any, y: np.ndarray, prepare: tuple[np.ndarray, ...] = ()) -> None:
        """Take rows of numbers, or bytes and what prepares them; y is as long as X."""
        self._X, self._y, self._prepare = X, y, prepare

    def draw(self, solver: Solver, count: int, most: int, in_turns: bool) -> Drawn:
        """Draw the rows of the next `count` steps.

        Args:
            solver: whose stream draws.
            count: how many steps are to be one call.
            most: how many steps are left of the epoch.
            in_turns: whether each step itself draws from the same stream, and is to be drawn alone.
        """
        now = wish(solver, 0)
        is_file = isinstance(self._X, StoredImages)
        if is_file:
            count = _cut(count, now, self._X.dtype.itemsize)
        moves = None
        if solver.augment is None:
            rows = solver.sampler.draw_several(now.size, solver.random, now.step, now.share, count)
        else:
            rows, moves = _moved(solver, now, count)
        places = now.X.chosen[rows] if self._prepare else rows
        feed = Feed(self._X, self._y, self._prepare, solver.y_train.dtype)
        if is_file:  # what is read of it, one batch behind the other
            chosen = places.ravel()
            read = engines.get("native").plans.read_rows
            X = np.ascontiguousarray(self._X.read(chosen, read))
            feed, places = feed._replace(X=X, y=self._y[chosen]), _in_order(rows)
        return Drawn(rows, feed, np.ascontiguousarray(places, np.int64), moves)


class Blocks:
    """Batches that are made in front of the steps that a plan does with them."""

    def __init__(self, y: np.ndarray) -> None:
        """Take the labels or targets of all rows."""
        self._y = y

    def draw(self, solver: Solver, count: int, most: int, in_turns: bool) -> Drawn:
        """Draw the batches of the next steps: those made ahead, or the next one, or `count` without a thread.

        See `Stored.draw`.  Where a core is free, the thread goes on to the steps behind them in the epoch.
        """
        count = _cut(count, wish(solver, 0), solver.X_train.dtype.itemsize)
        ahead = not in_turns and _has_a_spare_core() and wish(solver, 0, count).can_be_made_ahead
        alone = 1 if ahead else count
        rows, X = solver.ahead.take(
            solver.sampler, solver.random, wish(solver, 0, 1 if in_turns else most), alone
        )
        steps = len(rows) // rows_of_a_step(solver)
        later = min(count, most - steps)
        if later > 0 and ahead:
            solver.ahead.go_on(solver.sampler, solver.random, wish(solver, steps, later))
        X, y = np.ascontiguousarray(X), self._y[rows]
        rows = rows.reshape(steps, -1)
        return Drawn(rows, Feed(X, y, y_dtype=solver.y_train.dtype), _in_order(rows))


def _cut(count: int, batch: Wish, bytes_each: int) -> int:
    """Return how many batches a block holds, of `count` that are wanted."""
    numbers = batch.size * prod(batch.X.shape[1:])
    return min(count, max(1, BYTES // max(numbers * bytes_each, 1)))


def _in_order(rows: np.ndarray) -> np.ndarray:
    return np.arange(rows.size).reshape(rows.shape)


def _moved(solver: Solver, first: Wish, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the rows of `count` steps, and how each is moved, in turns."""
    augment, rows, moves = solver.augment, [], []
    assert isinstance(augment, Augmentation)
    for step in range(first.step, first.step + count):
        rows.append(solver.sampler.draw(first.size, solver.random, step, first.share))
        moves.append(augment.moves(solver.random, rows[-1], first.epoch))
    return np.stack(rows), np.stack(moves)


def _has_a_spare_core() -> bool:
    """Whether a thread has a core to itself while a plan computes; else the plan's threads wait for it."""
    return engines.get("native").control.threads() < cores()


def rows_of_a_step(solver: Solver) -> int:
    """Return how many rows each batch has."""
    if solver.sampling == "replacement":
        return solver.batch_size
    return min(solver.batch_size, len(solver.X_train))


def feed_of(solver: Solver) -> Stored | Blocks | None:
    """Return how a plan reads the training set of `solver`, or None where it cannot."""
    X, model = solver.X_train, solver.model
    dtype = next(iter(model.params.values())).dtype
    if model.dtype is not None and np.dtype(model.dtype) != dtype:
        return None
    labels = solver.task == "classification"
    y = np.ascontiguousarray(solver.y_train, np.int64 if labels else np.float64)
    augment = solver.augment
    as_stored = augment is None or (
        isinstance(augment, Augmentation) and augment.only_moves and X.ndim == 4
    )
    if type(X) is Rows and as_stored and X.dtype == dtype:
        stored = _stored_bytes(X, y)
        if stored is not None:
            return stored
    casts = model.dtype is not None and model._casts_input
    if X.dtype not in (np.float32, np.float64) or not (casts or X.dtype == dtype):
        return None
    if not as_stored or isinstance(X, Rows):
        return Blocks(y)
    if type(X) is not np.ndarray or not X.flags.c_contiguous or not X.flags.aligned:
        return None
    return Stored(X, y)


def _stored_bytes(X: Rows, own: np.ndarray) -> Stored | None:
    """Return the bytes of X and their preprocessing, where a plan can do both."""
    raw = X.raw
    if type(X.prepare) is not Preprocessing or raw.dtype != np.uint8:
        return None
    in_memory = type(raw) is np.ndarray and raw.flags.c_contiguous
    if not in_memory and not isinstance(raw, StoredImages):
        return None
    # y as long as what is stored
    y = np.zeros((len(raw), *own.shape[1:]), own.dtype)
    y[X.chosen] = own
    if not (y[X.chosen] == own).all():  # a row that is there twice, with two labels
        return None
    return Stored(raw, y, X.prepare.of_bytes())
