"""A student's folder: which functions are finished, and whose answer is judged."""

import ast

import pytest

from handgrad.cli.app import run
from handgrad.courses.notebook import diagnosis, run_notebook
from handgrad.courses.notebook.diagnosis import diagnose, leant_on
from handgrad.courses.notebook.run_page import report_page
from handgrad.courses.notebook.student import Answer, examine, is_unfinished

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
    # the checker names what is behind it, and the page says it too
    used = {"affine_forward": [1, 2], "affine_backward": [2], "TwoLayerNet": [1]}
    assert result.diagnosis.cells == used
    assert result.diagnosis.guilty == ["affine_backward"]
    assert not result.is_good
    printed = "\n".join(result.diagnosis.lines())
    assert "dw is twice too large" in printed
    assert "layers.py:" in printed
    assert "affine_backward: behind cell 2, which failed or broke a bound" in printed
    assert "dw is twice too large" in report_page(result)


UNSCALED = """
import numpy as np

def dropout_forward(x, dropout_param):
    p, mode = dropout_param['p'], dropout_param['mode']
    if 'seed' in dropout_param:
        np.random.seed(dropout_param['seed'])
    mask, out = None, x
    if mode == 'train':
        mask = np.random.rand(*x.shape) < p  # and nothing makes up for what is dropped
        out = x * mask
    elif mode == 'test':
        out = x
    return out, (dropout_param, mask)

def dropout_backward(dout, cache):
    dropout_param, mask = cache
    return dout * mask if dropout_param['mode'] == 'train' else dout
"""


def test_what_no_bound_shows_is_said_too(folder, tmp_path):
    (folder / "cs231n" / "layers.py").write_text(UNSCALED)
    source = (
        "x = np.random.randn(5, 5) + 10\nparam = {'mode': 'train', 'p': 0.6, 'seed': 1}\n"
        "out, cache = dropout_forward(x, param)\ndx = dropout_backward(x, cache)\n"
        "dx_num = eval_numerical_gradient_array(lambda x: dropout_forward(x, param)[0], x, +x)\n"
        "# Error should be around e-8 or less\nprint('dx relative error: ', rel_error(dx, dx_num))"
    )
    path = write(tmp_path / "n.ipynb", SETUP, source)
    result = run_notebook(path, course="cs231n-2020", student=folder)
    assert [finding.verdict for finding in result.findings] == ["kept"]
    assert result.is_good  # by the notebook's own measure
    assert result.diagnosis.wrong == ["dropout_forward"]
    assert result.diagnosis.guilty == []
    assert "no bound shows it; used in cell 1" in "\n".join(result.diagnosis.lines())


def test_the_command_prints_the_diagnosis(folder, tmp_path, capsys):
    path = write(tmp_path / "n.ipynb", SETUP, AFFINE)
    arguments = ["notebook", "run", str(path), "--course", "cs231n-2020", "--student", str(folder)]
    assert run([*arguments, "--quiet"]) == 1
    assert "dw is twice too large" in capsys.readouterr().out


# A student's half of an assignment: a wrong affine_backward, and a network that is right but leans on it.
BUILT_UPON = """
import numpy as np
from ..layers import *

class TwoLayerNet(object):
    def __init__(self, input_dim=3*32*32, hidden_dims=100, num_classes=10, weight_scale=1e-3, reg=0.0):
        W1 = weight_scale * np.random.randn(input_dim, hidden_dims)
        W2 = weight_scale * np.random.randn(hidden_dims, num_classes)
        self.params = {'W1': W1, 'b1': np.zeros(hidden_dims), 'W2': W2, 'b2': np.zeros(num_classes)}
        self.reg = reg
    def loss(self, X, y=None):
        W1, W2 = self.params['W1'], self.params['W2']
        a, cache1 = affine_forward(X, W1, self.params['b1'])
        h, cache2 = relu_forward(a)
        scores, cache3 = affine_forward(h, W2, self.params['b2'])
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        loss += 0.5 * self.reg * (np.sum(W1 ** 2) + np.sum(W2 ** 2))
        dh, dW2, db2 = affine_backward(dscores, cache3)
        dx, dW1, db1 = affine_backward(relu_backward(dh, cache2), cache1)
        return loss, {'W1': dW1 + self.reg * W1, 'b1': db1, 'W2': dW2 + self.reg * W2, 'b2': db2}
"""

ADAM = """
import numpy as np

def adam(w, dw, config=None):
    if config is None:
        config = {}
    config.setdefault('learning_rate', 1e-3)
    config.setdefault('beta1', 0.9)
    config.setdefault('beta2', 0.999)
    config.setdefault('epsilon', 1e-8)
    config.setdefault('m', np.zeros_like(w))
    config.setdefault('v', np.zeros_like(w))
    config.setdefault('t', 1)
    config['t'] += 1
    config['m'] = config['beta1'] * config['m'] + (1 - config['beta1']) * dw
    config['v'] = config['beta2'] * config['v'] + (1 - config['beta2']) * dw ** 2
    m = config['m'] / (1 - config['beta1'] ** config['t'])
    v = config['v'] / (1 - config['beta2'] ** config['t'])
    return w - config['learning_rate'] * m / (np.sqrt(v) + config['epsilon']), config
"""


def test_what_builds_upon_a_wrong_layer_is_judged_with_a_right_one(folder, tmp_path):
    (folder / "cs231n" / "classifiers" / "fc_net.py").write_text(BUILT_UPON)
    (folder / "cs231n" / "optim.py").write_text(ADAM)
    answers = examine(folder, "cs231n")
    names = ["affine_backward", "TwoLayerNet", "adam"]
    found = diagnose("cs231n-2017", answers, {name: [0] for name in names}, {0}, tmp_path)
    assert found.problem == ""
    verdicts = {record["function"]: record["verdict"] for record in found.records}
    # Adam of 2017 counts from 1: that alone is not wrong
    assert verdicts == {"affine_backward": "WRONG", "TwoLayerNet": "right", "adam": "right"}


@pytest.mark.thorough
def test_a_file_that_cannot_be_imported_and_a_function_that_never_ends(
    folder, tmp_path, monkeypatch
):
    layers = folder / "cs231n" / "layers.py"
    cells = {"affine_forward": [0]}
    layers.write_text("import nowhere\n" + LAYERS)
    (record,) = diagnose("cs231n-2020", examine(folder, "cs231n"), cells, set(), tmp_path).records
    assert record["verdict"] == "not testable here"
    assert "layers.py cannot be imported: ModuleNotFoundError" in record["reason"]
    layers.write_text(LAYERS.replace("out = x.", "while True: pass\n    out = x."))
    monkeypatch.setattr(diagnosis, "SECONDS", 4)
    found = diagnose("cs231n-2020", examine(folder, "cs231n"), cells, set(), tmp_path)
    assert found.lines() == ["the checker did not come to an end in 4 s"]


def test_the_functions_behind_a_cell(tmp_path):
    source = (
        "def affine_forward(x): return x\ndef adam(w): return w\ndef relu_forward(x): return x\n"
        "class Net:\n    def loss(self, X): return affine_relu(X)\n"
        "def affine_relu(x): return affine_forward(x)\n"
    )
    (tmp_path / "layers.py").write_text(source)
    names = ("affine_forward", "adam", "relu_forward", "Net", "affine_relu")
    answers = [Answer("cs231n.layers", tmp_path / "layers.py", names, ())]
    cells = [
        (0, "model = Net()\nx = relu_forward(1)"),
        (1, "%matplotlib inline\nloss = model.loss(2)"),
        (2, "x = 3\nprint(x)"),  # x is another one by now
        (3, "print(loss)"),
        (4, "solver = Solver(data, update_rule='adam')"),
        (5, "1 +"),
    ]
    through = [0, 1, 3]
    layers = {"affine_forward": through, "affine_relu": through, "Net": through}
    assert leant_on(answers, cells) == {**layers, "adam": [4], "relu_forward": [0]}


BATCHNORM = """
import numpy as np

def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get('eps', 1e-5), bn_param.get('momentum', 0.9)
    mean = bn_param.get('running_mean', np.zeros(x.shape[1]))
    var = bn_param.get('running_var', np.zeros(x.shape[1]))
    cache = None
    if bn_param['mode'] == 'train':
        xhat = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)
        cache = (xhat, gamma, np.sqrt(x.var(axis=0) + eps))
        mean = momentum * mean + (1 - momentum) * x.mean(axis=0)
        var = momentum * var + (1 - momentum) * x.var(axis=0)
    elif bn_param['mode'] == 'test':
        xhat = (x - mean) / np.sqrt(var + eps)
    else:
        raise ValueError('Invalid forward batchnorm mode "%s"' % bn_param['mode'])
    bn_param['running_mean'], bn_param['running_var'] = mean, var
    return gamma * xhat + beta, cache

def batchnorm_backward(dout, cache):
    xhat, gamma, std = cache
    dxhat = dout * gamma
    dx = (dxhat - dxhat.mean(axis=0) - xhat * (dxhat * xhat).mean(axis=0)) / std
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)
"""


def test_no_course_asks_for_gradients_in_test_mode(folder, tmp_path):
    layers = folder / "cs231n" / "layers.py"
    cells = {"batchnorm_forward": [0], "batchnorm_backward": [0]}
    layers.write_text(BATCHNORM)
    found = diagnose("cs231n-2020", examine(folder, "cs231n"), cells, set(), tmp_path)
    assert [record["verdict"] for record in found.records] == ["right", "right"], found.text
    layers.write_text(BATCHNORM.replace("- dxhat.mean(axis=0) ", ""))  # wrong in train mode too
    found = diagnose("cs231n-2020", examine(folder, "cs231n"), cells, set(), tmp_path)
    assert found.wrong == ["batchnorm_backward"]


def test_a_students_folder_of_a_fork(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "layers.py").write_text(
        "import numpy as np\n\n\ndef relu_forward(x):\n    return np.maximum(x, 0.5), x\n"
    )
    source = "import numpy as np\nfrom fork.layers import *\nout, _ = relu_forward(np.zeros(2))\n"
    path = write(tmp_path / "n.ipynb", source + "print('out: ', out[0])\naffine_forward")
    result = run_notebook(path, course="cs231n-2020", student=folder, package="fork")
    (answer,) = result.answers
    assert (answer.module, answer.finished) == ("fork.layers", ("relu_forward",))
    assert "out:  0.5" in result.notebook.cells[0].outputs[0].text
    assert result.diagnosis.wrong == ["relu_forward"]
