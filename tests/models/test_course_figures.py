"""The cells of the courses' notebooks that print what a whole network computes."""

import numpy as np
import pytest

from handgrad.models import FullyConnectedNet, ThreeLayerConvNet, TwoLayerNet

EXACT = 1e-12


def fully_connected_cell():
    """X and y of the seeded FullyConnectedNet cells, which then build 15-20-30-10 networks."""
    np.random.seed(231)
    return np.random.randn(2, 15), np.random.randint(10, size=(2,))


def fully_connected_losses(variants):
    X, y = fully_connected_cell()
    for options in variants:
        net = FullyConnectedNet(
            [20, 30], input_dim=15, num_classes=10, weight_scale=5e-2, dtype=np.float64, **options
        )
        yield net.loss(X, y)[0]


@pytest.fixture
def two_layer_net():
    np.random.seed(231)
    N, D, H, C = 3, 5, 50, 7
    np.random.randn(N, D), np.random.randint(C, size=N)
    net = TwoLayerNet(input_dim=D, hidden_dim=H, num_classes=C, weight_scale=1e-3)
    assert abs(net.params["W1"].std() - 1e-3) < 1e-4
    assert abs(net.params["W2"].std() - 1e-3) < 1e-4
    net.params["W1"] = np.linspace(-0.7, 0.3, num=D * H).reshape(D, H)
    net.params["b1"] = np.linspace(-0.1, 0.9, num=H)
    net.params["W2"] = np.linspace(-0.3, 0.4, num=H * C).reshape(H, C)
    net.params["b2"] = np.linspace(-0.9, 0.1, num=C)
    return net, np.linspace(-5.5, 4.5, num=N * D).reshape(D, N).T, np.asarray([0, 5, 1])


def test_two_layer_net_scores(two_layer_net):
    net, X, _ = two_layer_net
    expected = [
        [11.53165108, 12.2917344, 13.05181771, 13.81190102, 14.57198434, 15.33206765, 16.09215096],
        [12.05769098, 12.74614105, 13.43459113, 14.1230412, 14.81149128, 15.49994135, 16.18839143],
        [12.58373087, 13.20054771, 13.81736455, 14.43418138, 15.05099822, 15.66781506, 16.2846319],
    ]
    assert np.abs(net.loss(X) - expected).sum() < 1e-6


def test_two_layer_net_losses(two_layer_net):
    net, X, y = two_layer_net
    assert abs(net.loss(X, y)[0] - 3.4702243556) < 1e-10
    net.reg = 1.0
    assert abs(net.loss(X, y)[0] - 26.5948426952) < 1e-10


def test_fully_connected_net():
    losses = fully_connected_losses([{"reg": 0}, {"reg": 3.14}])
    assert list(losses) == pytest.approx([2.3004790897684924, 7.052114776533016], rel=EXACT)


def test_fully_connected_net_with_batchnorm():
    losses = fully_connected_losses({"reg": r, "normalization": "batchnorm"} for r in (0, 3.14))
    assert list(losses) == pytest.approx([2.2611955101340957, 6.996533220108303], rel=EXACT)


def test_fully_connected_net_with_dropout():
    keeps = [{"dropout_keep_ratio": keep, "seed": 123} for keep in (1, 0.75, 0.5)]
    expected = [2.3004790897684924, 2.302371489704412, 2.3042759220785896]
    assert list(fully_connected_losses(keeps)) == pytest.approx(expected, rel=EXACT)


def test_three_layer_conv_net():
    np.random.seed(231)  # the conv_relu cell before this one seeds the stream, and draws these
    for shape in [(2, 3, 8, 8), (3, 3, 3, 3), (3,), (2, 3, 8, 8)]:
        np.random.randn(*shape)
    net = ThreeLayerConvNet()
    X, y = np.random.randn(50, 3, 32, 32), np.random.randint(10, size=50)
    assert net.loss(X, y)[0] == pytest.approx(2.302586071243987, rel=EXACT)
    net.reg = 0.5
    # float32 weights: how their squares are summed moves the eighth decimal
    assert net.loss(X, y)[0] == pytest.approx(2.508255638232932, abs=4e-8)
