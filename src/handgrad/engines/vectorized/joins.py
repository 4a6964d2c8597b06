"""Adding, concatenating and flattening; no result shares memory with an argument."""

from __future__ import annotations

from math import prod

from handgrad.engines.arrays import Array, namespace


def add_forward(a: Array, b: Array) -> tuple[Array, None]:
    return a + b, None


def add_backward(dout: Array, saved: None) -> tuple[Array, Array]:
    xp = namespace(dout)
    return xp.asarray(dout, copy=True), xp.asarray(dout, copy=True)


def concat_forward(a: Array, b: Array) -> tuple[Array, int]:
    return namespace(a).concat([a, b], axis=1), a.shape[1]


def concat_backward(dout: Array, saved: int) -> tuple[Array, Array]:
    xp = namespace(dout)
    return (
        xp.asarray(dout[:, :saved, ...], copy=True),
        xp.asarray(dout[:, saved:, ...], copy=True),
    )


def flatten_forward(x: Array) -> tuple[Array, tuple[int, ...]]:
    shape = tuple(x.shape)
    out = namespace(x).reshape(x, (shape[0], prod(shape[1:])), copy=True)
    return out, shape


def flatten_backward(dout: Array, saved: tuple[int, ...]) -> Array:
    return namespace(dout).reshape(dout, saved, copy=True)
