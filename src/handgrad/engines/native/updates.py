"""Update rules in one pass each, for arrays of one dtype, and two other passes over weights.

The formulas are those of `handgrad.optim.rules`; settings are passed as numbers of that dtype.  All rules but
sgd return new arrays: next_w, then the new state.
"""

from __future__ import annotations

import numpy as np

from handgrad.engines.native import _kernels

Array = np.ndarray
_MOMENTUM, _NESTEROV, _ADAGRAD, _RMSPROP = range(4)


def sgd(w: Array, dw: Array, learning_rate: float) -> None:
    """Change w, dense and writable, in place."""
    _kernels.sgd(w, dw, (learning_rate,))


def sgd_momentum(
    w: Array, dw: Array, velocity: Array, learning_rate: float, momentum: float
) -> tuple[Array, Array]:
    return _kernels.update(_MOMENTUM, w, dw, velocity, (learning_rate, momentum))


def sgd_nesterov_momentum(
    w: Array, dw: Array, velocity: Array, learning_rate: float, momentum: float
) -> tuple[Array, Array]:
    return _kernels.update(_NESTEROV, w, dw, velocity, (learning_rate, momentum))


def adagrad(
    w: Array, dw: Array, cache: Array, learning_rate: float, epsilon: float
) -> tuple[Array, Array]:
    return _kernels.update(_ADAGRAD, w, dw, cache, (learning_rate, 0.0, 0.0, epsilon))


def rmsprop(
    w: Array, dw: Array, cache: Array, learning_rate: float, decay_rate: float, epsilon: float
) -> tuple[Array, Array]:
    settings = (learning_rate, decay_rate, 1.0 - decay_rate, epsilon)
    return _kernels.update(_RMSPROP, w, dw, cache, settings)


def adam(
    w: Array,
    dw: Array,
    m: Array,
    v: Array,
    t: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    kept: float = 1.0,
) -> tuple[Array, Array, Array]:
    """Adam's step from ``kept * w``; t counts from 1."""
    settings = (learning_rate, beta1, beta2, epsilon, 1.0 - beta1**t, 1.0 - beta2**t, kept)
    return _kernels.adam(w, dw, m, v, settings)


def muon(
    w: Array,
    dw: Array,
    velocity: Array,
    learning_rate: float,
    momentum: float,
    radius: float,
    rounds: int,
    coefficients: tuple[float, float, float],
) -> tuple[Array, Array] | None:
    """Muon's step; None if w has more rows than numbers in a row, or squares leave the range of the dtype."""
    if len(w) > w.size // len(w):
        return None
    return _kernels.muon(w, dw, velocity, learning_rate, momentum, radius, rounds, coefficients)


def penalty(w: Array, dw: Array, strength: float) -> tuple[Array, float]:
    """Return ``dw + strength * w`` and the sum of w^2."""
    return _kernels.penalty(w, dw, strength)


def squares(array: Array) -> float:
    """Return the sum of x^2, in double precision."""
    return _kernels.squares(array)


def all_finite(array: Array) -> bool:
    return _kernels.all_finite(array)
