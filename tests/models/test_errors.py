"""Wrong calls: each error names the model, the argument, what was expected, and what came."""

import numpy as np
import pytest

from handgrad.errors import DtypeError, LabelError, OptionError, ShapeError
from handgrad.models import build

CONV = {"num_filters": 2, "filter_size": 3}


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("ConvNets", {}, OptionError, "model: name must be one of TwoLayerNet, .*; got 'ConvNets'"),
        ("ConvNet", {"dropout": 0.5}, OptionError, 'model ConvNet: unrecognized "dropout"; known'),
        ("FullyConnectedNet", {}, OptionError, "model FullyConnectedNet: lacks hidden_dims"),
        (
            "TwoLayerNet",
            {"hidden_dim": 0},
            OptionError,
            "TwoLayerNet: hidden_dim must be at least 1",
        ),
        (
            "TwoLayerNet",
            {"input_dim": 2.5},
            OptionError,
            "TwoLayerNet: input_dim must be an integer",
        ),
        ("TwoLayerNet", {"num_classes": "ten"}, OptionError, "TwoLayerNet: num_classes"),
        ("TwoLayerNet", {"reg": -1}, OptionError, "TwoLayerNet: reg"),
        ("TwoLayerNet", {"reg": np.inf}, OptionError, "TwoLayerNet: reg"),
        ("TwoLayerNet", {"weight_scale": np.nan}, OptionError, "TwoLayerNet: weight_scale"),
        ("TwoLayerNet", {"weight_scale": "he"}, OptionError, "weight_scale .*'xavier', 'kaiming'"),
        ("TwoLayerNet", {"rng": "lucky"}, OptionError, "TwoLayerNet: rng"),
        ("FullyConnectedNet", {"hidden_dims": 5}, OptionError, "hidden_dims must be a list"),
        ("FullyConnectedNet", {"hidden_dims": [5, -1]}, OptionError, r"hidden_dims\[1\]"),
        (
            "FullyConnectedNet",
            {"hidden_dims": [], "normalization": "batch"},
            OptionError,
            "normalization must be one of None, 'batchnorm', 'layernorm'; got 'batch'",
        ),
        (
            "FullyConnectedNet",
            {"hidden_dims": [], "dropout_keep_ratio": 0},
            OptionError,
            r"dropout_keep_ratio must be in \(0, 1\]",
        ),
        ("ConvNet", {"dtype": "float16"}, DtypeError, "ConvNet: dtype must be one of float32"),
        ("ConvNet", {"dtype": "floatish"}, DtypeError, "ConvNet: dtype must be one of float32"),
        ("ConvNet", {"input_dim": (32, 32)}, OptionError, r"input_dim must be \(C, H, W\)"),
        ("ConvNet", {"input_dim": (3, 0, 32)}, OptionError, "H of input_dim"),
        ("ConvNet", {"conv_params": CONV}, OptionError, "conv_params must be a list"),
        ("ConvNet", {"conv_params": [[2, 3]]}, OptionError, r"conv_params\[0\]"),
        (
            "ConvNet",
            {"conv_params": [CONV, {"num_filters": 3}]},
            OptionError,
            r"conv_params\[1\]: .*filter_size",
        ),
        (
            "ConvNet",
            {"conv_params": [{**CONV, "strides": 2}]},
            OptionError,
            r'conv_params\[0\]: unrecognized "strides"; known are filter_size',
        ),
        ("ConvNet", {"conv_params": [{**CONV, "pad": -1}]}, OptionError, r"\[0\]: pad"),
        ("ConvNet", {"conv_params": [{**CONV, "pool": 2}]}, OptionError, r"\[0\]: pool"),
        ("ConvNet", {"conv_params": [CONV] * 6}, ShapeError, "conv layer 6 has nothing left"),
        (
            "ConvNet",
            {"conv_params": [{"num_filters": 1, "filter_size": 40, "pad": 0}]},
            ShapeError,
            "conv layer 1 has nothing left",
        ),
        ("ThreeLayerConvNet", {"filter_size": 0}, OptionError, "ThreeLayerConvNet: filter_size"),
        ("ThreeLayerConvNet", {"num_filters": None}, OptionError, "ThreeLayerConvNet: num_filters"),
        ("ThreeLayerConvNet", {"input_dim": (3, 1, 8)}, ShapeError, "1 x 8"),
    ],
)
def test_options(name, options, error, message):
    with pytest.raises(error, match=message):
        build(name, **options)


@pytest.fixture(params=["TwoLayerNet", "FullyConnectedNet", "ThreeLayerConvNet", "ConvNet"])
def net(request):
    size = {"hidden_dims": [5], "dtype": np.float64} if "hidden" not in request.param else {}
    if request.param in ("TwoLayerNet", "ThreeLayerConvNet"):
        size = {"hidden_dim": 5}
    image = request.param.endswith("ConvNet")
    return build(request.param, input_dim=(2, 6, 6) if image else 72, **size)


X = np.ones((4, 2, 6, 6))
Y = np.zeros(4, int)


@pytest.mark.parametrize("bad", [np.ones((4, 2, 6, 5)), np.ones((4, 73)), np.ones(()), np.ones(4)])
def test_inputs_of_another_shape(net, bad):
    name = type(net).__name__
    with pytest.raises(ShapeError, match=rf"^{name}: X must have shape \(N, .*; got \("):
        net.loss(bad, Y)
    with pytest.raises(ShapeError, match=rf"^{name}: X"):
        net.predict(bad)


@pytest.mark.parametrize("bad", [X + 1j, X.astype(str), X.astype(object), X > 0])
def test_inputs_that_are_no_real_numbers(net, bad):
    with pytest.raises(DtypeError, match=rf"^{type(net).__name__}: X must hold real numbers, got"):
        net.loss(bad)


def test_labels(net):
    with pytest.raises(LabelError, match="10"):
        net.loss(X, Y + 10)
    with pytest.raises(ShapeError, match="y"):
        net.loss(X, Y[:2])


def test_missing_parameters_are_named(net):
    del net.params["W2"]
    with pytest.raises(OptionError, match="params lacks 'W2'; it holds W1, b1"):
        net.loss(X)


def test_the_shape_that_is_asked_for_is_the_model_s():
    plain = build("TwoLayerNet", input_dim=6, hidden_dim=2)
    with pytest.raises(ShapeError, match=r"\(N, 6\), or more dimensions with 6 numbers a row; got"):
        plain.loss(np.ones((2, 5)))
    images = build("ConvNet", input_dim=(1, 4, 4), conv_params=[CONV], hidden_dims=[2])
    with pytest.raises(ShapeError, match=r"\(N, 1, 4, 4\); got \(2, 16\)"):
        images.loss(np.ones((2, 16)))


def test_rows_of_one_number_need_no_second_dimension():
    model = build("TwoLayerNet", input_dim=1, hidden_dim=2, num_classes=3)
    assert model.loss(np.ones(4)).shape == (4, 3)
    np.testing.assert_array_equal(model.loss(np.ones(4)), model.loss(np.ones((4, 1))))
    with pytest.raises(ShapeError):
        model.loss(np.float64(1.0))


def test_complex_numbers_are_refused_for_what_they_would_lose():
    model = build("TwoLayerNet", input_dim=6, hidden_dim=2)
    with pytest.raises(DtypeError, match=r"got complex128; its imaginary part would be lost$"):
        model.loss(np.ones((2, 6), complex))
    with pytest.raises(DtypeError, match=r"X must hold real numbers, got bool$"):
        model.loss(np.ones((2, 6), bool))
