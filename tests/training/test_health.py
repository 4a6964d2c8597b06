"""Warnings of a training that is not healthy: each said once, in the history, the log and the report."""

import json

import numpy as np
import pytest
from training.toys import Softmax, StopAt, make_data, solver_of

from handgrad.cli.app import run
from handgrad.models import FullyConnectedNet
from handgrad.report import write_report
from handgrad.training import Callback, HealthCheck, HistoryWriter, LayerStatistics, save_checkpoint


class Texts(Callback):
    def __init__(self):
        self.texts = []

    def on_record(self, solver, record):
        if record["kind"] == "warning":
            self.texts.append((record["iteration"], record["text"]))


def warnings_of(model=None, data=None, **options):
    data = data or make_data()
    texts = Texts()
    callbacks = [
        LayerStatistics(data["X_val"]),
        HealthCheck(),
        texts,
        *options.pop("callbacks", []),
    ]
    solver = solver_of(model=model, data=data, rng=0, callbacks=callbacks, **options)
    solver.train()
    assert list(solver.warnings.values()) == [text for _, text in texts.texts]
    return texts.texts


def net(**options):
    options = {"weight_scale": "kaiming", "rng": 0, **options}
    return FullyConnectedNet([8, 8], 6, 3, **options)


def test_a_healthy_training_is_quiet():
    assert warnings_of(net(), update_rule="adam", num_epochs=5) == []
    assert warnings_of(net(reg=3.0), update_rule="adam") == []  # its loss is mostly regularisation
    assert warnings_of() == []


def test_an_initial_loss_far_from_that_of_no_opinion():
    ((iteration, text),) = warnings_of(net(weight_scale=5.0), update_rule="adam", num_epochs=1)
    assert iteration == 1
    assert "far from ln(3) = 1.1, that of scores which favour no class" in text
    assert "weight_scale" in text

    class Sure(Softmax):
        def loss(self, X, y=None):
            result = super().loss(X, y)
            return result if y is None else (0.01, result[1])

    ((_, text),) = warnings_of(Sure())
    assert "the initial loss is 0.01, far from" in text
    assert "labels that are in the data" in text


def test_dead_units_are_counted_and_said_once():
    model = net()
    model.params["b2"][:5] = -1e3
    found = warnings_of(model, num_epochs=4)
    dead = [(i, text) for i, text in found if "dead ReLUs" in text]
    ((iteration, text),) = dead
    assert iteration == 3
    units = np.all(model.activations(make_data()["X_val"])["affine2"] == 0, axis=0).mean()
    assert units >= 5 / 8
    assert f"{100 * units:.0f} % of the units of affine2 are 0 for every row" in text
    model = net()
    model.params["b2"][:1] = -1e3
    assert not [text for _, text in warnings_of(model) if "dead" in text]


def test_weights_that_do_not_move():
    model = net()
    model.params["b2"][:] = -1e3  # nothing gets through: no gradient reaches what is before
    texts = {text.split()[0]: text for _, text in warnings_of(model)}
    for name in ("W1", "W2"):
        assert texts[name].startswith(f"{name} does not move")
        assert "its gradient is 0: a later layer is dead" in texts[name]
    ((_, text), *_) = warnings_of(net(), optim_config={"learning_rate": 1e-12})
    assert "try a larger learning rate" in text


def test_a_learning_rate_taken_back_by_a_schedule_is_no_stillstand():
    def end(step, total):
        return 1.0 if step < 6 else 1e-9

    assert warnings_of(net(), schedule=end, optim_config={"learning_rate": 0.1}) == []


def test_a_resumed_run_does_not_say_it_again(tmp_path):
    def make(*callbacks):
        model = net()
        model.params["b2"][:5] = -1e3
        history = HistoryWriter(tmp_path / f"{len(callbacks)}.jsonl")
        data = make_data()
        callbacks = [history, LayerStatistics(data["X_val"]), HealthCheck(), *callbacks]
        return solver_of(model=model, data=data, rng=0, callbacks=callbacks)

    part = make(StopAt(5))
    part.train()
    save_checkpoint(part, tmp_path / "c")
    rest = make(StopAt(99))
    rest.resume(tmp_path / "c")
    assert rest.warnings == part.warnings
    rest.train()
    make().train()
    kinds = [
        [json.loads(line)["kind"] for line in (tmp_path / name).read_text().splitlines()]
        for name in ("0.jsonl", "1.jsonl")
    ]
    assert kinds[0] == kinds[1]
    assert kinds[0].count("warning") == len(part.warnings) > 0


def test_warnings_reach_the_log_the_screen_and_the_report(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "handgrad.report.figures.png", lambda figure, **given: b""
    )  # drawing takes seconds
    arguments = ["train", "--epochs", "1", "--model", "TwoLayerNet", "--out", str(tmp_path)]
    assert run([*arguments, "--set", "model.weight_scale=9.0"]) == 0
    (folder,) = tmp_path.iterdir()
    text = "far from ln(10) = 2.3, that of scores which favour no class"
    assert text in capsys.readouterr().err
    assert "  warning: the initial loss is " in (folder / "log.txt").read_text()
    page = write_report(folder).read_text()
    assert "<h2>Warnings</h2>" in page
    assert f"{text}" in page
    assert "(iteration 1)" in page


@pytest.mark.parametrize("dataset", ["digits", "shapes"])
def test_the_default_runs_are_quiet(dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("handgrad.report.write_report", lambda folder: folder)
    small = ["--set", "data.num_training=500"] if dataset == "shapes" else []
    assert (
        run(["train", "--dataset", dataset, "--epochs", "2", *small, "--out", str(tmp_path)]) == 0
    )
    assert "warning" not in capsys.readouterr().err
