"""What the pages state of layers and update rules is so; rows as those of test_facts.py."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from handgrad import layers, nn, optim
from handgrad.errors import HandgradError
from handgrad.layers.chain import CHAINS

DOCS = Path(__file__).parents[2] / "docs"


def default(call, argument):
    return inspect.signature(call).parameters[argument].default


def softmax_targets():
    scores, rate = np.zeros((1, 4)), 0.1
    _, dx = layers.softmax_loss(scores, np.array([2]), label_smoothing=rate)
    return np.allclose(0.25 - dx[0], [rate / 4, rate / 4, 1 - rate + rate / 4, rate / 4])


def refuses_with(call, *words):
    """Whether a call ends in an error of the library whose message holds all words."""
    try:
        call()
    except HandgradError as error:
        return all(word in str(error) for word in words)
    return False


def conv(**param):
    return layers.conv_forward(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), np.zeros(1), param)


def takes(loss, argument):
    return argument in inspect.signature(getattr(layers, loss)).parameters


LOSSES = [name for name in layers.__all__ if name.endswith("_loss") and "temporal" not in name]


def running_mean_after_one_batch():
    bn_param = {"mode": "train"}
    layers.batchnorm_forward(
        np.array([[2.0], [2.0], [3.0], [3.0]]), np.ones(1), np.zeros(1), bn_param
    )
    return float(bn_param["running_mean"][0])


def corrected_statistics():
    """What a network's running mean is after three batches, and what the page's formula says."""
    net = nn.Sequential([nn.Affine(2), nn.BatchNorm()], (3,), rng=0)
    rng, r, a = np.random.default_rng(0), np.zeros(2), 0.9
    for _ in range(3):
        X = rng.standard_normal((8, 3)).astype(np.float32)
        net.loss(X, np.zeros(8, int))
        r = a * r + (1 - a) * net.activations(X)["affine1"].mean(axis=0)
    (mean,) = (value for name, value in net.buffers().items() if name.endswith("mean"))
    steps = [value for name, value in net.buffers().items() if name.endswith("steps")]
    return np.allclose(mean, r / (1 - a**3), rtol=1e-4) and [int(one) for one in steps] == [3]


def one_batch_of_one_row():
    out, _ = layers.batchnorm_forward(
        np.array([[3.0, -1.0]]), np.ones(2), np.full(2, 0.5), {"mode": "train"}
    )
    return np.allclose(out, 0.5)


def pools():
    x, window = np.arange(16.0).reshape(1, 1, 4, 4), {"pool_height": 2, "pool_width": 2}
    out, _ = layers.max_pool_forward(x, window)
    low, _ = layers.max_pool_forward(-1 - x, {**window, "pad": 1})
    counted, _ = layers.avg_pool_forward(x + 1, {**window, "pad": 1})
    return out.shape == (1, 1, 2, 2) and low[0, 0, 0, 0] == -1 and counted[0, 0, 0, 0] == 0.25


def transposed_is_dx():
    rng = np.random.default_rng(0)
    x, w, dout = (
        rng.standard_normal((1, 2, 6, 6)),
        rng.standard_normal((3, 2, 3, 3)),
        rng.standard_normal((1, 3, 6, 6)),
    )
    _, cache = layers.conv_forward(x, w, np.zeros(3), {"pad": 1})
    out, _ = layers.conv_transpose_forward(dout, w, np.zeros(2), {"pad": 1})
    return np.allclose(layers.conv_backward(dout, cache)[0], out)


def p_keeps():
    kept, _ = layers.dropout_forward(np.ones(20000), {"mode": "train", "p": 0.25, "seed": 0})
    return abs(np.mean(kept > 0) - 0.25) < 0.02


FACTS = [
    (
        "layers.md",
        'the nearest one: for `{"padding": 1}`, `pad`',
        lambda: refuses_with(lambda: conv(padding=1), "padding", "pad", "stride"),
    ),
    (
        "layers.md",
        "begin at zero, as in the courses: `r <- 0.9 r + 0.1 s`",
        lambda: np.isclose(running_mean_after_one_batch(), 0.25),
    ),
    ("layers.md", "then `c` equals `r / (1 - m^t)`", corrected_statistics),
    ("layers.md", "the normalised output does not depend on the input", one_batch_of_one_row),
    ("layers.md", "Padding is never a maximum", pools),
    ("layers.md", "its output is the `dx` of the convolution", transposed_is_dx),
    (
        "layers.md",
        "All losses except `svm_loss` take `sample_weight`",
        lambda: [one for one in LOSSES if not takes(one, "sample_weight")] == ["svm_loss"],
    ),
    (
        "layers.md",
        "`softmax_loss` and `focal_loss` also take `class_weight`",
        lambda: (
            {one for one in LOSSES if takes(one, "class_weight")} == {"softmax_loss", "focal_loss"}
        ),
    ),
    (
        "questions.md",
        "2.303 is ln 10",
        lambda: np.isclose(
            layers.softmax_loss(np.zeros((3, 10)), np.array([1, 2, 9]))[0], 2.303, atol=5e-4
        ),
    ),
    ("questions.md", "The probability to keep a unit", p_keeps),
    ("questions.md", "The usual 0.00001", lambda: default(nn.BatchNorm, "eps") == 1e-5),
    (
        "questions.md",
        "`pad` may be a pair: rows and columns",
        lambda: conv(pad=(1, 2))[0].shape == (1, 1, 4, 6),
    ),
    (
        "update-rules.md",
        "| [`adadelta`](reference/rules/adadelta.rst) | needs no learning rate of its own |",
        lambda: optim.settings_of("adadelta")["learning_rate"] == 1.0,
    ),
    (
        "update-rules.md",
        "| [`adamw`](reference/rules/adamw.rst) | Adam, with decay beside the gradient |",
        lambda: (
            optim.adamw(np.ones(1), np.zeros(1), {"learning_rate": 0.1, "weight_decay": 0.5})[0][0]
            == 0.95
        ),
    ),
    (
        "layers.md",
        "takes 0.1 of the target from the true class and spreads it evenly over all classes",
        softmax_targets,
    ),
    (
        "layers.md",
        "`affine_relu`, `affine_bn_relu`, `conv_bn_relu_pool`, `bn_gelu`",
        lambda: {"affine_relu", "affine_bn_relu", "conv_bn_relu_pool", "bn_gelu"} <= set(CHAINS),
    ),
]


@pytest.mark.parametrize(("page", "sentence", "holds"), FACTS, ids=[row[1][:40] for row in FACTS])
def test_fact(page, sentence, holds):
    text = re.sub(r"\s+", " ", (DOCS / page).read_text("utf-8"))
    assert sentence in text
    assert holds()
