"""Dropout, one number at a time; no mask means test mode."""

from __future__ import annotations

import numpy as np


def dropout_forward(x: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    out = x.copy()
    if mask is not None:
        for i in np.ndindex(x.shape):
            out[i] = mask[i] * x[i]
    return out, mask


def dropout_backward(dout: np.ndarray, saved: np.ndarray | None) -> np.ndarray:
    mask = saved
    dx = dout.copy()
    if mask is not None:
        for i in np.ndindex(dout.shape):
            dx[i] = mask[i] * dout[i]
    return dx
