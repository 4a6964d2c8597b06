"""Runs of every task: trained, stopped, used, trained on, opened in another process, fine-tuned."""

import json
import subprocess
import sys
from weakref import ref

import numpy as np
import pytest
from training.toys import StopAt

import handgrad
from handgrad import data, engines
from handgrad.errors import CheckpointError, OptionError
from handgrad.report import write_report
from handgrad.training import Callback, load_model_arrays
from handgrad.training.config import RunConfig
from handgrad.training.defaults import choose
from handgrad.training.run import resume_run, start_run
from handgrad.training.trained import evaluate_run

rng = np.random.default_rng(0)
X = rng.standard_normal((300, 5)).astype(np.float32)
SCORES = X @ rng.standard_normal((5, 3))
TARGETS = {
    "classification": np.array(["low", "mid", "high"])[SCORES.argmax(axis=1)],
    "regression": 1000 + 50 * SCORES[:, 0],
    "multilabel": (SCORES > 0).astype(int),
}
TASKS = list(TARGETS)


def started(tmp_path, task, name="run", **changes):
    file = tmp_path / f"{task}.npz"
    np.savez(file, X=X, y=TARGETS[task])
    table = {"name": "arrays", "path": str(file), "task": task}
    config = choose(data.load(**table), table).config
    config = config.with_overrides({"training.epochs": 6, **changes})
    return start_run(config, tmp_path / name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run of each task."""
    folder = tmp_path_factory.mktemp("runs")
    runs = {}
    for task in TASKS:
        run = started(folder, task, task)
        run.train()
        run.evaluate()
        runs[task] = run
    return runs


@pytest.mark.skipif("native" not in engines.available(), reason="the native engine is not built")
def test_a_run_that_ends_lets_go_of_the_memory_of_its_steps(tmp_path):
    run = started(tmp_path, "classification")
    plans = []

    class Look(Callback):
        def on_epoch_end(self, solver, record):
            if solver.planned._plan is not None:
                plans.append(ref(solver.planned._plan))

    run.train([Look()])
    assert plans
    assert plans[-1]() is None
    run.solver.num_epochs = 1
    run.solver.train()  # takes its steps by a new plan
    assert run.solver.planned._plan is not None


@pytest.mark.parametrize(
    ("task", "loss"),
    [
        ("classification", "focal"),
        ("classification", "svm"),
        ("classification", {"name": "focal", "gamma": 1.0}),
        ("regression", "quantile"),
        ("regression", {"name": "quantile", "quantile": 0.6}),
    ],
)
def test_another_loss_than_the_first_of_the_task(tmp_path, task, loss):
    dataset = data.from_arrays(X, TARGETS[task])
    run = handgrad.training.train(dataset, tmp_path, {"model.loss": loss, "training.epochs": 20})
    assert run.model._loss.name == (loss if isinstance(loss, str) else loss["name"])
    assert not [record for record in run.history if "initial loss" in record.get("text", "")]
    score = {"classification": "accuracy", "regression": "r2"}[task]
    assert run.evaluate()["metrics"][score] > 0.5


@pytest.mark.parametrize("task", TASKS)
def test_the_record_has_the_metrics_of_the_task(finished, task):
    record = json.loads((finished[task].folder / "evaluation.json").read_text())
    assert record["task"] == task
    score = {"classification": "accuracy", "multilabel": "accuracy", "regression": "r2"}[task]
    assert record["metrics"][score] > 0.7
    low, high = record["intervals"][score]
    assert low <= record["metrics"][score] <= high


def test_a_regression_is_reported_in_its_own_unit(finished):
    run = finished["regression"]
    record = json.loads((run.folder / "evaluation.json").read_text())
    y = run.dataset.rows["y_test"]
    said = handgrad.load(run.folder).predict(X[:0])
    assert said.shape == (0,)
    expected = np.abs(np.array(record["predictions"])[:, 0] - y.reshape(-1)).mean()
    assert record["metrics"]["mae"] == pytest.approx(expected, rel=1e-6)
    assert 900 < np.mean(record["predictions"]) < 1100
    last = [json.loads(line) for line in (run.folder / "history.jsonl").read_text().splitlines()]
    assert any(record.get("metric") == "r2" for record in last)


@pytest.mark.thorough(keep=3)
@pytest.mark.parametrize("task", TASKS)
def test_the_report_draws_what_fits(finished, task):
    folder = finished[task].folder
    page = write_report(folder).read_text()
    drawn = {path.stem for path in (folder / "figures").iterdir()}
    wanted = {
        "classification": {"training", "curves", "calibration", "confusion"},
        "regression": {"training", "regression"},
        "multilabel": {"training", "curves"},
    }[task]
    assert wanted <= drawn
    assert ("Predictions and residuals" in page) == (task == "regression")
    assert "Metrics" in page


@pytest.mark.parametrize("task", TASKS)
def test_a_run_is_opened_and_used(finished, task):
    run = finished[task]
    m = handgrad.load(str(run.folder))
    said = m.predict(X)
    if task == "classification":
        assert (said == TARGETS[task]).mean() > 0.8
        p = m.predict_proba(X)
        np.testing.assert_allclose(p.sum(axis=1), 1.0)
        np.testing.assert_array_equal(np.array(m.class_names)[p.argmax(axis=1)], said)
    elif task == "multilabel":
        assert (said == TARGETS[task]).mean() > 0.8
        np.testing.assert_array_equal(said, m.predict_proba(X) >= 0.5)
    else:
        assert np.abs(said - TARGETS[task]).mean() < 30
        with pytest.raises(OptionError, match="a regression has no probabilities"):
            m.predict_proba(X)
    assert m.task == task
    assert "affine" in m.summary().lower()
    assert m.history[0]["kind"] == "start"
    assert m.history[-1]["kind"] == "end"


@pytest.mark.parametrize("task", TASKS)
def test_the_file_alone_describes_its_network(finished, task, tmp_path):
    run = finished[task]
    lone = tmp_path / "elsewhere.safetensors"
    lone.write_bytes((run.folder / "model.safetensors").read_bytes())
    m = handgrad.load(lone)
    np.testing.assert_array_equal(m.predict(X), handgrad.load(run.folder).predict(X))
    assert m.history == []
    assert {"config", "data", "versions"} <= load_model_arrays(lone).metadata.keys()


def test_another_process_says_the_same(finished):
    run = finished["regression"]
    code = (
        "import sys, numpy as np, handgrad;"
        "np.save(sys.argv[2], handgrad.load(sys.argv[1]).predict(np.load(sys.argv[3])))"
    )
    inputs, outputs = run.folder / "x.npy", run.folder / "said.npy"
    np.save(inputs, X)
    subprocess.run(
        [sys.executable, "-c", code, str(run.folder), str(outputs), str(inputs)], check=True
    )
    np.testing.assert_array_equal(np.load(outputs), handgrad.load(run.folder).predict(X))


def test_explain_is_the_slope_of_the_score(finished):
    m = handgrad.load(finished["regression"].folder)
    slopes = m.explain(X[:4])
    assert slopes.shape == (4, 5)
    step = 1e-2
    prepared = m.prepared(X[:4])
    for column in range(5):
        moved = prepared.copy()
        moved[:, column] += step
        back = prepared.copy()
        back[:, column] -= step
        difference = (m.model.loss(moved) - m.model.loss(back))[:, 0] / (2 * step)
        np.testing.assert_allclose(slopes[:, column], difference, atol=5e-2)
    with pytest.raises(OptionError, match="target must be one of"):
        m.explain(X[:1], "height")
    with pytest.raises(OptionError, match=r"target must be in \[0, 1\)"):
        m.explain(X[:1], 4)


@pytest.mark.parametrize("task", TASKS)
def test_a_stopped_run_is_used_and_goes_on_without_a_trace(finished, task, tmp_path):
    run = started(tmp_path, task)
    run.train(callbacks=[StopAt(15)])
    assert not run.is_finished
    m = handgrad.load(run.folder)
    assert len(m.predict(X)) == len(X)
    assert evaluate_run(run.folder)["count"] > 0
    again = resume_run(run.folder)
    again.train()
    whole = finished[task].solver
    assert again.solver.loss_history == whole.loss_history
    assert again.solver.val_metric_history == whole.val_metric_history
    for name, w in whole.model.params.items():
        np.testing.assert_array_equal(again.model.params[name], w)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    run = started(tmp_path, "regression")
    with pytest.raises(CheckpointError, match="train it with: handgrad train --resume"):
        handgrad.load(run.folder)


# more epochs


@pytest.mark.parametrize("stop", [None, 15])
def test_more_epochs(tmp_path, stop):
    """Without a schedule the run is the one that was asked for so many epochs at once."""
    plain = {"schedule.name": "constant"}
    whole = started(tmp_path, "classification", "whole", **plain, **{"training.epochs": 9})
    whole.train()
    run = started(tmp_path, "classification", **plain)
    run.train(callbacks=[StopAt(stop)])
    more = resume_run(run.folder, epochs=9)
    assert not more.is_finished
    more.train()
    assert more.solver.epoch == 9
    assert more.solver.loss_history == whole.solver.loss_history
    assert RunConfig.from_toml(run.folder / "config.toml").training.epochs == 9
    assert more.is_finished


def test_more_epochs_after_patience_ran_out(tmp_path):
    run = started(
        tmp_path, "classification", **{"training.patience": 1, "optimizer.learning_rate": 1e-7}
    )
    run.train()
    assert run.solver.stop_reason == "patience"
    done = run.solver.epoch
    more = resume_run(run.folder, epochs=done + 1)
    more.train()
    assert more.solver.epoch == done + 1


def test_fewer_epochs_are_refused_and_leave_the_run(finished, tmp_path):
    run = started(tmp_path, "regression")
    run.train()
    with pytest.raises(OptionError, match="has 6 epochs; give more than that, not 6"):
        resume_run(run.folder, epochs=6)
    with pytest.raises(
        CheckpointError, match=r"train on with: handgrad train --resume .* --epochs 12"
    ):
        resume_run(run.folder)
    assert run.is_finished


def test_weights_of_classes_are_by_their_names(tmp_path):
    plain = {"model.name": "Sequential", "model.layers": [{"layer": "Affine", "width": 3}]}
    table = {"low": 1.0, "mid": 5.0}
    run = started(tmp_path, "classification", **plain, **{"training.class_weight": table})
    labels = run.solver.y_train
    assert run.dataset.class_names == ("high", "low", "mid")
    np.testing.assert_array_equal(run.solver.weights, np.array([1.0, 1.0, 5.0])[labels])
    with pytest.raises(
        OptionError, match="a name in class_weight must be one of 'high', 'low', 'mid'"
    ):
        started(
            tmp_path, "classification", "x", **plain, **{"training.class_weight": {"medium": 2.0}}
        )


# fine-tuning


def test_fine_tuning_takes_the_body_and_makes_the_head_anew(finished, tmp_path):
    source = finished["classification"]
    other = tmp_path / "other.npz"
    np.savez(other, X=X, y=np.where(SCORES[:, 0] > 0, "yes", "no"))
    model = dict(source.config.model)
    for key in ("num_classes", "input_dim", "input_shape"):
        model.pop(key, None)
    config = RunConfig.from_dict(
        {
            "data": {"name": "arrays", "path": str(other)},
            "model": model,
            "start_from": str(source.folder),
            "training": {"epochs": 2, "freeze": ["W1", "b1"]},
        }
    )
    run = start_run(config, tmp_path / "tuned")
    assert "W1" in run.started_from.taken
    assert set(run.started_from.fresh) == {"W3", "b3"}
    assert "drawn anew: W3, b3" in str(run.started_from)
    before = source.model.params["W1"].copy()
    np.testing.assert_array_equal(run.model.params["W1"], before)
    run.train(callbacks=[StopAt(3)])
    source_gone = resume_run(run.folder)  # the folder keeps what it began with
    source_gone.train()
    np.testing.assert_array_equal(source_gone.model.params["W1"], before)
    assert handgrad.load(run.folder).class_names == ("no", "yes")


def test_a_list_of_layers_gets_a_head_of_another_width(finished, tmp_path):
    source = finished["regression"]
    other = tmp_path / "other.npz"
    np.savez(other, X=X, y=SCORES)
    model = {k: v for k, v in source.config.model.items() if k != "input_shape"}
    tables = {
        "data": {"name": "arrays", "path": str(other), "task": "regression"},
        "model": model,
        "start_from": str(source.folder),
        "training": {"epochs": 1},
    }
    run = start_run(RunConfig.from_dict(tables), tmp_path / "tuned")
    assert run.model.num_classes == 3
    assert set(run.started_from.fresh) == {"affine3.W", "affine3.b"}
    run.train()
    assert handgrad.load(run.folder).predict(X).shape == (300, 3)


def test_another_network_is_refused(finished, tmp_path):
    np.savez(tmp_path / "x.npz", X=X, y=TARGETS["classification"])
    config = RunConfig.from_dict(
        {
            "data": {"name": "arrays", "path": str(tmp_path / "x.npz")},
            "model": {"name": "FullyConnectedNet", "hidden_dims": [7, 64]},
            "start_from": str(finished["classification"].folder),
        }
    )
    with pytest.raises(OptionError, match=r"do not fit the network: W1 \(5, 64\) for \(5, 7\)"):
        start_run(config, tmp_path / "tuned")
    assert not (tmp_path / "tuned").exists()
