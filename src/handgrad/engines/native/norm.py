"""Batch and group normalisation; xhat is computed again in backward rather than stored."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from handgrad.engines.native import _kernels

Array = np.ndarray
Pair = tuple[int, int]
Gradients = tuple[Array, Array, Array]


class BatchNormSaved(NamedTuple):
    """What forward keeps.

    Attributes:
        x: (N, C, ...).
        mean, var, beta: (C,).
        inv_std: 1 / sqrt(var + eps), (C,).
        scale: gamma inv_std, (C,).
        places, largest: of the pooling behind it, or None.
        rectify: whether a ReLU follows.
        of_batch: whether mean and var are the batch's.
        pool: its (window, stride), or None.
        curve: the number of the smooth activation that follows, or None.
    """

    x: Array
    mean: Array
    var: Array
    inv_std: Array
    scale: Array
    places: Array | None
    largest: Array | None
    beta: Array
    rectify: bool
    of_batch: bool
    pool: tuple[Pair, Pair] | None
    curve: int | None


def norm_forward(
    x: Array,
    gamma: Array,
    beta: Array,
    eps: float,
    mean: Array | None = None,
    var: Array | None = None,
    *,
    rectify: bool = False,
    pool: tuple[Pair, Pair] | None = None,
    curve: int | None = None,
) -> tuple[Array, BatchNormSaved]:
    """Batch norm, by the batch's moments unless `mean` and `var` are given, and what may follow it."""
    out, used_mean, used_var, inv_std, scale, places, largest = _kernels.batchnorm_forward(
        x, gamma, beta, eps, rectify, mean, var, pool, curve
    )
    if rectify or curve is not None:  # backward computes what comes between again
        beta = beta.copy()
    moments = used_mean, used_var, inv_std, scale
    options = rectify, mean is None, pool, curve
    return out, BatchNormSaved(x, *moments, places, largest, beta, *options)


def batchnorm_forward(
    x: Array, gamma: Array, beta: Array, eps: float
) -> tuple[Array, BatchNormSaved]:
    return norm_forward(x, gamma, beta, eps)


def batchnorm_test_forward(
    x: Array, gamma: Array, beta: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, BatchNormSaved]:
    return norm_forward(x, gamma, beta, eps, mean=mean, var=var)


def batchnorm_backward(dout: Array, saved: BatchNormSaved) -> Gradients:
    return _kernels.batchnorm_backward(
        dout,
        saved.x,
        saved.mean,
        saved.inv_std,
        saved.scale,
        saved.places,
        saved.largest,
        saved.beta,
        saved.rectify,
        saved.of_batch,
        saved.pool,
        saved.curve,
    )


# One formula serves all three: with given moments, mean and variance have no gradients to share out.
batchnorm_backward_alt = batchnorm_test_backward = batchnorm_backward


def groupnorm_forward(
    x: Array, gamma: Array, beta: Array, groups: int, eps: float
) -> tuple[Array, tuple]:
    out, xhat, inv_std = _kernels.groupnorm_forward(x, gamma, beta, groups, eps)
    return out, (xhat, inv_std, gamma)


def groupnorm_backward(dout: Array, saved: tuple) -> Gradients:
    return _kernels.groupnorm_backward(dout, *saved)
