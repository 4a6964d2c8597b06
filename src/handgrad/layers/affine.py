"""The affine (fully-connected) layer.

With x flattened to rows of D numbers, and dout the upstream gradient dL/dout:

    out = x w + b        out[n, m] = sum_d x[n, d] w[d, m] + b[m]
    dx = dout w^T        every out[n, m] feels x[n, d] through w[d, m]
    dw = x^T dout        every row n votes for the same w[d, m] with x[n, d]
    db = sum_n dout[n]   b[m] is added to every row
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import ShapeError, check_ndim, check_shape
from handgrad.layers.pair import Cache, Checked, run_forward, run_linear_backward


def affine_forward(
    x: Array, w: Array, b: Array, *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Affine map of each row: ``out = x.reshape(N, D) @ w + b``.

    Args:
        x: inputs, (N, d_1, ..., d_k), with D = d_1 * ... * d_k.
        w: weights, (D, M).
        b: biases, (M,).
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, M), and the cache for `affine_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others.

    Source: CS231n assignment 2, ``affine_forward``.
    """
    x, w, b = promote("affine_forward", x=x, w=w, b=b)
    check(x, w, b)
    return run_forward("affine", engine, (x, w, b))


def check(x: Array, w: Array, b: Array) -> Checked:
    """Do the checks of `affine_forward`; of x, and of the arrays behind it, the shape is enough."""
    check_ndim("affine_forward", "w", w, 2, "(D, M)")
    if not x.shape or prod(x.shape[1:]) != w.shape[0]:
        raise ShapeError(
            f"affine_forward: x must have D = {w.shape[0]} numbers a row, as w {tuple(w.shape)} "
            f"has rows; got x {tuple(x.shape)}, {prod(x.shape[1:])} a row"
        )
    check_shape("affine_forward", "b", b, (w.shape[1],), "(M,) of w (D, M)")
    return Checked("affine", (), (x.shape[0], w.shape[1]))


def affine_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array | None, Array, Array]:
    """Gradients of `affine_forward`: ``dx = dout w^T``, ``dw = x^T dout``, ``db = sum_n dout``.

    Args:
        dout: upstream gradient, (N, M).
        cache: what `affine_forward` returned.
        need_dx: whether dx is wanted; in front of the first layer of a network it is not.

    Returns:
        dx (N, d_1, ..., d_k), or None where it is not wanted, dw (D, M), db (M,).

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_linear_backward("affine", dout, cache, need_dx)


class Saved(NamedTuple):
    """x: as it came, (N, d_1, ..., d_k); w: (D, M)."""

    x: Array
    w: Array


@vectorized.computes("affine_forward")
def _forward(x: Array, w: Array, b: Array) -> tuple[Array, Saved]:
    rows = namespace(x).reshape(x, (x.shape[0], w.shape[0]))
    return rows @ w + b, Saved(x, w)


@vectorized.computes("affine_backward")
def _backward(dout: Array, saved: Saved) -> tuple[Array, Array, Array]:
    x, w = saved
    xp = namespace(x)
    rows = xp.reshape(x, (x.shape[0], w.shape[0]))
    dx = xp.reshape(dout @ w.T, x.shape)
    return dx, rows.T @ dout, xp.sum(dout, axis=0)
