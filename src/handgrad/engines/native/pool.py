"""Pooling; the largest element of each window is remembered by its number, as a byte."""

from __future__ import annotations

import numpy as np

from handgrad.engines.native import _kernels

Pair = tuple[int, int]


def max_pool_forward(x: np.ndarray, window: Pair, stride: Pair) -> tuple[np.ndarray, tuple]:
    out, index = _kernels.max_pool_forward(x, window, stride, False)
    return out, (index, x.shape, window, stride)


def max_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    return _kernels.max_pool_backward(dout, *saved)


def avg_pool_forward(x: np.ndarray, window: Pair, stride: Pair) -> tuple[np.ndarray, tuple]:
    return _kernels.avg_pool_forward(x, window, stride), (x.shape, window, stride)


def avg_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    return _kernels.avg_pool_backward(dout, *saved)


def global_avg_pool_forward(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    image = (x.shape[2], x.shape[3])
    out, saved = avg_pool_forward(x, image, (1, 1))
    return out.reshape(x.shape[:2]), saved


def global_avg_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    return avg_pool_backward(dout[:, :, None, None], saved)
