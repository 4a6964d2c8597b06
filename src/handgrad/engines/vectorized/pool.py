"""Pooling in one step for each offset of the window, for all windows at once.

Max pooling keeps the number of the chosen offset for each output.  x is kept only so that dx takes
its memory layout.  With a border some windows reach out of the image: an offset is then looked at for
those windows alone that have it inside.
"""

from __future__ import annotations

from typing import Any

from handgrad.engines.arrays import Array, namespace, real_part
from handgrad.engines.vectorized.windows import Border, Pair, count, inside, shifted

Sizes = tuple[list[int], list[int]]  # how many rows and columns of each window count in its mean
Place = tuple[Any, ...]  # the windows that have an offset inside of the image, as an index


def max_pool_forward(
    x: Array, window: Pair, stride: Pair, border: Border | None = None
) -> tuple[Array, tuple]:
    if border is not None:
        return _bordered_max_pool(x, window, stride, border)
    xp = namespace(x)
    first, *others = _slices(x, window, stride)
    out = xp.asarray(first, copy=True)
    index_dtype = xp.uint8 if len(others) < 256 else xp.int32
    index = xp.zeros_like(out, dtype=index_dtype)
    for k, candidate in enumerate(others, start=1):
        value, largest = real_part(candidate), real_part(out)
        larger = ~(value <= largest) & (largest == largest)  # true of the first NaN, too
        is_real = value is candidate  # where would do for both, at six times the price
        out = xp.maximum(out, candidate) if is_real else xp.where(larger, candidate, out)
        index = xp.maximum(index, xp.astype(larger, index_dtype) * k)
    return out, (x, index, window, stride, None)


def _bordered_max_pool(x: Array, window: Pair, stride: Pair, border: Border) -> tuple[Array, tuple]:
    xp = namespace(x)
    parts = _parts(x, window, stride, border)
    shape = (*x.shape[:2], *border[1])
    out = xp.zeros(shape, dtype=x.dtype, device=x.device)
    index = xp.zeros(shape, dtype=xp.uint8 if len(parts) <= 256 else xp.int32, device=x.device)
    seen = xp.zeros(border[1], dtype=xp.bool, device=x.device)  # windows that have a number by now
    for k, (place, candidate) in enumerate(parts):
        value, largest = real_part(candidate), real_part(out[place])
        larger = (~(value <= largest) & (largest == largest)) | ~seen[place[2:]]
        out[place] = xp.where(larger, candidate, out[place])
        index[place] = xp.where(
            larger, xp.asarray(k, dtype=index.dtype, device=x.device), index[place]
        )
        seen[place[2:]] = True
    return out, (x, index, window, stride, border)


def max_pool_backward(dout: Array, saved: tuple) -> Array:
    x, index, window, stride, border = saved
    xp = namespace(x)
    dx = xp.zeros_like(x)
    zero = xp.zeros((), dtype=dout.dtype, device=dout.device)
    finite = bool(xp.all(xp.isfinite(dout)))
    for k, (place, dslice) in enumerate(_parts(dx, window, stride, border)):
        chosen, dpart = index[place] == k, dout[place]
        # The product is several times faster than where, but infinity times zero is NaN.
        dslice += dpart * xp.astype(chosen, dout.dtype) if finite else xp.where(chosen, dpart, zero)
    return dx


def avg_pool_forward(
    x: Array,
    window: Pair,
    stride: Pair,
    border: Border | None = None,
    sizes: Sizes | None = None,
) -> tuple[Array, tuple]:
    xp = namespace(x)
    size: Any = window[0] * window[1]
    if border is None:
        first, *others = _slices(x, window, stride)
        out = xp.asarray(first, copy=True)
        for other in others:
            out += other
    else:
        out = xp.zeros((*x.shape[:2], *border[1]), dtype=x.dtype, device=x.device)
        for place, part in _parts(x, window, stride, border):
            out[place] += part
    if sizes is not None:
        heights, widths = (xp.asarray(s, dtype=x.dtype, device=x.device) for s in sizes)
        size = heights[:, None] * widths[None, :]
    out /= size
    return out, (x, window, stride, border, size)


def avg_pool_backward(dout: Array, saved: tuple) -> Array:
    x, window, stride, border, size = saved
    dx = namespace(x).zeros_like(x)
    share = dout / size
    for place, dslice in _parts(dx, window, stride, border):
        dslice += share[place]
    return dx


def global_avg_pool_forward(x: Array) -> tuple[Array, Array]:
    return namespace(x).sum(x, axis=(2, 3)) / (x.shape[2] * x.shape[3]), x


def global_avg_pool_backward(dout: Array, saved: Array) -> Array:
    share = dout / (saved.shape[2] * saved.shape[3])
    return namespace(saved).zeros_like(saved) + share[:, :, None, None]


def _slices(images: Array, window: Pair, stride: Pair) -> list[Array]:
    """Return what each offset (u, v) of the window sees, row by row: views of (N, C, H', W')."""
    counts = count(images.shape[2:], window, stride)
    offsets = [(u, v) for u in range(window[0]) for v in range(window[1])]
    return [shifted(images, u, v, counts, stride) for u, v in offsets]


def _parts(
    images: Array, window: Pair, stride: Pair, border: Border | None
) -> list[tuple[Place, Array]]:
    """Return for each offset of the window, row by row, the windows that have it inside of the images,
    and what they see there, as views.
    """
    if border is None:
        return [((...,), part) for part in _slices(images, window, stride)]
    rows, columns = (
        inside(images.shape[2 + axis], window[axis], stride[axis], border[0][axis], border[1][axis])
        for axis in (0, 1)
    )
    everywhere = slice(None)
    return [
        ((everywhere, everywhere, i, j), images[:, :, r, q]) for i, r in rows for j, q in columns
    ]
