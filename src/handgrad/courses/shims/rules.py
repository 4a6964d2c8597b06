"""The update rules that some generations write differently from `handgrad.optim`.

The state lies in the dictionary that was passed, under the generation's own keys: notebooks read it
from there.  Nothing here computes; each function renames, and calls the library's rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from handgrad import optim
from handgrad.courses.shims.dropping import lenient
from handgrad.engines.arrays import Array

Config = dict[str, Any]
Result = tuple[Array, Config]


def _like(
    rule: optim.Rule, theirs: Mapping[str, str] = MappingProxyType({})
) -> Callable[[optim.Rule], optim.Rule]:
    """Make a function a rule with the settings and the state of `rule`, but for the keys in `theirs`."""

    def made(function: optim.Rule) -> optim.Rule:
        ours = vars(rule)
        state = tuple(theirs.get(key, key) for key in ours["state"])
        vars(function).update(settings=ours["settings"], state=state)
        return lenient(function)

    return made


@_like(optim.rmsprop)
def rmsprop(x: Array, dx: Array, config: Config | None = None) -> Result:
    """`handgrad.optim.rmsprop`, with the argument names of 2016, 2017 and skynet."""
    return optim.rmsprop(x, dx, config)


@_like(optim.adam)
def adam(x: Array, dx: Array, config: Config | None = None) -> Result:
    """`handgrad.optim.adam`, with the argument names of 2016 and skynet."""
    return optim.adam(x, dx, config)


@_like(optim.adam)
def adam_from_one(x: Array, dx: Array, config: Config | None = None) -> Result:
    """`handgrad.optim.adam` of 2017, whose count t starts at 1: the first step has t = 2."""
    config = {} if config is None else config
    config.setdefault("t", 1)
    return optim.adam(x, dx, config)


@_like(optim.rmsprop, {"cache": "a"})
def nndl_rmsprop(w: Array, dw: Array, config: Config | None = None) -> Result:
    """`handgrad.optim.rmsprop` with the state ``a`` (the average of dw**2) in place of cache."""
    return _renamed(optim.rmsprop, w, dw, config, {"cache": "a"})


@_like(optim.adam, {"m": "v", "v": "a"})
def nndl_adam(w: Array, dw: Array, config: Config | None = None) -> Result:
    """`handgrad.optim.adam` with the state ``v`` (average of dw) and ``a`` (average of dw**2)."""
    return _renamed(optim.adam, w, dw, config, {"m": "v", "v": "a"})


def _renamed(
    rule: optim.Rule, w: Array, dw: Array, config: Config | None, theirs: dict[str, str]
) -> Result:
    """Call `rule` with the state under the library's keys; `theirs` maps these to the course's."""
    config = {} if config is None else config
    ours = {key: value for key, value in config.items() if key not in theirs.values()}
    for key in theirs:
        ours.pop(key, None)
    ours |= {key: config[their] for key, their in theirs.items() if their in config}
    next_w, ours = rule(w, dw, ours)
    config.update({theirs.get(key, key): value for key, value in ours.items()})
    return next_w, config
