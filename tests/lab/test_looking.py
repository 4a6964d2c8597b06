"""What the lab says of a network: its layers, what goes through them, and what it looked at."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

import handgrad
from handgrad.errors import CheckpointError, DataError, OptionError, ShapeError
from handgrad.lab import looking, trying
from handgrad.lab.decoder import decode
from handgrad.lab.opened import Opened, histogram, packed, weights_of


@pytest.fixture(scope="module")
def run(trained):
    return Opened(trained)


def unpacked(found):
    steps = np.frombuffer(base64.b64decode(found["data"]), np.uint8).reshape(found["shape"])
    return found["low"] + steps * (found["high"] - found["low"]) / 255


def test_the_diagram_has_each_layer_with_its_shape_and_count(run):
    found = looking.network(run, "best")
    assert [layer["label"] for layer in found["layers"]][:3] == ["conv1", "batchnorm1", "relu1"]
    conv = found["layers"][0]
    assert (conv["shape"], conv["params"], conv["inputs"]) == ([16, 8, 8], 160, ["input"])
    assert found["params"] == sum(layer["params"] for layer in found["layers"])
    json.dumps(found, allow_nan=False)


def test_the_numbers_are_those_of_the_network_itself(run):
    X, y = run.rows("val", 200)
    run.choose("best")
    found = looking.layer(run, "best", "affine4", 3)
    scores = run.model.loss(X)
    np.testing.assert_allclose(found["output"]["values"], scores[3], rtol=1e-4, atol=1e-5)
    assert found["histogram"]["mean"] == pytest.approx(scores.mean(), rel=1e-4)
    gradients = run.model.gradients(X, y, "test").params
    weights = next(p for p in found["params"] if p["name"] == "W4")
    data_only = gradients["W4"] - run.model.reg * run.model.params["W4"]
    assert weights["gradient"]["norm"] == pytest.approx(np.linalg.norm(data_only), rel=1e-4)


def test_the_slopes_are_derivatives_of_the_loss(run):
    run.choose("best")
    X, y = run.rows("val", 1)
    passed = looking.Passed(run.model, X, y)
    call = next(c for c in passed.calls if c.label == "affine3")
    after = passed.calls[passed.calls.index(call) + 1 :]
    hidden = np.asarray(passed.values[call.output], np.float64)

    def loss(value):
        values = {call.output: value}
        for c in after:
            params = [run.model.params[n].astype(np.float64) for n in c.layer.parameters]
            layer = run.model._begin("test").layers.get(id(c.layer), c.layer)
            values[c.output], _ = layer.forward([values[i] for i in c.inputs], params, "test")
        return run.model._loss(values[after[-1].output], y)[0]

    step = np.zeros_like(hidden)
    for unit in (0, 5, 11):
        step[:] = 0
        step[0, unit] = 1e-5
        slope = (loss(hidden + step) - loss(hidden - step)) / 2e-5
        assert passed.slopes[call.output][0, unit] == pytest.approx(slope, rel=1e-2, abs=1e-6)


def test_a_layer_shows_its_formula_and_both_its_functions(run):
    found = looking.layer(run, "best", "conv1", 0)
    assert found["pair"] == "conv"
    assert found["file"] == "handgrad/layers/conv.py"
    assert "def conv_forward(" in found["forward"]
    assert "def _forward(" in found["forward"]
    assert "def conv_backward(" in found["backward"]
    assert "affine map of one window" in found["formula"]


def test_dead_units_are_seen_in_the_layer(run):
    run.choose("best")
    kept = run.model.params["gamma3"].copy(), run.model.params["beta3"].copy()
    run.model.params["gamma3"][:12] = 0
    run.model.params["beta3"][:12] = -1
    try:
        layers = {x["label"]: x for x in looking.network(run, "best")["layers"]}
    finally:
        run.model.params["gamma3"][:], run.model.params["beta3"][:] = kept
    assert layers["relu3"]["dead"] >= 0.75
    assert "units are 0 for every row" in layers["relu3"]["warnings"][0]
    assert layers["relu1"]["warnings"] == []


def test_weights_of_each_moment_can_be_chosen(run, trained):
    names = weights_of(trained)
    assert len(names) >= 3
    steps = [run.choose(name) for name in names]
    assert steps == sorted(steps)
    first = looking.predictions(run, names, 16)
    assert [m["step"] for m in first["moments"]] == steps
    shares = np.array([np.sum(m["outputs"], axis=1) for m in first["moments"]])
    np.testing.assert_allclose(shares, 1, rtol=1e-3)


@pytest.mark.parametrize(
    "name", ["", "x", "checkpoint-7", "checkpoint-../../x", "frame-", "frame-٣", "checkpoint--1"]
)
def test_other_weights_are_none(run, name):
    with pytest.raises(OptionError, match="no such weights"):
        run.choose(name)


def test_weights_of_this_moment_are_not_there_in_the_end(run):
    with pytest.raises(CheckpointError, match="not there yet"):
        run.choose("live")


def test_the_answer_is_that_of_the_library(run, trained):
    found = trying.answer(run, "best", {"row": 5})
    X, _ = run.rows("val", 6)
    loaded = handgrad.load(trained)
    pixels = run.description.preprocessing.undo(X[5:6])
    np.testing.assert_allclose(found["outputs"], loaded.outputs(pixels)[0], rtol=1e-4, atol=1e-6)
    gradient = np.abs(loaded.explain(pixels))[0].max(axis=0)
    np.testing.assert_allclose(unpacked(found["gradient"]), gradient, atol=gradient.max() / 200)


def test_occlusion_is_the_fall_of_the_probability(run):
    found = trying.answer(run, "best", {"row": 2})
    X, _ = run.rows("val", 3)
    covered = X[2:3].copy()
    covered[:, :, :2, :2] = X[2].mean(axis=(1, 2))[None, :, None, None]
    chosen = found["chosen"]
    fall = found["outputs"][chosen] - looking.probabilities(run, covered)[0, chosen]
    assert unpacked(found["occlusion"])[0, 0] == pytest.approx(fall, abs=0.01)


def test_neighbours_are_the_nearest_by_the_last_hidden_layer(run):
    found = trying.answer(run, "best", {"row": 1})
    distances = [n["distance"] for n in found["neighbours"]]
    assert distances == sorted(distances)
    X, _ = run.rows("train", 2000)
    hidden = run.model.activations(X)["affine3"]
    mine = run.model.activations(run.rows("val", 2)[0][1:2])["affine3"]
    assert distances[0] == pytest.approx(np.linalg.norm(hidden - mine, axis=1).min(), rel=1e-3)


def test_a_drawing_is_shrunk_by_areas(run):
    image = np.zeros((40, 40))
    image[10:20, 5:15] = 255
    given = {"channels": 1, "height": 40, "width": 40, "pixels": image.ravel().tolist()}
    x = trying.pixels_of(run, given)
    pixels = run.description.preprocessing.undo(x)[0, 0] / run.description.preprocessing.levels
    expected = (image / 255).reshape(8, 5, 8, 5).mean(axis=(1, 3))
    np.testing.assert_allclose(pixels, expected, atol=1e-5)


@pytest.mark.parametrize(
    "given",
    [{}, {"row": -1}, {"row": 10**6}, {"row": "1"}, {"columns": {"x": 1}}, {"pixels": [1], "channels": 1},
     {"pixels": [1, 2], "channels": 1, "height": 1, "width": 1},
     {"pixels": ["a"], "channels": 1, "height": 1, "width": 1},
     {"pixels": [0], "channels": 1, "height": -1, "width": -1}],
)  # fmt: skip
def test_what_is_no_input_is_refused(run, given):
    with pytest.raises((OptionError, ShapeError), match="lab: "):
        trying.answer(run, "best", given)


def test_pictures_are_decoded_in_their_own_process():
    image = np.zeros((30, 20, 3), np.uint8)
    image[..., 0] = 200
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    found = decode(buffer.getvalue())
    assert (found["channels"], found["height"], found["width"]) == (3, 30, 20)
    assert found["pixels"][:600] == [200] * 600
    assert found["pixels"][600:] == [0] * 1200


def test_what_is_no_picture_is_one_line():
    bomb = io.BytesIO()
    Image.new("1", (20000, 20000)).save(bomb, "png")
    for data in (b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 100, bomb.getvalue()):
        with pytest.raises(DataError, match="lab: this is no picture"):
            decode(data)


def test_packed_numbers_come_back_within_a_step():
    array = np.random.default_rng(0).standard_normal((3, 5, 7))
    np.testing.assert_allclose(
        unpacked(packed(array)), array, atol=(array.max() - array.min()) / 500
    )
    assert packed(np.full((2, 2), np.nan))["low"] == 0.0
    assert histogram(np.array([np.nan, 1.0, 3.0]))["counts"][0] == 1
