"""Mistakes of Adam."""

from __future__ import annotations

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.rules.adam_correction import CORRECTION
from handgrad.checker.hypotheses.rules.adam_rule import ADAM, Mistakes, adam, hypotheses, into_rate
from handgrad.checker.hypotheses.rules.rule import of

_MISTAKES: Mistakes = [
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
        {"correct": into_rate, "divide": lambda v, e: np.sqrt(v)},
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
    *[
        (
            "moments_exchanged",
            "m and v are exchanged: m averages dw with beta1, v averages dw**2 with beta2",
            {"exchanged": True, **more},
            r"\bm\b|\bv\b",
        )
        for more in ({}, {"start": 1, "advance": "last"}, {"start": 1})
    ],
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
        {"correct": into_rate},
        r"sqrt",
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
    *CORRECTION,
    Hypothesis(
        "epsilon_inside",
        "epsilon is inside the root: it must be sqrt(v) + epsilon",
        of(ADAM, adam(divide=lambda v, e: np.sqrt(v + e))),
        r"sqrt\(.*eps",
    ),
    Hypothesis(
        "epsilon_missing",
        "epsilon is not added",
        of(ADAM, adam(divide=lambda v, e: np.sqrt(v))),
        r"sqrt",
    ),
    Hypothesis(
        "root_missing",
        "the square root of v is missing",
        of(ADAM, adam(divide=lambda v, e: v + e)),
        r"/",
    ),
    Hypothesis(
        "betas_swapped",
        "beta1 and beta2 are exchanged",
        of(ADAM, adam(betas=lambda b1, b2: (b2, b1))),
        r"beta",
    ),
    Hypothesis("not_squared", "v averages dw, not dw**2", of(ADAM, adam(power=1)), r"beta2"),
    Hypothesis(
        "first_unweighted",
        "dw is not multiplied by 1 - beta1",
        of(ADAM, adam(first=lambda b: (b, 1))),
        r"beta1",
    ),
    Hypothesis(
        "second_unweighted",
        "dw**2 is not multiplied by 1 - beta2",
        of(ADAM, adam(second=lambda b: (b, 1))),
        r"beta2",
    ),
    Hypothesis(
        "first_swapped",
        "m is averaged the wrong way round: the old one is multiplied by 1 - beta1",
        of(ADAM, adam(first=lambda b: (1 - b, b))),
        r"beta1",
    ),
    Hypothesis(
        "second_swapped",
        "v is averaged the wrong way round: the old one is multiplied by 1 - beta2",
        of(ADAM, adam(second=lambda b: (1 - b, b))),
        r"beta2",
    ),
    Hypothesis(
        "corrected_stored",
        "the corrected m and v are stored: the next step corrects them again",
        of(ADAM, adam(stores_corrected=True)),
        r"config\[",
    ),
    Hypothesis(
        "state_not_stored",
        "the new m and v are not kept for the next step",
        of(ADAM, adam(keeps=False)),
        r"config\[",
    ),
    Hypothesis(
        "step_sign",
        "the step goes up the gradient: it must be subtracted",
        of(ADAM, adam(sign=1)),
        r"\+.*learning_rate",
    ),
    *hypotheses(_MISTAKES),
]
