"""An affine layer at every step of a sequence, with the same weights at each.

    out[n, t] = x[n, t] w + b

It is the affine layer of N * T rows, so the gradients are that layer's: dw and db are summed over rows and
steps.
"""

from __future__ import annotations

from typing import NamedTuple

from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import ShapeError, check_ndim, check_shape
from handgrad.layers.affine import affine_backward, affine_forward
from handgrad.layers.pair import Cache, check_backward


class Saved(NamedTuple):
    """affine: the cache of the affine layer of all rows; shape: that of x."""

    affine: Cache
    shape: tuple[int, int, int]


def temporal_affine_forward(
    x: Array, w: Array, b: Array, *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Affine map of each step: ``out[n, t] = x[n, t] @ w + b``.

    Args:
        x: inputs, (N, T, D).
        w: weights, (D, M).
        b: biases, (M,).
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, T, M), and the cache for `temporal_affine_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others.

    Source: CS231n assignment 3, ``temporal_affine_forward``.

    >>> import numpy as np
    >>> out, cache = temporal_affine_forward(np.ones((2, 5, 3)), np.ones((3, 4)), np.zeros(4))
    >>> out.shape
    (2, 5, 4)
    """
    layer = "temporal_affine_forward"
    x, w, b = promote(layer, x=x, w=w, b=b)
    check_ndim(layer, "x", x, 3, "(N, T, D)")
    check_ndim(layer, "w", w, 2, "(D, M)")
    N, T, D = x.shape
    if w.shape[0] != D:
        raise ShapeError(
            f"{layer}: w must have D = {D} rows, as x {tuple(x.shape)} has numbers a step; "
            f"got w {tuple(w.shape)}"
        )
    check_shape(layer, "b", b, (w.shape[1],), "(M,) of w (D, M)")
    xp = namespace(x)
    rows, affine = affine_forward(xp.reshape(x, (N * T, D)), w, b, engine=engine)
    out = xp.reshape(rows, (N, T, w.shape[1]))
    saved = Saved(affine, (N, T, D))
    return out, Cache("temporal_affine", affine.engine, tuple(out.shape), out[:0, ...], saved)


def temporal_affine_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients of `temporal_affine_forward`, those of the affine layer of all steps' rows.

    Args:
        dout: upstream gradient, (N, T, M).
        cache: what `temporal_affine_forward` returned.

    Returns:
        dx (N, T, D), dw (D, M), db (M,).

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    dout = check_backward("temporal_affine", dout, cache)
    affine, shape = cache.saved
    xp = namespace(dout)
    N, T, M = dout.shape
    dx, dw, db = affine_backward(xp.reshape(dout, (N * T, M)), affine)
    return xp.reshape(dx, shape), dw, db
