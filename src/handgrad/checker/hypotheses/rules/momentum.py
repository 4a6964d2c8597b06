"""Mistakes of gradient descent with momentum, and of Nesterov's."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.rules.rule import Rule, of


def _momentum(
    decay: Any = lambda mu: mu,
    gradient: Any = lambda mu, lr, dw: -lr * dw,
    step: Any = lambda w, v, old, mu, lr: w + v,
    kept: Any = lambda v, old: v,
) -> Rule:
    def rule(w: Any, dw: Any, config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        lr, mu = config.get("learning_rate", 1e-2), config.get("momentum", 0.9)
        old = config.get("velocity", np.zeros_like(w))
        v = decay(mu) * old + gradient(mu, lr, dw)
        config["velocity"] = kept(v, old)
        return step(w, v, old, mu, lr), config

    return rule


_MOMENTUM, _NESTEROV = ("sgd_momentum",), ("sgd_nesterov_momentum",)
FORWARD = [
    Hypothesis(
        "momentum_sign",
        "velocity has the wrong sign: it must be mu v - learning_rate dw",
        of(_MOMENTUM, _momentum(gradient=lambda mu, lr, dw: lr * dw)),
    ),
    Hypothesis(
        "momentum_subtracted",
        "the velocity is subtracted from w, not added",
        of(_MOMENTUM, _momentum(step=lambda w, v, old, mu, lr: w - v)),
        r"w\s*-",
    ),
    Hypothesis(
        "momentum_both_signs",
        "velocity has the other sign, mu v + learning_rate dw; the courses add it to w",
        of(
            _MOMENTUM,
            _momentum(gradient=lambda mu, lr, dw: lr * dw, step=lambda w, v, old, mu, lr: w - v),
        ),
        r"\+.*learning_rate",
    ),
    Hypothesis(
        "momentum_swapped",
        "momentum is the wrong way round: the old velocity is multiplied by 1 - mu",
        of(_MOMENTUM, _momentum(decay=lambda mu: 1 - mu)),
        r"1(\.0)?\s*-",
    ),
    Hypothesis(
        "momentum_averaged",
        "the gradient is multiplied by 1 - mu: the courses' velocity is a sum, not an average",
        of(_MOMENTUM, _momentum(gradient=lambda mu, lr, dw: -(1 - mu) * lr * dw)),
        r"1(\.0)?\s*-",
    ),
    Hypothesis(
        "momentum_missing",
        "the old velocity is not used: this is plain gradient descent",
        of(_MOMENTUM, _momentum(decay=lambda mu: 0.0)),
    ),
    Hypothesis(
        "momentum_undamped",
        "the old velocity is not multiplied by momentum",
        of(_MOMENTUM, _momentum(decay=lambda mu: 1.0)),
    ),
    Hypothesis(
        "learning_rate_missing",
        "the learning rate is missing from the velocity",
        of(_MOMENTUM, _momentum(gradient=lambda mu, lr, dw: -dw)),
    ),
    Hypothesis(
        "velocity_not_stored",
        "the new velocity is not kept for the next step",
        of(_MOMENTUM, _momentum(kept=lambda v, old: old)),
        r"velocity",
    ),
    Hypothesis(
        "old_velocity_used",
        "w moves by the old velocity, not by the new one",
        of(_MOMENTUM, _momentum(step=lambda w, v, old, mu, lr: w + old)),
        r"w\s*\+",
    ),
    Hypothesis(
        "nesterov_plain",
        "this is plain momentum: the look-ahead mu (v' - v) is missing",
        of(_NESTEROV, _momentum(step=lambda w, v, old, mu, lr: w + v)),
        r"w\s*\+",
    ),
    Hypothesis(
        "nesterov_sign",
        "the look-ahead has the wrong sign: it is mu (v - v')",
        of(_NESTEROV, _momentum(step=lambda w, v, old, mu, lr: w + v + mu * (old - v))),
    ),
    Hypothesis(
        "learning_rate_twice",
        "the learning rate is multiplied twice: in the velocity and in the step",
        of(
            _MOMENTUM,
            _momentum(step=lambda w, v, old, mu, lr: w + lr * v),
        ),
        r"learning_rate",
    ),
    Hypothesis(
        "learning_rate_late",
        "the velocity lacks the learning rate, which is multiplied in the step: w + learning_rate v",
        of(
            _MOMENTUM,
            _momentum(gradient=lambda mu, lr, dw: -dw, step=lambda w, v, old, mu, lr: w + lr * v),
        ),
        r"learning_rate",
    ),
    Hypothesis(
        "learning_rate_late",
        "the velocity is a plain sum of gradients, mu v + dw; the courses' holds the steps themselves",
        of(
            _MOMENTUM,
            _momentum(gradient=lambda mu, lr, dw: dw, step=lambda w, v, old, mu, lr: w - lr * v),
        ),
        r"learning_rate",
    ),
    Hypothesis(
        "momentum_of_gradient",
        "the gradient is multiplied by momentum too",
        of(_MOMENTUM, _momentum(gradient=lambda mu, lr, dw: -mu * lr * dw)),
        r"\(",
    ),
    Hypothesis(
        "gradient_missing",
        "the gradient is not used: the velocity only decays",
        of(_MOMENTUM, _momentum(gradient=lambda mu, lr, dw: 0.0)),
    ),
    Hypothesis(
        "gradient_step_missing",
        "w moves by mu v only: the gradient is missing from the step",
        of(_MOMENTUM, _momentum(step=lambda w, v, old, mu, lr: w + mu * old)),
    ),
    Hypothesis(
        "weights_lost",
        "next_w is the step alone: w is not added",
        of(_MOMENTUM, _momentum(step=lambda w, v, old, mu, lr: v)),
        r"next_w",
    ),
    Hypothesis(
        "not_updated",
        "next_w is w: the step is never taken",
        of(_MOMENTUM, _momentum(step=lambda w, v, old, mu, lr: w)),
        r"next_w|return",
    ),
    Hypothesis(
        "nesterov_step",
        "this is Nesterov's step: plain momentum is w + v",
        of(_MOMENTUM, _momentum(step=lambda w, v, old, mu, lr: w + v + mu * (v - old))),
        r"\*\s*\(",
    ),
    Hypothesis(
        "momentum_swapped",
        "momentum is the wrong way round: (1 - mu) v - mu learning_rate dw",
        of(
            _MOMENTUM,
            _momentum(decay=lambda mu: 1 - mu, gradient=lambda mu, lr, dw: -mu * lr * dw),
        ),
        r"1(\.0)?\s*-",
    ),
    *[
        Hypothesis(
            "momentum_fixed",
            f"momentum is fixed at {value:g}: the option momentum is not used",
            of(_MOMENTUM, _momentum(decay=lambda mu, value=value: value)),
            rf"{value:g}"[1:],
        )
        for value in (0.9, 0.99, 0.5)
    ],
    *[
        Hypothesis(
            "nesterov_step",
            says,
            of(_NESTEROV, _momentum(step=step)),
            r"next_w|return|\+",
        )
        for says, step in (
            ("the step is mu v' alone", lambda w, v, old, mu, lr: w + mu * v),
            ("the look-ahead lacks mu", lambda w, v, old, mu, lr: w + v + (v - old)),
            ("the look-ahead takes v', not v' - v", lambda w, v, old, mu, lr: w + v + mu * v),
            ("the look-ahead takes v, not v' - v", lambda w, v, old, mu, lr: w + v + mu * old),
            (
                "the look-ahead has mu and 1 + mu exchanged",
                lambda w, v, old, mu, lr: w - (1 + mu) * old + mu * v,
            ),
            ("the velocity is subtracted", lambda w, v, old, mu, lr: w - v - mu * (v - old)),
            ("v' is missing", lambda w, v, old, mu, lr: w + mu * (v - old)),
        )
    ],
]
