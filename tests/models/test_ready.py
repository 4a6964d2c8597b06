"""The ready networks of layer objects: gradients at small size, sizes, configurations."""

import numpy as np
import pytest
from nn.nets import batch, check_gradients

from handgrad import nn
from handgrad.errors import OptionError, ShapeError
from handgrad.models import MODELS, DenseNet, Network, ResNet, allconv, build, speednet, vgg

SHAPE = (2, 8, 8)
SMALL = {
    "ResNet": lambda **o: ResNet(SHAPE, 4, blocks=1, widths=(2, 3, 3), **o),
    "ResNet, two blocks": lambda **o: ResNet((2, 4, 4), 4, blocks=2, widths=(2, 2), **o),
    "DenseNet": lambda **o: DenseNet(SHAPE, 4, depth=2, growth=2, **o),
    "vgg": lambda **o: vgg(SHAPE, 4, widths=(2, 3), hidden_dim=4, dropout_keep_ratio=1, **o),
    "allconv": lambda **o: allconv(SHAPE, 4, widths=(2, 3), **o),
    "speednet": lambda **o: speednet(SHAPE, 4, widths=(2, 3), components=3, **o),
    "speednet, other groups": lambda **o: speednet(
        SHAPE, 4, widths=[[2], [3, 2, 3]], components=3, **o
    ),
}
READY = [
    name
    for name, made in MODELS.items()
    if not (isinstance(made, type) and issubclass(made, Network)) and name != "Sequential"
]


@pytest.mark.thorough(keep=7)
@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_gradients_by_complex_step(make):
    check_gradients(make, reg=0.1)


# numbers of parameters and of layers with weights: ResNet as in its paper (0.27 M and 0.85 M), but
# for the 1x1 shortcuts
SIZES = {
    "resnet8": (78_042, 8 + 2),
    "resnet20": (272_474, 20 + 2),
    "resnet56": (855_770, 56 + 2),
    "densenet": (None, 1 + 3 * 4 + 2 + 1),
    "vgg": (None, 8),
    "allconv": (None, 9),
    "speednet": (1_160_960, 7),
}


@pytest.mark.parametrize("name", READY)
def test_sizes(name):
    net = build(name, rng=0)
    parameters, layers = SIZES[name]
    if parameters is not None:
        assert sum(w.size for w in net.params.values()) == parameters
    assert sum(key.endswith(".W") for key in net.params) == layers
    scores = net.loss(np.zeros((2, 3, 32, 32), np.float32))
    assert scores.shape == (2, 10)
    assert scores.dtype == np.float32


@pytest.mark.parametrize("name", READY)
def test_first_losses_are_near_the_logarithm_of_the_number_of_classes(name):
    net = build(name, input_shape=(1, 16, 16), num_classes=5, rng=0)
    X = np.random.default_rng(0).standard_normal((20, 1, 16, 16))
    loss, grads = net.loss(X, np.arange(20) % 5)
    assert np.log(5) - 0.1 < loss < 2 * np.log(5)
    assert all(np.isfinite(dw).all() for dw in grads.values())
    assert all(dw.any() for dw in grads.values())


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_compiled_and_plain_agree(make):
    net, plain = make(dtype=np.float64, rng=0), make(dtype=np.float64, rng=0)
    plain._fuse = False
    X, y = batch(net)
    net.compile(X.shape)
    for _ in range(2):
        loss, grads = net.loss(X, y)
        expected, others = plain.loss(X, y)
        assert loss == pytest.approx(expected, rel=1e-13)
        scale = max(np.abs(dw).max() for dw in others.values())
        for key, dw in grads.items():
            np.testing.assert_allclose(dw, others[key], rtol=0, atol=1e-12 * scale, err_msg=key)


def test_a_configuration_makes_the_network_again():
    net = vgg(SHAPE, 4, widths=(2, 3), hidden_dim=4, reg=0.1, rng=0)
    table = net.config()
    again = build(table.pop("name"), **table)
    assert again.summary() == net.summary()
    assert again.reg == 0.1
    net = ResNet(SHAPE, 4, blocks=1, widths=(2, 3), rng=0)
    table = net.config()
    assert table["name"] == "handgrad.models.ready:ResNet"
    assert build(table.pop("name"), **table).summary() == net.summary()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: build("resnet20", depth=3), 'resnet20: unrecognized "depth"; known are dtype'),
        (lambda: ResNet(blocks=0), "ResNet: blocks must be at least 1, got 0"),
        (
            lambda: ResNet(widths=[]),
            r"ResNet: widths must be a list of numbers of filters, got \[\]",
        ),
        (lambda: vgg(widths="64"), "vgg: widths must be a list .* got '64'"),
        (lambda: allconv(widths=(3, 0)), r"allconv: widths\[1\] must be at least 1, got 0"),
        (lambda: DenseNet(growth=1.5), "DenseNet: growth must be an integer"),
        (lambda: build("no.such.module:Net"), "no.such.module:Net cannot be imported .*PYTHONPATH"),
        (lambda: build("handgrad.nn:ReLU"), "handgrad.nn:ReLU is no subclass of handgrad.nn.Model"),
        (lambda: build("handgrad.nn:Net"), "the module handgrad.nn has no Net"),
        (lambda: build("a b:c d"), "is no import path"),
        (lambda: build("Sequential"), "Sequential: lacks layers"),
        (lambda: build("Sequential", layers=[{"layer": "Affine"}]), "Affine: lacks width"),
        (lambda: build("Sequential", layers="Affine"), "layers must be a list of tables"),
        (lambda: build("Sequential", layers=[3]), "the table must be a dictionary, got int"),
    ],
)
def test_wrong_calls_are_refused(call, says):
    with pytest.raises(OptionError, match=says):
        call()


def test_a_sequential_of_tables():
    inner = [{"layer": "Flatten"}, {"layer": "Affine", "width": 4}]
    tables = [
        {"layer": "Conv2d", "num_filters": 3, "filter_size": 3},
        {"layer": "ReLU"},
        {"layer": "Sequential", "layers": inner},
    ]
    net = build("Sequential", layers=tables, input_shape=[2, 5, 5], rng=0)
    own = nn.Sequential(
        [nn.Conv2d(3, 3), nn.ReLU(), nn.Sequential([nn.Flatten(), nn.Affine(4)])], (2, 5, 5), rng=0
    )
    assert net.summary() == own.summary()
    assert net.config()["layers"] == tables
    for key, w in own.params.items():
        np.testing.assert_array_equal(net.params[key], w)


@pytest.mark.parametrize("shape", [(3, 6), (3, 4, 8), 12])
def test_speednet_refuses_images_that_its_pools_leave_nothing_of(shape):
    with pytest.raises(ShapeError, match=r"speednet: input_shape must be \(C, H, W\) with H and W"):
        speednet(shape)


def test_speednet_takes_a_width_for_each_convolution():
    net = speednet(SHAPE, 4, widths=[[2, 3, 2], [4], 5], components=3, rng=0)
    shapes = [w.shape for name, w in net.params.items() if name.startswith("conv")]
    assert [shape[0] for shape in shapes] == [2, 3, 2, 4, 5, 5]
    same = speednet(SHAPE, 4, widths=[[2, 2], [3, 3]], components=3, rng=0)
    for name, w in speednet(SHAPE, 4, widths=(2, 3), components=3, rng=0).params.items():
        np.testing.assert_array_equal(same.params[name], w)
    for wrong in ("64", [], [[]], [[2, 0]], [2, "3"], 4):
        with pytest.raises(OptionError, match="speednet: widths"):
            speednet(SHAPE, 4, widths=wrong)


def test_speednet_begins_with_convolutions_that_hand_on_their_input():
    net = speednet(SHAPE, 4, widths=(6, 9), components=3, rng=0)
    W = net.params["conv1.W"]
    assert W.shape == (6, 6, 3, 3)
    assert np.array_equal(W[:, :, 1, 1], np.eye(6))
    assert np.count_nonzero(W) == 6
    assert np.count_nonzero(net.params["conv3.W"][6:]) == 3 * 6 * 9  # the others are drawn
