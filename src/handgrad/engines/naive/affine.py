"""Affine layer, in loops: the formulas of `handgrad.layers.affine`, one number at a time."""

from __future__ import annotations

import numpy as np


def affine_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, tuple]:
    D, M = w.shape
    N = x.shape[0]
    rows = x.reshape(N, D)
    out = np.zeros((N, M), x.dtype)
    for n in range(N):
        for m in range(M):
            out[n, m] = b[m]
            for d in range(D):
                out[n, m] += rows[n, d] * w[d, m]
    return out, (x, w)


def affine_backward(dout: np.ndarray, saved: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, w = saved
    D, M = w.shape
    N = x.shape[0]
    rows = x.reshape(N, D)
    dx = np.zeros((N, D), x.dtype)
    dw = np.zeros((D, M), x.dtype)
    db = np.zeros(M, x.dtype)
    for n in range(N):
        for m in range(M):
            db[m] += dout[n, m]
            for d in range(D):
                dx[n, d] += dout[n, m] * w[d, m]
                dw[d, m] += dout[n, m] * rows[n, d]
    return dx.reshape(x.shape), dw, db
