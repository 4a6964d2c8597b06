"""Gradients that objects store, losses of one's own, layers in float32."""

import numpy as np
import pytest

import handgrad
from handgrad import nn
from handgrad.checker import RIGHT, UNTESTED, WRONG, check
from handgrad.errors import OptionError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 3))


class Linear:
    """W and b, dW and db."""

    factor = 1.0

    def __init__(self):
        self.W, self.b = RNG.standard_normal((3, 2)), RNG.standard_normal(2)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW, self.db = self.x.T @ dout * self.factor, dout.sum(axis=0)
        return dout @ self.W.T


class InLists(Linear):
    def __init__(self):
        super().__init__()
        self.params, self.grads = [self.W, self.b], [np.zeros((3, 2)), np.zeros(2)]

    def backward(self, dout):
        self.grads[0][...] = self.x.T @ dout * self.factor
        self.grads[1][...] = dout.sum(axis=0)
        return dout @ self.params[0].T


class InDictionaries:
    factor = 1.0

    def __init__(self):
        self.params = {"W": RNG.standard_normal((3, 2)), "b": RNG.standard_normal(2)}
        self.grads = {}

    def forward(self, x):
        return x @ self.params["W"] + self.params["b"], x

    def backward(self, dout, x):
        self.grads = {"W": x.T @ dout * self.factor, "b": dout.sum(axis=0)}
        return dout @ self.params["W"].T


class GradsOfAttributes(Linear):
    def backward(self, dout):
        self.grads = {"dW": self.x.T @ dout * self.factor, "db": dout.sum(axis=0)}
        return dout @ self.W.T


class Parameter:
    def __init__(self, data):
        self.data, self.grad = data, np.zeros_like(data)


class OfParameters:
    factor = 1.0

    def __init__(self):
        self.weight, self.bias = (
            Parameter(RNG.standard_normal((3, 2))),
            Parameter(RNG.standard_normal(2)),
        )

    def forward(self, x):
        self.x = x
        return x @ self.weight.data + self.bias.data

    def backward(self, dout):
        self.weight.grad += self.x.T @ dout * self.factor
        self.bias.grad += dout.sum(axis=0)
        return dout @ self.weight.data.T


class ByMethod(Linear):
    def backward(self, dout):
        self.of_w, self.of_b = self.x.T @ dout * self.factor, dout.sum(axis=0)
        return dout @ self.W.T

    def params(self):
        return [(self.W, self.of_w), (self.b, self.of_b)]


class WithoutReturns:
    factor = 1.0

    def __init__(self):
        self.weights, self.biases = RNG.standard_normal((3, 2)), np.zeros((1, 2))

    def forward(self, inputs):
        self.inputs = inputs
        self.output = inputs @ self.weights + self.biases

    def backward(self, dvalues):
        self.dweights = self.inputs.T @ dvalues * self.factor
        self.dbiases = dvalues.sum(axis=0, keepdims=True)
        self.dinputs = dvalues @ self.weights.T


class Returned(Linear):
    def backward(self, dout):
        return dout @ self.W.T, self.x.T @ dout * self.factor, dout.sum(axis=0)


class Suffixed(Linear):
    def backward(self, dout):
        self.W_grad, self.grad_b = self.x.T @ dout * self.factor, dout.sum(axis=0)
        return dout @ self.W.T


class Stack:
    def __init__(self):
        self.layers, self.factor = [Linear(), Cut()], 1.0

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout):
        self.layers[0].factor = self.factor
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout


class Cut:
    def forward(self, x):
        self.x = x
        return x * (x > 0)

    def backward(self, dout):
        self.dx = dout * (self.x > 0)
        return self.dx


STYLES = [
    Linear, InLists, InDictionaries, GradsOfAttributes, OfParameters, ByMethod, WithoutReturns, Returned,
    Suffixed, Stack,
]  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_stored_gradients(style):
    layer = style()
    verdict = check(layer, inputs=[X]).verdicts[1]
    assert verdict.verdict == RIGHT, verdict.causes
    assert len(verdict.errors) == 3, verdict.errors
    layer.factor = 1.7
    verdict = check(layer, inputs=[X]).verdicts[1]
    assert verdict.verdict == WRONG
    ((key,),) = [cause.keys for cause in verdict.causes]
    assert "b" not in key.lower().removeprefix("d").replace("weights", "")


def test_a_gradient_that_is_never_set():
    class Forgets(Linear):
        def __init__(self):
            super().__init__()
            self.dW = self.db = None

        def backward(self, dout):
            self.db = dout.sum(axis=0)
            return dout @ self.W.T

    verdict = check(Forgets(), inputs=[X]).verdicts[1]
    assert verdict.verdict == WRONG
    assert [cause.keys for cause in verdict.causes] == [("dW",)]


def test_what_forward_keeps_is_no_parameter():
    assert list(check(Cut(), inputs=[X]).verdicts[1].errors) == ["dx"]


def mse(s, y):
    d = s - y
    return float((d * d).mean()), 2 * d / d.size


def halved(s, y):
    d = s - y
    return float((d * d).mean()), d / d.size


def by_row(s, y):
    assert np.shape(y) == (len(s),)
    d = s[:, 0] - y
    return float((d * d).mean()), (2 * d / len(d))[:, None]


def cross_entropy(s, y):
    p = 1 / (1 + np.exp(-s))
    if np.shape(y) != np.shape(s) or np.any((y < 0) | (y > 1)):
        raise ValueError("y must hold probabilities")
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))), (p - y) / p.size


def images(loss):
    return nn.Sequential(
        [nn.Conv2d(4, 3, pad=1), nn.ReLU(), nn.Conv2d(1, 3, pad=1)], (1, 4, 4), loss=loss, rng=0
    )


def rows(loss, width=1):
    return nn.Sequential([nn.Affine(6), nn.ReLU(), nn.Affine(width)], (3,), loss=loss, rng=0)


@pytest.mark.parametrize(
    "model",
    [images(mse), rows(mse), rows(mse, 4), rows(by_row), rows(cross_entropy, 3), rows("svm", 3)],
)
def test_losses_of_ones_own_get_targets_that_they_take(model):
    assert handgrad.check(model).verdicts[0].verdict == RIGHT


@pytest.mark.parametrize("model", [images(halved), rows(halved), rows(halved, 4)])
def test_a_wrong_loss_of_ones_own(model):
    assert handgrad.check(model).verdicts[0].verdict == WRONG


def test_targets_that_nobody_can_guess():
    def needs_names(s, y):
        return mse(s, np.array([{"a": 0.0, "b": 1.0}[one] for one in y])[:, None])

    model = rows(needs_names)
    (verdict,) = handgrad.check(model).verdicts
    assert verdict.verdict == UNTESTED
    assert "inputs=(X, y)" in verdict.reason
    assert handgrad.check(model, inputs=(X, ["a", "b", "a", "a", "b"])).exit_code == 0
    assert handgrad.check(model, inputs={"X": X, "y": ["a", "b", "a", "a", "b"]}).exit_code == 0
    with pytest.raises(OptionError, match=r"\(X, y\)"):
        handgrad.check(model, inputs=[X])


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, RIGHT), (1.01, WRONG), (-1.0, WRONG)])
def test_layers_in_float32_are_judged_within_what_they_keep(factor, verdict):
    W = RNG.standard_normal((3, 4)).astype(np.float32)

    def forward(x):
        out = np.tanh(x.astype(np.float32) @ W)
        return out, out

    def backward(dout, out):
        return factor * ((1 - out**2) * dout) @ W.T

    found = check(forward, backward, [X]).verdicts[1]
    assert found.verdict == verdict
    assert "float32" in found.method


def single(x):
    return x.astype(np.float32)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("factor", [1.0, 0.99, 1.005])
def test_small_factors_in_float32_do_not_hide_across_the_gradient(seed, factor):
    rng = np.random.default_rng(seed)

    def forward(x, w):
        return single(x) @ single(w), (single(x), single(w))

    def backward(dout, cache):
        x, w = cache
        return single(dout) @ w.T * factor, x.T @ single(dout)

    inputs = {"x": rng.standard_normal((3, 4)), "w": rng.standard_normal((4, 2))}
    assert check(forward, backward, inputs).verdicts[1].verdict == (RIGHT if factor == 1 else WRONG)


@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_kinks_in_float32_that_only_long_steps_reach(factor):
    def forward(x):
        return np.maximum(single(x), 0), x

    def backward(dout, x):
        return factor * single(dout) * (x > 0)

    x = np.array([[0.001, 0.5, -2.0, 1.5], [-0.004, 3.0, 1.0, -1.0]])
    verdict = RIGHT if factor == 1 else WRONG
    assert check(forward, backward, [x]).verdicts[1].verdict == verdict
