"""The hyperbolic tangent.

    out = tanh(x) = 2 sigmoid(2x) - 1
    dx = dout (1 - out^2) = dout 4 sigmoid'(2x)

The backward pass uses the second form, which keeps all its digits where 1 - out^2 would lose them.
"""

from __future__ import annotations

from typing import NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import check_min_ndim
from handgrad.layers.pair import Cache, run_backward, run_forward
from handgrad.layers.sigmoid import sigmoid_and_slope


def tanh_forward(x: Array, *, engine: str | None = None) -> tuple[Array, Cache]:
    """Hyperbolic tangent of each entry: ``out = tanh(x)``.

    Args:
        x: inputs, (N, ...).
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, the shape of x, and the cache (x) for `tanh_backward`.

    Raises:
        ShapeError, DtypeError: x is not an array of real or complex numbers.

    Source: CS231n notes, "Commonly used activation functions".
    """
    (x,) = promote("tanh_forward", x=x)
    check_min_ndim("tanh_forward", "x", x, 1, "(N, ...)")
    return run_forward("tanh", engine, (x,))


def tanh_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `tanh_forward`: ``dx = dout (1 - out^2)``.

    Args:
        dout: upstream gradient, the shape of x.
        cache: what `tanh_forward` returned.

    Returns:
        dx, the shape of x.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("tanh", dout, cache)


class Saved(NamedTuple):
    """x: as it came."""

    x: Array


@vectorized.computes("tanh_forward")
def _forward(x: Array) -> tuple[Array, Saved]:
    return namespace(x).tanh(x), Saved(x)


@vectorized.computes("tanh_backward")
def _backward(dout: Array, saved: Saved) -> Array:
    _, slope = sigmoid_and_slope(2.0 * saved.x)
    return dout * 4.0 * slope
