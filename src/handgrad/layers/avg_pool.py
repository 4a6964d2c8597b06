"""Average pooling: the mean of each window.

    out[n, c, i, j] = 1 / (HH WW) sum_{u, v} x[n, c, i s + u, j s + v]

Every number of a window moves the output by the same share:

    dx[n, c, r, q]  = 1 / (HH WW) sum of dout[n, c, i, j] over the windows (i, j) that hold (r, q)
"""

from __future__ import annotations

from typing import Any

from handgrad.engines.arrays import Array, promote
from handgrad.errors import check_ndim
from handgrad.layers.pair import Cache, run_backward, run_forward
from handgrad.layers.windows import check_windows, pool_options


def avg_pool_forward(
    x: Array, pool_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Mean of each window: ``out[n, c, i, j] = mean(window[n, c, i, j])``.

    Args:
        x: images, (N, C, H, W).
        pool_param: 'pool_height' and 'pool_width', the window; 'stride', an integer or a pair
            (vertical, horizontal), by default the window; other keys are ignored.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, C, H', W') with ``H' = 1 + (H - pool_height) // stride`` and W' likewise, and the
        cache for `avg_pool_backward`.

    Raises:
        ShapeError, DtypeError: x is not four-dimensional, or smaller than the window.
        OptionError: pool_param lacks a key, or has a number below 1.

    Source: LeCun et al., Gradient-based learning applied to document recognition (1998).
    """
    (x,) = promote("avg_pool_forward", x=x)
    check_ndim("avg_pool_forward", "x", x, 4, "(N, C, H, W)")
    window, stride = pool_options("avg_pool_forward", pool_param)
    check_windows("avg_pool_forward", tuple(x.shape), x.shape[1], window, stride)
    return run_forward("avg_pool", engine, (x,), window, stride)


def avg_pool_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `avg_pool_forward`: an equal share of dout to each number of its window.

    Args:
        dout: upstream gradient, (N, C, H', W').
        cache: what `avg_pool_forward` returned.

    Returns:
        dx, (N, C, H, W).

    Raises:
        ShapeError: dout has not the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("avg_pool", dout, cache)
