"""Sandwiches, or what follows the affine layer or convolution of one, in one call of an engine.

Such an engine has a module ``fused`` with the pair

    follow_forward(y, norm, pool, gelu) -> (out, saved)      follow_backward(dout, saved) -> (dy, ...)

for ``out = pool(max(0, norm(y)))``, or ``gelu(norm(y))`` where gelu says which one.  norm is (gamma,
beta, eps), or (gamma, beta, mean, var, eps) for given moments, or None; pool is (window, stride), or
None; without all three, y itself becomes out.
saved.mean and saved.var are the moments.
It also has pairs for whole sandwiches,

    affine_relu_forward(x, w, b) -> (out, saved)
    affine_relu_backward(dout, saved, need_dx)
    block_forward(x, w, b, pad, rectify=, norm=) -> (out, saved)
    block_backward(dout, saved, need_dx)

the second for conv_bn_relu_pool (saved.made begins with the moments, where none were given), conv_relu_pool
and, not `rectify`, conv_pool; ``takes_block(x, w, stride, pad, pool, rectify=, normed=)`` says of which.
The sandwich has checked the dout of a backward, and an engine's own kernels made what lies between.
The checks are those of the layers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from handgrad import engines
from handgrad.engines.arrays import Array
from handgrad.errors import is_one_of
from handgrad.layers.affine import affine_forward, check_affine
from handgrad.layers.batchnorm import batchnorm_forward
from handgrad.layers.conv import checked_conv, conv_forward
from handgrad.layers.gelu import gelu_forward
from handgrad.layers.max_pool import max_pool_forward
from handgrad.layers.norms import (
    BatchNormOptions,
    batch_norm_options,
    check_channels,
    keep_running,
)
from handgrad.layers.pair import Cache
from handgrad.layers.relu import relu_forward
from handgrad.layers.spatial_batchnorm import spatial_batchnorm_forward
from handgrad.layers.windows import check_pool, pool_options


class FusedSaved(NamedTuple):
    """gamma_shape, beta_shape: as they came, or None without a norm; saved: the engine's."""

    gamma_shape: tuple[int, ...] | None
    beta_shape: tuple[int, ...] | None
    saved: Any


_MODES = ("train", "test")
_NORMS = {batchnorm_forward: "batchnorm", spatial_batchnorm_forward: "spatial_batchnorm"}


def is_fused(engine: str, steps: list[Any]) -> bool:
    """Return whether `engine` computes these steps, (layer's forward, arguments ...), in one call."""
    if not hasattr(engines.get(engine), "fused"):
        return False
    names = [step[0] for step in steps]
    if names[0] in _NORMS:
        names = names[1:]
        if names == [gelu_forward]:
            return True
    if names == [relu_forward, max_pool_forward]:
        return pool_options("max_pool_forward", steps[-1][1]).is_plain
    return names == [relu_forward]


def forward(y: Array, steps: list[Any], engine: str) -> tuple[Array, Cache]:
    """Run the steps on y (N, C, H, W) or (N, C), mostly the output of a convolution or an affine layer."""
    norm: tuple[Any, ...] | None = None
    pool = gelu = None
    gamma_shape = beta_shape = None
    first, *arguments = steps[0]
    if first in _NORMS:
        layer = _NORMS[first]
        gamma, beta, bn_param = arguments
        check_channels(layer + "_forward", "gamma", gamma, y.shape[1])
        check_channels(layer + "_forward", "beta", beta, y.shape[1])
        options = batch_norm_options(layer, bn_param, y)
        gamma_shape, beta_shape = tuple(gamma.shape), tuple(beta.shape)
        norm = _norm(gamma, beta, options)
    if steps[-1][0] is max_pool_forward:
        pooling = pool_options("max_pool_forward", steps[-1][1])
        check_pool("max_pool_forward", tuple(y.shape), pooling)
        pool = (pooling.window, pooling.stride)
    elif steps[-1][0] is gelu_forward:
        gelu = steps[-1][1]
    out, saved = engines.get(engine).fused.follow_forward(y, norm, pool, gelu)
    if norm is not None and options.mode == "train":
        keep_running(bn_param, options, saved.mean, saved.var)
    kept = FusedSaved(gamma_shape, beta_shape, saved)
    return out, Cache("fused", engine, tuple(out.shape), out[:0], kept)


def _norm(gamma: Array, beta: Array, options: BatchNormOptions) -> tuple[Any, ...]:
    """Return a normalisation as the engines take it."""
    moments = () if options.mode == "train" else (options.mean, options.var)
    return (gamma.reshape(-1), beta.reshape(-1), *moments, options.eps)


def backward(dout: Array, cache: Cache) -> tuple[Array, ...]:
    """Return dy, and with a norm dgamma and dbeta."""
    gamma_shape, beta_shape, saved = cache.saved
    dy, *gradients = engines.get(cache.engine).fused.follow_backward(dout, saved)
    if gamma_shape is None:
        return (dy,)
    dgamma, dbeta = gradients
    return dy, dgamma.reshape(gamma_shape), dbeta.reshape(beta_shape)


def whole_forward(x: Array, steps: list[Any], engine: str | None) -> tuple[Array, Cache] | None:
    """Run the whole sandwich on x in one call, where the engine has one for it; else None."""
    run = _WHOLES.get(tuple([step[0] for step in steps]))
    if run is None:
        return None
    name, module = engines.select(engine, x)
    return run(x, steps, name, module.fused) if hasattr(module, "fused") else None


def whole_backward(dout: Array, cache: Cache, need_dx: bool) -> tuple[Array | None, ...]:
    """Return dx (None where it is not needed) and the parameters' gradients in the order of forward."""
    fused = engines.get(cache.engine).fused
    if cache.layer != "stem":
        whole = "affine_relu" if cache.layer == "affine_relu" else "block"
        backward_of = getattr(fused, whole + "_backward")
        gradients: tuple[Array | None, ...] = backward_of(dout, cache.saved, need_dx)
        return gradients
    gamma_shape, beta_shape, saved = cache.saved
    dx, dw, db, dgamma, dbeta = fused.block_backward(dout, saved, need_dx)
    return dx, dw, db, dgamma.reshape(gamma_shape), dbeta.reshape(beta_shape)


def _affine_relu(x: Array, steps: list[Any], engine: str, fused: Any) -> tuple[Array, Cache]:
    (_, w, b), _ = steps
    check_affine(x, w, b)
    out, saved = fused.affine_relu_forward(x, w, b)
    return out, Cache("affine_relu", engine, out.shape, out[:0], saved)


def _pooled(x: Array, steps: list[Any], engine: str, fused: Any) -> tuple[Array, Cache] | None:
    """Run a convolution, ReLU where there is one, and pooling."""
    (_, w, b, conv_param), *middle, (_, pool_param) = steps
    rectify = bool(middle)
    stride, pad, dilation, groups = checked_conv(x, w, b, conv_param)
    options = pool_options("max_pool_forward", pool_param)
    pool = (options.window, options.stride)
    simple = dilation == (1, 1) and groups == 1 and options.is_plain
    if not (simple and fused.takes_block(x, w, stride, pad, pool, rectify=rectify)):
        return None
    out, saved = fused.block_forward(x, w, b, pad, rectify=rectify)
    return out, Cache("pooled", engine, tuple(out.shape), out[:0], saved)


def _stem(x: Array, steps: list[Any], engine: str, fused: Any) -> tuple[Array, Cache] | None:
    """Run the first block of a network over images."""
    (_, w, b, conv_param), (_, gamma, beta, bn_param), _, (_, pool_param) = steps
    if not (isinstance(bn_param, dict) and is_one_of(bn_param.get("mode"), _MODES)):
        return None  # the steps, one by one, say what is wrong with it
    stride, pad, dilation, groups = checked_conv(x, w, b, conv_param)
    check_channels("spatial_batchnorm_forward", "gamma", gamma, w.shape[0])
    check_channels("spatial_batchnorm_forward", "beta", beta, w.shape[0])
    pooling = pool_options("max_pool_forward", pool_param)
    pool = (pooling.window, pooling.stride)
    simple = dilation == (1, 1) and groups == 1 and pooling.is_plain
    if not (simple and fused.takes_block(x, w, stride, pad, pool, normed=True)):
        return None
    options = batch_norm_options("spatial_batchnorm", bn_param, x, (x.shape[0], w.shape[0]))
    out, saved = fused.block_forward(x, w, b, pad, norm=_norm(gamma, beta, options))
    if options.mode == "train":
        keep_running(bn_param, options, *saved.made[:2])
    kept = FusedSaved(tuple(gamma.shape), tuple(beta.shape), saved)
    return out, Cache("stem", engine, tuple(out.shape), out[:0], kept)


_WHOLES = {
    (affine_forward, relu_forward): _affine_relu,
    (conv_forward, max_pool_forward): _pooled,
    (conv_forward, relu_forward, max_pool_forward): _pooled,
    (conv_forward, spatial_batchnorm_forward, relu_forward, max_pool_forward): _stem,
}


def linear_backward(
    dy: Array, linear: Cache, follower: Cache, need_dx: bool
) -> tuple[Array | None, Array, Array]:
    """Return dx (None where it is not needed), dw and db of the layer in front.

    Behind it, a normalisation by the batch's own mean takes off whatever b adds, so db is zero.
    """
    fused = engines.get(linear.engine).fused
    backward = getattr(fused, linear.layer + "_backward")
    need_db = not fused.takes_off_mean(follower.saved.saved)
    return backward(dy, linear.saved, need_dx=need_dx, need_db=need_db)
