"""What follows a convolution or an affine layer in a sandwich, in the fewest passes over memory.

    follow_forward(y, norm, pool) -> (out, saved)      out = pool(max(0, norm(y)))
    follow_forward(y, norm, gelu=which)                out = gelu(norm(y)); backward computes norm(y) again

norm: None, (gamma, beta, eps), or (gamma, beta, mean, var, eps) for given moments.
pool: None, or (window, stride) of a max pooling.  Without both, y itself becomes out.

The backwards of what is in front return None for dx that nobody needs, and zero for db.

A convolution and the 2x2 pooling behind it are one call where a driver takes the pooling
(native/ops/conv.h); with a normalisation between them, in the first block of a network over images
(native/ops/stem.h).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from handgrad.engines.native import _kernels, affine, conv
from handgrad.engines.native.activations import GELUS
from handgrad.engines.native.norm import BatchNormSaved, batchnorm_backward, norm_forward

Array = np.ndarray
Pair = tuple[int, int]
POOL = ((2, 2), (2, 2))  # of the blocks in one call


class PoolSaved(NamedTuple):
    """places: the number of the largest element, or of none, of each window; shape: of y."""

    places: Array
    shape: tuple[int, ...]
    window: Pair
    stride: Pair


def follow_forward(
    y: Array,
    norm: tuple[Any, ...] | None,
    pool: tuple[Pair, Pair] | None = None,
    gelu: str | None = None,
) -> tuple[Array, Any]:
    if norm is not None:
        gamma, beta, *moments, eps = norm
        mean, var = moments or (None, None)
        if gelu is not None:
            return norm_forward(y, gamma, beta, eps, mean=mean, var=var, curve=GELUS[gelu])
        return norm_forward(y, gamma, beta, eps, mean=mean, var=var, rectify=True, pool=pool)
    if pool is not None:
        out, places = _kernels.max_pool_forward(y, *pool, True)
        return out, PoolSaved(places, y.shape, *pool)
    return y, _kernels.rectify(y)


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


def affine_relu_forward(x: Array, w: Array, b: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    """Affine, then ReLU; kept are x, w, and where the output is positive."""
    out, positive = _kernels.affine_relu_forward(x, w, b)
    return out, (x, w, positive)


def affine_relu_backward(
    dout: Array, saved: tuple[Array, Array, Array], need_dx: bool
) -> tuple[Array | None, Array, Array]:
    """Return dx (None where it is not needed), dw and db."""
    return _kernels.affine_relu_backward(dout, *saved, need_dx)


class BlockSaved(NamedTuple):
    """What forward keeps: its arguments (of the vectors copies, as a backward may run it again), and what the
    kernel made.

    norm: as above, or None; then b is None, too.
    made: (places,), of the chosen pixel of each window.  With a norm by the batch's moments: its mean and
    variance, xhat and places of the chosen pixels, the channels' 1 / std and scale, and the moments of the
    images' patches; with given moments nothing.
    """

    x: Array
    w: Array
    b: Array | None
    norm: tuple[Any, ...] | None
    pad: Pair
    made: tuple[Array, ...]


def takes_block(
    x: Array,
    w: Array,
    stride: Pair,
    pad: Pair,
    pool: tuple[Pair, Pair],
    *,
    rectify: bool = True,
    normed: bool = False,
) -> bool:
    """Return whether `block_forward` computes these sizes in fewer passes."""
    options = stride, pad, (1, 1), 1, rectify, normed
    return pool == POOL and _kernels.conv_takes_pool(x, w, *options)


def block_forward(
    x: Array,
    w: Array,
    b: Array,
    pad: Pair,
    *,
    rectify: bool = True,
    norm: tuple[Any, ...] | None = None,
) -> tuple[Array, BlockSaved]:
    """conv - 2x2 pool; between them ReLU where `rectify`, and norm - ReLU with a norm."""
    out, made = _kernels.conv_forward(x, w, b, (1, 1), pad, (1, 1), 1, True, rectify, norm)
    if norm is None:
        return out, BlockSaved(x, w, None, None, pad, made)
    kept = (*(vector.copy() for vector in norm[:-1]), norm[-1])
    return out, BlockSaved(x, w, b.copy(), kept, pad, made)


def block_backward(dout: Array, saved: BlockSaved, need_dx: bool) -> tuple[Array | None, ...]:
    """Return dx, dw, db, and with a norm dgamma and dbeta.

    With a norm, what dx or given moments need is computed again, and all if the instruction set is another
    by now.
    """
    x, w, b, norm, pad, made = saved
    if b is None or norm is None:
        return _kernels.conv_backward(dout, x, w, (1, 1), pad, (1, 1), 1, need_dx, True, made)
    if made and not need_dx and takes_block(x, w, (1, 1), pad, POOL, normed=True):
        return _kernels.conv_backward(dout, x, w, (1, 1), pad, (1, 1), 1, False, False, made)
    y, linear = conv.conv_forward(x, w, b, (1, 1), pad)
    _, followers = follow_forward(y, norm, POOL)
    dy, dgamma, dbeta = follow_backward(dout, followers)
    need_db = not takes_off_mean(followers)
    return *conv_backward(dy, linear, need_dx=need_dx, need_db=need_db), dgamma, dbeta


conv_backward = conv.gradients


def affine_backward(
    dout: Array, saved: affine.Saved, *, need_dx: bool, need_db: bool
) -> tuple[Array, Array, Array]:
    return _kernels.affine_backward(dout, *saved, need_dx, need_db)
