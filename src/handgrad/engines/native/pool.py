"""Pooling; the largest element of each window is remembered by its number, as a byte.

The kernels know windows inside of the image alone; with a border the array code computes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from handgrad.engines.native import _kernels
from handgrad.engines.vectorized import pool
from handgrad.engines.vectorized.windows import Border, Pair


class Bordered(NamedTuple):
    """What the array code keeps."""

    saved: Any


def max_pool_forward(
    x: np.ndarray, window: Pair, stride: Pair, border: Border | None = None
) -> tuple[np.ndarray, tuple]:
    if border is not None:
        out, saved = pool.max_pool_forward(x, window, stride, border)
        return out, Bordered(saved)
    out, index = _kernels.max_pool_forward(x, window, stride, False)
    return out, (index, x.shape, window, stride)


def max_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    if isinstance(saved, Bordered):
        return pool.max_pool_backward(dout, saved.saved)
    return _kernels.max_pool_backward(dout, *saved)


def avg_pool_forward(
    x: np.ndarray,
    window: Pair,
    stride: Pair,
    border: Border | None = None,
    sizes: pool.Sizes | None = None,
) -> tuple[np.ndarray, tuple]:
    if border is not None:
        out, saved = pool.avg_pool_forward(x, window, stride, border, sizes)
        return out, Bordered(saved)
    return _kernels.avg_pool_forward(x, window, stride), (x.shape, window, stride)


def avg_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    if isinstance(saved, Bordered):
        return pool.avg_pool_backward(dout, saved.saved)
    return _kernels.avg_pool_backward(dout, *saved)


def global_avg_pool_forward(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    image = (x.shape[2], x.shape[3])
    out, saved = avg_pool_forward(x, image, (1, 1))
    return out.reshape(x.shape[:2]), saved


def global_avg_pool_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    return avg_pool_backward(dout[:, :, None, None], saved)
