"""Plain functions, pairs and models of the courses' form that are compared."""

import re

import numpy as np
import pytest
from click.testing import CliRunner

from handgrad import interop, layers, nn
from handgrad.cli.compare import command
from handgrad.errors import DataError, OptionError, ShapeError

rng = np.random.default_rng(0)
x, W, b = rng.standard_normal((5, 4)), rng.standard_normal((4, 3)), rng.standard_normal(3)
AFFINE = (layers.affine_forward, layers.affine_backward)


def forward(x, w, b):
    return x @ w + b, (x, w)


def backward(dout, cache, wrong=""):
    x, w = cache
    dw = x.T @ dout
    db = dout.mean(axis=0) if wrong == "db" else dout.sum(axis=0)
    return dout @ w.T, -dw if wrong == "dw" else dw, db


def test_pairs_that_are_equal():
    for dtype in (np.float32, np.float64):
        args = tuple(a.astype(dtype) for a in (x, W, b))
        found = interop.compare(AFFINE, (forward, backward), args)
        assert found.same, str(found)
    big = rng.standard_normal((300, 400)).astype(np.float32)
    found = interop.compare(
        lambda a: a @ big, lambda a: np.einsum("nd,dm->nm", a, big), big[:, :300]
    )
    assert found.same, str(found)


@pytest.mark.parametrize(
    ("wrong", "what", "cause"),
    [("db", "argument 3", r"0\.2 times|multiplied by 0\.2"), ("dw", "argument 2", "sign")],
)
def test_a_wrong_gradient_is_named(wrong, what, cause):
    for mine in (AFFINE, (forward, backward)):
        other = (forward, lambda dout, cache: backward(dout, cache, wrong))
        found = interop.compare(mine, other, (x, W, b))
        assert not found.same
        assert found.what.endswith(what)
        assert re.search(cause, found.cause), found.cause


def test_functions_without_gradients():
    found = interop.compare(lambda a: a.T.copy(), lambda a: a, x[:4])
    assert (found.what, found.cause) == ("output", "its axes 0 and 1 are exchanged")
    found = interop.compare(np.tanh, lambda a: np.tanh(a) + 1e-9, x)
    assert found.cause == "1e-09 is added"
    with pytest.raises(OptionError, match="give X"):
        interop.compare(np.tanh, np.tanh)
    with pytest.raises(OptionError, match="does not take these arguments"):
        interop.compare(np.tanh, lambda a: a @ np.ones(9), x)


class TwoLayers:
    """A student's network, in the courses' form."""

    def __init__(self, net, wrong=""):
        self.params = {k: w.copy() for k, w in net.params.items()}
        self.reg, self.wrong = 0.1, wrong

    def loss(self, X, y=None):
        p = self.params
        a = X @ p["affine1.W"] + (0 if self.wrong == "bias" else p["affine1.b"])
        h = np.maximum(a, 0.01 * a if self.wrong == "leaky" else 0)
        scores = h @ p["affine2.W"] + p["affine2.b"]
        if y is None:
            return scores
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        prob = e / e.sum(axis=1, keepdims=True)
        loss = -np.log(prob[np.arange(len(y)), y]).mean()
        prob[np.arange(len(y)), y] -= 1
        dout = prob / (1 if self.wrong == "sum" else len(y))
        loss *= len(y) if self.wrong == "sum" else 1
        dh = dout @ p["affine2.W"].T
        dh = dh if self.wrong == "mask" else dh * (a > 0)
        grads = {"affine2.W": h.T @ dout, "affine2.b": dout.sum(axis=0)}
        grads |= {"affine1.W": X.T @ dh, "affine1.b": dh.sum(axis=0)}
        for name in ("affine1.W", "affine2.W"):
            grads[name] = grads[name] + self.reg * p[name]
            loss = loss + 0.5 * self.reg * (p[name] ** 2).sum()
        return loss, grads


@pytest.fixture(scope="module")
def net():
    parts = [nn.Affine(7), nn.ReLU(), nn.Affine(3)]
    net = nn.Sequential(parts, input_shape=(4,), rng=0, dtype="float64")
    for name in net.params:
        net.params[name] += 0.1 * rng.standard_normal(net.params[name].shape)
    return net


def test_a_model_of_the_courses_form(net):
    assert interop.compare(net, TwoLayers(net)).same
    found = interop.compare(net, TwoLayers(net, "bias"))
    assert (found.layer, found.cause) == ("affine1", "the bias is missing")
    found = interop.compare(net, TwoLayers(net, "leaky"))
    assert (found.layer, found.cause) == ("relu1", "it is a leaky ReLU of slope 0.01")
    found = interop.compare(net, TwoLayers(net, "sum"))
    assert "summed over the rows" in found.cause
    found = interop.compare(net, TwoLayers(net, "mask"))
    assert found.layer == "relu1"  # the mistake is there, though it shows in the gradients below
    assert found.what in ("the gradient of W", "the gradient of b")
    assert "as if the activation were not there" in found.cause


def test_functions_from_rows_to_scores(net):
    p = {name: w.copy() for name, w in net.params.items()}

    def scores(rows):
        return (
            np.maximum(rows @ p["affine1.W"] + p["affine1.b"], 0) @ p["affine2.W"] + p["affine2.b"]
        )

    found = interop.compare(net, scores)
    assert found.same
    assert "scores shows no gradients" in str(found)
    p["affine2.W"] = -p["affine2.W"]
    found = interop.compare(net, scores)
    assert not found.same
    assert found.layer in ("relu1", "affine2")  # either's sign gives these scores


def test_networks_of_other_rows_are_no_pair(net):
    other = nn.Sequential([nn.Affine(3)], input_shape=(6,), rng=0)
    with pytest.raises(ShapeError, match=r"rows of other shapes, \(N, 4\) and \(N, 6\)"):
        interop.compare(net, other)


def test_a_function_of_pytorch_shows_its_layers(net):
    torch = pytest.importorskip("torch")
    p = {name: torch.tensor(w) for name, w in net.params.items()}

    def right(rows):
        return torch.relu(rows @ p["affine1.W"] + p["affine1.b"]) @ p["affine2.W"] + p["affine2.b"]

    def wrong(rows):
        return torch.tanh(rows @ p["affine1.W"] + p["affine1.b"]) @ p["affine2.W"] + p["affine2.b"]

    assert interop.compare(net, right, dtype="float64").same
    found = interop.compare(net, wrong, dtype="float64")
    assert (found.layer, found.cause) == ("relu1", "it is a tanh")


def test_objects_of_a_python_file_on_the_command_line(tmp_path):
    file = tmp_path / "theirs.py"
    file.write_text(
        "from handgrad import nn\n\n\n"
        "def net(eps=None):\n"
        "    parts = [nn.Affine(4), nn.LayerNorm(eps=eps or 1e-5), nn.Affine(3)]\n"
        "    return nn.Sequential(parts, input_shape=(5,), rng=0)\n\n\n"
        "def mine():\n    return net()\n\n\ndef other():\n    return net(0.1)\n"
    )
    done = CliRunner().invoke(command, [f"{file}:mine", f"{file}:other"])
    assert "layer layernorm1" in done.output
    assert "eps is 0.1, not 1e-05" in done.output
    same = CliRunner().invoke(command, [f"{file}:mine", "float64"])
    assert "no difference" in same.output
    wrong = CliRunner().invoke(command, [f"{file}:mime", "float64"])
    assert isinstance(wrong.exception, DataError)
    assert "did you mean mine?" in str(wrong.exception)
