"""Pooling, in loops: the formulas of the three pooling layers, one number at a time."""

from __future__ import annotations

import numpy as np

Pair = tuple[int, int]
Border = tuple[Pair, Pair]  # the padding above and on the left; the rows and columns of windows
Sizes = tuple[list[int], list[int]]  # how many rows and columns of each window count in its mean


def max_pool_forward(
    x: np.ndarray, window: Pair, stride: Pair, border: Border | None = None
) -> tuple[np.ndarray, tuple]:
    N, C, H_out, W_out = _output_shape(x, window, stride, border)
    above, left = border[0] if border else (0, 0)
    out = np.zeros((N, C, H_out, W_out), x.dtype)
    for n in range(N):
        for c in range(C):
            for i in range(H_out):
                for j in range(W_out):
                    rows = _inside(i * stride[0] - above, window[0], x.shape[2])
                    cols = _inside(j * stride[1] - left, window[1], x.shape[3])
                    out[n, c, i, j] = x[n, c][_first_maximum(x[n, c], rows, cols)]
    return out, (x, window, stride, (above, left))


def max_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    x, window, stride, (above, left) = saved
    N, C, H_out, W_out = dout.shape
    dx = np.zeros(x.shape, x.dtype)
    for n in range(N):
        for c in range(C):
            for i in range(H_out):
                for j in range(W_out):
                    rows = _inside(i * stride[0] - above, window[0], x.shape[2])
                    cols = _inside(j * stride[1] - left, window[1], x.shape[3])
                    dx[n, c][_first_maximum(x[n, c], rows, cols)] += dout[n, c, i, j]
    return dx


def _first_maximum(image: np.ndarray, rows: range, cols: range) -> Pair:
    """Return (row, column) of the first maximum of a window; the first NaN, where there is one."""
    best = rows[0], cols[0]
    for row in rows:
        for col in cols:
            value, largest = image[row, col].real, image[best].real
            if value > largest or (np.isnan(value) and not np.isnan(largest)):
                best = row, col
    return best


def avg_pool_forward(
    x: np.ndarray,
    window: Pair,
    stride: Pair,
    border: Border | None = None,
    sizes: Sizes | None = None,
) -> tuple[np.ndarray, tuple]:
    N, C, H_out, W_out = _output_shape(x, window, stride, border)
    above, left = border[0] if border else (0, 0)
    out = np.zeros((N, C, H_out, W_out), x.dtype)
    for n in range(N):
        for c in range(C):
            for i in range(H_out):
                for j in range(W_out):
                    for row in _inside(i * stride[0] - above, window[0], x.shape[2]):
                        for col in _inside(j * stride[1] - left, window[1], x.shape[3]):
                            out[n, c, i, j] += x[n, c, row, col]
                    out[n, c, i, j] /= _size(window, sizes, i, j)
    return out, (x.shape, window, stride, (above, left), sizes)


def avg_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    shape, window, stride, (above, left), sizes = saved
    N, C, H_out, W_out = dout.shape
    dx = np.zeros(shape, dout.dtype)
    for n in range(N):
        for c in range(C):
            for i in range(H_out):
                for j in range(W_out):
                    share = dout[n, c, i, j] / _size(window, sizes, i, j)
                    for row in _inside(i * stride[0] - above, window[0], shape[2]):
                        for col in _inside(j * stride[1] - left, window[1], shape[3]):
                            dx[n, c, row, col] += share
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


def _inside(start: int, length: int, size: int) -> range:
    """Return those of the `length` rows from `start` on that an image of `size` rows has."""
    return range(max(start, 0), min(start + length, size))


def _size(window: Pair, sizes: Sizes | None, i: int, j: int) -> int:
    """Return how many numbers count in the mean of window (i, j)."""
    return sizes[0][i] * sizes[1][j] if sizes else window[0] * window[1]


def _output_shape(
    x: np.ndarray, window: Pair, stride: Pair, border: Border | None
) -> tuple[int, int, int, int]:
    N, C, H, W = x.shape
    if border:
        return N, C, *border[1]
    return N, C, 1 + (H - window[0]) // stride[0], 1 + (W - window[1]) // stride[1]
