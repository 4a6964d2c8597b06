"""Convolution, in loops: the formulas of `handgrad.layers.conv`, one product at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Pair = tuple[int, int]


def conv_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pad: Pair
) -> tuple[np.ndarray, tuple]:
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    H_out = 1 + (H + 2 * pad[0] - HH) // stride[0]
    W_out = 1 + (W + 2 * pad[1] - WW) // stride[1]
    out = np.zeros((N, F, H_out, W_out), x.dtype)
    for n in range(N):
        for f in range(F):
            for i in range(H_out):
                for j in range(W_out):
                    out[n, f, i, j] = b[f]
                    for c in range(C):
                        for u, row in _inside(i * stride[0] - pad[0], HH, H):
                            for v, col in _inside(j * stride[1] - pad[1], WW, W):
                                out[n, f, i, j] += x[n, c, row, col] * w[f, c, u, v]
    return out, (x, w, stride, pad)


def conv_backward(dout: np.ndarray, saved: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, w, stride, pad = saved
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    _, _, H_out, W_out = dout.shape
    dx = np.zeros(x.shape, x.dtype)
    dw = np.zeros(w.shape, x.dtype)
    db = np.zeros(F, x.dtype)
    for n in range(N):
        for f in range(F):
            for i in range(H_out):
                for j in range(W_out):
                    db[f] += dout[n, f, i, j]
                    for c in range(C):
                        for u, row in _inside(i * stride[0] - pad[0], HH, H):
                            for v, col in _inside(j * stride[1] - pad[1], WW, W):
                                dx[n, c, row, col] += dout[n, f, i, j] * w[f, c, u, v]
                                dw[f, c, u, v] += dout[n, f, i, j] * x[n, c, row, col]
    return dx, dw, db


def _inside(start: int, window: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (offset, start + offset) of the window at `start`, without what lies in the padding."""
    for offset in range(window):
        if 0 <= start + offset < size:
            yield offset, start + offset
