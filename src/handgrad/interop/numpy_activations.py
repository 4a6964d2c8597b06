# mypy: disable-error-code="no-untyped-def, no-untyped-call"
"""The activations of an exported NumPy file, as they are written into it.

Each works number by number (`prelu` by channel too), has its formula in its docstring, and its backward
function beside it, as in `handgrad.interop.numpy_layers`.
"""

import math

import numpy as np


def relu(x):
    """out = x where it is positive, else 0"""
    return np.maximum(x, 0)


def relu_backward(dout, x):
    """dx = dout where x is positive, else 0"""
    return dout * (x > 0)


def leaky_relu(x, alpha):
    """out = x where it is positive, else alpha x"""
    return np.where(x > 0, x, alpha * x)


def leaky_relu_backward(dout, x, alpha):
    """dx = dout where x is positive, else alpha dout"""
    return np.where(x > 0, dout, alpha * dout)


def prelu(x, a):
    """out = x where it is positive, else a x, with a slope for each channel or one for all"""
    wide = a.reshape((1, -1) + (1,) * (x.ndim - 2))
    return np.where(x > 0, x, wide * x)


def prelu_backward(dout, x, a):
    """dx = dout where x is positive, else a dout        da = sum of dout x where x is not positive"""
    wide = a.reshape((1, -1) + (1,) * (x.ndim - 2))
    axes = tuple(range(x.ndim)) if a.size == 1 else (0, *range(2, x.ndim))
    da = np.where(x > 0, 0, dout * x).sum(axis=axes)
    return np.where(x > 0, dout, wide * dout), da.reshape(a.shape)


def elu(x, alpha):
    """out = x where it is positive, else alpha (exp(x) - 1)"""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_backward(dout, x, alpha):
    """dx = dout where x is positive, else alpha exp(x) dout"""
    return np.where(x > 0, dout, dout * alpha * np.exp(np.minimum(x, 0)))


def sigmoid(x):
    """out = 1 / (1 + exp(-x)); exp(-|x|) cannot overflow"""
    small = np.exp(-np.abs(x))
    return np.where(x > 0, 1, small) / (1 + small)


def sigmoid_backward(dout, x):
    """dx = dout s (1 - s), with s = sigmoid(x)"""
    small = np.exp(-np.abs(x))
    return dout * small / (1 + small) ** 2


def tanh(x):
    """out = tanh(x)"""
    return np.tanh(x)


def tanh_backward(dout, x):
    """dx = dout (1 - tanh(x)^2)"""
    return dout * (1 - np.tanh(x) ** 2)


def softplus(x):
    """out = log(1 + exp(x))"""
    return np.logaddexp(x, 0)


def softplus_backward(dout, x):
    """dx = dout / (1 + exp(-x))"""
    small = np.exp(-np.abs(x))
    return dout * np.where(x > 0, 1, small) / (1 + small)


def gelu(x):
    """out = x P(x), with P(x) = (1 + erf(x / sqrt(2))) / 2, the normal distribution"""
    erfc = np.vectorize(math.erfc, otypes=[float])(-x / math.sqrt(2))
    return (0.5 * x * erfc).astype(x.dtype)


def gelu_backward(dout, x):
    """dx = dout (P(x) + x exp(-x^2 / 2) / sqrt(2 pi))"""
    erfc = np.vectorize(math.erfc, otypes=[float])(-x / math.sqrt(2))
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return (dout * (0.5 * erfc + x * density)).astype(x.dtype)


def gelu_tanh(x):
    """out = x (1 + tanh(s)) / 2, with s = sqrt(2 / pi) (x + 0.044715 x^3)"""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_tanh_backward(dout, x):
    """dx = dout ((1 + t) / 2 + x (1 - t^2) s' / 2), with t = tanh(s)"""
    t = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
    return dout * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * slope)
