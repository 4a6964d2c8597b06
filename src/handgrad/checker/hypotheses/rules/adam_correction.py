"""Mistakes of Adam's bias correction, and of the count of steps t that it needs."""

from __future__ import annotations

from typing import Any

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.rules.adam_rule import ADAM, Mistakes, adam, hypotheses
from handgrad.checker.hypotheses.rules.rule import of


def _by_rate(m: Any, v: Any, b1: float, b2: float, t: int) -> tuple[Any, Any]:
    """The corrections as factors, which raise for t = 0."""
    return m * (1 / (1 - b1**t)), v * (1 / (1 - b2**t))


_MISTAKES: Mistakes = [
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
            "correction_fixed_power",
            "the bias correction divides by 1 - beta**2 in every step: it must be 1 - beta**t",
            {"correct": lambda m, v, b1, b2, t: (m / (1 - b1**2), v / (1 - b2**2)), **more},
            r"\*\*\s*2",
        )
        for more in ({}, {"start": 1})
    ],
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
        "correction_root_missing",
        "the correction of v in the learning rate lacks its root: sqrt(1 - beta2**t) / (1 - beta1**t)",
        {"correct": lambda m, v, b1, b2, t: (m * (1 - b2**t) / (1 - b1**t), v)},
        r"beta2",
    ),
]


CORRECTION = [
    Hypothesis(
        "no_bias_correction",
        "the bias correction is missing: m and v must be divided by 1 - beta**t",
        of(ADAM, adam(correct=lambda m, v, b1, b2, t: (m, v))),
        r"sqrt",
    ),
    Hypothesis(
        "no_first_correction",
        "the bias correction of m is missing",
        of(ADAM, adam(correct=lambda m, v, b1, b2, t: (m, v / (1 - b2**t)))),
        r"sqrt",
    ),
    Hypothesis(
        "no_second_correction",
        "the bias correction of v is missing",
        of(ADAM, adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1**t), v))),
        r"sqrt",
    ),
    Hypothesis(
        "correction_without_t",
        "the bias correction divides by 1 - beta, not by 1 - beta**t",
        of(ADAM, adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1), v / (1 - b2)))),
        r"1(\.0)?\s*-\s*.*beta",
    ),
    Hypothesis(
        "correction_times_t",
        "the bias correction uses beta * t, not beta**t",
        of(ADAM, adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1 * t), v / (1 - b2 * t)))),
        r"\*\s*t",
    ),
    Hypothesis(
        "correction_beta",
        "the bias correction of v uses beta1: it must use beta2",
        of(
            ADAM,
            adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1**t), v / (1 - b1**t))),
        ),
        r"beta1",
    ),
    Hypothesis(
        "correction_beta",
        "the bias correction of m uses beta2: it must use beta1",
        of(
            ADAM,
            adam(correct=lambda m, v, b1, b2, t: (m / (1 - b2**t), v / (1 - b2**t))),
        ),
        r"beta2",
    ),
    Hypothesis(
        "t_from_one",
        "t starts at 1 before the first step, so the first correction uses t = 2 "
        "(the courses of 2017 do so; later ones start at 0)",
        of(ADAM, adam(start=1), counts=False),
        r"['\"]t['\"]\s*,\s*1",
    ),
    Hypothesis(
        "t_late",
        "t is used before it is increased: the first step divides by zero",
        of(ADAM, adam(advance="last")),
        r"\+=\s*1|\+\s*1",
    ),
    Hypothesis("t_never", "t is never increased", of(ADAM, adam(advance="never")), r"['\"]t['\"]"),
    Hypothesis(
        "t_fixed",
        "t is increased but not stored: every step is the first",
        of(ADAM, adam(advance="unstored")),
        r"\bt\b",
    ),
    Hypothesis(
        "no_power",
        "the bias correction of m divides by 1 - beta1, not by 1 - beta1**t",
        of(ADAM, adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1), v / (1 - b2**t)))),
        r"1(\.0)?\s*-\s*.*beta1",
    ),
    Hypothesis(
        "no_power",
        "the bias correction of v divides by 1 - beta2, not by 1 - beta2**t",
        of(ADAM, adam(correct=lambda m, v, b1, b2, t: (m / (1 - b1**t), v / (1 - b2)))),
        r"1(\.0)?\s*-\s*.*beta2",
    ),
    *hypotheses(_MISTAKES),
]
