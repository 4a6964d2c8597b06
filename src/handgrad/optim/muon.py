"""Muon: momentum whose steps are orthogonal matrices.

The momentum m = U S V^T of a weight matrix is usually large in a few directions only, those of its largest
singular values S.  The matrix U V^T is orthogonal; a step along it moves all directions by the same amount.
The iteration X <- p(X) = a X + b (X X^T) X + c (X X^T)^2 X approximates it: it keeps the singular vectors
and changes each singular value to p(s) = a s + b s^3 + c s^5.  It starts from X = m / |m|, whose singular
values are at most 1.  With a = 3.4445, b = -4.7750 and c = 2.0315, a few rounds bring all singular values
above 0.01 into [0.68, 1.21], which is close enough to 1.
"""

from __future__ import annotations

from math import sqrt

from handgrad.engines.arrays import Array, namespace, promote
from handgrad.engines.weights import compiled_rules
from handgrad.errors import DtypeError, as_count, check_min_ndim
from handgrad.layers import affine_forward
from handgrad.optim.settings import Config, nesterov, setting_of, started, takes, velocity_of

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # a, b, c


@takes("learning_rate", "momentum", "rounds", "radius", "vector_rate", state=("velocity",))
def muon(w: Array, dw: Array, config: Config | None = None) -> tuple[Array, Config]:
    """Descent by orthogonal matrices: ``v' = momentum v + dw``, ``next_w = w - learning_rate O``.

    O approximates the orthogonal matrix nearest to ``dw + momentum v'`` (`orthogonal`).  An array of more
    than two dimensions is reshaped to a matrix: its first axis, and all others together.

    With a `radius`, w is scaled to the Frobenius norm ``radius sqrt(len(w))`` before each step.  This is for
    filters before a normalisation, where only their direction matters: learning_rate / radius is then the
    angle by which a step turns them.

    Arrays of fewer than two dimensions follow `sgd_nesterov_momentum` with the learning rate ``vector_rate
    learning_rate``.

    config: learning_rate 2e-2, momentum 0.95, rounds 5.0 (of the iteration), radius 0.0 (none),
    vector_rate 1.0; state: velocity (zeros).
    Source: K. Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks; with a
    radius, K. Jordan, airbench94_muon.

    >>> import numpy as np
    >>> next_w, config = muon(np.eye(2), np.diag([3.0, 1.0]), {'learning_rate': 0.1})
    >>> next_w.shape
    (2, 2)
    """
    w, dw, learning_rate, config = started("muon", w, dw, config, 2e-2)
    momentum, old = velocity_of("muon", w, config, 0.95)
    rounds = as_count("muon", "rounds", setting_of("muon", config, "rounds", 5.0))
    radius = setting_of("muon", config, "radius", 0.0)
    step = learning_rate * setting_of("muon", config, "vector_rate", 1.0)
    if w.ndim < 2 or 0 in w.shape:
        next_w, v = nesterov(w, dw, old, step, momentum)
    else:
        settings = learning_rate, momentum, radius, rounds
        compiled = compiled_rules(w, dw, old)
        made = compiled and compiled.muon(w, dw, old, *settings, COEFFICIENTS)
        next_w, v = made or _step(w, dw, old, *settings)
    config["velocity"] = v
    return next_w, config


def _step(
    w: Array,
    dw: Array,
    old: Array,
    learning_rate: float,
    momentum: float,
    radius: float,
    rounds: int,
) -> tuple[Array, Array]:
    v = momentum * old + dw
    ahead = momentum * v
    ahead += dw
    if radius:
        w = w * (radius * sqrt(w.shape[0]) / norm(w))
    return w - learning_rate * orthogonal(ahead, rounds), v


_MOST_ROUNDS = 1000


def orthogonal(m: Array, rounds: int = 5) -> Array:
    """Return nearly U V^T for the matrix ``m = U S V^T`` of the first axis of m and all others.

    Its singular values are in [0.68, 1.21], where those of m were at least a hundredth of its norm.

    >>> import numpy as np
    >>> m = orthogonal(np.diag([3.0, 1.0]))
    >>> bool(np.all(np.abs(np.diag(m) - 1) < 0.35))
    True
    """
    (m,) = promote("orthogonal", m=m)
    check_min_ndim("orthogonal", "m", m, 2, "(rows, ...)")
    rounds = as_count("orthogonal", "rounds", rounds, minimum=0, maximum=_MOST_ROUNDS)
    xp = namespace(m)
    if xp.isdtype(m.dtype, "complex floating"):
        raise DtypeError(f"orthogonal: m must hold real numbers, got {m.dtype}")
    if 0 in m.shape:
        return m
    X = xp.reshape(m, (m.shape[0], -1))
    is_tall = X.shape[0] > X.shape[1]
    X = (X.T if is_tall else X) / norm(m)
    if rounds:
        X = product(polynomial(product(X, X.T), rounds), X)
    return xp.reshape(X.T if is_tall else X, m.shape)


def polynomial(gram: Array, rounds: int) -> Array:
    """Return the Q for which so many rounds make ``Q X`` of X, from the gram ``X X^T``.

    A round multiplies X by ``P = a I + b G + c G^2``, G being its gram, which becomes ``G P^2``.  All
    these are polynomials of the first gram, so that they commute and only the last product is as long as X.
    """
    a, b, c = COEFFICIENTS
    size = gram.shape[0]
    start = a * namespace(gram).eye(size, dtype=gram.dtype, device=gram.device)
    P = Q = start + b * gram + c * product(gram, gram)
    for _ in range(rounds - 1):
        gram = product(product(gram, P), P)
        P = start + b * gram + c * product(gram, gram)
        Q = product(P, Q)
    return Q


def product(a: Array, b: Array) -> Array:
    """Return the matrix ``a b``, by the chosen engine: the native one's bits depend on no threads."""
    result, _ = affine_forward(a, b, namespace(b).zeros_like(b[0, :]))
    return result


def norm(m: Array) -> float:
    """Return the Frobenius norm of an array, or 1 if it is zero."""
    xp = namespace(m)
    largest = float(xp.max(xp.abs(m)))
    if 1e-12 < largest < 1e12:
        return sqrt(float(xp.sum(m * m)))
    return largest * sqrt(float(xp.sum((m / largest) ** 2))) if largest else 1.0
