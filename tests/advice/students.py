"""Advice of the checker on students' files: old Python, old NumPy, networks."""

from __future__ import annotations

import functools
import importlib.util
import io
import sys

import numpy as np
import pytest
from advice.networks import Net, X
from advice.rows import follows, refused, said
from checker import catalogue

import handgrad
from handgrad import checker
from handgrad.checker import models as model_judge
from handgrad.checker import relics

LAYER = """
import functools
import importlib
import numpy as np

def old(x, n):
    {code}

def relu_forward(x):
    old(np.ones({size}), 4)
    return np.maximum(0, x), x
"""
WRITE = r"write (.+?)(?: \(|, | around|$)"


def verdict_on(path, code, size=2):
    path.write_text(LAYER.format(code=code, size=size))
    return checker.check_path(path)["relu_forward"]


@follows(
    "{full} is gone from NumPy (1.24): write",
    "{full} is gone from NumPy: write",
    "np.{found[1]}.{name} is gone from NumPy: write np.{name}",
    ": write {new}",
    "{name} is gone from Python 3: write",
    "makes no list in Python 3: write list(...) around it",
    "newshape= is gone from np.reshape (NumPy 2.1): write shape=, or no name",
    "an array of one number is no number any more: write x.item(), or x[0]",
    "np.sum takes no generator any more: write sum(...)",
    "it stacks no generator any more: write list(...) around it",
)
@pytest.mark.parametrize(
    ("code", "old"),
    [
        ("np.zeros(2, np.int)", "np.int"),
        ("np.lib.pad(np.ones(2), 1)", "np.lib.pad"),
        ("np.zeros(2, dtype=np.float)", "np.float"),
        ("np.product([2, 3])", "np.product"),
        ("np.in1d([1], [1])", "np.in1d"),
        ("max(1, np.Inf)", "np.Inf"),
        ("x.ptp()", "x.ptp()"),
        ("list({1: 2}.iteritems())", ".iteritems()"),
        ("unicode(1)", "unicode"),
        ("reduce(max, [1, 2])", "reduce"),
        ("map(len, ['a'])[0]", "map(len, ['a'])"),
        ("{1: 2}.keys()[0]", "{1: 2}.keys()"),
        ("np.reshape(x, newshape=(1, 1))", "newshape="),
        ("float(x)", "x"),
        ("np.sum(k for k in [1])", "k for k in [1]"),
        ("np.hstack(np.ones(2) for k in [1])", "np.ones(2) for k in [1]"),
    ],
)
def what_is_gone(tmp_path, code, old):
    verdict = verdict_on(tmp_path / "layers.py", code, size=1)
    if verdict.verdict == "right":
        pytest.skip(f"NumPy {np.__version__} still has it")
    (cause,) = verdict.causes
    ways = [said(cause.says, WRITE).replace("...", old)]
    if ", or" in cause.says:
        ways.append(said(cause.says, ", or (no name|.*)$").replace("no name", ""))
    for way in ways:
        new = code.replace(f"({old})", f"({way})") if old == "x" else code.replace(old, way)
        assert verdict_on(tmp_path / "layers.py", new, size=1).verdict == "right", new


@follows("stats.mode(x)[0] is a number, no array, since SciPy 1.11: write mode(x)[0]")
def a_mode_of_old_scipy(tmp_path):
    pytest.importorskip("scipy", minversion="1.11")
    code = "__import__('scipy.stats').stats.mode([1, 1])[0][0]"
    (cause,) = verdict_on(tmp_path / "layers.py", code, size=1).causes
    new = said(cause.says, r"write (.*)$").replace("x", "[1, 1]")
    code = code.replace("mode([1, 1])[0][0]", new)
    assert verdict_on(tmp_path / "layers.py", code, size=1).verdict == "right"


@follows("range answers here; write range")
def xrange_is_gone(tmp_path):
    file = tmp_path / "layers.py"
    file.write_text(LAYER.format(code="return [i for i in xrange(n)]", size=2))
    old = str(checker.check_path(file))
    new = said(old, r"range answers here; write (\w+)")
    file.write_text(file.read_text().replace("xrange", new))
    assert "xrange is gone" not in str(checker.check_path(file))


@follows(
    "{full} is gone from NumPy: write", ".{found[1]}() is gone from Python 3: write {new}",
    "x.{found[1]}() is gone from NumPy (2.0): write {new}",
)  # fmt: skip
@pytest.mark.parametrize(
    "table", [relics._ALIASES, relics._RENAMED, relics._METHODS, relics._NAMES, relics._OF_DICTS]
)
def names_that_came_in_their_place(table):
    """Each name of the tables exists."""
    for new in dict.fromkeys(table.values()):
        names = {
            "np": np, "functools": functools, "importlib": importlib, "x": np.ones((1, 1)),
            "low": 0, "high": 3, "index": (0, 0), "value": 2.0, "a": 1, "b": 2, "key": 1,
            "d": {1: 2}, "io": io,
        }  # fmt: skip
        code = new.replace("dtype=...", "dtype=float")
        code = code.replace("open(...)", "io.StringIO('pass')")
        exec(f"d{code}" if code.startswith(".") else code, names)


@follows("/ makes a float in Python 3: write // for whole numbers, in `{text}`")
@pytest.mark.parametrize("code", ["range(n / 2)", "x[n / 4]", "k = (n + 2) / 3; np.zeros((k, n))"])
def divisions_of_whole_numbers(tmp_path, code):
    (cause,) = verdict_on(tmp_path / "layers.py", code).causes
    text = said(cause.says, "in `(.*)`$")
    new = code.replace(text, text.replace("/", said(cause.says, "write (//) ")))
    assert verdict_on(tmp_path / "layers.py", new).verdict == "right"


@follows(
    "a print statement of Python 2: write print(...)",
    "an exec statement of Python 2: write exec(...)",
    "`except Error, name` of Python 2: write `except Error as name`",
    "`raise Error, text` of Python 2: write `raise Error(text)`",
    "`<>` of Python 2: write !=",
    "{what} (Python 2 wrote 0777 and 10L: write 0o777 and 10)",
)
@pytest.mark.parametrize(
    ("code", "old", "names"),
    [
        ("print 'a'", "print 'a'", {"...": "'a'"}),
        ("exec 'a = 1'", "exec 'a = 1'", {"...": "'a = 1'"}),
        ("try: n\n    except ValueError, e: n", "except ValueError, e",
         {"Error": "ValueError", "name": "e"}),
        ("if n < 0: raise ValueError, 'a'", "raise ValueError, 'a'",
         {"Error": "ValueError", "text": "'a'"}),
        ("n <> 2", "<>", {}),
        ("n + 0777", "0777", {" and 10": ""}),
        ("n + 10L", "10L", {"0o777 and ": ""}),
    ],
)  # fmt: skip
def files_of_python_2(tmp_path, code, old, names):
    path = tmp_path / "layers.py"
    way = said(refused(lambda: verdict_on(path, code)), r"write `?(.+?)[`)]*$")
    way += ")" if "(" in way else ""
    for name, value in names.items():
        assert name in way
        way = way.replace(name, value)
    assert verdict_on(path, code.replace(old, way)).verdict == "right"


def loaded(tmp_path, monkeypatch, *edits):
    """The module of a right solution, edited."""
    text = catalogue.SOLUTION.read_text("utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "advised_net.py"
    path.write_text(text, "utf-8")
    spec = importlib.util.spec_from_file_location("advised_net", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "advised_net", module)
    spec.loader.exec_module(module)
    return module


@follows(
    "the course's own line bn_param[mode] = mode never leaves train mode: loss(X) normalises "
    "with the batch; write bn_param['mode'] = mode"
)
def the_line_of_the_course(tmp_path, monkeypatch):
    right = 'bn_param["mode"] = mode'
    judged = []
    for line in ("bn_param[mode] = mode", None):
        line = line or said(judged[0].cautions[0], "write (.*)$")
        net = loaded(tmp_path, monkeypatch, (right, line)).FullyConnectedNet
        judged.append(model_judge.judge("FullyConnectedNet", net, train_only=True))
        assert judged[-1].verdict == "right"
    assert not judged[1].cautions


@follows("is drawn uniformly from 0 to weight_scale (rand): use randn{where}")
def weights_that_are_drawn_uniformly(tmp_path, monkeypatch):
    def judged(draw):
        edit = (
            "np.random.randn(input_dim, hidden_dim)",
            f"np.random.{draw}(input_dim, hidden_dim)",
        )
        return model_judge.judge("TwoLayerNet", loaded(tmp_path, monkeypatch, edit).TwoLayerNet)

    (cause,) = judged("rand").causes
    assert judged(said(cause.says, r"use (\w+)")).verdict == "right"


@follows("its loss takes neither", "give the targets: handgrad.check(model, inputs=(X, y))")
def a_loss_of_other_targets():
    def loss(scores, y):
        error = scores - y["target"]
        return 0.5 * np.sum(error**2), error

    model = Net((6,), dtype=np.float64, loss=loss)
    report = handgrad.check(model)
    assert report.verdicts[0].verdict == checker.UNTESTED
    call = said(str(report), r"give the targets: (handgrad\.check\(.*?\)\))")
    y = {"target": np.ones((4, 3))}
    assert eval(call, {"handgrad": handgrad, "model": model, "X": X, "y": y})
