"""Passes over the training set that leave out most of the rows that the network knows already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from handgrad.engines.devices import to_numpy
from handgrad.errors import OptionError, as_number
from handgrad.training.evaluate import log_softmax


def drawn_seed(random: Any) -> int:
    """Return a seed, by one number of the stream `random`."""
    return int(random.random() * 2**53)


def as_skip(where: str, value: Any) -> float | list[float]:
    """Return `value`, a number in [0, 1) or a list of a first and a last one; OptionError otherwise."""
    if not isinstance(value, list | tuple):
        return as_number(where, "skip_easy", value, 0.0, 1.0, open_high=True)
    if len(value) != 2:
        raise OptionError(
            f"{where}: skip_easy must be a number or a first and a last one, got {value!r}"
        )
    return [as_number(where, "skip_easy", v, 0.0, 1.0, open_high=True) for v in value]


class Passes:
    """The rows of one step after the other, in shuffled passes over the hard rows and some easy ones.

    A row is easy while its loss, of the last step that it was in, is below the mean of all rows' last
    losses.  A pass takes every hard row and leaves out an easy one with the probability `skip`, so
    that its rows come round sooner; the losses are those that training computes anyway.  Rows that no
    step has had are hard.  The probability goes in a straight line from its first value, when training
    begins, to its last.

    Leaving out rows without more weight on those that stay moves the minimum towards the hard rows; it
    is for short training, where few rows are fitted exactly.

    Attributes: number, passes begun; left, the rows (n,) of this pass that are still to come; losses (N,),
    infinite where there is none yet.

    Source: Z. Qin et al., InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning (2024),
    arXiv:2303.04947, whose rows above the mean are kept and which weighs the others.
    """

    def __init__(self, N: int, skip: float | list[float]) -> None:
        """N: rows of the training set; skip: in [0, 1), one number or the first and the last."""
        self.first, self.last = skip if isinstance(skip, list) else (skip, skip)
        self.number = 0
        self.left = np.zeros(0, np.int64)
        self._losses = np.full(N, np.inf)
        self._noted: tuple[Any, Any] = (slice(0), 0.0)  # rows and losses of the last step

    @property
    def losses(self) -> np.ndarray:
        """The last loss of every row.

        Those of the last step are written in when they are asked for, as often as that may be: so a step
        changes no array, and can be undone.
        """
        rows, losses = self._noted
        self._losses[rows] = losses
        return self._losses

    def draw(self, size: int, random: Any, share: float = 0.0) -> np.ndarray:
        """Return the rows of a step, before which a `share` of the training is done.

        A pass's last rows, fewer than `size`, are left out.
        """
        if len(self.left) < size:
            skip = self.first + (self.last - self.first) * share
            self._begin(size, skip, np.random.default_rng(drawn_seed(random)))
        rows, self.left = self.left[:size], self.left[size:]
        return rows

    def _begin(self, size: int, skip: float, rng: np.random.Generator) -> None:
        """Choose the rows of the next pass: all, where fewer than a step takes would be left."""
        known = self.losses[np.isfinite(self.losses)]
        is_easy = self._losses < (known.mean() if known.size else 0.0)
        order = rng.permutation(len(is_easy))
        is_out = is_easy & (rng.random(len(is_easy)) < skip)
        kept = order[~is_out[order]]
        self.left = kept if len(kept) >= size else order
        self.number += 1

    def note(self, rows: np.ndarray, scores: Any, y: np.ndarray) -> None:
        """Keep the losses of a step's rows, ``log sum_j exp(s_j) - s_y`` of its scores (n, classes)."""
        losses = -log_softmax(to_numpy(scores).real)[np.arange(len(y)), y]
        _ = self.losses  # those of the step before are written in
        self._noted = rows, losses

    def mark(self) -> tuple[Any, ...]:
        """Return what `back` needs to undo the next step."""
        _ = self.losses
        return self.number, self.left, self._noted

    def back(self, mark: tuple[Any, ...]) -> None:
        """Undo the step since `mark`."""
        self.number, self.left, self._noted = mark

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {"number": self.number, "left": self.left, "losses": self.losses}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a `state`; ValueError or KeyError, and no change, if it cannot be of these rows."""
        number, left, losses = int(state["number"]), state["left"], state["losses"]
        N = len(self.losses)
        if losses.shape != (N,) or losses.dtype != np.float64 or np.isnan(losses).any():
            raise ValueError(f"the losses of {N} rows are {losses.shape} {losses.dtype}")
        if left.ndim != 1 or left.dtype != np.int64 or len(left) > N or number < 0:
            raise ValueError(f"the rows left are {left.shape} {left.dtype}")
        if len(left) and not 0 <= left.min() <= left.max() < N:
            raise ValueError(f"the rows left are not in [0, {N})")
        self.number, self.left, self._losses = number, left.copy(), losses.copy()
        self._noted = slice(0), 0.0
