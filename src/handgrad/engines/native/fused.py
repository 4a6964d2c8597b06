"""What follows a convolution or an affine layer in a sandwich, in the fewest passes over memory.

    follow_forward(y, norm, pool) -> (out, saved)      out = pool(max(0, norm(y)))
    follow_forward(y, norm, gelu=which)                out = gelu(norm(y)); backward computes norm(y) again

norm: None, (gamma, beta, eps), or (gamma, beta, mean, var, eps) for given moments.
pool: None, or (window, stride) of a max pooling.  Without both, y itself becomes out.

The backwards of what is in front return None for dx that nobody needs, and zero for db.

The first block of a network over images, with few channels, is one call (native/ops/stem.h).
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


class StemSaved(NamedTuple):
    """What forward keeps: its arguments (of the vectors copies, as a backward may run it again), and what the
    kernel made; with given moments, nothing.

    made: the batch's mean and variance; xhat and place of the chosen pixel of each window; the channels'
    1 / std and scale; the moments of the images' patches.
    """

    x: Array
    w: Array
    b: Array
    norm: tuple[Any, ...]
    pad: Pair
    made: tuple[Array, ...]


def takes_stem(x: Array, w: Array, stride: Pair, pad: Pair, pool: tuple[Pair, Pair]) -> bool:
    """Return whether `stem_forward` computes these sizes."""
    return pool == POOL and _kernels.stem_fits(x, w, stride, pad)


def stem_forward(
    x: Array, w: Array, b: Array, norm: tuple[Any, ...], pad: Pair
) -> tuple[Array, StemSaved]:
    """conv - norm - relu - 2x2 pool."""
    gamma, beta, *moments, eps = norm
    if moments:
        mean, var = moments
        out = _kernels.stem_infer(x, w, b, gamma, beta, mean, var, eps, pad)
        made: tuple[Array, ...] = ()
    else:
        out, *rest = _kernels.stem_forward(x, w, b, gamma, beta, eps, pad)
        made = tuple(rest)
    kept = (*(vector.copy() for vector in norm[:-1]), eps)
    return out, StemSaved(x, w, b.copy(), kept, pad, made)


def stem_backward(
    dout: Array, saved: StemSaved, need_dx: bool
) -> tuple[Array | None, Array, Array, Array, Array]:
    """Return dx, dw, db, dgamma and dbeta.

    What dx or given moments need is computed again, and all if the instruction set is another by now.
    """
    x, w, b, norm, pad, made = saved
    if need_dx or not made or not takes_stem(x, w, (1, 1), pad, POOL):
        y, linear = conv.conv_forward(x, w, b, (1, 1), pad)
        _, followers = follow_forward(y, norm, POOL)
        dy, dgamma, dbeta = follow_backward(dout, followers)
        need_db = not takes_off_mean(followers)
        return *conv_backward(dy, linear, need_dx=need_dx, need_db=need_db), dgamma, dbeta
    _, _, xhat, places, inv_std, scale, patches = made
    dw, dgamma, dbeta = _kernels.stem_backward(
        dout, x, w, xhat, places, inv_std, scale, patches, pad
    )
    return None, dw, np.zeros_like(b), dgamma, dbeta


class PooledSaved(NamedTuple):
    """places: the number of the chosen pixel, or of none, of each window; few: whether of few channels."""

    x: Array
    w: Array
    pad: Pair
    places: Array
    few: bool


def takes_pooled(
    x: Array, w: Array, stride: Pair, pad: Pair, pool: tuple[Pair, Pair], rectify: bool
) -> bool:
    """Return whether `pooled_forward` computes these sizes."""
    if pool != POOL:
        return False
    few = rectify and _kernels.pooled_fits(x, w, stride, pad)
    return few or _kernels.conv_pool_fits(x, w, stride, pad)


def pooled_forward(
    x: Array, w: Array, b: Array, pad: Pair, rectify: bool
) -> tuple[Array, PooledSaved]:
    """conv - relu - 2x2 pool, of few channels or by Winograd's algorithm; else conv - 2x2 pool."""
    few = rectify and _kernels.pooled_fits(x, w, (1, 1), pad)
    if few:
        out, places = _kernels.pooled_forward(x, w, b, pad)
    else:
        out, places = _kernels.conv_pool_forward(x, w, b, pad, rectify)
    return out, PooledSaved(x, w, pad, places, few)


def pooled_backward(
    dout: Array, saved: PooledSaved, need_dx: bool
) -> tuple[Array | None, Array, Array]:
    """Return dx, dw and db; of few channels, where x is finite, from the chosen pixels alone."""
    x, w, pad, places, few = saved
    if few and not need_dx and _kernels.pooled_fits(x, w, (1, 1), pad):
        gradients = _kernels.pooled_gradients(dout, x, w, places, pad)
        if gradients is not None:
            return None, *gradients
    return _kernels.conv_pool_backward(dout, x, w, places, pad, need_dx)


conv_backward = conv.gradients


def affine_backward(
    dout: Array, saved: affine.Saved, *, need_dx: bool, need_db: bool
) -> tuple[Array, Array, Array]:
    return _kernels.affine_backward(dout, *saved, need_dx, need_db)
