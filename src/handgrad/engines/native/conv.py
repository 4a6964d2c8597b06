"""Convolution of channels-last images: Winograd's algorithm, direct matrix products, or, in groups
of few channels, sums over vectors of channels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from handgrad.engines.native import _kernels

Array = np.ndarray
Pair = tuple[int, int]


class Saved(NamedTuple):
    """The arguments of forward but b."""

    x: Array
    w: Array
    stride: Pair
    pad: Pair
    dilation: Pair
    groups: int


def conv_forward(
    x: Array,
    w: Array,
    b: Array,
    stride: Pair,
    pad: Pair,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> tuple[Array, Saved]:
    options = stride, pad, dilation, groups
    out, _ = _kernels.conv_forward(x, w, b, *options)
    return out, Saved(x, w, *options)


def conv_backward(dout: Array, saved: Saved) -> tuple[Array, Array, Array]:
    dx, dw, db = _kernels.conv_backward(dout, *saved)
    return dx, dw, db


def conv_transpose_forward(
    x: Array,
    w: Array,
    b: Array,
    stride: Pair,
    pad: Pair,
    output_pad: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[Array, Saved]:
    height, width = (
        (x.shape[axis + 2] - 1) * stride[axis]
        - 2 * pad[axis]
        + dilation[axis] * (w.shape[axis + 2] - 1)
        + 1
        + output_pad[axis]
        for axis in (0, 1)
    )
    options = stride, pad, dilation, groups
    out = _kernels.conv_transpose_forward(x, w, b, *options, (height, width))
    return out, Saved(x, w, *options)


def conv_transpose_backward(dout: Array, saved: Saved) -> tuple[Array, Array, Array]:
    return _kernels.conv_transpose_backward(dout, *saved)
