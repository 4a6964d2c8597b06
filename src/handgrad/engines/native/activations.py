"""Activations in one pass each; forward keeps x, or one byte where there are two slopes."""

from __future__ import annotations

import numpy as np

from handgrad.engines.native import _kernels

_SIGMOID, _TANH, _GELU, _GELU_TANH, _ELU = range(5)  # Curve of native/kernels/table.h
GELUS = {"none": _GELU, "tanh": _GELU_TANH}


def relu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _kernels.relu_forward(x)


def relu_backward(dout: np.ndarray, saved: np.ndarray) -> np.ndarray:
    return _kernels.relu_backward(dout, saved)


def leaky_relu_forward(x: np.ndarray, alpha: float) -> tuple[np.ndarray, tuple]:
    out, positive = _kernels.relu_forward(x, alpha)
    return out, (positive, alpha)


def leaky_relu_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    return _kernels.relu_backward(dout, *saved)


def _curve(x: np.ndarray, curve: int, alpha: float = 0.0) -> tuple[np.ndarray, tuple]:
    return _kernels.curve_forward(x, curve, alpha), (x, curve, alpha)


def elu_forward(x: np.ndarray, alpha: float) -> tuple[np.ndarray, tuple]:
    return _curve(x, _ELU, alpha)


def gelu_forward(x: np.ndarray, approximate: str) -> tuple[np.ndarray, tuple]:
    return _curve(x, GELUS[approximate])


def sigmoid_forward(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    return _curve(x, _SIGMOID)


def tanh_forward(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    return _curve(x, _TANH)


def _curve_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    return _kernels.curve_backward(dout, *saved)


elu_backward = gelu_backward = sigmoid_backward = tanh_backward = _curve_backward


def softplus_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _kernels.softplus(x), x


def softplus_backward(dout: np.ndarray, saved: np.ndarray) -> np.ndarray:
    return dout * _kernels.curve_forward(saved, _SIGMOID, 0.0)
