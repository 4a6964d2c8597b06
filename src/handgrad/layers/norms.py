"""What the normalisation layers share: their options, their checks, and the way to the engine."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, prod
from typing import Any, NamedTuple

import numpy as np

from handgrad import engines
from handgrad.engines.arrays import Array, cast, namespace
from handgrad.errors import (
    OptionError,
    ShapeError,
    as_number,
    check_choice,
    check_keys,
    check_shape,
    required,
)
from handgrad.layers.pair import Cache, Checked, backward_name, check_backward

Arrays = tuple[Array, Array, Array]  # x, gamma, beta

BATCH_NORM_KEYS = frozenset({"mode", "eps", "momentum", "running_mean", "running_var"})
GROUP_NORM_KEYS = frozenset({"eps", "mode"})


class NormSaved(NamedTuple):
    """What a norm's `Cache` holds.

    Attributes:
        pair: name of the engine's pair, which several layers share.
        gamma_shape, beta_shape: as they came, so also dgamma's and dbeta's.
        saved: what the engine's backward needs.
    """

    pair: str
    gamma_shape: tuple[int, ...]
    beta_shape: tuple[int, ...]
    saved: Any


def norm_forward(
    layer: str, engine: str | None, arrays: Arrays, checked: Checked
) -> tuple[Array, Cache]:
    """Call the engine's pair on x (N, C, ...), with gamma and beta as (C,)."""
    x, gamma, beta = arrays
    pair, options, _ = checked
    name, module = engines.select(engine, x)
    channels = (x.shape[1],)
    shapes = tuple(gamma.shape), tuple(beta.shape)
    if shapes != (channels, channels):
        xp = namespace(x)
        gamma, beta = xp.reshape(gamma, channels), xp.reshape(beta, channels)
    out, saved = getattr(module, pair + "_forward")(x, gamma, beta, *options)
    saved = NormSaved(pair, *shapes, saved)
    return out, Cache(layer, name, tuple(out.shape), out[:0, ...], saved)


def norm_backward(
    layer: str, dout: Array, cache: Cache, *, alt: bool = False
) -> tuple[Array, Array, Array]:
    """Call the backward of the pair that made `cache`; gradients in the shapes that came.

    alt: take the simplified formula where the pair has two backwards.
    """
    dout = check_backward(layer, dout, cache)
    pair, gamma_shape, beta_shape, saved = cache.saved
    backward = backward_name(pair) if alt else pair + "_backward"
    dx, dgamma, dbeta = getattr(engines.get(cache.engine), backward)(dout, saved)
    if tuple(dgamma.shape) == gamma_shape and tuple(dbeta.shape) == beta_shape:
        return dx, dgamma, dbeta
    xp = namespace(dout)
    return dx, xp.reshape(dgamma, gamma_shape), xp.reshape(dbeta, beta_shape)


class Running(NamedTuple):
    """What `bn_param` says of the running statistics: momentum, mean and variance, (C,)."""

    momentum: float
    mean: Array
    var: Array


def check_batch_norm(where: str, x: Array, bn_param: dict[str, Any]) -> Checked:
    """Check `bn_param` for x (N, C, ...), but for its running statistics; the option is eps."""
    if type(bn_param) is not dict or not bn_param.keys() <= BATCH_NORM_KEYS:
        check_keys(where, "bn_param", bn_param, BATCH_NORM_KEYS)
    mode = bn_param.get("mode")
    if mode is None:
        mode = required(where, "bn_param", bn_param, "mode")
    if not isinstance(mode, str) or mode not in ("train", "test"):
        raise OptionError(
            f'{where}: Invalid forward batchnorm mode "{mode}"; '
            "bn_param['mode'] must be 'train' or 'test'"
        )
    eps = _eps(where, "bn_param", bn_param)
    shape = tuple(x.shape)
    if mode == "test":
        return Checked("batchnorm_test", (eps,), shape)
    check_not_empty(where, shape, shape[0], *shape[2:], what="a channel of the batch")
    return Checked("batchnorm", (eps,), shape)


def running_of(where: str, bn_param: dict[str, Any], like: Array, C: int) -> Running:
    """Return the checked running statistics of `bn_param`, in the library and dtype of `like`; else zeros."""
    momentum = bn_param.get("momentum", 0.9)
    if type(momentum) is not float or not 0.0 <= momentum <= 1.0:
        momentum = as_number(where, "bn_param['momentum']", momentum, 0, 1)
    mean = _running(where, "running_mean", bn_param, like, C)
    return Running(momentum, mean, _running(where, "running_var", bn_param, like, C))


def keep_running(bn_param: dict[str, Any], running: Running, mean: Array, var: Array) -> None:
    """Move the running statistics in `bn_param` towards the batch's mean and var, both in one step."""
    momentum = running.momentum
    bn_param.update(
        running_mean=momentum * running.mean + (1 - momentum) * mean,
        running_var=momentum * running.var + (1 - momentum) * var,
    )


def of_call(bn_param: Any) -> Any:
    """Return a copy of `bn_param` for one call, whose mode and statistics no other thread changes."""
    return dict(bn_param) if isinstance(bn_param, dict) else bn_param


def batch_norm_forward(
    layer: str,
    engine: str | None,
    arrays: Arrays,
    bn_param: dict[str, Any],
    check: Callable[..., Checked],
) -> tuple[Array, Cache]:
    """Batch normalisation of x (N, C, ...) by the options and running statistics of `bn_param`."""
    own = of_call(bn_param)
    checked = check(*arrays, own)
    running = running_of(layer + "_forward", own, arrays[1], checked.shape[1])
    if checked.pair == "batchnorm_test":
        options = (running.mean, running.var, *checked.options)
        return norm_forward(layer, engine, arrays, checked._replace(options=options))
    out, cache = norm_forward(layer, engine, arrays, checked)
    batch = cache.saved.saved
    keep_running(bn_param, running, batch.mean, batch.var)
    return out, cache


def check_group_norm(layer: str, x: Array, groups: int, eps: float) -> Checked:
    """Check x (N, C, ...), of which each of `groups` groups of channels is normalised for itself."""
    shape = tuple(x.shape)
    check_not_empty(layer + "_forward", shape, *shape[1:], what="a row or image")
    return Checked("groupnorm", (groups, eps), shape)


def eps_of(layer: str, where: str, param: Any) -> float:
    """Return the option eps of `param`, the argument `where`: 1e-5 unless it says otherwise.

    It may also have a mode, which changes nothing: the courses' notebooks pass one.
    """
    check_keys(layer, where, param, GROUP_NORM_KEYS)
    if "mode" in param:
        check_choice(layer, f"{where}['mode']", param["mode"], ("train", "test"))
    return _eps(layer, where, param)


def _eps(layer: str, where: str, param: Any) -> float:
    eps = param.get("eps", 1e-5)
    if type(eps) is float and 0.0 < eps < inf:
        return eps
    return as_number(layer, f"{where}['eps']", eps, 0, open_low=True)


def check_channels(layer: str, name: str, vector: Array, C: int) -> None:
    """Raise ShapeError unless `vector` has one number a channel, as (C,) or (1, C, 1, 1)."""
    if tuple(vector.shape) not in ((C,), (1, C, 1, 1)):
        raise ShapeError(
            f"{layer}: {name} must have shape ({C},) or (1, {C}, 1, 1), one number for each of the "
            f"{C} channels of x (N, C, H, W); got {tuple(vector.shape)}"
        )


def check_not_empty(layer: str, shape: tuple[int, ...], *sizes: int, what: str) -> None:
    """Raise ShapeError if the product of `sizes`, the numbers in `what` of x, is zero."""
    if prod(sizes) == 0:
        raise ShapeError(
            f"{layer}: x must have at least one number in {what}, to take the mean of; "
            f"got x {shape}"
        )


def _running(where: str, key: str, bn_param: dict[str, Any], like: Array, C: int) -> Array:
    value = bn_param.get(key)
    if value is None:
        return namespace(like).zeros((C,), dtype=like.dtype, device=like.device)
    is_plain = type(value) is np.ndarray and value.dtype is like.dtype and value.flags.aligned
    if not is_plain or value.shape != (C,):
        name = f"bn_param['{key}']"
        value = cast(where, name, value, like)
        check_shape(where, name, value, (C,), "one number for each channel of x (N, C, ...)")
    return value
