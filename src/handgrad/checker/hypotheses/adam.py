"""Mistakes of Adam."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.rule import Rule, of


def _adam(
    correct: Any = lambda m, v, b1, b2, t: (m / (1 - b1**t), v / (1 - b2**t)),
    start: int = 0,
    advance: str = "first",
    first: Any = lambda b: (b, 1 - b),
    second: Any = lambda b: (b, 1 - b),
    betas: Any = lambda b1, b2: (b1, b2),
    power: float = 2,
    divide: Any = lambda v, eps: np.sqrt(v) + eps,
    sign: float = -1,
    stores_corrected: bool = False,
    keeps: bool = True,
    count: Any = lambda t: t,
    step: Any = lambda w, lr, mt, dw, root: w - lr * mt / root,
) -> Rule:
    def rule(w: Any, dw: Any, config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        s = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, **config}
        b1, b2 = betas(s["beta1"], s["beta2"])
        t = config.get("t", start)
        t += advance in ("first", "unstored")
        m0, v0 = config.get("m", np.zeros_like(w)), config.get("v", np.zeros_like(w))
        m = first(b1)[0] * m0 + first(b1)[1] * dw
        v = second(b2)[0] * v0 + second(b2)[1] * dw**power
        mt, vt = correct(m, v, b1, b2, count(t))
        kept = (mt, vt) if stores_corrected else (m, v) if keeps else (m0, v0)
        config["m"], config["v"] = kept
        config["t"] = config.get("t", start) if advance == "unstored" else t + (advance == "last")
        root = divide(vt, s["epsilon"])
        return step(w, -sign * s["learning_rate"], mt, dw, root), config

    return rule


def _by_rate(m: Any, v: Any, b1: float, b2: float, t: int) -> tuple[Any, Any]:
    """The corrections as factors, which raise for t = 0."""
    return m * (1 / (1 - b1**t)), v * (1 / (1 - b2**t))


def _into_rate(m: Any, v: Any, b1: float, b2: float, t: int) -> tuple[Any, Any]:
    """The corrections as a factor of the learning rate."""
    return m * np.sqrt(1 - b2**t) / (1 - b1**t), v


EPSILON_HAT = _adam(correct=_into_rate)  # the form at the end of section 2 of Kingma and Ba
_ADAM = ("adam",)
_MISTAKES: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "t_fixed",
        "the bias correction uses t = 1 in every step",
        {"count": lambda t: 1},
        r"\bt\b",
    ),
    (
        "t_late",
        "the bias correction uses t one step too late",
        {"count": lambda t: t - 1},
        r"\bt\b",
    ),
    (
        "t_late",
        "the bias correction uses t one step too early: t + 1",
        {"count": lambda t: t + 1},
        r"t\s*\+\s*1",
    ),
    (
        "t_late",
        "t is used before it is increased, and counts from 1 at the least",
        {"count": lambda t: max(t - 1, 1)},
        r"\bt\b",
    ),
    (
        "t_never",
        "t is never increased: the bias correction divides by zero",
        {"correct": _by_rate, "advance": "never"},
        r"['\"]t['\"]",
    ),
    (
        "t_late",
        "t is used before it is increased: the first step divides by zero",
        {"correct": _by_rate, "advance": "last"},
        r"\+=\s*1|\+\s*1",
    ),
    (
        "t_never",
        "t is never increased: it stays at 1",
        {"start": 1, "advance": "never"},
        r"['\"]t['\"]",
    ),
    (
        "correction_multiplied",
        "m and v are multiplied by 1 - beta**t, not divided",
        {"correct": lambda m, v, b1, b2, t: (m * (1 - b1**t), v * (1 - b2**t))},
        r"\*\s*\(1",
    ),
    *[
        (
            "correction_of_rest",
            f"the bias correction{of} divides by 1 - (1 - beta)**t: it must be 1 - beta**t",
            {"correct": correct},
            r"1(\.0)?\s*-\s*\(\s*1|1(\.0)?\s*-\s*.*beta",
        )
        for of, correct in (
            ("", lambda m, v, b1, b2, t: (m / (1 - (1 - b1) ** t), v / (1 - (1 - b2) ** t))),
            (" of m", lambda m, v, b1, b2, t: (m / (1 - (1 - b1) ** t), v / (1 - b2**t))),
            (" of v", lambda m, v, b1, b2, t: (m / (1 - b1**t), v / (1 - (1 - b2) ** t))),
        )
    ],
    *[
        (
            "epsilon_outside",
            f"epsilon is {words}, not to the denominator: a parenthesis is missing",
            {"divide": lambda v, e: (np.sqrt(v), e), "step": step},
            r"eps",
        )
        for words, step in (
            ("added to the step", lambda w, lr, mt, dw, r: w - lr * mt / r[0] + r[1]),
            ("subtracted from w", lambda w, lr, mt, dw, r: w - lr * mt / r[0] - r[1]),
            ("added to the fraction", lambda w, lr, mt, dw, r: w - lr * (mt / r[0] + r[1])),
        )
    ],
    (
        "epsilon_subtracted",
        "epsilon is subtracted from the root of v, not added",
        {"divide": lambda v, e: np.sqrt(v) - e},
        r"-\s*.*eps",
    ),
    (
        "epsilon_missing_and_rate",
        "epsilon is not added, and the corrections are put into the learning rate",
        {"correct": _into_rate, "divide": lambda v, e: np.sqrt(v)},
        r"sqrt",
    ),
    (
        "correction_plus",
        "the bias correction divides by 1 + beta**t, not by 1 - beta**t",
        {"correct": lambda m, v, b1, b2, t: (m / (1 + b1**t), v / (1 + b2**t))},
        r"1(\.0)?\s*\+",
    ),
    (
        "correction_beta",
        "beta1 and beta2 are exchanged in the bias correction",
        {"correct": lambda m, v, b1, b2, t: (m / (1 - b2**t), v / (1 - b1**t))},
        r"beta",
    ),
    (
        "correction_of_power",
        "the bias correction divides by beta**t, not by 1 - beta**t",
        {"correct": lambda m, v, b1, b2, t: (m / b1**t, v / b2**t)},
        r"\*\*",
    ),
    (
        "correction_exchanged",
        "m and v are exchanged in the step",
        {"correct": lambda m, v, b1, b2, t: (v / (1 - b2**t), m / (1 - b1**t))},
        r"sqrt",
    ),
    (
        "gradient_as_first",
        "the step uses dw, not the average m: this is RMSProp with a correction",
        {"step": lambda w, lr, mt, dw, root: w - lr * dw / root},
        r"sqrt",
    ),
    (
        "no_second_moment",
        "the step is not divided by the root of v: this is momentum",
        {"step": lambda w, lr, mt, dw, root: w - lr * mt},
        r"learning_rate",
    ),
    (
        "root_multiplied",
        "the step is multiplied by the root of v, not divided",
        {"step": lambda w, lr, mt, dw, root: w - lr * mt * root},
        r"\*.*sqrt",
    ),
    (
        "learning_rate_missing",
        "the learning rate is missing",
        {"step": lambda w, lr, mt, dw, root: w - mt / root},
        r"sqrt",
    ),
    (
        "weights_lost",
        "next_w is the step alone: w is not used",
        {"step": lambda w, lr, mt, dw, root: -lr * mt / root},
        r"next_w",
    ),
    (
        "not_updated",
        "next_w is w: the step is never taken",
        {"step": lambda w, lr, mt, dw, root: w},
        r"next_w|return",
    ),
    (
        "first_overwritten",
        "m is dw of this step only: the old m is not used",
        {"first": lambda b: (0, 1 - b)},
        r"beta1",
    ),
    (
        "second_overwritten",
        "v is dw**2 of this step only: the old v is not used",
        {"second": lambda b: (0, 1 - b)},
        r"beta2",
    ),
    (
        "first_undamped",
        "the old m is not multiplied by beta1",
        {"first": lambda b: (1, 1 - b)},
        r"beta1|\+=",
    ),
    (
        "second_undamped",
        "the old v is not multiplied by beta2",
        {"second": lambda b: (1, 1 - b)},
        r"beta2|\+=",
    ),
    (
        "first_sign",
        "m subtracts the gradient",
        {"first": lambda b: (b, b - 1)},
        r"beta1",
    ),
    (
        "first_weights",
        "both the old m and dw are multiplied by beta1",
        {"first": lambda b: (b, b)},
        r"beta1",
    ),
    (
        "second_weights",
        "both the old v and dw**2 are multiplied by beta2",
        {"second": lambda b: (b, b)},
        r"beta2",
    ),
    (
        "cubed",
        "v averages dw**3, not dw**2",
        {"power": 3},
        r"\*\*\s*3",
    ),
    (
        "epsilon_inside",
        "epsilon is added to v before its correction",
        {"correct": lambda m, v, b1, b2, t: (m / (1 - b1**t), (v + 1e-8) / (1 - b2**t))},
        r"eps",
    ),
    (
        "epsilon_hat",
        "the corrections are put into the learning rate, and epsilon is not corrected with them "
        "(epsilon-hat)",
        {"correct": _into_rate},
        r"sqrt",
    ),
    (
        "correction_root_missing",
        "the correction of v in the learning rate lacks its root: sqrt(1 - beta2**t) / (1 - beta1**t)",
        {"correct": lambda m, v, b1, b2, t: (m * (1 - b2**t) / (1 - b1**t), v)},
        r"beta2",
    ),
    (
        "beta_for_both",
        "beta1 is used for v too: v has its own beta2",
        {"betas": lambda b1, b2: (b1, b1)},
        r"beta1",
    ),
    (
        "beta_for_both",
        "beta2 is used for m too: m has its own beta1",
        {"betas": lambda b1, b2: (b2, b2)},
        r"beta2",
    ),
]
FORWARD = [
    Hypothesis(
        "no_bias_correction",
        "the bias correction is missing: m and v must be divided by 1 - beta**t",
        of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m, v))),
        r"sqrt",
    ),
    Hypothesis(
        "no_first_correction",
        "the bias correction of m is missing",
        of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m, v / (1 - b2**t)))),
        r"sqrt",
    ),
    Hypothesis(
        "no_second_correction",
        "the bias correction of v is missing",
        of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1**t), v))),
        r"sqrt",
    ),
    Hypothesis(
        "correction_without_t",
        "the bias correction divides by 1 - beta, not by 1 - beta**t",
        of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1), v / (1 - b2)))),
        r"1(\.0)?\s*-\s*.*beta",
    ),
    Hypothesis(
        "correction_times_t",
        "the bias correction uses beta * t, not beta**t",
        of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1 * t), v / (1 - b2 * t)))),
        r"\*\s*t",
    ),
    Hypothesis(
        "correction_beta",
        "the bias correction of v uses beta1: it must use beta2",
        of(
            _ADAM,
            _adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1**t), v / (1 - b1**t))),
        ),
        r"beta1",
    ),
    Hypothesis(
        "correction_beta",
        "the bias correction of m uses beta2: it must use beta1",
        of(
            _ADAM,
            _adam(correct=lambda m, v, b1, b2, t: (m / (1 - b2**t), v / (1 - b2**t))),
        ),
        r"beta2",
    ),
    Hypothesis(
        "t_from_one",
        "t starts at 1 before the first step, so the first correction uses t = 2 "
        "(the courses of 2017 do so; later ones start at 0)",
        of(_ADAM, _adam(start=1)),
        r"['\"]t['\"]\s*,\s*1",
    ),
    Hypothesis(
        "t_late",
        "t is used before it is increased: the first step divides by zero",
        of(_ADAM, _adam(advance="last")),
        r"\+=\s*1|\+\s*1",
    ),
    Hypothesis(
        "t_never", "t is never increased", of(_ADAM, _adam(advance="never")), r"['\"]t['\"]"
    ),
    Hypothesis(
        "t_fixed",
        "t is increased but not stored: every step is the first",
        of(_ADAM, _adam(advance="unstored")),
        r"\bt\b",
    ),
    Hypothesis(
        "no_power",
        "the bias correction of m divides by 1 - beta1, not by 1 - beta1**t",
        of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1), v / (1 - b2**t)))),
        r"1(\.0)?\s*-\s*.*beta1",
    ),
    Hypothesis(
        "no_power",
        "the bias correction of v divides by 1 - beta2, not by 1 - beta2**t",
        of(_ADAM, _adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1**t), v / (1 - b2)))),
        r"1(\.0)?\s*-\s*.*beta2",
    ),
    Hypothesis(
        "epsilon_inside",
        "epsilon is inside the root: it must be sqrt(v) + epsilon",
        of(_ADAM, _adam(divide=lambda v, e: np.sqrt(v + e))),
        r"sqrt\(.*eps",
    ),
    Hypothesis(
        "epsilon_missing",
        "epsilon is not added",
        of(_ADAM, _adam(divide=lambda v, e: np.sqrt(v))),
        r"sqrt",
    ),
    Hypothesis(
        "root_missing",
        "the square root of v is missing",
        of(_ADAM, _adam(divide=lambda v, e: v + e)),
        r"/",
    ),
    Hypothesis(
        "betas_swapped",
        "beta1 and beta2 are exchanged",
        of(_ADAM, _adam(betas=lambda b1, b2: (b2, b1))),
        r"beta",
    ),
    Hypothesis("not_squared", "v averages dw, not dw**2", of(_ADAM, _adam(power=1)), r"beta2"),
    Hypothesis(
        "first_unweighted",
        "dw is not multiplied by 1 - beta1",
        of(_ADAM, _adam(first=lambda b: (b, 1))),
        r"beta1",
    ),
    Hypothesis(
        "second_unweighted",
        "dw**2 is not multiplied by 1 - beta2",
        of(_ADAM, _adam(second=lambda b: (b, 1))),
        r"beta2",
    ),
    Hypothesis(
        "first_swapped",
        "m is averaged the wrong way round: the old one is multiplied by 1 - beta1",
        of(_ADAM, _adam(first=lambda b: (1 - b, b))),
        r"beta1",
    ),
    Hypothesis(
        "second_swapped",
        "v is averaged the wrong way round: the old one is multiplied by 1 - beta2",
        of(_ADAM, _adam(second=lambda b: (1 - b, b))),
        r"beta2",
    ),
    Hypothesis(
        "corrected_stored",
        "the corrected m and v are stored: the next step corrects them again",
        of(_ADAM, _adam(stores_corrected=True)),
        r"config\[",
    ),
    Hypothesis(
        "state_not_stored",
        "the new m and v are not kept for the next step",
        of(_ADAM, _adam(keeps=False)),
        r"config\[",
    ),
    Hypothesis(
        "step_sign",
        "the step goes up the gradient: it must be subtracted",
        of(_ADAM, _adam(sign=1)),
        r"\+.*learning_rate",
    ),
    *[
        Hypothesis(name, says, of(_ADAM, _adam(**more)), line)
        for name, says, more, line in _MISTAKES
    ],
]
