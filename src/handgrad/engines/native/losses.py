"""Losses over rows of finite scores; those of few numbers a row are the array code of the layer files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.engines import vectorized
from handgrad.engines.native import _kernels


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


def _of_layer_file(name: str) -> Callable[..., Any]:
    """Return the array code of a loss, which the layer files put into the vectorized engine later."""

    def loss(*arguments: Any) -> Any:
        return getattr(vectorized, name)(*arguments)

    return loss


absolute_loss = _of_layer_file("absolute_loss")
binary_cross_entropy_loss = _of_layer_file("binary_cross_entropy_loss")
focal_loss = _of_layer_file("focal_loss")
huber_loss = _of_layer_file("huber_loss")
mse_loss = _of_layer_file("mse_loss")
poisson_loss = _of_layer_file("poisson_loss")
quantile_loss = _of_layer_file("quantile_loss")
