"""The softplus function, a smooth ReLU.

    out = log(1 + exp(x)) = max(0, x) + log(1 + exp(-|x|))
    dx = dout exp(x) / (1 + exp(x)) = dout sigmoid(x)

In the second form no exponent is above zero, so nothing overflows, and the tail exp(x) of negative x keeps
its digits.
"""

from __future__ import annotations

from typing import NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import check_min_ndim
from handgrad.layers.pair import Cache, run_backward, run_forward
from handgrad.layers.sigmoid import sigmoid_and_slope
from handgrad.layers.signs import negative_part, positive_part


def softplus_forward(x: Array, *, engine: str | None = None) -> tuple[Array, Cache]:
    """Softplus of each entry: ``out = log(1 + exp(x))``.

    Args:
        x: inputs, (N, ...).
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, the shape of x, and the cache (x) for `softplus_backward`.

    Raises:
        ShapeError, DtypeError: x is not an array of real or complex numbers.

    Source: C. Dugas, Y. Bengio et al., "Incorporating second-order functional knowledge for better
    option pricing" (2000).

    >>> import numpy as np
    >>> out, cache = softplus_forward(np.zeros(2))
    >>> out.round(4).tolist(), softplus_backward(np.ones(2), cache).tolist()
    ([0.6931, 0.6931], [0.5, 0.5])
    """
    (x,) = promote("softplus_forward", x=x)
    check_min_ndim("softplus_forward", "x", x, 1, "(N, ...)")
    return run_forward("softplus", engine, (x,))


def softplus_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `softplus_forward`: ``dx = dout sigmoid(x)``.

    Args:
        dout: upstream gradient, the shape of x.
        cache: what `softplus_forward` returned.

    Returns:
        dx, the shape of x.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("softplus", dout, cache)


class Saved(NamedTuple):
    """x: as it came."""

    x: Array


@vectorized.computes("softplus_forward")
def _forward(x: Array) -> tuple[Array, Saved]:
    xp = namespace(x)
    positive = positive_part(x)
    return positive + xp.log1p(xp.exp(negative_part(x) - positive)), Saved(x)


@vectorized.computes("softplus_backward")
def _backward(dout: Array, saved: Saved) -> Array:
    slope, _ = sigmoid_and_slope(saved.x)
    return dout * slope
