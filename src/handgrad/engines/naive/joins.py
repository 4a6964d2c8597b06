"""Adding, concatenating and flattening, one number at a time."""

from __future__ import annotations

from math import prod

import numpy as np

Array = np.ndarray


def add_forward(a: Array, b: Array) -> tuple[Array, None]:
    out = np.empty(a.shape, a.dtype)
    for i in np.ndindex(a.shape):
        out[i] = a[i] + b[i]
    return out, None


def add_backward(dout: Array, saved: None) -> tuple[Array, Array]:
    da, db = np.empty_like(dout), np.empty_like(dout)
    for i in np.ndindex(dout.shape):
        da[i] = dout[i]
        db[i] = dout[i]
    return da, db


def concat_forward(a: Array, b: Array) -> tuple[Array, int]:
    C = a.shape[1]
    out = np.empty((a.shape[0], C + b.shape[1], *a.shape[2:]), a.dtype)
    for n, c, *place in np.ndindex(out.shape):
        out[(n, c, *place)] = a[(n, c, *place)] if c < C else b[(n, c - C, *place)]
    return out, C


def concat_backward(dout: Array, saved: int) -> tuple[Array, Array]:
    C = saved
    N, channels, *image = dout.shape
    da = np.empty((N, C, *image), dout.dtype)
    db = np.empty((N, channels - C, *image), dout.dtype)
    for n, c, *place in np.ndindex(dout.shape):
        if c < C:
            da[(n, c, *place)] = dout[(n, c, *place)]
        else:
            db[(n, c - C, *place)] = dout[(n, c, *place)]
    return da, db


def flatten_forward(x: Array) -> tuple[Array, tuple[int, ...]]:
    out = np.empty((x.shape[0], prod(x.shape[1:])), x.dtype)
    for n in range(x.shape[0]):
        for d, place in enumerate(np.ndindex(x.shape[1:])):
            out[n, d] = x[(n, *place)]
    return out, x.shape


def flatten_backward(dout: Array, saved: tuple[int, ...]) -> Array:
    dx = np.empty(saved, dout.dtype)
    for n in range(saved[0]):
        for d, place in enumerate(np.ndindex(saved[1:])):
            dx[(n, *place)] = dout[n, d]
    return dx
