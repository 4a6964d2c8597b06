"""Update rules as operations of a plan, and the numbers that they read in each step.

A row of the table holds for each parameter

    rate   decay1   decay2   epsilon   correction1   correction2   kept   l2

where kept is the share of the weights that `weight_decay` leaves; the rules' formulas are those of
`handgrad.optim.rules`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

import numpy as np

from handgrad.nn.compiled.memory import Memory, NotCovered

Config = Mapping[str, Any]


class Rule(NamedTuple):
    """What a plan must know of a rule.

    op: its operation; states: the arrays that it keeps; settings: what its config has beside learning_rate,
    each a share below 1 or, of epsilon, a positive number; counts: whether it counts steps in "t".
    """

    op: str
    states: tuple[str, ...]
    settings: tuple[str, ...]
    counts: bool = False


_ADAM = Rule("adam", ("m", "v"), ("beta1", "beta2", "epsilon"), True)
RULES = {
    "sgd": Rule("sgd", (), ()),
    "sgd_momentum": Rule("sgd_momentum", ("velocity",), ("momentum",)),
    "sgd_nesterov_momentum": Rule("sgd_nesterov_momentum", ("velocity",), ("momentum",)),
    "adagrad": Rule("adagrad", ("cache",), ("epsilon",)),
    "rmsprop": Rule("rmsprop", ("cache",), ("decay_rate", "epsilon")),
    "adadelta": Rule("adadelta", ("cache", "updates"), ("decay_rate", "epsilon")),
    "adam": _ADAM,
    "adamw": _ADAM,
}
COLUMNS = 8  # of a parameter
_RATE, _CORRECTION1, _KEPT, _L2 = 0, 4, 6, 7


def add(
    memory: Memory, rule: Rule, w: tuple[int, int], gradient: int, count: int, column: int, l2: bool
) -> None:
    """Add the update of a parameter of `count` numbers, whose slots before and after are w."""
    now, after = w
    if l2:
        decayed = memory.value(count)
        memory.op("decay", [now, gradient, decayed], [count, column + _L2])
        gradient = decayed
    states = [slot for _ in rule.states for slot in memory.carry(count)]
    memory.op(rule.op, [now, gradient, after, *states], [count, column])
    memory.op("check_finite", [after], [count])


def check(rule: Rule, config: Config, w: np.ndarray, l2: bool) -> None:
    """Raise NotCovered unless `config` holds settings and state as a step of the rule leaves them.

    l2: whether the plan has a place for an l2 that is not zero.
    """
    for key in ("learning_rate", *rule.settings):
        value = config.get(key)
        most = inf if key in ("learning_rate", "epsilon") else 1.0
        if type(value) is not float or not 0.0 <= value < most:
            raise NotCovered(f"{key} = {value!r}")
    for key in ("l2", "weight_decay"):
        value = config.get(key, 0.0)
        if type(value) is not float or not 0.0 <= value < inf:
            raise NotCovered(f"{key} = {value!r}")
    if config.get("l2", 0.0) and not l2:
        raise NotCovered("an l2 that has changed")
    for key in rule.states:
        state = config.get(key)
        if not fits(state, w.shape, w.dtype):
            raise NotCovered(f"the state {key} of the update rule")
    if rule.counts and type(config.get("t")) is not int:
        raise NotCovered("the state t of the update rule")


def fits(array: Any, shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether a plan can read and replace `array` where it lies."""
    return (
        type(array) is np.ndarray
        and array.dtype is dtype
        and array.shape == shape
        and array.flags.carray
    )


def fill(
    table: np.ndarray,
    column: int,
    rule: Rule,
    config: Config,
    factors: Sequence[float] | None,
    powers: dict[Any, list[float]],
) -> None:
    """Write the columns of a parameter for all steps, of which each has a factor on the learning rate.

    powers: corrections that other parameters have, too.
    """
    rate, decay = config["learning_rate"], config.get("weight_decay", 0.0)
    own = table[:, column : column + COLUMNS]
    own[:] = [rate, *_shares(rule, config), 1.0, 1.0, 1.0 - rate * decay, config.get("l2", 0.0)]
    if factors is not None:
        rates = [rate * factor for factor in factors]
        own[:, _RATE] = rates
        own[:, _KEPT] = [1.0 - rate * decay for rate in rates]
    if rule.counts:
        first = config["t"] + 1
        for i, beta in enumerate((config["beta1"], config["beta2"])):
            key = beta, first
            if (
                key not in powers
            ):  # Python's own power, which is the one that a step without a plan takes
                powers[key] = [1.0 - beta**t for t in range(first, first + len(table))]
            own[:, _CORRECTION1 + i] = powers[key]


def _shares(rule: Rule, config: Config) -> tuple[float, float, float]:
    """Return decay1, decay2 and epsilon."""
    epsilon = config.get("epsilon", 0.0)
    if rule.counts:
        return config["beta1"], config["beta2"], epsilon
    if "decay_rate" in rule.settings:
        decay = config["decay_rate"]
        return decay, 1.0 - decay, epsilon
    return config.get("momentum", 0.0), 0.0, epsilon
