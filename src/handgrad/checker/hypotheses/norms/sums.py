"""Sums of the backward of a normalisation that run over the wrong numbers: an axis missing, or another.

In the step-by-step derivation each sum carries some powers of the standard deviation s, the others
follow behind it.  That makes no difference where the sum is right, and many where it is wrong:

    through the variance: xmu s^-b sum(g xmu s^-a) / n,  a + b = 3
    through the mean:     s^-b sum(g s^-a) / n,          a + b = 1
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Beside
from handgrad.checker.hypotheses.norms.norm import Parts, mean, size
from handgrad.checker.hypotheses.norms.paths import Term, joined

Sum = Callable[[Any, Parts], Any]


def _all(value: Any, parts: Parts) -> Any:
    return np.sum(value, keepdims=True)


def _other(value: Any, parts: Parts) -> Any:
    axes = tuple(axis for axis in range(value.ndim) if axis not in parts.axes)
    return value.sum(axes, keepdims=True)


def _lost(value: Any, parts: Parts) -> Any:
    """The right sum without keepdims, which lines up with the wrong axis."""
    if value.ndim != 2:
        raise Beside("only of matrices")
    return value.sum(parts.axes)


def _variance(total: Sum, inside: int, count: Callable[[Parts], Any]) -> Term:
    def term(g: Any, xhat: Any, std: Any, parts: Parts) -> Any:
        xmu = xhat * std
        return xmu * total(g * xmu * std**-inside, parts) * std ** (inside - 2) / count(parts)

    return term  # joined() divides by s once more


def _mean(total: Sum, inside: int, count: Callable[[Parts], Any]) -> Term:
    def term(g: Any, xhat: Any, std: Any, parts: Parts) -> Any:
        return total(g * std**-inside, parts) * std**inside / count(parts)

    return term


def _rows(parts: Parts) -> float:
    return float(parts.x.shape[0])


def wrong_sums() -> list[tuple[str, str, Term, str]]:
    """One of the two sums, or both, over everything, over the other axis, or without keepdims."""
    rows = []
    sums: list[tuple[str, Sum]] = [
        ("is taken over everything: its axis is missing", _all),
        ("is taken over the wrong axis", _other),
        ("lacks keepdims=True, and so lines up with the wrong axis", _lost),
    ]
    for words, total in sums:
        for count in (size, _rows):
            variances = [_variance(total, inside, count) for inside in range(4)]
            means = [_mean(total, inside, count) for inside in range(2)]
            rows += [
                (
                    "sum_over_wrong_axis",
                    f"the sum in the gradient through the variance {words}",
                    joined(second=term),
                    r"dvar|dstd|dsq|\*\*|sum|mean|\bdx\b",
                )
                for term in variances
            ]
            rows += [
                (
                    "sum_over_wrong_axis",
                    f"the sum in the gradient through the mean {words}",
                    joined(first=term),
                    r"dmean|dmu|sum|mean|\bdx\b",
                )
                for term in means
            ]
            rows += [
                (
                    "sum_over_wrong_axis",
                    f"the sums in the gradients through the mean and the variance: each {words}",
                    joined(first, second),
                    r"sum|mean|\bdx\b",
                )
                for first in means
                for second in variances
            ]
    return rows


def _with_std(deviation: Callable[[Any, float], Any], where: str) -> Term:
    """dx with another standard deviation in one place: "all", "outside", or "variance"."""

    def dx(g: Any, xhat: Any, std: Any, parts: Parts) -> Any:
        other = deviation(std**2 - parts.eps, parts.eps)
        xmu = xhat * std
        if parts.test:
            return g / other
        if where == "outside":
            return (g - mean(g, parts) - xhat * mean(g * xhat, parts)) / other
        if where == "variance":
            through = xmu * mean(g * xmu, parts) / other**3
            return (g - mean(g, parts)) / std - through
        return (g - mean(g, parts)) / other - xmu * mean(g * xmu, parts) / other**3

    return dx


_DEVIATIONS: list[tuple[str, str, Callable[[Any, float], Any]]] = [
    ("epsilon_missing", "epsilon is missing under the root", lambda v, e: np.sqrt(v)),
    ("epsilon_outside", "epsilon is added to the root, not under it", lambda v, e: np.sqrt(v) + e),
    ("epsilon_subtracted", "epsilon is subtracted under the root", lambda v, e: np.sqrt(v - e)),
    *[
        (
            "epsilon_fixed",
            f"epsilon is {fixed:g}, whatever the option eps is,",
            lambda v, e, fixed=fixed: np.sqrt(v + fixed),
        )
        for fixed in (1e-5, 1e-8, 1e-7, 1e-6, 1e-3)
    ],
]
_PLACES = (
    ("outside", "in the factor 1/std of dx"),
    ("variance", "in the gradient through the variance"),
    ("all", "in dx"),
)


def wrong_epsilons() -> list[tuple[str, str, Term, str]]:
    """Epsilon forgotten, or in another place, though forward has it under the root."""
    return [
        (
            name,
            f"{says} {words} (forward has sqrt(var + eps))",
            _with_std(change, where),
            "sqrt|\\*\\*",
        )
        for name, says, change in _DEVIATIONS
        for where, words in _PLACES
    ]
