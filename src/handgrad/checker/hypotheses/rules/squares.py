"""Mistakes of the rules that divide by the root of squared gradients: RMSProp and AdaGrad."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.rules.rule import Rule, of


def _squares(
    decay: Any = lambda r: (r, 1 - r),
    power: float = 2,
    absolute: bool = False,
    divide: Any = lambda cache, eps: np.sqrt(cache) + eps,
    sign: float = -1,
    keep: bool = True,
    used: Any = lambda cache, before, dw: cache,
    step: Any = lambda w, lr, dw, root: w - lr * dw / root,
) -> Rule:
    def rule(w: Any, dw: Any, config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        settings = {
            "learning_rate": 1e-2,
            "decay_rate": 0.99,
            "epsilon": 1e-8,
            **config,
        }
        old, new = decay(settings["decay_rate"])
        before = config.get("cache", np.zeros_like(w))
        cache = old * before + new * (np.abs(dw) if absolute else dw) ** power
        config["cache"] = cache if keep else before
        root = divide(used(cache, before, dw), settings["epsilon"])
        return step(w, -sign * settings["learning_rate"], dw, root), config

    return rule


_RMS, _ADAGRAD = ("rmsprop",), ("adagrad",)


def _summed(**more: Any) -> Rule:
    return _squares(decay=lambda r: (1, 1), **more)


FORWARD = [
    Hypothesis(
        "epsilon_inside",
        "epsilon is inside the root: it must be sqrt(cache) + epsilon",
        of(_RMS, _squares(divide=lambda c, e: np.sqrt(c + e))),
        r"sqrt\(.*eps",
    ),
    Hypothesis(
        "epsilon_missing",
        "epsilon is not added",
        of(_RMS, _squares(divide=lambda c, e: np.sqrt(c))),
        r"sqrt",
    ),
    *[
        Hypothesis(
            "epsilon_outside",
            f"epsilon is {words}, not to the denominator: a parenthesis is missing",
            of(_RMS, _squares(divide=lambda c, e: (np.sqrt(c), e), step=step)),
            r"eps",
        )
        for words, step in (
            ("added to the step", lambda w, lr, dw, root: w - lr * dw / root[0] + root[1]),
            ("subtracted from w", lambda w, lr, dw, root: w - lr * dw / root[0] - root[1]),
            (
                "added to the fraction",
                lambda w, lr, dw, root: w - lr * (dw / root[0] + root[1]),
            ),
            (
                "added to the learning rate that is divided by the root",
                lambda w, lr, dw, root: w - (lr / root[0] + root[1]) * dw,
            ),
            (
                "added to the fraction",
                lambda w, lr, dw, root: w - lr * (1 / root[0] + root[1]) * dw,
            ),
        )
    ],
    Hypothesis(
        "epsilon_subtracted",
        "epsilon is subtracted from the root of the cache, not added",
        of(_RMS, _squares(divide=lambda c, e: np.sqrt(c) - e)),
        r"-\s*.*eps",
    ),
    Hypothesis(
        "root_missing",
        "the square root of the cache is missing",
        of(_RMS, _squares(divide=lambda c, e: c + e)),
        r"/",
    ),
    Hypothesis(
        "decay_swapped",
        "decay is the wrong way round: the old cache is multiplied by 1 - decay_rate",
        of(_RMS, _squares(decay=lambda r: (1 - r, r))),
        r"1(\.0)?\s*-",
    ),
    Hypothesis(
        "cache_summed",
        "the cache is a sum, not an average: this is AdaGrad",
        of(_RMS, _squares(decay=lambda r: (1, 1))),
        r"\+=",
    ),
    Hypothesis(
        "square_unweighted",
        "dw**2 is not multiplied by 1 - decay_rate",
        of(_RMS, _squares(decay=lambda r: (r, 1))),
    ),
    Hypothesis("not_squared", "the cache averages dw, not dw**2", of(_RMS, _squares(power=1))),
    Hypothesis(
        "cache_not_stored",
        "the new cache is not kept for the next step",
        of(_RMS, _squares(keep=False)),
        r"cache",
    ),
    Hypothesis(
        "step_sign",
        "the step goes up the gradient: it must be subtracted",
        of(_RMS, _squares(sign=1)),
        r"\+.*learning_rate",
    ),
    Hypothesis(
        "absolute_gradient",
        "the cache averages |dw|, not dw**2",
        of(_RMS, _squares(power=1, absolute=True)),
        r"abs",
    ),
    Hypothesis(
        "cache_unused",
        "the step divides by the root of this step's dw**2, not of the cache",
        of(_RMS, _squares(used=lambda cache, before, dw: dw**2)),
        r"sqrt",
    ),
    Hypothesis(
        "old_cache_used",
        "the step divides by the root of the old cache: the new one must be used",
        of(_RMS, _squares(used=lambda cache, before, dw: before)),
        r"sqrt",
    ),
    Hypothesis(
        "cache_overwritten",
        "the cache is dw**2 of this step: the old cache is not used",
        of(_RMS, _squares(decay=lambda r: (0, 1))),
        r"cache",
    ),
    Hypothesis(
        "cache_overwritten",
        "the old cache is not used",
        of(_RMS, _squares(decay=lambda r: (0, 1 - r))),
        r"cache",
    ),
    Hypothesis(
        "cache_undamped",
        "the old cache is not multiplied by decay_rate",
        of(_RMS, _squares(decay=lambda r: (1, 1 - r))),
        r"\+=|cache",
    ),
    Hypothesis(
        "decay_twice",
        "both the old cache and dw**2 are multiplied by decay_rate",
        of(_RMS, _squares(decay=lambda r: (r, r))),
        r"decay",
    ),
    Hypothesis(
        "decay_twice",
        "both the old cache and dw**2 are multiplied by 1 - decay_rate",
        of(_RMS, _squares(decay=lambda r: (1 - r, 1 - r))),
        r"decay",
    ),
    Hypothesis(
        "root_multiplied",
        "the step is multiplied by the root of the cache, not divided",
        of(_RMS, _squares(step=lambda w, lr, dw, root: w - lr * dw * root)),
        r"\*.*sqrt",
    ),
    Hypothesis(
        "gradient_missing",
        "the step lacks dw: it is learning_rate / sqrt(cache)",
        of(_RMS, _squares(step=lambda w, lr, dw, root: w - lr / root)),
        r"sqrt",
    ),
    Hypothesis(
        "learning_rate_missing",
        "the learning rate is missing",
        of(_RMS, _squares(step=lambda w, lr, dw, root: w - dw / root)),
        r"sqrt",
    ),
    Hypothesis(
        "weights_lost",
        "next_w is the step alone: w is not used",
        of(_RMS, _squares(step=lambda w, lr, dw, root: -lr * dw / root)),
        r"next_w",
    ),
    Hypothesis(
        "not_updated",
        "next_w is w: the step is never taken",
        of(_RMS, _squares(step=lambda w, lr, dw, root: w)),
        r"next_w|return",
    ),
    *[
        Hypothesis(
            "decay_fixed",
            f"decay_rate is fixed at {value:g}: the option is not used",
            of(_RMS, _squares(decay=lambda r, value=value: (value, 1 - value))),
            rf"{value:g}"[1:],
        )
        for value in (0.99, 0.9)
    ],
    *[
        Hypothesis(name, says, of(_ADAGRAD, _summed(**more)), line)
        for name, says, more, line in (
            (
                "epsilon_inside",
                "epsilon is inside the root: it must be sqrt(cache) + epsilon",
                {"divide": lambda c, e: np.sqrt(c + e)},
                r"sqrt\(.*eps",
            ),
            (
                "epsilon_missing",
                "epsilon is not added",
                {"divide": lambda c, e: np.sqrt(c)},
                r"sqrt",
            ),
            (
                "root_missing",
                "the square root of the cache is missing",
                {"divide": lambda c, e: c + e},
                r"/",
            ),
            ("not_squared", "the cache sums dw, not dw**2", {"power": 1}, r"dw"),
            ("cache_not_stored", "the new cache is not kept", {"keep": False}, r"cache"),
            ("step_sign", "the step goes up the gradient", {"sign": 1}, r"\+"),
        )
    ],
    Hypothesis(
        "cache_averaged",
        "the cache is an average: AdaGrad's is a sum",
        of(_ADAGRAD, _squares()),
        r"1\s*-",
    ),
]
