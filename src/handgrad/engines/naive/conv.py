"""Convolution and its transpose, in loops: the formulas of their layers, one product at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Pair = tuple[int, int]


def conv_forward(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    stride: Pair,
    pad: Pair,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> tuple[np.ndarray, tuple]:
    N, _, H, W = x.shape
    F, depth, HH, WW = w.shape
    H_out = 1 + (H + 2 * pad[0] - dilation[0] * (HH - 1) - 1) // stride[0]
    W_out = 1 + (W + 2 * pad[1] - dilation[1] * (WW - 1) - 1) // stride[1]
    out = np.zeros((N, F, H_out, W_out), x.dtype)
    for n in range(N):
        for f in range(F):
            first = f // (F // groups) * depth  # channel of f's group
            for i in range(H_out):
                for j in range(W_out):
                    out[n, f, i, j] = b[f]
                    for c in range(depth):
                        for u, row in _inside(i * stride[0] - pad[0], HH, H, dilation[0]):
                            for v, col in _inside(j * stride[1] - pad[1], WW, W, dilation[1]):
                                out[n, f, i, j] += x[n, first + c, row, col] * w[f, c, u, v]
    return out, (x, w, stride, pad, dilation, groups)


def conv_backward(dout: np.ndarray, saved: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, w, stride, pad, dilation, groups = saved
    N, _, H, W = x.shape
    F, depth, HH, WW = w.shape
    _, _, H_out, W_out = dout.shape
    dx = np.zeros(x.shape, x.dtype)
    dw = np.zeros(w.shape, x.dtype)
    db = np.zeros(F, x.dtype)
    for n in range(N):
        for f in range(F):
            first = f // (F // groups) * depth
            for i in range(H_out):
                for j in range(W_out):
                    db[f] += dout[n, f, i, j]
                    for c in range(depth):
                        for u, row in _inside(i * stride[0] - pad[0], HH, H, dilation[0]):
                            for v, col in _inside(j * stride[1] - pad[1], WW, W, dilation[1]):
                                dx[n, first + c, row, col] += dout[n, f, i, j] * w[f, c, u, v]
                                dw[f, c, u, v] += dout[n, f, i, j] * x[n, first + c, row, col]
    return dx, dw, db


def conv_transpose_forward(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    stride: Pair,
    pad: Pair,
    output_pad: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[np.ndarray, tuple]:
    N, C, H, W = x.shape
    _, depth, HH, WW = w.shape
    H_out = (H - 1) * stride[0] - 2 * pad[0] + dilation[0] * (HH - 1) + 1 + output_pad[0]
    W_out = (W - 1) * stride[1] - 2 * pad[1] + dilation[1] * (WW - 1) + 1 + output_pad[1]
    out = np.zeros((N, groups * depth, H_out, W_out), x.dtype)
    for n in range(N):
        for f in range(groups * depth):
            out[n, f] = b[f]
        for c in range(C):
            first = c // (C // groups) * depth  # filter of c's group
            for i in range(H):
                for j in range(W):
                    for f in range(depth):
                        for u, row in _inside(i * stride[0] - pad[0], HH, H_out, dilation[0]):
                            for v, col in _inside(j * stride[1] - pad[1], WW, W_out, dilation[1]):
                                out[n, first + f, row, col] += x[n, c, i, j] * w[c, f, u, v]
    return out, (x, w, stride, pad, dilation, groups)


def conv_transpose_backward(
    dout: np.ndarray, saved: tuple
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, w, stride, pad, dilation, groups = saved
    N, C, H, W = x.shape
    _, depth, HH, WW = w.shape
    _, F, H_out, W_out = dout.shape
    dx = np.zeros(x.shape, x.dtype)
    dw = np.zeros(w.shape, x.dtype)
    db = np.zeros(F, x.dtype)
    for n in range(N):
        for f in range(F):
            for row in range(H_out):
                for col in range(W_out):
                    db[f] += dout[n, f, row, col]
        for c in range(C):
            first = c // (C // groups) * depth
            for i in range(H):
                for j in range(W):
                    for f in range(depth):
                        for u, row in _inside(i * stride[0] - pad[0], HH, H_out, dilation[0]):
                            for v, col in _inside(j * stride[1] - pad[1], WW, W_out, dilation[1]):
                                dx[n, c, i, j] += dout[n, first + f, row, col] * w[c, f, u, v]
                                dw[c, f, u, v] += dout[n, first + f, row, col] * x[n, c, i, j]
    return dx, dw, db


def _inside(start: int, window: int, size: int, dilation: int) -> Iterator[tuple[int, int]]:
    """Yield (k, start + k dilation) of the window at `start`, without what lies in the padding."""
    for k in range(window):
        if 0 <= start + k * dilation < size:
            yield k, start + k * dilation
