"""Losses: one row, one class, many, labels of every class, scores small and large."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from contract.case import Case

from handgrad import layers


class LossCase(Case):
    """A call of ``layers.<layer>(x, y, **keywords)``, seen as a pair: backward is dout times its gradient.

    options: (y,), or (y, keywords).
    """

    def forward(self, *arrays: Any, engine: str | None = None) -> tuple[Any, Any]:
        (x,) = arrays or self.arrays.values()
        y, keywords = (*self.options, {})[:2]
        return getattr(layers, self.layer)(x, copy.deepcopy(y), **keywords, engine=engine)

    def backward(self, dout: Any, cache: Any) -> tuple[Any, ...]:
        return (dout * cache,)


def _cases(layer: str) -> list[Case]:
    cases = []
    for N, C in [(1, 1), (1, 4), (3, 1), (2, 2), (3, 5), (4, 3), (7, 2), (2, 10), (5, 5), (10, 3)]:
        for scale in (0.1, 1.0, 20.0):
            rng = np.random.default_rng([N, C])
            # distinct numbers of steps, so that no margin of the hinge is within 0.05 of its kink
            x = scale * (rng.permutation(N * C).reshape(N, C) - N * C / 2 + 0.3) / 2
            y = rng.integers(C, size=N)
            cases.append(LossCase(layer, f"{N}x{C}-{scale:g}", {"x": x}, (y,), empty_batch=False))
    labels = np.array([2, 0, 1, 1, 0, 2])
    x = np.random.default_rng(7).permutation(np.linspace(-3.0, 3.0, 18)).reshape(6, 3)
    cases.append(LossCase(layer, "every-class", {"x": x}, (labels,), empty_batch=False))
    cases.append(LossCase(layer, "one-class-only", {"x": x}, (labels * 0,), empty_batch=False))
    return cases


def _smoothed_cases() -> list[Case]:
    """The rows of the softmax loss again, each with another smoothing."""
    rows = _cases("softmax_loss")
    return [
        row._replace(
            name=f"{row.name}-smoothed",
            options=(*row.options, {"label_smoothing": (i + 1) / len(rows)}),
        )
        for i, row in enumerate(rows)
    ]


CASES = [*_cases("softmax_loss"), *_smoothed_cases(), *_cases("svm_loss")]
