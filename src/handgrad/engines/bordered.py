"""Pooling whose windows reach out of the image: array code that the vectorized and the native engine share.

Each offset of the window is looked at for those windows alone that have it inside of the image.  x is
kept only so that dx takes its memory layout.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from handgrad.engines.arrays import Array, namespace, real_part

Pair = tuple[int, int]
Border = tuple[Pair, Pair]  # the padding above and on the left; the rows and columns of windows
Sizes = tuple[list[int], list[int]]  # how many rows and columns of each window count in its mean
Place = tuple[slice, ...]  # the windows that have an offset inside of the image, as an index


class Saved(NamedTuple):
    """chosen: the number of the offset of each maximum, or by what the sum of each window was divided."""

    x: Array
    chosen: Array
    window: Pair
    stride: Pair
    border: Border


def max_pool_forward(x: Array, window: Pair, stride: Pair, border: Border) -> tuple[Array, Saved]:
    """Return the maximum of each window, of the numbers inside of the image alone."""
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
        number = xp.asarray(k, dtype=index.dtype, device=x.device)
        index[place] = xp.where(larger, number, index[place])
        seen[place[2:]] = True
    return out, Saved(x, index, window, stride, border)


def max_pool_backward(dout: Array, saved: Saved) -> Array:
    """Return dx: dout at the first maximum of each window."""
    x, index, window, stride, border = saved
    xp = namespace(x)
    dx = xp.zeros_like(x)
    zero = xp.zeros((), dtype=dout.dtype, device=dout.device)
    for k, (place, dslice) in enumerate(_parts(dx, window, stride, border)):
        dslice += xp.where(index[place] == k, dout[place], zero)
    return dx


def avg_pool_forward(
    x: Array, window: Pair, stride: Pair, border: Border, sizes: Sizes
) -> tuple[Array, Saved]:
    """Return the sum of each window inside of the image, divided by its size out of `sizes`."""
    xp = namespace(x)
    out = xp.zeros((*x.shape[:2], *border[1]), dtype=x.dtype, device=x.device)
    for place, part in _parts(x, window, stride, border):
        out[place] += part
    heights, widths = (xp.asarray(size, dtype=x.dtype, device=x.device) for size in sizes)
    size = heights[:, None] * widths[None, :]
    out /= size
    return out, Saved(x, size, window, stride, border)


def avg_pool_backward(dout: Array, saved: Saved) -> Array:
    """Return dx: an equal share of dout for each number of a window in the image."""
    x, size, window, stride, border = saved
    dx = namespace(x).zeros_like(x)
    share = dout / size
    for place, dslice in _parts(dx, window, stride, border):
        dslice += share[place]
    return dx


def _parts(images: Array, window: Pair, stride: Pair, border: Border) -> list[tuple[Place, Array]]:
    """Return for each offset of the window, row by row, the windows that have it inside of the images,
    and what they see there, as views.
    """
    rows, columns = (
        _inside(
            images.shape[2 + axis], window[axis], stride[axis], border[0][axis], border[1][axis]
        )
        for axis in (0, 1)
    )
    everywhere = slice(None)
    return [
        ((everywhere, everywhere, i, j), images[:, :, r, q]) for i, r in rows for j, q in columns
    ]


def _inside(
    size: int, window: int, stride: int, pad: int, windows: int
) -> list[tuple[slice, slice]]:
    """Return for each offset of a window the windows that have it in the image, and the places there.

    Of one axis, of which the image has `size` places; window i begins at ``i * stride - pad``.
    """
    found: list[tuple[Any, Any]] = []
    for u in range(max(pad - (windows - 1) * stride, 0), min(window, size + pad)):
        first = max(-((u - pad) // stride), 0)
        last = min((size - 1 + pad - u) // stride, windows - 1)
        if first <= last:
            start, end = first * stride + u - pad, last * stride + u - pad
            found.append((slice(first, last + 1), slice(start, end + 1, stride)))
    return found
