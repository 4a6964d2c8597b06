"""Which rows of the training set a step takes, and how they are changed.

===============  ================================================================================
sampling         the rows of a batch
===============  ================================================================================
``replacement``  ``choice(N, batch_size)``: each drawn from all, as in the courses
``shuffled``     the next of a random order, drawn anew for each epoch: no row twice in an epoch,
                 and ``N % batch_size`` of them not at all
===============  ================================================================================

With `skip_easy`, "shuffled" goes on to a pass over fewer rows, see `handgrad.training.passes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

SAMPLINGS = ("replacement", "shuffled")


class Order:
    """A random order of N rows that a seed alone determines, so that a checkpoint holds only that."""

    def __init__(self, seed: int, N: int) -> None:
        self.seed = seed
        self.rows = np.random.default_rng(seed).permutation(N)


def drawn_seed(random: Any) -> int:
    """Return a seed, by one number of the stream `random`."""
    return int(random.random() * 2**53)


def draw_rows(solver: Solver, step: int) -> np.ndarray:
    """Return the rows of step number `step` of an epoch."""
    N, size = len(solver.X_train), solver.batch_size
    if solver.sampling == "replacement":
        rows: np.ndarray = solver.random.choice(N, size)
        return rows
    if solver._passes:
        done = solver.iteration / max(solver.total_steps, 1)
        return solver._passes.draw(size, solver.random, done)
    if step == 0:
        solver._order_seed = drawn_seed(solver.random)
    if solver._order is None or solver._order.seed != solver._order_seed:
        solver._order = Order(solver._order_seed, N)
    return solver._order.rows[step * size : (step + 1) * size]


def augmented(solver: Solver, X: np.ndarray, rows: np.ndarray) -> Any:
    """Return the batch X, the `rows` of the training set, as the Solver's augmentation changes it."""
    if solver.augment is None:
        return X
    augment: Any = solver.augment
    if getattr(augment, "takes_rows", False):
        epoch = solver._passes.number - 1 if solver._passes else solver.epoch
        return augment(X, solver.random, rows=rows, epoch=epoch)
    return augment(X, solver.random)
