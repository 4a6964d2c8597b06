"""The parametric rectified linear unit: a leaky ReLU that learns its negative slope.

    out = x where x > 0, else a x
    dx = dout where x > 0, else a dout
    da = sum of dout x over the entries with x <= 0 that share this slope

At x = 0, where the function has a kink, the gradient is that of the negative side.
"""

from __future__ import annotations

from typing import NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import ShapeError, check_min_ndim
from handgrad.layers.pair import Cache, run_backward, run_forward
from handgrad.layers.signs import is_positive, negative_part, positive_part


def prelu_forward(x: Array, a: Array, *, engine: str | None = None) -> tuple[Array, Cache]:
    """Rectifier with a learned slope: ``out = x where x > 0, else a x``.

    Args:
        x: inputs, (N, ...) or (N, C, ...).
        a: slope of the negative side, () or (1,) for all entries, or (C,) one for each channel.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, the shape of x, and the cache (x and a) for `prelu_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the other.

    Source: K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers" (2015).
    """
    x, a = promote("prelu_forward", x=x, a=a)
    check_min_ndim("prelu_forward", "x", x, 1, "(N, ...)")
    shared = tuple(a.shape) in ((), (1,))
    if not shared and (x.ndim < 2 or tuple(a.shape) != (x.shape[1],)):
        raise ShapeError(
            "prelu_forward: a must have shape () or (1,), one slope for all, or (C,), one for each "
            f"channel of x (N, C, ...); got a {tuple(a.shape)} with x {tuple(x.shape)}"
        )
    return run_forward("prelu", engine, (x, a))


def prelu_backward(dout: Array, cache: Cache) -> tuple[Array, Array]:
    """Gradients of `prelu_forward`: dout, times a where x <= 0; and the sums of ``dout x`` there.

    Args:
        dout: upstream gradient, the shape of x.
        cache: what `prelu_forward` returned.

    Returns:
        dx, the shape of x, and da, the shape of a.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("prelu", dout, cache)


class Saved(NamedTuple):
    """x: as it came; a: its slopes."""

    x: Array
    a: Array


@vectorized.computes("prelu_forward")
def _forward(x: Array, a: Array) -> tuple[Array, Saved]:
    return positive_part(x) + _slopes(a, x) * negative_part(x), Saved(x, a)


@vectorized.computes("prelu_backward")
def _backward(dout: Array, saved: Saved) -> tuple[Array, Array]:
    x, a = saved
    xp = namespace(x)
    slope = _slopes(a, x)
    positive = is_positive(x)
    dx = dout * (positive + slope * (1.0 - positive))
    shared_axes = tuple(axis for axis in range(x.ndim) if slope.shape[axis] == 1)
    da = xp.sum(dout * negative_part(x), axis=shared_axes)
    return dx, xp.reshape(da, a.shape)


def _slopes(a: Array, x: Array) -> Array:
    """One slope for all, or one for each channel (axis 1), in a shape that broadcasts over x."""
    shape = [1] * x.ndim
    if tuple(a.shape) not in ((), (1,)):
        shape[1] = a.shape[0]
    return namespace(a).reshape(a, tuple(shape))
