"""Affine layer on packed matrix products."""

from __future__ import annotations

import numpy as np

from handgrad.engines.native import _kernels

Saved = tuple[np.ndarray, np.ndarray]  # x, w


def affine_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, Saved]:
    return _kernels.affine_forward(x, w, b), (x, w)


def affine_backward(dout: np.ndarray, saved: Saved) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return _kernels.affine_backward(dout, *saved, True, True)
