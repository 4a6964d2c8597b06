"""Global average pooling: one number, the mean, for each channel of each image.

out[n, c] = 1 / (H W) sum_{r, q} x[n, c, r, q]
dx[n, c, r, q] = dout[n, c] / (H W)       every pixel has the same share in the mean
"""

from __future__ import annotations

from typing import NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import ShapeError, check_ndim
from handgrad.layers.pair import Cache, run_backward, run_forward


def global_avg_pool_forward(x: Array, *, engine: str | None = None) -> tuple[Array, Cache]:
    """Mean of each channel: ``out[n, c] = mean(x[n, c])``.

    Args:
        x: images, (N, C, H, W).
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, C), and the cache for `global_avg_pool_backward`.

    Raises:
        ShapeError, DtypeError: x is not four-dimensional, or its images have no pixels.

    Source: Lin, Chen and Yan, Network in network (2014).
    """
    (x,) = promote("global_avg_pool_forward", x=x)
    check_ndim("global_avg_pool_forward", "x", x, 4, "(N, C, H, W)")
    if 0 in x.shape[2:]:
        raise ShapeError(
            f"global_avg_pool_forward: x must have pixels to average, got shape {tuple(x.shape)}"
        )
    return run_forward("global_avg_pool", engine, (x,))


def global_avg_pool_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `global_avg_pool_forward`: ``dx[n, c, r, q] = dout[n, c] / (H W)``.

    Args:
        dout: upstream gradient, (N, C).
        cache: what `global_avg_pool_forward` returned.

    Returns:
        dx, (N, C, H, W).

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("global_avg_pool", dout, cache)


class Saved(NamedTuple):
    """x: kept so that dx takes its shape and memory layout."""

    x: Array


@vectorized.computes("global_avg_pool_forward")
def _forward(x: Array) -> tuple[Array, Saved]:
    return namespace(x).sum(x, axis=(2, 3)) / (x.shape[2] * x.shape[3]), Saved(x)


@vectorized.computes("global_avg_pool_backward")
def _backward(dout: Array, saved: Saved) -> Array:
    x = saved.x
    share = dout / (x.shape[2] * x.shape[3])
    return namespace(x).zeros_like(x) + share[:, :, None, None]
