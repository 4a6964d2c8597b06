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

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from handgrad.errors import OptionError
from handgrad.training.parts import Part, State, count_in
from handgrad.training.passes import Passes, drawn_seed

SAMPLINGS = ("replacement", "shuffled")


class Order:
    """A random order of N rows that a seed alone determines, so that a checkpoint holds only that."""

    def __init__(self, seed: int, N: int) -> None:
        self.seed = seed
        self.rows = np.random.default_rng(seed).permutation(N)


class Sampling(Part):
    """Which of N rows the steps take.

    Attributes:
        kind: one of `SAMPLINGS`.
        passes: where that is not 0, else None.
    """

    def __init__(self, kind: str, skip_easy: float | list[float], N: int, model: Any) -> None:
        """Take the options, which `handgrad.training.options` has checked; OptionError for the model."""
        self.kind = kind
        self.skip_easy = skip_easy
        if self.skip_easy and not hasattr(model, "last_scores"):
            raise OptionError(
                "Solver: skip_easy needs a model that keeps the scores of loss(X, y) as last_scores, "
                f"which {type(model).__name__} does not have"
            )
        self.passes = Passes(N, self.skip_easy) if self.skip_easy else None
        self._N = N
        self._seed = 0  # of the order of this epoch
        self._order: Order | None = None

    def draw(self, size: int, random: Any, step: int, share: float) -> np.ndarray:
        """Return the `size` rows of step number `step` of an epoch, with a `share` of training done."""
        if self.kind == "replacement":
            rows: np.ndarray = random.choice(self._N, size)
            return rows
        if self.passes:
            return self.passes.draw(size, random, share)
        if step == 0:
            self._seed = drawn_seed(random)
        if self._order is None or self._order.seed != self._seed:
            self._order = Order(self._seed, self._N)
        return self._order.rows[step * size : (step + 1) * size]

    def draw_several(
        self, size: int, random: Any, step: int, share: float, count: int
    ) -> np.ndarray:
        """Return the rows of `count` steps of an epoch, (count, size), as `draw` gives them one by one.

        Not where a pass decides after each step.
        """
        if self.kind == "replacement":
            rows: np.ndarray = random.choice(self._N, (count, size))
            return rows
        first = self.draw(size, random, step, share)
        assert self._order is not None
        start = step * size
        return self._order.rows[start : start + count * len(first)].reshape(count, len(first))

    def twin(self) -> Sampling:
        """Return a sampling that draws the same from here on, without a trace in this one."""
        return copy.copy(self)

    def follow(self, twin: Sampling) -> None:
        """Stand where `twin` stands."""
        self._seed, self._order = twin._seed, twin._order

    def note(self, rows: np.ndarray, model: Any, y: np.ndarray) -> None:
        """Look at the scores of the step of these `rows`, where the next rows depend on them."""
        if self.passes:
            self.passes.note(rows, model.last_scores, y)

    def state(self) -> State:
        """Return the seed of the order, and what the passes hold."""
        passes = self.passes.state() if self.passes else {}
        return {"progress": {"_order_seed": self._seed}, "passes": passes}

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return the seed of the order, and what the passes hold."""
        if not isinstance(state["passes"], dict):
            raise ValueError("passes must be a dictionary")
        if self.passes and state["passes"]:
            copy.copy(self.passes).load(state["passes"])
        seed = count_in(state, "_order_seed", missing=0)
        return {"progress": {"_order_seed": seed}, "passes": state["passes"]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up the seed, and what the passes hold."""
        self._seed = state["progress"]["_order_seed"]
        if self.passes and state["passes"]:
            self.passes.load(state["passes"])

    def mark(self) -> tuple[int, Any]:
        """Return the seed and the mark of the passes."""
        return self._seed, self.passes.mark() if self.passes else None

    def back(self, mark: tuple[int, Any]) -> None:
        """Undo what was drawn and noted."""
        self._seed = mark[0]
        if self.passes:
            self.passes.back(mark[1])


def augmented(augment: Any, X: np.ndarray, random: Any, rows: np.ndarray, epoch: int) -> Any:
    """Return the batch X, the `rows` of the training set, as `augment` changes it, if it is not None."""
    if augment is None:
        return X
    if getattr(augment, "takes_rows", False):
        return augment(X, random, rows=rows, epoch=epoch)
    return augment(X, random)
