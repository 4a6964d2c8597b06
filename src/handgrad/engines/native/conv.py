"""Convolution of channels-last images: Winograd's algorithm, direct matrix products, or, in groups
of few channels, sums over vectors of channels."""

from __future__ import annotations

import numpy as np

from handgrad.engines.native import _kernels

Array = np.ndarray
Pair = tuple[int, int]
Saved = tuple[Array, Array, Pair, Pair, Pair, int]  # x, w, stride, pad, dilation, groups


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
    return out, (x, w, *options)


def conv_backward(dout: Array, saved: Saved) -> tuple[Array, Array, Array]:
    return gradients(dout, saved)


def gradients(
    dout: Array, saved: Saved, *, need_dx: bool = True, need_db: bool = True
) -> tuple[Array, Array, Array]:
    """Return dx (None where it is not needed), dw and db (zero where it is not needed)."""
    dx, dw, db = _kernels.conv_backward(dout, *saved, need_dx, need_db)
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
    return out, (x, w, *options)


def conv_transpose_backward(dout: Array, saved: Saved) -> tuple[Array, Array, Array]:
    return _kernels.conv_transpose_backward(dout, *saved)
