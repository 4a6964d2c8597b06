"""A student's folder: which functions are finished, and whose answer is judged."""

import ast

import pytest

from handgrad.courses.notebook import run_notebook
from handgrad.courses.notebook.student import examine, is_unfinished
from handgrad.errors import DataError

from .notebooks import AFFINE, SETUP, write

UNFINISHED = {
    "pass": "def f(x):\n    '''Text.'''\n    pass",
    "raise": "def f(x):\n    raise NotImplementedError('later')",
    "placeholders": "def f(x):\n    out = None\n    cache = (x, 1)\n    return out, cache",
    "gradients": "def f(d, cache):\n    x, w = cache\n    dx, dw = None, None\n    return dx, dw",
    "half": "def f(d):\n    dx, dw = None, None\n    dx = d * 2\n    return dx, dw",
    "branches": (
        "def f(x, p):\n    out = None\n    if p['mode'] == 'train':\n        out = x\n"
        "    elif p['mode'] == 'test':\n        pass\n    out = out.astype(x.dtype)\n    return out"
    ),
    "class": "class N:\n    def __init__(self):\n        self.params = {}\n        pass",
    "casts": (
        "class N:\n    def __init__(self):\n        self.params = {}\n"
        "        for k, v in self.params.items():\n            self.params[k] = v.astype(int)"
    ),
    "loss": (
        "class N:\n    def __init__(self):\n        self.params = {'W': 1}\n"
        "    def loss(self, X, y=None):\n        scores = self.f(X)\n        if y is None:\n"
        "            return scores\n        loss, grads = 0.0, {}\n        return loss, grads"
    ),
}

FINISHED = {
    "short": "def f(x):\n    return x * 2",
    "leftover": "def f(x):\n    out = None\n    pass\n    out = x * 2\n    return out, x",
    "built": (
        "def f(x):\n    grads = {}\n    grads['W'] = x\n    loss = 0\n    loss += 1\n"
        "    return loss, grads"
    ),
    "updated": "def f(x):\n    grads = {}\n    grads.update(a=1)\n    return grads",
    "loop": "def f(xs):\n    best = None\n    for best in xs:\n        break\n    return best",
    "test mode": "def f(x, mode):\n    dx = None\n    if mode == 'train':\n        dx = x\n    return dx",
    "class": (
        "class N:\n    def __init__(self):\n        self.params = {}\n"
        "        self.params['W1'] = 1\n    def loss(self, X):\n        return X"
    ),
    "reset": "def f(x):\n    out = x * 2\n    if bad:\n        out = None\n    return out",
    "helper": "class N:\n    def __init__(self):\n        self.params = {}\n        self._fill()",
}


@pytest.mark.parametrize("source", UNFINISHED.values(), ids=UNFINISHED)
def test_unfinished(source):
    assert is_unfinished(ast.parse(source).body[0])


@pytest.mark.parametrize("source", FINISHED.values(), ids=FINISHED)
def test_finished(source):
    assert not is_unfinished(ast.parse(source).body[0])


LAYERS = """
from builtins import range
import numpy as np

def affine_forward(x, w, b):
    out = x.reshape(len(x), -1) @ w + b
    return out, (x, w, b)

def affine_backward(dout, cache):
    x, w, b = cache
    dx, dw, db = None, None, None
    dx = (dout @ w.T).reshape(x.shape)
    dw = 2 * x.reshape(len(x), -1).T @ dout  # wrong by a factor of two
    db = dout.sum(axis=0)
    return dx, dw, db

def relu_forward(x):
    out = None
    ###########################
    # TODO: ReLU forward pass #
    ###########################
    pass
    return out, x
"""

FC_NET = """
from ..layers import *
from ..layer_utils import *
from past.builtins import xrange

class TwoLayerNet(object):
    def __init__(self, input_dim=3*32*32, hidden_dim=100, num_classes=10):
        self.params = {'W1': affine_forward}
        self.made_by = 'student'
    def loss(self, X, y=None):
        return X

class FullyConnectedNet(object):
    def __init__(self, hidden_dims, input_dim=3*32*32):
        self.params = {}
        pass
    def loss(self, X, y=None):
        pass
"""

WHOSE = """
from cs231n.layers import relu_forward as relu
import cs231n.layers, cs231n.layer_utils
print('relu:', relu.__module__.startswith('handgrad'), relu_backward.__module__.startswith('handgrad'))
print('affine:', affine_forward.__module__, cs231n.layers.affine_forward is affine_forward)
print('networks:', TwoLayerNet(3).made_by, FullyConnectedNet([4], input_dim=5).params['W1'].shape)
out, cache = affine_relu_forward(np.ones((2, 3)), np.ones((3, 4)), -np.ones(4))
print('sandwich:', out.sum())
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "hw" / "cs231n" / "classifiers").mkdir(parents=True)
    (tmp_path / "hw" / "cs231n" / "layers.py").write_text(LAYERS)
    (tmp_path / "hw" / "cs231n" / "classifiers" / "fc_net.py").write_text(FC_NET)
    (tmp_path / "hw" / "cs231n" / "data_utils.py").write_text("import something_gone")
    return tmp_path / "hw"


def test_the_files_are_found_and_sorted(folder):
    checkpoints = folder / ".ipynb_checkpoints"
    checkpoints.mkdir()
    (checkpoints / "layers.py").write_text("def old(): pass")
    layers, fc_net = examine(folder, "cs231n")
    assert layers.module == "cs231n.layers"
    assert layers.path == (folder / "cs231n" / "layers.py").resolve()
    assert layers.finished == ("affine_forward", "affine_backward")
    assert layers.unfinished == ("relu_forward",)
    assert (fc_net.finished, fc_net.unfinished) == (("TwoLayerNet",), ("FullyConnectedNet",))


def test_each_answer_is_judged_on_its_own(folder, tmp_path):
    path = write(tmp_path / "n.ipynb", SETUP, WHOSE, AFFINE)
    result = run_notebook(path, course="cs231n-2020", student=folder)
    assert [cell.state for cell in result.cells] == ["ran"] * 3, [c.note for c in result.cells]
    assert result.notebook.cells[1].outputs[0].text.splitlines() == [
        "relu: True True",
        "affine: cs231n.layers True",
        "networks: student (5, 4)",
        "sandwich: 16.0",
    ]
    verdicts = {f.quantity: f.verdict for f in result.findings if f.cell == 2}
    assert verdicts == {"dx error": "kept", "dw error": "BROKEN"}


def test_a_folder_of_nothing_and_a_file_that_is_no_python(tmp_path):
    with pytest.raises(DataError, match="holds none of layers"):
        examine(tmp_path, "nndl")
    (tmp_path / "layers.py").write_text("def f(:\n")
    with pytest.raises(DataError, match=r"layers.py line 1 is not Python 3"):
        examine(tmp_path, "nndl")
