"""Chains of pairs in the fewest passes over memory, by the names of their pairs.

    CHAINS[names](x, *links) -> (out, saved)        backward(dout, saved, need_dx) -> (dx, gradients ...)

A link holds the arguments of one pair after x, as the pair's own function takes them.

- The epilogue of a convolution or an affine layer is one pass.
- Backward of ``gelu(z)`` computes z = norm(y) again instead of storing it.
- A convolution and a 2x2 pooling are one call where a driver takes the pooling (native/ops/conv.h); with a
  normalisation between them, only in the first block of a network over images (native/ops/stem.h).

dx is None where it is not asked for.  A normalisation by the mean of the batch removes the b of the layer
before it, so db is zero there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from handgrad.engines.native import _kernels, affine, conv
from handgrad.engines.native.activations import GELUS
from handgrad.engines.native.norm import BatchNormSaved, batchnorm_backward, norm_forward

Array = np.ndarray
Pair = tuple[int, int]
Link = tuple[Any, ...]
Forward = Callable[..., tuple[Array, Any]]

NORMS = ("batchnorm", "batchnorm_test")
_FRONTS = (conv.Saved, affine.Saved)
WINDOW = ((2, 2), (2, 2))  # and stride, of the pooling in one call with a convolution


class Saved(NamedTuple):
    """front: of the affine layer or convolution; behind: of what follows it."""

    front: affine.Saved | conv.Saved
    behind: Any


class AffineReluSaved(NamedTuple):
    """positive: where the output is."""

    x: Array
    w: Array
    positive: Array


class PoolSaved(NamedTuple):
    """places: the number of the largest element, or of none, of each window; shape: of y."""

    places: Array
    shape: tuple[int, ...]
    window: Pair
    stride: Pair


class BlockSaved(NamedTuple):
    """What forward keeps: its arguments (of the vectors copies, as a backward may run it again), and what the
    kernel made.

    norm: its link, or None; then b is None, too.
    made: (places,), of the chosen pixel of each window.  With a norm by the batch's moments: its mean and
    variance, xhat and places of the chosen pixels, the channels' 1 / std and scale, and the moments of the
    images' patches; with given moments nothing.
    """

    x: Array
    w: Array
    b: Array | None
    norm: Link | None
    pad: Pair
    made: tuple[Array, ...]


# the epilogue of a convolution or an affine layer; no other code holds its output y


def _relu(y: Array, relu: Link) -> tuple[Array, Array]:
    return y, _kernels.rectify(y)


def _relu_pool(y: Array, relu: Link, pool: Link, rectify: bool = True) -> tuple[Array, PoolSaved]:
    window, stride, _ = pool
    out, places = _kernels.max_pool_forward(y, window, stride, rectify)
    return out, PoolSaved(places, y.shape, window, stride)


def _pool(y: Array, pool: Link) -> tuple[Array, PoolSaved]:
    return _relu_pool(y, (), pool, rectify=False)


def _norm_relu(
    y: Array, norm: Link, relu: Link, pool: Link | None = None
) -> tuple[Array, BatchNormSaved]:
    gamma, beta, *moments, eps = norm
    return norm_forward(y, gamma, beta, eps, *moments, rectify=True, pool=pool and pool[:2])


def _norm_gelu(y: Array, norm: Link, gelu: Link) -> tuple[Array, BatchNormSaved]:
    gamma, beta, *moments, eps = norm
    return norm_forward(y, gamma, beta, eps, *moments, curve=GELUS[gelu[0]])


def _behind_backward(dout: Array, saved: Any) -> tuple[Array, ...]:
    """Return dy, and with a norm dgamma and dbeta."""
    if isinstance(saved, BatchNormSaved):
        return batchnorm_backward(dout, saved)
    if isinstance(saved, PoolSaved):
        return (_kernels.max_pool_backward(dout, *saved),)
    return (_kernels.relu_backward(dout, saved),)


# from the affine layer or convolution on


def _affine(x: Array, link: Link) -> tuple[Array, affine.Saved]:
    w, b = link
    return _kernels.affine_forward(x, w, b), affine.Saved(x, w)


def _conv(x: Array, link: Link) -> tuple[Array, conv.Saved]:
    w, b, stride, pad, dilation, groups = link
    out, _ = _kernels.conv_forward(x, w, b, stride, pad, dilation, groups)
    return out, conv.Saved(x, w, stride, pad, dilation, groups)


def _front_backward(
    dout: Array, saved: affine.Saved | conv.Saved, need_dx: bool, need_db: bool = True
) -> tuple[Array | None, ...]:
    if isinstance(saved, conv.Saved):
        return _kernels.conv_backward(dout, *saved, need_dx, need_db)
    return _kernels.affine_backward(dout, *saved, need_dx, need_db)


def _then(front: Forward, behind: Forward) -> Forward:
    def forward(x: Array, link: Link, *links: Link) -> tuple[Array, Saved]:
        y, first = front(x, link)
        out, second = behind(y, *links)
        return out, Saved(first, second)

    return forward


def _affine_relu(x: Array, link: Link, relu: Link) -> tuple[Array, AffineReluSaved]:
    w, b = link
    out, positive = _kernels.affine_relu_forward(x, w, b)
    return out, AffineReluSaved(x, w, positive)


def _block(behind: Forward, rectify: bool = True, normed: bool = False) -> Forward:
    """A convolution up to its pooling: in one call where these sizes gain by it."""
    others = _then(_conv, behind)

    def forward(x: Array, link: Link, *links: Link) -> tuple[Array, Any]:
        w, b, stride, pad, dilation, groups = link
        options = stride, pad, dilation, groups
        if links[-1][:2] != WINDOW or not _kernels.conv_takes_pool(x, w, *options, rectify, normed):
            return others(x, link, *links)
        norm = links[0] if normed else None
        out, made = _kernels.conv_forward(x, w, b, *options, True, rectify, norm)
        if norm is None:
            return out, BlockSaved(x, w, None, None, pad, made)
        kept = (*[vector.copy() for vector in norm[:-1]], norm[-1])
        return out, BlockSaved(x, w, b.copy(), kept, pad, made)

    return forward


def _block_backward(dout: Array, saved: BlockSaved, need_dx: bool) -> tuple[Array | None, ...]:
    """With a norm, what dx or given moments need is computed again, and all if the instruction set is
    another by now.
    """
    x, w, b, norm, pad, made = saved
    options = (1, 1), pad, (1, 1), 1
    if b is None or norm is None:
        return _kernels.conv_backward(dout, x, w, *options, need_dx, True, made)
    if made and not need_dx and _kernels.conv_takes_pool(x, w, *options, True, True):
        return _kernels.conv_backward(dout, x, w, *options, False, False, made)
    y, front = _conv(x, (w, b, *options))
    _, behind = _norm_relu(y, norm, (), WINDOW)
    return backward(dout, Saved(front, behind), need_dx)


BEHIND: dict[tuple[str, ...], Forward] = {("relu",): _relu, ("relu", "max_pool"): _relu_pool}
CHAINS: dict[tuple[str, ...], Forward] = {
    ("affine",): _affine,
    ("affine", "relu"): _affine_relu,
    ("conv",): _conv,
    ("conv", "max_pool"): _block(_pool, rectify=False),
    ("relu", "max_pool"): _relu_pool,
    ("conv", "relu", "max_pool"): _block(_relu_pool),
}
for _name in NORMS:
    BEHIND |= {(_name, "relu"): _norm_relu, (_name, "gelu"): _norm_gelu}
    CHAINS[_name, "gelu"] = _norm_gelu
    CHAINS["conv", _name, "relu", "max_pool"] = _block(_norm_relu, normed=True)
for _names, _behind in BEHIND.items():
    CHAINS.setdefault(("affine", *_names), _then(_affine, _behind))
    CHAINS.setdefault(("conv", *_names), _then(_conv, _behind))


def longest(names: tuple[str, ...], options: Sequence[Link]) -> int:
    """Return how many of the pairs, from the first on, one of `CHAINS` computes."""
    for count in range(len(names), 0, -1):
        if names[:count] in CHAINS:
            bordered = names[count - 1] == "max_pool" and options[count - 1][2] is not None
            return count - bordered  # the kernels know windows inside of the image alone
    return 0


def backward(dout: Array, saved: Any, need_dx: bool) -> tuple[Array | None, ...]:
    """Return dx, which a chain with an affine layer or convolution leaves out, and the gradients."""
    if isinstance(saved, Saved):
        front, behind = saved
        dy, *others = _behind_backward(dout, behind)
        need_db = not (isinstance(behind, BatchNormSaved) and behind.of_batch)
        return (*_front_backward(dy, front, need_dx, need_db), *others)
    if isinstance(saved, BlockSaved):
        return _block_backward(dout, saved, need_dx)
    if isinstance(saved, AffineReluSaved):
        return _kernels.affine_relu_backward(dout, *saved, need_dx)
    if isinstance(saved, _FRONTS):
        return _front_backward(dout, saved, need_dx)
    return _behind_backward(dout, saved)


def moments(saved: Any) -> tuple[Array, Array]:
    """Return mean and variance of the batch, of a chain that normalises by them."""
    if isinstance(saved, BlockSaved):
        return saved.made[0], saved.made[1]
    norm = saved.behind if isinstance(saved, Saved) else saved
    return norm.mean, norm.var
