"""Losses over rows of finite scores; those of few numbers a row are the array code of the layer files."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.engines import vectorized
from handgrad.engines.native import _kernels

Array = np.ndarray


def softmax_loss(
    x: np.ndarray, y: np.ndarray, smoothing: float = 0.0, weights: np.ndarray | None = None
) -> tuple[np.floating, np.ndarray]:
    if weights is not None:
        loss, dx = vectorized.softmax_loss(x, y, smoothing, weights)
        return loss, dx
    loss, dx = _kernels.loss(x, y, True, smoothing)
    return x.dtype.type(loss), dx


def svm_loss(x: np.ndarray, y: np.ndarray) -> tuple[np.floating, np.ndarray]:
    loss, dx = _kernels.loss(x, y, False, 0.0)
    return x.dtype.type(loss), dx


def absolute_loss(x: Array, y: Array, weights: Array) -> tuple[Any, Array]:
    loss, dx = vectorized.absolute_loss(x, y, weights)
    return loss, dx


def binary_cross_entropy_loss(x: Array, y: Array, weights: Array) -> tuple[Any, Array]:
    loss, dx = vectorized.binary_cross_entropy_loss(x, y, weights)
    return loss, dx


def focal_loss(x: Array, y: Array, weights: Array, gamma: float = 2.0) -> tuple[Any, Array]:
    loss, dx = vectorized.focal_loss(x, y, weights, gamma)
    return loss, dx


def huber_loss(x: Array, y: Array, weights: Array, delta: float = 1.0) -> tuple[Any, Array]:
    loss, dx = vectorized.huber_loss(x, y, weights, delta)
    return loss, dx


def mse_loss(x: Array, y: Array, weights: Array) -> tuple[Any, Array]:
    loss, dx = _kernels.squared_loss(x, y, weights)
    return x.dtype.type(loss), dx


def poisson_loss(x: Array, y: Array, weights: Array) -> tuple[Any, Array]:
    loss, dx = vectorized.poisson_loss(x, y, weights)
    return loss, dx


def quantile_loss(x: Array, y: Array, weights: Array, quantile: float = 0.5) -> tuple[Any, Array]:
    loss, dx = vectorized.quantile_loss(x, y, weights, quantile)
    return loss, dx
