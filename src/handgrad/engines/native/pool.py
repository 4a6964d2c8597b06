"""Pooling; the largest element of each window is remembered by its number, as a byte.

The kernels know windows inside of the image alone; others are array code (`handgrad.engines.bordered`).
"""

from __future__ import annotations

import numpy as np

from handgrad.engines import bordered
from handgrad.engines.native import _kernels

Pair = tuple[int, int]


def max_pool_forward(
    x: np.ndarray, window: Pair, stride: Pair, border: bordered.Border | None = None
) -> tuple[np.ndarray, tuple]:
    if border is not None:
        return bordered.max_pool_forward(x, window, stride, border)
    out, index = _kernels.max_pool_forward(x, window, stride, False)
    return out, (index, x.shape, window, stride)


def max_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    if isinstance(saved, bordered.Saved):
        return bordered.max_pool_backward(dout, saved)
    return _kernels.max_pool_backward(dout, *saved)


def avg_pool_forward(
    x: np.ndarray,
    window: Pair,
    stride: Pair,
    border: bordered.Border | None = None,
    sizes: bordered.Sizes | None = None,
) -> tuple[np.ndarray, tuple]:
    if border is not None and sizes is not None:
        return bordered.avg_pool_forward(x, window, stride, border, sizes)
    return _kernels.avg_pool_forward(x, window, stride), (x.shape, window, stride)


def avg_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    if isinstance(saved, bordered.Saved):
        return bordered.avg_pool_backward(dout, saved)
    return _kernels.avg_pool_backward(dout, *saved)


def global_avg_pool_forward(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    image = (x.shape[2], x.shape[3])
    out, saved = avg_pool_forward(x, image, (1, 1))
    return out.reshape(x.shape[:2]), saved


def global_avg_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    return avg_pool_backward(dout[:, :, None, None], saved)
