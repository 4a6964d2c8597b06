"""Clipping and averaging in the Solver: what they compute, what they record, and exact resume."""

import json

import numpy as np
import pytest
from training.test_resume import check_resume
from training.toys import Softmax, StopAt, conv_net, images, make_data, outcome, solver_of

from handgrad.errors import NonFiniteError, OptionError
from handgrad.optim import build_schedule, global_norm
from handgrad.training import (
    Callback,
    HistoryWriter,
    ResumeWarning,
    load_checkpoint,
    save_checkpoint,
)


class Watch(Callback):
    """Keeps a copy of the weights and running statistics, and the record, of every step."""

    def __init__(self):
        self.params, self.buffers, self.records, self.grads = [], [], [], []

    def on_step_end(self, solver, record):
        self.params.append({name: w.copy() for name, w in solver.model.params.items()})
        self.buffers.append({name: w.copy() for name, w in solver.model.buffers().items()})
        self.grads.append({name: dw.copy() for name, dw in solver.grads.items()})
        self.records.append(record)


def test_the_average_is_the_formula():
    watch = Watch()
    solver = solver_of(rng=0, ema=0.5, callbacks=[watch, StopAt(8)])
    solver.train()
    for kept, steps in ((solver.ema_params, watch.params), (solver.ema_buffers, watch.buffers)):
        expected = dict(steps[0])
        for t, step in enumerate(steps):
            d = min(0.5, (1 + t) / (10 + t))
            expected = {name: d * expected[name] + (1 - d) * step[name] for name in expected}
        assert kept.keys() == expected.keys()
        for name in kept:
            np.testing.assert_allclose(kept[name], expected[name], rtol=1e-13)
    for name, w in solver.model.params.items():  # stopped: the model keeps its own weights
        np.testing.assert_array_equal(w, watch.params[-1][name])


def test_training_itself_does_not_see_the_average():
    plain, averaged = solver_of(rng=0), solver_of(rng=0, ema=0.9)
    plain.train()
    averaged.train()
    assert plain.loss_history == averaged.loss_history


@pytest.mark.parametrize("restore_best", [True, False])
def test_accuracies_and_the_last_weights_are_the_average_s(restore_best):
    seen = []

    class Look(Callback):
        def on_epoch_end(self, solver, record):
            other = Softmax()
            other.params, other.running_mean = (
                solver.ema_params,
                solver.ema_buffers["running_mean1"],
            )
            data = make_data()
            accuracy = np.mean(other.loss(data["X_val"]).argmax(axis=1) == data["y_val"])
            seen.append((record["val_acc"], accuracy))

    solver = solver_of(rng=0, ema=0.8, restore_best=restore_best, callbacks=[Look()])
    solver.train()
    assert [a for a, _ in seen] == [b for _, b in seen]
    expected = solver.best_params if restore_best else solver.ema_params
    buffers = solver.best_buffers if restore_best else solver.ema_buffers
    for name, w in solver.model.params.items():
        np.testing.assert_array_equal(w, expected[name])
        assert w is not expected[name]
    np.testing.assert_array_equal(solver.model.running_mean, buffers["running_mean1"])


def test_clipping_bounds_the_step_and_records_the_norm(tmp_path):
    watch = Watch()
    history = HistoryWriter(tmp_path / "history.jsonl")
    options = {"rng": 0, "optim_config": {"learning_rate": 1.0}}
    solver = solver_of(clip_norm=0.25, callbacks=[watch, history], **options)
    before = {name: w.copy() for name, w in solver.model.params.items()}
    solver.train()
    norms = [record["gradient_norm"] for record in watch.records]
    assert min(norms) < 0.25 < max(norms)
    for norm, grads, after in zip(norms, watch.grads, watch.params, strict=True):
        assert norm == pytest.approx(global_norm(grads))  # solver.grads are not clipped
        step = global_norm({name: after[name] - before[name] for name in after})
        assert step == pytest.approx(min(norm, 0.25))
        before = after
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["gradient_norm"] for line in lines if line["kind"] == "step"] == norms
    unlimited, plain = solver_of(clip_norm=1e6, **options), solver_of(**options)
    unlimited.train()
    plain.train()
    assert outcome(unlimited) == outcome(plain)


def test_a_norm_that_is_not_finite_stops_training():
    class Broken(Softmax):
        def loss(self, X, y=None):
            result = super().loss(X, y)
            if y is not None:
                result[1]["b1"][0] = np.inf
            return result

    with pytest.raises(NonFiniteError, match=r"the norm of the gradients is not finite.*b1"):
        solver_of(model=Broken(), clip_norm=1.0).train()


@pytest.mark.parametrize("name", ["clip_norm", "ema"])
@pytest.mark.parametrize("value", [0, -1, np.nan, "0.9", True])
def test_wrong_options_are_named(name, value):
    with pytest.raises(OptionError, match=f"^Solver: {name} must be"):
        solver_of(**{name: value})


def test_an_average_that_never_forgets_is_refused():
    with pytest.raises(OptionError, match=r"^Solver: ema must be in \(0, 1\), got 1"):
        solver_of(ema=1)


@pytest.mark.parametrize("restore_best", [True, False])
def test_resume_is_bit_identical_with_everything(restore_best, tmp_path):
    data = images()

    def make():
        return solver_of(
            model=conv_net(),
            data=data,
            update_rule="sgd_nesterov_momentum",
            optim_config={"learning_rate": 0.05, "l2": 1e-2, "weight_decay": 1e-2},
            batch_size=10,
            schedule=build_schedule({"name": "triangular", "rise": 0.3, "start": 0.1}),
            clip_norm=1.5,
            ema=0.9,
            restore_best=restore_best,
        )

    check_resume(make, tmp_path / "c.safetensors", stops=range(1, 12))


def test_the_average_goes_on_after_a_resume(tmp_path):
    whole, part, rest = (solver_of(rng=0, ema=0.95) for _ in range(3))
    whole.train()
    part.callbacks = [StopAt(5)]
    part.train()
    save_checkpoint(part, tmp_path / "c.safetensors")
    state = load_checkpoint(tmp_path / "c.safetensors").state
    np.testing.assert_array_equal(state["ema_params"]["W1"], part.ema_params["W1"])
    rest.resume(tmp_path / "c.safetensors")
    rest.train()
    for name, w in whole.ema_params.items():
        np.testing.assert_array_equal(rest.ema_params[name], w)
    np.testing.assert_array_equal(
        rest.ema_buffers["running_mean1"], whole.ema_buffers["running_mean1"]
    )


@pytest.mark.parametrize(
    ("change", "was"), [({"ema": 0.9}, "ema"), ({"clip_norm": 2.0}, "clip_norm")]
)
def test_another_setting_is_a_warning(change, was, tmp_path):
    save_checkpoint(solver_of(), tmp_path / "c.safetensors")
    with pytest.warns(ResumeWarning, match=f"{was} was None, is"):
        solver_of(**change).resume(tmp_path / "c.safetensors")
