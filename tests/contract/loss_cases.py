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


def _weighted_cases() -> list[Case]:
    """The rows of the softmax loss again, with weights of the rows, of the classes, or both."""
    cases = []
    for i, row in enumerate(_cases("softmax_loss")):
        rng = np.random.default_rng(i)
        N, C = row.arrays["x"].shape
        weights = {"sample_weight": 0.1 + rng.random(N), "class_weight": 0.1 + rng.random(C)}
        if i % 3 < 2:
            weights.pop(list(weights)[i % 3])
        options = (*row.options, weights | ({"label_smoothing": 0.1} if i % 5 == 0 else {}))
        cases.append(row._replace(name=f"{row.name}-weighted", options=options))
    return cases


def _focal_cases() -> list[Case]:
    """Scores of moderate size: where p is 1 but for rounding, 1 - p has few digits."""
    cases = []
    for i, row in enumerate(_cases("softmax_loss")):
        x = row.arrays["x"]
        x = x * (2.0 / np.abs(x).max())
        keywords = {"gamma": (2.0, 0.0, 1.0, 0.5, 5.0)[i % 5]}
        if i % 2:
            keywords["sample_weight"] = 0.1 + np.random.default_rng(i).random(len(x))
        if i % 4 == 1:
            keywords["class_weight"] = 0.1 + np.random.default_rng(i).random(x.shape[1])
        cases.append(
            LossCase("focal_loss", row.name, {"x": x}, (*row.options, keywords), empty_batch=False)
        )
    return cases


SHAPES = [(1,), (7,), (1, 1), (4, 1), (1, 5), (3, 4), (2, 3, 2), (5, 2, 1, 3)]


def _target_cases(
    layer: str, targets: Any, options: tuple[dict[str, Any], ...] = ({},)
) -> list[Case]:
    """Numbers and their targets; differences are 0.3, 0.8, 1.3, ... away from 0 on either side."""
    cases = []
    for i in range(32):
        shape, scale = SHAPES[i % len(SHAPES)], (0.5, 1.0, 2.0, 4.0)[i // len(SHAPES)]
        rng = np.random.default_rng([i])
        y = np.asarray(targets(rng, shape), float)
        far = 0.3 + 0.5 * rng.permutation(y.size).reshape(shape) % 3
        x = y + scale * far * rng.choice([-1.0, 1.0], shape)
        keywords = dict(options[i % len(options)])
        if i % 3 == 0:
            keywords["sample_weight"] = 0.1 + rng.random(shape[0])
        given = y.reshape(-1) if shape[1:] == (1,) else y
        name = f"{'x'.join(map(str, shape))}-{scale:g}"
        cases.append(LossCase(layer, name, {"x": x}, (given, keywords), empty_batch=False))
    return cases


def _real(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape)


def _counts(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, 5, shape)


def _shares(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.choice([0.0, 1.0, 0.25], shape)


CASES = [
    *_cases("softmax_loss"),
    *_smoothed_cases(),
    *_cases("svm_loss"),
    *_weighted_cases(),
    *_focal_cases(),
    *_target_cases("mse_loss", _real),
    *_target_cases("absolute_loss", _real),
    *_target_cases("huber_loss", _real, ({}, {"delta": 0.45}, {"delta": 1.7})),
    *_target_cases("quantile_loss", _real, ({}, {"quantile": 0.9}, {"quantile": 0.05})),
    *_target_cases("binary_cross_entropy_loss", _shares),
    *_target_cases("poisson_loss", _counts),
]
