"""What all update rules share: checks, settings with their defaults, and the state of a parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import inf
from typing import Any

import numpy as np

from handgrad.engines.arrays import Array, namespace
from handgrad.engines.weights import compiled_rules
from handgrad.errors import (
    DtypeError,
    OptionError,
    ShapeError,
    as_number,
    check_keys,
    check_shape,
    shape_of,
    shown,
)

Config = dict[str, Any]
Rule = Callable[..., tuple[Array, Config]]

DECAYS = ("l2", "weight_decay")

_KEYS: dict[str, frozenset[str]] = {}  # of the rules of the library, by name


def takes(*settings: str, state: Sequence[str] = ()) -> Callable[[Rule], Rule]:
    """Say which settings a rule of the library knows, all `DECAYS` among them, and what its state is.

    They become its attributes ``settings`` and ``state``, which a rule of one's own may have, too.
    """

    def named(rule: Rule) -> Rule:
        known = (*settings, *DECAYS)
        vars(rule).update(settings=known, state=tuple(state))
        _KEYS[rule.__name__] = frozenset((*known, *state))
        return rule

    return named


def keys_of(rule: Rule) -> frozenset[str] | None:
    """Return the keys that a config of `rule` may have; None for a rule that does not say its settings.

    A rule of one's own says them in its attribute ``settings``, and keys that it keeps from step to step
    in ``state``, where a config may begin with such::

        def slow_sgd(w, dw, config):
            return w - config["learning_rate"] / config["slowness"] * dw, config

        slow_sgd.settings = ("learning_rate", "slowness")

    What `functools.partial` or `functools.wraps` makes of a rule has those of the rule.

    >>> from handgrad.optim import sgd_momentum
    >>> sorted(keys_of(sgd_momentum))
    ['l2', 'learning_rate', 'momentum', 'velocity', 'weight_decay']
    """
    while isinstance(rule, partial):
        rule = rule.func
    settings = getattr(rule, "settings", None)
    if settings is None:
        return None
    name = getattr(rule, "__name__", type(rule).__name__)
    names: list[str] = []
    for what, given in (("settings", settings), ("state", getattr(rule, "state", ()))):
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise OptionError(
                f"update rule {name}: its attribute {what} must be a list of names, got {shown(given)}"
            )
        names += given
    return frozenset(names)


def started(
    rule: str, w: Array, dw: Array, config: Config | None, rate: float
) -> tuple[Array, Array, float, Config]:
    """Return w and dw, checked and decayed, the learning rate (default `rate`), and the config."""
    config = checked(rule, w, dw, config)
    learning_rate = rate_of(rule, config, rate)
    dw, kept = decayed(rule, w, dw, config, learning_rate)
    return w if kept == 1.0 else kept * w, dw, learning_rate, config


def decayed(
    rule: str, w: Array, dw: Array, config: Config, learning_rate: float
) -> tuple[Array, float]:
    """Return dw with the gradient of ``l2``, and the share of w that ``weight_decay`` keeps."""
    if config.keys().isdisjoint(DECAYS):
        return dw, 1.0
    l2, decay = (as_number(rule, key, config.get(key, 0.0), 0.0) for key in DECAYS)
    return dw + l2 * w if l2 else dw, 1.0 - learning_rate * decay


def velocity_of(rule: str, w: Array, config: Config, default: float = 0.9) -> tuple[float, Array]:
    """Return the momentum (missing, it is `default`) and the velocity so far."""
    momentum = setting_of(rule, config, "momentum", default, high=1.0)
    return momentum, state_of(rule, config, "velocity", w)


def nesterov(
    w: Array, dw: Array, old: Array, learning_rate: float, momentum: float
) -> tuple[Array, Array]:
    """Return the next w and velocity of Nesterov's method, `old` the velocity before."""
    compiled = compiled_rules(w, dw, old)
    if compiled:
        pair: tuple[Array, Array] = compiled.sgd_nesterov_momentum(
            w, dw, old, learning_rate, momentum
        )
        return pair
    v = momentum * old - learning_rate * dw
    return w + v + momentum * (v - old), v


def averaged(decay: float, old: Array, new: Array) -> Array:
    """Return the exponentially weighted average, ``decay * old + (1 - decay) * new``."""
    return decay * old + (1.0 - decay) * new


def checked(rule: str, w: Array, dw: Array, config: Config | None) -> Config:
    """Check that w and dw are real arrays of one shape, and the config's keys; return it, {} for None."""
    if type(config) is dict:
        if not config.keys() <= _KEYS[rule]:
            check_keys(rule, "config", config, _KEYS[rule])
        if _is_like(dw, w):
            return config
    elif config is not None:
        check_keys(rule, "config", config, _KEYS[rule])
    shape = shape_of(rule, "w", w)
    if shape_of(rule, "dw", dw) != shape:
        raise ShapeError(f"{rule}: dw must have the shape of w {shape}, got {tuple(dw.shape)}")
    _check_real(rule, "w", w, w, "real floating")
    _check_real(rule, "dw", dw, w, "real floating", "integral")
    return {} if config is None else config


def _is_like(array: Array, w: Array) -> bool:
    """Whether both are NumPy's, real, and of one dtype and shape: what the checks quickly let pass."""
    return (
        type(array) is np.ndarray is type(w)
        and array.dtype is w.dtype
        and w.dtype.kind == "f"
        and array.shape == w.shape
    )


def _check_real(rule: str, name: str, array: Array, w: Array, *kinds: str) -> None:
    """Raise DtypeError unless `array` is of w's array library and of one of the `kinds` of dtypes."""
    if type(array) is np.ndarray is type(w) and array.dtype.kind == "f":
        return  # the quick way to the same answer
    try:
        is_right = namespace(array, w).isdtype(array.dtype, kinds)
    except TypeError:
        raise DtypeError(
            f"{rule}: {name} must be of the array library of w, {type(w).__name__}, "
            f"got {type(array).__name__}"
        ) from None
    if not is_right:
        raise DtypeError(
            f"{rule}: {name} must be an array of floating-point numbers, got {array.dtype}"
            + _how_to_convert(name, array)
        )


def _how_to_convert(name: str, array: Array) -> str:
    if not isinstance(array, np.ndarray):
        return ""
    if array.dtype.kind == "c":
        return f"; if all imaginary parts are 0, take {name}.real"
    return f"; convert it with {name}.astype(np.float32)" if array.dtype.kind in "iub" else ""


def rate_of(rule: str, config: Config, default: float) -> float:
    """Return the learning rate; see `setting_of`."""
    value = config.get("learning_rate")
    if type(value) is float and 0.0 <= value < inf:
        return value
    return setting_of(rule, config, "learning_rate", default)


def setting_of(rule: str, config: Config, key: str, default: float, high: float = inf) -> float:
    """Return ``config[key]``, set to `default` if missing, as a finite float in [0, high].

    With a finite `high` the setting is the share that an average keeps, and must stay below it.
    """
    value = config.setdefault(key, default)
    if type(value) is float and 0.0 <= value < high:
        return value  # the quick way to the same answer
    return as_number(rule, key, value, 0.0, high, open_high=True)


def state_of(rule: str, config: Config, key: str, w: Array) -> Array:
    """Return ``config[key]``, zeros if missing; refuse one of another parameter's shape."""
    state = config.get(key)
    if state is None:
        return namespace(w).zeros_like(w)
    if _is_like(state, w):
        return state
    name = f'config["{key}"]'
    check_shape(rule, name, state, tuple(w.shape), "the shape of w")
    _check_real(rule, name, state, w, "real floating")
    return state
