"""Upsampling, one axis after the other, one phase of the output's rows modulo the scale at a time.

All rows k scale + r of the output have the same shares of two neighbouring rows of x, rows k + first
and k + first + 1.  x is kept only so that dx takes its memory layout.
"""

from __future__ import annotations

from math import floor

from handgrad.engines.arrays import Array, namespace

Pair = tuple[int, int]


def upsample_forward(x: Array, scale: Pair, bilinear: bool) -> tuple[Array, tuple]:
    xp = namespace(x)
    out = x
    for axis, factor in ((2, scale[0]), (3, scale[1])):
        out = _interpolated(out, axis, factor) if bilinear else xp.repeat(out, factor, axis=axis)
    return out, (x, scale, bilinear)


def upsample_backward(dout: Array, saved: tuple) -> Array:
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
