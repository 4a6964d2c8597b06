"""Advice of the checker on students' mistakes: shapes, tuples, batches, and NumPy that is replaced."""

from __future__ import annotations

import re

import pytest
from advice.rows import follows, refused, said
from checker import test_assignments

from handgrad import checker

HEAD = "import numpy as np\n\n\n"
HALF = """
def half(x):
    return x / 2, 1

def relu_forward(x):
    {line}
    return 2 * np.maximum(0, {use}), x
"""


def verdict_on(path, code):
    path.write_text(HEAD + code.strip("\n") + "\n", "utf-8")
    (verdict,) = checker.check_path(path).verdicts
    return verdict


def advised(path, code, pattern):
    """What the likeliest cause of a verdict advises."""
    return said(verdict_on(path, code).causes[0].says, pattern)


@follows("every step has the same batch: draw it inside of the loop")
def one_batch_for_all_steps(tmp_path):
    loop, draw = "for _ in range(num_iters):\n", "rows = np.random.choice(len(X), batch_size)\n"
    inside, before = f"{loop}            {draw}", f"{draw}        {loop}"

    def judged(*changes):
        report = test_assignments.check(tmp_path, *changes, only="LinearClassifier")
        return report["LinearClassifier.train"]

    (cause,) = judged((inside, before)).causes
    assert said(cause.says, "draw it (inside of) the loop")
    assert judged((inside, before), (before, inside)).verdict == "right"


@follows("with which the checker computes: leave NumPy as it is")
@pytest.mark.parametrize("replaced", ["np.abs", "np.asarray"])
def functions_of_numpy_that_a_file_replaces(tmp_path, replaced):
    code = "{}\n\ndef relu_forward(x):\n    return np.maximum(0, x), x"
    message = refused(lambda: verdict_on(tmp_path / "layers.py", code.format(f"{replaced} = None")))
    assert said(message, "replaces (.*), with which") == replaced
    assert verdict_on(tmp_path / "layers.py", code.format("")).verdict == "right"


@follows(
    "which has no {wanted}: take it apart, as in out, cache = ...",
    ": take it apart, as in out, cache = ...",
)
@pytest.mark.parametrize("use", ["out.copy()", "(out / 1)"])
def tuples_that_are_used_as_arrays(tmp_path, use):
    path = tmp_path / "layers.py"
    way = advised(path, HALF.format(line="out = half(x)", use=use), "as in (.*= )\\.\\.\\.")
    assert verdict_on(path, HALF.format(line=f"{way}half(x)", use=use)).verdict == "right"


@follows(": call it with ( )")
def functions_that_are_not_called(tmp_path):
    path = tmp_path / "layers.py"
    code = HALF.format(line="ready = lambda: half(x)", use="ready[0]")
    name, way = advised(path, code, "^`(.*)` is"), advised(path, code, "call it with (.*?) \\(Type")
    assert verdict_on(path, code.replace(f"{name}[", f"{name}{way}[")).verdict == "right"


@follows("compare number by number, or write np.where or a mask")
def comparisons_of_whole_arrays(tmp_path):
    path = tmp_path / "layers.py"
    code = "def relu_forward(x):\n    {}\n    return out, x"
    says = advised(
        path, code.format("if x > 0:\n        out = x\n    else:\n        out = 0 * x"), "(.*)"
    )
    test = said(says, "^`(.*?)` compares")
    number = test.replace("x", "x[i]")
    for way, line in [
        ("number by number",
         "out = np.zeros(x.shape)\n    for i in np.ndindex(x.shape):\n"
         f"        if {number}:\n            out[i] = x[i]"),
        ("np.where", f"out = np.where({test}, x, 0)"),
        ("a mask", f"mask = {test}\n    out = x * mask"),
    ]:  # fmt: skip
        assert way in says
        assert verdict_on(path, code.format(line)).verdict == "right", way


@follows("reshape it, or give squeeze its axis")
@pytest.mark.parametrize(
    ("way", "new"), [("reshape it", "reshape(x.shape)"), ("give squeeze its axis", "squeeze(axis=1)")]
)  # fmt: skip
def axes_of_one_that_squeeze_drops(tmp_path, way, new):
    path = tmp_path / "layers.py"
    code = """
def relu_forward(x):
    size = np.abs(x[:, None]).squeeze()
    size = size.reshape(len(size), *x.shape[1:])
    sign = np.sign(x[:, None]).squeeze()
    sign = sign.reshape(len(sign), *x.shape[1:])
    return size * (sign + 1) / 2, x
"""
    lines = (HEAD + code.strip("\n")).splitlines()
    line = int(advised(path, code, f"squeeze\\(\\) of line (\\d+) .*{way}"))
    assert "squeeze()" in lines[line - 1]
    assert verdict_on(path, code.replace("squeeze()", new)).verdict == "right"


SOFTMAX = """
def softmax_loss(x, y):
    N = len(x)
    most = np.max(x, axis=1)
    dx = np.exp(x - most)
    total = np.sum(dx, axis=1)
    dx = dx / total
    loss = -np.mean(np.log(dx[np.arange(N), y]))
    dx[np.arange(N), y] -= 1
    return loss, dx / N
"""
STACKED = """
def relu_forward(x):
    both = np.stack([x, -x], axis=1)
    most = np.max(both, axis=1)
    apart = both - most
    total = np.sum(apart, axis=1)
    apart = apart - total
    return (x + (apart.sum(axis=1) / 2)) / 2, x
"""


@follows("{lost}, or keepdims=True")
@pytest.mark.parametrize("way", ["axis", "keepdims"])
@pytest.mark.parametrize(
    ("code", "lost"), [(SOFTMAX, "[:, None]"), (STACKED, "an axis 1 of size 1")]
)
def axes_that_a_sum_has_lost(tmp_path, code, lost, way):
    path = tmp_path / "layers.py"
    says = advised(path, code, "(.*)")
    assert said(says, f"give `most` ({re.escape(lost)}), or keepdims")
    new = code
    for name in ("most", "total"):
        if way == "keepdims":
            new = re.sub(rf"({name} = .*axis=1)", rf"\1, {said(says, '(keepdims=True)')}", new)
        else:
            axis = "[:, None]" if lost.startswith("[") else ".reshape(len(x), 1, *x.shape[1:])"
            new = re.sub(rf"([-/]) {name}\b", rf"\1 {name}{axis}", new)
    assert verdict_on(path, new).verdict == "right", new


@follows(
    "asks for a key, but `{quoted(node.value)}` is {described(owner)}: take it apart by position, or let "
    "forward store a dictionary",
    ": take it apart by position, or let forward store a dictionary",
    "take it apart by position, or let forward store a dictionary",
)
def caches_that_are_no_dictionaries(tmp_path):
    code = """
def relu_forward(x):
    return np.maximum(0, x), {cache}

def relu_backward(dout, cache):
    return dout * ({x} > 0)
"""
    path = tmp_path / "layers.py"

    def judged(cache, x):
        path.write_text(HEAD + code.format(cache=cache, x=x), "utf-8")
        return checker.check_path(path)["relu_backward"]

    says = judged("(x, 1)", "cache['x']").causes[0].says
    for way, cache, x in [
        ("take it apart by position", "(x, 1)", "cache[0]"),
        ("let forward store a dictionary", "{'x': x}", "cache['x']"),
    ]:
        assert way in says
        assert judged(cache, x).verdict == "right", way


@follows("took a list of indices as a tuple: write")
def lists_of_indices(tmp_path):
    code = """
def svm_loss(x, y):
    place = {place}
    margins = np.maximum(0, x - x[place][:, None] + 1)
    margins[place] = 0
    dx = (margins > 0) * 1.0
    dx[place] -= dx.sum(axis=1)
    return margins.sum() / len(x), dx / len(x)
"""
    path = tmp_path / "layers.py"
    new = advised(path, code.format(place="[np.arange(len(x)), y]"), "as a tuple: write `(.*)`")
    assert verdict_on(path, code.format(place=new)).verdict == "right"


@follows("is wrong: mend that first")
def forwards_that_are_to_be_mended_first(tmp_path):
    code = """
def layernorm_forward(x, gamma, beta, param):
    eps, centred = param.get("eps", 1e-5), x - x.mean(axis=1, keepdims=True)
    var = x.var(axis=1, keepdims=True)
    hat = centred / ({root})
    return gamma * hat + beta, (hat, gamma, np.sqrt(var + eps), centred)

def layernorm_backward(dout, cache):
    hat, gamma, std, centred = cache
    g, xhat = dout * gamma, centred / std
    dx = g - g.mean(axis=1, keepdims=True) - xhat * (g * xhat).mean(axis=1, keepdims=True)
    return dx / std, (dout * hat).sum(axis=0), dout.sum(axis=0)
"""
    path = tmp_path / "layers.py"

    def judged(root):
        path.write_text(HEAD + code.format(root=root), "utf-8")
        return checker.check_path(path)

    report = judged("np.sqrt(var) + eps")
    name = said(report["layernorm_backward"].causes[0].says, "and (.*) is wrong: mend that first")
    assert report[name].verdict == "WRONG"
    assert judged("np.sqrt(var + eps)").exit_code == 0
