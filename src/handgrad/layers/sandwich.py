"""Sandwiches: several layers in one call, composed from their pairs.

Forward runs the layers in the order of the name and keeps their caches; backward goes through them
the other way, the dx of each being the dout of the one before it.  By the chain rule the gradients of
the parameters are those that each layer's own backward gives:

    affine_relu     affine_bn_relu    affine_ln_relu
    conv_relu       conv_bn_relu      conv_relu_pool      conv_bn_relu_pool      conv_pool

"bn" is `batchnorm` behind affine and `spatial_batchnorm` behind conv; where bn_param is None it is
left out, gamma and beta are not looked at, and backward returns None for dgamma and dbeta.  "pool" is
`max_pool`.  Where nobody needs dx, as in front of a model's first layer, ``need_dx=False`` saves its
computation; backward then returns None for it.  The arrays of one call are brought to one dtype
first, as in every pair.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from handgrad.engines.arrays import Array, promote
from handgrad.errors import as_flag
from handgrad.layers import fusion
from handgrad.layers.affine import affine_backward, affine_forward
from handgrad.layers.batchnorm import batchnorm_backward_alt, batchnorm_forward
from handgrad.layers.conv import conv_backward, conv_forward
from handgrad.layers.layernorm import layernorm_backward, layernorm_forward
from handgrad.layers.max_pool import max_pool_backward, max_pool_forward
from handgrad.layers.norms import give_back, of_call
from handgrad.layers.pair import Cache, check_backward
from handgrad.layers.relu import relu_backward, relu_forward
from handgrad.layers.spatial_batchnorm import spatial_batchnorm_backward, spatial_batchnorm_forward

Step = tuple[Any, ...]  # a layer's forward, and its arguments behind x
Param = dict[str, Any]


class Saved(NamedTuple):
    """caches: of the steps, or of what an engine computes in one call; left_out: whether the norm is."""

    caches: tuple[Cache, ...]
    left_out: bool


_BACKWARDS: dict[str, Callable[..., Any]] = {
    "affine": affine_backward,
    "batchnorm": batchnorm_backward_alt,
    "conv": conv_backward,
    "fused": fusion.backward,
    "layernorm": layernorm_backward,
    "max_pool": max_pool_backward,
    "relu": relu_backward,
    "spatial_batchnorm": spatial_batchnorm_backward,
}


def affine_relu_forward(
    x: Array, w: Array, b: Array, *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Affine, then ReLU: ``out = max(0, x w + b)``.

    Args:
        x: inputs, (N, d_1, ..., d_k).
        w: weights, (D, M), with D = d_1 * ... * d_k.
        b: biases, (M,).
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, M), and the cache for `affine_relu_backward`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others.

    Source: CS231n assignment 2, ``layer_utils``.
    """
    x, w, b = promote("affine_relu_forward", x=x, w=w, b=b)
    return _forward("affine_relu", engine, x, (affine_forward, w, b), (relu_forward,))


def affine_relu_backward(dout: Array, cache: Cache, *, need_dx: bool = True) -> tuple[Array, ...]:
    """Gradients of `affine_relu_forward`: dx, dw, db, for dout (N, M)."""
    return _backward("affine_relu", dout, cache, need_dx)


def affine_bn_relu_forward(
    x: Array,
    w: Array,
    b: Array,
    gamma: Array,
    beta: Array,
    bn_param: Param | None,
    *,
    engine: str | None = None,
) -> tuple[Array, Cache]:
    """Affine, batch normalisation, ReLU: ``out = max(0, batchnorm(x w + b))``.

    Args:
        x: inputs, (N, d_1, ..., d_k).
        w: weights, (D, M), with D = d_1 * ... * d_k.
        b: biases, (M,).
        gamma, beta: scales and shifts, (M,).
        bn_param: as in `batchnorm_forward`; None leaves the normalisation out.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, M), and the cache for `affine_bn_relu_backward`.

    Raises:
        ShapeError, DtypeError, OptionError: as `affine_forward` and `batchnorm_forward`.
    """
    own = of_call(bn_param)
    x, w, b, gamma, beta = _promote("affine_bn_relu_forward", x, w, b, gamma, beta, own)
    norm = _norm_step(batchnorm_forward, gamma, beta, own)
    result = _forward("affine_bn_relu", engine, x, (affine_forward, w, b), norm, (relu_forward,))
    give_back(bn_param, own)
    return result


def affine_bn_relu_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array | None, ...]:
    """Gradients of `affine_bn_relu_forward`: dx, dw, db, dgamma, dbeta, for dout (N, M)."""
    return _backward("affine_bn_relu", dout, cache, need_dx)


def affine_ln_relu_forward(
    x: Array,
    w: Array,
    b: Array,
    gamma: Array,
    beta: Array,
    ln_param: Param,
    *,
    engine: str | None = None,
) -> tuple[Array, Cache]:
    """Affine, layer normalisation, ReLU: ``out = max(0, layernorm(x w + b))``.

    Args:
        x: inputs, (N, d_1, ..., d_k).
        w: weights, (D, M), with D = d_1 * ... * d_k.
        b: biases, (M,).
        gamma, beta: scales and shifts, (M,).
        ln_param: as in `layernorm_forward`.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, M), and the cache for `affine_ln_relu_backward`.

    Raises:
        ShapeError, DtypeError, OptionError: as `affine_forward` and `layernorm_forward`.
    """
    where = "affine_ln_relu_forward"
    x, w, b, gamma, beta = promote(where, x=x, w=w, b=b, gamma=gamma, beta=beta)
    norm = (layernorm_forward, gamma, beta, ln_param)
    return _forward("affine_ln_relu", engine, x, (affine_forward, w, b), norm, (relu_forward,))


def affine_ln_relu_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array, ...]:
    """Gradients of `affine_ln_relu_forward`: dx, dw, db, dgamma, dbeta, for dout (N, M)."""
    return _backward("affine_ln_relu", dout, cache, need_dx)


def conv_relu_forward(
    x: Array, w: Array, b: Array, conv_param: Param, *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Convolution, then ReLU: ``out = max(0, conv(x, w) + b)``.

    Args:
        x: images, (N, C, H, W).
        w: filters, (F, C, HH, WW).
        b: biases, (F,).
        conv_param: as in `conv_forward`.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, F, H', W'), and the cache for `conv_relu_backward`.

    Raises:
        ShapeError, DtypeError, OptionError: as `conv_forward`.

    Source: CS231n assignment 2, ``layer_utils``.
    """
    x, w, b = promote("conv_relu_forward", x=x, w=w, b=b)
    return _forward("conv_relu", engine, x, (conv_forward, w, b, conv_param), (relu_forward,))


def conv_relu_backward(dout: Array, cache: Cache, *, need_dx: bool = True) -> tuple[Array, ...]:
    """Gradients of `conv_relu_forward`: dx, dw, db, for dout (N, F, H', W')."""
    return _backward("conv_relu", dout, cache, need_dx)


def conv_relu_pool_forward(
    x: Array,
    w: Array,
    b: Array,
    conv_param: Param,
    pool_param: Param,
    *,
    engine: str | None = None,
) -> tuple[Array, Cache]:
    """Convolution, ReLU, max pooling: ``out = max_pool(max(0, conv(x, w) + b))``.

    Args:
        x: images, (N, C, H, W).
        w: filters, (F, C, HH, WW).
        b: biases, (F,).
        conv_param: as in `conv_forward`.
        pool_param: as in `max_pool_forward`.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, F, H', W'), and the cache for `conv_relu_pool_backward`.

    Raises:
        ShapeError, DtypeError, OptionError: as `conv_forward` and `max_pool_forward`.

    Source: CS231n assignment 2, ``layer_utils``.
    """
    x, w, b = promote("conv_relu_pool_forward", x=x, w=w, b=b)
    conv = (conv_forward, w, b, conv_param)
    pool = (max_pool_forward, pool_param)
    return _forward("conv_relu_pool", engine, x, conv, (relu_forward,), pool)


def conv_relu_pool_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array, ...]:
    """Gradients of `conv_relu_pool_forward`: dx, dw, db, for dout (N, F, H', W')."""
    return _backward("conv_relu_pool", dout, cache, need_dx)


def conv_pool_forward(
    x: Array,
    w: Array,
    b: Array,
    conv_param: Param,
    pool_param: Param,
    *,
    engine: str | None = None,
) -> tuple[Array, Cache]:
    """Convolution, max pooling: ``out = max_pool(conv(x, w) + b)``, for a normalisation behind the pooling.

    Args:
        x: images, (N, C, H, W).
        w: filters, (F, C, HH, WW).
        b: biases, (F,).
        conv_param: as in `conv_forward`.
        pool_param: as in `max_pool_forward`.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, F, H', W'), and the cache for `conv_pool_backward`.

    Raises:
        ShapeError, DtypeError, OptionError: as `conv_forward` and `max_pool_forward`.

    Source: D. Page, How to train your ResNet (2018), part 8, which pools in front of the activation.
    """
    x, w, b = promote("conv_pool_forward", x=x, w=w, b=b)
    pool = (max_pool_forward, pool_param)
    return _forward("conv_pool", engine, x, (conv_forward, w, b, conv_param), pool)


def conv_pool_backward(dout: Array, cache: Cache, *, need_dx: bool = True) -> tuple[Array, ...]:
    """Gradients of `conv_pool_forward`: dx, dw, db, for dout (N, F, H', W')."""
    return _backward("conv_pool", dout, cache, need_dx)


def conv_bn_relu_forward(
    x: Array,
    w: Array,
    b: Array,
    gamma: Array,
    beta: Array,
    conv_param: Param,
    bn_param: Param | None,
    *,
    engine: str | None = None,
) -> tuple[Array, Cache]:
    """Convolution, batch normalisation, ReLU: ``out = max(0, batchnorm(conv(x, w) + b))``.

    Args:
        x: images, (N, C, H, W).
        w: filters, (F, C, HH, WW).
        b: biases, (F,).
        gamma, beta: scales and shifts, (F,) or (1, F, 1, 1).
        conv_param: as in `conv_forward`.
        bn_param: as in `batchnorm_forward`; None leaves the normalisation out.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, F, H', W'), and the cache for `conv_bn_relu_backward`.

    Raises:
        ShapeError, DtypeError, OptionError: as `conv_forward` and `spatial_batchnorm_forward`.

    Source: CS231n assignment 2, ``layer_utils``.
    """
    own = of_call(bn_param)
    x, w, b, gamma, beta = _promote("conv_bn_relu_forward", x, w, b, gamma, beta, own)
    conv = (conv_forward, w, b, conv_param)
    norm = _norm_step(spatial_batchnorm_forward, gamma, beta, own)
    result = _forward("conv_bn_relu", engine, x, conv, norm, (relu_forward,))
    give_back(bn_param, own)
    return result


def conv_bn_relu_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array | None, ...]:
    """Gradients of `conv_bn_relu_forward`: dx, dw, db, dgamma, dbeta, for dout (N, F, H', W')."""
    return _backward("conv_bn_relu", dout, cache, need_dx)


def conv_bn_relu_pool_forward(
    x: Array,
    w: Array,
    b: Array,
    gamma: Array,
    beta: Array,
    conv_param: Param,
    bn_param: Param | None,
    pool_param: Param,
    *,
    engine: str | None = None,
) -> tuple[Array, Cache]:
    """All four: ``out = max_pool(max(0, batchnorm(conv(x, w) + b)))``.

    Args:
        x: images, (N, C, H, W).
        w: filters, (F, C, HH, WW).
        b: biases, (F,).
        gamma, beta: scales and shifts, (F,) or (1, F, 1, 1).
        conv_param: as in `conv_forward`.
        bn_param: as in `batchnorm_forward`; None leaves the normalisation out.
        pool_param: as in `max_pool_forward`.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, F, H', W'), and the cache for `conv_bn_relu_pool_backward`.

    Raises:
        ShapeError, DtypeError, OptionError: as `conv_forward`, `spatial_batchnorm_forward` and
            `max_pool_forward`.

    Source: skynet, ``layer_utils``.
    """
    own = of_call(bn_param)
    x, w, b, gamma, beta = _promote("conv_bn_relu_pool_forward", x, w, b, gamma, beta, own)
    conv = (conv_forward, w, b, conv_param)
    norm = _norm_step(spatial_batchnorm_forward, gamma, beta, own)
    pool = (max_pool_forward, pool_param)
    result = _forward("conv_bn_relu_pool", engine, x, conv, norm, (relu_forward,), pool)
    give_back(bn_param, own)
    return result


def conv_bn_relu_pool_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array | None, ...]:
    """Gradients of `conv_bn_relu_pool_forward`: dx, dw, db, dgamma, dbeta, for dout like out."""
    return _backward("conv_bn_relu_pool", dout, cache, need_dx)


def _promote(
    where: str, x: Array, w: Array, b: Array, gamma: Array, beta: Array, bn_param: Param | None
) -> tuple[Array, ...]:
    if bn_param is None:
        return (*promote(where, x=x, w=w, b=b), None, None)
    return promote(where, x=x, w=w, b=b, gamma=gamma, beta=beta)


def _norm_step(
    forward: Callable[..., Any], gamma: Array, beta: Array, bn_param: Param | None
) -> Step | None:
    return None if bn_param is None else (forward, gamma, beta, bn_param)


def _forward(
    sandwich: str, engine: str | None, x: Array, *steps: Step | None
) -> tuple[Array, Cache]:
    """Run the steps one behind the other; None is a normalisation left out.

    All sandwiches pass here and through `_backward`: how one is computed is decided in these two.
    The whole, or what follows the affine layer or convolution, is one call where the engine has one.
    """
    present = [step for step in steps if step is not None]
    whole = fusion.whole_forward(x, present, engine)
    if whole is not None:
        out, cache = whole
        saved = Saved((cache,), None in steps)
        return out, Cache(sandwich, cache.engine, cache.shape, cache.like, saved)
    (forward, *arguments), *followers = present
    out, cache = forward(x, *arguments, engine=engine)
    caches = [cache]
    if fusion.is_fused(cache.engine, followers):
        out, cache = fusion.forward(out, followers, cache.engine)
        caches.append(cache)
        followers = []
    for forward, *arguments in followers:
        out, cache = forward(out, *arguments, engine=engine)
        caches.append(cache)
    saved = Saved(tuple(caches), None in steps)
    return out, Cache(sandwich, cache.engine, cache.shape, cache.like, saved)


def _backward(
    sandwich: str, dout: Array, cache: Cache, need_dx: bool = True
) -> tuple[Array | None, ...]:
    """Go back through the caches; return dx and the parameters' gradients in the order of forward.

    dx is None where it is not needed, as in front of the first layer of a model.
    """
    need_dx = as_flag(f"{sandwich}_backward", "need_dx", need_dx)
    dout = check_backward(sandwich, dout, cache)
    (linear, *followers), left_out = cache.saved
    parameters: tuple[Array | None, ...] = (None, None) if left_out else ()
    if not followers:
        return *fusion.whole_backward(dout, linear, need_dx), *parameters
    for step in reversed(followers):
        gradients = _BACKWARDS[step.layer](dout, step)
        dout, *own = gradients if isinstance(gradients, tuple) else (gradients,)
        parameters = (*own, *parameters)
    if followers[0].layer == "fused":
        dx, dw, db = fusion.linear_backward(dout, linear, followers[0], need_dx)
    else:
        dx, dw, db = _BACKWARDS[linear.layer](dout, linear, need_dx=need_dx)
    return dx, dw, db, *parameters
