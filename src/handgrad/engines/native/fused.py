"""Sandwiches: an affine layer or a convolution, and what follows it in the fewest passes over memory.

norm: None, (gamma, beta, eps), or (gamma, beta, mean, var, eps) for given moments.
pool: None, or (window, stride).  A ReLU is always there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from handgrad.engines.native import _kernels
from handgrad.engines.native.affine import affine_backward, affine_forward
from handgrad.engines.native.conv import conv_forward
from handgrad.engines.native.norm import BatchNormSaved, batchnorm_backward, norm_forward

Array = np.ndarray
Pair = tuple[int, int]
Pool = tuple[Pair, Pair]


class FusedSaved(NamedTuple):
    """linear: of the affine layer or convolution; norm: of the norm and what follows it, or None;
    mask: of the ReLU or the pooling where there is no norm; shape: of the linear layer's output.
    """

    linear: tuple
    norm: BatchNormSaved | None
    mask: Array | None
    shape: tuple[int, ...]
    pool: Pool | None


def conv_block_forward(
    x: Array,
    w: Array,
    b: Array,
    stride: Pair,
    pad: Pair,
    norm: tuple[Any, ...] | None = None,
    pool: Pool | None = None,
) -> tuple[Array, FusedSaved]:
    y, linear = conv_forward(x, w, b, stride, pad)
    return _follow(y, linear, norm, pool)


def conv_block_backward(
    dout: Array, saved: FusedSaved, *, need_dx: bool = True
) -> tuple[Array | None, ...]:
    """Return dx (None unless `need_dx`), dw, db, and with a norm dgamma and dbeta."""
    dy, norm_gradients = _go_back(dout, saved)
    return *_kernels.conv_backward(dy, *saved.linear, need_dx), *norm_gradients


def affine_block_forward(
    x: Array, w: Array, b: Array, norm: tuple[Any, ...] | None = None
) -> tuple[Array, FusedSaved]:
    y, linear = affine_forward(x, w, b)
    return _follow(y, linear, norm, None)


def affine_block_backward(dout: Array, saved: FusedSaved) -> tuple[Array, ...]:
    """Return dx, dw, db, and with a norm dgamma and dbeta."""
    dy, norm_gradients = _go_back(dout, saved)
    return *affine_backward(dy, saved.linear), *norm_gradients


def _follow(
    y: Array, linear: tuple, norm: tuple[Any, ...] | None, pool: Pool | None
) -> tuple[Array, FusedSaved]:
    if norm is not None:
        gamma, beta, *moments, eps = norm
        mean, var = moments or (None, None)
        out, kept = norm_forward(y, gamma, beta, eps, mean=mean, var=var, rectify=True, pool=pool)
        return out, FusedSaved(linear, kept, None, y.shape, pool)
    if pool is not None:
        out, mask = _kernels.max_pool_forward(y, *pool, True)
    else:
        out, mask = _kernels.relu_forward(y)
    return out, FusedSaved(linear, None, mask, y.shape, pool)


def _go_back(dout: Array, saved: FusedSaved) -> tuple[Array, tuple[Array, ...]]:
    if saved.norm is not None:
        dy, *gradients = batchnorm_backward(dout, saved.norm)
        return dy, tuple(gradients)
    if saved.pool is not None:
        return _kernels.max_pool_backward(dout, saved.mask, saved.shape, *saved.pool), ()
    return _kernels.relu_backward(dout, saved.mask), ()
