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

from typing import Any

from handgrad.engines.arrays import Array, promote
from handgrad.errors import check_ndim, check_shape
from handgrad.layers.norms import batch_norm_forward, norm_backward
from handgrad.layers.pair import Cache


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
    check_ndim("batchnorm_forward", "x", x, 2, "(N, D)")
    columns = (x.shape[1],)
    check_shape("batchnorm_forward", "gamma", gamma, columns, "(D,) of x (N, D)")
    check_shape("batchnorm_forward", "beta", beta, columns, "(D,) of x (N, D)")
    return batch_norm_forward("batchnorm", engine, x, gamma, beta, bn_param)


def batchnorm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients of `batchnorm_forward`, step by step through its graph.

    Args:
        dout: upstream gradient, (N, D).
        cache: what `batchnorm_forward` returned, in either mode.

    Returns:
        dx (N, D), dgamma (D,), dbeta (D,).

    Raises:
        ShapeError: dout has not the output's shape.  CacheError: cache is another layer's.
    """
    return norm_backward("batchnorm", dout, cache)


def batchnorm_backward_alt(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients of `batchnorm_forward`, from the simplified formula; the faster of the two.

    Arguments, returns and errors are those of `batchnorm_backward`.
    """
    return norm_backward("batchnorm", dout, cache, alt=True)
