"""Affine layer as matrix products."""

from __future__ import annotations

from handgrad.engines.arrays import Array, namespace


def affine_forward(x: Array, w: Array, b: Array) -> tuple[Array, tuple]:
    xp = namespace(x)
    rows = xp.reshape(x, (x.shape[0], w.shape[0]))
    return rows @ w + b, (x, w)


def affine_backward(dout: Array, saved: tuple) -> tuple[Array, Array, Array]:
    x, w = saved
    xp = namespace(x)
    rows = xp.reshape(x, (x.shape[0], w.shape[0]))
    dx = xp.reshape(dout @ w.T, x.shape)
    return dx, rows.T @ dout, xp.sum(dout, axis=0)
