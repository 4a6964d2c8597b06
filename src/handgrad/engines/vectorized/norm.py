"""Batch and group normalisation as whole-array expressions.

Both normalise over some axes: batch normalisation of (N, C, ...) over all axes but C, group
normalisation of x seen as (N, groups, channels of a group, positions) over the last two.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from handgrad.engines.arrays import Array, namespace


class BatchNormSaved(NamedTuple):
    """mean, var, std: (C,), var without eps, std with; xhat: the normalised x; gamma: (C,)."""

    mean: Array
    var: Array
    std: Array
    xhat: Array
    gamma: Array


class BatchNormTestSaved(NamedTuple):
    """std: (C,), of the running variance and eps; xhat: the normalised x; gamma: (C,)."""

    std: Array
    xhat: Array
    gamma: Array


class GroupNormSaved(NamedTuple):
    """std: (N, G, 1, 1); xhat: the normalised x, (N, G, C/G, positions); gamma: (C,)."""

    std: Array
    xhat: Array
    gamma: Array


# Batch normalisation of x (N, C, ...)


def batchnorm_forward(
    x: Array, gamma: Array, beta: Array, eps: float
) -> tuple[Array, BatchNormSaved]:
    xp = namespace(x)
    xhat, mean, var, std = _normalise(x, _all_but_channels(x), eps)
    mean, var, std = (xp.reshape(value, gamma.shape) for value in (mean, var, std))
    out = xhat * _along_channels(gamma, x) + _along_channels(beta, x)
    return out, BatchNormSaved(mean, var, std, xhat, gamma)


def batchnorm_backward(dout: Array, saved: BatchNormSaved) -> tuple[Array, Array, Array]:
    xp = namespace(dout)
    xhat = saved.xhat
    axes = _all_but_channels(dout)
    m = prod(dout.shape[axis] for axis in axes)
    std = _along_channels(saved.std, dout)
    centred = xhat * std
    # out = gamma xhat + beta
    dbeta = xp.sum(dout, axis=axes)
    dgamma = xp.sum(dout * xhat, axis=axes)
    dxhat = dout * _along_channels(saved.gamma, dout)
    # xhat = centred / std
    dstd = -xp.sum(dxhat * centred, axis=axes, keepdims=True) / (std * std)
    dcentred = dxhat / std
    # std = sqrt(var + eps)
    dvar = dstd / (2 * std)
    # var = sum of centred^2 / m
    dcentred = dcentred + 2 * centred * dvar / m
    # centred = x - mean
    dmean = -xp.sum(dcentred, axis=axes, keepdims=True)
    # mean = sum of x / m
    return dcentred + dmean / m, dgamma, dbeta


def batchnorm_backward_alt(dout: Array, saved: BatchNormSaved) -> tuple[Array, Array, Array]:
    xp = namespace(dout)
    xhat = saved.xhat
    axes = _all_but_channels(dout)
    m = prod(dout.shape[axis] for axis in axes)
    dbeta = xp.sum(dout, axis=axes)
    dgamma = xp.sum(dout * xhat, axis=axes)
    dx = dout - xhat * _along_channels(dgamma / m, dout) - _along_channels(dbeta / m, dout)
    return dx * _along_channels(saved.gamma / saved.std, dout), dgamma, dbeta


def batchnorm_test_forward(
    x: Array, gamma: Array, beta: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, BatchNormTestSaved]:
    std = namespace(x).sqrt(var + eps)
    xhat = (x - _along_channels(mean, x)) / _along_channels(std, x)
    out = xhat * _along_channels(gamma, x) + _along_channels(beta, x)
    return out, BatchNormTestSaved(std, xhat, gamma)


def batchnorm_test_backward(dout: Array, saved: BatchNormTestSaved) -> tuple[Array, Array, Array]:
    xp = namespace(dout)
    axes = _all_but_channels(dout)
    dx = dout * _along_channels(saved.gamma / saved.std, dout)
    return dx, xp.sum(dout * saved.xhat, axis=axes), xp.sum(dout, axis=axes)


# Group normalisation of x (N, C, ...); one group is layer normalisation


def groupnorm_forward(
    x: Array, gamma: Array, beta: Array, groups: int, eps: float
) -> tuple[Array, GroupNormSaved]:
    xp = namespace(x)
    grouped = _grouped(x, groups)
    xhat, _, _, std = _normalise(grouped, (2, 3), eps)
    out = xhat * _along_groups(gamma, grouped) + _along_groups(beta, grouped)
    return xp.reshape(out, x.shape), GroupNormSaved(std, xhat, gamma)


def groupnorm_backward(dout: Array, saved: GroupNormSaved) -> tuple[Array, Array, Array]:
    xp = namespace(dout)
    xhat = saved.xhat
    grouped = _grouped(dout, xhat.shape[1])
    m = xhat.shape[2] * xhat.shape[3]
    dbeta = xp.reshape(xp.sum(grouped, axis=(0, 3)), saved.gamma.shape)
    dgamma = xp.reshape(xp.sum(grouped * xhat, axis=(0, 3)), saved.gamma.shape)
    dxhat = grouped * _along_groups(saved.gamma, grouped)
    mean_dxhat = xp.sum(dxhat, axis=(2, 3), keepdims=True) / m
    mean_dxhat_xhat = xp.sum(dxhat * xhat, axis=(2, 3), keepdims=True) / m
    dx = (dxhat - mean_dxhat - xhat * mean_dxhat_xhat) / saved.std
    return xp.reshape(dx, dout.shape), dgamma, dbeta


# What both share


def _normalise(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array, Array, Array]:
    """Return xhat = (x - mean) / std, and with `axes` of size 1: mean, var, std = sqrt(var + eps).

    The mean of x - mean is zero but for rounding; taking it off as well keeps float32 accurate
    where the mean is large against the deviation.
    """
    xp = namespace(x)
    m = prod(x.shape[axis] for axis in axes)
    mean = xp.sum(x, axis=axes, keepdims=True) / m
    centred = x - mean
    rest = xp.sum(centred, axis=axes, keepdims=True) / m
    centred = centred - rest
    var = xp.sum(centred * centred, axis=axes, keepdims=True) / m
    std = xp.sqrt(var + eps)
    return centred / std, mean + rest, var, std


def _all_but_channels(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _along_channels(vector: Array, x: Array) -> Array:
    """View `vector` (C,) so that it broadcasts along the channels of x (N, C, ...)."""
    return namespace(vector).reshape(vector, (1, *vector.shape) + (1,) * (x.ndim - 2))


def _grouped(x: Array, groups: int) -> Array:
    N, C = x.shape[:2]
    return namespace(x).reshape(x, (N, groups, C // groups, prod(x.shape[2:])))


def _along_groups(vector: Array, grouped: Array) -> Array:
    """View `vector` (C,) so that it broadcasts along the channels of (N, G, C/G, positions)."""
    return namespace(vector).reshape(vector, (1, grouped.shape[1], grouped.shape[2], 1))
