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

from typing import Any

from handgrad.engines.arrays import Array, promote
from handgrad.errors import check_choice, check_min_ndim
from handgrad.layers.chain import backward, forward
from handgrad.layers.pair import Cache

Param = dict[str, Any]


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
    return forward("affine_relu", (x, w, b), engine=engine)


def affine_relu_backward(dout: Array, cache: Cache, *, need_dx: bool = True) -> tuple[Array, ...]:
    """Gradients of `affine_relu_forward`: dx, dw, db, for dout (N, M)."""
    return backward("affine_relu", dout, cache, need_dx)


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
    return forward("affine_bn_relu", (x, w, b, gamma, beta), (bn_param,), engine)


def affine_bn_relu_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array | None, ...]:
    """Gradients of `affine_bn_relu_forward`: dx, dw, db, dgamma, dbeta, for dout (N, M)."""
    return backward("affine_bn_relu", dout, cache, need_dx)


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
    return forward("affine_ln_relu", (x, w, b, gamma, beta), (ln_param,), engine)


def affine_ln_relu_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array, ...]:
    """Gradients of `affine_ln_relu_forward`: dx, dw, db, dgamma, dbeta, for dout (N, M)."""
    return backward("affine_ln_relu", dout, cache, need_dx)


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
    return forward("conv_relu", (x, w, b), (conv_param,), engine)


def conv_relu_backward(dout: Array, cache: Cache, *, need_dx: bool = True) -> tuple[Array, ...]:
    """Gradients of `conv_relu_forward`: dx, dw, db, for dout (N, F, H', W')."""
    return backward("conv_relu", dout, cache, need_dx)


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
    return forward("conv_relu_pool", (x, w, b), (conv_param, pool_param), engine)


def conv_relu_pool_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array, ...]:
    """Gradients of `conv_relu_pool_forward`: dx, dw, db, for dout (N, F, H', W')."""
    return backward("conv_relu_pool", dout, cache, need_dx)


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
    return forward("conv_pool", (x, w, b), (conv_param, pool_param), engine)


def conv_pool_backward(dout: Array, cache: Cache, *, need_dx: bool = True) -> tuple[Array, ...]:
    """Gradients of `conv_pool_forward`: dx, dw, db, for dout (N, F, H', W')."""
    return backward("conv_pool", dout, cache, need_dx)


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
    return forward("conv_bn_relu", (x, w, b, gamma, beta), (conv_param, bn_param), engine)


def conv_bn_relu_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array | None, ...]:
    """Gradients of `conv_bn_relu_forward`: dx, dw, db, dgamma, dbeta, for dout (N, F, H', W')."""
    return backward("conv_bn_relu", dout, cache, need_dx)


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
    return forward(
        "conv_bn_relu_pool", (x, w, b, gamma, beta), (conv_param, bn_param, pool_param), engine
    )


def conv_bn_relu_pool_backward(
    dout: Array, cache: Cache, *, need_dx: bool = True
) -> tuple[Array | None, ...]:
    """Gradients of `conv_bn_relu_pool_forward`: dx, dw, db, dgamma, dbeta, for dout like out."""
    return backward("conv_bn_relu_pool", dout, cache, need_dx)


def bn_gelu_forward(
    x: Array,
    gamma: Array,
    beta: Array,
    bn_param: Param,
    approximate: str = "none",
    *,
    engine: str | None = None,
) -> tuple[Array, Cache]:
    """Batch normalisation, then GELU: ``out = gelu(batchnorm(x))``.

    Args:
        x: rows, (N, D), or images, (N, C, H, W), normalised by `spatial_batchnorm_forward`.
        gamma, beta: scales and shifts, (D,), or (C,) or (1, C, 1, 1).
        bn_param: as in `batchnorm_forward`.
        approximate: as in `gelu_forward`.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, the shape of x, and the cache for `bn_gelu_backward`.

    Raises:
        ShapeError, DtypeError, OptionError: as `batchnorm_forward` or `spatial_batchnorm_forward`, and
            `gelu_forward`.

    Source: the block of K. Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU (2024), arXiv:2404.00498.
    """
    where = "bn_gelu_forward"
    x, gamma, beta = promote(where, x=x, gamma=gamma, beta=beta)
    check_min_ndim(where, "x", x, 2, "(N, D) or (N, C, H, W)")
    check_choice(where, "approximate", approximate, ("none", "tanh"))
    return forward("bn_gelu", (x, gamma, beta), (bn_param, approximate), engine)


def bn_gelu_backward(dout: Array, cache: Cache, *, need_dx: bool = True) -> tuple[Array, ...]:
    """Gradients of `bn_gelu_forward`: dx, dgamma, dbeta, for dout like out.

    need_dx is there for the other sandwiches' sake; dx costs next to nothing here.
    """
    return backward("bn_gelu", dout, cache, need_dx)
