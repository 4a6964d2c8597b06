"""Update rules: how a parameter follows its gradient.

Every rule is ``rule(w, dw, config=None) -> (next_w, config)``.  `config` holds the settings and the
state of one parameter: missing settings are filled in with their defaults, the state is replaced
by the new one, both in the dictionary that was passed, and the same dictionary is returned.  None
makes a fresh one.  Keys that a rule does not know are left alone.

Except for `sgd`, which changes w in place, no array that came in is written to.  The result's dtype
follows the promotion of w, dw and the state: float32 stays float32 (settings count as Python
floats), and a float64 gradient makes the weights float64.  The arrays may be of any array library.

With g = dw, the learning rate a, and all operations elementwise:

=========================  =======================================================================
``sgd``                    w <- w - a g
``sgd_momentum``           v <- mu v - a g;  w <- w + v
``sgd_nesterov_momentum``  v' = mu v - a g;  w <- w + v' + mu (v' - v);  v <- v'
``adagrad``                s <- s + g^2;  w <- w - a g / (sqrt(s) + eps)
``rmsprop``                s <- r s + (1 - r) g^2;  w <- w - a g / (sqrt(s) + eps)
``adadelta``               s <- r s + (1 - r) g^2;  d = g sqrt(u + eps) / sqrt(s + eps);
                           u <- r u + (1 - r) d^2;  w <- w - a d
``adam``                   t <- t + 1;  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
                           w <- w - a (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
``adamw``                  as adam, from w - a c w in place of w
=========================  =======================================================================

Every rule knows two decays of the weights, `DECAYS`, off unless config has them:

=========================  =======================================================================
``l2``                     g = dw + l2 w in place of dw: the gradient of l2/2 sum(w^2), seen by all
                           that the rule does with a gradient
``weight_decay``           w <- w - a c w beside the step, c the decay, w the weights before it:
                           decoupled from the gradient (adamw's is 1e-2 unless config has it)
=========================  =======================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from types import ModuleType
from typing import Any

import numpy as np

from handgrad import engines
from handgrad.engines.arrays import Array, namespace
from handgrad.errors import (
    DtypeError,
    OptionError,
    ShapeError,
    as_count,
    as_number,
    check_dictionary,
    check_shape,
    is_one_of,
    shape_of,
)

Config = dict[str, Any]
Rule = Callable[..., tuple[Array, Config]]

_COMPILED_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def sgd(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """Stochastic gradient descent, **in place**: ``w -= learning_rate * dw``; returns the same w.

    config: learning_rate 1e-2.
    Source: CS231n assignment 2, ``sgd``; Robbins and Monro (1951).
    """
    config = _checked("sgd", w, dw, config)
    learning_rate = _learning_rate("sgd", config, 1e-2)
    dw, kept = _decayed("sgd", w, dw, config, learning_rate)
    if kept != 1.0:
        w *= kept
    compiled = _compiled(w, dw)
    if compiled and w.flags.carray:
        compiled.sgd(w, dw, learning_rate)
    else:
        w -= learning_rate * dw
    return w, config


def sgd_momentum(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """Descent with momentum: ``v = momentum * v - learning_rate * dw``, ``next_w = w + v``.

    The velocity holds the learning rate.  Where the rate changes this differs from rules that keep
    it out of the velocity (PyTorch's); for a constant rate both are the same.

    config: learning_rate 1e-2, momentum 0.9; state: velocity (zeros).
    Source: CS231n assignment 2, ``sgd_momentum``; Polyak (1964).
    """
    w, dw, learning_rate, config = _started("sgd_momentum", w, dw, config, 1e-2)
    momentum, old = _velocity("sgd_momentum", w, config)
    compiled = _compiled(w, dw, old)
    if compiled:
        next_w, v = compiled.sgd_momentum(w, dw, old, learning_rate, momentum)
    else:
        v = momentum * old - learning_rate * dw
        next_w = w + v
    config["velocity"] = v
    return next_w, config


def sgd_nesterov_momentum(
    w: Array, dw: Array, config: Config | None = None
) -> tuple[Array, Config]:
    """Nesterov momentum: ``next_w = w + v' + momentum * (v' - v)``, v' the new velocity.

    The parameters are the ones at the point that Nesterov's method looks ahead to, so that the
    gradient is taken at w itself.

    config: learning_rate 1e-2, momentum 0.9; state: velocity (zeros).
    Source: ECE C147 (UCLA) assignment 4, ``sgd_nesterov_momentum``; Sutskever et al. (2013).
    """
    w, dw, learning_rate, config = _started("sgd_nesterov_momentum", w, dw, config, 1e-2)
    momentum, old = _velocity("sgd_nesterov_momentum", w, config)
    compiled = _compiled(w, dw, old)
    if compiled:
        next_w, v = compiled.sgd_nesterov_momentum(w, dw, old, learning_rate, momentum)
    else:
        v = momentum * old - learning_rate * dw
        next_w = w + v + momentum * (v - old)
    config["velocity"] = v
    return next_w, config


def adagrad(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """AdaGrad: ``cache += dw**2``, ``next_w = w - learning_rate * dw / (sqrt(cache) + epsilon)``.

    config: learning_rate 1e-2, epsilon 1e-8; state: cache (zeros).
    Source: Duchi, Hazan and Singer (2011).
    """
    w, dw, learning_rate, config = _started("adagrad", w, dw, config, 1e-2)
    epsilon = _setting("adagrad", config, "epsilon", 1e-8)
    cache = _state("adagrad", config, "cache", w)
    compiled = _compiled(w, dw, cache)
    if compiled:
        next_w, cache = compiled.adagrad(w, dw, cache, learning_rate, epsilon)
    else:
        cache = cache + dw * dw
        next_w = w - learning_rate * dw / (namespace(w).sqrt(cache) + epsilon)
    config["cache"] = cache
    return next_w, config


def rmsprop(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """RMSProp: ``next_w = w - learning_rate * dw / (sqrt(cache) + epsilon)``.

    The cache averages dw**2: ``cache = decay_rate * cache + (1 - decay_rate) * dw**2``; epsilon is
    outside of the root.

    config: learning_rate 1e-2, decay_rate 0.99, epsilon 1e-8; state: cache (zeros).
    Source: CS231n assignment 2, ``rmsprop``; Tieleman and Hinton (2012).
    """
    w, dw, learning_rate, config = _started("rmsprop", w, dw, config, 1e-2)
    decay_rate = _setting("rmsprop", config, "decay_rate", 0.99, high=1.0)
    epsilon = _setting("rmsprop", config, "epsilon", 1e-8)
    cache = _state("rmsprop", config, "cache", w)
    compiled = _compiled(w, dw, cache)
    if compiled:
        next_w, cache = compiled.rmsprop(w, dw, cache, learning_rate, decay_rate, epsilon)
    else:
        cache = _average(decay_rate, cache, dw * dw)
        next_w = w - learning_rate * dw / (namespace(w).sqrt(cache) + epsilon)
    config["cache"] = cache
    return next_w, config


def adadelta(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """AdaDelta: ``step = dw * sqrt(updates + epsilon) / sqrt(cache + epsilon)``.

    ``next_w = w - learning_rate * step``; cache averages dw**2, updates averages step**2, so that a
    step has the units of the parameter; epsilon is inside of both roots.

    config: learning_rate 1.0, decay_rate 0.95, epsilon 1e-6; state: cache, updates (zeros).
    Source: Zeiler (2012), arXiv:1212.5701.
    """
    w, dw, learning_rate, config = _started("adadelta", w, dw, config, 1.0)
    decay_rate = _setting("adadelta", config, "decay_rate", 0.95, high=1.0)
    epsilon = _setting("adadelta", config, "epsilon", 1e-6)
    sqrt = namespace(w).sqrt
    cache = _average(decay_rate, _state("adadelta", config, "cache", w), dw * dw)
    updates = _state("adadelta", config, "updates", w)
    step = dw * (sqrt(updates + epsilon) / sqrt(cache + epsilon))
    config["cache"] = cache
    config["updates"] = _average(decay_rate, updates, step * step)
    return w - learning_rate * step, config


def adam(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """Adam: RMSProp on a momentum, both corrected for their start at zero (t counts from 1).

    ``next_w = w - learning_rate * mt / (sqrt(vt) + epsilon)`` with ``mt = m / (1 - beta1**t)`` and
    ``vt = v / (1 - beta2**t)``; m averages dw, v averages dw**2.

    config: learning_rate 1e-3, beta1 0.9, beta2 0.999, epsilon 1e-8; state: m, v (zeros), t 0.
    Source: CS231n assignment 2, ``adam``; Kingma and Ba (2015), arXiv:1412.6980.
    """
    return _adam("adam", w, dw, config)


def adamw(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """Adam with decoupled weight decay: ``next_w = w - learning_rate * weight_decay * w - step``.

    The decay is not part of the gradient, so it is not divided by its running size.

    config: as `adam`, and weight_decay 1e-2.
    Source: Loshchilov and Hutter (2019), arXiv:1711.05101.
    """
    config = _checked("adamw", w, dw, config)
    config.setdefault("weight_decay", 1e-2)
    return _adam("adamw", w, dw, config)


DECAYS = ("l2", "weight_decay")

RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        sgd,
        sgd_momentum,
        sgd_nesterov_momentum,
        adagrad,
        rmsprop,
        adadelta,
        adam,
        adamw,
    )
}


def get_rule(name: str) -> Rule:
    """Return the rule called `name`; OptionError lists the known ones.

    >>> get_rule("sgd") is sgd
    True
    """
    if not is_one_of(name, RULES):
        raise OptionError(f'Invalid update_rule "{name}"; known are {", ".join(RULES)}')
    return RULES[name]


def settings_of(name: str) -> dict[str, float]:
    """Return the settings of the rule called `name`, without state and `DECAYS`, and their defaults.

    >>> settings_of("sgd_momentum")
    {'learning_rate': 0.01, 'momentum': 0.9}
    """
    _, config = get_rule(name)(np.zeros(1), np.zeros(1), {})
    return {key: value for key, value in config.items() if isinstance(value, float)}


def _started(
    rule: str, w: Array, dw: Array, config: Config | None, rate: float
) -> tuple[Array, Array, float, Config]:
    """Return w and dw, checked and decayed, the learning rate (default `rate`), and the config."""
    config = _checked(rule, w, dw, config)
    learning_rate = _learning_rate(rule, config, rate)
    dw, kept = _decayed(rule, w, dw, config, learning_rate)
    return w if kept == 1.0 else kept * w, dw, learning_rate, config


def _decayed(
    rule: str, w: Array, dw: Array, config: Config, learning_rate: float
) -> tuple[Array, float]:
    """Return dw with the gradient of ``l2``, and the share of w that ``weight_decay`` keeps."""
    if config.keys().isdisjoint(DECAYS):
        return dw, 1.0
    l2, decay = (as_number(rule, key, config.get(key, 0.0), 0.0) for key in DECAYS)
    return dw + l2 * w if l2 else dw, 1.0 - learning_rate * decay


def _velocity(rule: str, w: Array, config: Config) -> tuple[float, Array]:
    """Return the momentum and the velocity so far."""
    return _setting(rule, config, "momentum", 0.9, high=1.0), _state(rule, config, "velocity", w)


def _adam(rule: str, w: Array, dw: Array, config: Config | None) -> tuple[Array, Config]:
    config = _checked(rule, w, dw, config)
    learning_rate = _learning_rate(rule, config, 1e-3)
    dw, kept = _decayed(rule, w, dw, config, learning_rate)
    beta1 = _setting(rule, config, "beta1", 0.9, high=1.0)
    beta2 = _setting(rule, config, "beta2", 0.999, high=1.0)
    epsilon = _setting(rule, config, "epsilon", 1e-8)
    t = as_count(rule, "t", config.get("t", 0), minimum=0) + 1
    m, v = _state(rule, config, "m", w), _state(rule, config, "v", w)
    compiled = _compiled(w, dw, m, v)
    if compiled:
        next_w, m, v = compiled.adam(w, dw, m, v, t, learning_rate, beta1, beta2, epsilon, kept)
    else:
        m = _average(beta1, m, dw)
        v = _average(beta2, v, dw * dw)
        mt = m / (1.0 - beta1**t)
        vt = v / (1.0 - beta2**t)
        next_w = kept * w - learning_rate * mt / (namespace(w).sqrt(vt) + epsilon)
    config["t"], config["m"], config["v"] = t, m, v
    return next_w, config


def _compiled(w: Array, *others: Array) -> ModuleType | None:
    """Return the chosen engine's own update rules, where it has them for these arrays of one dtype."""
    if type(w) is not np.ndarray or w.dtype not in _COMPILED_DTYPES:
        return None
    for array in others:
        if type(array) is not np.ndarray or array.dtype != w.dtype:
            return None
    if engines.current() not in ("auto", "native"):
        return None
    return getattr(engines.select(None, w)[1], "updates", None)


def _average(decay: float, old: Array, new: Array) -> Array:
    """Return the exponentially weighted average, ``decay * old + (1 - decay) * new``."""
    return decay * old + (1.0 - decay) * new


def _checked(rule: str, w: Array, dw: Array, config: Config | None) -> Config:
    """Check that w and dw are real arrays of one shape; return the config, {} for None."""
    if _is_like(dw, w) and type(config) is dict:
        return config
    shape = shape_of(rule, "w", w)
    if shape_of(rule, "dw", dw) != shape:
        raise ShapeError(f"{rule}: dw must have the shape of w {shape}, got {tuple(dw.shape)}")
    _check_real(rule, "w", w, w, "real floating")
    _check_real(rule, "dw", dw, w, "real floating", "integral")
    if config is None:
        return {}
    check_dictionary(rule, "config", config)
    return config


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
            f"{rule}: {name} must be an array of floating-point numbers, got {array.dtype}; "
            f"convert it with {name}.astype(np.float32)"
        )


def _learning_rate(rule: str, config: Config, default: float) -> float:
    return _setting(rule, config, "learning_rate", default)


def _setting(rule: str, config: Config, key: str, default: float, high: float = inf) -> float:
    """Return ``config[key]``, set to `default` if missing, as a finite float in [0, high].

    With a finite `high` the setting is the share that an average keeps, and must stay below it.
    """
    return as_number(rule, key, config.setdefault(key, default), 0.0, high, open_high=True)


def _state(rule: str, config: Config, key: str, w: Array) -> Array:
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
