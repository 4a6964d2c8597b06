"""Convolution as matrix products over shifted slices of the padded images.

The window is taken one row u at a time.  Its WW slices, one for each column v, are stacked into a
matrix of WW C rows and one column for each output pixel, and each filter's row u is one row of the
other factor: the output is the sum of HH such products.  Images are kept channels-first over the
whole batch, (C, N, H, W), so that all slices are blocks of whole image rows.  With G groups of
channels all matrices become stacks of G smaller ones.

`conv` and `conv_transpose` are made of the same sums: the output of the transposed convolution is the
gradient of the images, its gradient of the images an output.
"""

from __future__ import annotations

from typing import NamedTuple

from handgrad.engines.arrays import Array, namespace
from handgrad.layers.windows import Pair, shifted


class Windows(NamedTuple):
    """Where the windows of one convolution are; counts: how many of them."""

    counts: Pair
    stride: Pair
    pad: Pair
    dilation: Pair
    groups: int


def products(images: Array, w: Array, windows: Windows) -> Array:
    """Return the convolution of `images` without its bias, as a matrix (F, N H' W')."""
    xp = namespace(images)
    F, _, HH, WW = w.shape
    out = _row_of_filters(w, 0, windows) @ _row_of_windows(images, 0, WW, windows)
    for u in range(1, HH):
        out += _row_of_filters(w, u, windows) @ _row_of_windows(images, u, WW, windows)
    return xp.reshape(out, (F, out.shape[2]))


def image_gradient(dout: Array, w: Array, padded_shape: tuple[int, ...], windows: Windows) -> Array:
    """Return dx, (N, C, H, W), for dout (F, N H' W') and padded images of `padded_shape`."""
    xp = namespace(dout)
    C, N, H, W = padded_shape
    _, _, HH, WW = w.shape
    G, (top, left) = windows.groups, windows.pad
    dimages = xp.zeros(padded_shape, dtype=dout.dtype, device=dout.device)
    dout = _in_groups(dout, G)
    for u in range(HH):
        dwindows = xp.matrix_transpose(_row_of_filters(w, u, windows)) @ dout
        dwindows = xp.reshape(dwindows, (G, WW, C // G, N, *windows.counts))
        for v in range(WW):
            dslice = _slice(dimages, u, v, windows)
            dslice += xp.reshape(dwindows[:, v, ...], (C, N, *windows.counts))
    return xp.permute_dims(dimages[:, :, top : H - top, left : W - left], (1, 0, 2, 3))


def filter_gradient(dout: Array, images: Array, shape: tuple[int, ...], windows: Windows) -> Array:
    """Return dw, of w's `shape`, for dout (F, N H' W') and padded images."""
    xp = namespace(images)
    F, depth, HH, WW = shape
    dw = xp.empty(shape, dtype=images.dtype, device=images.device)
    dout = _in_groups(dout, windows.groups)
    for u in range(HH):
        dfilters = dout @ xp.matrix_transpose(_row_of_windows(images, u, WW, windows))
        dw[:, :, u, :] = xp.permute_dims(xp.reshape(dfilters, (F, WW, depth)), (0, 2, 1))
    return dw


def padded(x: Array, pad: Pair) -> Array:
    """Return x, (N, C, H, W), as (C, N, H + 2 pad, W + 2 pad), with zeros around each image."""
    xp = namespace(x)
    N, C, H, W = x.shape
    images = xp.permute_dims(x, (1, 0, 2, 3))
    if pad == (0, 0):
        return images
    bordered = xp.zeros((C, N, H + 2 * pad[0], W + 2 * pad[1]), dtype=x.dtype, device=x.device)
    bordered[:, :, pad[0] : pad[0] + H, pad[1] : pad[1] + W] = images
    return bordered


def as_matrix(images: Array) -> Array:
    """Return images (N, F, H', W') as a matrix (F, N H' W')."""
    xp = namespace(images)
    N, F, H, W = images.shape
    return xp.reshape(xp.permute_dims(images, (1, 0, 2, 3)), (F, N * H * W))


def as_images(matrix: Array, counts: Pair) -> Array:
    """Return a matrix (F, N H' W') as images (N, F, H', W')."""
    xp = namespace(matrix)
    N = matrix.shape[1] // (counts[0] * counts[1])
    return xp.permute_dims(xp.reshape(matrix, (matrix.shape[0], N, *counts)), (1, 0, 2, 3))


def _in_groups(matrix: Array, groups: int) -> Array:
    """Return a matrix (F, P) as (G, F / G, P)."""
    F, P = matrix.shape
    return namespace(matrix).reshape(matrix, (groups, F // groups, P))


def _row_of_filters(w: Array, u: int, windows: Windows) -> Array:
    """Return ``w[:, :, u, :]`` as matrices (G, F / G, WW C)."""
    xp = namespace(w)
    F, C, _, WW = w.shape
    row = xp.permute_dims(w[:, :, u, :], (0, 2, 1))
    return xp.reshape(row, (windows.groups, F // windows.groups, WW * C))


def _row_of_windows(images: Array, u: int, WW: int, windows: Windows) -> Array:
    """Return row u of all windows as matrices (G, WW C / G, N H' W')."""
    xp = namespace(images)
    C, N = images.shape[:2]
    G, (height, width) = windows.groups, windows.counts
    shape = (G, C // G, N, height, width)
    slices = [xp.reshape(_slice(images, u, v, windows), shape) for v in range(WW)]
    return xp.reshape(xp.concat(slices, axis=1), (G, WW * C // G, N * height * width))


def _slice(images: Array, u: int, v: int, windows: Windows) -> Array:
    """Return what the offset (u, v) of the window sees, for all windows at once: a view."""
    dilation = windows.dilation
    return shifted(images, u * dilation[0], v * dilation[1], windows.counts, windows.stride)
