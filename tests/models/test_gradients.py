"""Every gradient of every model, by complex step (the same network in complex128) and numerically."""

import numpy as np
import pytest

from handgrad.gradcheck import eval_numerical_gradient
from handgrad.models import ConvNet, FullyConnectedNet, ThreeLayerConvNet, TwoLayerNet

STEP = 2.0**-100
ODD = {"input_dim": (2, 7, 5), "num_classes": 4, "hidden_dims": [6], "weight_scale": 0.5}
CONV = {"num_filters": 3, "filter_size": 3}


def two_layer(dtype, **options):
    net = TwoLayerNet(8, 6, 4, weight_scale=0.5, rng=3, **options)
    net.params = {name: value.astype(dtype) for name, value in net.params.items()}
    return net


def fully_connected(dtype, **options):
    options = {"hidden_dims": [7, 6], "weight_scale": 0.5, **options}
    return FullyConnectedNet(input_dim=8, num_classes=4, dtype=dtype, rng=3, **options)


def three_layer(dtype, **options):
    return ThreeLayerConvNet((2, 7, 5), 3, 3, 6, 4, 0.5, dtype=dtype, rng=3, **options)


def conv_net(dtype, convs=(CONV,), **options):
    return ConvNet(conv_params=convs, dtype=dtype, rng=3, **{**ODD, **options})


BATCHNORM = {"normalization": "batchnorm"}
LAYERNORM = {"normalization": "layernorm"}
DROPOUT = {"dropout_keep_ratio": 0.6, "seed": 5}
UNPOOLED = {**CONV, "pool": False}
STRIDED = {"num_filters": 2, "filter_size": (2, 3), "stride": (2, 1), "pad": (0, 1), "pool": False}
CASES = {
    "two layers": (two_layer, {}),
    "two layers, reg": (two_layer, {"reg": 0.3}),
    "fully connected": (fully_connected, {}),
    "fully connected, reg": (fully_connected, {"reg": 0.3}),
    "fully connected, no hidden layer": (fully_connected, {"hidden_dims": []}),
    "fully connected, batchnorm": (fully_connected, BATCHNORM),
    "fully connected, layernorm": (fully_connected, LAYERNORM),
    "fully connected, dropout": (fully_connected, DROPOUT),
    "fully connected, everything": (fully_connected, {**BATCHNORM, **DROPOUT, "reg": 0.3}),
    "three layers": (three_layer, {}),
    "three layers, reg": (three_layer, {"reg": 0.3}),
    "convolutional, odd images": (conv_net, {}),
    "convolutional, no pool": (conv_net, {"convs": (UNPOOLED,)}),
    "convolutional, chained": (conv_net, {"convs": (UNPOOLED, CONV)}),
    "convolutional, strided": (conv_net, {"convs": (STRIDED,)}),
    "convolutional, no hidden layer": (conv_net, {"hidden_dims": []}),
    "convolutional, no convolution": (conv_net, {"convs": ()}),
    "convolutional, batchnorm": (conv_net, {"convs": (UNPOOLED, CONV), **BATCHNORM}),
    "convolutional, layernorm": (conv_net, {"convs": (UNPOOLED, CONV), **LAYERNORM}),
    "convolutional, everything": (conv_net, {**BATCHNORM, **DROPOUT, "reg": 0.3}),
}
every_case = pytest.mark.parametrize(("make", "options"), CASES.values(), ids=CASES)


def batch(make):
    rng = np.random.default_rng(4)
    shape = (2, 7, 5) if make in (three_layer, conv_net) else (2, 4)
    return rng.standard_normal((5, *shape)), rng.integers(4, size=5)


def shifted(net):
    """Move biases, gamma and beta away from their start at zeros and ones."""
    rng = np.random.default_rng(6)
    for name, value in net.params.items():
        if not name.startswith("W"):
            net.params[name] = value + 0.3 * rng.standard_normal(value.shape)
    return net


def complex_step(net, X, y):
    """The derivative of the loss in every single number of net.params."""
    gradients = {}
    for name, value in net.params.items():
        gradients[name] = np.empty(value.shape)
        for index in np.ndindex(value.shape):
            kept = value[index]
            value[index] = kept + 1j * STEP
            gradients[name][index] = net.loss(X, y)[0].imag / STEP
            value[index] = kept
    return gradients


@pytest.mark.thorough(keep=3)
@every_case
def test_complex_step(make, options):
    X, y = batch(make)
    loss, grads = shifted(make(np.float64, **options)).loss(X, y)
    twin = shifted(make(np.complex128, **options))
    assert twin.loss(X, y)[0].real == pytest.approx(loss, rel=1e-13)
    # a bias in front of batch normalisation has a gradient of zero: the scale is of all gradients
    scale = max(np.max(np.abs(dw)) for dw in grads.values())
    for name, expected in complex_step(twin, X, y).items():
        assert grads[name].shape == expected.shape
        assert grads[name].dtype == np.float64
        np.testing.assert_allclose(grads[name], expected, rtol=0, atol=1e-12 * scale, err_msg=name)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (two_layer, {"reg": 0.3}),
        (fully_connected, {**BATCHNORM, **DROPOUT, "reg": 0.3}),
        (three_layer, {"reg": 0.3}),
        (conv_net, {"convs": (UNPOOLED, CONV), **LAYERNORM}),
    ],
)
def test_numerical_gradient_with_a_function_that_ignores_its_argument(make, options):
    """The notebooks' check: the parameters are perturbed in place, and the loss must see it."""
    X, y = batch(make)
    net = shifted(make(np.float64, **options))
    grads = net.loss(X, y)[1]
    for name, got in grads.items():
        numerical = eval_numerical_gradient(
            lambda _: net.loss(X, y)[0], net.params[name], verbose=False, h=1e-5
        )
        np.testing.assert_allclose(got, numerical, rtol=1e-6, atol=1e-8, err_msg=name)
