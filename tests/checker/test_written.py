"""Skeletons: not written yet is neither right nor wrong."""

import pytest

from handgrad.checker import NOT_WRITTEN, check_path
from handgrad.checker.written import BACKWARD, FORWARD, LOSS, RULE, unwritten

PAIR = """
import numpy as np

def affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w + b, (x, w, b)

def affine_backward(dout, cache):
    x, w, b = cache
    return (dout @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ dout, dout.sum(axis=0)
"""
SKELETONS = {
    "pass": (FORWARD, "    pass"),
    "docstring": (FORWARD, '    """TODO"""'),
    "ellipsis": (FORWARD, "    ..."),
    "return None": (FORWARD, "    return None"),
    "out None": (FORWARD, "    out = None\n    cache = x\n    return out, cache"),
    "out undefined": (FORWARD, "    # code\n    pass\n    cache = (x, 1)\n    return out, cache"),
    "both None": (FORWARD, "    out, cache = None, None\n    return out, cache"),
    "dropout's": (FORWARD, "    mask, out = None, None\n    if x is None:\n        pass\n"
                  "    out = out.astype(x.dtype, copy=False)\n    return out, (x, mask)"),
    "raises": (FORWARD, "    raise NotImplementedError"),
    "raises with text": (FORWARD, "    n = len(x)\n    raise NotImplementedError('later')"),
    "one mode": (FORWARD, "    out = x\n    if x['mode'] == 'train':\n        raise NotImplementedError\n"
                 "    return out, x"),
    "the other mode": (FORWARD, "    if x['mode'] == 'train':\n        out = 2 * x\n    else:\n"
                       "        raise NotImplementedError\n    return out, x"),
    "a second choice": (FORWARD, "    if x['mode'] == 'train':\n        out = x\n"
                        "    elif x['mode'] == 'test':\n        raise NotImplementedError\n"
                        "    return out, x"),
    "chained": (FORWARD, "    out = cache = None\n    return out, cache"),
    "gradients None": (BACKWARD, "    dx, dw = None, None\n    a, b = x\n    return dx, dw"),
    "gradients undefined": (BACKWARD, "    a, b = x\n    return dx, dw, db"),
    "rule": (RULE, "    next_w = None\n    v = x.get('v')\n    return next_w, x"),
    "a rule that takes no step": (RULE, "    config = {'rate': 1e-2}\n    pass\n    return x, config"),
    "loss of zero": (LOSS, "    loss, grads = 0, {}\n    return loss, grads"),
    "loss of zeros": (LOSS, "    loss = 0.0\n    dW = np.zeros_like(x)\n    return loss, dW"),
    "scores None": (LOSS, "    scores = None\n    if x is None:\n        return scores\n"
                    "    loss, grads = 0.0, {}\n    return loss, grads"),
}  # fmt: skip
WRITTEN = {
    "computed": (FORWARD, "    out = x + 1\n    return out, x"),
    "forgotten return": (FORWARD, "    out = x + 1\n    cache = x"),
    "None and more": (
        FORWARD,
        "    out = None\n    if len(x):\n        out = x\n    return out, x",
    ),
    "filled": (FORWARD, "    out = None\n    out[0] = x\n    return out, x"),
    "a loop": (FORWARD, "    for out in x:\n        pass\n    return out, x"),
    "cache None": (FORWARD, "    out = x * 2\n    return out, None"),
    "one gradient": (BACKWARD, "    dx, dw = x * 2, None\n    return dx, dw"),
    "refuses other modes": (
        FORWARD,
        "    if x['mode'] == 'train':\n        out = 2 * x\n"
        "    elif x['mode'] == 'test':\n        out = x\n    else:\n"
        "        raise NotImplementedError\n    return out, x",
    ),
    "refuses a size": (
        FORWARD,
        "    if len(x) > 3:\n        raise NotImplementedError\n    return 2 * x, x",
    ),
    "raises something": (FORWARD, "    raise ValueError(x)"),
    "calls another": (FORWARD, "    return other(x)"),
    "an argument that may be None": (
        FORWARD,
        "    if not len(x):\n        x = None\n    return x, 1",
    ),
    "returns its argument": (FORWARD, "    return x, None"),
    "a step that is not returned": (RULE, "    next_x = x - slope\n    return x, next_x"),
    "a rule in place": (RULE, "    x -= 1\n    return x, None"),
    "zeros": (BACKWARD, "    dx = np.zeros_like(x)\n    return dx"),
    "grads filled": (LOSS, "    loss, grads = 0, {}\n    grads['W'] = x\n    return loss, grads"),
    "grads updated": (LOSS, "    loss, grads = 0, {}\n    grads.update(x)\n    return loss, grads"),
    "loss added": (LOSS, "    loss, dx = 0, None\n    loss += x.sum()\n    return loss, dx"),
}


def function(tmp_path, body):
    path = tmp_path / "one.py"
    text = f"import numpy as np\ndef f(x, slope=0):\n{body}\n"
    path.write_text(text)
    names = {}
    exec(compile(text, str(path), "exec"), names)
    return names["f"]


@pytest.mark.parametrize("name", SKELETONS)
def test_skeletons(tmp_path, name):
    side, body = SKELETONS[name]
    assert unwritten(function(tmp_path, body), side)


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written(tmp_path, name):
    side, body = WRITTEN[name]
    assert not unwritten(function(tmp_path, body), side)


def verdicts(tmp_path, text):
    path = tmp_path / "layers.py"
    path.write_text(PAIR + text)
    report = check_path(str(path))
    return report, {one.function: one for one in report.verdicts}


def test_the_count_is_printed_and_the_exit_code_is_that_of_what_is_written(tmp_path):
    text = "\ndef relu_forward(x):\n    out = None\n    return out, x\n"
    text += "\ndef relu_backward(dout, cache):\n    return dout * (cache > 0)\n"
    report, found = verdicts(tmp_path, text)
    assert report.exit_code == 0
    assert found["relu_forward"].verdict == NOT_WRITTEN
    assert found["relu_backward"].verdict == "not testable here"
    assert str(report).splitlines()[-1] == "1 not written yet, 2 right, 1 not testable here"


def test_what_builds_upon_a_skeleton_is_not_testable(tmp_path):
    (tmp_path / "cs231n").mkdir()
    (tmp_path / "cs231n" / "layers.py").write_text(
        PAIR + "\ndef relu_forward(x):\n    out = None\n    return out, x\n"
    )
    utils = tmp_path / "cs231n" / "layer_utils.py"
    utils.write_text(
        "from .layers import *\ndef affine_relu_forward(x, w, b):\n    a, c = affine_forward(x, w, b)\n"
        "    out, r = relu_forward(a)\n    return out, (c, r)\n"
    )
    report = check_path(str(utils))
    assert report["affine_relu_forward"].reason == "relu_forward is not written yet"
    assert report.exit_code == 2


NET = '''
class FullyConnectedNet:
    def __init__(self, hidden_dims, input_dim=3072, num_classes=10, dropout_keep_ratio=1,
                 normalization=None, reg=0.0, weight_scale=1e-2, dtype=np.float32, seed=None):
        self.reg, self.params = reg, {}
        self.normalization = normalization
        dims = [input_dim, *hidden_dims, num_classes]
        for i, (a, b) in enumerate(zip(dims[:-1], dims[1:]), 1):
            self.params[f"W{i}"] = weight_scale * np.random.randn(a, b)
            self.params[f"b{i}"] = np.zeros(b)
        self.layers = len(dims) - 1

    def loss(self, X, y=None):
        """# dropout_forward(x, p) comes later"""
        h, caches = X.reshape(len(X), -1), []
        for i in range(1, self.layers + 1):
            h, cache = affine_forward(h, self.params[f"W{i}"], self.params[f"b{i}"])
            caches.append((cache, h))
            if i < self.layers:
                h = np.maximum(h, 0)
        if y is None:
            return h
        p = np.exp(h - h.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(y)), y]).mean()
        d = p
        d[np.arange(len(y)), y] -= 1
        d /= len(y)
        grads = {}
        for i in range(self.layers, 0, -1):
            cache, out = caches[i - 1]
            if i < self.layers:
                d = d * (out > 0)
            d, grads[f"W{i}"], grads[f"b{i}"] = affine_backward(d, cache)
            w = self.params[f"W{i}"]
            loss += 0.5 * self.reg * (w * w).sum()
            grads[f"W{i}"] += self.reg * w
        return loss, grads
'''


def test_options_that_a_network_does_not_read_yet(tmp_path):
    report, _ = verdicts(tmp_path, NET.replace("# dropout_forward(x, p) comes", "It comes"))
    assert report.exit_code == 0
    for what in ("batchnorm", "layernorm", "dropout"):
        assert f"{what}: not written yet" in str(report)
    wrong = NET.replace("0.5 * self.reg", "self.reg")
    assert verdicts(tmp_path, wrong)[1]["FullyConnectedNet"].verdict == "WRONG"


def test_a_dropout_that_only_the_backward_pass_has_is_not_written(tmp_path):
    net = NET.replace("# dropout_forward(x, p) comes", "It comes").replace(
        "        self.reg, self.params = reg, {}\n",
        "        self.reg, self.params = reg, {}\n        self.use_dropout = dropout_keep_ratio != 1\n",
    )
    half = net.replace(
        "            if i < self.layers:\n                d = d",
        "            if i < self.layers and self.use_dropout:\n"
        "                d = dropout_backward(d, dropout_caches[i])\n"
        "            if i < self.layers:\n                d = d",
    )
    assert half != net
    report, found = verdicts(tmp_path, half)
    assert found["FullyConnectedNet"].verdict == "right"
    assert "dropout: not written yet" in str(report)
    both = half.replace("h = np.maximum(h, 0)", "h, _ = dropout_forward(np.maximum(h, 0), {})")
    both += "\ndef dropout_forward(x, param):\n    return x, None\n"
    both += "\ndef dropout_backward(dout, cache):\n    return dout\n"
    assert verdicts(tmp_path, both)[1]["FullyConnectedNet"].verdict == "WRONG"


def test_networks_that_are_not_written(tmp_path):
    empty = NET[: NET.index("        dims")] + "    def loss(self, X, y=None):\n"
    skeleton = empty + "        scores = None\n        if y is None:\n            return scores\n"
    skeleton += "        loss, grads = 0, {}\n        return loss, grads\n"
    assert verdicts(tmp_path, skeleton)[1]["FullyConnectedNet"].verdict == NOT_WRITTEN
    halfway = NET.replace("            d, grads[", "            break\n            d, grads[")
    assert verdicts(tmp_path, halfway)[1]["FullyConnectedNet"].verdict == NOT_WRITTEN


LOSS_OF_ASSIGNMENT_1 = """
def svm_loss_naive(W, X, y, reg):
    dW = np.zeros(W.shape)
    loss = 0.0
    for i in range(len(X)):
        scores = X[i] @ W
        for j in range(W.shape[1]):
            if j != y[i]:
                loss += max(0, scores[j] - scores[y[i]] + 1)
    loss /= len(X)
    loss += reg * np.sum(W * W)
    return loss, dW
"""


def test_a_loss_whose_gradient_is_the_exercise(tmp_path):
    report, found = verdicts(tmp_path, LOSS_OF_ASSIGNMENT_1)
    assert found["svm_loss_naive"].verdict == NOT_WRITTEN
    assert "gradient" in found["svm_loss_naive"].reason
    assert report.exit_code == 0
    wrong = LOSS_OF_ASSIGNMENT_1.replace("+ 1)", "+ 2)")
    assert verdicts(tmp_path, wrong)[1]["svm_loss_naive"].verdict == "WRONG"
    filled = LOSS_OF_ASSIGNMENT_1.replace("loss /=", "dW[:] = 0 * W\n    loss /=")
    assert verdicts(tmp_path, filled)[1]["svm_loss_naive"].verdict == "WRONG"


def test_distances_that_are_not_filled_in(tmp_path):
    text = """
class KNearestNeighbor:
    def train(self, X, y):
        self.X_train, self.y_train = X, y

    def compute_distances_one_loop(self, X):
        dists = np.zeros((len(X), len(self.X_train)))
        for i in range(len(X)):
            pass
        return dists
"""
    found = verdicts(tmp_path, text)[1]["KNearestNeighbor.compute_distances_one_loop"]
    assert found.verdict == NOT_WRITTEN
    text = text.replace("pass", "dists[i] = 0")
    found = verdicts(tmp_path, text)[1]["KNearestNeighbor.compute_distances_one_loop"]
    assert found.verdict == "WRONG"


def test_a_layer_that_no_file_defines_is_not_testable(tmp_path):
    text = "\ndef affine_relu_forward(x, w, b):\n    a, c = affine_forward(x, w, b)\n"
    text += "    out, r = relu_forward(a)\n    return out, (c, r)\n"
    _, found = verdicts(tmp_path, text)
    assert found["affine_relu_forward"].verdict == "not testable here"
    assert "relu_forward, which its file defines nowhere" in found["affine_relu_forward"].reason
    _, found = verdicts(tmp_path, text.replace("relu_forward(a)", "rectify(a)"))
    assert found["affine_relu_forward"].verdict == "WRONG"


@pytest.mark.parametrize("end", ["sys.exit('bye')", "exit()", "quit(1)"])
def test_a_function_that_ends_the_program_is_no_skeleton(tmp_path, end):
    path = tmp_path / "layers.py"
    path.write_text(f"import sys\n\ndef relu_forward(x):\n    {end}\n")
    verdict = check_path(str(path))["relu_forward"]
    assert verdict.verdict == "WRONG"
    assert "it ends the whole program" in verdict.causes[0].says
