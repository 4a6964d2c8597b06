"""Affine layers and convolutions whose dx nobody wants: the other gradients stay, dx is None."""

import numpy as np
import pytest

from handgrad import engines, layers, nn
from handgrad.layers import chain

SHAPES = {
    "affine": ((5, 2, 3), (6, 4), (4,)),
    "conv": ((2, 3, 7, 6), (4, 3, 3, 3), (4,)),
    "conv_transpose": ((2, 3, 5, 4), (3, 4, 3, 3), (4,)),
}
OPTIONS = {"affine": (), "conv": ({"stride": 2, "pad": 1},), "conv_transpose": ({"stride": 2},)}


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("layer", SHAPES)
def test_the_other_gradients_stay(rng, layer, engine):
    arrays = [rng.standard_normal(shape) for shape in SHAPES[layer]]
    forward, backward = (getattr(layers, f"{layer}_{way}") for way in ("forward", "backward"))
    out, cache = forward(*arrays, *OPTIONS[layer], engine=engine)
    dout = rng.standard_normal(out.shape)
    dx, *wanted = backward(dout, cache)
    assert dx.shape == arrays[0].shape
    dx, *got = backward(dout, cache, need_dx=False)
    assert dx is None
    for gradient, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(gradient, other)


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.Conv2d, (3, 3)),
        (nn.ConvTranspose2d, (3, 2)),
        (nn.Affine, (5,)),
        (lambda *sizes: nn.Conv2d(*sizes, bias=False), (2, 1)),
    ],
    ids=["conv", "conv_transpose", "affine", "no bias"],
)
def test_a_network_does_not_ask_its_first_layer_for_dx(rng, monkeypatch, kind, options, engine):
    first = kind(*options)
    net = nn.Sequential(
        [nn.Tanh(), first, nn.Tanh(), nn.Affine(3)], (2, 6, 6), dtype=np.float64, rng=0
    )
    X, y = rng.standard_normal((4, 2, 6, 6)), np.array([0, 1, 2, 1])
    asked = []
    place, name = (layers, f"{first.pair_name}_backward") if not first.link else (chain, "backward")
    backward = getattr(place, name)

    def noted(*call, need_dx=True):
        call, asked_for = (call, need_dx) if not first.link else (call[:3], call[3])
        asked.append(asked_for)
        return backward(*call, need_dx=asked_for)

    def with_dx(*call, need_dx=True):
        return backward(*call[:3], need_dx=True)

    with engines.use(engine):
        monkeypatch.setattr(place, name, with_dx)
        loss, wanted = net.loss(X, y)
        monkeypatch.setattr(place, name, noted)
        again, got = net.loss(X, y)
    assert asked[-1] is False
    assert again == loss
    assert list(got) == list(wanted)
    for key, gradient in got.items():
        np.testing.assert_array_equal(gradient, wanted[key], err_msg=key)
