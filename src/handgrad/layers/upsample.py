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

from math import floor
from typing import Any, NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
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
from handgrad.layers.windows import Pair

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
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("upsample", dout, cache)


# One axis after the other, one phase of the output's rows modulo the scale at a time: all rows k scale + r of
# the output have the same shares of two neighbouring rows of x, rows k + first and k + first + 1.


class Saved(NamedTuple):
    """x: kept so that dx takes its memory layout."""

    x: Array
    scale: Pair
    bilinear: bool


@vectorized.computes("upsample_forward")
def _forward(x: Array, scale: Pair, bilinear: bool) -> tuple[Array, Saved]:
    xp = namespace(x)
    out = x
    for axis, factor in ((2, scale[0]), (3, scale[1])):
        out = _interpolated(out, axis, factor) if bilinear else xp.repeat(out, factor, axis=axis)
    return out, Saved(x, scale, bilinear)


@vectorized.computes("upsample_backward")
def _backward(dout: Array, saved: Saved) -> Array:
    x, scale, bilinear = saved
    xp = namespace(x)
    dx = dout
    for axis, factor in ((3, scale[1]), (2, scale[0])):
        if bilinear:
            dx = _interpolated_backward(dx, axis, factor)
        else:
            shape = (*dx.shape[:axis], dx.shape[axis] // factor, factor, *dx.shape[axis + 1 :])
            dx = xp.sum(xp.reshape(dx, shape), axis=axis + 1)
    out = xp.zeros_like(x)
    out += dx
    return out


def _phases(scale: int) -> list[tuple[int, float]]:
    """Return (first, share of the second row) of each phase r: the place is (r + 1/2) / scale - 1/2."""
    places = [(r + 0.5) / scale - 0.5 for r in range(scale)]
    return [(floor(place), place - floor(place)) for place in places]


def _interpolated(x: Array, axis: int, scale: int) -> Array:
    """Return x, `scale` times as large along `axis`; beyond its edges x goes on as it is there."""
    xp = namespace(x)
    size = x.shape[axis]
    edges = [_part(x, axis, 0, 1), x, _part(x, axis, size - 1, size)]
    extended = xp.concat(edges, axis=axis)
    phases = []
    for first, share in _phases(scale):
        before = _part(extended, axis, first + 1, first + 1 + size)
        after = _part(extended, axis, first + 2, first + 2 + size) if share else before
        phases.append((1.0 - share) * before + share * after)
    shape = (*x.shape[:axis], size * scale, *x.shape[axis + 1 :])
    return xp.reshape(xp.stack(phases, axis=axis + 1), shape)


def _interpolated_backward(dout: Array, axis: int, scale: int) -> Array:
    xp = namespace(dout)
    size = dout.shape[axis] // scale
    before, after = dout.shape[:axis], dout.shape[axis + 1 :]
    parts = xp.reshape(dout, (*before, size, scale, *after))
    extended = xp.zeros((*before, size + 2, *after), dtype=dout.dtype, device=dout.device)
    for r, (first, share) in enumerate(_phases(scale)):
        part = _part(parts, axis + 1, r, r + 1)
        part = xp.reshape(part, (*before, size, *after))
        target = _part(extended, axis, first + 1, first + 1 + size)
        target += (1.0 - share) * part
        if share:
            target = _part(extended, axis, first + 2, first + 2 + size)
            target += share * part
    for edge, inner in ((0, 1), (size + 1, size)):
        target = _part(extended, axis, inner, inner + 1)
        target += _part(extended, axis, edge, edge + 1)
    return _part(extended, axis, 1, size + 1)


def _part(x: Array, axis: int, start: int, stop: int) -> Array:
    """Return the view ``x[..., start:stop, ...]`` along `axis`."""
    return x[(slice(None),) * axis + (slice(start, stop),) + (slice(None),) * (x.ndim - axis - 1)]
