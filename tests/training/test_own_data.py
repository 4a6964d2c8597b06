"""Runs on data in memory: the folder keeps the data, and alone repeats, evaluates and resumes."""

import numpy as np
import pytest

from handgrad.data import Rows, from_arrays, from_table
from handgrad.errors import CheckpointError, OptionError, ShapeError
from handgrad.training import TrainedRun, resume, train
from handgrad.training.callbacks import StopOnSignal
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


def test_the_options_of_data_in_a_file_are_those_of_its_run(tmp_path):
    """Evaluating, resuming and `--data` again make the same rows, not those of the defaults."""
    np.savez(tmp_path / "a.npz", X=IMAGES, y=np.arange(60) % 2, who=np.arange(60) // 3)
    options = {"standardize": False, "dtype": np.float64, "val": 0.3, "group": "who"}
    dataset = from_arrays(tmp_path / "a.npz", **options)
    run = train(dataset, tmp_path / "runs", SHORT)
    assert run.config.data["dtype"] == "float64"
    assert run.config.data["val"] == 0.3
    (run.folder / "split.safetensors").unlink()  # the options alone repeat the parts
    assert run.dataset().fingerprint() == dataset.fingerprint()
    again = train(dataset, tmp_path / "again", SHORT)
    assert again.evaluate() == run.evaluate()


def test_a_stopped_training_goes_on_in_python(tmp_path, monkeypatch):
    def stop(self, solver, record):
        if solver.iteration == 3:
            solver.stop()

    dataset = sets()["images"]
    settings = {**SHORT, "training.epochs": 4}
    whole = train(dataset, tmp_path / "whole", settings)
    with monkeypatch.context() as patch:
        patch.setattr(StopOnSignal, "on_step_end", stop, raising=False)
        stopped = train(dataset, tmp_path / "stopped", settings)
    assert not (stopped.folder / "evaluation.json").exists()
    assert len(stopped.predict(IMAGES[:2])) == 2  # usable as it is
    done = resume(stopped.folder)
    for name, w in whole.model.params.items():
        assert np.array_equal(w, done.model.params[name])
    assert done.evaluate() == whole.evaluate()
    longer = resume(done.folder, epochs=5)
    assert longer.config.training.epochs == 5
    with pytest.raises(CheckpointError, match="is finished"):
        resume(longer.folder)


def test_a_training_from_another_run_has_its_network(tmp_path):
    settings = {**SHORT, "model.hidden_dims": [7]}
    first = train(sets()["images"], tmp_path / "first", settings)
    other = from_arrays(IMAGES, np.arange(60) % 3)
    run = train(other, tmp_path / "second", {**SHORT, "start_from": str(first.folder)})
    assert run.config.model["hidden_dims"] == [7]
    assert len(run.class_names) == 3


@pytest.mark.parametrize(
    ("trained_on", "given"),
    [
        ((60, 1, 8, 8), (60, 8, 8)),
        ((60, 8, 8), (60, 1, 8, 8)),
        ((60, 3, 8, 9), (60, 8, 9, 3)),
        ((60, 6), (60, 2, 3)),
        ((60,), (60, 1)),
    ],
)
def test_rows_are_taken_as_they_came_to_the_training(trained_on, given):
    X = np.random.default_rng(0).normal(size=trained_on)
    prepare = from_arrays(X, np.arange(60) % 2).preprocessing
    raw = np.moveaxis(X, 1, -1) if given[-1] == 3 and len(given) == 4 else X.reshape(given)
    np.testing.assert_array_equal(prepare(raw), prepare(X.reshape(60, *prepare.input_shape)))
    with pytest.raises(ShapeError):
        prepare(np.zeros((60, 5, 7)))
