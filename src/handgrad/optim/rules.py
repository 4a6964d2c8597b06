"""Update rules: how a parameter follows its gradient.

Every rule is ``rule(w, dw, config=None) -> (next_w, config)``.  `config` holds the settings and the
state of one parameter: missing settings are filled in with their defaults, the state is replaced
by the new one, both in the dictionary that was passed, and the same dictionary is returned.  None
makes a fresh one.  A key that a rule does not know is refused.

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
``muon``                   v <- mu v + g;  w <- w - a O(g + mu v), with O(m) the orthogonal matrix
                           nearest to m (`handgrad.optim.muon`); vectors as sgd_nesterov_momentum
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

import numpy as np

from handgrad.engines.arrays import Array, namespace
from handgrad.engines.weights import compiled_rules
from handgrad.errors import OptionError, as_count, is_one_of
from handgrad.optim.muon import muon
from handgrad.optim.settings import (
    Config,
    Rule,
    averaged,
    checked,
    decayed,
    nesterov,
    rate_of,
    setting_of,
    started,
    state_of,
    takes,
    velocity_of,
)


@takes("learning_rate")
def sgd(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """Stochastic gradient descent, **in place**: ``w -= learning_rate * dw``; returns the same w.

    An array that is read-only stays as it is, and the next w is a new one.

    config: learning_rate 1e-2.
    Source: CS231n assignment 2, ``sgd``; Robbins and Monro (1951).

    >>> import numpy as np
    >>> w, dw = np.array([1.0, 2.0]), np.array([0.5, -0.5])
    >>> next_w, config = sgd(w, dw, {'learning_rate': 0.1})
    >>> next_w.round(4)
    array([0.95, 2.05])
    """
    config = checked("sgd", w, dw, config)
    learning_rate = rate_of("sgd", config, 1e-2)
    if isinstance(w, np.ndarray) and not w.flags.writeable:
        w = w.copy()
    dw, kept = decayed("sgd", w, dw, config, learning_rate)
    if kept != 1.0:
        w *= kept
    compiled = compiled_rules(w, dw)
    if compiled and w.flags.carray:
        compiled.sgd(w, dw, learning_rate)
    else:
        w -= learning_rate * dw
    return w, config


@takes("learning_rate", "momentum", state=("velocity",))
def sgd_momentum(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """Descent with momentum: ``v = momentum * v - learning_rate * dw``, ``next_w = w + v``.

    The velocity holds the learning rate.  Where the rate changes this differs from rules that keep
    it out of the velocity (PyTorch's); for a constant rate both are the same.

    config: learning_rate 1e-2, momentum 0.9; state: velocity (zeros).
    Source: CS231n assignment 2, ``sgd_momentum``; Polyak (1964).

    >>> import numpy as np
    >>> w, dw = np.array([1.0, 2.0]), np.array([0.5, -0.5])
    >>> next_w, config = sgd_momentum(w, dw, {'learning_rate': 0.1})
    >>> next_w.round(4)
    array([0.95, 2.05])
    """
    w, dw, learning_rate, config = started("sgd_momentum", w, dw, config, 1e-2)
    momentum, old = velocity_of("sgd_momentum", w, config)
    compiled = compiled_rules(w, dw, old)
    if compiled:
        next_w, v = compiled.sgd_momentum(w, dw, old, learning_rate, momentum)
    else:
        v = momentum * old - learning_rate * dw
        next_w = w + v
    config["velocity"] = v
    return next_w, config


@takes("learning_rate", "momentum", state=("velocity",))
def sgd_nesterov_momentum(
    w: Array, dw: Array, config: Config | None = None
) -> tuple[Array, Config]:
    """Nesterov momentum: ``next_w = w + v' + momentum * (v' - v)``, v' the new velocity.

    The parameters are the ones at the point that Nesterov's method looks ahead to, so that the
    gradient is taken at w itself.

    config: learning_rate 1e-2, momentum 0.9; state: velocity (zeros).
    Source: ECE C147 (UCLA) assignment 4, ``sgd_nesterov_momentum``; Sutskever et al. (2013).

    >>> import numpy as np
    >>> w, dw = np.array([1.0, 2.0]), np.array([0.5, -0.5])
    >>> next_w, config = sgd_nesterov_momentum(w, dw, {'learning_rate': 0.1})
    >>> next_w.round(4)
    array([0.905, 2.095])
    """
    w, dw, learning_rate, config = started("sgd_nesterov_momentum", w, dw, config, 1e-2)
    momentum, old = velocity_of("sgd_nesterov_momentum", w, config)
    next_w, v = nesterov(w, dw, old, learning_rate, momentum)
    config["velocity"] = v
    return next_w, config


@takes("learning_rate", "epsilon", state=("cache",))
def adagrad(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """AdaGrad: ``cache += dw**2``, ``next_w = w - learning_rate * dw / (sqrt(cache) + epsilon)``.

    config: learning_rate 1e-2, epsilon 1e-8; state: cache (zeros).
    Source: Duchi, Hazan and Singer (2011).

    >>> import numpy as np
    >>> w, dw = np.array([1.0, 2.0]), np.array([0.5, -0.5])
    >>> next_w, config = adagrad(w, dw, {'learning_rate': 0.1})
    >>> next_w.round(4)
    array([0.9, 2.1])
    """
    w, dw, learning_rate, config = started("adagrad", w, dw, config, 1e-2)
    epsilon = setting_of("adagrad", config, "epsilon", 1e-8)
    cache = state_of("adagrad", config, "cache", w)
    compiled = compiled_rules(w, dw, cache)
    if compiled:
        next_w, cache = compiled.adagrad(w, dw, cache, learning_rate, epsilon)
    else:
        cache = cache + dw * dw
        next_w = w - learning_rate * dw / (namespace(w).sqrt(cache) + epsilon)
    config["cache"] = cache
    return next_w, config


@takes("learning_rate", "decay_rate", "epsilon", state=("cache",))
def rmsprop(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """RMSProp: ``next_w = w - learning_rate * dw / (sqrt(cache) + epsilon)``.

    The cache averages dw**2: ``cache = decay_rate * cache + (1 - decay_rate) * dw**2``; epsilon is
    outside of the root.

    config: learning_rate 1e-2, decay_rate 0.99, epsilon 1e-8; state: cache (zeros).
    Source: CS231n assignment 2, ``rmsprop``; Tieleman and Hinton (2012).

    >>> import numpy as np
    >>> w, dw = np.array([1.0, 2.0]), np.array([0.5, -0.5])
    >>> next_w, config = rmsprop(w, dw, {'learning_rate': 0.1})
    >>> next_w.round(4)
    array([0., 3.])
    """
    w, dw, learning_rate, config = started("rmsprop", w, dw, config, 1e-2)
    decay_rate = setting_of("rmsprop", config, "decay_rate", 0.99, high=1.0)
    epsilon = setting_of("rmsprop", config, "epsilon", 1e-8)
    cache = state_of("rmsprop", config, "cache", w)
    compiled = compiled_rules(w, dw, cache)
    if compiled:
        next_w, cache = compiled.rmsprop(w, dw, cache, learning_rate, decay_rate, epsilon)
    else:
        cache = averaged(decay_rate, cache, dw * dw)
        next_w = w - learning_rate * dw / (namespace(w).sqrt(cache) + epsilon)
    config["cache"] = cache
    return next_w, config


@takes("learning_rate", "decay_rate", "epsilon", state=("cache", "updates"))
def adadelta(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """AdaDelta: ``step = dw * sqrt(updates + epsilon) / sqrt(cache + epsilon)``.

    ``next_w = w - learning_rate * step``; cache averages dw**2, updates averages step**2, so that a
    step has the units of the parameter; epsilon is inside of both roots.

    config: learning_rate 1.0, decay_rate 0.95, epsilon 1e-6; state: cache, updates (zeros).
    Source: Zeiler (2012), arXiv:1212.5701.

    >>> import numpy as np
    >>> w, dw = np.array([1.0, 2.0]), np.array([0.5, -0.5])
    >>> next_w, config = adadelta(w, dw, {'learning_rate': 0.1})
    >>> next_w.round(4)
    array([0.9996, 2.0004])
    """
    w, dw, learning_rate, config = started("adadelta", w, dw, config, 1.0)
    decay_rate = setting_of("adadelta", config, "decay_rate", 0.95, high=1.0)
    epsilon = setting_of("adadelta", config, "epsilon", 1e-6)
    sqrt = namespace(w).sqrt
    cache = averaged(decay_rate, state_of("adadelta", config, "cache", w), dw * dw)
    updates = state_of("adadelta", config, "updates", w)
    step = dw * (sqrt(updates + epsilon) / sqrt(cache + epsilon))
    config["cache"] = cache
    config["updates"] = averaged(decay_rate, updates, step * step)
    return w - learning_rate * step, config


@takes("learning_rate", "beta1", "beta2", "epsilon", state=("m", "v", "t"))
def adam(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """Adam: RMSProp on a momentum, both corrected for their start at zero (t counts from 1).

    ``next_w = w - learning_rate * mt / (sqrt(vt) + epsilon)`` with ``mt = m / (1 - beta1**t)`` and
    ``vt = v / (1 - beta2**t)``; m averages dw, v averages dw**2.

    config: learning_rate 1e-3, beta1 0.9, beta2 0.999, epsilon 1e-8; state: m, v (zeros), t 0.
    Source: CS231n assignment 2, ``adam``; Kingma and Ba (2015), arXiv:1412.6980.

    >>> import numpy as np
    >>> w, dw = np.array([1.0, 2.0]), np.array([0.5, -0.5])
    >>> next_w, config = adam(w, dw, {'learning_rate': 0.1})
    >>> next_w.round(4)
    array([0.9, 2.1])
    """
    return _adam("adam", w, dw, config)


@takes("learning_rate", "beta1", "beta2", "epsilon", state=("m", "v", "t"))
def adamw(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """Adam with decoupled weight decay: ``next_w = w - learning_rate * weight_decay * w - step``.

    The decay is not part of the gradient, so it is not divided by its running size.

    config: as `adam`, and weight_decay 1e-2.
    Source: Loshchilov and Hutter (2019), arXiv:1711.05101.

    >>> import numpy as np
    >>> w, dw = np.array([1.0, 2.0]), np.array([0.5, -0.5])
    >>> next_w, config = adamw(w, dw, {'learning_rate': 0.1})
    >>> next_w.round(4)
    array([0.899, 2.098])
    """
    config = checked("adamw", w, dw, config)
    config.setdefault("weight_decay", 1e-2)
    return _adam("adamw", w, dw, config)


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
        muon,
    )
}
# Without what others add to RULES.
_LEAVE_WEIGHTS = tuple(rule for rule in RULES.values() if rule is not sgd)


def get_rule(name: str) -> Rule:
    """Return the rule called `name`; OptionError lists the known ones.

    >>> get_rule("sgd") is sgd
    True
    """
    if not is_one_of(name, RULES):
        raise OptionError(f'Invalid update_rule "{name}"; known are {", ".join(RULES)}')
    return RULES[name]


def leaves_weights(rule: Rule) -> bool:
    """Whether `rule` is known to make new weights; `sgd`, or a rule of one's own, may change w itself.

    >>> leaves_weights(adam), leaves_weights(sgd)
    (True, False)
    """
    return any(rule is own for own in _LEAVE_WEIGHTS)


def settings_of(name: str) -> dict[str, float]:
    """Return the settings of the rule called `name`, without state and `DECAYS`, and their defaults.

    >>> settings_of("sgd_momentum")
    {'learning_rate': 0.01, 'momentum': 0.9}
    """
    _, config = get_rule(name)(np.zeros(1), np.zeros(1), {})
    return {key: value for key, value in config.items() if isinstance(value, float)}


def _adam(rule: str, w: Array, dw: Array, config: Config | None) -> tuple[Array, Config]:
    config = checked(rule, w, dw, config)
    learning_rate = rate_of(rule, config, 1e-3)
    dw, kept = decayed(rule, w, dw, config, learning_rate)
    beta1 = setting_of(rule, config, "beta1", 0.9, high=1.0)
    beta2 = setting_of(rule, config, "beta2", 0.999, high=1.0)
    epsilon = setting_of(rule, config, "epsilon", 1e-8)
    t = as_count(rule, "t", config.get("t", 0), minimum=0) + 1
    m, v = state_of(rule, config, "m", w), state_of(rule, config, "v", w)
    compiled = compiled_rules(w, dw, m, v)
    if compiled:
        next_w, m, v = compiled.adam(w, dw, m, v, t, learning_rate, beta1, beta2, epsilon, kept)
    else:
        m = averaged(beta1, m, dw)
        v = averaged(beta2, v, dw * dw)
        mt = m / (1.0 - beta1**t)
        vt = v / (1.0 - beta2**t)
        next_w = kept * w - learning_rate * mt / (namespace(w).sqrt(vt) + epsilon)
    config["t"], config["m"], config["v"] = t, m, v
    return next_w, config
