"""Settings of update rules whose default is not the courses', or that are not read at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad import optim
from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.rules.adam_rule import ADAM, adam
from handgrad.checker.hypotheses.rules.rule import of
from handgrad.checker.undisturbed import run

DEFAULTS: dict[str, dict[str, float]] = {
    "sgd": {"learning_rate": 1e-2},
    "sgd_momentum": {"learning_rate": 1e-2, "momentum": 0.9},
    "sgd_nesterov_momentum": {"learning_rate": 1e-2, "momentum": 0.9},
    "rmsprop": {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8},
    "adam": {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
}
_OTHERS = (0.0, 0.1, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0, *(10.0**-i for i in range(2, 11)))


def of_rule(name: str, rule: Callable[..., Any]) -> list[Hypothesis]:
    """Return a hypothesis for each setting, with the values that its default may have.

    A rule that stores its settings, as the courses' skeletons do, tells its own defaults.
    """
    right = DEFAULTS.get(name, {})
    stored: dict[str, Any] = {}
    run(rule, np.ones(2), np.ones(2), stored)
    own = {
        key: float(stored[key])
        for key, value in right.items()
        if np.isscalar(stored.get(key)) and stored[key] != value
    }
    found = [_wrong_default(name, own)] if own else []
    found += _own_count(rule, stored.get("t")) if name == "adam" else []
    for key, value in right.items():
        found += [
            _wrong_default(name, {key: other})
            for other in _OTHERS
            if other != value and key not in stored
        ]
        found += [_fixed(name, key, other) for other in (value, *_OTHERS)]
    return found


def _own_count(rule: Callable[..., Any], after: Any) -> list[Hypothesis]:
    """The count of steps starts elsewhere, or is never increased; after: t after one step from nothing."""
    later: dict[str, Any] = {"t": 7}
    run(rule, np.ones(2), np.ones(2), later)
    if not isinstance(after, int | np.integer) or later.get("t") not in (7, 8):
        return []
    advances = later["t"] == 8
    start = int(after) - advances
    says = [] if start in (0, 1) else [f"t starts at {start}, not at 0"]
    says += [] if advances else ["t is never increased"]
    wrong = adam(start=start, advance="first" if advances else "never")
    words = " and ".join(says)
    return [Hypothesis("t_start", words, of(ADAM, wrong, counts=False), r"\bt\b")] if says else []


def _fixed(name: str, key: str, value: float) -> Hypothesis:
    """The setting is not read: it always has one value."""
    known = optim.get_rule(name)

    def rule(w: Any, dw: Any, config: dict[str, Any]) -> Any:
        new, used = known(w, dw, {**config, key: value})
        config.update({k: v for k, v in used.items() if k != key})
        return new, config

    words = f"{key} is fixed at {value:g}: the option {key} is not used"
    return Hypothesis(f"{key}_fixed", words, of((name,), rule), rf"\b{key}\b|{value:g}")


def _wrong_default(name: str, wrong: dict[str, float]) -> Hypothesis:
    right = DEFAULTS[name]
    words = " and ".join(
        f"the default of {key} is {value:g}: the course's is {right[key]:g}"
        for key, value in wrong.items()
    )
    known = optim.get_rule(name)
    key = next(iter(wrong))

    def rule(w: Any, dw: Any, config: dict[str, Any]) -> Any:
        for setting, value in wrong.items():
            config.setdefault(setting, value)
        return known(w, dw, config)

    return Hypothesis(f"default_{key}", words, of((name,), rule), rf"\b{key}\b")
