"""Wrong means and variances in the forward of a normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.norms.norm import Axes, Mistake, Parts, scaled, total, xhat_of


def _mixed(
    centre: Callable[[Parts], Any] | None = None, spread: Callable[[Parts, Any], Any] | None = None
) -> Callable[[Parts], Any]:
    """Normalise with another mean, or another variance (from the parts and the mean used)."""

    def value(parts: Parts) -> Any:
        mean, var = parts.statistics()
        mean = centre(parts) if centre else mean
        var = spread(parts, mean) if spread else var
        return scaled(parts, (parts.x - mean) / np.sqrt(var + parts.eps))

    return value


def about(parts: Parts, centre: Any) -> Any:
    """The mean square about a wrong mean."""
    return ((parts.x - centre) ** 2).mean(parts.axes, keepdims=True)


def other_axes(parts: Parts) -> Axes:
    """The axes that do not belong to a set."""
    return tuple(axis for axis in range(parts.x.ndim) if axis not in parts.axes)


def _mean_of_all(parts: Parts) -> Any:
    return parts.x.mean(keepdims=True)


def _mean_of_other(parts: Parts) -> Any:
    return parts.x.mean(other_axes(parts), keepdims=True)


def _sum_as_mean(parts: Parts) -> Any:
    return total(parts.x, parts)


def _count_of_other(parts: Parts) -> float:
    """How many numbers lie along the axes that do not belong to a set."""
    return float(np.prod([parts.x.shape[axis] for axis in other_axes(parts)]))


def _mean_by_other(parts: Parts) -> Any:
    return total(parts.x, parts) / _count_of_other(parts)


def _spread_by_other(parts: Parts, centre: Any) -> Any:
    return total((parts.x - centre) ** 2, parts) / _count_of_other(parts)


_BY = "is divided by the length of the wrong axis"
_ALL = "the mean is taken over all numbers together"
_OTHER = "the mean is taken over the wrong axis"
_SUM = "the mean is a sum: it must be divided by the number of numbers"
STATISTICS: list[Mistake] = [
    *[
        (name, says, _mixed(centre, spread), r"mean|sum|axis")
        for name, says, centre in (
            ("wrong_axis", _ALL, _mean_of_all),
            ("wrong_axis", _OTHER, _mean_of_other),
            ("mean_summed", _SUM, _sum_as_mean),
        )
        for spread in (None, about)
    ],
    *[
        ("wrong_count", f"{words} {_BY}", _mixed(centre, spread), r"shape|/")
        for words, centre, spread in (
            ("the mean", _mean_by_other, None),
            ("the mean", _mean_by_other, about),
            ("the variance", None, _spread_by_other),
            ("each of mean and variance", _mean_by_other, _spread_by_other),
        )
    ],
    (
        "wrong_axis",
        "the variance is taken over all numbers together",
        _mixed(None, lambda p, m: p.x.var(keepdims=True)),
        r"var|mean|axis",
    ),
    (
        "wrong_axis",
        "the variance is taken over all numbers together",
        _mixed(None, lambda p, m: np.mean((p.x - m) ** 2, keepdims=True)),
        r"var|mean|axis",
    ),
    (
        "wrong_axis",
        "the variance is taken over the wrong axis",
        _mixed(None, lambda p, m: p.x.var(other_axes(p), keepdims=True)),
        r"var|mean|axis",
    ),
    (
        "variance_not_squared",
        "the deviations are not squared: this is the mean of |x - mean|",
        _mixed(None, lambda p, m: np.abs(p.x - m).mean(p.axes, keepdims=True)),
        r"abs",
    ),
    (
        "variance_zero",
        "the variance is zero: the deviations are averaged before they are squared",
        _mixed(None, lambda p, m: 0 * m),
        r"\*\*|mean|sum",
    ),
    (
        "variance_squared",
        "the variance is squared",
        _mixed(None, lambda p, m: p.statistics()[1] ** 2),
        r"\*\*|var",
    ),
    (
        "deviation_as_variance",
        "the root is taken twice: of the standard deviation",
        _mixed(None, lambda p, m: np.sqrt(p.statistics()[1])),
        r"std|sqrt",
    ),
    (
        "deviation_as_variance",
        "the root is taken twice: of the standard deviation",
        lambda p: scaled(p, (p.x - p.statistics()[0]) / (p.statistics()[1] + p.eps) ** 0.25),
        r"std|sqrt",
    ),
    (
        "epsilon_squared",
        "epsilon is squared: it must be sqrt(var + eps)",
        _mixed(None, lambda p, m: p.statistics()[1] + p.eps**2 - p.eps),
        r"eps",
    ),
    (
        "epsilon_subtracted",
        "epsilon is subtracted from the variance",
        _mixed(None, lambda p, m: p.statistics()[1] - 2 * p.eps),
        r"-\s*eps",
    ),
    (
        "mean_added",
        "the mean is added, not subtracted",
        lambda p: scaled(p, (p.x + p.statistics()[0]) / np.sqrt(p.statistics()[1] + p.eps)),
        r"\+",
    ),
    (
        "sign",
        "the mean minus x is taken: the sign is wrong",
        lambda p: scaled(p, -xhat_of(p)[0]),
        r"-",
    ),
    (
        "mean_not_scaled",
        "the mean is subtracted after gamma / std is multiplied: it must be subtracted from x before",
        lambda p: p.gamma * p.x / np.sqrt(p.statistics()[1] + p.eps) + p.beta - p.statistics()[0],
        r"mean|mu",
    ),
    (
        "beta_subtracted",
        "beta is subtracted, not added",
        lambda p: p.gamma * xhat_of(p)[0] - p.beta,
        r"-\s*beta",
    ),
    (
        "beta_scaled",
        "beta is multiplied by gamma too",
        lambda p: p.gamma * (xhat_of(p)[0] + p.beta),
        r"gamma",
    ),
    ("gamma_of_x", "gamma multiplies x, not xhat", lambda p: p.gamma * p.x + p.beta, r"gamma"),
    (
        "gamma_divided",
        "xhat is divided by gamma",
        lambda p: xhat_of(p)[0] / p.gamma + p.beta,
        r"/\s*gamma",
    ),
]
