"""Mistakes of the backward of a normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.norm import (
    Axes,
    Parts,
    Take,
    backward_of,
    gradient_of,
    mean,
    scaled,
    total,
    xhat_of,
)
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
        for axes in ((0,), (1,), (2, 3), (0, 1), (1, 2, 3), (0, 2), (0, 3))
        for keep in (False, True)
    ]


def backward(take: Take) -> list[Hypothesis]:
    """The mistakes of backward that all normalisations share."""
    rows = [
        (
            "statistics_constant",
            "the gradient through the mean and the variance is forgotten: they are treated as constants",
            lambda g, h, s, p: g / s,
            r"\bdx\b",
        ),
        (
            "mean_path_forgotten",
            "the gradient through the mean is forgotten",
            lambda g, h, s, p: (g - h * mean(g * h, p)) / s,
            r"\bdx\b",
        ),
        (
            "variance_path_forgotten",
            "the gradient through the variance is forgotten",
            lambda g, h, s, p: (g - mean(g, p)) / s,
            r"\bdx\b",
        ),
        (
            "variance_path_sign",
            "the gradient through the variance has the wrong sign",
            lambda g, h, s, p: (g - mean(g, p) + h * mean(g * h, p)) / s,
            r"dvar|\bdx\b",
        ),
        (
            "mean_path_sign",
            "the gradient through the mean has the wrong sign",
            lambda g, h, s, p: (g + mean(g, p) - h * mean(g * h, p)) / s,
            r"dmean|dmu|\bdx\b",
        ),
        (
            "variance_path_doubled",
            "the gradient through the variance is twice too large",
            lambda g, h, s, p: (g - mean(g, p) - 2 * h * mean(g * h, p)) / s,
            r"dvar|0?\.5",
        ),
        (
            "variance_path_halved",
            "the gradient through the variance is half of what it should be: the factor 2 of the square",
            lambda g, h, s, p: (g - mean(g, p) - 0.5 * h * mean(g * h, p)) / s,
            r"dvar|0?\.5|2",
        ),
        (
            "variance_power",
            "the gradient through the variance has the wrong power of the standard "
            "deviation (var**-1.5, not var**-0.5)",
            lambda g, h, s, p: (g - mean(g, p) - h * s**2 * mean(g * h, p)) / s,
            r"\*\*|power",
        ),
        (
            "mean_not_divided",
            "the gradient through the mean lacks its 1/N",
            lambda g, h, s, p: (g - total(g, p) - h * mean(g * h, p)) / s,
            r"dmean|dmu|/\s*[NDm]",
        ),
        (
            "variance_not_divided",
            "the gradient through the variance lacks its 1/N",
            lambda g, h, s, p: (g - mean(g, p) - h * total(g * h, p)) / s,
            r"dvar|/\s*[NDm]",
        ),
        (
            "neither_divided",
            "the gradients through mean and variance lack their 1/N",
            lambda g, h, s, p: (g - total(g, p) - h * total(g * h, p)) / s,
            r"\bdx\b",
        ),
        (
            "gamma_missing",
            "dx lacks gamma: dxhat is dout gamma",
            lambda g, h, s, p: right(p.dout, h, s, p),
            r"\bdx\w*\s*=",
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
    gradients = [
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
    ]
    return [
        *[
            Hypothesis(name, says, backward_of(take, dx, modes), line)
            for modes in ("train", "both")
            for name, says, dx, line in rows
        ],
        *[
            Hypothesis(name, says, gradient_of(take, key, value), rf"{key}\s*=")
            for name, key, says, value in gradients
        ],
        *_wrong_sums(take),
        Hypothesis(
            "train_formula_at_test",
            "in test mode dx goes through the batch's statistics: the running ones are constants",
            backward_of(take, through_batch, "test"),
            r"\bdx\b",
        ),
    ]
