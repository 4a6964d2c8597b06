"""The normalisation layers: the figures of the courses' notebooks, seed 231."""

import numpy as np
import pytest

from handgrad import layers
from handgrad.gradcheck import eval_numerical_gradient_array, rel_error
from handgrad.layers import (
    batchnorm_backward,
    batchnorm_backward_alt,
    batchnorm_forward,
    layernorm_backward,
    layernorm_forward,
    spatial_batchnorm_forward,
    spatial_groupnorm_forward,
)

ENGINES = ("naive", "vectorized")
PRINTED = {"rtol": 0, "atol": 6e-9}  # NumPy prints eight decimals


def statistics_are(x, axis, means, stds, **tolerance):
    np.testing.assert_allclose(x.mean(axis), means, **(tolerance or PRINTED))
    np.testing.assert_allclose(x.std(axis), stds, **(tolerance or PRINTED))


def activations(randn, rows):
    """Return the input of the first cells of BatchNormalization: a random two-layer net's output."""
    X, W1, W2 = randn(rows, 50), randn(50, 60), randn(60, 3)
    return np.maximum(0, X @ W1) @ W2


@pytest.mark.parametrize("engine", ENGINES)
def test_batchnorm_statistics_of_the_course(engine):
    a = activations(np.random.RandomState(231).randn, 200)
    statistics_are(
        a, 0, [-2.3814598, -13.18038246, 1.91780462], [27.18502186, 34.21455511, 37.68611762]
    )
    out, _ = batchnorm_forward(a, np.ones(3), np.zeros(3), {"mode": "train"}, engine=engine)
    statistics_are(out, 0, [0, 0, 0], [0.99999999, 1, 1])
    gamma, beta = np.array([1.0, 2, 3]), np.array([11.0, 12, 13])
    out, _ = batchnorm_forward(a, gamma, beta, {"mode": "train"}, engine=engine)
    statistics_are(out, 0, [11, 12, 13], [0.99999999, 1.99999999, 2.99999999], rtol=1e-8)


def test_batchnorm_test_statistics_of_the_course():
    """They pin the momentum, the start at zero and the biased variance."""
    randn = np.random.RandomState(231).randn
    W1, W2 = randn(50, 60), randn(60, 3)
    gamma, beta, bn_param = np.ones(3), np.zeros(3), {"mode": "train"}
    for _ in range(50):
        a = np.maximum(0, randn(200, 50) @ W1) @ W2
        batchnorm_forward(a, gamma, beta, bn_param)
    bn_param["mode"] = "test"
    a = np.maximum(0, randn(200, 50) @ W1) @ W2
    out, _ = batchnorm_forward(a, gamma, beta, bn_param)
    statistics_are(
        out, 0, [-0.03927354, -0.04349152, -0.10452688], [1.01531428, 1.01238373, 0.97819988]
    )


def gradient_errors(forward, backward, arrays, dout):
    """Return rel_error of each gradient against central differences, as the notebooks take it.

    As in the notebooks, the function does not look at its argument: arrays change in place.
    """
    _, cache = forward()
    return [
        rel_error(eval_numerical_gradient_array(lambda _: forward()[0], array, dout), gradient)
        for array, gradient in zip(arrays, backward(dout, cache), strict=True)
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("layer", "backward", "options", "figure"),
    [
        ("batchnorm", batchnorm_backward, ({"mode": "train"},), 1.70292e-09),
        ("batchnorm", batchnorm_backward_alt, ({"mode": "train"},), 1.70292e-09),
        ("layernorm", layernorm_backward, ({},), 1.43362e-09),
    ],
)
def test_gradients_of_matrices_of_the_course(layer, backward, options, figure, engine):
    randn = np.random.RandomState(231).randn
    x = 5 * randn(4, 5) + 12
    gamma, beta, dout = randn(5), randn(5), randn(4, 5)

    def forward():
        return getattr(layers, layer + "_forward")(x, gamma, beta, *options, engine=engine)

    dx, dgamma, dbeta = gradient_errors(forward, backward, (x, gamma, beta), dout)
    assert dx < 2 * figure
    assert dgamma < 2e-11
    assert dbeta < 2e-11


def test_alt_of_the_course():
    """Graph against formula on 100x500: dx to rounding, dgamma and dbeta exactly equal."""
    randn = np.random.RandomState(231).randn
    x = 5 * randn(100, 500) + 12
    gamma, beta, dout = randn(500), randn(500), randn(100, 500)
    # The native engine has one formula for both.
    _, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"}, engine="vectorized")
    dx, dgamma, dbeta = batchnorm_backward(dout, cache)
    dx_alt, dgamma_alt, dbeta_alt = batchnorm_backward_alt(dout, cache)
    assert rel_error(dx, dx_alt) < 5e-12
    assert np.any(dx != dx_alt)  # two computations, not one
    assert np.max(np.abs(dx - dx_alt)) < 1e-14 * np.max(np.abs(dx))
    assert rel_error(dgamma, dgamma_alt) == 0.0
    assert rel_error(dbeta, dbeta_alt) == 0.0


@pytest.mark.parametrize("engine", ENGINES)
def test_layernorm_statistics_of_the_course(engine):
    a = activations(np.random.RandomState(231).randn, 4)
    means = [-59.06673243, -47.60782686, -43.31137368, -26.40991744]
    statistics_are(a, 1, means, [10.07429373, 28.39478981, 35.28360729, 4.01831507])
    out, _ = layernorm_forward(a, np.ones(3), np.zeros(3), {"mode": "train"}, engine=engine)
    statistics_are(out, 1, np.zeros(4), [0.99999995, 0.99999999, 1.0, 0.99999969])
    gamma, beta = np.full(3, 3.0), np.full(3, 5.0)
    out, _ = layernorm_forward(a, gamma, beta, {"mode": "train"}, engine=engine)
    statistics_are(out, 1, np.full(4, 5.0), [2.99999985, 2.99999998, 2.99999999, 2.99999907])


@pytest.mark.parametrize("engine", ENGINES)
def test_spatial_batchnorm_statistics_of_the_course(engine):
    axes = (0, 2, 3)
    x = 4 * np.random.RandomState(231).randn(2, 3, 4, 5) + 10
    statistics_are(
        x, axes, [9.33463814, 8.90909116, 9.11056338], [3.61447857, 3.19347686, 3.5168142]
    )
    bn_param = {"mode": "train"}
    out, _ = spatial_batchnorm_forward(x, np.ones(3), np.zeros(3), bn_param, engine=engine)
    assert out.shape == x.shape
    statistics_are(out, axes, np.zeros(3), [0.99999962, 0.99999951, 0.9999996])
    gamma, beta = np.asarray([3, 4, 5]), np.asarray([6, 7, 8])
    out, _ = spatial_batchnorm_forward(x, gamma, beta, bn_param, engine=engine)
    statistics_are(out, axes, [6, 7, 8], [2.99999885, 3.99999804, 4.99999798])


def test_spatial_batchnorm_test_statistics_of_the_course():
    randn = np.random.RandomState(231).randn
    gamma, beta, bn_param = np.ones(4), np.zeros(4), {"mode": "train"}
    for _ in range(50):
        spatial_batchnorm_forward(2.3 * randn(10, 4, 11, 12) + 13, gamma, beta, bn_param)
    bn_param["mode"] = "test"
    out, _ = spatial_batchnorm_forward(2.3 * randn(10, 4, 11, 12) + 13, gamma, beta, bn_param)
    statistics_are(
        out,
        (0, 2, 3),
        [-0.08034406, 0.07562881, 0.05716371, 0.04378383],
        [0.96718744, 1.0299714, 1.02887624, 1.00585577],
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_groupnorm_statistics_of_the_course(engine):
    x = 4 * np.random.RandomState(231).randn(2, 6, 4, 5) + 10
    means = [9.72505327, 8.51114185, 8.9147544, 9.43448077]
    stds = [3.67070958, 3.09892597, 4.27043622, 3.97521327]
    statistics_are(x.reshape(4, -1), 1, means, stds)
    gamma, beta = np.ones((1, 6, 1, 1)), np.zeros((1, 6, 1, 1))
    out, _ = spatial_groupnorm_forward(x, gamma, beta, 2, {"mode": "train"}, engine=engine)
    assert out.shape == x.shape
    stds = [0.99999963, 0.99999948, 0.99999973, 0.99999968]
    statistics_are(out.reshape(4, -1), 1, np.zeros(4), stds)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("layer", "form", "options", "figures"),
    [
        (
            "spatial_batchnorm",
            (3,),
            ({"mode": "train"},),
            (2.78664819e-07, 7.0974817e-12, 3.2756087e-12),
        ),
        ("spatial_groupnorm", (1, 6, 1, 1), (2, {}), (7.4131e-08, 9.4681957e-12, 3.3544944e-12)),
    ],
)
def test_gradients_of_images_of_the_course(layer, form, options, figures, engine):
    randn = np.random.RandomState(231).randn
    C = max(form)
    x = 5 * randn(2, C, 4, 5) + 12
    gamma, beta, dout = randn(*form), randn(*form), randn(2, C, 4, 5)

    def forward():
        return getattr(layers, layer + "_forward")(x, gamma, beta, *options, engine=engine)

    backward = getattr(layers, layer + "_backward")
    dx, dgamma, dbeta = gradient_errors(forward, backward, (x, gamma, beta), dout)
    assert dx < 2 * figures[0]
    assert dgamma < 5 * figures[1]
    assert dbeta < 5 * figures[2]
