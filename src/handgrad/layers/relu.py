"""The rectified linear unit.

    out = max(0, x)
    dx = dout where x > 0, else 0

At x = 0, where the function has a kink, the gradient is 0.
"""

from __future__ import annotations

from typing import NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote, real_part
from handgrad.errors import check_min_ndim
from handgrad.layers.pair import Cache, Checked, run_backward, run_forward
from handgrad.layers.signs import positive_part


def relu_forward(x: Array, *, engine: str | None = None) -> tuple[Array, Cache]:
    """Rectify each entry: ``out = max(0, x)``.

    Args:
        x: inputs, (N, ...).
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, the shape of x, and the cache (where x is positive) for `relu_backward`.

    Raises:
        ShapeError, DtypeError: x is not an array of real or complex numbers.

    Source: CS231n assignment 2, ``relu_forward``.
    """
    (x,) = promote("relu_forward", x=x)
    check(x)
    return run_forward("relu", engine, (x,))


def check(x: Array) -> Checked:
    """Do the checks of `relu_forward`."""
    check_min_ndim("relu_forward", "x", x, 1, "(N, ...)")
    return Checked("relu", (), tuple(x.shape))


def relu_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `relu_forward`: ``dx = dout where x > 0, else 0``.

    Args:
        dout: upstream gradient, the shape of x.
        cache: what `relu_forward` returned.

    Returns:
        dx, the shape of x.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("relu", dout, cache)


class Saved(NamedTuple):
    """positive: where x > 0, booleans in the shape of x."""

    positive: Array


@vectorized.computes("relu_forward")
def _forward(x: Array) -> tuple[Array, Saved]:
    return positive_part(x), Saved(real_part(x) > 0)


@vectorized.computes("relu_backward")
def _backward(dout: Array, saved: Saved) -> Array:
    return dout * namespace(dout).astype(saved.positive, dout.dtype)
