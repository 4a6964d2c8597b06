"""What no course gives a number, a name or a type to: the code's own is the right one."""

import pytest
from checker import catalogue
from checker.test_kinds import ASSIGNMENTS

from handgrad.checker import RIGHT, WRONG, check_path

ACTIVATIONS = {
    "leaky_relu": (
        "np.maximum({0} * x, x), x",
        "dout * np.where(cache > 0, 1, {1})",
    ),
    "elu": (
        "np.where(x > 0, x, {0} * np.expm1(np.minimum(x, 0))), x",
        "dout * np.where(cache > 0, 1, {1} * np.exp(np.minimum(cache, 0)))",
    ),
}
GELU = """
import numpy as np

C = np.sqrt(2 / np.pi)


def gelu_forward(x):
    t = np.tanh(C * (x + 0.044715 * x**3))
    return 0.5 * x * (1 + t), (x, t)


def gelu_backward(dout, cache):
    x, t = cache
    return dout * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * C * (1 + 3 * 0.044715 * x**2))
"""
ADAGRAD = """
import numpy as np


def adagrad(w, dw, config=None):
    if config is None:
        config = {}
    config.setdefault("learning_rate", 3e-3)
    config.setdefault("epsilon", 1e-7)
    G = config.get("grad_squared", np.zeros_like(w)) + dw**2
    config["grad_squared"] = G
    return w - config["learning_rate"] * dw / (np.sqrt(G) + config["epsilon"]), config
"""


def written(tmp_path, text, name="layers.py"):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return str(path)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize(("one", "other"), [(0.05, 0.05), (0.3, 0.3), (0.05, 0.5)])
def test_the_slope_is_the_codes_own(tmp_path, name, one, other):
    forward, backward = ACTIVATIONS[name]
    text = (
        f"import numpy as np\n\n\ndef {name}_forward(x):\n    return {forward.format(one)}\n\n\n"
        f"def {name}_backward(dout, cache):\n    return {backward.format(one, other)}\n"
    )
    report = check_path(written(tmp_path, text))
    assert report[f"{name}_forward"].verdict == RIGHT
    assert report[f"{name}_backward"].verdict == (RIGHT if one == other else WRONG)


def test_the_form_of_gelu_is_the_codes_own(tmp_path):
    report = check_path(written(tmp_path, GELU))
    assert {one.verdict for one in report.verdicts} == {RIGHT}
    report = check_path(written(tmp_path, GELU.replace("0.5 * x * (1 + t)", "x * (1 + t)")))
    assert report["gelu_forward"].verdict == WRONG


def test_the_state_of_adagrad_has_any_name(tmp_path):
    assert check_path(written(tmp_path, ADAGRAD, "optim.py"))["adagrad"].verdict == RIGHT
    slips = [("+ dw**2", "+ np.abs(dw)"), ('config["grad_squared"] = G', "pass")]
    for slip in slips:
        path = written(tmp_path, ADAGRAD.replace(*slip), "optim.py")
        assert check_path(path)["adagrad"].verdict == WRONG


def test_gradients_may_be_lists(tmp_path):
    text = ASSIGNMENTS.read_text("utf-8")
    lists = catalogue.changed(text, ('["b1"] = dh.sum(axis=0)', '["b1"] = list(dh.sum(axis=0))'))
    path = written(tmp_path, lists, "neural_net.py")
    assert check_path(path, only="TwoLayerNet")["TwoLayerNet"].verdict == RIGHT
    wrong = catalogue.changed(lists, ("list(dh", "list(2 * dh"))
    path = written(tmp_path, wrong, "neural_net.py")
    assert check_path(path, only="TwoLayerNet")["TwoLayerNet"].verdict == WRONG


LAST = ("if normalization and i < self.num_layers - 1:", "if normalization:")
GIVEN = (
    "        return loss, grads\n",
    "        if self.normalization:\n"
    '            for k in ("gamma%d" % L, "beta%d" % L):\n'
    "                grads[k] = np.zeros_like(self.params[k])\n"
    "        return loss, grads\n",
)


def test_parameters_of_a_norm_behind_the_last_layer(tmp_path):
    text = catalogue.SOLUTION.read_text("utf-8")
    start = text.index("class FullyConnectedNet")
    head, net = text[:start], catalogue.changed(text[start:], LAST)
    (cause, *_) = judged(tmp_path, head + net).causes
    assert "no layer uses them" in cause.says
    assert "Solver stops with a KeyError" in cause.says
    end = net.index("class ThreeLayerConvNet")
    net = catalogue.changed(net[:end], GIVEN) + net[end:]
    verdict = judged(tmp_path, head + net)
    assert verdict.verdict == RIGHT
    assert any("which nothing uses" in says for says in verdict.cautions)


def judged(tmp_path, text):
    return check_path(written(tmp_path, text), only="FullyConnectedNet")["FullyConnectedNet"]


def test_a_gradient_may_be_the_cache_itself(tmp_path):
    """The first call of backward counts: that a second one finds another cache is a note."""
    old = catalogue.SOLUTION.read_text("utf-8")
    start, end = old.index("def relu_backward"), old.index("def softmax_loss")
    own = (
        "def relu_backward(dout, cache):\n    dx = cache\n    dx[dx < 0] = 0\n    dx[dx > 0] = 1\n"
        "    dx *= dout\n    return dx\n\n\n"
    )
    forward = old.index("def relu_forward")
    head = old[:forward] + "def relu_forward(x):\n    return np.maximum(0, x), x\n\n\n"
    path = written(tmp_path, head + own + old[end:])
    assert start > forward
    verdict = check_path(path, only="relu_backward")["relu_backward"]
    assert verdict.verdict == RIGHT
    assert any("in place" in says for says in verdict.cautions)
    assert check_path(path, only="relu_backward", strict=True)["relu_backward"].verdict == WRONG
