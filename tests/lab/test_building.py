"""Networks of the page: shapes, what is wrong with them, and code that runs and agrees."""

import json
import tomllib
from importlib import resources

import numpy as np
import pytest
from lab.serving import SWISH

from handgrad import models, nn
from handgrad.errors import OptionError
from handgrad.lab import building
from handgrad.lab.exporting import configuration
from handgrad.lab.own_layers import OwnLayers
from handgrad.lab.state import _READY
from handgrad.training.config import RunConfig
from handgrad.training.run import start_run

DIGITS = {"name": "digits"}
STACK = [
    {"layer": "Conv2d", "num_filters": 4, "filter_size": 3, "pad": 1},
    {"layer": "BatchNorm"},
    {"layer": "LeakyReLU"},
    {"layer": "MaxPool"},
    {"layer": "Affine", "width": 12},
    {"layer": "Tanh"},
    {"layer": "Affine", "width": 10},
]
COURSE = """import numpy as np

def affine_forward(x, w, b):
    out = x.reshape(len(x), -1) @ w + b
    return out, (x, w, b)

def affine_backward(dout, cache):
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(len(x), -1).T @ dout
    db = dout.mean(axis=0)
    return dx, dw, db

def relu_forward(x):
    return np.maximum(0, x), x

def relu_backward(dout, cache):
    return dout * (cache > 0)
"""

FILE = f'''"""Layers of somebody."""
{SWISH}

@nn.layer
def bad(x):
    s = 1 / (1 + np.exp(-x))
    return x * s, (x, s)


@bad.backward
def bad_backward(dout, cache):
    x, s = cache
    return dout * (s - x * s * (1 - s))
'''


def test_shapes_and_counts_are_those_of_the_network():
    found = building.check(DIGITS, STACK, {})
    shapes = [row["shape"] for row in found["layers"]]
    assert shapes == [[4, 8, 8], [4, 8, 8], [4, 8, 8], [4, 4, 4], [12], [12], [10]]
    model = nn.sequential(STACK, (1, 8, 8))
    assert found["total"] == sum(w.size for w in model.params.values())
    assert found["error"] is None


def test_the_first_layer_that_does_not_fit_is_named():
    found = building.check(DIGITS, [STACK[-1], STACK[0]], {})
    assert "takes images" in found["layers"][1]["error"]
    assert found["error"].startswith("layer 2: ")
    found = building.check(DIGITS, STACK[:-1], {})
    assert found["error"] == "the network returns 12 numbers for a row, and the data ask for 10"
    assert "code" not in found


@pytest.mark.parametrize(
    "layer",
    [{"layer": "Nothing"}, {"layer": 5}, {}, {"layer": "Conv2d"}, {"layer": "Affine", "width": 10**9},
     {"layer": "Affine", "width": -1}, {"layer": "Conv2d", "num_filters": 10**7, "filter_size": 3},
     {"layer": "MaxPool", "size": 10**9}, {"layer": "Dropout", "p": 7}, 5, None],
)  # fmt: skip
def test_layers_that_cannot_be_are_texts(layer):
    found = building.check(DIGITS, [layer, STACK[-1]], {})
    assert found["layers"][0]["error"]


def test_the_three_levels_and_the_configuration_are_one_network():
    code = building.check(DIGITS, STACK, {"epochs": 3})["code"]
    X = np.random.default_rng(0).standard_normal((6, 1, 8, 8)).astype(np.float32)
    y = np.arange(6)
    made = {}
    for level in ("sequential", "model", "functions"):
        made[level] = {}
        exec(compile(code[level], level, "exec"), made[level])
    params = made["functions"]["params"]
    loss, grads = made["functions"]["gradients"](X, y)
    tables = RunConfig.from_dict(tomllib.loads(code["configuration"]))
    assert tables.training.epochs == 3
    options = {k: v for k, v in tables.model.items() if k != "name"}
    configured = models.build(tables.model["name"], **options, input_shape=(1, 8, 8))
    for model in (made["sequential"]["model"], made["model"]["model"], configured):
        names = dict(zip(model.params, params, strict=True))
        model.params = {own: params[theirs] for own, theirs in names.items()}
        other_loss, other = model.loss(X, y)
        assert other_loss == pytest.approx(float(loss), rel=1e-5)
        for own, theirs in names.items():
            np.testing.assert_allclose(other[own], grads[theirs], rtol=1e-3, atol=1e-5)


def test_every_layer_of_the_palette_can_be_stacked():
    for entry in building.palette():
        options = {o["name"]: o["default"] for o in entry["options"] if o["needed"]}
        layers = [STACK[0], {"layer": entry["layer"], **options}, STACK[-1]]
        found = building.check(DIGITS, layers, {})
        assert found["error"] is None, (entry["layer"], found["error"])
        exec(compile(found["code"]["functions"], "functions", "exec"), {})


def test_points_become_a_table():
    points = [[0.5 * i, -i, i % 3] for i in range(12)]
    lines = building.points_table(points).decode().splitlines()
    assert lines[:3] == ["x,y,label", "0,0,A", "0.5,-1,B"]
    for wrong in (None, [], points[:5], [[1, 2]] * 20, [[1, 2, 0]] * 20, [[1e9, 0, i % 2] for i in range(20)],
                  [[float("nan"), 0, i % 2] for i in range(20)], [["a", 0, i % 2] for i in range(20)],
                  [[0, 0, i % 2 + 20] for i in range(20)]):  # fmt: skip
        with pytest.raises(OptionError, match="lab: "):
            building.points_table(wrong)


def test_layers_of_ones_own_are_judged_at_every_save(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    own = OwnLayers([path])
    (found,) = own.verdicts(60)
    assert found["state"] == "wrong"
    assert [(x["name"], x["path"], x["state"]) for x in found["layers"]] == [
        ("swish", "mine:swish", "right"),
        ("bad", "mine:bad", "wrong"),
    ]
    (wrong,) = [f for f in found["functions"] if f["verdict"] == "WRONG"]
    assert (wrong["name"], wrong["line"]) == ("bad_backward", 27)
    assert "(s + x * s * (1 - s))" in wrong["says"]
    path.write_text(FILE.replace("(s - x", "(s + x"))
    assert own.verdicts(60)[0]["state"] == "right"
    path.write_text("def f(:\n")
    (found,) = own.verdicts(60)
    assert (found["state"], found["layers"]) == ("unknown", [])
    assert found["problem"]
    with pytest.raises(OptionError, match="must be the path of a Python file"):
        OwnLayers([tmp_path / "none.py"])


def test_functions_of_a_course_are_judged_too(tmp_path):
    path = tmp_path / "layers.py"
    path.write_text(COURSE)
    (found,) = OwnLayers([path]).verdicts(60)
    assert (found["state"], found["layers"], found["problem"]) == ("wrong", [], None)
    verdicts = {f["name"]: f["verdict"] for f in found["functions"]}
    assert verdicts.pop("affine_backward") == "WRONG"
    assert set(verdicts.values()) == {"right"}
    (wrong,) = [f for f in found["functions"] if f["verdict"] == "WRONG"]
    assert COURSE.splitlines()[wrong["line"] - 1].strip() == "db = dout.mean(axis=0)"
    assert wrong["says"]


# -- lessons: what they claim is measured --------------------------------------------------------------

CLAIMS = {
    "learning-rate": lambda f: (
        f["rate 0.1"]["loss"] < 0.5 * min(f["rate 0.005"]["loss"], f["rate 2"]["loss"])
    ),
    "initialisation": lambda f: f["Xavier"]["loss"] < 0.5 * min(f["0.01"]["loss"], f["1"]["loss"]),
    "batch-norm": lambda f: f["with"]["loss"] < 0.5 * f["without"]["loss"],
    "dropout": lambda f: f["without"]["loss"] < 0.6 * f["dropout 0.5"]["loss"],
    "convolution": lambda f: f["convolution"]["val"] > f["dense"]["val"] + 0.2,
    "overfitting": lambda f: f["reg 0"]["train"] > f["reg 0"]["val"] + 0.4,
}
TOURS = json.loads((resources.files("handgrad.lab") / "static" / "tours.json").read_text("utf-8"))
QUICK = ("learning-rate", "initialisation", "batch-norm", "dropout")


def test_each_tour_has_a_claim_that_is_measured():
    assert [tour["key"] for tour in TOURS] == list(CLAIMS)


@pytest.mark.parametrize(
    "tour",
    [
        pytest.param(t, marks=[] if t["key"] in QUICK[:1] else pytest.mark.long, id=t["key"])
        for t in TOURS
    ],
)
def test_what_a_tour_says_is_so(tour, tmp_path):
    found = {}
    data = _READY[tour.get("data", "digits")]
    for i, trial in enumerate(tour["trials"]):
        checked = building.check(data, trial["layers"], trial["settings"])
        assert checked["error"] is None
        config = configuration(data, trial["layers"], trial["settings"], "classification")
        run = start_run(config, tmp_path / str(i))
        run.train()
        s = run.solver
        loss = float(np.mean(s.loss_history[-24:]))
        found[trial["name"]] = {
            "loss": loss,
            "train": s.train_acc_history[-1],
            "val": s.val_acc_history[-1],
        }
    assert CLAIMS[tour["key"]](found), found
