"""Activations as whole-array expressions; branches look at the real part."""

from __future__ import annotations

from math import pi, sqrt

from handgrad.engines.arrays import Array, namespace, real_part
from handgrad.engines.erf import erfc


def relu_forward(x: Array) -> tuple[Array, Array]:
    xp = namespace(x)
    positive = real_part(x) > 0
    if xp.isdtype(x.dtype, "complex floating"):
        return xp.where(positive, x, 0.0), positive
    return xp.maximum(x, 0.0), positive


def relu_backward(dout: Array, saved: Array) -> Array:
    return dout * namespace(dout).astype(saved, dout.dtype)


def leaky_relu_forward(x: Array, alpha: float) -> tuple[Array, tuple]:
    positive = real_part(x) > 0
    return namespace(x).where(positive, x, alpha * x), (positive, alpha)


def leaky_relu_backward(dout: Array, saved: tuple) -> Array:
    positive, alpha = saved
    return namespace(dout).where(positive, dout, alpha * dout)


def prelu_forward(x: Array, a: Array) -> tuple[Array, tuple]:
    xp = namespace(x)
    slope = xp.reshape(a, _along_channels(x, a))
    return xp.where(real_part(x) > 0, x, slope * x), (x, a)


def prelu_backward(dout: Array, saved: tuple) -> tuple[Array, Array]:
    x, a = saved
    xp = namespace(x)
    slope = xp.reshape(a, _along_channels(x, a))
    positive = real_part(x) > 0
    dx = xp.where(positive, dout, slope * dout)
    da = xp.where(positive, 0.0, dout * x)
    shared_axes = tuple(axis for axis in range(x.ndim) if slope.shape[axis] == 1)
    return dx, xp.reshape(xp.sum(da, axis=shared_axes), a.shape)


def _along_channels(x: Array, a: Array) -> tuple[int, ...]:
    """Shape that makes a shared slope, or one slope a channel (axis 1), broadcast over x."""
    return tuple(a.shape[0] if axis == 1 and a.ndim else 1 for axis in range(x.ndim))


def elu_forward(x: Array, alpha: float) -> tuple[Array, tuple]:
    xp = namespace(x)
    positive = real_part(x) > 0
    return xp.where(positive, x, alpha * xp.expm1(xp.where(positive, 0.0, x))), (x, alpha)


def elu_backward(dout: Array, saved: tuple) -> Array:
    x, alpha = saved
    xp = namespace(x)
    positive = real_part(x) > 0
    return dout * xp.where(positive, 1.0, alpha * xp.exp(xp.where(positive, 0.0, x)))


def gelu_forward(x: Array, approximate: str) -> tuple[Array, Array]:
    gate, slope = _gelu_gate(x, approximate)
    return x * gate, gate + x * slope


def gelu_backward(dout: Array, saved: Array) -> Array:
    return dout * saved


def _gelu_gate(x: Array, approximate: str) -> tuple[Array, Array]:
    """The gate g of ``gelu(x) = x g(x)``, and its slope g'."""
    xp = namespace(x)
    real = real_part(x)
    # Beyond 40 the gate is 0 or 1 to the last digit; stopping there keeps x^3 finite.
    x = xp.where(xp.abs(real) > 40.0, 40.0 * xp.sign(real), x)
    if approximate == "none":
        return erfc(x / -sqrt(2.0)) / 2.0, xp.exp(x * x / -2.0) / sqrt(2.0 * pi)
    scale = 2.0 * sqrt(2.0 / pi)
    gate, slope = _sigmoid(scale * (x + 0.044715 * x * x * x))
    return gate, slope * scale * (1.0 + 3.0 * 0.044715 * x * x)


def sigmoid_forward(x: Array) -> tuple[Array, Array]:
    return _sigmoid(x)


def sigmoid_backward(dout: Array, saved: Array) -> Array:
    return dout * saved


def _sigmoid(x: Array) -> tuple[Array, Array]:
    """Sigmoid and its slope, from ``z = exp(-|x|)``, which cannot overflow."""
    xp = namespace(x)
    negative = real_part(x) < 0
    z = xp.exp(xp.where(negative, x, -x))
    return xp.where(negative, z, 1.0) / (1.0 + z), z / ((1.0 + z) * (1.0 + z))


def tanh_forward(x: Array) -> tuple[Array, Array]:
    return namespace(x).tanh(x), x


def tanh_backward(dout: Array, saved: Array) -> Array:
    _, slope = _sigmoid(2.0 * saved)
    return dout * 4.0 * slope


def maxout_forward(x: Array, pieces: int) -> tuple[Array, Array]:
    xp = namespace(x)
    groups = xp.reshape(x, (x.shape[0], x.shape[1] // pieces, pieces, *x.shape[2:]))
    winner = xp.argmax(real_part(groups), axis=2, keepdims=True)
    piece = xp.reshape(xp.arange(pieces, device=x.device), (pieces,) + (1,) * (x.ndim - 2))
    wins = piece == winner
    return xp.sum(xp.where(wins, groups, 0.0), axis=2), wins


def maxout_backward(dout: Array, saved: Array) -> Array:
    xp = namespace(dout)
    N, C, pieces, *rest = saved.shape
    dgroups = xp.where(saved, xp.expand_dims(dout, axis=2), 0.0)
    return xp.reshape(dgroups, (N, C * pieces, *rest))
