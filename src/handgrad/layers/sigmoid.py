"""The logistic sigmoid.

    out = 1 / (1 + exp(-x))
    dx = dout out (1 - out)

Both are computed from ``z = exp(-|x|)``, which lies in (0, 1] and never overflows:

    out = 1 / (1 + z) for x >= 0, z / (1 + z) for x < 0
    out (1 - out) = z / (1 + z)^2, which keeps all its digits where 1 - out would lose them
"""

from __future__ import annotations

from typing import NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import check_min_ndim
from handgrad.layers.pair import Cache, run_backward, run_forward
from handgrad.layers.signs import negative_part, positive_part


def sigmoid_forward(x: Array, *, engine: str | None = None) -> tuple[Array, Cache]:
    """Logistic sigmoid of each entry: ``out = 1 / (1 + exp(-x))``.

    Args:
        x: inputs, (N, ...); large ones of either sign are fine.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, the shape of x, and the cache (x, or the derivative there) for `sigmoid_backward`.

    Raises:
        ShapeError, DtypeError: x is not an array of real or complex numbers.

    Source: CS231n notes, "Commonly used activation functions".
    """
    (x,) = promote("sigmoid_forward", x=x)
    check_min_ndim("sigmoid_forward", "x", x, 1, "(N, ...)")
    return run_forward("sigmoid", engine, (x,))


def sigmoid_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `sigmoid_forward`: ``dx = dout out (1 - out)``.

    Args:
        dout: upstream gradient, the shape of x.
        cache: what `sigmoid_forward` returned.

    Returns:
        dx, the shape of x.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("sigmoid", dout, cache)


class Saved(NamedTuple):
    """slope: the derivative, sigmoid'(x)."""

    slope: Array


@vectorized.computes("sigmoid_forward")
def _forward(x: Array) -> tuple[Array, Saved]:
    out, slope = sigmoid_and_slope(x)
    return out, Saved(slope)


@vectorized.computes("sigmoid_backward")
def _backward(dout: Array, saved: Saved) -> Array:
    return dout * saved.slope


def sigmoid_and_slope(x: Array) -> tuple[Array, Array]:
    """Sigmoid and its slope; no exponent is above zero, so nothing overflows."""
    xp = namespace(x)
    negative = negative_part(x)
    z = xp.exp(negative - positive_part(x))  # exp(-|x|)
    return xp.exp(negative) / (1.0 + z), z / ((1.0 + z) * (1.0 + z))
