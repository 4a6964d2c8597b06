"""The checker on networks of layer objects: right ones, and the layer that is wrong is named."""

import numpy as np
import pytest
from nn.nets import Dense, Nested, Residual, Shared, TwoInputs
from nn.test_custom import Gated, wrong

import handgrad
from handgrad import nn
from handgrad.checker.discover import check_path


@pytest.mark.parametrize("net", [Residual, Dense, Shared, TwoInputs, Nested, Gated])
def test_right_networks_are_right(net):
    assert handgrad.check(net(rng=0))
    assert handgrad.check(net)  # the class, which needs no arguments


def test_a_network_with_dropout_of_its_own_stream_is_right():
    parts = [nn.Affine(6), nn.BatchNorm(), nn.ReLU(), nn.Dropout(0.5, rng=3), nn.Affine(3)]
    model = nn.Sequential(parts, (4,), rng=0)
    before = {name: w.copy() for name, w in model.params.items()}
    assert handgrad.check(model)
    for name, w in model.params.items():  # and stays as it was
        np.testing.assert_array_equal(w, before[name])
    assert model.buffers() == {}
    assert model.dtype == np.float32


def test_the_wrong_layer_is_named():
    model = nn.Sequential([nn.Affine(5), wrong(name="square"), nn.Affine(3)], (4,), rng=0)
    (verdict,) = handgrad.check(model).verdicts
    assert verdict.verdict == "WRONG"
    (cause,) = verdict.causes
    assert "the backward of layer square, wrong(), is not the derivative" in cause.says


def test_a_loss_that_is_wrong_is_seen():
    def halved(scores, y):
        loss, dscores = handgrad.layers.softmax_loss(scores, y)
        return loss, dscores / 2

    report = handgrad.check(nn.Sequential([nn.Affine(3)], (4,), loss=halved, rng=0))
    assert [cause.keys for cause in report.verdicts[0].causes] == [("affine1.W",), ("affine1.b",)]


def test_classes_in_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from handgrad import nn\n"
        "class Net(nn.Model):\n"
        "    def __init__(self, width=3):\n"
        "        super().__init__((4,), rng=0)\n"
        "        self.one, self.two = nn.Affine(width), nn.Affine(2)\n"
        "    def forward(self, x):\n"
        "        return self.two(self.one(x))\n"
        "class Needs(nn.Model):\n"
        "    def __init__(self, width):\n"
        "        super().__init__((4,))\n"
        "class Block(nn.Model):\n"
        "    pass\n"
        "class Broken(nn.Model):\n"
        "    def __init__(self):\n"
        "        super().__init__((4,))\n"
        "        self.one = nn.Affine(2)\n"
        "    def forward(self, x):\n"
        "        return self.one(x * 2)\n"
    )
    verdicts = {v.function: v for v in check_path(str(path)).verdicts}
    assert {name: v.verdict for name, v in verdicts.items()} == {
        "Net": "right",
        "Needs": "not testable here",
        "Block": "not testable here",
        "Broken": "WRONG",
    }
    assert "constructor needs arguments" in verdicts["Needs"].reason
    assert "pass input_shape" in verdicts["Block"].reason
    assert "`*` has no pair" in verdicts["Broken"].causes[0].says
