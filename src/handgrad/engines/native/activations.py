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


# Whole-array expressions: no curve of the kernels, or, with parameters' gradients and groups, no flat pass.


def softplus_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.logaddexp(x, x.dtype.type(0)), x


def softplus_backward(dout: np.ndarray, saved: np.ndarray) -> np.ndarray:
    return dout * _kernels.curve_forward(saved, _SIGMOID, 0.0)


def prelu_forward(x: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, tuple]:
    return np.where(x > 0, x, _along_channels(a, x) * x), (x, a)


def prelu_backward(dout: np.ndarray, saved: tuple) -> tuple[np.ndarray, np.ndarray]:
    x, a = saved
    slope = _along_channels(a, x)
    positive = x > 0
    shared = tuple(axis for axis in range(x.ndim) if slope.shape[axis] == 1)
    da = np.where(positive, 0, dout * x).sum(axis=shared).reshape(a.shape)
    return np.where(positive, dout, slope * dout), da


def _along_channels(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """View a shared slope, or one slope a channel (axis 1), so that it broadcasts over x."""
    return a.reshape([a.size if axis == 1 and a.ndim else 1 for axis in range(x.ndim)])


def maxout_forward(x: np.ndarray, pieces: int) -> tuple[np.ndarray, tuple]:
    groups = x.reshape(x.shape[0], x.shape[1] // pieces, pieces, *x.shape[2:])
    winner = groups.argmax(axis=2, keepdims=True)
    return np.take_along_axis(groups, winner, axis=2)[:, :, 0], (winner, groups.shape)


def maxout_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    winner, shape = saved
    dgroups = np.zeros(shape, dout.dtype)
    np.put_along_axis(dgroups, winner, dout[:, :, None], axis=2)
    return dgroups.reshape(shape[0], shape[1] * shape[2], *shape[3:])
