"""Small networks of layer objects, and the derivative of their loss by complex step."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad import nn

STEP = 2.0**-100
SMOOTH = {"dtype": np.float64, "rng": 3}


class Residual(nn.Model):
    """Two convolutions around a shortcut, with a projection on the second one."""

    def __init__(self, **options: Any) -> None:
        super().__init__((2, 5, 4), **options)
        self.stem = nn.Conv2d(3, 3, pad=1)
        self.convs = [nn.Conv2d(3, 3, pad=1, bias=False), nn.Conv2d(3, 3, pad="same")]
        self.norms = [nn.BatchNorm(), nn.BatchNorm()]
        self.relu = nn.ReLU()
        self.shortcut = nn.Conv2d(3, 1)
        self.scores = nn.Affine(4)

    def forward(self, x: Any) -> Any:
        x = self.relu(self.stem(x))
        out = self.relu(self.norms[0](self.convs[0](x)))
        out = self.norms[1](self.convs[1](out))
        return self.scores(self.relu(out + self.shortcut(x)))


class Dense(nn.Model):
    """A dense block: every layer sees all outputs before it."""

    def __init__(self, **options: Any) -> None:
        super().__init__((2, 4, 4), **options)
        self.convs = [nn.Conv2d(2, 3, pad=1) for _ in range(3)]
        self.act = nn.GELU()
        self.pool = nn.GlobalAvgPool()
        self.scores = nn.Affine(4)

    def forward(self, x: Any) -> Any:
        for conv in self.convs:
            x = nn.concat(x, self.act(conv(x)))
        return self.scores(self.pool(x))


class Shared(nn.Model):
    """One layer three times, a branch, a merge of three, and a value that nobody uses."""

    def __init__(self, **options: Any) -> None:
        super().__init__((5,), **options)
        self.first, self.again = nn.Affine(6), nn.Affine(6)
        self.tanh, self.scores = nn.Tanh(), nn.Affine(4)

    def forward(self, x: Any) -> Any:
        x = self.tanh(self.first(x))
        once = self.tanh(self.again(x))
        twice = self.tanh(self.again(once))
        self.tanh(twice)
        return self.scores(nn.concat(x + once + twice, self.again(twice), x))


class TwoInputs(nn.Model):
    """An image and a row of numbers."""

    def __init__(self, **options: Any) -> None:
        super().__init__([(2, 4, 4), (3,)], **options)
        self.conv, self.image, self.row = nn.Conv2d(3, 3), nn.Affine(5), nn.Affine(5)
        self.scores = nn.Affine(4)

    def forward(self, image: Any, row: Any) -> Any:
        return self.scores(self.image(self.conv(image)) + self.row(row))


class Block(nn.Model):
    """A part of a larger network."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.inner = nn.Sequential([nn.Affine(width), nn.Tanh(), nn.LayerNorm()])

    def forward(self, x: Any) -> Any:
        return x + self.inner(x)


class Nested(nn.Model):
    """Blocks in blocks."""

    def __init__(self, **options: Any) -> None:
        super().__init__((5,), **options)
        self.blocks = {"a": Block(), "b": Block()}
        self.scores = nn.Affine(4)

    def forward(self, x: Any) -> Any:
        for block in self.blocks.values():
            x = block(x)
        return self.scores(x)


NETS_OF_ALL = (Residual, Dense, Shared, TwoInputs, Nested)


def batch(model: Any, rows: int = 5) -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(4)
    xs = tuple(rng.standard_normal((rows, *shape)) for shape in model._input_shapes)
    return (xs if len(xs) > 1 else xs[0]), rng.integers(4, size=rows)


def shifted(model: Any, seed: int = 6) -> Any:
    """Move all parameters away from zeros and ones."""
    rng = np.random.default_rng(seed)
    for name, value in model.params.items():
        model.params[name] = value + 0.3 * rng.standard_normal(value.shape)
    return model


def complex_step(model: Any, X: Any, y: np.ndarray) -> dict[str, np.ndarray]:
    """The derivative of the loss in every number of model.params, which are complex."""
    gradients = {}
    for name, value in model.params.items():
        gradients[name] = np.empty(value.shape)
        for index in np.ndindex(value.shape):
            kept = value[index]
            value[index] = kept + 1j * STEP
            gradients[name][index] = model.loss(X, y)[0].imag / STEP
            value[index] = kept
    return gradients


def check_gradients(make: Any, tolerance: float = 1e-12, **options: Any) -> None:
    """Compare every gradient of the network with the complex step of its twin in complex128."""
    model = shifted(make(**{**SMOOTH, **options}))
    X, y = batch(model)
    loss, grads = model.loss(X, y)
    twin = make(**{**SMOOTH, **options, "dtype": np.complex128})
    twin.params = {name: w.astype(complex) for name, w in model.params.items()}
    assert twin.loss(X, y)[0].real - loss == np.float64(0) or abs(
        twin.loss(X, y)[0].real - loss
    ) < 1e-12 * max(1, abs(loss))
    assert list(grads) == list(model.params)
    scale = max(np.max(np.abs(dw)) for dw in grads.values())
    assert scale > 1e-3
    for name, expected in complex_step(twin, X, y).items():
        assert grads[name].shape == expected.shape
        assert grads[name].dtype == np.float64
        np.testing.assert_allclose(
            grads[name], expected, rtol=0, atol=tolerance * scale, err_msg=name
        )
