"""Batch and group normalisation, in loops.

Both make sets of numbers have mean 0 and variance 1; they differ in which numbers form a set.
Batch normalisation takes the numbers of one channel c, from all images; group normalisation those
of one image n and one group of channels.  `normalise` and `normalise_backward` treat one such set.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Number = Any  # a NumPy scalar in the dtype of the call


class BatchNormSaved(NamedTuple):
    """mean, var, std: (C,), var without eps, std with; xhat: the normalised x; gamma: (C,)."""

    mean: np.ndarray
    var: np.ndarray
    std: np.ndarray
    xhat: np.ndarray
    gamma: np.ndarray


class BatchNormTestSaved(NamedTuple):
    """std: (C,), of the running variance and eps; xhat: the normalised x; gamma: (C,)."""

    std: np.ndarray
    xhat: np.ndarray
    gamma: np.ndarray


class GroupNormSaved(NamedTuple):
    """std: (N, G), one for each image and group; xhat: the normalised x; gamma: (C,)."""

    std: np.ndarray
    xhat: np.ndarray
    gamma: np.ndarray


# One set of numbers


def mean_of(values: np.ndarray) -> Number:
    total = values.dtype.type(0)
    for value in values.flat:
        total += value
    return total / values.size


def normalise(values: np.ndarray, eps: float) -> tuple[np.ndarray, Number, Number]:
    """Return (values - mean) / sqrt(var + eps), the mean and the variance.

    The mean of values - mean is zero but for rounding; taking it off as well keeps float32 accurate
    where the mean is large against the deviation.
    """
    mean = mean_of(values)
    centred = values - mean
    rest = mean_of(centred)
    centred = centred - rest
    var = mean_of(centred * centred)
    return centred / np.sqrt(var + eps), mean + rest, var


def normalise_backward(dxhat: np.ndarray, xhat: np.ndarray, std: Number) -> np.ndarray:
    """Return dx = (dxhat - mean(dxhat) - xhat mean(dxhat xhat)) / std."""
    mean_dxhat = mean_of(dxhat)
    mean_dxhat_xhat = mean_of(dxhat * xhat)
    dx = np.zeros(xhat.shape, xhat.dtype)
    for i in np.ndindex(xhat.shape):
        dx[i] = (dxhat[i] - mean_dxhat - xhat[i] * mean_dxhat_xhat) / std
    return dx


def normalise_backward_through_graph(
    dxhat: np.ndarray, xhat: np.ndarray, std: Number
) -> np.ndarray:
    """Return dx, by the chain rule through each step of `normalise`."""
    m = xhat.size
    centred = xhat * std
    dcentred = np.zeros(xhat.shape, xhat.dtype)
    dstd = xhat.dtype.type(0)
    for i in np.ndindex(xhat.shape):  # xhat = centred / std
        dcentred[i] += dxhat[i] / std
        dstd -= dxhat[i] * centred[i] / (std * std)
    dvar = dstd / (2 * std)  # std = sqrt(var + eps)
    dmean = xhat.dtype.type(0)
    for i in np.ndindex(xhat.shape):  # var = sum of centred^2 / m, centred = x - mean
        dcentred[i] += 2 * centred[i] * dvar / m
        dmean -= dcentred[i]
    dx = np.zeros(xhat.shape, xhat.dtype)
    for i in np.ndindex(xhat.shape):  # mean = sum of x / m
        dx[i] = dcentred[i] + dmean / m
    return dx


# All channels


def scale_and_shift(xhat: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    out = np.zeros(xhat.shape, xhat.dtype)
    for n in range(xhat.shape[0]):
        for c in range(xhat.shape[1]):
            out[n, c] = gamma[c] * xhat[n, c] + beta[c]
    return out


def scale_and_shift_backward(
    dout: np.ndarray, xhat: np.ndarray, gamma: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dxhat = np.zeros(xhat.shape, xhat.dtype)
    dgamma = np.zeros(gamma.shape, xhat.dtype)
    dbeta = np.zeros(gamma.shape, xhat.dtype)
    for i in np.ndindex(xhat.shape):
        c = i[1]
        dxhat[i] = dout[i] * gamma[c]
        dgamma[c] += dout[i] * xhat[i]
        dbeta[c] += dout[i]
    return dxhat, dgamma, dbeta


# Batch normalisation of x (N, C, ...)


def batchnorm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float
) -> tuple[np.ndarray, BatchNormSaved]:
    C = x.shape[1]
    mean = np.zeros(C, x.dtype)
    var = np.zeros(C, x.dtype)
    xhat = np.zeros(x.shape, x.dtype)
    for c in range(C):
        xhat[:, c], mean[c], var[c] = normalise(x[:, c], eps)
    out = scale_and_shift(xhat, gamma, beta)
    return out, BatchNormSaved(mean, var, np.sqrt(var + eps), xhat, gamma)


def batchnorm_backward(
    dout: np.ndarray, saved: BatchNormSaved
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dxhat, dgamma, dbeta = scale_and_shift_backward(dout, saved.xhat, saved.gamma)
    dx = np.zeros(dout.shape, dout.dtype)
    for c in range(dout.shape[1]):
        dx[:, c] = normalise_backward_through_graph(dxhat[:, c], saved.xhat[:, c], saved.std[c])
    return dx, dgamma, dbeta


def batchnorm_backward_alt(
    dout: np.ndarray, saved: BatchNormSaved
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dxhat, dgamma, dbeta = scale_and_shift_backward(dout, saved.xhat, saved.gamma)
    dx = np.zeros(dout.shape, dout.dtype)
    for c in range(dout.shape[1]):
        dx[:, c] = normalise_backward(dxhat[:, c], saved.xhat[:, c], saved.std[c])
    return dx, dgamma, dbeta


def batchnorm_test_forward(
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, BatchNormTestSaved]:
    std = np.sqrt(var + eps)
    xhat = np.zeros(x.shape, x.dtype)
    for c in range(x.shape[1]):
        xhat[:, c] = (x[:, c] - mean[c]) / std[c]
    return scale_and_shift(xhat, gamma, beta), BatchNormTestSaved(std, xhat, gamma)


def batchnorm_test_backward(
    dout: np.ndarray, saved: BatchNormTestSaved
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dxhat, dgamma, dbeta = scale_and_shift_backward(dout, saved.xhat, saved.gamma)
    dx = np.zeros(dout.shape, dout.dtype)
    for c in range(dout.shape[1]):
        dx[:, c] = dxhat[:, c] / saved.std[c]
    return dx, dgamma, dbeta


# Group normalisation of x (N, C, ...); one group is layer normalisation


def groupnorm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, groups: int, eps: float
) -> tuple[np.ndarray, GroupNormSaved]:
    N, C = x.shape[:2]
    width = C // groups
    std = np.zeros((N, groups), x.dtype)
    xhat = np.zeros(x.shape, x.dtype)
    for n in range(N):
        for g in range(groups):
            channels = slice(g * width, (g + 1) * width)
            xhat[n, channels], _, var = normalise(x[n, channels], eps)
            std[n, g] = np.sqrt(var + eps)
    return scale_and_shift(xhat, gamma, beta), GroupNormSaved(std, xhat, gamma)


def groupnorm_backward(
    dout: np.ndarray, saved: GroupNormSaved
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    N, groups = saved.std.shape
    width = dout.shape[1] // groups
    dxhat, dgamma, dbeta = scale_and_shift_backward(dout, saved.xhat, saved.gamma)
    dx = np.zeros(dout.shape, dout.dtype)
    for n in range(N):
        for g in range(groups):
            channels = slice(g * width, (g + 1) * width)
            dx[n, channels] = normalise_backward(
                dxhat[n, channels], saved.xhat[n, channels], saved.std[n, g]
            )
    return dx, dgamma, dbeta
