"""Batch normalisation of the columns of a matrix.

Over the N rows, for each column:

    mean = 1/N sum_n x[n]       var = 1/N sum_n (x[n] - mean)^2
    xhat = (x - mean) / std     std = sqrt(var + eps)
    out  = gamma xhat + beta

For the backward, let g = dout gamma be the gradient of xhat.  `batchnorm_backward` goes back
through the graph of these steps, one at a time:

    dstd = -sum_n g[n] (x[n] - mean) / std^2        dvar = dstd / (2 std)
    dcentred = g / std + 2 (x - mean) dvar / N      dmean = -sum_n dcentred[n]
    dx = dcentred + dmean / N

`batchnorm_backward_alt` uses what is left when these are put into each other.  The mean of x enters
every xhat by -1/std, its variance by -xhat/(2 std^2), so the two paths take the mean of g, and the
part of g along xhat, off:

    dx = (g - mean(g) - xhat mean(g xhat)) / std
       = gamma / (N std) (N dout - dbeta - xhat dgamma)
    dgamma = sum_n dout[n] xhat[n]      dbeta = sum_n dout[n]

In test mode the running mean and variance take the place of the batch's; they are constants, so
dx = g / std.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import check_ndim, check_shape
from handgrad.layers.norms import batch_norm_forward, check_batch_norm, norm_backward
from handgrad.layers.pair import Cache, Checked


def batchnorm_forward(
    x: Array, gamma: Array, beta: Array, bn_param: dict[str, Any], *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Normalise each column over the batch: ``out = gamma * (x - mean) / sqrt(var + eps) + beta``.

    In train mode mean and var (the biased one, divided by N) are the batch's, and `bn_param`
    receives the running statistics, as new arrays in the dtype of the call:
    ``running = momentum * running + (1 - momentum) * batch``, from zeros at the first call.  In
    test mode mean and var are the running ones and `bn_param` stays as it is.  A batch of one row
    gives out = beta and dx = 0.

    Args:
        x: inputs, (N, D).
        gamma: scales, (D,).
        beta: shifts, (D,).
        bn_param: 'mode', 'train' or 'test'; optional 'eps' (1e-5), 'momentum' (0.9),
            'running_mean' and 'running_var', (D,).
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, (N, D), and the cache for `batchnorm_backward` or `batchnorm_backward_alt`.

    Raises:
        ShapeError, DtypeError: an argument does not fit the others, or a train batch is empty.
        OptionError: `bn_param` has no valid mode or an unknown key, or eps or momentum is outside its range.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167; CS231n assignment 2, ``batchnorm_forward``.
    """
    x, gamma, beta = promote("batchnorm_forward", x=x, gamma=gamma, beta=beta)
    return batch_norm_forward("batchnorm", engine, (x, gamma, beta), bn_param, check)


def check(x: Array, gamma: Array, beta: Array, bn_param: dict[str, Any]) -> Checked:
    """Do the checks of `batchnorm_forward`, but those of the running statistics."""
    check_ndim("batchnorm_forward", "x", x, 2, "(N, D)")
    columns = (x.shape[1],)
    check_shape("batchnorm_forward", "gamma", gamma, columns, "(D,) of x (N, D)")
    check_shape("batchnorm_forward", "beta", beta, columns, "(D,) of x (N, D)")
    return check_batch_norm("batchnorm_forward", x, bn_param)


def batchnorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients of `batchnorm_forward`, step by step through its graph.

    Args:
        dout: upstream gradient, (N, D).
        cache: what `batchnorm_forward` returned, in either mode.

    Returns:
        dx (N, D), dgamma (D,), dbeta (D,).

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return norm_backward("batchnorm", dout, cache)


def batchnorm_backward_alt(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients of `batchnorm_forward`, from the simplified formula; the faster of the two.

    Arguments, returns and errors are those of `batchnorm_backward`.
    """
    return norm_backward("batchnorm", dout, cache, alt=True)


# The arithmetic, of x (N, C, ...)


class Saved(NamedTuple):
    """mean, var, std: (C,), var without eps, std with; xhat: the normalised x; gamma: (C,)."""

    mean: Array
    var: Array
    std: Array
    xhat: Array
    gamma: Array


class TestSaved(NamedTuple):
    """std: (C,), of the running variance and eps; xhat: the normalised x; gamma: (C,)."""

    std: Array
    xhat: Array
    gamma: Array


@vectorized.computes("batchnorm_forward")
def _forward(x: Array, gamma: Array, beta: Array, eps: float) -> tuple[Array, Saved]:
    xp = namespace(x)
    xhat, mean, var, std = normalise(x, _all_but_channels(x), eps)
    mean, var, std = (xp.reshape(value, gamma.shape) for value in (mean, var, std))
    out = xhat * _along_channels(gamma, x) + _along_channels(beta, x)
    return out, Saved(mean, var, std, xhat, gamma)


@vectorized.computes("batchnorm_backward")
def _backward(dout: Array, saved: Saved) -> tuple[Array, Array, Array]:
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


@vectorized.computes("batchnorm_backward_alt")
def _backward_alt(dout: Array, saved: Saved) -> tuple[Array, Array, Array]:
    xp = namespace(dout)
    xhat = saved.xhat
    axes = _all_but_channels(dout)
    m = prod(dout.shape[axis] for axis in axes)
    dbeta = xp.sum(dout, axis=axes)
    dgamma = xp.sum(dout * xhat, axis=axes)
    dx = dout - xhat * _along_channels(dgamma / m, dout) - _along_channels(dbeta / m, dout)
    return dx * _along_channels(saved.gamma / saved.std, dout), dgamma, dbeta


@vectorized.computes("batchnorm_test_forward")
def _test_forward(
    x: Array, gamma: Array, beta: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, TestSaved]:
    std = namespace(x).sqrt(var + eps)
    xhat = (x - _along_channels(mean, x)) / _along_channels(std, x)
    out = xhat * _along_channels(gamma, x) + _along_channels(beta, x)
    return out, TestSaved(std, xhat, gamma)


@vectorized.computes("batchnorm_test_backward")
def _test_backward(dout: Array, saved: TestSaved) -> tuple[Array, Array, Array]:
    xp = namespace(dout)
    axes = _all_but_channels(dout)
    dx = dout * _along_channels(saved.gamma / saved.std, dout)
    return dx, xp.sum(dout * saved.xhat, axis=axes), xp.sum(dout, axis=axes)


def normalise(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array, Array, Array]:
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
