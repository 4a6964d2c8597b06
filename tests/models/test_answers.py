"""A network answers what others ask of it; nobody reads it off the letters of a name."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest

import handgrad
from handgrad import models, nn
from handgrad.cli.app import run
from handgrad.layers import chain
from handgrad.training import HealthCheck, Solver

PACKAGE = Path(handgrad.__file__).parent
# what speaks the courses' names: the courses, the checker of their networks, the table of names for PyTorch
SPEAK_THEM = ("courses/", "checker/", "bench/torch_peer.py")


def sequential(reg=0.0):
    return nn.Sequential(
        [nn.Flatten(), nn.Affine(8), nn.ReLU(), nn.Affine(3)], input_shape=(1, 4, 4), reg=reg, rng=0
    )


def convnet(**options):
    options = {"conv_params": [{"num_filters": 4, "filter_size": 3}], "hidden_dims": [6], **options}
    return handgrad.ConvNet((3, 8, 8), **options, num_classes=3, rng=0)


def test_the_weights_that_are_decayed_are_those_of_the_gradient():
    X = np.random.default_rng(0).standard_normal((5, 1, 4, 4))
    for model in (sequential(), handgrad.TwoLayerNet(16, 6, 3, rng=0)):
        y = np.array([0, 1, 2, 1, 0])
        _, plain = model.loss(X, y)
        model.reg = 0.5
        _, decayed = model.loss(X, y)
        moved = {name for name in plain if not np.array_equal(plain[name], decayed[name])}
        assert moved == set(model.decayed)


def test_the_first_filters_see_the_images():
    assert sequential().first_filters == "affine1.W"
    assert convnet().first_filters == "W1"
    assert models.build("allconv", input_shape=(3, 16, 16)).first_filters.endswith(".W")
    without = nn.Sequential([nn.Flatten()], input_shape=(3, 1, 1))
    assert without.first_filters is None


def test_the_head_gives_the_scores():
    assert sequential().head == ("affine2.W", "affine2.b")
    assert convnet().head == ("W3", "b3")
    assert nn.Sequential([nn.Flatten()], input_shape=(3, 1, 1)).head == ()


@pytest.mark.parametrize("reg", [0.05, 0.5])
def test_regularisation_is_no_false_alarm_of_the_initial_loss(reg):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 1, 4, 4)), rng.integers(3, size=40)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    model = sequential(reg)
    for name in model.decayed:
        model.params[name] *= 5  # the penalty outweighs the loss of the data
        model.params[name][:, 1:] = model.params[name][:, :1]  # all scores are equal
    solver = Solver(model, data, num_epochs=1, verbose=False, callbacks=[HealthCheck()], rng=0)
    solver.train()
    assert solver.loss_history[0] > 2.2
    assert "initial loss" not in solver.warnings


def test_a_first_convolution_without_a_sandwich_leaves_dx_out(monkeypatch):
    asked = []
    backward = chain.backward

    def watched(name, dout, cache, need_dx):
        asked.append((name, need_dx))
        return backward(name, dout, cache, need_dx)

    monkeypatch.setattr(chain, "backward", watched)
    model = convnet(normalization="layernorm")
    X = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    model.loss(X, np.array([0, 2]))
    assert asked[-1] == ("conv", False)


@pytest.mark.thorough
def test_a_run_of_any_network_has_a_picture_of_its_filters(tmp_path, capsys):
    options = ["--model", "allconv", "--epochs", "1", "--batch-size", "400", "--out", str(tmp_path)]
    assert run(["train", "--quiet", *options]) == 0
    (folder,) = tmp_path.iterdir()
    start = json.loads((folder / "history.jsonl").read_text().splitlines()[0])
    assert start["first_filters"] in start["weights"]
    assert (folder / "figures" / "filters.png").exists()


LETTERS = ("W", "b", "gamma", "beta")


def reads_letters(tree):
    """Yield the lines of `tree` that look at, or make, names such as W1 by their letters."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="startswith" | "removeprefix"), args=[argument, *_]
            ):
                found = isinstance(argument, ast.Constant) and argument.value in LETTERS
            case ast.Compare(left=ast.Subscript(), comparators=others):
                found = any(isinstance(o, ast.Constant) and o.value in LETTERS for o in others)
            case ast.JoinedStr(values=[ast.Constant(value=first), *_]):
                found = first in LETTERS
            case ast.Constant(value=str(text)):
                found = re.fullmatch("(W|gamma)[0-9]", text) is not None
            case _:
                found = False
        if found:
            yield node.lineno


def test_no_file_reads_parameters_by_the_letters_of_their_names():
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.relative_to(PACKAGE).as_posix().startswith(SPEAK_THEM)
        for line in reads_letters(ast.parse(path.read_text("utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize("line", [
    'name.startswith("W")', 'name[0] == "W"', 'key[:5] != "gamma"', 'f"W{i}"', 'params["W1"]',
    'name.removeprefix("gamma")',
])  # fmt: skip
def test_letters_are_seen(line):
    assert list(reads_letters(ast.parse(line))) == [1]
    assert list(reads_letters(ast.parse('f"{name}{number}", weights["W"], name[0] == "x"'))) == []
