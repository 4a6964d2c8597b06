"""Layers written in Python, as users write them, for the tests of plans that call them."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad import nn
from handgrad.nn.layer import Weight


@nn.layer
def swish(x: Any, beta: float = 1.0) -> Any:
    s = 1 / (1 + np.exp(-x * x.dtype.type(beta)))
    return x * s, (x, s, beta)


@swish.backward
def swish_backward(dout: Any, cache: Any) -> Any:
    x, s, beta = cache
    return dout * (s + x.dtype.type(beta) * x * s * (1 - s))


@nn.layer(a=lambda shape: np.linspace(0.5, 1.5, shape[0]))
def scaled(x: Any, a: Any) -> Any:
    """Each channel times a number that is learned; its sums depend on how arrays lie in memory."""
    along = a.reshape(-1, *[1] * (x.ndim - 2))
    return x * along, (x, along, a.shape)


@scaled.backward
def scaled_backward(dout: Any, cache: Any) -> Any:
    x, along, shape = cache
    axes = (0, *range(2, x.ndim))
    return dout * along, (dout * x).sum(axis=axes).reshape(shape)


@nn.layer
def less_mean(x: Any) -> Any:
    """Takes each row's mean off; the sums depend on how x lies in memory."""
    axes = tuple(range(1, x.ndim))
    return x - x.mean(axis=axes, keepdims=True), axes


@less_mean.backward
def less_mean_backward(dout: Any, axes: Any) -> Any:
    return dout - dout.mean(axis=axes, keepdims=True)


@nn.layer
def in_rows_order(x: Any) -> Any:
    """Returns arrays in rows order, whatever the order of its input."""
    return np.ascontiguousarray(x * 2), None


@in_rows_order.backward
def in_rows_order_backward(dout: Any, cache: Any) -> Any:
    return np.ascontiguousarray(dout * 2)


@nn.layer
def gated(x: Any, z: Any) -> Any:
    """Two inputs."""
    return x * np.tanh(z), (x, np.tanh(z))


@gated.backward
def gated_backward(dout: Any, cache: Any) -> Any:
    x, t = cache
    return dout * t, dout * x * (1 - t * t)


@nn.layer
def noisy(x: Any, mode: str) -> Any:
    """Draws from NumPy's global stream in training, as the hand-written dropouts of courses do."""
    mask = (np.random.rand(*x.shape) < 0.8).astype(x.dtype) if mode == "train" else np.ones_like(x)
    return x * mask, mask


@noisy.backward
def noisy_backward(dout: Any, mask: Any) -> Any:
    return dout * mask


class Projection(nn.Layer):
    """An affine layer without bias as a class."""

    def __init__(self, units: int = 4) -> None:
        super().__init__()
        self.units = units

    def weights(self, *shapes: Any) -> Any:
        (shape,) = shapes
        return {"W": Weight((shape[0], self.units), shape[0], decays=True)}

    def shape(self, *shapes: Any) -> Any:
        return (self.units,)

    def forward(self, xs: Any, params: Any, mode: str) -> Any:
        return xs[0] @ params[0], (xs[0], params[0])

    def backward(self, dout: Any, cache: Any) -> Any:
        x, w = cache
        return (dout @ w.T,), (x.T @ dout,)


def squared_hinge(scores: Any, y: Any) -> Any:
    """A loss of one's own."""
    rows = np.arange(len(y))
    margins = np.maximum(0, scores - scores[rows, y][:, None] + 1)
    margins[rows, y] = 0
    dscores = 2 * margins
    dscores[rows, y] -= dscores.sum(axis=1)
    return (margins**2).sum() / len(y), dscores / len(y)


@nn.layer
def order_told(x: Any) -> Any:
    """Another number for each order in memory, and another for gradients."""
    return x * (0.5 if x.flags.c_contiguous else 0.75), None


@order_told.backward
def order_told_backward(dout: Any, cache: Any) -> Any:
    return dout * (0.5 if dout.flags.c_contiguous else 0.75)
