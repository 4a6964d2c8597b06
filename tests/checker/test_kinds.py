"""Kinds of mistakes that code of other styles showed: each is found, and named by its own cause."""

import pytest
from checker import catalogue
from checker.test_strangers_again import NET

from handgrad.checker import RIGHT, UNTESTED, WRONG, check_path

ASSIGNMENTS = catalogue.SOLUTION.parent / "students" / "assignments.py"
WITH_EPS = [
    ("cache = (mode, x, xmu, std, xhat, gamma)", "cache = (mode, x, xmu, std, xhat, gamma, eps)"),
    ("cache = (mode, x, None, std, xhat, gamma)", "cache = (mode, x, None, std, xhat, gamma, eps)"),
    ("mode, x, xmu, std, xhat, gamma = cache", "mode, x, xmu, std, xhat, gamma, eps = cache"),
]
DGAMMA = "dgamma = np.sum(dout * xhat, axis=0)\n    if"


def dgamma(deviation):
    return [*WITH_EPS, (DGAMMA, DGAMMA.replace("xhat", f"xmu / ({deviation})"))]


# function, changes, the name of the cause, words of it
ROWS = [
    ("batchnorm_backward_alt", dgamma("np.std(x, axis=0) + eps"), "epsilon_outside", "in dgamma"),
    ("batchnorm_backward_alt", dgamma("np.std(x, axis=0)"), "epsilon_missing", "in dgamma"),
    (
        "batchnorm_forward",
        [("mu = np.mean(x, axis=0)", "mu = np.sum(x, axis=0) / D")],
        "wrong_count",
        "the mean is divided by the length of the wrong axis",
    ),
    (
        "batchnorm_forward",
        [("var = np.mean(xmu**2, axis=0)", "var = np.sum(xmu**2, axis=0) / D")],
        "wrong_count",
        "the variance is divided",
    ),
    (
        "batchnorm_forward",
        [
            (
                "        xhat = (x - running_mean) / std\n        out = gamma * xhat + beta",
                "        xhat = x / std\n        out = gamma * xhat + beta - running_mean",
            )
        ],
        "mean_not_scaled",
        "subtracted from x before",
    ),
    (
        "batchnorm_backward_alt",
        [("(N * dout - dbeta", "(dout - dbeta")],
        "count_missing",
        "lacks the factor N",
    ),
    (
        "svm_loss",
        [("dx[margins > 0] = 1", "dx += 1\n    dx[np.arange(N), y] = 0")],
        "every_class",
        "every other class gets 1",
    ),
    (
        "svm_loss",
        [("dx /= N", "dx = x.T @ dx / N")],
        "scores_for_rows",
        "multiplied by x^T",
    ),
    (
        "spatial_groupnorm_forward",
        [("np.mean(groups, axis=(2, 3, 4)", "np.mean(groups, axis=(0, 2, 3, 4)")],
        "wrong_axis",
        "the mean is taken over the batch too",
    ),
    (
        "spatial_groupnorm_backward",
        [
            (
                "np.sum(dxhat * xh, axis=(2, 3, 4), keepdims=True)",
                "(C // G) * np.sum(dxhat * xh, axis=(3, 4), keepdims=True)",
            )
        ],
        "wrong_axis",
        "the path through the variance of dx",
    ),
    (
        "spatial_groupnorm_backward",
        [
            (
                "np.sum(dxhat, axis=(2, 3, 4), keepdims=True)",
                "np.sum(dxhat, axis=(3, 4), keepdims=True)",
            )
        ],
        "wrong_axis",
        "the path through the mean of dx",
    ),
    (
        "spatial_groupnorm_backward",
        [("np.sum(dout * xhat, axis=(0, 2, 3)", "np.sum(dout * xhat, axis=(0, 1, 2, 3)")],
        "wrong_sum",
        "the batch and the channels and the rows",
    ),
]


@pytest.mark.parametrize(("function", "changes", "name", "words"), ROWS)
def test_a_kind_is_named(tmp_path, function, changes, name, words):
    (cause, *_) = verdicts(tmp_path, catalogue.SOLUTION, function, *changes)[function].causes
    assert cause.certain
    assert cause.name == name
    assert words in cause.says


def verdicts(tmp_path, solution, function, *changes):
    text = catalogue.changed(solution.read_text("utf-8"), *changes)
    path = tmp_path / "layers.py"
    path.write_text(text, "utf-8")
    return check_path(str(path), only=function.partition(".")[0])


@pytest.mark.parametrize(
    ("function", "old", "new", "name", "words"),
    [
        (
            "svm_loss_vectorized",
            "0.5 * reg * np.sum(W**2)",
            "0.5 * reg * np.linalg.norm(W)",
            "regulariser_root",
            "square it",
        ),
        (
            "lstm_step_backward",
            "(1 - tc * tc)",
            "(1 - tc)",
            "slope_not_squared",
            "not 1 - tanh(next_c)",
        ),
        (
            "rnn_backward",
            "return dx, carried",
            "return dx[:, ::-1], carried",
            "steps_reversed",
            "the last step comes first",
        ),
    ],
)
def test_a_kind_of_the_other_assignments(tmp_path, function, old, new, name, words):
    (cause, *_) = verdicts(tmp_path, ASSIGNMENTS, function, (old, new))[function].causes
    assert cause.name == name
    assert words in cause.says


def test_labels_are_no_numbers_that_were_cut(tmp_path):
    function = "KNearestNeighbor.predict_labels"
    old, new = "labels[np.argmax(counts)]", "labels[np.argmin(counts)]"
    (cause, *_) = verdicts(tmp_path, ASSIGNMENTS, function, (old, new))[function].causes
    assert cause.name != "integer_truncation"


def test_columns_of_a_pool_that_are_counted_by_its_height(tmp_path):
    count = "1 + (W - pw) // stride"
    text = catalogue.SOLUTION.read_text("utf-8")
    assert text.count(count) == 1
    loop = "N, C, H_out, W_out = dout.shape"
    by_height = [
        (count, count.replace("pw", "ph")),
        (loop, f"{loop}\n    W_out = (x.shape[3] - ph) // stride + 1"),
        (
            "r, q = np.unravel_index(np.argmax(window), window.shape)",
            "r, q = divmod(np.argmax(window), pw)",
        ),
    ]
    report = verdicts(tmp_path, catalogue.SOLUTION, "max_pool_backward_naive", *by_height)
    (cause, *_) = report["max_pool_backward_naive"].causes
    assert cause.name == "columns_by_height"


def test_a_backward_beside_a_forward_that_is_mended_elsewhere(tmp_path):
    # the numbers of this forward name its last line, and the slip stands above it
    slip = ("var = np.mean(xmu**2, axis=0)", "var = np.sum(xmu**2, axis=0)")
    report = verdicts(tmp_path, catalogue.SOLUTION, "batchnorm_forward", slip)
    for name in ("batchnorm_backward", "batchnorm_backward_alt"):
        (cause,) = report[name].causes
        assert report[name].verdict == WRONG
        assert "right as soon as batchnorm_forward is" in cause.says
    right = verdicts(tmp_path, catalogue.SOLUTION, "batchnorm_forward")
    assert {one.verdict for one in right.verdicts} == {RIGHT}


ASSERTIONS = """    assert (x.shape[2] - pool_param["pool_height"]) % pool_param["stride"] == 0
    assert (x.shape[3] - pool_param["pool_height"]) % pool_param["stride"] == 0
"""


def test_a_pool_may_assert_squares_that_tile(tmp_path):
    head = "def max_pool_forward_naive(x, pool_param):\n"
    function = "max_pool_forward_naive"
    report = verdicts(tmp_path, catalogue.SOLUTION, function, (head, head + ASSERTIONS))
    assert {one.verdict for one in report.verdicts} == {RIGHT}
    always = '    assert pool_param["pool_height"] == 5\n'
    report = verdicts(tmp_path, catalogue.SOLUTION, function, (head, head + always))
    assert report[function].verdict == WRONG


def test_a_regularisation_of_one_weight_alone(tmp_path):
    slip = ("sum(np.sum(W * W) for W in (W1, W2, W3))", "np.sum(W3 * W3)")
    report = verdicts(tmp_path, catalogue.SOLUTION, "ThreeLayerConvNet", slip)
    (cause, *_) = report["ThreeLayerConvNet"].causes
    assert cause.says.startswith("the regularisation of the loss has W3 alone")


def test_a_regularisation_that_multiplies(tmp_path):
    slip = (
        "sum(np.sum(W * W) for W in (W1, W2, W3))",
        "np.sum(W1**2) * np.sum(W2**2) * np.sum(W3**2)",
    )
    report = verdicts(tmp_path, catalogue.SOLUTION, "ThreeLayerConvNet", slip)
    (cause, *_) = report["ThreeLayerConvNet"].causes
    assert cause.name == "reg_multiplied"


def test_a_backward_with_arguments_of_its_own(tmp_path):
    sandwich = (
        "\n\ndef affine_norm_relu_forward(x, w, b, gamma, beta, bn_param):\n"
        "    a, fc = affine_forward(x, w, b)\n"
        "    n, bn = batchnorm_forward(a, gamma, beta, bn_param)\n"
        "    out, mask = relu_forward(n)\n"
        "    return out, (fc, mask), bn\n\n\n"
        "def affine_norm_relu_backward(dout, cache, bn):\n    return None\n"
    )
    path = tmp_path / "layer_utils.py"
    path.write_text(catalogue.SOLUTION.read_text("utf-8") + sandwich, "utf-8")
    for verdict in check_path(str(path), only="affine_norm_relu_forward").verdicts:
        assert verdict.verdict == UNTESTED
        assert "affine_norm_relu_backward takes (dout, cache, bn)" in verdict.reason


def test_parameters_that_are_numbered_from_0(tmp_path):
    weights = ('self.params["W%d" % (i + 1)]', 'self.params["W%d" % i]')
    report = verdicts(tmp_path, catalogue.SOLUTION, "FullyConnectedNet", weights)
    (cause, *_) = report["FullyConnectedNet"].causes
    assert cause.says.startswith("the parameters are numbered from 0, as W0")


def test_gradients_that_a_network_of_assignment_1_lacks(tmp_path):
    (tmp_path / "neural_net.py").write_text(NET.replace(', "b1": dh.sum(axis=0)', ""))
    (cause, *_) = check_path(str(tmp_path / "neural_net.py"))["TwoLayerNet"].causes
    assert cause.says == "grads lacks b1: never updated"


def test_a_mode_of_old_scipy(tmp_path):
    pytest.importorskip("scipy", minversion="1.11")
    slip = ("labels[np.argmax(counts)]", "__import__('scipy.stats').stats.mode(closest_y)[0][0]")
    report = verdicts(tmp_path, ASSIGNMENTS, "KNearestNeighbor.predict_labels", slip)
    (cause, *_) = report["KNearestNeighbor.predict_labels"].causes
    assert cause.says.startswith("old SciPy: stats.mode(x)[0] is a number")


def test_a_network_of_another_activation_is_not_judged(tmp_path):
    text = catalogue.SOLUTION.read_text("utf-8")
    for name in ("conv_relu_pool", "affine_relu"):
        text = text.replace(f"{name}_", f"{name.replace('relu', 'lrelu')}_")
    path = tmp_path / "cnn.py"
    path.write_text(text, "utf-8")
    verdict = check_path(str(path), only="ThreeLayerConvNet")["ThreeLayerConvNet"]
    assert verdict.verdict == UNTESTED
    assert "it calls conv_lrelu_pool_forward" in verdict.reason


def test_a_layer_is_blamed_where_another_gets_a_cache_of_the_networks_own(tmp_path):
    own_cache = ("= affine_backward(dout, fc)", "= affine_backward(dout, tuple([*fc]))")
    stored = ("+ (1 - momentum) * var", "+ (1 - momentum) * std**2")
    report = verdicts(tmp_path, catalogue.SOLUTION, "FullyConnectedNet", own_cache, stored)
    assert report["FullyConnectedNet"].verdict == RIGHT
    assert "batchnorm_forward (layers.py:" in "".join(report["FullyConnectedNet"].cautions)


def test_an_activation_with_arguments_of_its_own(tmp_path):
    path = tmp_path / "layers.py"
    path.write_text(
        "import numpy as np\n\n\ndef leaky_relu_forward(x, param):\n"
        "    return np.where(x > 0, x, param['alpha'] * x), (x, param)\n\n\n"
        "def leaky_relu_backward(dout, cache):\n"
        "    x, param = cache\n    return dout * np.where(x > 0, 1, param['alpha'])\n"
    )
    for verdict in check_path(str(path)).verdicts:
        assert verdict.verdict == UNTESTED
        assert "it takes (x, param)" in verdict.reason


@pytest.mark.parametrize(("strict", "expected"), [(False, RIGHT), (True, WRONG)])
def test_one_place_of_a_window_gets_dout_where_maxima_are_equal(tmp_path, strict, expected):
    row_and_column = (
        "r, q = np.unravel_index(np.argmax(window), window.shape)",
        "r, q = np.argmax(window.max(axis=1)), np.argmax(window.max(axis=0))",
    )
    text = catalogue.SOLUTION.read_text("utf-8").replace(*row_and_column)
    path = tmp_path / "layers.py"
    path.write_text(text, "utf-8")
    name = "max_pool_backward_naive"
    assert check_path(str(path), only=name, strict=strict)[name].verdict == expected
