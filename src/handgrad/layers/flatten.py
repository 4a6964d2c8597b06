"""Flattening: each image becomes a row of numbers, in the order (C, H, W).

out[n] = the numbers of x[n] in row-major order
dx = dout in the shape of x
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import check_min_ndim
from handgrad.layers.pair import Cache, run_backward, run_forward


def flatten_forward(x: Array, *, engine: str | None = None) -> tuple[Array, Cache]:
    """Each row as one vector: ``out = x.reshape(N, D)``.

    Args:
        x: inputs, (N, d_1, ..., d_k), with D = d_1 * ... * d_k.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, D), and the cache (the shape of x) for `flatten_backward`.

    Raises:
        DtypeError, ShapeError: x is not an array of real or complex numbers with rows.
    """
    (x,) = promote("flatten_forward", x=x)
    check_min_ndim("flatten_forward", "x", x, 1, "(N, ...)")
    return run_forward("flatten", engine, (x,))


def flatten_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `flatten_forward`: dout in the shape of x.

    Args:
        dout: upstream gradient, (N, D).
        cache: what `flatten_forward` returned.

    Returns:
        dx, the shape of x.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("flatten", dout, cache)


class Saved(NamedTuple):
    """shape: that of x."""

    shape: tuple[int, ...]


@vectorized.computes("flatten_forward")
def _forward(x: Array) -> tuple[Array, Saved]:
    shape = tuple(x.shape)
    xp = namespace(x)
    out = xp.asarray(xp.reshape(x, (shape[0], prod(shape[1:]))), copy=True)
    return out, Saved(shape)


@vectorized.computes("flatten_backward")
def _backward(dout: Array, saved: Saved) -> Array:
    xp = namespace(dout)
    return xp.asarray(xp.reshape(dout, saved.shape), copy=True)
