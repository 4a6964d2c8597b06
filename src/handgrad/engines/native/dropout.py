"""Dropout: a product with the mask that the layer drew; no mask means test mode."""

from __future__ import annotations

import numpy as np

from handgrad.engines.native import _kernels


def dropout_forward(x: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    return dropout_backward(x, mask), mask


def dropout_backward(dout: np.ndarray, saved: np.ndarray | None) -> np.ndarray:
    return dout.copy() if saved is None else _kernels.product(dout, saved)
