"""Activations, one number at a time: the formulas of the layers of the same names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from handgrad.engines.erf import erfc


def relu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    out = x.copy()
    for i in np.ndindex(x.shape):
        if x[i].real <= 0:
            out[i] = 0
    return out, x


def relu_backward(dout: np.ndarray, saved: np.ndarray) -> np.ndarray:
    x = saved
    dx = np.zeros_like(dout)
    for i in np.ndindex(x.shape):
        if x[i].real > 0:
            dx[i] = dout[i]
    return dx


def leaky_relu_forward(x: np.ndarray, alpha: float) -> tuple[np.ndarray, tuple]:
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        out[i] = x[i] if x[i].real > 0 else alpha * x[i]
    return out, (x, alpha)


def leaky_relu_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    x, alpha = saved
    dx = np.zeros_like(dout)
    for i in np.ndindex(x.shape):
        dx[i] = dout[i] if x[i].real > 0 else alpha * dout[i]
    return dx


def prelu_forward(x: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, tuple]:
    out = np.zeros_like(x)
    slopes = a.reshape(-1)
    for i in np.ndindex(x.shape):
        channel = i[1] if len(slopes) > 1 else 0
        out[i] = x[i] if x[i].real > 0 else slopes[channel] * x[i]
    return out, (x, a)


def prelu_backward(dout: np.ndarray, saved: tuple) -> tuple[np.ndarray, np.ndarray]:
    x, a = saved
    slopes = a.reshape(-1)
    dx = np.zeros_like(dout)
    da = np.zeros_like(slopes)
    for i in np.ndindex(x.shape):
        channel = i[1] if len(slopes) > 1 else 0
        if x[i].real > 0:
            dx[i] = dout[i]
        else:
            dx[i] = slopes[channel] * dout[i]
            da[channel] += x[i] * dout[i]
    return dx, da.reshape(a.shape)


def elu_forward(x: np.ndarray, alpha: float) -> tuple[np.ndarray, tuple]:
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        out[i] = x[i] if x[i].real > 0 else alpha * np.expm1(x[i])
    return out, (x, alpha)


def elu_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    x, alpha = saved
    dx = np.zeros_like(dout)
    for i in np.ndindex(x.shape):
        dx[i] = dout[i] if x[i].real > 0 else alpha * np.exp(x[i]) * dout[i]
    return dx


def gelu_forward(x: np.ndarray, approximate: str) -> tuple[np.ndarray, tuple]:
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        if approximate == "none":
            out[i] = x[i] * _normal_cdf(x[i])
        else:
            out[i] = x[i] * _sigmoid(2 * _gelu_u(x[i]))
    return out, (x, approximate)


def gelu_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    x, approximate = saved
    dx = np.zeros_like(dout)
    for i in np.ndindex(x.shape):
        if approximate == "none":
            gate = _normal_cdf(x[i])
            slope = np.exp(-x[i] * x[i] / 2) / math.sqrt(2 * math.pi)
        else:
            u = _gelu_u(x[i])
            du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x[i] * x[i])
            gate = _sigmoid(2 * u)
            slope = _sigmoid(2 * u) * _sigmoid(-2 * u) * 2 * du
        dx[i] = dout[i] * (gate + x[i] * slope)
    return dx


def _normal_cdf(x: Any) -> Any:
    """Phi(x), the probability that a standard normal number is below x."""
    if isinstance(x, complex):
        return erfc(-x / math.sqrt(2)) / 2
    return x.dtype.type(math.erfc(-x / math.sqrt(2)) / 2)


def _gelu_u(x: Any) -> Any:
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)


def sigmoid_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        out[i] = _sigmoid(x[i])
    return out, x


def sigmoid_backward(dout: np.ndarray, saved: np.ndarray) -> np.ndarray:
    x = saved
    dx = np.zeros_like(dout)
    for i in np.ndindex(x.shape):
        dx[i] = dout[i] * _sigmoid(x[i]) * _sigmoid(-x[i])
    return dx


def _sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), written for each sign so that exp cannot overflow."""
    if x.real < 0:
        return np.exp(x) / (1 + np.exp(x))
    return 1 / (1 + np.exp(-x))


def softplus_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        if x[i].real > 0:
            out[i] = x[i] + np.log1p(np.exp(-x[i]))
        else:
            out[i] = np.log1p(np.exp(x[i]))
    return out, x


def softplus_backward(dout: np.ndarray, saved: np.ndarray) -> np.ndarray:
    x = saved
    dx = np.zeros_like(dout)
    for i in np.ndindex(x.shape):
        dx[i] = dout[i] * _sigmoid(x[i])
    return dx


def tanh_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        out[i] = np.tanh(x[i])
    return out, x


def tanh_backward(dout: np.ndarray, saved: np.ndarray) -> np.ndarray:
    x = saved
    dx = np.zeros_like(dout)
    for i in np.ndindex(x.shape):
        dx[i] = dout[i] * 4 * _sigmoid(2 * x[i]) * _sigmoid(-2 * x[i])
    return dx


def maxout_forward(x: np.ndarray, pieces: int) -> tuple[np.ndarray, tuple]:
    N, C = x.shape[0], x.shape[1] // pieces
    out = np.zeros((N, C, *x.shape[2:]), x.dtype)
    winner = np.zeros(out.shape, np.intp)  # the input channel that the maximum came from
    for i in np.ndindex(out.shape):
        n, c, *rest = i
        winner[i] = c * pieces
        for channel in range(c * pieces, (c + 1) * pieces):
            if x[n, channel, *rest].real > x[n, winner[i], *rest].real:
                winner[i] = channel
        out[i] = x[n, winner[i], *rest]
    return out, (x.shape, winner)


def maxout_backward(dout: np.ndarray, saved: tuple) -> np.ndarray:
    shape, winner = saved
    dx = np.zeros(shape, dout.dtype)
    for i in np.ndindex(dout.shape):
        n, _, *rest = i
        dx[n, winner[i], *rest] = dout[i]
    return dx
