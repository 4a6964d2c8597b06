"""From raw rows to answers in one native call: what a service does that asks for a row at a time.

A plan for each number of rows, made when such rows first come.  It prepares them, computes the scores and
makes of them probabilities, or numbers in the targets' own unit.  What it does not take goes the long way,
through `handgrad.data` and the network: other dtypes and layouts, paths, tables, numbers out of range, and
all that is an error.  Both ways give the same numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from handgrad import engines
from handgrad.data import ArrayPreprocessing, Description, Preprocessing
from handgrad.nn.compiled.memory import NotCovered
from handgrad.nn.compiled.scoring import ScorePlan
from handgrad.training.judging import standardises

_ROWS = 32  # at most; of more rows the arithmetic is the larger part
_PLANS = 8
_LARGEST = float(np.finfo(np.float64).max)
_NONE = np.zeros(0)
_DTYPES = frozenset(
    map(np.dtype, (np.float32, np.float64, np.uint8, np.int64))
)  # of this byte order


class Quick:
    """The answers of a network to small batches of arrays.

    Args:
        model: the network.
        description: of its data.
        engine: that the answers are computed with.
    """

    def __init__(self, model: Any, description: Description, engine: str) -> None:
        self.model = model
        self._description, self._engine = description, engine
        self._plans: dict[tuple[int, ...], ScorePlan] = {}
        self._is_covered = engine in ("auto", "native") and "native" in engines.available()
        self._finish, self._scale, self._shift = "softmax", _NONE, _NONE
        if description.task == "multilabel":
            self._finish = "yes"
        elif description.task == "regression":
            self._finish = "numbers"
            if standardises(model, description):
                assert description.target_std is not None
                assert description.target_mean is not None
                self._scale, self._shift = description.target_std, description.target_mean
            else:  # counts, whose scores are logarithms
                self._is_covered = False

    def __call__(self, inputs: Any) -> np.ndarray | None:
        """Return the answers (N, C), float64, or None where the long way is to be gone."""
        if type(inputs) is not np.ndarray or inputs.dtype not in _DTYPES:
            return None
        plan = self._plans.get(inputs.shape)
        if plan is None:
            if not self._is_covered or not self._make(inputs.shape):
                return None
            plan = self._plans[inputs.shape]
        return plan.answers(inputs)

    def finished(self, scores: np.ndarray) -> np.ndarray | None:
        """Return the answers that finite scores (N, C) become; None where NumPy is to compute them."""
        if not self._is_covered or scores.dtype not in (np.float32, np.float64):
            return None
        plans = engines.get("native").plans
        found: np.ndarray | None = plans.finished(
            np.ascontiguousarray(scores), self._finish, self._scale, self._shift
        )
        return found

    def _make(self, shape: tuple[int, ...]) -> bool:
        """Make the plan for rows of `shape`; False where there is none."""
        how = self._description.preprocessing
        is_small = 0 < shape[0] <= _ROWS if shape else False
        if not is_small or len(self._plans) >= _PLANS or shape[1:] != how.input_shape:
            return False
        low, high, above = -_LARGEST, _LARGEST, -math.inf
        if isinstance(how, Preprocessing):
            low, high, above = 0.0, float(how.levels), 1.0 if how.levels > 1 else -math.inf
        elif not isinstance(how, ArrayPreprocessing):
            self._is_covered = False
            return False
        mean, std = (
            np.broadcast_to(np.asarray(array, np.float64), shape[1:]).ravel()
            for array in (how.mean, how.std)
        )
        try:
            with engines.use(self._engine):
                plan = ScorePlan(self.model, shape)
        except NotCovered:
            self._is_covered = False
            return False
        if plan.dtype == np.float64 and how.dtype == np.float32:
            self._is_covered = (
                False  # rows are rounded to float32 on their way into a float64 network
            )
            return False
        plan.prepare(
            mean, std, low, high, above, self._finish, scale=self._scale, shift=self._shift
        )
        self._plans[shape] = plan
        return True
