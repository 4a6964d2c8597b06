"""What the normalisation layers share: their options, their checks, and the way to the engine."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from handgrad import engines
from handgrad.engines.arrays import Array, cast, namespace
from handgrad.errors import (
    OptionError,
    ShapeError,
    as_number,
    check_choice,
    check_keys,
    check_shape,
    is_one_of,
    required,
)
from handgrad.layers.pair import Cache, check_backward

BATCH_NORM_KEYS = frozenset({"mode", "eps", "momentum", "running_mean", "running_var"})
GROUP_NORM_KEYS = frozenset({"eps", "mode"})


class NormSaved(NamedTuple):
    """What a norm's `Cache` holds.

    pair: name of the engine's pair, which several layers share; gamma_shape, beta_shape: as they
    came, so also dgamma's and dbeta's; saved: what the engine's backward needs.
    """

    pair: str
    gamma_shape: tuple[int, ...]
    beta_shape: tuple[int, ...]
    saved: Any


def norm_forward(
    layer: str, pair: str, engine: str | None, x: Array, gamma: Array, beta: Array, *options: Any
) -> tuple[Array, Cache]:
    """Call the engine's ``<pair>_forward`` on x (N, C, ...) with gamma and beta as (C,)."""
    name, module = engines.select(engine, x)
    xp = namespace(x)
    channels = (x.shape[1],)
    out, saved = getattr(module, pair + "_forward")(
        x, xp.reshape(gamma, channels), xp.reshape(beta, channels), *options
    )
    saved = NormSaved(pair, tuple(gamma.shape), tuple(beta.shape), saved)
    return out, Cache(layer, name, tuple(out.shape), out[:0, ...], saved)


def norm_backward(
    layer: str, dout: Array, cache: Cache, *, alt: bool = False
) -> tuple[Array, Array, Array]:
    """Call the backward of the pair that made `cache`; gradients in the shapes that came.

    alt: take the simplified formula where the pair has two backwards.
    """
    dout = check_backward(layer, dout, cache)
    pair, gamma_shape, beta_shape, saved = cache.saved
    suffix = "_backward_alt" if alt and pair == "batchnorm" else "_backward"
    dx, dgamma, dbeta = getattr(engines.get(cache.engine), pair + suffix)(dout, saved)
    xp = namespace(dout)
    return dx, xp.reshape(dgamma, gamma_shape), xp.reshape(dbeta, beta_shape)


class BatchNormOptions(NamedTuple):
    """What `bn_param` says: mode, eps, momentum, and the running mean and variance, (C,)."""

    mode: str
    eps: float
    momentum: float
    mean: Array
    var: Array


def batch_norm_options(
    layer: str, bn_param: dict[str, Any], x: Array, shape: tuple[int, ...] | None = None
) -> BatchNormOptions:
    """Return the checked options of `bn_param` for x (N, C, ...), or for an array like x of `shape`."""
    shape = tuple(x.shape) if shape is None else shape
    where = layer + "_forward"
    bn_param = of_call(bn_param)
    check_keys(where, "bn_param", bn_param, BATCH_NORM_KEYS)
    mode = required(where, "bn_param", bn_param, "mode")
    if not is_one_of(mode, ("train", "test")):
        raise OptionError(
            f'{where}: Invalid forward batchnorm mode "{mode}"; '
            "bn_param['mode'] must be 'train' or 'test'"
        )
    eps = _eps(where, "bn_param", bn_param)
    momentum = as_number(where, "bn_param['momentum']", bn_param.get("momentum", 0.9), 0, 1)
    mean = _running(where, "running_mean", bn_param, x, shape[1])
    var = _running(where, "running_var", bn_param, x, shape[1])
    if mode == "train":
        check_not_empty(where, shape, shape[0], *shape[2:], what="a channel of the batch")
    return BatchNormOptions(mode, eps, momentum, mean, var)


def keep_running(
    bn_param: dict[str, Any], options: BatchNormOptions, mean: Array, var: Array
) -> None:
    """Move the running statistics in `bn_param` towards the batch's mean and var, both in one step."""
    momentum = options.momentum
    bn_param.update(
        running_mean=momentum * options.mean + (1 - momentum) * mean,
        running_var=momentum * options.var + (1 - momentum) * var,
    )


def of_call(bn_param: Any) -> Any:
    """Return a copy of `bn_param` for one call, whose mode and statistics no other thread changes."""
    return dict(bn_param) if isinstance(bn_param, dict) else bn_param


def give_back(bn_param: Any, own: Any) -> None:
    """Put the running statistics that a call kept in `own`, made by `of_call`, into `bn_param`."""
    if isinstance(own, dict) and own.get("mode") == "train":
        bn_param.update(running_mean=own["running_mean"], running_var=own["running_var"])


def batch_norm_forward(
    layer: str,
    engine: str | None,
    x: Array,
    gamma: Array,
    beta: Array,
    bn_param: dict[str, Any],
) -> tuple[Array, Cache]:
    """Batch normalisation of x (N, C, ...) by the options and running statistics of `bn_param`."""
    options = batch_norm_options(layer, bn_param, x)
    if options.mode == "test":
        moments = options.mean, options.var
        return norm_forward(layer, "batchnorm_test", engine, x, gamma, beta, *moments, options.eps)
    out, cache = norm_forward(layer, "batchnorm", engine, x, gamma, beta, options.eps)
    batch = cache.saved.saved
    keep_running(bn_param, options, batch.mean, batch.var)
    return out, cache


def group_norm_forward(
    layer: str, engine: str | None, x: Array, gamma: Array, beta: Array, groups: int, eps: float
) -> tuple[Array, Cache]:
    """Normalise each of `groups` groups of channels of each row or image of x (N, C, ...)."""
    check_not_empty(layer + "_forward", tuple(x.shape), *x.shape[1:], what="a row or image")
    return norm_forward(layer, "groupnorm", engine, x, gamma, beta, groups, eps)


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


def _running(layer: str, key: str, bn_param: dict[str, Any], x: Array, C: int) -> Array:
    value = bn_param.get(key)
    if value is None:
        return namespace(x).zeros((C,), dtype=x.dtype, device=x.device)
    name = f"bn_param['{key}']"
    value = cast(layer, name, value, x)
    check_shape(layer, name, value, (C,), "one number for each channel of x (N, C, ...)")
    return value
