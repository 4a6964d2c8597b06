"""Activations as whole-array expressions; branches look at the real part."""

from __future__ import annotations

from math import pi, sqrt

from handgrad.engines.arrays import Array, namespace, real_part
from handgrad.engines.erf import erfc


def _positive_part(x: Array) -> Array:
    xp = namespace(x)
    if xp.isdtype(x.dtype, "complex floating"):
        return xp.where(xp.real(x) > 0, x, 0.0)
    return xp.maximum(x, 0.0)


def _negative_part(x: Array) -> Array:
    xp = namespace(x)
    if xp.isdtype(x.dtype, "complex floating"):
        return xp.where(xp.real(x) > 0, 0.0, x)
    return xp.minimum(x, 0.0)


def _is_positive(x: Array) -> Array:
    """One where x > 0, else zero, in x's dtype: the slope of the positive part."""
    return namespace(x).astype(real_part(x) > 0, x.dtype)


def relu_forward(x: Array) -> tuple[Array, Array]:
    return _positive_part(x), real_part(x) > 0


def relu_backward(dout: Array, saved: Array) -> Array:
    return dout * namespace(dout).astype(saved, dout.dtype)


def leaky_relu_forward(x: Array, alpha: float) -> tuple[Array, tuple]:
    return _positive_part(x) + alpha * _negative_part(x), (real_part(x) > 0, alpha)


def leaky_relu_backward(dout: Array, saved: tuple) -> Array:
    positive, alpha = saved
    positive = namespace(dout).astype(positive, dout.dtype)
    return dout * (positive + alpha * (1.0 - positive))


def prelu_forward(x: Array, a: Array) -> tuple[Array, tuple]:
    return _positive_part(x) + _along_channels(a, x) * _negative_part(x), (x, a)


def prelu_backward(dout: Array, saved: tuple) -> tuple[Array, Array]:
    x, a = saved
    xp = namespace(x)
    slope = _along_channels(a, x)
    positive = _is_positive(x)
    dx = dout * (positive + slope * (1.0 - positive))
    shared_axes = tuple(axis for axis in range(x.ndim) if slope.shape[axis] == 1)
    da = xp.sum(dout * _negative_part(x), axis=shared_axes)
    return dx, xp.reshape(da, a.shape)


def _along_channels(a: Array, x: Array) -> Array:
    """One slope for all, or one for each channel (axis 1), in a shape that broadcasts over x."""
    shape = [1] * x.ndim
    if tuple(a.shape) not in ((), (1,)):
        shape[1] = a.shape[0]
    return namespace(a).reshape(a, tuple(shape))


def elu_forward(x: Array, alpha: float) -> tuple[Array, tuple]:
    out = _positive_part(x) + alpha * namespace(x).expm1(_negative_part(x))
    return out, (x, alpha)


def elu_backward(dout: Array, saved: tuple) -> Array:
    x, alpha = saved
    positive = _is_positive(x)
    slope = alpha * namespace(x).exp(_negative_part(x))
    return dout * (positive + slope * (1.0 - positive))


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
    """Sigmoid and its slope; no exponent is above zero, so nothing overflows."""
    xp = namespace(x)
    negative = _negative_part(x)
    z = xp.exp(negative - _positive_part(x))  # exp(-|x|)
    return xp.exp(negative) / (1.0 + z), z / ((1.0 + z) * (1.0 + z))


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
