"""The two paths of the backward of a normalisation, through the mean and through the variance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.norms.norm import Parts, mean, size, total

Term = Callable[[Any, Any, Any, Parts], Any]  # from (g, xhat, std, parts), g = dout gamma


def mean_term(g: Any, xhat: Any, std: Any, parts: Parts) -> Any:
    """Return what comes through the mean."""
    return mean(g, parts)


def variance_term(g: Any, xhat: Any, std: Any, parts: Parts) -> Any:
    """Return what comes through the variance."""
    return xhat * mean(g * xhat, parts)


def joined(first: Term = mean_term, second: Term = variance_term) -> Term:
    """dx with one or both of its two paths, through the mean and through the variance, done wrong."""

    def dx(g: Any, xhat: Any, std: Any, parts: Parts) -> Any:
        return (g - first(g, xhat, std, parts) - second(g, xhat, std, parts)) / std

    return dx


def _times(term: Term, factor: float, count: int = 0, power: int = 0) -> Term:
    """A term times a factor, a power of the size of the set, and a power of the deviation."""
    return lambda g, h, s, p: factor * size(p) ** count * s**power * term(g, h, s, p)


_FACTORS = {
    -1.0: ("sign", "has the wrong sign"),
    2.0: ("doubled", "is twice too large"),
    0.5: ("halved", "is half of what it should be (the factor 2 of the square, or a 1/2 too many)"),
    -2.0: ("factor_lost", "lacks its factor -1/2"),
    -0.5: ("sign", "has the wrong sign, and a factor 1/2 too many"),
    4.0: ("doubled", "is four times too large"),
}


def scaled_paths() -> list[tuple[str, str, Term, str]]:
    """One path with a wrong factor, a wrong power of N, a wrong power of the deviation."""
    rows = []
    for path, line, term in (
        ("mean", r"dmean|dmu|\bdx\b", mean_term),
        ("variance", r"dvar|dstd|divar|\*\*|\bdx\b", variance_term),
    ):
        says = f"the gradient through the {path} "
        changes = [(f"{path}_path_{name}", words, f, 0, 0) for f, (name, words) in _FACTORS.items()]
        changes += [
            (f"{path}_not_divided", "lacks its 1/N", 1.0, 1, 0),
            (f"{path}_not_divided", "lacks its 1/N, and has the wrong sign", -1.0, 1, 0),
            (f"{path}_divided_twice", "is divided by N twice", 1.0, -1, 0),
        ]
        changes += [
            (
                f"{path}_power",
                "has the wrong power of the standard deviation"
                + (" (var**-1.5, not var**-0.5)" if path == "variance" else ""),
                factor,
                0,
                power,
            )
            for power in (2, 1, -1, -2, 3)
            for factor in (1.0, 2.0, 0.5, -1.0)
        ]
        for name, words, factor, count, power in changes:
            wrong = _times(term, factor, count, power)
            dx = joined(first=wrong) if path == "mean" else joined(second=wrong)
            rows.append((name, says + words, dx, line))
    return rows


def _all(value: Any) -> Any:
    return np.mean(value, keepdims=True)


def _other(value: Any, parts: Parts) -> Any:
    """The mean over the axes that do not belong to a set."""
    axes = tuple(axis for axis in range(value.ndim) if axis not in parts.axes)
    return value.mean(axes, keepdims=True)


REPLACED: list[tuple[str, str, Term | None, Term | None, str]] = [
    (
        "mean_path_forgotten",
        "the gradient through the mean is forgotten",
        lambda g, h, s, p: 0.0,
        None,
        r"\bdx\b",
    ),
    (
        "variance_path_forgotten",
        "the gradient through the variance is forgotten",
        None,
        lambda g, h, s, p: 0.0,
        r"\bdx\b",
    ),
    (
        "neither_divided",
        "the gradients through mean and variance lack their 1/N",
        lambda g, h, s, p: total(g, p),
        lambda g, h, s, p: h * total(g * h, p),
        r"\bdx\b",
    ),
    (
        "means_over_wrong_axis",
        "the means of dx are taken over the wrong axis",
        lambda g, h, s, p: _other(g, p),
        lambda g, h, s, p: h * _other(g * h, p),
        r"axis",
    ),
    (
        "means_over_wrong_axis",
        "the mean of dxhat is taken over the wrong axis",
        lambda g, h, s, p: _other(g, p),
        None,
        r"axis",
    ),
    (
        "means_over_wrong_axis",
        "the mean of dxhat xhat is taken over the wrong axis",
        None,
        lambda g, h, s, p: h * _other(g * h, p),
        r"axis",
    ),
    (
        "means_over_wrong_axis",
        "the mean of dxhat is taken over everything",
        lambda g, h, s, p: _all(g),
        None,
        r"mean|sum",
    ),
    (
        "means_over_wrong_axis",
        "the mean of dxhat xhat is taken over everything",
        None,
        lambda g, h, s, p: h * _all(g * h),
        r"mean|sum",
    ),
    (
        "means_over_wrong_axis",
        "the means of dx are taken over everything",
        lambda g, h, s, p: _all(g),
        lambda g, h, s, p: h * _all(g * h),
        r"mean|sum",
    ),
    (
        "means_over_wrong_axis",
        "the gradient of the mean is averaged over the features, not divided by N",
        lambda g, h, s, p: s * _all(total(g / s, p)),
        None,
        r"mean|sum",
    ),
    (
        "sum_forgotten",
        "dxhat xhat is not summed over the set in the gradient through the variance",
        None,
        lambda g, h, s, p: h * g * h / size(p),
        r"sum|mean|\bdx\b",
    ),
    (
        "sum_forgotten",
        "dxhat xhat is not averaged over the set in the gradient through the variance",
        None,
        lambda g, h, s, p: h * g * h,
        r"sum|mean|\bdx\b",
    ),
    (
        "sum_forgotten",
        "dxhat is not summed over the set in the gradient through the mean",
        lambda g, h, s, p: g / size(p),
        None,
        r"sum|mean|\bdx\b",
    ),
    (
        "xhat_missing",
        "the gradient through the variance lacks its factor xhat",
        None,
        lambda g, h, s, p: mean(g * h, p),
        r"\bdx\b",
    ),
    (
        "xhat_missing",
        "the gradient through the variance uses the mean of dxhat, not of dxhat xhat",
        None,
        lambda g, h, s, p: h * mean(g, p),
        r"\bdx\b",
    ),
    (
        "x_as_xhat",
        "the gradient through the variance uses x in place of xhat",
        None,
        lambda g, h, s, p: p.x * mean(g * h, p),
        r"\bx\b",
    ),
    (
        "x_as_xhat",
        "the gradient through the variance sums dxhat x, not dxhat xhat",
        None,
        lambda g, h, s, p: h * mean(g * p.x, p),
        r"\bx\b",
    ),
    (
        "x_as_xhat",
        "the gradient through the variance uses x in place of x - mean",
        None,
        lambda g, h, s, p: p.x / s * mean(g * h, p),
        r"\bx\b",
    ),
    (
        "gamma_missing_in_mean",
        "gamma is missing in the gradient through the mean",
        lambda g, h, s, p: mean(p.dout, p),
        None,
        r"\bdx\b|mean",
    ),
    (
        "gamma_missing_in_variance",
        "gamma is missing in the gradient through the variance",
        None,
        lambda g, h, s, p: h * mean(p.dout * h, p),
        r"\bdx\b|var",
    ),
    (
        "gamma_missing_in_mean",
        "gamma is missing in the gradients through the mean and the variance",
        lambda g, h, s, p: mean(p.dout, p),
        lambda g, h, s, p: h * mean(p.dout * h, p),
        r"\bdx\b",
    ),
    (
        "dbeta_not_divided",
        "the sum of dout lacks its 1/N, and the sum of dout xhat its own",
        lambda g, h, s, p: total(p.dout, p),
        lambda g, h, s, p: h * total(p.dout * h, p),
        r"\bdx\b",
    ),
]
