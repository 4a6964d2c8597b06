"""The update of a step: the rule, its settings for each parameter, and what changes its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from handgrad.errors import NonFiniteError, as_number
from handgrad.nn.state import Stateful
from handgrad.optim import Rule, clip_by_norm, keys_of, leaves_weights
from handgrad.optim.schedules import Plateau
from handgrad.training.arrays import Arrays, all_finite, commit
from handgrad.training.checks import check_rule_state, split_settings
from handgrad.training.parts import Part, State
from handgrad.training.place import LastStep

Schedule = Callable[[int, int], float]


class Updates(Part):
    """The update rule, and its settings and state for each parameter.

    Attributes:
        given: its settings as the Solver was given them.
        configs: by parameter, its settings and its state.
        frozen: the parameters that stay as they are.
    """

    def __init__(
        self,
        params: Mapping[str, Any],
        rule: Rule,
        given: dict[str, Any],
        *,
        lr_decay: float,
        schedule: Schedule | None,
        clip_norm: float | None,
        frozen: Collection[str],
    ) -> None:
        """given: settings for all of `params`, and under "parameters" those of single ones."""
        self.rule = rule
        self.given = given
        self.lr_decay = lr_decay
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.frozen = frozen
        self.configs = self._first_configs(params)
        self._first_rates = {
            name: config.get("learning_rate", 0.0) for name, config in self.configs.items()
        }

    def _first_configs(self, params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the settings of the rule for each parameter, before training."""
        rule = self.rule
        where = f"Solver: optim_config of {getattr(rule, '__name__', type(rule).__name__)}"
        config, special = split_settings(self.given, params, where, keys_of(rule))
        if self.schedule is not None and "learning_rate" not in config:
            # a schedule needs the base rate before the rule has filled in its default
            config["learning_rate"] = rule(np.zeros(1), np.zeros(1), {})[1]["learning_rate"]
        return {name: {**config, **special[name]} for name in params}

    def apply(self, model: Any, params: Any, last: LastStep, step: int, total_steps: int) -> None:
        """Update `params`, of `model`, by the gradients of the `last` step; rate and norm are noted there.

        Raises NonFiniteError if one does not stay finite.
        """
        factor = self.factor(step, total_steps)
        grads = {name: last.grads[name] for name in params if name not in self.frozen}
        if self.clip_norm is not None:
            grads, norm = clip_by_norm(grads, self.clip_norm)
            if not math.isfinite(norm):
                raise NonFiniteError("the norm of the gradients is not finite")
            last.gradient_norm = norm
        updated: Arrays = {}
        in_place = not leaves_weights(self.rule)
        is_shared = isinstance(model, Stateful)
        for name in grads:
            w = params[name]
            if is_shared and in_place:
                w = w.copy(order="K")
            config = self.configs[name]
            base: Any = config.get("learning_rate")
            if self.schedule is not None:
                config["learning_rate"] = as_number("Solver", "learning_rate", base, 0.0) * factor
            try:
                updated[name], config = self.rule(w, grads[name], config)
                last.learning_rate = config.get("learning_rate")
            finally:
                if self.schedule is not None:
                    config["learning_rate"] = base
            self.configs[name] = config
            if not all_finite(updated[name]):
                raise NonFiniteError(f"the update of {name} is not finite")
        commit(params, updated)

    def factor(self, step: int, total_steps: int) -> float:
        """Return the schedule's factor on the learning rates of a step."""
        if self.schedule is None:
            return 1.0
        factor = self.schedule(step, total_steps)
        return as_number("Solver", "the factor that schedule returns", factor, 0.0)

    def end_epoch(self) -> None:
        """Multiply the learning rates by `lr_decay`."""
        for config in self.configs.values():
            if "learning_rate" in config:
                config["learning_rate"] *= self.lr_decay

    def take_back(self, plateau: Plateau) -> None:
        """Take the learning rates back as `plateau` says."""
        for name, config in self.configs.items():
            if "learning_rate" in config:
                first = self._first_rates[name]
                rate = max(config["learning_rate"] * plateau.factor, first * plateau.least)
                config["learning_rate"] = rate

    def check(self, where: str) -> None:
        """Raise NonFiniteError, which says `where`, if the state of the rule is not finite."""
        check_rule_state(self.configs, where)

    def state(self) -> State:
        """Return settings and state of the rule."""
        return {"optim_configs": self.configs}

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return settings and state of the rule, of the parameters in the model's order."""
        configs = {name: state["optim_configs"][name] for name in params}
        for name, w in params.items():
            for key, value in configs[name].items():
                if isinstance(value, np.ndarray) and value.ndim and value.shape != w.shape:
                    raise ValueError(f"optim_configs {name} {key} is {value.shape}")
        return {"optim_configs": configs}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up settings and state of the rule."""
        self.configs = state["optim_configs"]

    def mark(self) -> dict[str, dict[str, Any]]:
        """Return copies of settings and state; of the arrays, too, where the rule may write into them."""
        is_kept = leaves_weights(self.rule)
        return {name: _as_is(config, is_kept) for name, config in self.configs.items()}

    def back(self, mark: dict[str, dict[str, Any]]) -> None:
        """Undo what steps did to settings and state."""
        self.configs = {name: dict(config) for name, config in mark.items()}


def _as_is(config: dict[str, Any], is_kept: bool) -> dict[str, Any]:
    """Return a copy of a rule's state; of its arrays too, where the rule may write into them."""
    if is_kept:
        return dict(config)
    return {
        key: value.copy(order="K") if isinstance(value, np.ndarray) else value
        for key, value in config.items()
    }
