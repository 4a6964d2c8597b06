"""Several steps of an update rule, one after another, and the state that each leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.undisturbed import fresh

# the state that each rule keeps in its config
STATE = {
    "sgd": (),
    "sgd_momentum": ("velocity",),
    "sgd_nesterov_momentum": ("velocity",),
    "adagrad": ("cache",),
    "rmsprop": ("cache",),
    "adam": ("m", "v", "t"),
}


def counting(rule: Callable[..., Any], start: int) -> Callable[..., Any]:
    """Return the rule with its count of steps starting at `start`."""

    def counted(w: Any, dw: Any, config: dict[str, Any]) -> Any:
        config.setdefault("t", start)
        return rule(w, dw, config)

    return counted if start else rule


def simulate(
    rule: Callable[..., Any], name: str, w: Any, dws: list[Any], start: dict[str, Any] | None
) -> dict[str, Any]:
    """Return next_w and the states after each step, stacked."""
    config = fresh(start) or {}
    history: dict[str, list[Any]] = {key: [] for key in ("next_w", *STATE[name])}
    w = w.copy()
    for dw in dws:
        w, config = rule(w, dw, config)
        history["next_w"].append(np.array(w))  # a copy: sgd works in place
        for key in STATE[name]:
            history[key].append(np.array(config[key], float))
    return {key: np.stack(values) for key, values in history.items()}
