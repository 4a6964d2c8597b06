"""Convolution of channels-last images: Winograd's algorithm or direct matrix products."""

from __future__ import annotations

import numpy as np

from handgrad.engines import vectorized
from handgrad.engines.native import _kernels
from handgrad.engines.vectorized import conv_transpose_backward, conv_transpose_forward

__all__ = ["conv_backward", "conv_forward", "conv_transpose_backward", "conv_transpose_forward"]

Array = np.ndarray
Pair = tuple[int, int]
Saved = tuple[np.ndarray, np.ndarray, Pair, Pair]  # x, w, stride, pad


def conv_forward(
    x: Array,
    w: Array,
    b: Array,
    stride: Pair,
    pad: Pair,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> tuple[Array, tuple]:
    if groups == 1 and dilation == (1, 1):
        return _kernels.conv_forward(x, w, b, stride, pad), (x, w, stride, pad)
    return vectorized.conv_forward(x, w, b, stride, pad, dilation, groups)


def conv_backward(dout: Array, saved: tuple) -> tuple[Array, Array, Array]:
    return gradients(dout, saved)


def gradients(
    dout: Array, saved: tuple, *, need_dx: bool = True, need_db: bool = True
) -> tuple[Array, Array, Array]:
    """Return dx (None where it is not needed), dw and db (zero where it is not needed)."""
    if len(saved) == 4:
        return _kernels.conv_backward(dout, *saved, need_dx, need_db)
    return vectorized.conv_backward(dout, saved)
