"""Pooling, in loops: the formulas of the three pooling layers, one number at a time."""

from __future__ import annotations

import numpy as np

Pair = tuple[int, int]


def max_pool_forward(x: np.ndarray, window: Pair, stride: Pair) -> tuple[np.ndarray, tuple]:
    N, C, H_out, W_out = _output_shape(x, window, stride)
    out = np.zeros((N, C, H_out, W_out), x.dtype)
    for n in range(N):
        for c in range(C):
            for i in range(H_out):
                for j in range(W_out):
                    row, col = _first_maximum(x[n, c], i * stride[0], j * stride[1], window)
                    out[n, c, i, j] = x[n, c, row, col]
    return out, (x, window, stride)


def max_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    x, window, stride = saved
    N, C, H_out, W_out = dout.shape
    dx = np.zeros(x.shape, x.dtype)
    for n in range(N):
        for c in range(C):
            for i in range(H_out):
                for j in range(W_out):
                    row, col = _first_maximum(x[n, c], i * stride[0], j * stride[1], window)
                    dx[n, c, row, col] += dout[n, c, i, j]
    return dx


def _first_maximum(image: np.ndarray, top: int, left: int, window: Pair) -> Pair:
    """Return (row, column) of the window's first maximum; the first NaN, where there is one."""
    best = top, left
    for row in range(top, top + window[0]):
        for col in range(left, left + window[1]):
            value, largest = image[row, col].real, image[best].real
            if value > largest or (np.isnan(value) and not np.isnan(largest)):
                best = row, col
    return best


def avg_pool_forward(x: np.ndarray, window: Pair, stride: Pair) -> tuple[np.ndarray, tuple]:
    N, C, H_out, W_out = _output_shape(x, window, stride)
    HH, WW = window
    out = np.zeros((N, C, H_out, W_out), x.dtype)
    for n in range(N):
        for c in range(C):
            for i in range(H_out):
                for j in range(W_out):
                    for u in range(HH):
                        for v in range(WW):
                            out[n, c, i, j] += x[n, c, i * stride[0] + u, j * stride[1] + v]
                    out[n, c, i, j] /= HH * WW
    return out, (x.shape, window, stride)


def avg_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    shape, (HH, WW), stride = saved
    N, C, H_out, W_out = dout.shape
    dx = np.zeros(shape, dout.dtype)
    for n in range(N):
        for c in range(C):
            for i in range(H_out):
                for j in range(W_out):
                    share = dout[n, c, i, j] / (HH * WW)
                    for u in range(HH):
                        for v in range(WW):
                            dx[n, c, i * stride[0] + u, j * stride[1] + v] += share
    return dx


def global_avg_pool_forward(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    N, C, H, W = x.shape
    out = np.zeros((N, C), x.dtype)
    for n in range(N):
        for c in range(C):
            for row in range(H):
                for col in range(W):
                    out[n, c] += x[n, c, row, col]
            out[n, c] /= H * W
    return out, x.shape


def global_avg_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    N, C, H, W = saved
    dx = np.zeros((N, C, H, W), dout.dtype)
    for n in range(N):
        for c in range(C):
            for row in range(H):
                for col in range(W):
                    dx[n, c, row, col] = dout[n, c] / (H * W)
    return dx


def _output_shape(x: np.ndarray, window: Pair, stride: Pair) -> tuple[int, int, int, int]:
    N, C, H, W = x.shape
    return N, C, 1 + (H - window[0]) // stride[0], 1 + (W - window[1]) // stride[1]
