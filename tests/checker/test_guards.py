"""Guards of the logarithm in softmax losses: up to 1e-7 they cost no points."""

import pytest
from checker import catalogue
from checker.test_strangers_again import LINEAR, NET

from handgrad.checker import RIGHT, WRONG, check_path

LOSS = """
import numpy as np

def softmax_loss(x, y):
    N = x.shape[0]
    e = np.exp(x - x.max(axis=1, keepdims=True))
    total = e.sum(axis=1, keepdims=True)
    p = e / total
    loss = -np.log(p[np.arange(N), y]).mean()
    dx = p.copy()
    dx[np.arange(N), y] -= 1
    return loss, dx / N
"""
PICKED = "np.log(p[np.arange(N), y])"


def verdict_on(tmp_path, text, function="softmax_loss", strict=False):
    path = tmp_path / "layers.py"
    path.write_text(text)
    return check_path(str(path), only=function, strict=strict)[function]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (PICKED, "np.log(p[np.arange(N), y] + {eps})", "is added to p"),
        (PICKED, "np.log(np.maximum(p[np.arange(N), y], {eps}))", "p is at least"),
        (PICKED, "np.log(np.clip(p[np.arange(N), y], {eps}, 1 - {eps}))", "p is kept within"),
        ("keepdims=True))\n", "keepdims=True)) + {eps}\n", "is added to the exponentials"),
        ("p = e / total", "p = e / (total + {eps})", "is added to the sum"),
    ],
)
def test_a_guard_is_a_note_up_to_1e_7(tmp_path, old, new, words):
    assert old in LOSS
    for eps in ("1e-7", "1e-8", "1e-12"):
        verdict = verdict_on(tmp_path, LOSS.replace(old, new.format(eps=eps)))
        assert verdict.verdict == RIGHT, eps
        if eps == "1e-7":
            assert words in "".join(verdict.cautions)
    assert verdict_on(tmp_path, LOSS.replace(old, new.format(eps="0.3"))).verdict == WRONG
    text = LOSS.replace(old, new.format(eps="1e-7"))
    assert verdict_on(tmp_path, text, strict=True).verdict == WRONG


def test_a_guard_hides_no_mistake(tmp_path):
    text = LOSS.replace(PICKED, "np.log(p[np.arange(N), y] + 1e-7)")
    for old, new in ((".mean()", ".sum()"), ("-= 1", "-= 1.0001"), (" -np.log", " 1e-6 - np.log")):
        assert old in text
        assert verdict_on(tmp_path, text.replace(old, new)).verdict == WRONG, new


def test_guards_of_assignment_1(tmp_path):
    text = LINEAR.replace("np.log(p[np.arange(N), y])", "np.log(p[np.arange(N), y] + 1e-7)")
    verdict = verdict_on(tmp_path, text, "softmax_loss_vectorized")
    assert verdict.verdict == RIGHT
    assert "1e-07 is added to p" in verdict.cautions[0]
    old = "-np.log(p[rows, y]).mean()"
    assert old in NET
    net = verdict_on(tmp_path, NET.replace(old, "-np.log(p[rows, y] + 1e-7).mean()"), "TwoLayerNet")
    assert net.verdict == RIGHT
    assert "1e-07 is added to p" in "".join(net.cautions)
    wrong = NET.replace(old, "-np.log(p[rows, y] + 1e-3).mean()")
    assert verdict_on(tmp_path, wrong, "TwoLayerNet").verdict == WRONG


def test_a_network_whose_loss_has_a_guard(tmp_path):
    text = catalogue.SOLUTION.read_text("utf-8")
    old = "loss = -np.sum(log_probs[np.arange(N), y]) / N"
    assert old in text
    for eps, expected in (("1e-7", RIGHT), ("1e-4", WRONG)):
        new = f"loss = -np.sum(np.log(probs[np.arange(N), y] + {eps})) / N"
        verdict = verdict_on(tmp_path, text.replace(old, new), "FullyConnectedNet")
        assert verdict.verdict == expected
    assert verdict.causes[0].name == "callee"


def test_a_guard_beside_another_mistake(tmp_path):
    old = "-np.log(p[rows, y]).mean()"
    text = NET.replace(old, "-np.log(p[rows, y] + 1e-7).mean()")
    wrong = text.replace("reg * (np.sum(W1 * W1)", "reg * (0.5 * np.sum(W1 * W1)")
    assert wrong != text
    (cause, *_) = verdict_on(tmp_path, wrong, "TwoLayerNet").causes
    assert "where reg > 0" in cause.says or "reg" in cause.says


def test_no_guard_is_claimed_that_nobody_sees(tmp_path):
    verdict = verdict_on(tmp_path, LOSS.replace("dx / N", "dx"))
    assert not any("is added to" in says for says in verdict.cautions)
