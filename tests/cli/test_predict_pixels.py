"""A trained run and the pixels of strangers: files of every depth, arrays of another range."""

import json

import numpy as np
import pytest
from PIL import Image

from handgrad.cli.app import run
from handgrad.data import load
from handgrad.data.digits import read_digits
from handgrad.errors import CheckpointError, DataError, HandgradError, OptionError, ShapeError
from handgrad.training import TrainedRun, load_weights, predict_probabilities
from handgrad.training.trained import evaluate_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    small = ["training.epochs=4", "model.name=TwoLayerNet", "data.name=digits"]
    assert run(["train", "--out", str(out), *(x for s in small for x in ("--set", s))]) == 0
    (folder,) = out.iterdir()
    return folder


@pytest.mark.thorough
def test_predict_takes_what_the_network_was_trained_on(folder):
    trained = TrainedRun(str(folder))
    images, _ = read_digits()
    found = trained.outputs(images[:20])
    assert found.shape == (20, 10)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_array_equal(found, trained.outputs(images[:20].astype(float)))
    np.testing.assert_array_equal(found, trained.outputs(images[:20].reshape(20, 8, 8)))
    np.testing.assert_array_equal(found, trained.outputs(images[:20].transpose(0, 2, 3, 1)))
    X = load("digits").preprocess(images[:20])
    np.testing.assert_allclose(found, predict_probabilities(trained.model, X), rtol=1e-12)


@pytest.mark.thorough
def test_other_ranges_and_sizes_are_refused(folder):
    trained = TrainedRun(folder)
    digit = read_digits()[0][:1]
    for images, error, pattern in [
        (digit * 15, DataError, r"in 0\.\.16, the range that was fitted, got uint8 in 0\.\.2"),
        (
            digit / 16,
            DataError,
            r"got float64 in 0\.\.(1|0\.9\d*); if their white is 1, pass images \* 16",
        ),
        (digit.astype(int) - 8, DataError, r"got int64 in -8\.\.\d"),
        (digit > 8, DataError, "got bool"),
        (digit * np.nan, DataError, "NaN"),
        (digit[..., :5], ShapeError, r"\(N, 1, 8, 8\)"),
        (None, HandgradError, "images"),
    ]:
        with pytest.raises(error, match=pattern):
            trained.outputs(images)


DEPTHS = {  # file -> what makes it of bytes 0..255
    "8.png": lambda p: Image.fromarray(p),
    "16.png": lambda p: Image.fromarray(p * np.uint16(257)),
    "32.tiff": lambda p: Image.fromarray(p * np.int32(257)),
    "float.tiff": lambda p: Image.fromarray((p / 255).astype(np.float32)),
    "rgba.png": lambda p: Image.fromarray(p).convert("RGBA"),
    "palette.gif": lambda p: Image.fromarray(p),
    "16.pgm": lambda p: b"P5 8 8 65535\n" + (p * np.uint16(257)).astype(">u2").tobytes(),
    "12.pgm": lambda p: b"P5 8 8 4095\n" + np.rint(p / 255 * 4095).astype(">u2").tobytes(),
}


def test_the_command_line_says_the_same_of_files_of_every_depth(folder, tmp_path, capsys):
    digit = np.rint(read_digits()[0][7, 0] * (255 / 16)).astype(np.uint8)
    paths = []
    for name, make in DEPTHS.items():
        content, path = make(digit), tmp_path / name
        path.write_bytes(content) if isinstance(content, bytes) else content.save(path)
        paths.append(str(path))
    assert run(["predict", str(folder), *paths, "--json"]) == 0
    answers = [json.loads(line)["probabilities"] for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == len(DEPTHS)
    assert all(answer == answers[0] for answer in answers)


def test_a_picture_that_is_no_brightness_is_one_line_on_the_command_line(folder, tmp_path, capsys):
    path = tmp_path / "negative.tiff"
    Image.fromarray(np.full((8, 8), -1, np.int32)).save(path)
    assert run(["predict", str(folder), str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"handgrad: {path} has pixels of -1..-1")
    assert error.count("\n") == 1


def test_a_run_is_opened_by_text_and_what_is_none_is_said(folder, tmp_path):
    model = TrainedRun(folder).model
    fresh = type(model)(input_dim=64, hidden_dim=model.params["b1"].size, num_classes=10)
    assert load_weights(fresh, folder).missing == ()
    assert load_weights(fresh, TrainedRun(folder)).unused == ()
    with pytest.raises(CheckpointError, match="is not a run folder"):
        TrainedRun(str(tmp_path))
    with pytest.raises(
        OptionError, match="split must be one of 'train', 'val', 'test'; got 'tset'"
    ):
        evaluate_run(str(folder), "tset")
