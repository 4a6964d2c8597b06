"""Several runs and several views: `handgrad evaluate` and `predict` average their probabilities."""

import json

import numpy as np
import pytest
from PIL import Image

from handgrad.cli.app import run
from handgrad.errors import OptionError, ShapeError
from handgrad.models import TwoLayerNet
from handgrad.training import predict_probabilities
from handgrad.training.ensemble import Viewed, views_of
from handgrad.training.trained import TrainedRun, evaluate_together

SMALL = [
    "train", "--epochs", "1", "--quiet", "--batch-size", "200", "--set", "model.hidden_dims=[]",
    "--set", "model.conv_params=[{num_filters=4, filter_size=3}]",
]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of another seed, the second with clipping and averaging."""
    found = []
    for seed, options in enumerate(([], ["training.ema=0.9", "training.clip_norm=0.5"])):
        out = tmp_path_factory.mktemp("runs")
        extra = [word for option in options for word in ("--set", option)]
        assert run([*SMALL, "--seed", str(seed), "--out", str(out), *extra]) == 0
        found += out.iterdir()
    return found


@pytest.mark.thorough
def test_clipping_and_averaging_come_from_the_command_line(runs):
    records = [json.loads(line) for line in (runs[1] / "history.jsonl").read_text().splitlines()]
    norms = [record.get("gradient_norm") for record in records if record["kind"] == "step"]
    assert max(norms) > 0.5
    assert "ema = 0.9" in (runs[1] / "config.toml").read_text()


def rows_of(folder, split="test"):
    trained = TrainedRun(folder)
    arrays = trained.dataset().arrays
    return trained, arrays[f"X_{split}"], arrays[f"y_{split}"]


@pytest.mark.thorough
def test_an_ensemble_is_the_mean_of_the_probabilities(runs, capsys):
    before = [(folder / "evaluation.json").read_bytes() for folder in runs]
    parts = [rows_of(folder) for folder in runs]
    y = parts[0][2]
    mean = np.mean([predict_probabilities(one.model, X) for one, X, _ in parts], axis=0)
    assert run(["evaluate", *map(str, runs), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["accuracy"] == np.mean(mean.argmax(axis=1) == y)
    assert shown["loss"] == pytest.approx(-np.log(mean[np.arange(len(y)), y]).mean(), rel=1e-9)
    assert shown["runs"] == [str(folder) for folder in runs]
    assert shown["singly"] == [
        np.mean(predict_probabilities(one.model, X).argmax(axis=1) == y) for one, X, _ in parts
    ]
    assert run(["evaluate", *map(str, runs)]) == 0
    assert "Together, by the mean of the probabilities of 2 runs:" in capsys.readouterr().out
    assert [(folder / "evaluation.json").read_bytes() for folder in runs] == before


@pytest.mark.parametrize(
    ("tta", "count"),
    [
        ("flip", 2),
        ("shift", 3),
        ("flip+shift", 6),
        ("shifts", 9),
        ("flip+shifts", 18),
        ("shift+shifts", 9),
    ],
)
def test_views_are_averaged(runs, tta, count, capsys):
    one, X, y = rows_of(runs[0], "val")
    edge = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    views = [X, edge[:, :, 2:, 2:], edge[:, :, :-2, :-2]] if "shift" in tta else [X]
    if "shifts" in tta:
        H, W = X.shape[2:]
        views = [edge[:, :, i : i + H, j : j + W] for i in range(3) for j in range(3)]
    if "flip" in tta:
        views += [view[:, :, :, ::-1] for view in views]
    assert len(views) == count
    mean = np.mean([predict_probabilities(one.model, view) for view in views], axis=0)
    assert run(["evaluate", str(runs[0]), "--tta", tta, "--split", "val", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["accuracy"] == np.mean(mean.argmax(axis=1) == y)
    assert shown["loss"] == pytest.approx(-np.log(mean[np.arange(len(y)), y]).mean(), rel=1e-6)
    assert shown["tta"] == tta
    np.testing.assert_allclose(predict_probabilities(Viewed(one.model, tta), X), mean, atol=1e-6)


def test_predict_averages_too(runs, tmp_path, capsys):
    picture = tmp_path / "digit.png"
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8), np.uint8)
    Image.fromarray(pixels).save(picture)
    answers = {}
    for name, folders in {"0": runs[:1], "1": runs[1:], "both": runs}.items():
        command = ["predict", *map(str, folders), str(picture), "--json", "--top", "10"]
        assert run([*command, "--tta", "flip+shift"]) == 0
        answers[name] = json.loads(capsys.readouterr().out)["probabilities"]
    for digit, p in answers["both"].items():
        assert p == pytest.approx((answers["0"][digit] + answers["1"][digit]) / 2, rel=1e-9)
    assert answers["0"] != answers["1"]


@pytest.mark.thorough
def test_runs_of_other_data_are_refused(runs, tmp_path, capsys):
    sizes = [f"data.num_{part}=60" for part in ("training", "validation", "test")]
    shapes = [*SMALL, "--dataset", "shapes", "--out", str(tmp_path)]
    assert run([*shapes, *(word for size in sizes for word in ("--set", size))]) == 0
    (other,) = tmp_path.iterdir()
    capsys.readouterr()
    assert run(["evaluate", str(runs[0]), str(other)]) == 2
    assert "cannot answer together: they tell other classes apart" in capsys.readouterr().err


def test_views_are_of_images():
    model = TwoLayerNet(6, 5, 3, rng=0)
    with pytest.raises(ShapeError, match=r"^test-time augmentation: X must have 4 dimensions"):
        Viewed(model, "flip").loss(np.zeros((2, 6)))
    assert Viewed(model, None).loss(np.zeros((2, 6))).shape == (2, 3)
    for wrong in ("flop", "flip+", 3, ["flip"]):
        with pytest.raises(OptionError, match=r"^test-time augmentation: a view must be one of"):
            views_of(wrong)


def test_rows_that_differ_are_refused(runs, monkeypatch):
    original = TrainedRun.dataset
    seen = []

    def dataset(self, data_dir=None):
        found = original(self, data_dir)
        seen.append(self)
        if len(seen) == 2:
            found.arrays["y_test"] = found.arrays["y_test"][::-1].copy()
        return found

    monkeypatch.setattr(TrainedRun, "dataset", dataset)
    with pytest.raises(OptionError, match="have other rows in their test split"):
        evaluate_together(runs)
