"""Maxout: each output is the largest of several linear pieces.

With the C * pieces input channels in C groups of consecutive ones:

    out[n, c, ...] = max over k of x[n, c * pieces + k, ...]
    dx[n, c * pieces + k, ...] = dout[n, c, ...] where piece k was the largest, else 0

Where pieces tie, the first of them takes the whole gradient, so that its sum is kept.  The pieces
themselves come from an affine or convolution layer with C * pieces outputs.
"""

from __future__ import annotations

from typing import NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote, real_part
from handgrad.errors import ShapeError, as_count, check_min_ndim
from handgrad.layers.pair import Cache, run_backward, run_forward


def maxout_forward(x: Array, pieces: int = 2, *, engine: str | None = None) -> tuple[Array, Cache]:
    """Largest of each group of channels: ``out[n, c] = max over k of x[n, c * pieces + k]``.

    Args:
        x: inputs, (N, C * pieces, ...).
        pieces: number of channels in a group, at least 1.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, C, ...), and the cache (which piece was the largest) for `maxout_backward`.

    Raises:
        ShapeError, DtypeError: x has no channels, or they do not divide into groups.
        OptionError: pieces is no positive integer.

    Source: I. Goodfellow et al., "Maxout networks" (2013).
    """
    (x,) = promote("maxout_forward", x=x)
    check_min_ndim("maxout_forward", "x", x, 2, "(N, C * pieces, ...)")
    pieces = as_count("maxout_forward", "pieces", pieces)
    if x.shape[1] % pieces:
        raise ShapeError(
            f"maxout_forward: x must have a multiple of pieces = {pieces} channels (axis 1), "
            f"got {x.shape[1]} (shape {tuple(x.shape)})"
        )
    return run_forward("maxout", engine, (x,), pieces)


def maxout_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `maxout_forward`: dout at the largest piece of each group, 0 at the others.

    Args:
        dout: upstream gradient, (N, C, ...).
        cache: what `maxout_forward` returned.

    Returns:
        dx, (N, C * pieces, ...).

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("maxout", dout, cache)


class Saved(NamedTuple):
    """wins: which piece is the largest, booleans (N, C, pieces, ...)."""

    wins: Array


@vectorized.computes("maxout_forward")
def _forward(x: Array, pieces: int) -> tuple[Array, Saved]:
    xp = namespace(x)
    groups = xp.reshape(x, (x.shape[0], x.shape[1] // pieces, pieces, *x.shape[2:]))
    winner = xp.argmax(real_part(groups), axis=2, keepdims=True)
    piece = xp.reshape(xp.arange(pieces, device=x.device), (pieces,) + (1,) * (x.ndim - 2))
    wins = piece == winner
    return xp.sum(xp.where(wins, groups, 0.0), axis=2), Saved(wins)


@vectorized.computes("maxout_backward")
def _backward(dout: Array, saved: Saved) -> Array:
    xp = namespace(dout)
    N, C, pieces, *rest = saved.wins.shape
    dgroups = xp.where(saved.wins, xp.expand_dims(dout, axis=2), 0.0)
    return xp.reshape(dgroups, (N, C * pieces, *rest))
