"""Upsampling: images `scale` times as large, without parameters.

Nearest: every pixel becomes a block of equal ones, and its gradient is the sum of the block's.

    out[n, c, i, j] = x[n, c, i // s, j // s]
    dx[n, c, r, q]  = sum of dout[n, c, i, j] over the block i // s = r, j // s = q

Bilinear: the centre of output row i lies at t = (i + 1/2) / s - 1/2 between the rows of x (at 0 where
that is less).  With the rows r = floor(t) and r + 1 (at most H - 1), and the share l = t - r:

    row i = (1 - l) row r + l row r + 1              and the same for the columns
    dx: every dout[n, c, i, j] goes back to the four pixels it came from, by their shares
"""

from __future__ import annotations

from typing import Any

from handgrad.engines.arrays import Array, promote
from handgrad.errors import (
    ShapeError,
    as_pair,
    check_choice,
    check_keys,
    check_ndim,
    check_size,
    required,
)
from handgrad.layers.pair import Cache, run_backward, run_forward

_KEYS = frozenset({"scale", "mode"})


def upsample_forward(
    x: Array, upsample_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Enlarge images: ``out[n, c, i, j] = x[n, c, i // scale, j // scale]``, or between the pixels.

    Args:
        x: images, (N, C, H, W).
        upsample_param: 'scale', an integer or a pair (vertical, horizontal); 'mode', 'nearest' (the
            default) or 'bilinear'.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, C, scale H, scale W), and the cache for `upsample_backward`.

    Raises:
        ShapeError, DtypeError: x is not four-dimensional, or its images have no pixels.
        OptionError: upsample_param lacks the scale, or has one below 1, an unknown mode or an unknown
            key.

    Source: Odena, Dumoulin and Olah, Deconvolution and checkerboard artifacts (2016).
    """
    where = "upsample_forward"
    (x,) = promote(where, x=x)
    check_ndim(where, "x", x, 4, "(N, C, H, W)")
    check_keys(where, "upsample_param", upsample_param, _KEYS)
    given = required(where, "upsample_param", upsample_param, "scale")
    scale = as_pair(where, "upsample_param['scale']", given)
    mode = upsample_param.get("mode", "nearest")
    check_choice(where, "upsample_param['mode']", mode, ("nearest", "bilinear"))
    if 0 in x.shape[2:]:
        raise ShapeError(f"{where}: x must have pixels to enlarge, got shape {tuple(x.shape)}")
    check_size(where, "the output", *x.shape, *scale)
    return run_forward("upsample", engine, (x,), scale, mode == "bilinear")


def upsample_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `upsample_forward`: each pixel's shares of dout, added up.

    Args:
        dout: upstream gradient, (N, C, scale H, scale W).
        cache: what `upsample_forward` returned.

    Returns:
        dx, (N, C, H, W).

    Raises:
        ShapeError: dout has not the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("upsample", dout, cache)
