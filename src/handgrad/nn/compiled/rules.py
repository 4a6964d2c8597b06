"""Update rules as operations of a plan, and the numbers that they read in each step.

A row of the table holds for each parameter

    rate   decay1   decay2   epsilon   correction1   correction2   kept   l2

where kept is the share of the weights that `weight_decay` leaves; the rules' formulas are those of
`handgrad.optim.rules`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from math import inf
from typing import Any, NamedTuple

import numpy as np

from handgrad.nn.compiled.memory import Memory, NotCovered
from handgrad.optim.settings import DECAYS

Config = Mapping[str, Any]


class Rule(NamedTuple):
    """What a plan must know of a rule.

    Attributes:
        op: its operation.
        states: the arrays that it keeps.
        settings: what its config has beside learning_rate, each a share below 1 or, of epsilon, a
            positive number.
        counts: whether it counts steps in "t".
    """

    op: str
    states: tuple[str, ...]
    settings: tuple[str, ...]
    counts: bool = False

    @property
    def bounds(self) -> tuple[tuple[str, float], ...]:
        """The settings, and what each must stay below."""
        return _bounds(self.settings)


@cache
def _bounds(settings: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    return tuple(
        (key, inf if key in ("learning_rate", "epsilon") else 1.0)
        for key in ("learning_rate", *settings)
    )


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


def check(rule: Rule, config: Config, w: np.ndarray, l2: bool) -> None:
    """Raise NotCovered unless `config` holds settings and state as a step of the rule leaves them.

    l2: whether the plan has a place for an l2 that is not zero.
    """
    for key, most in rule.bounds:
        value = config.get(key)
        if type(value) is not float or not 0.0 <= value < most:
            raise NotCovered(f"{key} = {value!r}")
    for key in DECAYS:
        if key in config:
            value = config[key]
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


def is_readable(array: Any, shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether a plan can read `array` where it lies."""
    return (
        type(array) is np.ndarray
        and array.dtype is dtype
        and array.shape == shape
        and array.flags.c_contiguous
        and array.flags.aligned
    )


def fits(array: Any, shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether a plan can read and replace `array` where it lies."""
    return is_readable(array, shape, dtype) and bool(array.flags.writeable)


def row(rule: Rule, config: Config, factor: float = 1.0) -> list[float]:
    """Return the columns of a parameter in the next step, with a factor on the learning rate."""
    rate = config["learning_rate"] * factor
    kept = 1.0 - rate * config.get("weight_decay", 0.0)
    corrections = corrections_of(rule, config, 1)[0]
    return [rate, *_shares(rule, config), *corrections, kept, config.get("l2", 0.0)]


def corrections_of(rule: Rule, config: Config, count: int) -> list[tuple[float, float]]:
    """Return what adam divides its averages by in the next `count` steps."""
    if not rule.counts:
        return [(1.0, 1.0)] * count
    # Python's own power, which is the one that a step without a plan takes
    first, beta1, beta2 = config["t"] + 1, config["beta1"], config["beta2"]
    return [(1.0 - beta1**t, 1.0 - beta2**t) for t in range(first, first + count)]


def fill(
    table: np.ndarray, rule: Rule, configs: Sequence[Config], factors: Sequence[float] | None
) -> None:
    """Write the columns of all parameters for all steps, of which each has a factor on the learning rate."""
    rows = [number for config in configs for number in row(rule, config)]
    table[:, : len(rows)] = rows
    if factors is not None:
        for step, factor in enumerate(factors):
            for place, config in enumerate(configs):
                found = row(rule, config, factor)
                at = place * COLUMNS
                table[step, at + _RATE], table[step, at + _KEPT] = found[_RATE], found[_KEPT]
    if rule.counts and len(table) > 1:
        known: dict[tuple[float, ...], list[tuple[float, float]]] = {}
        for place, config in enumerate(configs):
            key = config["t"], config["beta1"], config["beta2"]
            if key not in known:
                known[key] = corrections_of(rule, config, len(table))
            at = place * COLUMNS + _CORRECTION1
            table[:, at : at + 2] = known[key]


def _shares(rule: Rule, config: Config) -> tuple[float, float, float]:
    """Return decay1, decay2 and epsilon."""
    epsilon = config.get("epsilon", 0.0)
    if rule.counts:
        return config["beta1"], config["beta2"], epsilon
    if "decay_rate" in rule.settings:
        decay = config["decay_rate"]
        return decay, 1.0 - decay, epsilon
    return config.get("momentum", 0.0), 0.0, epsilon
