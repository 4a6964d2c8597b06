"""Dropout: a product with the mask that the layer drew; no mask means test mode."""

from __future__ import annotations

from handgrad.engines.arrays import Array, namespace


def dropout_forward(x: Array, mask: Array | None) -> tuple[Array, Array | None]:
    return _apply(mask, x), mask


def dropout_backward(dout: Array, saved: Array | None) -> Array:
    return _apply(saved, dout)


def _apply(mask: Array | None, array: Array) -> Array:
    return namespace(array).asarray(array, copy=True) if mask is None else array * mask
