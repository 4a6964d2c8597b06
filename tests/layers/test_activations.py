"""The activations: published figures, formulas, kinks and ties, extremes, and wrong calls."""

import math

import numpy as np
import pytest

from handgrad import layers
from handgrad.engines.erf import erfc
from handgrad.errors import CacheError, DtypeError, OptionError, ShapeError
from handgrad.gradcheck import eval_numerical_gradient_array, rel_error

ENGINES = ["naive", "vectorized"]
ELEMENTWISE = ["relu", "leaky_relu", "elu", "gelu", "sigmoid", "softplus", "tanh"]
AT_ZERO = {"sigmoid": 0.5, "softplus": math.log(2)}  # where it is not 0


def pair(layer):
    return getattr(layers, f"{layer}_forward"), getattr(layers, f"{layer}_backward")


def out_and_slope(layer, x, *options, engine=None):
    """The output at each x, and the derivative there."""
    forward, backward = pair(layer)
    out, cache = forward(x, *options, engine=engine)
    return out, backward(np.ones_like(out), cache)


# The courses' figures


def test_relu_forward_figure():
    x = np.linspace(-0.5, 0.5, num=12).reshape(3, 4)
    expected = np.array(
        [
            [0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.04545455, 0.13636364],
            [0.22727273, 0.31818182, 0.40909091, 0.5],
        ]
    )
    out, _ = layers.relu_forward(x)
    assert rel_error(out, expected) == pytest.approx(4.999999798022158e-08, rel=1e-6)


def test_relu_backward_figure():
    np.random.seed(231)
    x = np.random.randn(10, 10)
    dout = np.random.randn(*x.shape)
    numerical = eval_numerical_gradient_array(lambda x: layers.relu_forward(x)[0], x, dout)
    _, cache = layers.relu_forward(x)
    error = rel_error(numerical, layers.relu_backward(dout, cache))
    assert error == pytest.approx(3.2756349136310288e-12, rel=0.01)


# Formulas


FORMULAS = [
    ("relu", (), lambda x: max(0.0, x)),
    ("leaky_relu", (), lambda x: x if x > 0 else 0.01 * x),
    ("leaky_relu", (0.3,), lambda x: x if x > 0 else 0.3 * x),
    ("elu", (), lambda x: x if x > 0 else math.exp(x) - 1),
    ("elu", (0.7,), lambda x: x if x > 0 else 0.7 * (math.exp(x) - 1)),
    ("gelu", (), lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    (
        "gelu",
        ("tanh",),
        lambda x: x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    ),
    ("sigmoid", (), lambda x: 1 / (1 + math.exp(-x))),
    ("softplus", (), lambda x: math.log(1 + math.exp(x))),
    ("tanh", (), math.tanh),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("layer", "options", "formula"), FORMULAS)
def test_outputs_follow_the_formula(layer, options, formula, engine, rng):
    x = 3 * rng.standard_normal((6, 5))
    out, _ = pair(layer)[0](x, *options, engine=engine)
    np.testing.assert_allclose(out, np.vectorize(formula)(x), rtol=1e-13, atol=2e-15)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_prelu_shares_slopes_along_channels(shape, engine, rng):
    x = rng.standard_normal((2, 3, 4))
    a = rng.uniform(0.1, 0.5, shape)
    dout = rng.standard_normal(x.shape)
    out, cache = layers.prelu_forward(x, a, engine=engine)
    slope = np.broadcast_to(a.reshape(1, -1, 1), x.shape)
    np.testing.assert_array_equal(out, np.where(x > 0, x, slope * x))
    dx, da = layers.prelu_backward(dout, cache)
    np.testing.assert_array_equal(dx, np.where(x > 0, dout, slope * dout))
    per_channel = np.where(x > 0, 0, x * dout).sum(axis=(0, 2))
    expected = per_channel if shape == (3,) else per_channel.sum().reshape(shape)
    assert da.shape == shape
    np.testing.assert_allclose(da, expected, rtol=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
def test_maxout_groups_consecutive_channels(engine):
    x = np.array([[1.0, 4.0, 2.0, -3.0, -1.0, -2.0]])
    dout = np.array([[5.0, 7.0]])
    out, cache = layers.maxout_forward(x, 3, engine=engine)
    np.testing.assert_array_equal(out, [[4.0, -1.0]])
    np.testing.assert_array_equal(layers.maxout_backward(dout, cache), [[0, 5, 0, 0, 7, 0]])
    out, _ = layers.maxout_forward(x, engine=engine)
    np.testing.assert_array_equal(out, [[4.0, 2.0, -1.0]])


@pytest.mark.parametrize("engine", ENGINES)
def test_maxout_ties_go_to_the_first_piece(engine):
    x = np.array([[2.0, 2.0, 1.0, 0.0, 3.0, 3.0]]).reshape(1, 6, 1)
    dout = np.array([[5.0, 7.0]]).reshape(1, 2, 1)
    _, cache = layers.maxout_forward(x, 3, engine=engine)
    dx = layers.maxout_backward(dout, cache)
    np.testing.assert_array_equal(dx.ravel(), [5, 0, 0, 0, 7, 0])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("layer", "options", "slope"),
    [
        ("relu", (), 0.0),
        ("leaky_relu", (0.3,), 0.3),
        ("prelu", (np.array(0.4),), 0.4),
        ("elu", (0.7,), 0.7),
        ("gelu", (), 0.5),
        ("sigmoid", (), 0.25),
        ("softplus", (), 0.5),
        ("tanh", (), 1.0),
    ],
)
def test_slope_at_zero(layer, options, slope, engine):
    out, gradients = out_and_slope(layer, np.array([0.0, -0.0]), *options, engine=engine)
    dx = gradients[0] if isinstance(gradients, tuple) else gradients
    np.testing.assert_array_equal(out, [AT_ZERO.get(layer, 0.0)] * 2)
    np.testing.assert_array_equal(dx, [slope, slope])
    steps = np.array([1e-30j, complex(-0.0, 1e-30)])  # what the complex step takes for the slope
    out, _ = pair(layer)[0](steps, *options, engine=engine)
    np.testing.assert_allclose(out.imag / 1e-30, [slope, slope], rtol=1e-15)


# Extremes


@pytest.mark.parametrize(
    ("layer", "options", "limits", "slopes"),
    [
        ("sigmoid", (), (0, 1), (0, 0)),
        ("tanh", (), (-1, 1), (0, 0)),
        ("relu", (), (0, 1e300), (0, 1)),
        ("softplus", (), (0, 1e300), (0, 1)),
        ("elu", (2.0,), (-2, 1e300), (0, 1)),
        ("gelu", (), (0, 1e300), (0, 1)),
        ("gelu", ("tanh",), (0, 1e300), (0, 1)),
    ],
)
def test_huge_inputs_reach_the_limits_without_warnings(layer, options, limits, slopes):
    out, slope = out_and_slope(layer, np.array([-1e300, 1e300]), *options)
    np.testing.assert_array_equal(out, limits)
    np.testing.assert_array_equal(slope, slopes)


@pytest.mark.parametrize("engine", ENGINES)
def test_sigmoid_and_tanh_take_float32_extremes(engine):
    x = np.array([-1e4, -100, 100, 1e4], np.float32)
    for layer in ("sigmoid", "tanh"):
        out, slope = out_and_slope(layer, x, engine=engine)
        low = 0 if layer == "sigmoid" else -1
        assert out.dtype == slope.dtype == np.float32
        np.testing.assert_allclose(out, [low, low, 1, 1], atol=1e-40)
        np.testing.assert_allclose(slope, 0, atol=1e-40)


@pytest.mark.parametrize("engine", ENGINES)
def test_tails_keep_their_digits(engine):
    x = np.array([-30.0, 30.0])
    _, slope = out_and_slope("sigmoid", x, engine=engine)
    np.testing.assert_allclose(slope, math.exp(-30), rtol=1e-12)
    _, slope = out_and_slope("tanh", x, engine=engine)
    np.testing.assert_allclose(slope, 4 * math.exp(-60), rtol=1e-12)
    out, slope = out_and_slope("softplus", np.array([-40.0]), engine=engine)
    np.testing.assert_allclose([out, slope], math.exp(-40), rtol=1e-13)
    out, _ = out_and_slope("gelu", np.array([-9.0]), engine=engine)
    np.testing.assert_allclose(out, -9 * math.erfc(9 / math.sqrt(2)) / 2, rtol=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layer", ELEMENTWISE)
def test_nan_is_not_hidden(layer, engine):
    out, _ = pair(layer)[0](np.array([np.nan, 1.0]), engine=engine)
    assert np.isnan(out[0])
    assert np.isfinite(out[1])


# The complementary error function


def ulps(got, expected):
    return np.abs(got - expected) / (np.finfo(np.float64).eps * np.abs(expected))


X_ERFC = np.concatenate([np.linspace(-26, 26, 5201), np.logspace(-300, 0, 61)])


def test_erfc_in_float64():
    expected = np.array([math.erfc(v) for v in X_ERFC])
    got = erfc(X_ERFC)
    assert np.max(ulps(got, expected) / (2 + X_ERFC**2)) < 2
    assert np.max(np.abs(got - expected)) < 1e-15  # and so is the error of erf(x) = 1 - erfc(x)


def test_erfc_in_float32():
    x = np.linspace(-9, 9, 1001).astype(np.float32)
    got = erfc(x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [math.erfc(v) for v in x], rtol=3e-5, atol=4e-7)


def test_erfc_of_complex_numbers():
    x = X_ERFC[np.abs(X_ERFC) < 20]
    got = erfc(x + 1e-30j)
    np.testing.assert_allclose(got.real, erfc(x), rtol=1e-14)
    slope = -2 / math.sqrt(math.pi) * np.exp(-x * x)
    np.testing.assert_allclose(got.imag / 1e-30, slope, rtol=1e-13)


# Wrong calls


@pytest.mark.parametrize("layer", ELEMENTWISE)
def test_elementwise_refusals(layer):
    forward, backward = pair(layer)
    with pytest.raises(ShapeError, match=rf"{layer}_forward: x must have at least 1 dim.* got 0"):
        forward(np.float64(3.0))
    with pytest.raises(DtypeError, match=rf"{layer}_forward: x must be float32.* got bool"):
        forward(np.array([True]))
    _, cache = forward(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=rf"{layer}_backward: dout must .*\(2, 3\), got \(1, 3\)"):
        backward(np.ones((1, 3)), cache)
    with pytest.raises(CacheError, match=f"{layer}_backward: cache must be the one"):
        backward(np.ones((2, 3)), layers.maxout_forward(np.ones((2, 6)))[1])


@pytest.mark.parametrize("layer", ["leaky_relu", "elu"])
@pytest.mark.parametrize("alpha", [np.nan, np.inf, "big", None])
def test_alpha_refusals(layer, alpha):
    with pytest.raises(OptionError, match=f"{layer}_forward: alpha must be .* got {alpha!r}"):
        pair(layer)[0](np.ones(3), alpha)


def test_gelu_refuses_an_unknown_approximation():
    with pytest.raises(
        OptionError, match="gelu_forward: approximate must be one of 'none', 'tanh'"
    ):
        layers.gelu_forward(np.ones(3), "erf")


@pytest.mark.parametrize(
    ("x_shape", "a_shape"), [((2, 3), (2,)), ((2, 3), (1, 3)), ((3,), (3,)), ((2, 3), (0,))]
)
def test_prelu_refuses_other_slopes(x_shape, a_shape):
    with pytest.raises(ShapeError, match=r"prelu_forward: a must have shape \(\) or \(1,\)"):
        layers.prelu_forward(np.ones(x_shape), np.ones(a_shape))


def test_maxout_refusals():
    with pytest.raises(ShapeError, match=r"maxout_forward: x must have at least 2 dimensions"):
        layers.maxout_forward(np.ones(4))
    with pytest.raises(ShapeError, match=r"multiple of pieces = 2 channels \(axis 1\), got 3"):
        layers.maxout_forward(np.ones((1, 3)))
    with pytest.raises(OptionError, match="maxout_forward: pieces must be at least 1, got 0"):
        layers.maxout_forward(np.ones((1, 4)), 0)
