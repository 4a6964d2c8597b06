"""The courses' two networks at all three levels of Handgrad, in PyTorch and in Keras.

    two-layer    affine H - relu - affine
    three-layer  conv 5x5 (pad 2) - relu - conv 3x3 (pad 1) - relu - affine

All take the same weights: a dictionary W1, b1, ... in Handgrad's shapes, in the order of the layers.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from handgrad import layers, nn

Arrays = dict[str, np.ndarray]
NETS = ("two-layer", "three-layer")
SHAPE, HIDDEN, FILTERS, CLASSES = (3, 32, 32), 100, (32, 16), 10


def weights(net: str, seed: int = 0, hidden: int = HIDDEN, dtype: Any = np.float64) -> Arrays:
    """Kaiming's start."""
    D = prod(SHAPE)
    shapes = [(D, hidden), (hidden, CLASSES)]
    if net == "three-layer":
        first, second = FILTERS
        D = second * SHAPE[1] * SHAPE[2]
        shapes = [(first, SHAPE[0], 5, 5), (second, first, 3, 3), (D, CLASSES)]
    rng = np.random.default_rng(seed)
    params: Arrays = {}
    for i, shape in enumerate(shapes, start=1):
        fan_in = shape[0] if len(shape) == 2 else prod(shape[1:])
        params[f"W{i}"] = np.sqrt(2 / fan_in) * rng.standard_normal(shape)
        params[f"b{i}"] = np.zeros(shape[1] if len(shape) == 2 else shape[0])
    return {name: w.astype(dtype) for name, w in params.items()}


# -- Handgrad ----------------------------------------------------------------------------------------


class Functions:
    """Bare functions around a dictionary."""

    def __init__(self, net: str, params: Arrays) -> None:
        self.net, self.params = net, params

    def loss(self, X: Any, y: Any = None) -> Any:
        p, caches = self.params, []
        if self.net == "two-layer":
            out, cache = layers.affine_relu_forward(X, p["W1"], p["b1"])
            caches.append(cache)
        else:
            out = X
            for i, pad in ((1, 2), (2, 1)):
                param = {"stride": 1, "pad": pad}
                out, cache = layers.conv_relu_forward(out, p[f"W{i}"], p[f"b{i}"], param)
                caches.append(cache)
        scores, cache = layers.affine_forward(out, p[f"W{len(p) // 2}"], p[f"b{len(p) // 2}"])
        if y is None:
            return scores
        loss, dout = layers.softmax_loss(scores, y)
        grads = {}
        last = len(p) // 2
        dout, grads[f"W{last}"], grads[f"b{last}"] = layers.affine_backward(dout, cache)
        kind = "affine_relu" if self.net == "two-layer" else "conv_relu"
        for i in range(last - 1, 0, -1):
            backward = getattr(layers, kind + "_backward")
            dout, grads[f"W{i}"], grads[f"b{i}"] = backward(dout, caches.pop())
        return float(loss), {name: grads[name] for name in p}


class TwoLayer(nn.Model):
    def __init__(self, hidden: int = HIDDEN, **options: Any) -> None:
        super().__init__(SHAPE, **options)
        self.hidden, self.relu, self.scores = nn.Affine(hidden), nn.ReLU(), nn.Affine(CLASSES)

    def forward(self, x: nn.Value) -> nn.Value:
        return self.scores(self.relu(self.hidden(x)))


class ThreeLayer(nn.Model):
    def __init__(self, **options: Any) -> None:
        super().__init__(SHAPE, **options)
        self.conv1 = nn.Conv2d(FILTERS[0], 5, pad=2)
        self.conv2 = nn.Conv2d(FILTERS[1], 3, pad=1)
        self.relu, self.scores = nn.ReLU(), nn.Affine(CLASSES)

    def forward(self, x: nn.Value) -> nn.Value:
        return self.scores(self.relu(self.conv2(self.relu(self.conv1(x)))))


def sequential(net: str, hidden: int = HIDDEN, **options: Any) -> nn.Sequential:
    if net == "two-layer":
        return nn.Sequential([nn.Affine(hidden), nn.ReLU(), nn.Affine(CLASSES)], SHAPE, **options)
    parts = [nn.Conv2d(FILTERS[0], 5, pad=2), nn.ReLU(), nn.Conv2d(FILTERS[1], 3, pad=1), nn.ReLU()]
    return nn.Sequential([*parts, nn.Flatten(), nn.Affine(CLASSES)], SHAPE, **options)


def handgrad(level: str, net: str, params: Arrays) -> Any:
    """The network at a level, with copies of params."""
    params = {name: w.copy() for name, w in params.items()}
    if level == "functions":
        return Functions(net, params)
    if level == "Model":
        model: Any = TwoLayer(dtype=None) if net == "two-layer" else ThreeLayer(dtype=None)
    else:
        model = sequential(net, dtype=None)
    model.params = dict(zip(model.params, params.values(), strict=True))
    return model


# -- PyTorch -----------------------------------------------------------------------------------------


class Torch:
    """scores, loss and gradients, and Nesterov's steps, by PyTorch."""

    def __init__(self, net: str, params: Arrays) -> None:
        import torch

        self.torch = torch
        modules: list[Any] = []
        for i in range(1, len(params) // 2 + 1):
            W = params[f"W{i}"]
            if W.ndim == 2:
                modules += [torch.nn.Flatten(), torch.nn.Linear(*W.shape)]
            else:
                modules.append(torch.nn.Conv2d(W.shape[1], W.shape[0], W.shape[2], padding="same"))
            modules.append(torch.nn.ReLU())
        self.net = torch.nn.Sequential(*modules[:-1]).double()
        with torch.no_grad():
            for own, w in zip(self.net.parameters(), params.values(), strict=True):
                own.copy_(torch.from_numpy(w.T if w.ndim == 2 else w))
        self.names = list(params)
        self.optimizer: Any = None

    def scores(self, X: np.ndarray) -> np.ndarray:
        return self.net(self.torch.from_numpy(X)).detach().numpy()

    def loss(self, X: np.ndarray, y: np.ndarray) -> tuple[float, Arrays]:
        self.net.zero_grad()
        scores = self.net(self.torch.from_numpy(X))
        loss = self.torch.nn.functional.cross_entropy(scores, self.torch.from_numpy(y))
        loss.backward()
        return loss.item(), self._named([w.grad for w in self.net.parameters()])

    def step(self, X: np.ndarray, y: np.ndarray, rate: float, momentum: float) -> float:
        if self.optimizer is None:
            self.optimizer = self.torch.optim.SGD(
                self.net.parameters(), lr=rate, momentum=momentum, nesterov=True
            )
        loss, _ = self.loss(X, y)
        self.optimizer.step()
        return loss

    def params(self) -> Arrays:
        return self._named([w.detach() for w in self.net.parameters()])

    def _named(self, tensors: list[Any]) -> Arrays:
        arrays = [tensor.numpy() for tensor in tensors]
        return {
            name: (w.T if w.ndim == 2 else w).copy()
            for name, w in zip(self.names, arrays, strict=True)
        }


# -- Keras 3, on its PyTorch backend -----------------------------------------------------------------


class Keras:
    """The same by Keras; images are channels-first, so that rows are flattened in one order."""

    def __init__(self, net: str, params: Arrays) -> None:
        import keras
        from keras.src.backend.common import dtypes

        self.keras = keras
        # on PyTorch, Keras turns results of float64 into float32, as JAX does; then no 9 digits agree
        dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        parts: list[Any] = [keras.Input(SHAPE)]
        last = len(params) // 2
        for i in range(1, last + 1):
            W = params[f"W{i}"]
            act = "relu" if i < last else None
            if W.ndim == 2:
                parts += [keras.layers.Reshape((-1,))] if i in (1, last) else []
                parts.append(keras.layers.Dense(W.shape[1], activation=act))
            else:
                parts.append(
                    keras.layers.Conv2D(
                        W.shape[0], W.shape[2], padding="same", activation=act,
                        data_format="channels_first",
                    )
                )  # fmt: skip
        self.net = keras.Sequential(parts)
        self.net.set_weights(
            [w.transpose(2, 3, 1, 0) if w.ndim == 4 else w for w in params.values()]
        )
        self.names = list(params)
        self._loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.optimizer: Any = None

    def scores(self, X: np.ndarray) -> np.ndarray:
        return self.keras.ops.convert_to_numpy(self.net(X))

    def loss(self, X: np.ndarray, y: np.ndarray) -> tuple[float, Arrays]:
        loss, gradients = self._gradients(X, y)
        return loss, self._named([gradient.numpy() for gradient in gradients])

    def _gradients(self, X: np.ndarray, y: np.ndarray) -> tuple[float, list[Any]]:
        import torch

        loss = self._loss(y, self.net(X, training=True))
        values = [variable.value for variable in self.net.trainable_weights]
        return loss.item(), list(torch.autograd.grad(loss, values))

    def step(self, X: np.ndarray, y: np.ndarray, rate: float, momentum: float) -> float:
        """Take a step of Keras's optimizer; its `fit` would report the loss in float32."""
        if self.optimizer is None:
            self.optimizer = self.keras.optimizers.SGD(rate, momentum=momentum, nesterov=True)
        loss, gradients = self._gradients(X, y)
        self.optimizer.apply(gradients, self.net.trainable_weights)
        return loss

    def params(self) -> Arrays:
        return self._named(self.net.get_weights())

    def _named(self, arrays: list[np.ndarray]) -> Arrays:
        return {
            name: w.transpose(3, 2, 0, 1) if w.ndim == 4 else w
            for name, w in zip(self.names, arrays, strict=True)
        }
