"""Shifted slices: what one offset of the window sees, for all windows at once."""

from __future__ import annotations

from handgrad.engines.arrays import Array

Pair = tuple[int, int]


def count(size: Pair, window: Pair, stride: Pair) -> Pair:
    """Return the numbers of windows, vertical and horizontal, in images of `size`."""
    return 1 + (size[0] - window[0]) // stride[0], 1 + (size[1] - window[1]) // stride[1]


def shifted(images: Array, u: int, v: int, counts: Pair, stride: Pair) -> Array:
    """Return the view ``images[:, :, i * stride + u, j * stride + v]`` for all windows (i, j)."""
    bottom, right = u + (counts[0] - 1) * stride[0] + 1, v + (counts[1] - 1) * stride[1] + 1
    return images[:, :, u : bottom : stride[0], v : right : stride[1]]
