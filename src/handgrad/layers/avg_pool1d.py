"""Average pooling of sequences: that of images of one row, `handgrad.layers.avg_pool`.

out[n, c, i] = mean(window[n, c, i]), windows of `pool_length` numbers, `stride` apart
"""

from __future__ import annotations

from typing import Any

from handgrad.engines.arrays import Array, promote
from handgrad.errors import check_ndim
from handgrad.layers.avg_pool import avg_pool_backward, avg_pool_forward
from handgrad.layers.pair import Cache
from handgrad.layers.rows import as_image, as_sequence, pool_param, sequence_cache, upstream


def avg_pool1d_forward(
    x: Array, pool1d_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Mean of each window: ``out[n, c, i] = mean(window[n, c, i])``.

    Args:
        x: sequences, (N, C, L).
        pool1d_param: 'pool_length', the window; 'stride' (default: the window), 'pad' (default 0, at most
            half of the window); 'ceil_mode' (default False): whether a last window that reaches beyond
            the far end counts.
            'count_include_pad' (default True): whether zeros of the padding count in the mean.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, C, L') with ``L' = 1 + (L + 2 pad - pool_length) // stride``, rounded up with ceil_mode, and
        the cache for `avg_pool1d_backward`.

    Raises:
        ShapeError, DtypeError: x is not (N, C, L), or shorter than the window.
        OptionError: pool1d_param lacks a key, has an unknown one, or a number out of range.

    Source: as `avg_pool_forward`.

    >>> import numpy as np
    >>> out, cache = avg_pool1d_forward(np.arange(6.0).reshape(1, 1, 6), {"pool_length": 2})
    >>> out[0, 0].tolist()
    [0.5, 2.5, 4.5]
    """
    layer = "avg_pool1d_forward"
    (x,) = promote(layer, x=x)
    check_ndim(layer, "x", x, 3, "(N, C, L)")
    param = pool_param(layer, pool1d_param, ("count_include_pad",))
    out, images = avg_pool_forward(as_image(x), param, engine=engine)
    out = as_sequence(out)
    return out, sequence_cache("avg_pool1d", out, images)


def avg_pool1d_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `avg_pool1d_forward`, that of the pool of images of one row.

    Args:
        dout: upstream gradient, (N, C, L').
        cache: what `avg_pool1d_forward` returned.

    Returns:
        dx, (N, C, L).

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    dout = upstream("avg_pool1d", dout, cache)
    return as_sequence(avg_pool_backward(dout, cache.saved.images))
