"""Batch and group normalisation; xhat is computed again in backward rather than stored."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from handgrad.engines.native import _kernels

Array = np.ndarray
Gradients = tuple[Array, Array, Array]


class BatchNormSaved(NamedTuple):
    """x: (N, C, ...); mean, var, inv_std = 1 / sqrt(var + eps), scale = gamma inv_std, beta: (C,)."""

    x: Array
    mean: Array
    var: Array
    inv_std: Array
    scale: Array
    beta: Array


def batchnorm_forward(
    x: Array, gamma: Array, beta: Array, eps: float
) -> tuple[Array, BatchNormSaved]:
    out, *saved = _kernels.batchnorm_forward(x, gamma, beta, eps, False)
    return out, BatchNormSaved(x, *saved, beta)


def batchnorm_backward(dout: Array, saved: BatchNormSaved) -> Gradients:
    return _backward(dout, saved, of_batch=True)


batchnorm_backward_alt = batchnorm_backward  # the simplified formula is the only one here


def batchnorm_test_forward(
    x: Array, gamma: Array, beta: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, BatchNormSaved]:
    out, *saved = _kernels.batchnorm_forward(x, gamma, beta, eps, False, mean, var)
    return out, BatchNormSaved(x, *saved, beta)


def batchnorm_test_backward(dout: Array, saved: BatchNormSaved) -> Gradients:
    return _backward(dout, saved, of_batch=False)


def _backward(dout: Array, saved: BatchNormSaved, *, of_batch: bool) -> Gradients:
    x, mean, _, inv_std, scale, beta = saved
    return _kernels.batchnorm_backward(dout, x, mean, inv_std, scale, beta, False, of_batch)


def groupnorm_forward(
    x: Array, gamma: Array, beta: Array, groups: int, eps: float
) -> tuple[Array, tuple]:
    out, xhat, inv_std = _kernels.groupnorm_forward(x, gamma, beta, groups, eps)
    return out, (xhat, inv_std, gamma)


def groupnorm_backward(dout: Array, saved: tuple) -> Gradients:
    return _kernels.groupnorm_backward(dout, *saved)
