"""Adam, of which the hypotheses override one step at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.rules.rule import Rule, of


def adam(
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
    exchanged: bool = False,
) -> Rule:
    """Adam with some of its steps overridden; each argument is one step, by default the right one."""

    def rule(w: Any, dw: Any, config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        s = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, **config}
        b1, b2 = betas(s["beta1"], s["beta2"])
        t = config.get("t", start)
        t += advance in ("first", "unstored")
        m0, v0 = config.get("m", np.zeros_like(w)), config.get("v", np.zeros_like(w))
        m0, v0 = (v0, m0) if exchanged else (m0, v0)
        m = first(b1)[0] * m0 + first(b1)[1] * dw
        v = second(b2)[0] * v0 + second(b2)[1] * dw**power
        mt, vt = correct(m, v, b1, b2, count(t))
        kept = (mt, vt) if stores_corrected else (m, v) if keeps else (m0, v0)
        config["m"], config["v"] = kept[::-1] if exchanged else kept
        config["t"] = config.get("t", start) if advance == "unstored" else t + (advance == "last")
        root = divide(vt, s["epsilon"])
        return step(w, -sign * s["learning_rate"], mt, dw, root), config

    return rule


def into_rate(m: Any, v: Any, b1: float, b2: float, t: int) -> tuple[Any, Any]:
    """The corrections as a factor of the learning rate."""
    return m * np.sqrt(1 - b2**t) / (1 - b1**t), v


EPSILON_HAT = adam(correct=into_rate)  # the form at the end of section 2 of Kingma and Ba
ADAM = ("adam",)
Mistakes = list[tuple[str, str, dict[str, Any], str]]


def hypotheses(mistakes: Mistakes) -> list[Hypothesis]:
    """Adam with each of the mistakes: (name, what is said, the step that is overridden, the line)."""
    return [
        Hypothesis(name, says, of(ADAM, adam(**more), counts="start" not in more), line)
        for name, says, more, line in mistakes
    ]
