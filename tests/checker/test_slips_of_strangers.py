"""Slips that the files of strangers showed: each has a name of its own, and the right line stays right."""

import pytest
from checker import catalogue
from checker.test_kinds import ASSIGNMENTS

from handgrad.checker import RIGHT, UNTESTED, WRONG, check_path

SOLUTION = catalogue.SOLUTION
WINDOW = "out[:, :, i, j] = np.max(x[:, :, h : h + ph, v : v + pw], axis=(2, 3))"
BACK = "window = x[n, c, h : h + ph, v : v + pw]"
PLACE = "dx[n, c, h + r, v + q] += dout[n, c, i, j]"
POOL = "max_pool_forward_naive"
POOL_BACK = "max_pool_backward_naive"
STD = "dx = dx / (D * std)\n    return"
EPS_GROUP = "dx = (dx / (m * std)).reshape(dout.shape)"
ALT = "dx = gamma / (N * std) * (N * dout - dbeta - xhat * dgamma)"
SUMS = "dgamma = np.sum(dout * xhat, axis=(0, 2, 3), keepdims=True)"
GROUPED = "np.sum((dout * xhat).reshape(N, G, C // G, H, W), axis=(0, 2, 3, 4), keepdims=True)"
START = 'config.setdefault("t", 0)'
STEP = 't = config["t"] + 1'
TEST_MODE = "xhat = (x - running_mean) / std\n        out = gamma * xhat + beta"
ADAM_STEP = "mt / (np.sqrt(vt) + eps)"

# file, function, changes, the name of the cause, words of it
ROWS = [
    (SOLUTION, POOL, [(WINDOW, WINDOW.replace("h + ph", "h + pw").replace("v + pw", "v + ph"))],
     "window_swapped", "are exchanged where it is cut out"),
    (SOLUTION, POOL, [(WINDOW, WINDOW.replace("h + ph", "(i + 1) * ph").replace("v + pw", "(j + 1) * pw"))],
     "window_end", "a window ends at (i + 1) pool_height"),
    (SOLUTION, POOL_BACK, [(BACK, BACK.replace("h + ph", "(i + 1) * ph").replace("v + pw", "(j + 1) * pw"))],
     "window_end", "a window ends at (i + 1) pool_height"),
    (SOLUTION, POOL_BACK,
     [(BACK, BACK.replace("h + ph", "(i + 1) * ph").replace("v + pw", "(j + 1) * pw")),
      (PLACE, PLACE.replace("+= dout", "= dout"))],
     "window_end", "also, dx is assigned, not added"),
    (SOLUTION, "layernorm_backward",
     [("cache = (std, xhat, gamma)\n", "cache = (std, xhat, gamma, var)\n"),
      ("std, xhat, gamma = cache\n    N, D", "std, xhat, gamma, var = cache\n    N, D"),
      (STD, STD.replace("std", "np.sqrt(var + 1e-5)"))],
     "epsilon_fixed", "epsilon is 1e-05, whatever the option eps is"),
    (SOLUTION, "spatial_groupnorm_backward",
     [("cache = (G, gamma, std, xhat)", "cache = (G, gamma, std, xhat, var)"),
      ("G, gamma, std, xhat = cache", "G, gamma, std, xhat, var = cache"),
      (EPS_GROUP, EPS_GROUP.replace("std", "np.sqrt(var + 1e-5)"))],
     "epsilon_fixed", "epsilon is 1e-05, whatever the option eps is"),
    (SOLUTION, "spatial_groupnorm_backward", [(SUMS, f"dgamma = {GROUPED}")],
     "wrong_sum", "the sum runs over the channels of a group too"),
    (SOLUTION, "batchnorm_backward_alt", [(ALT, ALT.replace("/ (N * std)", "* np.mean(xmu**2, axis=0) / N"))],
     "times_variance", "dx is multiplied by the variance: 1 / sqrt(var + eps)"),
    (SOLUTION, "batchnorm_backward_alt", [(ALT, ALT.replace("/ (N * std)", "* std**2 / N"))],
     "times_variance", "dx is multiplied by the variance plus epsilon"),
    (SOLUTION, "adam", [(START, START.replace("0", "10")), (STEP, 't = config["t"]')],
     "t_start", "t starts at 10, not at 0 and t is never increased"),
    (ASSIGNMENTS, "svm_loss_vectorized", [("+ 0.5 * reg * np.sum(W**2)", "+ 0.5 * reg * np.sum(W**2) / N"),
      ("dW = X.T @ hits / N + reg * W", "dW = (X.T @ hits + reg * W) / N")],
     "regulariser_averaged", "loss: the regulariser is divided by N"),
    (ASSIGNMENTS, "softmax_loss_naive", [("dW = dW / N + 2 * reg * W", "dW = dW / N + reg * np.sum(W * W)")],
     "regulariser_for_gradient", "dW: reg * sum(W**2), a number, is added"),
    (ASSIGNMENTS, "softmax_loss_naive",
     [("loss = loss / N + reg * np.sum(W * W)", "loss /= N + reg * np.sum(W * W)"),
      ("dW = dW / N + 2 * reg * W", "dW /= N + 2 * reg * W")],
     "regulariser_in_divisor", "is divided by N and the regulariser together"),
]  # fmt: skip


def judged(tmp_path, source, function, changes):
    path = tmp_path / "layers.py"
    path.write_text(catalogue.changed(source.read_text("utf-8"), *changes), "utf-8")
    return check_path(str(path), only=function)[function]


@pytest.mark.parametrize(
    ("source", "function", "changes", "name", "words"), ROWS, ids=[f"{r[1]}-{r[3]}" for r in ROWS]
)
def test_a_slip_is_named(tmp_path, source, function, changes, name, words):
    verdict = judged(tmp_path, source, function, changes)
    assert verdict.verdict == WRONG
    (cause, *_) = verdict.causes
    assert (cause.name, cause.certain) == (name, True)
    assert words in cause.says


def test_the_margin_behind_the_sum(tmp_path):
    source = """
import numpy as np


def svm_loss_vectorized(W, X, y, reg):
    scores = X.dot(W)
    rows = np.arange(len(X))
    margins = np.maximum(0, scores - scores[rows, y][:, None])
    margins[rows, y] = 0
    loss = margins.sum() / len(X) + reg * np.sum(W * W) + 1
    hits = (margins > 0).astype(float)
    hits[rows, y] = -hits.sum(axis=1)
    return loss, X.T.dot(hits) / len(X) + 2 * reg * W
"""
    path = tmp_path / "linear_svm.py"
    path.write_text(source)
    (cause, *_) = check_path(str(path))["svm_loss_vectorized"].causes
    assert cause.says.startswith("the margin 1 is added to the loss, not to each difference")


@pytest.mark.parametrize("epsilon", ["1e-8", "eps"])
def test_where_the_course_counts_from_one_its_mistakes_are_named_too(tmp_path, epsilon):
    """The file of 2017 starts t at 1: what is wrong beside that is told from there."""
    changes = [(START, START.replace("0", "1")), (ADAM_STEP, ADAM_STEP.replace("eps", epsilon))]
    path = tmp_path / "optim.py"
    path.write_text(catalogue.changed(SOLUTION.read_text("utf-8"), *changes), "utf-8")
    verdict = check_path(str(path), only="adam", course="cs231n-2017")["adam"]
    if epsilon == "eps":
        assert verdict.verdict == RIGHT
    else:
        (cause, *_) = verdict.causes
        assert cause.says == "epsilon is fixed at 1e-08: the option epsilon is not used"


def test_a_sequence_is_wrong_by_its_step(tmp_path):
    text = ASSIGNMENTS.read_text("utf-8")
    start = text.index("def lstm_step_forward")
    end = text.index("def lstm_step_backward")
    step = text[start:end]
    assert step.count("np.tanh(") == 2
    wrong = step.replace("np.tanh(", "np.sinh(", 1)
    path = tmp_path / "rnn_layers.py"
    path.write_text(text[:start] + wrong + text[end:], "utf-8")
    report = check_path(str(path))
    assert report["lstm_step_forward"].verdict == WRONG
    (cause, *_) = report["lstm_forward"].causes
    assert cause.name == "callee"
    assert cause.says.startswith("lstm_step_forward (rnn_layers.py:")


def test_an_exception_in_the_network_of_assignment_1(tmp_path):
    text = ASSIGNMENTS.read_text("utf-8")
    start = text.index("class TwoLayerNet")
    changed = text[start:].replace("grads = {}", "grads = {}\n        loss = np.linalg.norm()", 1)
    assert changed != text[start:]
    path = tmp_path / "neural_net.py"
    path.write_text(text[:start] + changed, "utf-8")
    (cause, *_) = check_path(str(path), only="TwoLayerNet")["TwoLayerNet"].causes
    assert cause.certain
    assert cause.says.startswith("the call of norm does not fit its arguments: norm() missing")


def test_each_configuration_has_its_own_cause(tmp_path):
    """Epsilon is outside the root in train mode; the test mode's mistakes are two, and unknown together."""
    changes = [
        ("std = np.sqrt(var + eps)\n        xhat", "std = np.sqrt(var) + eps\n        xhat"),
        ("std = np.sqrt(running_var + eps)", "std = np.sqrt(running_var)"),
        (TEST_MODE, TEST_MODE.replace("+ beta", "- 3 * beta")),
    ]
    verdict = judged(tmp_path, SOLUTION, "batchnorm_forward", changes)
    first, *others = verdict.causes
    assert first.certain
    assert first.says.startswith("epsilon is outside the root")
    assert any("where mode is test" in cause.says for cause in others)


def test_a_network_whose_layer_is_wrong_in_test_mode(tmp_path):
    changes = [(TEST_MODE, TEST_MODE.replace("+ beta", "- beta"))]
    verdict = judged(tmp_path, SOLUTION, "FullyConnectedNet", changes)
    assert verdict.verdict == WRONG
    (cause, *_) = verdict.causes
    assert cause.name == "callee"
    assert cause.says.startswith("batchnorm_forward (layers.py:")


@pytest.mark.parametrize("norm", ["batchnorm", "layernorm"])
def test_dropout_beside_a_norm_is_tried(tmp_path, norm):
    call = "                dout = dropout_backward(dout, drop)\n"
    wrong = f'                if self.normalization == "{norm}":\n                    dout = drop.missing\n'
    verdict = judged(tmp_path, SOLUTION, "FullyConnectedNet", [(call, wrong + call)])
    assert verdict.verdict == WRONG
    assert any("has no missing" in cause.says for cause in verdict.causes)


def test_rows_of_one_axis_and_one_number_are_beyond_the_courses(tmp_path):
    relu = (
        "    out = np.maximum(0, x)\n",
        "    columns = x.shape[1]\n    out = np.maximum(0, x)\n",
    )
    verdict = judged(tmp_path, SOLUTION, "relu_forward", [relu])
    assert verdict.verdict == RIGHT
    assert any(
        says.startswith("with x of one axis, it raises IndexError") for says in verdict.cautions
    )
    end = "\n    return dx, dw, db\n\n\ndef relu"
    db = (f"db = np.sum(dout, axis=0){end}", f"db = np.sum(dout, axis=0).squeeze(){end}")
    verdict = judged(tmp_path, SOLUTION, "affine_backward", [db])
    assert verdict.verdict == RIGHT
    assert any("db has the shape ()" in says for says in verdict.cautions)


def test_arrays_in_the_place_of_one_number(tmp_path):
    text = SOLUTION.read_text("utf-8")
    start, end = (
        text.index("def spatial_batchnorm_backward"),
        text.index("def spatial_groupnorm_forward"),
    )
    own = """def both(rows):
    return rows.sum(axis=1), rows.sum(axis=1)


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    dgamma, dbeta = np.zeros(C), np.zeros(C)
    for c in range(C):
        dgamma[c], dbeta[c] = both(dout[:, c].reshape(N, -1))
    return dout, dgamma, dbeta


"""
    path = tmp_path / "layers.py"
    path.write_text(text[:start] + own + text[end:], "utf-8")
    name = "spatial_batchnorm_backward"
    says = " ".join(cause.says for cause in check_path(str(path), only=name)[name].causes)
    assert "gives an array where `(dgamma[c], dbeta[c])` has the place of one number" in says


def test_a_softmax_of_ten_classes_may_guard_its_logarithm(tmp_path):
    path = tmp_path / "softmax.py"
    path.write_text(UCLA)
    report = check_path(str(path))
    assert report["Softmax.loss_and_grad"].verdict == RIGHT
    assert len(report["Softmax.loss_and_grad"].cautions) == 2
    path.write_text(UCLA.replace("1e-10", "1e-2"))
    assert check_path(str(path))["Softmax.loss_and_grad"].verdict == WRONG


UCLA = """
import numpy as np


class Softmax(object):
    def __init__(self, dims=[10, 3073]):
        self.init_weights(dims=dims)

    def init_weights(self, dims):
        self.W = np.random.normal(size=dims) * 0.0001

    def loss_and_grad(self, X, y):
        s = X.dot(self.W.T)
        p = np.exp(s - s.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        one_hot = np.zeros((len(y), 10))
        one_hot[np.arange(len(y)), y] = 1
        loss = -np.mean(np.log(np.sum(p * one_hot, axis=1) + 1e-10))
        return loss, (p - one_hot).T.dot(X) / len(y)
"""


def test_what_is_not_testable_is_not_wrong(tmp_path):
    path = tmp_path / "layers.py"
    text = "import numpy as np\n\nlimit = np.load('limit.npy')\n\n\ndef relu_forward(x):\n"
    path.write_text(
        text
        + "    return np.clip(x, 0, limit), x\n\n\ndef relu_backward(dout, x):\n    return dout * (x > 0)\n"
    )
    report = check_path(str(path))
    assert report["relu_forward"].verdict == UNTESTED
    assert report["relu_backward"].verdict == UNTESTED
