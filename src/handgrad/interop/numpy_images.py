# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: B905
"""The layers on images (N, C, H, W) of an exported NumPy file: convolutions, pools, enlarging, padding.

They are written and read as those of `handgrad.interop.numpy_layers`.
"""

import numpy as np


def padded(x, pad, more=(0, 0), value=0.0):
    """Images with `value` around them: pad rows and columns on each side, `more` at the far ends."""
    (top, left), (bottom, right) = pad, more
    return np.pad(
        x, ((0, 0), (0, 0), (top, top + bottom), (left, left + right)), constant_values=value
    )


def windows(x, size, stride=(1, 1), dilation=(1, 1)):
    """A view of the windows that slide over images: (N, C, H', W', rows, columns of a window)."""
    reach = [d * (n - 1) + 1 for n, d in zip(size, dilation)]
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def conv(x, W, b, stride=(1, 1), pad=(0, 0), dilation=(1, 1), groups=1):
    """out[n,f,i,j] = sum over c,u,v of W[f,c,u,v] x[n,c,i stride + u dilation,j ...] + b[f]"""
    view = windows(padded(x, pad), W.shape[2:], stride, dilation)
    parts = zip(np.split(view, groups, axis=1), np.split(W, groups))
    out = [np.tensordot(v, w, ((1, 4, 5), (1, 2, 3))) for v, w in parts]
    return np.concatenate(out, axis=3).transpose(0, 3, 1, 2) + b[:, None, None]


def conv_backward(dout, x, W, b, stride=(1, 1), pad=(0, 0), dilation=(1, 1), groups=1):
    """dW[f,c,u,v] = sum over n,i,j of dout[n,f,i,j] x[n,c,i stride + u dilation,j ...]
    dx: every dout[n,f,i,j] goes back to the window that it came from, times W[f]
    """
    view = windows(padded(x, pad), W.shape[2:], stride, dilation)
    douts, ws = np.split(dout, groups, axis=1), np.split(W, groups)
    dW = [
        np.tensordot(d, v, ((0, 2, 3), (0, 2, 3)))
        for d, v in zip(douts, np.split(view, groups, axis=1))
    ]
    dx = [spread(d, w, x.shape[2:], stride, pad, dilation) for d, w in zip(douts, ws)]
    return np.concatenate(dx, axis=1), np.concatenate(dW), dout.sum(axis=(0, 2, 3))


def spread(dout, W, image, stride, pad, dilation):
    """Add W[f] times dout[n,f,i,j] at window i,j, for all f,i,j; cut the padding off."""
    (N, _, rows, columns), (H, Wd) = dout.shape, image
    height, width = (
        max(n + 2 * p, (k - 1) * s + (w - 1) * d + 1)
        for n, p, k, s, w, d in zip(image, pad, (rows, columns), stride, W.shape[2:], dilation)
    )
    out = np.zeros((N, W.shape[1], height, width), dout.dtype)
    for u in range(W.shape[2]):
        for v in range(W.shape[3]):
            r, c = u * dilation[0], v * dilation[1]
            place = out[
                :,
                :,
                r : r + (rows - 1) * stride[0] + 1 : stride[0],
                c : c + (columns - 1) * stride[1] + 1 : stride[1],
            ]
            place += np.tensordot(dout, W[:, :, u, v], (1, 0)).transpose(0, 3, 1, 2)
    return out[:, :, pad[0] : pad[0] + H, pad[1] : pad[1] + Wd]


def conv_transpose(x, W, b, stride, pad, output_pad, dilation, groups):
    """Each pixel x[n,c,i,j] adds x[n,c,i,j] W[c] to the output at i stride - pad, j stride - pad"""
    image = [
        (n - 1) * s - 2 * p + d * (w - 1) + 1 + o
        for n, s, p, d, w, o in zip(x.shape[2:], stride, pad, dilation, W.shape[2:], output_pad)
    ]
    parts = zip(np.split(x, groups, axis=1), np.split(W, groups))
    out = [spread(part, w, image, stride, pad, dilation) for part, w in parts]
    return np.concatenate(out, axis=1) + b[:, None, None]


def conv_transpose_backward(dout, x, W, b, stride, pad, output_pad, dilation, groups):
    """dx is a convolution of dout with W; dW[c,f,u,v] = sum of x[n,c,i,j] dout[n,f,i stride + u - pad,...]"""
    view = windows(padded(dout, pad), W.shape[2:], stride, dilation)
    view = view[:, :, : x.shape[2], : x.shape[3]]
    views, ws = np.split(view, groups, axis=1), np.split(W, groups)
    dx = [
        np.tensordot(v, w, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2) for v, w in zip(views, ws)
    ]
    dW = [
        np.tensordot(part, v, ((0, 2, 3), (0, 2, 3)))
        for part, v in zip(np.split(x, groups, axis=1), views)
    ]
    return np.concatenate(dx, axis=1), np.concatenate(dW), dout.sum(axis=(0, 2, 3))


def max_pool(x, size, stride, pad, more):
    """out = the largest of each window"""
    return windows(padded(x, pad, more, -np.inf), size, stride).max(axis=(4, 5))


def max_pool_backward(dout, x, size, stride, pad, more):
    """dx = dout at the largest of the window (the first of equal ones), else 0"""
    big = padded(x, pad, more, -np.inf)
    view = windows(big, size, stride)
    first = view.reshape(*view.shape[:4], -1).argmax(axis=4)
    n, c, i, j = np.indices(first.shape)
    rows, columns = i * stride[0] + first // size[1], j * stride[1] + first % size[1]
    dx = np.zeros_like(big)
    np.add.at(dx, (n, c, rows, columns), dout)
    return dx[:, :, pad[0] : pad[0] + x.shape[2], pad[1] : pad[1] + x.shape[3]]


def window_counts(x, size, stride, pad, more, counts_pad):
    """How many numbers of each window count: those of the image, with counts_pad of the padding too."""
    ones = np.ones((1, 1, *x.shape[2:]), x.dtype)
    ones = padded(padded(ones, pad, value=float(counts_pad)), (0, 0), more)
    return windows(ones, size, stride).sum(axis=(4, 5))


def avg_pool(x, size, stride, pad, more, counts_pad):
    """out = the mean of each window"""
    total = windows(padded(x, pad, more), size, stride).sum(axis=(4, 5))
    return total / window_counts(x, size, stride, pad, more, counts_pad)


def avg_pool_backward(dout, x, size, stride, pad, more, counts_pad):
    """dx = the sum of dout / count over the windows that a pixel is in"""
    share = dout / window_counts(x, size, stride, pad, more, counts_pad)
    big = np.zeros_like(padded(x, pad, more))
    rows, columns = dout.shape[2:]
    for u in range(size[0]):
        for v in range(size[1]):
            place = big[
                :,
                :,
                u : u + (rows - 1) * stride[0] + 1 : stride[0],
                v : v + (columns - 1) * stride[1] + 1 : stride[1],
            ]
            place += share
    return big[:, :, pad[0] : pad[0] + x.shape[2], pad[1] : pad[1] + x.shape[3]]


def global_avg_pool(x):
    """out = the mean of each channel"""
    return x.mean(axis=(2, 3))


def global_avg_pool_backward(dout, x):
    """dx = dout / (H W) at every pixel"""
    return np.broadcast_to(dout[:, :, None, None] / (x.shape[2] * x.shape[3]), x.shape)


def shares(n, scale, mode):
    """The matrix (scale n, n) of what each row of the larger image takes from those of the smaller."""
    i = np.arange(scale * n)
    if mode == "nearest":
        return np.eye(n)[i // scale]
    place = np.clip((i + 0.5) / scale - 0.5, 0, n - 1)
    low = np.floor(place).astype(int)
    high, part = np.minimum(low + 1, n - 1), (place - low)[:, None]
    return (1 - part) * np.eye(n)[low] + part * np.eye(n)[high]


def upsample(x, scale, mode):
    """out = R x C^T for each channel, with the shares R of the rows and C of the columns"""
    R, C = (shares(n, s, mode).astype(x.dtype) for n, s in zip(x.shape[2:], scale))
    return R @ x @ C.T


def upsample_backward(dout, x, scale, mode):
    """dx = R^T dout C"""
    R, C = (shares(n, s, mode).astype(x.dtype) for n, s in zip(x.shape[2:], scale))
    return R.T @ dout @ C


def image_pad(x, pads, value):
    """out = x with `value` around it: rows above and below, columns on the left and right"""
    top, bottom, left, right = pads
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def image_pad_backward(dout, x, pads, value):
    """dx = the middle of dout"""
    top, _, left, _ = pads
    return dout[:, :, top : top + x.shape[2], left : left + x.shape[3]]
