"""Max pooling: the largest number of each window.

    out[n, c, i, j] = max_{u, v} x[n, c, i s + u, j s + v]

Only the maximum moves the output, so backward hands dout to it and nothing to the others:

    dx[n, c, r, q]  = sum of dout[n, c, i, j] over the windows (i, j) whose maximum is (r, q)

Where several numbers of a window are equally large, the first of them (row by row) is the maximum;
the gradient is never multiplied, so its sum is kept.  A NaN counts as larger than any number.  Of
complex numbers the real parts are compared.  Padding is never the maximum, not even of numbers that are
all minus infinity.
"""

from __future__ import annotations

from typing import Any

from handgrad.engines.arrays import Array, promote
from handgrad.errors import check_ndim
from handgrad.layers.pair import Cache, run_backward, run_forward
from handgrad.layers.windows import check_pool, pool_options


def max_pool_forward(
    x: Array, pool_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Maximum of each window: ``out[n, c, i, j] = max(window[n, c, i, j])``.

    Args:
        x: images, (N, C, H, W).
        pool_param: 'pool_height' and 'pool_width', the window; 'stride' (default: the window) and
            'pad' (default 0, on each side, at most half of the window), each an integer or a pair
            (vertical, horizontal); 'ceil_mode' (default False): whether a last window that reaches
            beyond the far end counts, if it begins in the image or in the padding before it.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, C, H', W') with ``H' = 1 + (H + 2 pad - pool_height) // stride``, rounded up with
        ceil_mode, and W' likewise, and the cache for `max_pool_backward`.

    Raises:
        ShapeError, DtypeError: x is not four-dimensional, or smaller than the window.
        OptionError: pool_param lacks a key, has an unknown one, or a number out of range.

    Source: CS231n assignment 2, ``max_pool_forward_naive``.
    """
    (x,) = promote("max_pool_forward", x=x)
    check_ndim("max_pool_forward", "x", x, 4, "(N, C, H, W)")
    options = pool_options("max_pool_forward", pool_param)
    border = check_pool("max_pool_forward", tuple(x.shape), options)
    return run_forward("max_pool", engine, (x,), options.window, options.stride, border)


def max_pool_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `max_pool_forward`: dout, at the first maximum of each window.

    Args:
        dout: upstream gradient, (N, C, H', W').
        cache: what `max_pool_forward` returned.

    Returns:
        dx, (N, C, H, W).

    Raises:
        ShapeError: dout has not the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("max_pool", dout, cache)
