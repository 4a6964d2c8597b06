"""Runs on data in memory: the folder keeps the data, and alone repeats, evaluates and resumes."""

import numpy as np
import pytest

from handgrad.data import Rows, from_arrays, from_table
from handgrad.errors import CheckpointError, OptionError
from handgrad.training import TrainedRun, train
from handgrad.training.defaults import choose
from handgrad.training.own_data import load_data, save_data
from handgrad.training.run import start_run
from handgrad.training.trained import evaluate_run

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
SHORT = {"training.epochs": 1, "training.num_train_samples": 20}


def sets():
    frame = {"a": np.arange(60) % 7.5, "b": ["x", "y", None] * 20, "price": np.arange(60) % 7.5 * 3}
    return {
        "images": from_arrays(IMAGES, np.arange(60) % 2),
        "regression": from_table(frame, "price"),
        "multilabel": from_arrays(IMAGES / 9.5, np.random.default_rng(1).random((60, 3)) > 0.5),
    }


@pytest.mark.parametrize("name", ["images", "regression", "multilabel"])
def test_a_run_on_data_in_memory_is_complete(tmp_path, name):
    dataset = sets()[name]
    run = train(dataset, tmp_path / "runs", SHORT)
    assert isinstance(run, TrainedRun)
    again = run.dataset()
    assert again.fingerprint() == dataset.fingerprint()
    assert again.class_names == dataset.class_names
    first = (run.folder / "evaluation.json").read_text()
    evaluate_run(run.folder)
    assert (run.folder / "evaluation.json").read_text() == first
    repeated = start_run(run.config, tmp_path / "again", dataset)
    repeated.train()
    for key, w in run.model.params.items():
        assert np.array_equal(w, repeated.model.params[key])


def test_images_are_kept_as_bytes(tmp_path):
    dataset = sets()["images"]
    save_data(tmp_path / "data.safetensors", dataset)
    assert (tmp_path / "data.safetensors").stat().st_size < IMAGES.nbytes + 6000
    assert load_data(tmp_path / "data.safetensors").fingerprint() == dataset.fingerprint()


def test_data_in_a_file_are_not_copied(tmp_path):
    np.savez(tmp_path / "a.npz", X=IMAGES, y=np.arange(60) % 2)
    run = train(from_arrays(tmp_path / "a.npz"), tmp_path / "runs", SHORT)
    assert run.config.data["path"] == str(tmp_path / "a.npz")
    assert not (run.folder / "data.safetensors").exists()
    assert run.dataset().fingerprint() == from_arrays(tmp_path / "a.npz").fingerprint()


def test_mistakes_are_named(tmp_path):
    dataset = sets()["images"]
    with pytest.raises(OptionError, match="unrecognized"):
        train(dataset, tmp_path, {"training.epoch": 3})
    with pytest.raises(OptionError, match="must be a Dataset"):
        train(IMAGES, tmp_path)
    run = train(dataset, tmp_path / "runs", SHORT)
    (run.folder / "data.safetensors").unlink()
    with pytest.raises(CheckpointError, match="in its own folder"):
        run.dataset()


def test_training_and_evaluating_make_no_array_of_all_images(tmp_path):
    dataset = sets()["images"]
    run = start_run(
        choose(dataset, {"name": "prepared"}).config.with_overrides(SHORT), tmp_path / "r", dataset
    )
    run.train()
    run.evaluate()
    for part in ("train", "val", "test"):
        assert isinstance(run.dataset.rows[f"X_{part}"], Rows), part
    assert isinstance(run.solver.X_train, Rows)
