"""Average pooling: the mean of each window.

    out[n, c, i, j] = 1 / (HH WW) sum_{u, v} x[n, c, i s + u, j s + v]

Every number of a window moves the output by the same share:

    dx[n, c, r, q]  = 1 / (HH WW) sum of dout[n, c, i, j] over the windows (i, j) that hold (r, q)

With padding, x is zero outside of the image; in place of HH WW stands how many numbers of a window count.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from handgrad.engines import bordered, vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import as_flag, check_ndim
from handgrad.layers.pair import Cache, run_backward, run_forward
from handgrad.layers.windows import (
    POOL_KEYS,
    Border,
    Pair,
    check_pool,
    pool_options,
    pool_sizes,
    slices,
)

_KEYS = POOL_KEYS | {"count_include_pad"}


def avg_pool_forward(
    x: Array, pool_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Mean of each window: ``out[n, c, i, j] = mean(window[n, c, i, j])``.

    Args:
        x: images, (N, C, H, W).
        pool_param: 'pool_height' and 'pool_width', the window; 'stride' (default: the window) and
            'pad' (default 0, on each side, at most half of the window), each an integer or a pair
            (vertical, horizontal); 'ceil_mode' (default False): whether a last window that reaches
            beyond the far end counts, if it begins in the image or in the padding before it.
            'count_include_pad' (default True): whether the zeros of the padding count in the mean;
            what lies beyond them never does.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, C, H', W') with ``H' = 1 + (H + 2 pad - pool_height) // stride``, rounded up with
        ceil_mode, and W' likewise, and the cache for `avg_pool_backward`.

    Raises:
        ShapeError, DtypeError: x is not four-dimensional, or smaller than the window.
        OptionError: pool_param lacks a key, has an unknown one, or a number out of range.

    Source: LeCun et al., Gradient-based learning applied to document recognition (1998).
    """
    (x,) = promote("avg_pool_forward", x=x)
    check_ndim("avg_pool_forward", "x", x, 4, "(N, C, H, W)")
    where = "avg_pool_forward"
    options = pool_options(where, pool_param, _KEYS)
    name = "pool_param['count_include_pad']"
    counts_pad = as_flag(where, name, pool_param.get("count_include_pad", True))
    border = check_pool(where, tuple(x.shape), options)
    sizes = None if border is None else pool_sizes(x.shape[2:], options, border, counts_pad)
    return run_forward("avg_pool", engine, (x,), options.window, options.stride, border, sizes)


def avg_pool_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `avg_pool_forward`: an equal share of dout to each number of its window.

    Args:
        dout: upstream gradient, (N, C, H', W').
        cache: what `avg_pool_forward` returned.

    Returns:
        dx, (N, C, H, W).

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("avg_pool", dout, cache)


class Saved(NamedTuple):
    """x: kept so that dx takes its shape and memory layout."""

    x: Array
    window: Pair
    stride: Pair


@vectorized.computes("avg_pool_forward")
def _forward(
    x: Array,
    window: Pair,
    stride: Pair,
    border: Border | None = None,
    sizes: bordered.Sizes | None = None,
) -> tuple[Array, Saved | bordered.Saved]:
    """One step for each offset of the window, for all windows at once."""
    if border is not None and sizes is not None:
        return bordered.avg_pool_forward(x, window, stride, border, sizes)
    first, *others = slices(x, window, stride)
    out = namespace(x).asarray(first, copy=True)
    for other in others:
        out += other
    out /= window[0] * window[1]
    return out, Saved(x, window, stride)


@vectorized.computes("avg_pool_backward")
def _backward(dout: Array, saved: Saved | bordered.Saved) -> Array:
    if isinstance(saved, bordered.Saved):
        return bordered.avg_pool_backward(dout, saved)
    x, window, stride = saved
    dx = namespace(x).zeros_like(x)
    share = dout / (window[0] * window[1])
    for dslice in slices(dx, window, stride):
        dslice += share
    return dx
