"""Concatenation along the channels: where a dense block hands on all that was computed so far.

out[n] = a[n] and behind it b[n], along axis 1
da = the first channels of dout      db = those behind them
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import LARGEST_SIZE, ShapeError, check_min_ndim
from handgrad.layers.pair import Cache, run_backward, run_forward


def concat_forward(a: Array, b: Array, *, engine: str | None = None) -> tuple[Array, Cache]:
    """Put the channels of b behind those of a: ``out = concatenate([a, b], axis=1)``.

    Args:
        a: inputs, (N, C, ...).
        b: inputs, (N, K, ...), equal to a in all sizes but the second.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, C + K, ...), and the cache for `concat_backward`.

    Raises:
        ShapeError: sizes other than those of the channels differ.
        DtypeError: an argument is not an array of real or complex numbers.

    Source: G. Huang et al., "Densely connected convolutional networks" (2017).
    """
    a, b = promote("concat_forward", a=a, b=b)
    check_min_ndim("concat_forward", "a", a, 2, "(N, C, ...)")
    if b.ndim != a.ndim or (b.shape[0], *b.shape[2:]) != (a.shape[0], *a.shape[2:]):
        expected = str((a.shape[0], "K", *a.shape[2:])).replace("'", "")
        raise ShapeError(
            f"concat_forward: b must have shape {expected}, that of a but for the channels, "
            f"got {tuple(b.shape)}"
        )
    if prod((a.shape[0], a.shape[1] + b.shape[1], *a.shape[2:])) > LARGEST_SIZE:
        raise ShapeError(
            f"concat_forward: a {tuple(a.shape)} and b {tuple(b.shape)} together are beyond any memory"
        )
    return run_forward("concat", engine, (a, b))


def concat_backward(dout: Array, cache: Cache) -> tuple[Array, Array]:
    """Gradients of `concat_forward`: dout, cut where a ends.

    Args:
        dout: upstream gradient, (N, C + K, ...).
        cache: what `concat_forward` returned.

    Returns:
        da (N, C, ...) and db (N, K, ...).

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("concat", dout, cache)


class Saved(NamedTuple):
    """channels: C, those of a."""

    channels: int


@vectorized.computes("concat_forward")
def _forward(a: Array, b: Array) -> tuple[Array, Saved]:
    return namespace(a).concat([a, b], axis=1), Saved(a.shape[1])


@vectorized.computes("concat_backward")
def _backward(dout: Array, saved: Saved) -> tuple[Array, Array]:
    xp, C = namespace(dout), saved.channels
    return xp.asarray(dout[:, :C, ...], copy=True), xp.asarray(dout[:, C:, ...], copy=True)
