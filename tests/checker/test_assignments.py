"""Assignment 1 and 3: both conventions of the regulariser, UCLA's transposed network, single methods."""

from pathlib import Path

import pytest
from checker import catalogue

from handgrad.checker import NOT_WRITTEN, RIGHT, UNTESTED, WRONG, check_path

SOLUTION = Path(__file__).parent / "students" / "assignments.py"


def check(tmp_path, *changes, only=""):
    text = catalogue.changed(SOLUTION.read_text("utf-8"), *changes)
    path = tmp_path / "submission.py"
    path.write_text(text, "utf-8")
    return check_path(str(path), only=only)


def test_the_half_regulariser_is_as_right_as_the_whole(tmp_path):
    whole = (
        "loss += reg * np.sum(W * W)\n    dW += 2 * reg * W",
        "loss += reg * np.sum(W * W) / 2\n    dW += reg * W",
    )
    assert check(tmp_path, whole, only="svm_loss_naive")
    half = ("0.5 * reg * np.sum(W**2)", "reg * np.sum(W**2)")
    verdict = check(tmp_path, half, only="svm_loss_vectorized")["svm_loss_vectorized"]
    assert verdict.causes[0].name == "regulariser_gradient_half"
    assert "2 * reg * W" in verdict.causes[0].says


UCLA = [
    ("np.random.randn(input_size, hidden_size)", "np.random.randn(hidden_size, input_size)"),
    ("np.random.randn(hidden_size, output_size)", "np.random.randn(output_size, hidden_size)"),
    ("X.dot(W1)", "X.dot(W1.T)"),
    ("h.dot(W2)", "h.dot(W2.T)"),
    ("h.T.dot(d)", "d.T.dot(h)"),
    ("d.dot(W2.T)", "d.dot(W2)"),
    ("X.T.dot(dh)", "dh.T.dot(X)"),
    ("loss += reg * (np.sum(W1", "loss += 0.5 * reg * (np.sum(W1"),
    ("+ 2 * reg * W1", "+ reg * W1"),
    ("+ 2 * reg * W2", "+ reg * W2"),
]  # fmt: skip


def test_ucla_s_network_keeps_its_weights_transposed(tmp_path):
    assert check(tmp_path, *UCLA, only="TwoLayerNet")
    wrong = check(tmp_path, *UCLA, ("        dh[h <= 0] = 0\n", ""), only="TwoLayerNet")
    assert wrong["TwoLayerNet"].causes[0].name == "relu_mask_missing"


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        (
            "return np.argmax(self.loss(X), axis=1)",
            "return np.argmin(self.loss(X), axis=1)",
            "predict",
        ),
        ("            return scores\n", "            return probs\n", "scores"),
        ("            return scores\n", "            return scores + 1\n", "scores"),
    ],
)
def test_what_a_network_s_loss_does_not_show(tmp_path, old, new, name):
    verdict = check(tmp_path, (old, new), only="TwoLayerNet")["TwoLayerNet"]
    assert (verdict.verdict, verdict.causes[0].name) == (WRONG, name)


def test_each_method_has_a_verdict_and_its_own_line(tmp_path):
    report = check(tmp_path, ("own - 2 * cross", "own - cross"), only="KNearestNeighbor")
    found = {verdict.function.partition(".")[2]: verdict.verdict for verdict in report.verdicts}
    assert found == {
        "compute_distances_two_loops": RIGHT,
        "compute_distances_one_loop": RIGHT,
        "compute_distances_no_loops": WRONG,
        "predict_labels": RIGHT,
    }
    wrong = report["KNearestNeighbor.compute_distances_no_loops"]
    lines = (tmp_path / "submission.py").read_text("utf-8").splitlines()
    assert "cross" in lines[wrong.causes[0].line - 1]


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        (
            "rows = np.random.choice(len(X), batch_size)",
            "rows = np.arange(batch_size)",
            "same_batch",
        ),
        ("for _ in range(num_iters)", "for _ in range(num_iters - 1)", "steps"),
        ("y[rows], reg)", "y[rows], 0.0)", "reg_not_passed"),
        ("        return history\n", "        return loss\n", "history"),
        ("history.append(loss)", "history.append(reg)", "history"),
        ("X[rows], y[rows]", "0 * X[rows], y[rows]", "batch_rows"),
    ],
)
def test_the_loop_of_a_linear_classifier(tmp_path, old, new, name):
    verdict = check(tmp_path, (old, new), only="LinearClassifier")["LinearClassifier.train"]
    assert (verdict.verdict, verdict.causes[0].name) == (WRONG, name)


def test_a_loop_that_draws_no_batch_yet_is_not_written(tmp_path):
    change = ("self.loss(X[rows], y[rows], reg)", "self.loss(None, None, reg)")
    verdict = check(tmp_path, change, only="LinearClassifier")["LinearClassifier.train"]
    assert verdict.verdict == NOT_WRITTEN


SANDWICHES = """
from handgrad.layers import affine_forward, affine_backward, batchnorm_forward, batchnorm_backward
from handgrad.layers import relu_forward, relu_backward


def affine_batchnorm_relu_forward(x, w, b, gamma, beta, bn_param):
    a, first = affine_forward(x, w, b)
    n, second = batchnorm_forward(a, gamma, beta, bn_param)
    out, third = relu_forward(n)
    return out, (first, second, third)


def affine_batchnorm_relu_backward(dout, cache):
    first, second, third = cache
    dn = relu_backward(dout, third)
    da, dgamma, dbeta = batchnorm_backward(dn, second)
    dx, dw, db = affine_backward(da, first)
    return dx, dw, db, dgamma, dbeta


def conv_batch_relu_forward(x, w):
    return x, w
"""


def test_sandwiches_by_a_student_s_own_word(tmp_path):
    path = tmp_path / "sandwiches.py"
    path.write_text(SANDWICHES, "utf-8")
    report = check_path(str(path))
    found = {verdict.function: verdict.verdict for verdict in report.verdicts}
    words = ("affine_batchnorm_relu_forward", "affine_batchnorm_relu_backward")
    assert found == dict.fromkeys(
        words, RIGHT
    )  # of other arguments, conv_batch_relu is something else
    path.write_text(SANDWICHES.replace("relu_backward(dout, third)", "dout"), "utf-8")
    wrong = check_path(str(path))["affine_batchnorm_relu_backward"]
    assert wrong.verdict == WRONG


def test_matrices_of_numpy_are_judged(tmp_path):
    change = ("    dW /= N\n    loss += reg", "    dW = np.matrix(dW) / N\n    loss += reg")
    report = check(tmp_path, change, only="svm_loss_naive")
    assert report["svm_loss_naive"].verdict == RIGHT


# classes that keep their weights, and features of images

KEEPING = (Path(__file__).parent / "students" / "ucla.py").read_text("utf-8")


def judged(tmp_path, old, new, name):
    assert old in KEEPING
    path = tmp_path / "submission.py"
    path.write_text(KEEPING.replace(old, new), "utf-8")
    return check_path(str(path), only=name.partition(".")[0])[name]


def test_ten_classes_are_as_many_as_the_course_has(tmp_path):
    old = "for j in range(len(self.W)):\n                if j != y[i]"
    fixed = (old, old.replace("len(self.W)", "10"))
    verdict = judged(tmp_path, *fixed, "SVM.loss")
    assert verdict.verdict == RIGHT
    assert "10 classes only" in verdict.cautions[0]
    nine = (fixed[0], fixed[1].replace("10", "9"))
    assert judged(tmp_path, *nine, "SVM.loss").verdict == WRONG


def test_losses_that_are_not_written_yet(tmp_path):
    body = KEEPING[KEEPING.index("        n = X.shape[0]\n        a = X.dot") :]
    body = body[: body.index("        return loss, grad\n")]
    empty = "        loss = 0.0\n        grad = np.zeros(self.W.shape)\n"
    verdict = judged(tmp_path, body, empty, "SVM.fast_loss_and_grad")
    assert verdict.verdict == NOT_WRITTEN, verdict


def test_grey_of_the_standard_is_as_right_as_the_courses(tmp_path):
    verdict = judged(tmp_path, "0.144", "0.114", "hog_feature")
    assert verdict.verdict == RIGHT
    assert "0.114" in verdict.cautions[0]
    assert judged(tmp_path, "0.144", "0.2", "hog_feature").verdict == WRONG


def test_the_courses_file_of_python_2_accuses_nobody(tmp_path):
    old = "n = image.shape[0] // 8\n"
    verdict = judged(tmp_path, old, "n = image.shape[0] / 8\n", "hog_feature")
    assert (verdict.verdict, "Python 2" in verdict.reason) == (UNTESTED, True)


def test_matplotlib_s_colours_are_answered(tmp_path):
    text = """
import numpy as np
import matplotlib
def color_histogram_hsv(im, nbin=10, xmin=0, xmax=255, normalized=True):
    bins = np.linspace(xmin, xmax, nbin + 1)
    hsv = matplotlib.colors.rgb_to_hsv(im / xmax) * xmax
    imhist, edges = np.histogram(hsv[:, :, CHANNEL], bins=bins, density=normalized)
    return imhist * np.diff(edges)
"""
    for channel, expected in ((0, RIGHT), (1, WRONG), (2, WRONG)):
        path = tmp_path / f"features{channel}.py"
        path.write_text(text.replace("CHANNEL", str(channel)))
        assert check_path(str(path))["color_histogram_hsv"].verdict == expected


ANOTHER_ORDER = """
from handgrad.layers import *


def sgd(w, dw, config):
    return w - config["learning_rate"] * dw, config


def affine_bn_relu_forward(x, gamma, beta, bn_param, w, b):
    a, fc = affine_forward(x, w, b)
    n, bn = batchnorm_forward(a, gamma, beta, bn_param)
    out, mask = relu_forward(n)
    return out, (fc, bn, mask)


def affine_bn_relu_backward(dout, cache):
    fc, bn, mask = cache
    da, dgamma, dbeta = batchnorm_backward(relu_backward(dout, mask), bn)
    dx, dw, db = affine_backward(da, fc)
    return dx, dgamma, dbeta, dw, db
"""


@pytest.mark.parametrize(
    ("old", "new", "verdicts"),
    [
        ("", "", [RIGHT, RIGHT]),
        ("bn_param, w, b):", "bn_param, w, b, dropout_param):", []),  # something else
        (
            "return dx, dgamma, dbeta, dw, db",
            "return dx, dgamma, dbeta, dw, 2 * db",
            [RIGHT, WRONG],
        ),
        ("return dx, dgamma, dbeta, dw, db", "return dx, dw, db, dbeta, dgamma", [RIGHT, WRONG]),
        ("relu_backward(dout, mask)", "dout", [RIGHT, WRONG]),
    ],
    ids=["right", "another layer", "values, not names", "exchanged", "a step left out"],
)
def test_sandwiches_in_any_order(tmp_path, old, new, verdicts):
    text = ANOTHER_ORDER.replace(old, new) if old else ANOTHER_ORDER
    (tmp_path / "layer_utils.py").write_text(text)
    report = check_path(str(tmp_path / "layer_utils.py"))
    found = [one.verdict for one in report.verdicts if one.function.startswith("affine")]
    assert found == verdicts, str(report)
