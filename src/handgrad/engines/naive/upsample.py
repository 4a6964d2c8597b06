"""Upsampling, in loops: the formulas of `handgrad.layers.upsample`, one number at a time."""

from __future__ import annotations

import numpy as np

Pair = tuple[int, int]


def upsample_forward(x: np.ndarray, scale: Pair, bilinear: bool) -> tuple[np.ndarray, tuple]:
    N, C, H, W = x.shape
    out = np.zeros((N, C, H * scale[0], W * scale[1]), x.dtype)
    for n in range(N):
        for c in range(C):
            for i in range(H * scale[0]):
                for j in range(W * scale[1]):
                    for row, share_y in _sources(i, scale[0], H, bilinear):
                        for col, share_x in _sources(j, scale[1], W, bilinear):
                            out[n, c, i, j] += share_y * share_x * x[n, c, row, col]
    return out, (x.shape, scale, bilinear)


def upsample_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    (N, C, H, W), scale, bilinear = saved
    dx = np.zeros((N, C, H, W), dout.dtype)
    for n in range(N):
        for c in range(C):
            for i in range(H * scale[0]):
                for j in range(W * scale[1]):
                    for row, share_y in _sources(i, scale[0], H, bilinear):
                        for col, share_x in _sources(j, scale[1], W, bilinear):
                            dx[n, c, row, col] += share_y * share_x * dout[n, c, i, j]
    return dx


def _sources(i: int, scale: int, size: int, bilinear: bool) -> list[tuple[int, float]]:
    """Return (row, share) of the rows of x that row i of the output is made of."""
    if not bilinear:
        return [(i // scale, 1.0)]
    place = max((i + 0.5) / scale - 0.5, 0.0)
    row = int(place)
    return [(row, 1.0 - (place - row)), (min(row + 1, size - 1), place - row)]
