"""Why code raises: the failing part of the line, its values, and what should stand there."""

import ast
import textwrap
import types

import numpy as np
import pytest

from handgrad.checker import RIGHT, WRONG, check_path, likely, structure
from handgrad.checker.edits import edits
from handgrad.checker.failures import explained
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.misshapen import explained as shape_explained
from handgrad.checker.records import Call, Config, Raised
from handgrad.checker.undisturbed import run

X = np.arange(12.0).reshape(4, 3)


@pytest.fixture
def words(tmp_path):
    """Return what is said of a body that raises, with x (4, 3) and out (4, 2) expected."""

    def of(body, x=X):
        path = tmp_path / "student.py"
        text = textwrap.indent(textwrap.dedent(body), "    ")
        path.write_text(f"import numpy as np\n\n\ndef f(x):\n{text}", "utf-8")
        space = {"__name__": "student"}
        code = compile(path.read_text("utf-8"), str(path), "exec")
        types.FunctionType(code, space)()
        raised = run(space["f"], x)
        assert isinstance(raised, Raised), raised
        found = explained(lambda: run(space["f"], x), raised, str(path), {"out": (4, 2)})
        return found.says if found else ""

    return of


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("for i in x.shape[0]:\n    pass", "must run over range(x.shape[0])"),
        ("return scorse", "nothing sets `scorse`"),
        ("scores = x\nreturn scorse", "is scores meant?"),
        ("return x[:, l]", "is the number 1 meant?"),
        ("for i in range(1, 1):\n    k = i\nreturn k", "makes no round"),
        ("if x is None:\n    k = 1\nreturn k", "which sets it, did not run"),
        ("p = {'W1': x}\nreturn p['w1']", "'W1' is meant"),
        ("return x.shpae", "shape is meant"),
        ("pair = (x, 1)\nreturn pair.shape", "take it apart"),
        ("y = None\nreturn y * 2", "`y` is None here"),
        ("return np.sum * 2", "it is not called"),
        ("k = 2\nreturn k(x)", "is a * missing"),
        ("return x.shape(0)", "taken with [ ]"),
        ("return x - np.max(x, axis=1)", "has lost that axis"),
        ("return x + np.ones((3, 4))", "transposed"),
        ("return np.ones((2, 3, 5)) * np.ones((1, 5, 3))", "`np.ones((2, 3, 5))`.transpose(0, 2, 1) fits"),
        ("g = np.ones(3)\nreturn np.ones((2, 3, 4, 5)) * g", "the shape (1, 3, 1, 1): reshape `g`"),
        ("mu = np.mean(x, 1)\nreturn np.zeros(3) + mu", "(line 5) runs over axis 1: over axis 0 it fits"),
        ("return np.zeros(3) + np.sum(x, axis=1)", "axis=1)` runs over axis 1: over axis 0 it fits"),
        ("return np.ones((2, 5)) * np.ones((2, 3))", "the last axis has 5 places in the one and 3 in"),
        ("pair = (x, 1)\nreturn pair['a']", "let forward store a dictionary"),
        ("return x.dot(np.ones((2, 3)))", "x with np.ones((2, 3)).T does"),
        ("return np.dot(x, np.ones((4, 5)))", "x.T with np.ones((4, 5)) does"),
        ("a, b, c = x.shape\nreturn a", "2 sizes, and is taken apart into 3 names"),
        ("s = (x[:1, :1] * x[:, :1]).squeeze()\nreturn s.reshape(2, 3)", "squeeze() of line 5"),
        ("out = np.zeros((4, 3))\nout += np.ones((4, 2))\nreturn out", "it must have (4, 2)"),
        ("for j in range(x.shape[0]):\n    y = x[0, j]\nreturn y", "j runs over range(x.shape[0]) (line 5)"),
        (
            "N, D = x.shape\nfor i in range(N):\n    for j in range(D):\n        y = x[j, i]\nreturn y",
            "stand in each other's place",
        ),
        ("for i in range(4):\n    y = x[i:i + 3] + np.ones((3, 3))\nreturn y", "reaches past the end"),
        ("return x[0, 0, 0]", "has 2 axes"),
        ("if x > 0:\n    return x", "asks for one answer"),
        ("return np.sum(x, axis=2)", "an axis that is not there"),
        ("y = np.zeros(3)\ny[0] = x[0]\nreturn y", "is one number"),
        ("def g(a, b):\n    return a\nreturn g(x)", "does not fit its arguments"),
    ],
)  # fmt: skip
def test_exceptions_are_explained(words, body, said):
    assert said in words(body)


def test_an_exception_in_another_file_names_that_file(tmp_path):
    (tmp_path / "deeper.py").write_text("def g(x):\n    return x.dto(x)\n", "utf-8")
    path = tmp_path / "layers.py"
    path.write_text("from deeper import g\n\n\ndef relu_forward(x):\n    return g(x), x\n", "utf-8")
    cause = check_path(str(path)).verdicts[0].causes[0]
    assert cause.says.startswith("deeper.py:2: `x`")
    assert "dot is meant" in cause.says
    assert cause.certain


BATCHNORM = """
import numpy as np


def affine_forward(x, w, b):
    return x.reshape(len(x), -1).dot(w) + b, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    dx = dout.dot(w.T).reshape(x.shape)
    return dx, x.reshape(len(x), -1).T.dot(dout), dout.sum(0){slip}


def relu_forward(x):
    return np.maximum(x, 0), x


def relu_backward(dout, x):
    return dout * (x > 0)
"""
SANDWICH = """
from layers import *


def affine_relu_forward(x, w, b):
    a, fc = affine_forward(x, w, b)
    out, relu = relu_forward(a)
    return out, (fc, relu)


def affine_relu_backward(dout, cache):
    fc, relu = cache
    return affine_backward(relu_backward(dout, relu), fc)
"""


@pytest.mark.parametrize("slip", ["", " / 2"])
def test_a_layer_that_is_called_is_blamed(tmp_path, slip):
    (tmp_path / "layers.py").write_text(BATCHNORM.format(slip=slip), "utf-8")
    path = tmp_path / "layer_utils.py"
    path.write_text(SANDWICH, "utf-8")
    forward, backward = check_path(str(path)).verdicts
    assert forward.verdict == RIGHT
    if not slip:
        assert backward.verdict == RIGHT
        return
    assert backward.verdict == WRONG
    (cause,) = backward.causes
    assert cause.name == "callee"
    assert cause.keys == ("db",)
    assert "affine_backward (layers.py:9), which it calls, is wrong" in cause.says
    # what it calls is its own again
    assert check_path(str(path)).verdicts[1].causes == backward.causes


def test_a_wrong_join_is_not_blamed_on_the_layers(tmp_path):
    (tmp_path / "layers.py").write_text(BATCHNORM.format(slip=""), "utf-8")
    path = tmp_path / "layer_utils.py"
    path.write_text(SANDWICH.replace("relu_backward(dout, relu)", "dout"), "utf-8")
    names = [cause.name for cause in check_path(str(path)).verdicts[1].causes]
    assert names == ["relu_missing"]


@pytest.mark.parametrize(
    ("came", "right", "name"),
    [
        ((1, 3, 1, 1), (3,), "axes_of_one"),
        ((4,), (4, 1), "axes_of_one"),
        ((3, 4), (4, 3), "transposed"),
        ((12,), (4, 3), "not_reshaped"),
        ((2, 4, 3), (2, 3, 4), "axes_exchanged"),
        ((3, 3), (3,), "outer"),
        ((5, 4, 3), (4, 3), "not_summed"),
        ((4,), (4, 3), "summed_too_far"),
        ((7,), (4, 3), None),
    ],
)
def test_shapes_are_explained(came, right, name):
    call = Call(Config("one", {"x": np.zeros((9, 9))}, ({},)), expected={"y": np.zeros(right)})
    call.got = {"y": np.zeros(came)}
    found = shape_explained("y", [call], KnownLayer("", list))
    assert (found[0] if found else None) == name


@pytest.mark.parametrize(
    ("dx", "name"),
    [("0", "constant"), ("1.5", "constant"), ("dout.sum()", "summed_too_far"), ("x[0]", None)],
)
def test_a_number_in_the_place_of_a_gradient_is_no_sum(tmp_path, dx, name):
    path = tmp_path / "layers.py"
    path.write_text(
        "import numpy as np\n\n\ndef relu_forward(x):\n    return np.maximum(x, 0), x\n\n\n"
        f"def relu_backward(dout, x):\n    dx = {dx}\n    return dx\n",
        "utf-8",
    )
    (cause,) = check_path(path).verdicts[1].causes
    assert (cause.name == name) if name else (cause.name != "constant")
    if name == "constant":
        assert cause.says == f"dx is the number {dx}, expected an array of shape (3, 4)"


@pytest.mark.parametrize(
    ("word", "known", "twin"),
    [
        ("out_h", ["out_w", "stride"], ["out_w"]),
        ("HH", ["WW", "HW", "H"], ["WW", "HW"]),
        ("pool_height", ["pool_width"], ["pool_width"]),
        ("i", ["j", "ii"], ["j"]),
        ("scores", ["stride"], []),
    ],
)
def test_twins_of_a_name(word, known, twin):
    assert sorted(likely.twins(word, known)) == sorted(twin)


def test_edits_at_the_failing_line_come_first():
    tree = ast.parse("def f(h, w):\n    a = h + 1\n    b = h + 2\n    return a, b\n").body[0]
    first = next(iter(edits(tree, [3])))
    assert first.statement.lineno == 3
    assert next(iter(edits(tree))).statement.lineno == 2


@pytest.mark.parametrize(("factor", "name"), [(1.5, "factor"), (1 + 1e-5, "unexplained")])
def test_what_is_nearly_one_is_no_factor(factor, name):
    x = np.arange(1.0, 5.0)
    calls = [
        Call(Config(f"{i}", {"x": x}), expected={"dw": x + i}, got={"dw": factor * (x + i)})
        for i in range(2)
    ]
    assert structure.describe("dw", calls, KnownLayer("", list)).name == name
