"""Rubrics and edits on systems that lack what Linux has."""

import ast
import os
from pathlib import Path

import pytest
from checker.submissions import AFFINE, LAYERS, rubric_in

import handgrad
from handgrad.checker.rubric import judge_all, judge_one

_LACKING = {  # what Windows lacks, by the guard that must be around it
    "os": {"fork", "killpg", "waitpid", "setsid", "getuid", "geteuid", "register_at_fork",
           "sched_getaffinity", "sched_setaffinity", "getpgid", "uname", "wait"},
    "signal": {"SIGKILL", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2", "alarm", "setitimer"},
}  # fmt: skip
_MODULES = {"resource", "fcntl", "pwd", "grp", "termios"}


def unguarded(tree):
    """Lines that use what Windows lacks, outside of an ``if``, a ``try``, or behind an early return."""
    guarded = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            kinds = [type(one) for one in node.body]
            first = next((i for i, kind in enumerate(kinds) if kind is ast.If), len(kinds))
            for one in node.body[first:]:
                guarded |= {id(inner) for inner in ast.walk(one)}
        if isinstance(node, ast.If | ast.IfExp | ast.Try):
            guarded |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        lacks = bool(_MODULES & set(names))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            lacks = node.attr in _LACKING.get(node.value.id, ())
        if lacks and id(node) not in guarded:
            yield node.lineno


def test_what_windows_lacks_is_used_behind_a_guard_only():
    assert list(unguarded(ast.parse("import os\ndef f(p):\n    os.killpg(p, 9)\n"))) == [3]
    assert list(unguarded(ast.parse("def f():\n    import resource\n"))) == [2]
    root = Path(handgrad.__file__).parent
    found = {
        f"{path.relative_to(root)}:{line}"
        for path in root.rglob("*.py")
        for line in unguarded(ast.parse(path.read_text("utf-8")))
    }
    assert found == set()


WRONG_INDEX = AFFINE.replace("@ dout\n", "@ (dout + np.roll(dout, 1))\n")


@pytest.mark.thorough
def test_a_rubric_where_processes_have_neither_groups_nor_limits(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "portable"))
    monkeypatch.delattr(os, "killpg", raising=False)
    monkeypatch.delattr(os, "fork", raising=False)
    (tmp_path / "s.py").write_text(LAYERS + WRONG_INDEX)
    rubric = rubric_in(tmp_path, points="relu_forward = 1\naffine_backward = {dx = 2, dw = 4}\n")
    row = judge_one(rubric, tmp_path / "s.py")
    assert row.points(rubric) == 3
    (cause,) = row.record("affine_backward")["causes"]
    assert "right with `dw = x.reshape(len(x), -1).T @ dout`" in cause["says"]
    (tmp_path / "h.py").write_text(LAYERS + "while True:\n    pass\n")
    hangs = judge_one(type(rubric)(rubric.points, seconds=2), tmp_path / "h.py")
    assert "stopped after 2 seconds" in hangs.problem


def test_that_memory_is_not_limited_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "resource", None)
    folder = tmp_path / "submissions"
    folder.mkdir()
    (folder / "a.py").write_text(LAYERS)
    judge_all(rubric_in(tmp_path), folder, tmp_path / "results")
    assert "limits no process" in (tmp_path / "results" / "index.html").read_text()


def test_the_worker_gets_what_windows_needs_and_nothing_else(tmp_path, monkeypatch):
    from handgrad.checker.rubric import environment

    monkeypatch.setenv("SYSTEMROOT", r"C:\Windows")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    found = environment(tmp_path)
    assert found["SYSTEMROOT"] == r"C:\Windows"
    assert found["TEMP"] == found["USERPROFILE"] == found["HOME"] == str(tmp_path)
    assert "SECRET_TOKEN" not in found


def test_an_edit_is_found_without_fork(tmp_path, monkeypatch):
    from handgrad.checker import check_path

    (tmp_path / "layers.py").write_text("import numpy as np\n" + WRONG_INDEX)
    with_fork = check_path(str(tmp_path))["affine_backward"].causes[0].says
    monkeypatch.delattr(os, "fork", raising=False)
    without = check_path(str(tmp_path))["affine_backward"].causes[0].says
    assert without == with_fork
    assert "right with" in without


NORM = """import numpy as np

def batchnorm_forward(x, gamma, beta, param):
    mean, var = x.mean(axis=0), x.var(axis=0)
    if param["mode"] == "test":
        mean, var = param["running_mean"], param["running_var"]
    eps, share = param.get("eps", 1e-5), param.get("momentum", 0.9)
    if param["mode"] == "train":
        for key, new in (("running_mean", mean), ("running_var", var)):
            param[key] = share * param.get(key, 0 * new) + (1 - share) * new
    hat = (x - mean) / (np.sqrt(var) + eps)
    return gamma * hat + beta, (hat, gamma, np.sqrt(var + eps))

def batchnorm_backward(dout, cache):
    hat, gamma, std = cache
    g = dout * gamma
    dx = (g - g.mean(axis=0) - hat * (g * hat).mean(axis=0)) / std
    return dx, (dout * hat).sum(axis=0), dout.sum(axis=0)
"""


def test_a_backward_that_a_mended_forward_makes_right_is_found_without_fork(tmp_path, monkeypatch):
    from handgrad.checker import check_path

    (tmp_path / "layers.py").write_text(NORM)
    with_fork = check_path(str(tmp_path))["batchnorm_backward"].causes[0]
    monkeypatch.delattr(os, "fork", raising=False)
    without = check_path(str(tmp_path))["batchnorm_backward"].causes[0]
    assert without == with_fork
    assert "right as soon as batchnorm_forward is" in without.says
