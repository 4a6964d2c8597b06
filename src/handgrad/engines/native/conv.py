"""Convolution of channels-last images: Winograd's algorithm or direct matrix products."""

from __future__ import annotations

import numpy as np

from handgrad.engines.native import _kernels

Pair = tuple[int, int]
Saved = tuple[np.ndarray, np.ndarray, Pair, Pair]  # x, w, stride, pad


def conv_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: Pair, pad: Pair
) -> tuple[np.ndarray, Saved]:
    return _kernels.conv_forward(x, w, b, stride, pad), (x, w, stride, pad)


def conv_backward(dout: np.ndarray, saved: Saved) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return _kernels.conv_backward(dout, *saved, True, True)
