"""What follows a convolution or an affine layer in a sandwich, in the fewest passes over memory.

    follow_forward(y, norm, pool) -> (out, saved)      out = pool(max(0, norm(y)))

norm: None, (gamma, beta, eps), or (gamma, beta, mean, var, eps) for given moments.
pool: None, or (window, stride) of a max pooling.

The backwards of what is in front return None for dx that nobody needs, and zero for db.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from handgrad.engines.native import _kernels, affine, conv
from handgrad.engines.native.norm import BatchNormSaved, batchnorm_backward, norm_forward

Array = np.ndarray
Pair = tuple[int, int]


class PoolSaved(NamedTuple):
    """places: the number of the largest element, or of none, of each window; shape: of y."""

    places: Array
    shape: tuple[int, ...]
    window: Pair
    stride: Pair


def follow_forward(
    y: Array, norm: tuple[Any, ...] | None, pool: tuple[Pair, Pair] | None
) -> tuple[Array, Any]:
    if norm is not None:
        gamma, beta, *moments, eps = norm
        mean, var = moments or (None, None)
        return norm_forward(y, gamma, beta, eps, mean=mean, var=var, rectify=True, pool=pool)
    if pool is not None:
        out, places = _kernels.max_pool_forward(y, *pool, True)
        return out, PoolSaved(places, y.shape, *pool)
    return _kernels.relu_forward(y)


def follow_backward(dout: Array, saved: Any) -> tuple[Array, ...]:
    """Return dy, and with a norm dgamma and dbeta."""
    if isinstance(saved, BatchNormSaved):
        return batchnorm_backward(dout, saved)
    if isinstance(saved, PoolSaved):
        return (_kernels.max_pool_backward(dout, *saved),)
    return (_kernels.relu_backward(dout, saved),)


def takes_off_mean(saved: Any) -> bool:
    """Return whether these followers begin with a normalisation by the batch's own mean."""
    return isinstance(saved, BatchNormSaved) and saved.of_batch


conv_backward = conv.gradients


def affine_backward(
    dout: Array, saved: affine.Saved, *, need_dx: bool, need_db: bool
) -> tuple[Array, Array, Array]:
    return _kernels.affine_backward(dout, *saved, need_dx, need_db)
