"""Convolution as matrix products over shifted slices of the padded images.

The window is taken one row u at a time.  Its WW slices, one for each column v, are stacked into a
matrix of WW C rows and one column for each output pixel, and each filter's row u is one row of the
other factor: the output is the sum of HH such products.  Images are kept channels-first over the
whole batch, (C, N, H, W), so that all slices are blocks of whole image rows.
"""

from __future__ import annotations

from handgrad.engines.arrays import Array, namespace
from handgrad.engines.vectorized.windows import Pair, count, shifted


def conv_forward(x: Array, w: Array, b: Array, stride: Pair, pad: Pair) -> tuple[Array, tuple]:
    xp = namespace(x)
    N, _, H, W = x.shape
    F, _, HH, WW = w.shape
    counts = count((H + 2 * pad[0], W + 2 * pad[1]), (HH, WW), stride)
    images = _padded(x, pad)
    out = _row_of_filters(w, 0) @ _row_of_windows(images, 0, WW, counts, stride)
    for u in range(1, HH):
        out += _row_of_filters(w, u) @ _row_of_windows(images, u, WW, counts, stride)
    out += b[:, None]
    out = xp.permute_dims(xp.reshape(out, (F, N, *counts)), (1, 0, 2, 3))
    return out, (images, w, stride, pad)


def conv_backward(dout: Array, saved: tuple) -> tuple[Array, Array, Array]:
    images, w, stride, pad = saved
    xp = namespace(images)
    C, N, H, W = images.shape
    F, _, HH, WW = w.shape
    counts = dout.shape[2], dout.shape[3]
    dout = xp.reshape(xp.permute_dims(dout, (1, 0, 2, 3)), (F, N * counts[0] * counts[1]))
    dimages = xp.zeros(images.shape, dtype=images.dtype, device=images.device)
    dw = xp.empty_like(w)
    for u in range(HH):
        dfilters = dout @ _row_of_windows(images, u, WW, counts, stride).T
        dw[:, :, u, :] = xp.permute_dims(xp.reshape(dfilters, (F, WW, C)), (0, 2, 1))
        dwindows = xp.reshape(_row_of_filters(w, u).T @ dout, (WW, C, N, *counts))
        for v in range(WW):
            dslice = shifted(dimages, u, v, counts, stride)
            dslice += dwindows[v, ...]
    dx = dimages[:, :, pad[0] : H - pad[0], pad[1] : W - pad[1]]
    return xp.permute_dims(dx, (1, 0, 2, 3)), dw, xp.sum(dout, axis=1)


def _padded(x: Array, pad: Pair) -> Array:
    """Return x, (N, C, H, W), as (C, N, H + 2 pad, W + 2 pad), with zeros around each image."""
    xp = namespace(x)
    N, C, H, W = x.shape
    images = xp.permute_dims(x, (1, 0, 2, 3))
    if pad == (0, 0):
        return images
    padded = xp.zeros((C, N, H + 2 * pad[0], W + 2 * pad[1]), dtype=x.dtype, device=x.device)
    padded[:, :, pad[0] : pad[0] + H, pad[1] : pad[1] + W] = images
    return padded


def _row_of_filters(w: Array, u: int) -> Array:
    """Return ``w[:, :, u, :]`` as a matrix (F, WW C)."""
    xp = namespace(w)
    F, C, _, WW = w.shape
    return xp.reshape(xp.permute_dims(w[:, :, u, :], (0, 2, 1)), (F, WW * C))


def _row_of_windows(images: Array, u: int, WW: int, counts: Pair, stride: Pair) -> Array:
    """Return row u of all windows as a matrix (WW C, N H' W')."""
    xp = namespace(images)
    C, N = images.shape[:2]
    slices = [shifted(images, u, v, counts, stride) for v in range(WW)]
    return xp.reshape(xp.concat(slices, axis=0), (WW * C, N * counts[0] * counts[1]))
