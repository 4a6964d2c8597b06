"""Shifted slices: what one offset of the window sees, for all windows at once."""

from __future__ import annotations

from handgrad.engines.arrays import Array

Pair = tuple[int, int]
Border = tuple[Pair, Pair]  # the padding above and on the left; the rows and columns of windows


def count(size: Pair, window: Pair, stride: Pair) -> Pair:
    """Return the numbers of windows, vertical and horizontal, in images of `size`."""
    return 1 + (size[0] - window[0]) // stride[0], 1 + (size[1] - window[1]) // stride[1]


def shifted(images: Array, u: int, v: int, counts: Pair, stride: Pair) -> Array:
    """Return the view ``images[:, :, i * stride + u, j * stride + v]`` for all windows (i, j)."""
    bottom, right = u + (counts[0] - 1) * stride[0] + 1, v + (counts[1] - 1) * stride[1] + 1
    return images[:, :, u : bottom : stride[0], v : right : stride[1]]


def inside(
    size: int, window: int, stride: int, pad: int, windows: int
) -> list[tuple[slice, slice]]:
    """Return for each offset of a window the windows that have it in the image, and the places there.

    Of one axis, of which the image has `size` places; window i begins at ``i * stride - pad``.
    """
    found = []
    for u in range(max(pad - (windows - 1) * stride, 0), min(window, size + pad)):
        first = max(-((u - pad) // stride), 0)
        last = min((size - 1 + pad - u) // stride, windows - 1)
        if first <= last:
            start, end = first * stride + u - pad, last * stride + u - pad
            found.append((slice(first, last + 1), slice(start, end + 1, stride)))
    return found
