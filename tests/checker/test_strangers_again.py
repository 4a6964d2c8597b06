"""More kinds of mistakes, and of right code, that were found in strangers' files."""

import os

import pytest
from checker import catalogue

from handgrad import layers
from handgrad.checker import NOT_WRITTEN, RIGHT, UNTESTED, WRONG, check, check_path
from handgrad.checker.loading import CheckError

LINEAR = """
import numpy as np

def svm_loss_naive(W, X, y, reg):
    dW, loss, N = np.zeros(W.shape), 0.0, len(X)
    for i in range(N):
        scores = X[i] @ W
        for j in range(W.shape[1]):
            margin = scores[j] - scores[y[i]] + 1
            if j == y[i]:
                continue
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    return loss / N + reg * np.sum(W * W), dW / N + 2 * reg * W

def softmax_loss_vectorized(W, X, y, reg):
    N = len(X)
    p = np.exp(X @ W - (X @ W).max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.sum(np.log(p[np.arange(N), y])) / N
    p[np.arange(N), y] -= 1
    return loss + reg * np.sum(W * W), X.T @ p / N + 2 * reg * W
"""
OWN = (
    "            if j == y[i]:\n",
    "            if j == y[i]:\n                dW[:, j] += X[i]\n",
)
ALONE = ("                dW[:, j] += X[i]\n                dW[:, y", "                dW[:, y")


@pytest.mark.parametrize(
    ("function", "changes", "name", "words"),
    [
        ("svm_loss_naive", [ALONE], "other_classes_gradient", "only the true class has a gradient"),
        ("svm_loss_naive", [ALONE, OWN], "other_classes_gradient", "its own margin 1 counts"),
        (
            "svm_loss_naive",
            [("reg * np.sum(W * W)", "reg * np.sum(W.dot(W.T))")],
            "regulariser_product",
            "sums the matrix product W W^T",
        ),
        (
            "softmax_loss_vectorized",
            [("reg * np.sum(W * W)", "reg * np.sum(W.T @ W)")],
            "regulariser_product",
            "sums the matrix product W^T W",
        ),
        ("svm_loss_naive", [("margin > 0", "margin > 1")], "margin_threshold", "larger than 1"),
        (
            "softmax_loss_vectorized",
            [("np.sum(np.log(p[np.arange(N), y])) / N", "np.log(np.sum(p[np.arange(N), y])) / N")],
            "log_of_sum",
            "the sum of the logarithms",
        ),
        (
            "softmax_loss_vectorized",
            [("np.sum(np.log(p[np.arange(N), y])) / N", "np.log(np.mean(p[np.arange(N), y]))")],
            "log_of_sum",
            "the mean of the logarithms",
        ),
    ],
)
def test_losses_of_assignment_1(tmp_path, function, changes, name, words):
    path = tmp_path / "losses.py"
    path.write_text(LINEAR)
    assert check_path(str(path), only=function)[function].verdict == RIGHT
    path.write_text(catalogue.changed(LINEAR, *changes))
    (cause, *_) = check_path(str(path), only=function)[function].causes
    assert cause.name == name
    assert words in cause.says


NEIGHBOURS = """
import numpy as np

class KNearestNeighbor(object):
    def train(self, X, y):
        self.X_train, self.y_train = X, y

    def predict_labels(self, dists, k=1):
        y_pred = np.zeros(len(dists))
        for i in range(len(dists)):
            order = np.argsort(dists[i])
            closest_y = [int(self.y_train[at]) for at in order[:k]]
            y_pred[i] = np.bincount(closest_y).argmax()
        return y_pred
"""


@pytest.mark.parametrize(
    "vote",
    ["np.bincount(closest_y).argmax()", "max(closest_y, key=closest_y.count)"],
)
def test_ranks_are_no_neighbours(tmp_path, vote):
    path = tmp_path / "k_nearest_neighbor.py"
    path.write_text(NEIGHBOURS)
    assert check_path(str(path)).exit_code == 0
    ranks = "[int(self.y_train[np.where(order == j)[0][0]]) for j in range(k)]"
    text = NEIGHBOURS.replace("[int(self.y_train[at]) for at in order[:k]]", ranks)
    path.write_text(text.replace("np.bincount(closest_y).argmax()", vote))
    (verdict,) = [one for one in check_path(str(path)).verdicts if one.verdict == WRONG]
    assert verdict.function == "KNearestNeighbor.predict_labels"
    assert verdict.causes[0].name == "rank_for_index"


SANDWICH = """

def affine_norm_relu_forward(x, w, b, gamma, beta, bn_param):
    a, fc = affine_forward(x, w, b)
    n, bn = batchnorm_forward(a, gamma, beta, bn_param)
    out, mask = relu_forward(n)
    return out, (fc, bn, mask)


def affine_norm_relu_backward(dout, cache):
    fc, bn, mask = cache
    dn = relu_backward(dout, mask)
    da, dgamma, dbeta = batchnorm_backward(dn, bn)
    dx, dw, db = affine_backward(da, fc)
    return dx, dw, db, dgamma, dbeta
"""


def test_a_sandwich_whose_name_does_not_say_its_layers(tmp_path):
    path = tmp_path / "layer_utils.py"
    name = "affine_norm_relu_forward"

    def verdicts(*changes):
        text = catalogue.changed(catalogue.SOLUTION.read_text("utf-8") + SANDWICH, *changes)
        path.write_text(text, "utf-8")
        return [one.verdict for one in check_path(str(path), only=name).verdicts]

    assert verdicts() == [RIGHT, RIGHT]
    assert verdicts(("dn = relu_backward(dout, mask)\n", "dn = dout\n")) == [RIGHT, WRONG]
    other = ("n, bn = batchnorm_forward(a, gamma", "n, bn = layernorm_forward(a, gamma")
    with pytest.raises(CheckError, match="defines no affine_norm_relu_forward"):
        verdicts(other)  # it means another layer by this name


def test_a_network_whose_layer_norm_calls_batch_norm_in_its_own_way(tmp_path):
    text = catalogue.SOLUTION.read_text("utf-8")
    start = text.index("def layernorm_forward(")
    stop = text.index("\ndef ", start)
    own = """def layernorm_forward(x, gamma, beta, ln_param):
    columns = {"mode": "train", "eps": ln_param.get("eps", 1e-5)}
    columns["running_mean"] = columns["running_var"] = 0
    out, (_, _, _, std, xhat, _) = batchnorm_forward(x.T, gamma[:, None], beta[:, None], columns)
    return out.T, (std[:, None], xhat.T, gamma)

"""
    path = tmp_path / "layers.py"
    path.write_text(text[:start] + own + text[stop:], "utf-8")
    report = check_path(str(path), only="layernorm_forward")
    assert {one.verdict for one in report.verdicts} == {RIGHT}
    assert check_path(str(path), only="FullyConnectedNet")["FullyConnectedNet"].verdict == RIGHT
    right = "running_var + (1 - momentum) * var"
    assert right in text
    wrong = (text[:start] + own + text[stop:]).replace(right, right.replace("var", "(var + 0.1)"))
    path.write_text(wrong.replace("running_(var + 0.1) +", "running_var +"), "utf-8")
    network = check_path(str(path), only="FullyConnectedNet")["FullyConnectedNet"]
    assert network.verdict == RIGHT
    assert "batchnorm_forward (layers.py:" in "".join(network.cautions)


def solution_with(tmp_path, *changes):
    """Write the solution with some of its text changed."""
    path = tmp_path / "layers.py"
    text = catalogue.changed(catalogue.SOLUTION.read_text("utf-8"), *changes)
    path.write_text(text, "utf-8")
    return str(path)


def test_a_branch_that_nobody_wrote_is_not_wrong(tmp_path):
    right = "        dx = dout * mask\n    else:\n        dx = dout\n"
    start = '    if mode == "train":\n'
    none = ("    mode, p = dropout_param", "    dx = None\n    mode, p = dropout_param")
    some = (start + right, start + right.replace("        dx = dout\n", "        pass\n"))
    path = solution_with(tmp_path, none, some)
    verdict = check_path(path, only="dropout_backward")["dropout_backward"]
    assert verdict.verdict == NOT_WRITTEN
    assert verdict.reason == "it returns None where mode is test"
    forgotten = (start + right, start + right.replace("dx = dout", "dout"))
    path = solution_with(tmp_path, none, forgotten)
    assert check_path(path, only="dropout_backward")["dropout_backward"].verdict != RIGHT


def test_every_class_with_a_gradient(tmp_path):
    text = "dx[margins > 0] = 1"
    path = solution_with(tmp_path, (text, "dx += 1"))
    (cause, *_) = check_path(path, only="svm_loss")["svm_loss"].causes
    assert cause.name == "every_class"


INSERTED = ("[input_dim] + list(hidden_dims) + [num_classes]", "hidden_dims\n        dims.insert(0, input_dim)\n        dims.append(num_classes)")  # fmt: skip # noqa: E501


def test_a_constructor_may_change_its_callers_list(tmp_path):
    path = solution_with(tmp_path, INSERTED)
    verdict = check_path(path, only="FullyConnectedNet")["FullyConnectedNet"]
    assert verdict.verdict == RIGHT
    assert "the constructor changes its caller's arguments" in verdict.cautions
    strict = check_path(path, only="FullyConnectedNet", strict=True)["FullyConnectedNet"]
    assert "argument_changed" in [cause.name for cause in strict.causes]


def test_a_default_that_means_dropout(tmp_path):
    text = catalogue.SOLUTION.read_text("utf-8")
    keep = "dropout_keep_ratio"
    assert f"{keep}=1" in text
    old = text.replace(keep, "dropout")
    path = tmp_path / "layers.py"
    path.write_text(old, "utf-8")
    assert check_path(str(path), only="FullyConnectedNet")["FullyConnectedNet"].verdict == RIGHT
    path.write_text(old.replace("dropout=1", "dropout=0"), "utf-8")
    (cause, *_) = check_path(str(path), only="FullyConnectedNet")["FullyConnectedNet"].causes
    assert cause.name == "dropout_by_default"
    assert "the default must be 1" in cause.says


def test_what_batch_norm_stores_is_not_the_networks_mistake(tmp_path):
    dims = "        dims = [input_dim]"
    slip = ("+ (1 - momentum) * var", "+ (1 - momentum) * (var + 0.1)")
    reseeded = (dims, "        np.random.seed(seed)\n" + dims)  # other weights each time
    path = solution_with(tmp_path, slip, reseeded)
    network = check_path(path, only="FullyConnectedNet")["FullyConnectedNet"]
    assert network.verdict == RIGHT
    (note,) = [says for says in network.cautions if "which it calls" in says]
    assert note.startswith("batchnorm_forward (layers.py:")
    strict = check_path(path, only="FullyConnectedNet", strict=True)["FullyConnectedNet"]
    assert "callee" in [cause.name for cause in strict.causes]


PLACES = """    _, _, _, std, xhat, gamma = cache
    g = gamma * rows
    means = [np.sum(g, axis=0) / {mean}, np.sum(g * xhat, axis=0) / {variance}]
    dx = (g - means[0] - xhat * means[1]) / std
    dgamma, dbeta = np.sum(rows * xhat, axis=0), np.sum(rows, axis=0)
"""


@pytest.mark.parametrize(
    ("mean", "variance", "words"),
    [
        ("N", "N", "dx divides by N, not"),
        ("(H * W)", "(H * W)", "dx divides by H W, not"),
        ("N", "len(rows)", "the term of the mean divides by N, not"),
        ("len(rows)", "(N * H)", "the term of the variance divides by N H, not"),
    ],
)
def test_the_numbers_of_a_channel_are_counted(tmp_path, mean, variance, words):
    old = "    dx, dgamma, dbeta = batchnorm_backward(rows, cache)\n"
    path = solution_with(tmp_path, (old, PLACES.format(mean=mean, variance=variance)))
    verdict = check_path(path, only="spatial_batchnorm_backward")["spatial_batchnorm_backward"]
    (cause,) = verdict.causes
    assert cause.name == "wrong_count"
    assert cause.says.startswith(words)


def test_a_file_that_ends_the_process_is_named(tmp_path):
    file = tmp_path / "layers.py"
    file.write_text(
        "import os\nimport numpy as np\n\n\n"
        "def relu_forward(x):\n    return np.maximum(x, 0), x\n\n\n"
        "def relu_backward(dout, cache):\n    os._exit(3)\n"
    )
    before = os._exit
    said = str(check_path(str(file)))
    assert "it ends the whole program (os._exit, exit code 3)" in said
    assert "relu_forward    right" in said
    assert os._exit is before


NET = """
import numpy as np

class TwoLayerNet(object):
    def __init__(self, input_size, hidden_size, output_size, std=1e-4):
        self.params = {
            "W1": std * np.random.randn(input_size, hidden_size), "b1": np.zeros(hidden_size),
            "W2": std * np.random.randn(hidden_size, output_size), "b2": np.zeros(output_size),
        }

    def loss(self, X, y=None, use_dropout=False, keep=0.5, reg=0.0):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        h = np.maximum(X @ W1 + b1, 0)
        scores = h @ W2 + b2
        if y is None:
            return scores
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        rows = np.arange(len(X))
        loss = -np.log(p[rows, y]).mean() + reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        p[rows, y] -= 1
        p /= len(X)
        dh = (p @ W2.T) * (h > 0)
        grads = {"W2": h.T @ p + 2 * reg * W2, "b2": p.sum(axis=0)}
        return loss, grads | {"W1": X.T @ dh + 2 * reg * W1, "b1": dh.sum(axis=0)}
"""


def test_a_reg_that_stands_behind_options_of_ones_own(tmp_path):
    path = tmp_path / "neural_net.py"
    path.write_text(NET)
    assert check_path(str(path))["TwoLayerNet"].verdict == RIGHT
    path.write_text(NET.replace("+ 2 * reg * W1", "+ reg * W1"))
    verdict = check_path(str(path))["TwoLayerNet"]
    assert verdict.verdict == WRONG
    assert "reg" in verdict.causes[0].says


@pytest.mark.parametrize("bias", ["b1", "b2"])
def test_a_bias_that_is_not_added_is_the_only_cause(tmp_path, bias):
    path = tmp_path / "neural_net.py"
    path.write_text(NET.replace(f" + {bias}", ""))
    (cause,) = check_path(str(path))["TwoLayerNet"].causes
    assert cause.name == "bias_missing"
    assert cause.says.startswith(bias)


def test_arguments_of_ones_own_are_not_judged(tmp_path):
    own = ("def affine_relu_forward(x, w, b):", "def affine_relu_forward(x, w, b, drop, param):")
    report = check_path(solution_with(tmp_path, own), only="affine_relu_forward")
    assert {verdict.verdict for verdict in report.verdicts} == {UNTESTED}
    assert "takes (x, w, b, drop, param)" in report["affine_relu_forward"].reason


def test_a_sandwich_is_tried_with_one_image():
    def forward(x, w, b, conv_param):
        assert x[1] is not None  # there is no second image
        return layers.conv_relu_forward(x, w, b, conv_param)

    verdict = check(forward, layers.conv_relu_backward, layer="conv_relu").verdicts[0]
    assert verdict.verdict == WRONG
    assert "(one image)" in verdict.causes[0].worst


def test_a_layer_is_blamed_where_its_vectors_are_rows(tmp_path):
    row = ("= np.ones(dims[i + 1])", "= np.ones((1, dims[i + 1]))")
    slip = ("        std = np.sqrt(var + eps)", "        std = np.sqrt(var + 2 * eps) + 0.01")
    back = ('grads["gamma%d" % i], grads["beta%d" % i] = dgamma, dbeta',
            'grads["gamma%d" % i], grads["beta%d" % i] = np.reshape(dgamma, (1, -1)), dbeta')  # fmt: skip
    path = solution_with(tmp_path, row, slip, back)
    (cause, *_) = check_path(path, only="FullyConnectedNet")["FullyConnectedNet"].causes
    assert cause.name == "callee"
    assert cause.says.startswith("batchnorm_forward")
