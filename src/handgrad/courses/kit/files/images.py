"""Chapters 5 and 6: convolution, pooling, and normalisation of images, (N, C, H, W)."""

import numpy as np
from norms import batchnorm_backward, batchnorm_forward


def conv_forward_naive(x, w, b, conv_param):
    """Slide F filters w, (F, C, HH, WW), over the images x; b is (F,).

    conv_param holds "stride" and "pad": rows and columns of zeros on every side.  out is (N, F, H', W')
    with H' = 1 + (H + 2 pad - HH) // stride and W' alike.
    """
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    # TODO: pad x, and fill out window by window
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows, columns = 1 + (H + 2 * pad - HH) // stride, 1 + (W + 2 * pad - WW) // stride
    out = np.zeros((N, F, rows, columns))
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            window = padded[:, :, top : top + HH, left : left + WW]
            out[:, :, i, j] = np.tensordot(window, w, ((1, 2, 3), (1, 2, 3))) + b
    # END
    return out, (x, w, b, conv_param)


def conv_backward_naive(dout, cache):
    """dout: (N, F, H', W').  Returns dx, dw, db in the shapes of x, w, b."""
    x, w, _, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    H, W = x.shape[2:]
    HH, WW = w.shape[2:]
    # TODO: windows overlap: add, do not assign; cut the padding off at the end
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dpadded, dw = np.zeros(padded.shape), np.zeros(w.shape)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            place = np.s_[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            dpadded[place] += np.tensordot(dout[:, :, i, j], w, (1, 0))
            dw += np.tensordot(dout[:, :, i, j], padded[place], (0, 0))
    dx = dpadded[:, :, pad : pad + H, pad : pad + W]
    db = dout.sum(axis=(0, 2, 3))
    # END
    return dx, dw, db


def max_pool_forward_naive(x, pool_param):
    """The largest number of each window; pool_param holds "pool_height", "pool_width" and "stride"."""
    height, width, stride = (pool_param[key] for key in ("pool_height", "pool_width", "stride"))
    N, C, H, W = x.shape
    # TODO: fill out window by window
    rows, columns = 1 + (H - height) // stride, 1 + (W - width) // stride
    out = np.zeros((N, C, rows, columns))
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            out[:, :, i, j] = x[:, :, top : top + height, left : left + width].max(axis=(2, 3))
    # END
    return out, (x, pool_param)


def max_pool_backward_naive(dout, cache):
    """Each number of dout goes to the largest number of its window, and to no other."""
    x, pool_param = cache
    height, width, stride = (pool_param[key] for key in ("pool_height", "pool_width", "stride"))
    # TODO: np.argmax finds the first of equal ones
    dx = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(dout.shape):
        top, left = i * stride, j * stride
        window = x[n, c, top : top + height, left : left + width]
        u, v = np.unravel_index(window.argmax(), window.shape)
        dx[n, c, top + u, left + v] += dout[n, c, i, j]
    # END
    return dx


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    """Batch normalisation of each channel over images and places; gamma and beta are (C,)."""
    N, C, H, W = x.shape
    # TODO: lay x out as (N H W, C), and use batchnorm_forward
    rows = x.transpose(0, 2, 3, 1).reshape(-1, C)
    out, cache = batchnorm_forward(rows, gamma, beta, bn_param)
    out = out.reshape(N, H, W, C).transpose(0, 3, 1, 2)
    # END
    return out, cache


def spatial_batchnorm_backward(dout, cache):
    """Returns dx (N, C, H, W), dgamma (C,), dbeta (C,)."""
    N, C, H, W = dout.shape
    # TODO: the same layout, and batchnorm_backward
    rows = dout.transpose(0, 2, 3, 1).reshape(-1, C)
    dx, dgamma, dbeta = batchnorm_backward(rows, cache)
    dx = dx.reshape(N, H, W, C).transpose(0, 3, 1, 2)
    # END
    return dx, dgamma, dbeta
