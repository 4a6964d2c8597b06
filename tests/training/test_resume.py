"""A resumed run is, bit by bit, the run that never stopped; another run is refused."""

from __future__ import annotations

import copy
import warnings

import goals
import numpy as np
import pytest
from training.toys import (
    Softmax,
    StopAt,
    conv_net,
    flat,
    images,
    make_data,
    outcome,
    solver_of,
    without_times,
)

from handgrad import engines
from handgrad.data import Augmentation
from handgrad.errors import CheckpointError
from handgrad.models import ConvNet
from handgrad.optim import RULES, build_schedule
from handgrad.training import (
    Callback,
    Checkpointer,
    HealthCheck,
    HistoryWriter,
    LayerStatistics,
    ResumeWarning,
    load_checkpoint,
    save_checkpoint,
)
from handgrad.training.circumstances import fingerprint


def check_resume(make, path, stops=(1, 4, 6)):
    """Compare runs stopped at each of `stops` and resumed in a new Solver with the whole run."""
    np.random.seed(11)
    whole = make()
    whole.train()
    expected = outcome(whole)
    for iteration in stops:
        np.random.seed(11)
        part = make()
        part.callbacks = [StopAt(iteration)]
        part.train()
        assert part.iteration == iteration
        save_checkpoint(part, path)
        np.random.seed(99)  # another process: the streams are elsewhere
        rest = make()
        rest.resume(path)
        assert outcome(rest) == outcome(part)
        rest.train()
        assert outcome(rest) == expected


@pytest.mark.parametrize("rule", sorted(RULES))
def test_resume_is_bit_identical_with_every_update_rule(rule, tmp_path):
    check_resume(lambda: solver_of(update_rule=rule), tmp_path / "c.safetensors")


@pytest.mark.parametrize(
    "make_rng",
    [lambda: None, lambda: 5, lambda: np.random.RandomState(5)],
    ids=["global", "seed", "state"],
)
def test_resume_is_bit_identical_with_everything_random(make_rng, tmp_path):
    data = images()

    def make():
        return solver_of(
            model=conv_net(),
            data=data,
            update_rule="adam",
            batch_size=10,
            rng=make_rng(),
            schedule=build_schedule({"name": "cosine", "warmup": 3}),
            augment=Augmentation({"flip": 0.5, "crop": 1}),
            lr_decay=0.9,
            patience=5,
        )

    check_resume(make, tmp_path / "c.safetensors", stops=range(1, 12))


def test_twenty_runs_of_one_seed_are_the_same_bits():
    data = images()

    def run():
        np.random.seed(5)
        solver = solver_of(
            model=conv_net(), data=data, update_rule="adam", batch_size=10,
            augment=Augmentation({"flip": 0.5, "crop": 1}), schedule=build_schedule("cosine"),
        )  # fmt: skip
        solver.train()
        return outcome(solver)

    first = run()
    assert all(run() == first for _ in range(19))
    goals.record(11, "20 runs, 20 with the same losses, weights and random streams, by bits")


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("at", [1, 4, 5, 8, 13, 14])  # batches scored before the stop
def test_a_stop_in_the_middle_of_an_estimate(at, ema, tmp_path):
    data = images(rows=400)

    class Slow(ConvNet):
        """Is told to stop while it scores, as by a signal."""

        def loss(self, X, y=None):
            if y is None and len(X) > 1 and solver is not None:
                scored.append(len(X))
                if len(scored) == at:
                    solver.stop()
            return super().loss(X, y)

    def make(name):
        np.random.seed(5)
        model = Slow((2, 6, 6), [{"num_filters": 2, "filter_size": 3}], [5], 4, rng=2,
                     normalization="batchnorm", dropout_keep_ratio=0.7)  # fmt: skip
        history = HistoryWriter(tmp_path / f"{name}.jsonl")
        callbacks = [history, LayerStatistics(data["X_val"][:1]), HealthCheck()]
        return solver_of(
            model=model, data=data, update_rule="adam", batch_size=100, num_train_samples=350,
            num_epochs=2, callbacks=callbacks, ema=ema, schedule=build_schedule("cosine"),
        )  # fmt: skip

    scored, solver = [], None
    whole = make("whole")
    whole.train()
    solver = make("part")
    folder = tmp_path / "checkpoints"
    solver.callbacks.append(Checkpointer(folder))
    solver.train()
    assert solver.stop_reason == "interrupted"
    assert len(scored) == at  # not one more
    assert len(solver.loss_history) > len(solver.val_acc_history) * 4 - 4
    solver, _ = None, np.random.seed(9)
    rest = make("part")
    rest.resume(folder)
    rest.train()
    assert outcome(rest) == outcome(whole)
    assert without_times(tmp_path / "part.jsonl") == without_times(tmp_path / "whole.jsonl")


@pytest.mark.parametrize("shared", [False, True])
def test_resume_restores_the_stream_of_the_model(shared, tmp_path):
    def make():
        rng = np.random.Generator(np.random.MT19937(3))
        model = Softmax(rng=rng if shared else np.random.default_rng(8))
        return solver_of(model=model, rng=rng)

    check_resume(make, tmp_path / "c.safetensors")


def test_resume_restores_an_odd_gaussian_of_a_random_state(tmp_path):
    def noise(X, rng):
        return X + rng.standard_normal()  # the legacy stream keeps every second one for later

    check_resume(
        lambda: solver_of(augment=noise, rng=np.random.RandomState(1)), tmp_path / "c.safetensors"
    )


def test_resume_in_a_second_call_of_train(tmp_path):
    np.random.seed(0)
    whole = solver_of(update_rule="adam", lr_decay=0.8)
    whole.train()
    whole.train()
    expected = outcome(whole)
    np.random.seed(0)
    part = solver_of(update_rule="adam", lr_decay=0.8)
    part.train()
    part.callbacks = [StopAt(14)]
    part.train()
    save_checkpoint(part, tmp_path / "c.safetensors")
    rest = solver_of(update_rule="adam", lr_decay=0.8)
    rest.resume(tmp_path / "c.safetensors")
    rest.train()
    assert outcome(rest) == expected


def test_resume_after_the_end_continues_or_is_over(tmp_path):
    solver = solver_of(rng=0, callbacks=[Checkpointer(tmp_path)])
    solver.train()
    again = solver_of(rng=0)
    again.resume(tmp_path)
    assert again.iteration == 9
    again.train()
    assert outcome(again) == outcome(solver)
    longer = solver_of(rng=0, num_epochs=5)
    longer.resume(tmp_path)
    longer.train()
    whole = solver_of(rng=0, num_epochs=5)
    whole.train()
    assert longer.loss_history == whole.loss_history
    save_checkpoint(solver, tmp_path / "end.safetensors")  # train is over: a new call trains on
    again = solver_of(rng=0)
    again.resume(tmp_path / "end.safetensors")
    again.train()
    solver.train()
    assert outcome(again) == outcome(solver)


def test_resume_after_patience_ran_out_trains_no_more(tmp_path):
    class Flat(Callback):
        def on_epoch_end(self, solver, record):
            solver.best_val_acc = 2.0

    options = {"num_epochs": 20, "patience": 2, "rng": 0}
    solver = solver_of(callbacks=[Flat(), Checkpointer(tmp_path)], **options)
    solver.train()
    assert solver.iteration == 6
    again = solver_of(**options)
    again.resume(tmp_path)
    again.train()
    assert outcome(again) == outcome(solver)


def test_memory_layout_and_scalar_types_survive(tmp_path):
    solver = solver_of()
    solver.model.params["W1"] = np.asfortranarray(solver.model.params["W1"])
    solver.optim_configs["W1"] = {
        "learning_rate": np.float32(0.1), "m": np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
        "t": 3, "name": "x", "none": None, "scalar": np.array(2.5),
    }  # fmt: skip
    save_checkpoint(solver, tmp_path / "c.safetensors")
    state = load_checkpoint(tmp_path / "c.safetensors").state
    assert state["params"]["W1"].flags.f_contiguous
    config = state["optim_configs"]["W1"]
    assert flat(config) == flat(solver.optim_configs["W1"])
    assert config["m"].strides == solver.optim_configs["W1"]["m"].strides
    assert config["m"].flags.writeable


def test_what_cannot_be_saved_is_named(tmp_path):
    solver = solver_of()
    solver.optim_configs["b1"]["m"] = [1, 2]
    with pytest.raises(CheckpointError, match="optim_configs/b1/m is a list"):
        save_checkpoint(solver, tmp_path / "c.safetensors")
    solver = solver_of()
    solver.model.params["W1"] = solver.model.params["W1"].astype(complex)
    with pytest.raises(CheckpointError, match="params/W1 has dtype complex128"):
        save_checkpoint(solver, tmp_path / "c.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_solver_without_statistics_or_summary_can_be_resumed(tmp_path):
    class Plain:
        def __init__(self):
            self.inner = Softmax()
            self.params = self.inner.params

        def loss(self, X, y=None):
            self.inner.params = self.params
            return self.inner.loss(X, y)

    solver = solver_of(model=Plain(), rng=0, callbacks=[StopAt(4)])
    solver.train()
    save_checkpoint(solver, tmp_path / "c.safetensors")
    other = solver_of(model=copy.deepcopy(Plain()), rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.resume(tmp_path / "c.safetensors")
    assert other.loss_history == solver.loss_history


def in_float32():
    model = Softmax()
    model.params = {name: w.astype(np.float32) for name, w in model.params.items()}
    return model


def other_rows():
    data = make_data()
    data["X_train"] = data["X_train"].copy()
    data["X_train"][17, 2] += 1e-9
    return data


@pytest.mark.goal(18, "mismatches refused, naming the difference")
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"update_rule": "adam"}, "update rule was sgd, is adam"),
        ({"batch_size": 15}, "batch size was 20, is 15"),
        (
            {"data": other_rows()},
            r"data X_train was \(60, 6\) float64 \w{16}, is \(60, 6\) float64",
        ),
        ({"data": {**make_data(), "y_val": make_data()["y_val"][::-1]}}, "data y_val was"),
        ({"data": make_data(rows=59)}, r"data y_train was \(60,\)"),
        ({"model": Softmax(classes=4)}, r"parameters W1 was \(6, 3\) float64, is \(6, 4\) float64"),
        ({"model": in_float32()}, r"W1 was \(6, 3\) float64, is \(6, 3\) float32"),
        ({"rng": 3}, r"random stream of the Solver was none, is Generator \(PCG64\)"),
        ({"model": Softmax(rng=np.random.default_rng(0))}, "random stream of the model was none"),
    ],
)
def test_another_run_is_refused_and_nothing_changes(change, match, tmp_path):
    solver = solver_of(num_epochs=1)
    solver.train()
    save_checkpoint(solver, tmp_path / "c.safetensors")
    other = solver_of(**change)
    np.random.seed(1)
    before = outcome(other)
    with pytest.raises(CheckpointError, match=match):
        other.resume(tmp_path / "c.safetensors")
    assert outcome(other) == before


def test_every_byte_of_the_data_counts():
    rng = np.random.default_rng(0)
    data = rng.standard_normal((3000, 8, 8, 30)).astype(np.float32)  # 23 MB: more than one chunk
    whole = fingerprint(data)
    assert fingerprint(data[:, ::-1].copy()[:, ::-1]) == whole  # whatever its memory looks like
    for row in (0, 1, 1500, 2184, 2185, 2999):
        data[row, 3, 4, 5] += 1e-3
        assert fingerprint(data) != whole
        data[row, 3, 4, 5] -= 1e-3
        whole = fingerprint(data)


def test_parameters_of_another_name_are_refused(tmp_path):
    solver = solver_of()
    save_checkpoint(solver, tmp_path / "c.safetensors")
    other = solver_of()
    other.model.params["W2"] = other.model.params.pop("W1")
    with pytest.raises(
        CheckpointError, match=r"parameters W1 was \(6, 3\) float64, is None; .*W2 was None"
    ):
        other.resume(tmp_path / "c.safetensors")


def test_a_network_that_computes_something_else_is_refused(tmp_path):
    def make(**options):
        return solver_of(model=conv_net(**options), data=images(), batch_size=10)

    solver = make()
    solver.train()
    save_checkpoint(solver, tmp_path / "c.safetensors")
    with pytest.raises(CheckpointError, match="network line"):
        make(normalization="layernorm").resume(tmp_path / "c.safetensors")
    with pytest.warns(ResumeWarning, match=r"reg was 0.0, is 0.5; dropout was 0.7, is 0.6"):
        make(reg=0.5, dropout_keep_ratio=0.6).resume(tmp_path / "c.safetensors")


def half(step, total_steps):
    return 0.5


@pytest.mark.goal(18, "mismatches warned of, naming the difference")
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"lr_decay": 0.5}, "lr_decay was 1.0, is 0.5"),
        ({"num_train_samples": 31}, "num_train_samples was 30, is 31"),
        ({"num_val_samples": 7}, "num_val_samples was None, is 7"),
        ({"patience": 7}, "patience was None, is 7"),
        ({"restore_best": False}, "restore_best was True, is False"),
        ({"schedule": half}, "schedule was None, is half"),
        ({"schedule": build_schedule("cosine")}, r"schedule was None, is Cosine\(final=0.0\)"),
        ({"augment": Augmentation(["flip"])}, "augment was None, is Augmentation"),
        (
            {"optim_config": {"learning_rate": 0.2}},
            r"optim_config \(kept as it was\) learning_rate was None, is 0.2",
        ),
        (
            {"optim_config": {"parameters": {"W1": {"learning_rate": 0.2}}}},
            r"optim_config \(kept as it was\) parameters was None, is .*'W1'",
        ),
    ],
)
def test_other_circumstances_are_a_warning(change, match, tmp_path):
    save_checkpoint(solver_of(), tmp_path / "c.safetensors")
    with pytest.warns(ResumeWarning, match=match):
        solver_of(**change).resume(tmp_path / "c.safetensors")


def test_another_number_of_epochs_changes_what_a_schedule_gives(tmp_path):
    schedule = build_schedule("cosine")
    save_checkpoint(solver_of(num_epochs=2), tmp_path / "none.safetensors")
    solver_of(num_epochs=3).resume(tmp_path / "none.safetensors")
    save_checkpoint(solver_of(schedule=schedule, num_epochs=2), tmp_path / "c.safetensors")
    with pytest.warns(ResumeWarning, match=r": num_epochs was 2, is 3$"):
        solver_of(schedule=schedule, num_epochs=3).resume(tmp_path / "c.safetensors")


@pytest.mark.goal(18, "other engines warned of")
def test_another_engine_is_a_warning(tmp_path):
    with engines.use("vectorized"):
        save_checkpoint(solver_of(), tmp_path / "c.safetensors")
    with (
        engines.use("naive"),
        pytest.warns(ResumeWarning, match="engine was vectorized, is naive"),
    ):
        solver_of().resume(tmp_path / "c.safetensors")


@pytest.mark.goal(18, "other thread counts and versions warned of")
def test_other_threads_and_versions_are_a_warning(tmp_path, monkeypatch):
    from handgrad import environment

    save_checkpoint(solver_of(), tmp_path / "c.safetensors")
    monkeypatch.setattr(environment, "blas", lambda: {"threads": 77})
    with pytest.warns(ResumeWarning, match=r"BLAS threads was \d+, is 77"):
        solver_of().resume(tmp_path / "c.safetensors")
    monkeypatch.undo()
    monkeypatch.setattr(np, "__version__", "9.9")
    with pytest.warns(ResumeWarning, match=r"versions numpy was .*, is 9.9"):
        solver_of().resume(tmp_path / "c.safetensors")
