"""Mistakes of the backward of a normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.norms.norm import (
    Axes,
    Parts,
    Take,
    backward_of,
    gradient_of,
    mean,
    scaled,
    size,
    xhat_of,
)
from handgrad.checker.hypotheses.norms.paths import (
    REPLACED,
    Term,
    joined,
    mean_term,
    scaled_paths,
    variance_term,
)
from handgrad.checker.hypotheses.norms.sums import wrong_epsilons, wrong_sums
from handgrad.checker.records import Call


def through_batch(g: Any, xhat: Any, std: Any, parts: Parts) -> Any:
    """Return dx where mean and variance are the batch's."""
    return (g - mean(g, parts) - xhat * mean(g * xhat, parts)) / std


def right(g: Any, xhat: Any, std: Any, parts: Parts) -> Any:
    """Return dx, of the mode of the call."""
    return g / std if parts.test else through_batch(g, xhat, std, parts)


def _wrong_sum(take: Take, axes: Axes, keep: bool) -> Any:
    """Predict dgamma and dbeta summed over other axes of x."""

    def predict(call: Call) -> dict[str, Any]:
        parts = take(call)
        shape = call.arrays["x"].shape
        xhat, dout = np.reshape(xhat_of(parts)[0], shape), np.reshape(parts.dout, shape)
        return {
            "dgamma": np.sum(dout * xhat, axes, keepdims=keep),
            "dbeta": np.sum(dout, axes, keepdims=keep),
        }

    return predict


def _wrong_sums(take: Take) -> list[Hypothesis]:
    words = {0: "the batch", 1: "the channels", 2: "the rows", 3: "the columns"}
    return [
        Hypothesis(
            "wrong_sum",
            "{key} is summed over "
            + " and ".join(words[axis] for axis in axes)
            + ": it must be one number for each of gamma",
            _wrong_sum(take, axes, keep),
            r"\bd(gamma|beta)\s*=",
        )
        for axes in ((0,), (1,), (2, 3), (0, 1), (1, 2, 3), (0, 2), (0, 3), (0, 1, 2, 3))
        for keep in (False, True)
    ]


def _root(std: Any, parts: Parts) -> Any:
    """Return the root of the variance alone."""
    return np.sqrt(np.maximum(std**2 - parts.eps, 0))


_GRADIENTS: list[tuple[str, str, str, Term]] = [
    (
        "dgamma_of_x",
        "dgamma",
        "dgamma uses x: it must be summed over dout xhat",
        lambda d, h, s, p: d * p.x,
    ),
    (
        "dgamma_of_centred",
        "dgamma",
        "dgamma uses x - mean: it must be divided by the standard deviation",
        lambda d, h, s, p: d * h * s,
    ),
    (
        "dgamma_without_xhat",
        "dgamma",
        "dgamma is the sum of dout: it must be that of dout xhat",
        lambda d, h, s, p: d + 0 * h,
    ),
    (
        "dgamma_of_out",
        "dgamma",
        "dgamma uses the output in place of xhat",
        lambda d, h, s, p: d * scaled(p, h),
    ),
    (
        "dgamma_times_gamma",
        "dgamma",
        "dgamma is multiplied by gamma",
        lambda d, h, s, p: d * h * p.gamma,
    ),
    (
        "dgamma_test_xhat",
        "dgamma",
        "dgamma uses the first row only",
        lambda d, h, s, p: d * h * (np.arange(len(h)) == 0).reshape(-1, *[1] * (h.ndim - 1)),
    ),
    (
        "dbeta_times_gamma",
        "dbeta",
        "dbeta is multiplied by gamma",
        lambda d, h, s, p: d * p.gamma,
    ),
    (
        "dbeta_times_xhat",
        "dbeta",
        "dbeta is the sum of dout xhat: it must be that of dout",
        lambda d, h, s, p: d * h,
    ),
    (
        "dgamma_times_std",
        "dgamma",
        "dgamma is divided by the standard deviation once too often",
        lambda d, h, s, p: d * h / s,
    ),
    (
        "dgamma_of_dxhat_x",
        "dgamma",
        "dgamma is multiplied by gamma, and uses x in place of xhat",
        lambda d, h, s, p: d * p.x * p.gamma,
    ),
    (
        "dgamma_squared",
        "dgamma",
        "dgamma has xhat twice",
        lambda d, h, s, p: d * h * h,
    ),
    (
        "epsilon_missing",
        "dgamma",
        "epsilon is missing under the root in dgamma (forward has sqrt(var + eps))",
        lambda d, h, s, p: d * h * s / _root(s, p),
    ),
    (
        "epsilon_outside",
        "dgamma",
        "epsilon is added to the root in dgamma, not under it (forward has sqrt(var + eps))",
        lambda d, h, s, p: d * h * s / (_root(s, p) + p.eps),
    ),
    (
        "dbeta_times_std",
        "dbeta",
        "dbeta is divided by the standard deviation: it is the sum of dout",
        lambda d, h, s, p: d / s,
    ),
    (
        "dbeta_of_x",
        "dbeta",
        "dbeta uses x: it is the sum of dout",
        lambda d, h, s, p: d * p.x,
    ),
]


def backward(take: Take) -> list[Hypothesis]:
    """The mistakes of backward that all normalisations share."""
    rows: list[tuple[str, str, Term, str]] = [
        (
            "statistics_constant",
            "the gradient through the mean and the variance is forgotten: they are treated as constants",
            lambda g, h, s, p: g / s,
            r"\bdx\b",
        ),
        *[
            (name, says, joined(first or mean_term, second or variance_term), line)
            for name, says, first, second, line in REPLACED
        ],
        *scaled_paths(),
        *wrong_sums(),
        *wrong_epsilons(),
        (
            "count_missing",
            "dout in dx lacks the factor N, the number of numbers that its sums run over",
            lambda g, h, s, p: right(g, h, s, p) - (0 if p.test else (1 - 1 / size(p)) * g / s),
            r"\bdx\b",
        ),
        (
            "gamma_missing",
            "dx lacks gamma: dxhat is dout gamma",
            lambda g, h, s, p: right(p.dout, h, s, p),
            r"\bdx\w*\s*=",
        ),
        (
            "gamma_divided",
            "dx is divided by gamma: dxhat is dout gamma",
            lambda g, h, s, p: right(p.dout / p.gamma, h, s, p),
            r"/\s*gamma",
        ),
        (
            "gamma_twice",
            "dx has gamma twice",
            lambda g, h, s, p: right(g * p.gamma, h, s, p),
            r"gamma",
        ),
        (
            "not_divided_by_std",
            "dx is not divided by the standard deviation",
            lambda g, h, s, p: right(g, h, 1.0, p),
            r"\bdx\b",
        ),
        (
            "divided_by_variance",
            "dx is divided by the variance, not by its root",
            lambda g, h, s, p: right(g, h, s * s, p),
            r"\bdx\b",
        ),
        (
            "times_std",
            "dx is multiplied by the standard deviation, not divided",
            lambda g, h, s, p: right(g, h, 1 / s, p),
            r"\bdx\b",
        ),
        *[
            (
                "times_variance",
                f"dx is multiplied by the variance{more}: 1 / sqrt(var + eps) belongs there",
                lambda g, h, s, p, eps=eps: right(g, h, 1.0, p) * (s**2 - eps * p.eps),
                r"\bdx\b",
            )
            for eps, more in ((1, ""), (0, " plus epsilon"))
        ],
        (
            "times_std",
            "dx is multiplied by the standard deviation without epsilon, not divided",
            lambda g, h, s, p: right(g, h, 1.0, p) * _root(s, p),
            r"\bdx\b",
        ),
        (
            "gamma_outside",
            "gamma is multiplied after the means: it differs within a row, and must stay inside",
            lambda g, h, s, p: p.gamma * right(p.dout, h, s, p),
            r"gamma",
        ),
        (
            "epsilon_missing",
            "dx uses the variance without epsilon",
            lambda g, h, s, p: right(g, h * s / np.sqrt(s**2 - p.eps), np.sqrt(s**2 - p.eps), p),
            r"sqrt|\*\*",
        ),
    ]
    return [
        *[
            Hypothesis(name, says, backward_of(take, dx, modes), line)
            for modes in ("train", "both")
            for name, says, dx, line in rows
        ],
        *[
            Hypothesis(name, says, gradient_of(take, key, value), rf"{key}\s*=")
            for name, key, says, value in _GRADIENTS
        ],
        *_wrong_sums(take),
        Hypothesis(
            "train_formula_at_test",
            "in test mode dx goes through the batch's statistics: the running ones are constants",
            backward_of(take, through_batch, "test"),
            r"\bdx\b",
        ),
    ]
