# ruff: noqa: E501  (one bug a line)
"""Kinds of mistakes, and of right code, that were found in strangers' files: planted in the solution."""

import numpy as np
import pytest
from checker import catalogue
from checker.needs import needs_a_copy

from handgrad.checker import RIGHT, WRONG, check_path, repair
from handgrad.checker.records import Call, Config
from handgrad.checker.undisturbed import run


@pytest.fixture
def judged(tmp_path):
    """Return the verdict on a function of the solution with some of its text changed."""

    def judge(function, *changes, strict=False, only=None):
        text = catalogue.SOLUTION.read_text("utf-8")
        start = text.index(f"\nclass {function}" if function[0].isupper() else f"\ndef {function}(")
        stop = min(
            i for i in (text.find(f"\n{word} ", start + 5) for word in ("def", "class")) if i > 0
        )
        body = catalogue.changed(text[start:stop], *changes)
        path = tmp_path / "layers.py"
        path.write_text(text[:start] + body + text[stop:], "utf-8")
        report = check_path(str(path), only=only or function, strict=strict)
        return report[only or function]

    return judge


IN_PLACE = ("out = np.maximum(0, x)", "out = x\n    out[out < 0] = 0")


def test_an_input_may_change_in_place(judged):
    verdict = judged("relu_forward", IN_PLACE)
    assert verdict.verdict == RIGHT
    assert verdict.cautions[0] == "forward changes its input x in place"
    causes = judged("relu_forward", IN_PLACE, strict=True).causes
    assert "input_changed" in [cause.name for cause in causes]


MATRICES = ("np.random.rand(*x.shape)", "np.random.rand(x.shape[0], x.shape[1])")


def test_dropout_may_take_matrices_alone(judged):
    verdict = judged("dropout_forward", MATRICES)
    assert verdict.verdict == RIGHT
    assert "with x of 4 dimensions, it raises ValueError" in verdict.cautions[0]
    assert judged("dropout_forward", MATRICES, strict=True).verdict == WRONG


def test_dropout_backward_beside_a_forward_that_does_more(judged):
    more = ("out = x * mask", "out = np.maximum(0, x) * mask")
    assert judged("dropout_forward", more, only="dropout_backward").verdict == RIGHT
    assert judged("dropout_forward", more).verdict == WRONG
    other = ("dx = dout * mask", "dx = dout * mask[::-1]")
    assert judged("dropout_backward", other).verdict == WRONG


def test_a_batch_norm_of_its_own_cache(tmp_path):
    text = catalogue.SOLUTION.read_text("utf-8")
    start, stop = text.index("def batchnorm_forward"), text.index("def batchnorm_backward(")
    own = text[start:stop].replace("batchnorm_forward", "batchnorm_forward_alt")
    own = own.replace("cache = (mode, x, xmu, std, xhat, gamma)", "cache = (xhat, gamma, std)")
    backward = """
def batchnorm_backward_alt(dout, cache):
    xhat, gamma, std = cache
    dx = gamma / std * (dout - dout.mean(0) - xhat * (dout * xhat).mean(0))
    return dx, (dout * xhat).sum(0), dout.sum(0)
"""
    path = tmp_path / "layers.py"
    path.write_text(text[:start] + own + text[start:] + backward, "utf-8")
    report = check_path(str(path))
    assert report["batchnorm_backward_alt"].verdict == RIGHT
    assert report["batchnorm_forward_alt"].verdict == RIGHT
    assert report["batchnorm_backward"].verdict == RIGHT


def test_an_empty_config_may_be_refused(judged):
    late = (
        'config = {}\n    config.setdefault("learning_rate", 1e-2)',
        'config = {"learning_rate": 1e-2}',
    )
    verdict = judged("sgd_momentum", late)
    assert verdict.verdict == RIGHT
    assert "with the config {}, it raises KeyError" in verdict.cautions[0]


def test_a_network_of_one_hidden_layer(judged):
    verdict = judged(
        "FullyConnectedNet",
        ("self.dropout_param = {}", "self.dropout_param = {}\n        hidden_dims[1]"),
    )
    assert verdict.verdict == WRONG
    assert "one hidden layer" in verdict.causes[0].says


def test_the_other_scenarios_where_one_lacks_a_layer(tmp_path):
    text = catalogue.SOLUTION.read_text("utf-8").replace("+ self.reg * W", "+ 2 * self.reg * W")
    start, stop = text.index("def dropout_forward"), text.index("def dropout_backward")
    text = text[:start] + "def dropout_forward(x, dropout_param):\n    pass\n\n\n" + text[stop:]
    path = tmp_path / "fc_net.py"
    path.write_text(text, "utf-8")
    verdict = check_path(str(path), only="FullyConnectedNet")["FullyConnectedNet"]
    assert verdict.verdict == WRONG


@pytest.mark.parametrize(
    ("function", "changes", "name", "words"),
    [
        ("adam", [('config["m"], config["v"], config["t"] = m', 'config["v"], config["m"], config["t"] = m'),
                  ('config["m"] + (1 -', 'config["v"] + (1 -'), ('v = beta2 * config["v"]', 'v = beta2 * config["m"]')],
         "moments_exchanged", "m and v are exchanged"),
        ("adam", [("beta1**t", "beta1**2"), ("beta2**t", "beta2**2")],
         "correction_fixed_power", "1 - beta**2"),
        ("spatial_groupnorm_forward", [
            ("groups = x.reshape(N, G, C // G, H, W)", "groups = x.reshape(N * G, -1)"),
            ("axis=(2, 3, 4), keepdims=True", "axis=0")], "wrong_axis", "axis 0 of the rows"),
        ("conv_forward_naive", [("H_out = 1 + (H + 2 * pad - HH) // stride", "H_out = (H + 2 * pad) // stride")],
         "output_size", "1 + (H + 2 pad - HH) // stride"),
        ("conv_forward_naive", [("out = np.zeros((N, F, H_out, W_out))", "out = np.zeros((N, F, H_out, W_out, 1))"),
                                ("np.sum(window * w[f])", "np.sum(window * w[f] / 2)")],
         "axes_of_one", "axes of size 1 are left over"),
        ("layernorm_backward", [("dxhat = dout * gamma", "dxhat = dout"), ("D * dxhat - np.sum(dxhat, axis=1, keepdims=True)", "D * dxhat - np.sum(dxhat, axis=0)"), ("dx / (D * std)", "gamma * dx / (D * std)")],
         "gamma_outside", "as in batch norm's formula"),
        ("batchnorm_backward_alt", [("dx = gamma / (N * std) * (N * dout - dbeta - xhat * dgamma)",
                                     "dx = dout * gamma / std * (1 - 1 / N - xhat**2 / N)")],
         "elementwise_dx", "alone"),
        ("FullyConnectedNet", [("softmax_loss(", "softmax_los(")], "raises", "nothing sets `softmax_los`"),
        ("rmsprop", [('config["learning_rate"] * dw / (np.sqrt(cache) + config["epsilon"])',
                      '(config["learning_rate"] / np.sqrt(cache) + config["epsilon"]) * dw')],
         "epsilon_outside", "a parenthesis is missing"),
        ("FullyConnectedNet", [('bn_param["mode"] = mode', 'bn_param["mode"] = mode\n                bn_param.pop("running_mean", 0)\n                bn_param.pop("running_var", 0)')],
         "running_lost", "made anew"),
        ("dropout_forward", [("out = x * mask", "out = np.maximum(0, x) * mask")], "mask_of_x", "negative x"),
    ],
)  # fmt: skip
def test_kinds_are_named(judged, function, changes, name, words):
    verdict = judged(function, *changes)
    assert verdict.verdict == WRONG
    first = verdict.causes[0]
    assert first.certain, verdict.causes
    if name:
        assert first.name == name, verdict.causes
    assert words in first.says


def test_exchanged_places_are_named(judged):
    right = "dx_pad[n, :, h : h + HH, v : v + WW] +="
    changes = [(right, "dx_pad[n, :, v : v + HH, h : h + WW] +=")]
    verdict = judged("conv_backward_naive", *changes)
    assert verdict.verdict == WRONG
    first = verdict.causes[0]
    assert first.certain
    # by the edit that mends it, or where there is no time to search for it, by the line that raises
    assert first.name in ("repair", "raises")
    assert "in place of" in first.says or "takes places" in first.says


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ([("reg * np.sum(W * W)", "np.sum(W * W)")], "regulariser_without_reg", "not multiplied"),
        (
            [
                ("    loss /= N\n    dW /= N\n", ""),
                ("loss += reg * np.sum(W * W)", "pass"),
                ("dW += 2 * reg * W", "pass"),
            ],
            "not_averaged_nor_regularised",
            "divide it by N, and add that",
        ),
        (
            [
                (
                    "        scores = X[i].dot(W)\n",
                    "        scores = X[i].dot(W)\n        loss, dW = 0.0, np.zeros(W.shape)\n",
                )
            ],
            "last_row_alone",
            "counts the last row alone",
        ),
        (
            [("                dW[:, y[i]] -= X[i]\n", ""), ("2 * reg * W", "reg * W")],
            "own_class_gradient",
            "also, the regulariser's gradient is half",
        ),
    ],
)
def test_slips_of_a_linear_classifier(tmp_path, changes, name, words):
    text = catalogue.SOLUTION.with_name("students").joinpath("assignments.py").read_text("utf-8")
    stop = text.index("def svm_loss_vectorized")
    body = catalogue.changed(text[:stop], *changes)
    path = tmp_path / "linear_svm.py"
    path.write_text(body, "utf-8")
    (first, *_) = check_path(str(path), only="svm_loss_naive").verdicts[0].causes
    assert words in first.says
    assert first.name == name


def test_a_sandwich_with_layer_norm_by_a_students_word(tmp_path):
    text = catalogue.SOLUTION.read_text("utf-8")
    text += """

def affine_layernorm_relu_forward(x, w, b, gamma, beta, ln_param):
    a, fc = affine_forward(x, w, b)
    n, norm = layernorm_forward(a, gamma, beta, ln_param)
    out, relu = relu_forward(n)
    return out, (fc, norm, relu)


def affine_layernorm_relu_backward(dout, cache):
    fc, norm, relu = cache
    dn, dgamma, dbeta = layernorm_backward(relu_backward(dout, relu), norm)
    dx, dw, db = affine_backward(dn, fc)
    return dx, dw, db, dgamma, dbeta
"""
    path = tmp_path / "layer_utils.py"
    path.write_text(text, "utf-8")
    report = check_path(str(path), only="affine_layernorm_relu_forward")
    assert [one.verdict for one in report.verdicts] == [RIGHT, RIGHT]


def _slipping(x, s):
    y = x * 2
    if s > 1:
        y = y + 1
    return y


@needs_a_copy
def test_an_edit_that_mends_most_configurations_is_told():
    def results(function, call):
        return {"out": run(function, call.arrays["x"], call.options[0])}

    calls = []
    for s in (1, 1, 1, 2):
        x = np.arange(1.0, 4.0) + len(calls)
        call = Call(Config(f"s {s}", {"x": x}, (s,)), expected={"out": 3 * x})
        call.got = results(_slipping, call)
        calls.append(call)
    found = repair.find(repair.Rerun(_slipping, results), calls, ["out"])
    assert "`y = x * 3` in place of `y = x * 2`" in found.words
    assert found.words.endswith("(so in 3 of 4 wrong configurations)")
    # one configuration that is right now must stay so
    x = np.array([1.0, 5.0])
    calls.append(Call(Config("right", {"x": x}, (1,)), expected={"out": 2 * x}, got={"out": 2 * x}))
    assert repair.find(repair.Rerun(_slipping, results), calls, ["out"]) is None
