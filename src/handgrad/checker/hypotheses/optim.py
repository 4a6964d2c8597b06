"""Mistakes of update rules: each a rule with one thing done wrong, run over the same steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call

Rule = Callable[[Any, Any, dict[str, Any]], tuple[Any, dict[str, Any]]]


def _momentum(
    decay: Any = lambda mu: mu,
    gradient: Any = lambda mu, lr, dw: -lr * dw,
    step: Any = lambda w, v, old, mu: w + v,
    kept: Any = lambda v, old: v,
) -> Rule:
    def rule(w: Any, dw: Any, config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        lr, mu = config.get("learning_rate", 1e-2), config.get("momentum", 0.9)
        old = config.get("velocity", np.zeros_like(w))
        v = decay(mu) * old + gradient(mu, lr, dw)
        config["velocity"] = kept(v, old)
        return step(w, v, old, mu), config

    return rule


def _nesterov(step: Any) -> Rule:
    return _momentum(step=step)


def _squares(
    decay: Any = lambda r: (r, 1 - r),
    power: float = 2,
    divide: Any = lambda cache, eps: np.sqrt(cache) + eps,
    sign: float = -1,
    keep: bool = True,
    defaults: dict[str, float] | None = None,
) -> Rule:
    def rule(w: Any, dw: Any, config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        settings = {
            "learning_rate": 1e-2,
            "decay_rate": 0.99,
            "epsilon": 1e-8,
            **(defaults or {}),
            **config,
        }
        old, new = decay(settings["decay_rate"])
        before = config.get("cache", np.zeros_like(w))
        cache = old * before + new * dw**power
        config["cache"] = cache if keep else before
        return w + sign * settings["learning_rate"] * dw / divide(
            cache, settings["epsilon"]
        ), config

    return rule


def _adam(
    correct: Any = lambda m, v, b1, b2, t: (m / (1 - b1**t), v / (1 - b2**t)),
    start: int = 0,
    advance: str = "first",
    first: Any = lambda b: (b, 1 - b),
    second: Any = lambda b: (b, 1 - b),
    swap: bool = False,
    power: float = 2,
    divide: Any = lambda v, eps: np.sqrt(v) + eps,
    sign: float = -1,
    stores_corrected: bool = False,
    keeps: bool = True,
) -> Rule:
    def rule(w: Any, dw: Any, config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        s = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, **config}
        b1, b2 = (s["beta2"], s["beta1"]) if swap else (s["beta1"], s["beta2"])
        t = config.get("t", start)
        t += advance in ("first", "unstored")
        m0, v0 = config.get("m", np.zeros_like(w)), config.get("v", np.zeros_like(w))
        m = first(b1)[0] * m0 + first(b1)[1] * dw
        v = second(b2)[0] * v0 + second(b2)[1] * dw**power
        mt, vt = correct(m, v, b1, b2, t)
        kept = (mt, vt) if stores_corrected else (m, v) if keeps else (m0, v0)
        config["m"], config["v"] = kept
        config["t"] = config.get("t", start) if advance == "unstored" else t + (advance == "last")
        return w + sign * s["learning_rate"] * mt / divide(vt, s["epsilon"]), config

    return rule


def _of(names: tuple[str, ...], rule: Rule) -> Callable[[Call], dict[str, Any]]:
    def predict(call: Call) -> dict[str, Any]:
        from handgrad.checker.rules import simulate

        name, start, dws = call.options
        if name not in names:
            return {}
        predicted = simulate(rule, name, call.arrays["w"], dws, start)
        return {key: predicted[key][: len(call.expected[key])] for key in call.expected}

    return predict


_MOMENTUM, _RMS, _ADAM = ("sgd_momentum",), ("rmsprop",), ("adam",)
_BOTH = ("sgd_momentum", "sgd_nesterov_momentum")
_RMS_DEFAULTS = {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8}


def _default(key: str, value: float) -> Hypothesis:
    return Hypothesis(
        f"default_{key}",
        f"the default of {key} is {value:g}",
        _of(_RMS, _squares(defaults={**_RMS_DEFAULTS, key: value})),
        rf"{key}.*{value:g}",
    )


FORWARD = [
    Hypothesis(
        "momentum_sign",
        "velocity has the wrong sign: it must be mu v - learning_rate dw",
        _of(_MOMENTUM, _momentum(gradient=lambda mu, lr, dw: lr * dw)),
    ),
    Hypothesis(
        "momentum_subtracted",
        "the velocity is subtracted from w, not added",
        _of(_MOMENTUM, _momentum(step=lambda w, v, old, mu: w - v)),
        r"w\s*-",
    ),
    Hypothesis(
        "momentum_both_signs",
        "velocity has the other sign, mu v + learning_rate dw; the courses add it to w",
        _of(
            _MOMENTUM,
            _momentum(gradient=lambda mu, lr, dw: lr * dw, step=lambda w, v, old, mu: w - v),
        ),
        r"\+.*learning_rate",
    ),
    Hypothesis(
        "momentum_swapped",
        "momentum is the wrong way round: the old velocity is multiplied by 1 - mu",
        _of(_MOMENTUM, _momentum(decay=lambda mu: 1 - mu)),
        r"1(\.0)?\s*-",
    ),
    Hypothesis(
        "momentum_averaged",
        "the gradient is multiplied by 1 - mu: the courses' velocity is a sum, not an average",
        _of(_MOMENTUM, _momentum(gradient=lambda mu, lr, dw: -(1 - mu) * lr * dw)),
        r"1(\.0)?\s*-",
    ),
    Hypothesis(
        "momentum_missing",
        "the old velocity is not used: this is plain gradient descent",
        _of(_MOMENTUM, _momentum(decay=lambda mu: 0.0)),
    ),
    Hypothesis(
        "momentum_undamped",
        "the old velocity is not multiplied by momentum",
        _of(_MOMENTUM, _momentum(decay=lambda mu: 1.0)),
    ),
    Hypothesis(
        "learning_rate_missing",
        "the learning rate is missing from the velocity",
        _of(_MOMENTUM, _momentum(gradient=lambda mu, lr, dw: -dw)),
    ),
    Hypothesis(
        "velocity_not_stored",
        "the new velocity is not kept for the next step",
        _of(_MOMENTUM, _momentum(kept=lambda v, old: old)),
        r"velocity",
    ),
    Hypothesis(
        "old_velocity_used",
        "w moves by the old velocity, not by the new one",
        _of(_MOMENTUM, _momentum(step=lambda w, v, old, mu: w + old)),
        r"w\s*\+",
    ),
    Hypothesis(
        "nesterov_plain",
        "this is plain momentum: the look-ahead mu (v' - v) is missing",
        _of(("sgd_nesterov_momentum",), _nesterov(lambda w, v, old, mu: w + v)),
        r"w\s*\+",
    ),
    Hypothesis(
        "nesterov_sign",
        "the look-ahead has the wrong sign: it is mu (v - v')",
        _of(("sgd_nesterov_momentum",), _nesterov(lambda w, v, old, mu: w + v + mu * (old - v))),
    ),
    Hypothesis(
        "epsilon_inside",
        "epsilon is inside the root: it must be sqrt(cache) + epsilon",
        _of(_RMS, _squares(divide=lambda c, e: np.sqrt(c + e))),
        r"sqrt\(.*eps",
    ),
    Hypothesis(
        "epsilon_missing",
        "epsilon is not added",
        _of(_RMS, _squares(divide=lambda c, e: np.sqrt(c))),
        r"sqrt",
    ),
    Hypothesis(
        "root_missing",
        "the square root of the cache is missing",
        _of(_RMS, _squares(divide=lambda c, e: c + e)),
        r"/",
    ),
    Hypothesis(
        "decay_swapped",
        "decay is the wrong way round: the old cache is multiplied by 1 - decay_rate",
        _of(_RMS, _squares(decay=lambda r: (1 - r, r))),
        r"1(\.0)?\s*-",
    ),
    Hypothesis(
        "cache_summed",
        "the cache is a sum, not an average: this is AdaGrad",
        _of(_RMS, _squares(decay=lambda r: (1, 1))),
        r"\+=",
    ),
    Hypothesis(
        "square_unweighted",
        "dw**2 is not multiplied by 1 - decay_rate",
        _of(_RMS, _squares(decay=lambda r: (r, 1))),
    ),
    Hypothesis("not_squared", "the cache averages dw, not dw**2", _of(_RMS, _squares(power=1))),
    Hypothesis(
        "cache_not_stored",
        "the new cache is not kept for the next step",
        _of(_RMS, _squares(keep=False)),
        r"cache",
    ),
    Hypothesis(
        "step_sign",
        "the step goes up the gradient: it must be subtracted",
        _of(_RMS, _squares(sign=1)),
        r"\+.*learning_rate",
    ),
    Hypothesis(
        "no_bias_correction",
        "the bias correction is missing: m and v must be divided by 1 - beta**t",
        _of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m, v))),
        r"sqrt",
    ),
    Hypothesis(
        "no_first_correction",
        "the bias correction of m is missing",
        _of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m, v / (1 - b2**t)))),
        r"sqrt",
    ),
    Hypothesis(
        "no_second_correction",
        "the bias correction of v is missing",
        _of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1**t), v))),
        r"sqrt",
    ),
    Hypothesis(
        "correction_without_t",
        "the bias correction divides by 1 - beta, not by 1 - beta**t",
        _of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1), v / (1 - b2)))),
        r"1(\.0)?\s*-\s*.*beta",
    ),
    Hypothesis(
        "correction_times_t",
        "the bias correction uses beta * t, not beta**t",
        _of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1 * t), v / (1 - b2 * t)))),
        r"\*\s*t",
    ),
    Hypothesis(
        "t_from_one",
        "t starts at 1 before the first step, so the first correction uses t = 2 "
        "(the courses of 2017 do so; later ones start at 0)",
        _of(_ADAM, _adam(start=1)),
        r"['\"]t['\"]\s*,\s*1",
    ),
    Hypothesis(
        "t_late",
        "t is used before it is increased: the first step divides by zero",
        _of(_ADAM, _adam(advance="last")),
        r"\+=\s*1|\+\s*1",
    ),
    Hypothesis(
        "t_never", "t is never increased", _of(_ADAM, _adam(advance="never")), r"['\"]t['\"]"
    ),
    Hypothesis(
        "t_fixed",
        "t is increased but not stored: every step is the first",
        _of(_ADAM, _adam(advance="unstored")),
        r"\bt\b",
    ),
    Hypothesis(
        "no_power",
        "the bias correction of m divides by 1 - beta1, not by 1 - beta1**t",
        _of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1), v / (1 - b2**t)))),
        r"1(\.0)?\s*-\s*.*beta1",
    ),
    Hypothesis(
        "no_power",
        "the bias correction of v divides by 1 - beta2, not by 1 - beta2**t",
        _of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1**t), v / (1 - b2)))),
        r"1(\.0)?\s*-\s*.*beta2",
    ),
    Hypothesis(
        "epsilon_inside",
        "epsilon is inside the root: it must be sqrt(v) + epsilon",
        _of(_ADAM, _adam(divide=lambda v, e: np.sqrt(v + e))),
        r"sqrt\(.*eps",
    ),
    Hypothesis(
        "epsilon_missing",
        "epsilon is not added",
        _of(_ADAM, _adam(divide=lambda v, e: np.sqrt(v))),
        r"sqrt",
    ),
    Hypothesis(
        "root_missing",
        "the square root of v is missing",
        _of(_ADAM, _adam(divide=lambda v, e: v + e)),
        r"/",
    ),
    Hypothesis(
        "betas_swapped", "beta1 and beta2 are exchanged", _of(_ADAM, _adam(swap=True)), r"beta"
    ),
    Hypothesis("not_squared", "v averages dw, not dw**2", _of(_ADAM, _adam(power=1)), r"beta2"),
    Hypothesis(
        "first_unweighted",
        "dw is not multiplied by 1 - beta1",
        _of(_ADAM, _adam(first=lambda b: (b, 1))),
        r"beta1",
    ),
    Hypothesis(
        "second_unweighted",
        "dw**2 is not multiplied by 1 - beta2",
        _of(_ADAM, _adam(second=lambda b: (b, 1))),
        r"beta2",
    ),
    Hypothesis(
        "first_swapped",
        "m is averaged the wrong way round: the old one is multiplied by 1 - beta1",
        _of(_ADAM, _adam(first=lambda b: (1 - b, b))),
        r"beta1",
    ),
    Hypothesis(
        "second_swapped",
        "v is averaged the wrong way round: the old one is multiplied by 1 - beta2",
        _of(_ADAM, _adam(second=lambda b: (1 - b, b))),
        r"beta2",
    ),
    Hypothesis(
        "corrected_stored",
        "the corrected m and v are stored: the next step corrects them again",
        _of(_ADAM, _adam(stores_corrected=True)),
        r"config\[",
    ),
    Hypothesis(
        "state_not_stored",
        "the new m and v are not kept for the next step",
        _of(_ADAM, _adam(keeps=False)),
        r"config\[",
    ),
    Hypothesis(
        "step_sign",
        "the step goes up the gradient: it must be subtracted",
        _of(_ADAM, _adam(sign=1)),
        r"\+.*learning_rate",
    ),
    *[
        _default(key, value)
        for key, value in (("decay_rate", 0.9), ("learning_rate", 1e-3), ("epsilon", 1e-7))
    ],
    Hypothesis(
        "sgd_sign",
        "the step goes up the gradient: it must be subtracted",
        _of(("sgd",), lambda w, dw, c: (w + c.get("learning_rate", 1e-2) * dw, c)),
        r"\+",
    ),
    Hypothesis(
        "learning_rate_missing",
        "the learning rate is missing",
        _of(("sgd",), lambda w, dw, c: (w - dw, c)),
    ),
]
BACKWARD: list[Hypothesis] = []
