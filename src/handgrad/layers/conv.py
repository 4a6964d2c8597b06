"""The convolutional layer.

Every output is an affine map of one window of the image, with the same weights at every place.
Outside of the image x is zero; s is the stride, p the pad and d the dilation, the distance between
neighbours in a window, each with its own value for rows and for columns.  With the row
r = i s + u d - p and the column q = j s + v d - p:

    out[n, f, i, j] = sum_{c, u, v} x[n, c, r, q] w[f, c, u, v] + b[f]

Backward follows each product of that sum to its two factors:

    dx[n, c, r, q] = sum of dout[n, f, i, j] w[f, c, u, v] over all (f, i, j, u, v) that reach (r, q)
    dw[f, c, u, v] = sum_{n, i, j} dout[n, f, i, j] x[n, c, r, q]
    db[f]          = sum_{n, i, j} dout[n, f, i, j]

Windows may overlap, so dx is a sum; rows and columns that no window reaches have gradient zero.

With G groups, channels and filters are cut into G equal parts, and each part of the filters sees its
own part of the channels alone: G convolutions side by side.  G = C is the depthwise convolution.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import check_ndim, check_shape
from handgrad.layers.pair import Cache, Checked, run_forward, run_linear_backward
from handgrad.layers.products import (
    Windows,
    as_images,
    as_matrix,
    filter_gradient,
    image_gradient,
    padded,
    products,
)
from handgrad.layers.windows import (
    Pair,
    check_groups,
    check_windows,
    conv_options,
    count,
    reach_of,
)


def conv_forward(
    x: Array, w: Array, b: Array, conv_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Convolution: ``out[n, f, i, j] = sum(window[n, :, i, j] * w[f]) + b[f]``.

    Args:
        x: images, (N, C, H, W).
        w: filters, (F, C / groups, HH, WW).
        b: biases, (F,).
        conv_param: 'stride' (default 1), 'pad' (default 0, zeros on each side) and 'dilation'
            (default 1), each an integer or a pair (vertical, horizontal); 'groups' (default 1), by
            which C and F can be divided.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, F, H', W') with ``H' = 1 + (H + 2 pad - dilation (HH - 1) - 1) // stride`` and W'
        likewise, and the cache for `conv_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others, or no window fits the image.
        OptionError: conv_param is no dictionary, or has an unknown key, a stride, dilation or number
            of groups below 1 or a pad below 0.

    Source: CS231n assignment 2, ``conv_forward_naive``; groups: Krizhevsky, Sutskever and Hinton
    (2012); dilation: Yu and Koltun (2016), arXiv:1511.07122.
    """
    x, w, b = promote("conv_forward", x=x, w=w, b=b)
    return run_forward("conv", engine, (x, w, b), *check(x, w, b, conv_param).options)


def check(x: Array, w: Array, b: Array, conv_param: dict[str, Any]) -> Checked:
    """Do the checks of `conv_forward`; the options are stride, pad, dilation and groups."""
    check_ndim("conv_forward", "x", x, 4, "(N, C, H, W)")
    check_ndim("conv_forward", "w", w, 4, "(F, C, HH, WW)")
    stride, pad, dilation, groups = conv_options("conv_forward", conv_param)
    F, _, HH, WW = w.shape
    C = x.shape[1]
    check_groups("conv_forward", groups, ("channels of x", C), ("filters of w", F))
    depth = "C" if groups == 1 else f"C / {groups}"
    expected = (F, C // groups, HH, WW)
    check_shape("conv_forward", "w", w, expected, f"(F, {depth}, HH, WW) with the C of x")
    check_shape("conv_forward", "b", b, (F,), "(F,) of w (F, C, HH, WW)")
    reach = reach_of((HH, WW), dilation)
    counts = check_windows("conv_forward", tuple(x.shape), F, reach, stride, pad)
    return Checked("conv", (stride, pad, dilation, groups), (x.shape[0], F, *counts))


def conv_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array | None, Array, Array]:
    """Gradients of `conv_forward`, by the sums at the head of this file.

    Args:
        dout: upstream gradient, (N, F, H', W').
        cache: what `conv_forward` returned.
        need_dx: whether dx is wanted; in front of the first layer of a network it is not.

    Returns:
        dx (N, C, H, W), or None where it is not wanted, dw (F, C / groups, HH, WW), db (F,).

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_linear_backward("conv", dout, cache, need_dx)


class Saved(NamedTuple):
    """images: x, padded and channels-first, (C, N, H + 2 pad, W + 2 pad); w: the filters."""

    images: Array
    w: Array
    windows: Windows


@vectorized.computes("conv_forward")
def _forward(
    x: Array,
    w: Array,
    b: Array,
    stride: Pair,
    pad: Pair,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> tuple[Array, Saved]:
    """Sums of matrix products, see `handgrad.layers.products`."""
    images = padded(x, pad)
    counts = count(images.shape[2:], reach_of(w.shape[2:], dilation), stride)
    windows = Windows(counts, stride, pad, dilation, groups)
    out = products(images, w, windows)
    out += b[:, None]
    return as_images(out, counts), Saved(images, w, windows)


@vectorized.computes("conv_backward")
def _backward(dout: Array, saved: Saved) -> tuple[Array, Array, Array]:
    images, w, windows = saved
    dout = as_matrix(dout)
    dx = image_gradient(dout, w, images.shape, windows)
    dw = filter_gradient(dout, images, w.shape, windows)
    return dx, dw, namespace(dout).sum(dout, axis=1)
