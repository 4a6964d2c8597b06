"""Sandwiches: several layers in one call, composed from their pairs.

Forward runs the layers in the order of the name and keeps their caches; backward goes through them
the other way, the dx of each being the dout of the one before it.  By the chain rule the gradients of
the parameters are those that each layer's own backward gives:

    affine_relu     affine_bn_relu    affine_ln_relu
    conv_relu       conv_bn_relu      conv_relu_pool      conv_bn_relu_pool      conv_pool

"bn" is `batchnorm` behind affine and `spatial_batchnorm` behind conv; where bn_param is None it is
left out, gamma and beta are not looked at, and backward returns None for dgamma and dbeta.  "pool" is
`max_pool`.  Where dx is not used, as in front of a model's first layer, ``need_dx=False`` saves its
computation; backward then returns None for it.  The arrays of one call are brought to one dtype
first, as in every pair.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, TypeVar

from handgrad.engines.arrays import Array, promote
from handgrad.errors import check_choice, check_min_ndim
from handgrad.layers.chain import PAIRS, backward, forward
from handgrad.layers.pair import Cache

Param = dict[str, Any]
Forward = TypeVar("Forward", bound=Callable[..., tuple[Array, Cache]])

_OUT = {"affine": "(N, M)", "conv": "(N, F, H', W')"}
_ARGUMENTS = {
    "affine": """x: inputs, (N, d_1, ..., d_k).
        w: weights, (D, M), with D = d_1 * ... * d_k.
        b: biases, (M,).""",
    "conv": """x: images, (N, C, H, W).
        w: filters, (F, C, HH, WW).
        b: biases, (F,).""",
    "conv_param": "conv_param: as in `conv_forward`.",
    "bn_param": "bn_param: as in `batchnorm_forward`; None leaves the normalisation out.",
    "ln_param": "ln_param: as in `layernorm_forward`.",
    "pool_param": "pool_param: as in `max_pool_forward`.",
    "approximate": "approximate: as in `gelu_forward`.",
    "engine": "engine: the engine for this call; None is the chosen one.",
}


def described(source: str | None = None) -> Callable[[Forward], Forward]:
    """Write behind a sandwich's first line what the names of its pairs and arguments say."""

    def describe(forward: Forward) -> Forward:
        name = forward.__name__.removesuffix("_forward")
        front, *behind = name.split("_")
        arguments = [_ARGUMENTS[front]]
        if "bn" in behind or "ln" in behind:
            scales = "(M,)" if front == "affine" else "(F,) or (1, F, 1, 1)"
            arguments.append(f"gamma, beta: scales and shifts, {scales}.")
        arguments += [_ARGUMENTS[key] for key in signature(forward).parameters if key in _ARGUMENTS]
        norm = "batchnorm" if front == "affine" else "spatial_batchnorm"
        raising = [
            f"`{norm if part == 'bn' else PAIRS[part].layer}_forward`"
            for part in name.split("_")
            if part != "relu"
        ]
        parts = [
            forward.__doc__,
            "Args:" + "".join(f"\n        {text}" for text in arguments),
            f"Returns:\n        out, {_OUT[front]}, and the cache for `{name}_backward`.",
            f"Raises:\n        ShapeError, DtypeError, OptionError: as {' and '.join(raising)}.",
        ]
        parts += [f"Source: {source}"] if source else []
        forward.__doc__ = "\n\n    ".join(filter(None, parts)) + "\n    "
        return forward

    return describe


def backward_of(name: str, gradients: str) -> Callable[..., tuple[Array, ...]]:
    """Return the backward of a sandwich, which gives the `gradients`."""

    def backward_(dout: Array, cache: Cache, *, need_dx: bool = True) -> tuple[Array | None, ...]:
        return backward(name, dout, cache, need_dx)

    backward_.__name__ = backward_.__qualname__ = f"{name}_backward"
    backward_.__doc__ = f"Gradients of `{name}_forward`: {gradients}."
    return backward_


@described("CS231n assignment 2, ``layer_utils``.")
def affine_relu_forward(
    x: Array, w: Array, b: Array, *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Affine, then ReLU: ``out = max(0, x w + b)``."""
    return forward("affine_relu", (x, w, b), engine=engine)


@described()
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
    """Affine, batch normalisation, ReLU: ``out = max(0, batchnorm(x w + b))``."""
    return forward("affine_bn_relu", (x, w, b, gamma, beta), (bn_param,), engine)


@described()
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
    """Affine, layer normalisation, ReLU: ``out = max(0, layernorm(x w + b))``."""
    return forward("affine_ln_relu", (x, w, b, gamma, beta), (ln_param,), engine)


@described("CS231n assignment 2, ``layer_utils``.")
def conv_relu_forward(
    x: Array, w: Array, b: Array, conv_param: Param, *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Convolution, then ReLU: ``out = max(0, conv(x, w) + b)``."""
    return forward("conv_relu", (x, w, b), (conv_param,), engine)


@described("CS231n assignment 2, ``layer_utils``.")
def conv_relu_pool_forward(
    x: Array,
    w: Array,
    b: Array,
    conv_param: Param,
    pool_param: Param,
    *,
    engine: str | None = None,
) -> tuple[Array, Cache]:
    """Convolution, ReLU, max pooling: ``out = max_pool(max(0, conv(x, w) + b))``."""
    return forward("conv_relu_pool", (x, w, b), (conv_param, pool_param), engine)


@described(
    "D. Page, How to train your ResNet (2018), part 8, which pools in front of the activation."
)
def conv_pool_forward(
    x: Array,
    w: Array,
    b: Array,
    conv_param: Param,
    pool_param: Param,
    *,
    engine: str | None = None,
) -> tuple[Array, Cache]:
    """Convolution, max pooling: ``out = max_pool(conv(x, w) + b)``; a normalisation may follow."""
    return forward("conv_pool", (x, w, b), (conv_param, pool_param), engine)


@described("CS231n assignment 2, ``layer_utils``.")
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
    """Convolution, batch normalisation, ReLU: ``out = max(0, batchnorm(conv(x, w) + b))``."""
    return forward("conv_bn_relu", (x, w, b, gamma, beta), (conv_param, bn_param), engine)


@described("skynet, ``layer_utils``.")
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
    """All four: ``out = max_pool(max(0, batchnorm(conv(x, w) + b)))``."""
    return forward(
        "conv_bn_relu_pool", (x, w, b, gamma, beta), (conv_param, bn_param, pool_param), engine
    )


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


def relu_pool_forward(
    x: Array, pool_param: Param, *, engine: str | None = None
) -> tuple[Array, Cache]:
    """ReLU, then max pooling: ``out = max_pool(max(0, x))``, behind a layer that no sandwich holds.

    Args:
        x: images, (N, C, H, W).
        pool_param: as in `max_pool_forward`.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, C, H', W'), and the cache for `relu_pool_backward`.

    Raises:
        ShapeError, DtypeError, OptionError: as `max_pool_forward`.
    """
    return forward("relu_pool", (x,), (pool_param,), engine)


affine_relu_backward = backward_of("affine_relu", "dx, dw, db, for dout (N, M)")
affine_bn_relu_backward = backward_of(
    "affine_bn_relu", "dx, dw, db, dgamma, dbeta, for dout (N, M)"
)
affine_ln_relu_backward = backward_of(
    "affine_ln_relu", "dx, dw, db, dgamma, dbeta, for dout (N, M)"
)
conv_relu_backward = backward_of("conv_relu", "dx, dw, db, for dout (N, F, H', W')")
conv_relu_pool_backward = backward_of("conv_relu_pool", "dx, dw, db, for dout (N, F, H', W')")
conv_pool_backward = backward_of("conv_pool", "dx, dw, db, for dout (N, F, H', W')")
conv_bn_relu_backward = backward_of(
    "conv_bn_relu", "dx, dw, db, dgamma, dbeta, for dout (N, F, H', W')"
)
conv_bn_relu_pool_backward = backward_of(
    "conv_bn_relu_pool", "dx, dw, db, dgamma, dbeta, for dout like out"
)
bn_gelu_backward = backward_of("bn_gelu", "dx, dgamma, dbeta, for dout like out")
relu_pool_backward = backward_of("relu_pool", "(dx,), for dout (N, C, H', W')")
