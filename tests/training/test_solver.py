"""The Solver keeps the courses' order of draws, prints and records, and its own promises."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from training.toys import Softmax, conv_net, images, make_data

from handgrad.errors import (
    DtypeError,
    HandgradError,
    LabelError,
    NonFiniteError,
    OptionError,
    ShapeError,
)
from handgrad.models import FullyConnectedNet
from handgrad.optim import RULES, adam, build_schedule, sgd
from handgrad.training import Callback, Solver


class Recorder(Callback):
    def __init__(self):
        self.records = []
        self.ends = 0

    def on_step_end(self, solver, record):
        self.records.append(record)

    def on_epoch_end(self, solver, record):
        self.records.append(record)

    def on_train_end(self, solver):
        self.ends += 1

    def of(self, kind):
        return [record for record in self.records if record["kind"] == kind]


def quiet(model=None, data=None, **options):
    options = {"verbose": False, "batch_size": 20, "num_epochs": 3, **options}
    return Solver(model or Softmax(), data or make_data(), **options)


def reference_loop(model, data, rule, rate, decay, batch_size, epochs, samples):
    """The courses' loop, written down a second time, on NumPy's global stream."""
    X, y = data["X_train"], data["y_train"]
    configs = {name: {"learning_rate": rate} for name in model.params}
    losses, train, val, best, best_params = [], [], [], 0, {}
    per_epoch = max(len(X) // batch_size, 1)

    def accuracy(X, y, samples):
        if samples is not None and len(X) > samples:
            rows = np.random.choice(len(X), samples)
            X, y = X[rows], y[rows]
        return np.mean(model.loss(X).argmax(axis=1) == y)

    for t in range(epochs * per_epoch):
        rows = np.random.choice(len(X), batch_size)
        loss, grads = model.loss(X[rows], y[rows])
        losses.append(loss)
        for name in model.params:
            model.params[name], configs[name] = rule(model.params[name], grads[name], configs[name])
        if (t + 1) % per_epoch == 0:
            for config in configs.values():
                config["learning_rate"] *= decay
        if t == 0 or (t + 1) % per_epoch == 0:
            train.append(accuracy(X, y, samples))
            val.append(accuracy(data["X_val"], data["y_val"], samples // 2))
            if val[-1] > best:
                best = val[-1]
                best_params = {name: w.copy() for name, w in model.params.items()}
    return losses, train, val, best_params


@pytest.mark.parametrize("rule", [sgd, adam])
def test_global_stream_reproduces_the_courses_loop_bit_for_bit(rule):
    data = make_data(rows=65)
    np.random.seed(231)
    expected = reference_loop(Softmax(), data, rule, 0.05, 0.9, 20, 3, 40)
    drawn = np.random.rand()
    np.random.seed(231)
    solver = quiet(
        data=data,
        update_rule=rule.__name__,
        optim_config={"learning_rate": 0.05},
        lr_decay=0.9,
        num_train_samples=40,
        num_val_samples=20,
    )
    solver.train()
    found = solver.loss_history, solver.train_acc_history, solver.val_acc_history
    assert found == expected[:3]
    for name, w in expected[3].items():
        assert np.array_equal(solver.model.params[name], w)
    assert np.random.rand() == drawn


@pytest.mark.parametrize(
    "make", [lambda: 7, lambda: np.random.default_rng(7), lambda: np.random.RandomState(7)]
)
def test_a_private_stream_repeats_and_leaves_the_global_one_alone(make):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    solvers = [quiet(rng=make(), num_train_samples=10) for _ in range(2)]
    for solver in solvers:
        solver.train()
    assert solvers[0].loss_history == solvers[1].loss_history
    assert np.array_equal(before, np.random.get_state()[1])
    other = quiet(rng=8)
    other.train()
    assert other.loss_history != solvers[0].loss_history


def test_check_accuracy_draws_only_for_more_rows_than_asked():
    data = make_data(rows=60)
    solver = quiet(data=data)
    np.random.seed(1)
    state = np.random.get_state()[2]
    solver.check_accuracy(data["X_train"], data["y_train"], num_samples=60)
    assert np.random.get_state()[2] == state
    found = solver.check_accuracy(data["X_train"], data["y_train"], num_samples=59, batch_size=7)
    np.random.seed(1)
    rows = np.random.choice(60, 59)
    right = solver.model.loss(data["X_train"][rows]).argmax(axis=1) == data["y_train"][rows]
    assert found == np.mean(right)
    with pytest.raises(ShapeError, match="at least one row"):
        solver.check_accuracy(data["X_train"][:0], data["y_train"][:0])


def test_printed_lines_and_their_order(capsys, tmp_path):
    solver = quiet(
        verbose=True, num_epochs=2, print_every=2, rng=0, checkpoint_name=str(tmp_path / "run")
    )
    solver.train()
    loss, train, val = solver.loss_history, solver.train_acc_history, solver.val_acc_history

    def saved(epoch):
        return f'Saving checkpoint to "{tmp_path / f"run_epoch_{epoch}.safetensors"}"'

    assert capsys.readouterr().out.splitlines() == [
        f"(Iteration 1 / 6) loss: {loss[0]:f}",
        saved(0),
        f"(Epoch 0 / 2) train acc: {train[0]:f}; val_acc: {val[0]:f}",
        f"(Iteration 3 / 6) loss: {loss[2]:f}",
        saved(1),
        f"(Epoch 1 / 2) train acc: {train[1]:f}; val_acc: {val[1]:f}",
        f"(Iteration 5 / 6) loss: {loss[4]:f}",
        saved(2),
        f"(Epoch 2 / 2) train acc: {train[2]:f}; val_acc: {val[2]:f}",
    ]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"run_epoch_{epoch}.safetensors" for epoch in range(3)]


def test_defaults_are_the_courses():
    solver = Solver(Softmax(), make_data())
    assert solver.update_rule is sgd
    expected = {
        "optim_config": {}, "lr_decay": 1.0, "batch_size": 100, "num_epochs": 10,
        "num_train_samples": 1000, "num_val_samples": None, "checkpoint_name": None,
        "print_every": 10, "verbose": True, "epoch": 0, "best_val_acc": 0, "best_params": {},
        "loss_history": [], "train_acc_history": [], "val_acc_history": [],
    }  # fmt: skip
    assert {name: getattr(solver, name) for name in expected} == expected
    assert solver.iterations_per_epoch == 1  # 60 rows, batches of 100
    assert list(solver.optim_configs) == ["W1", "b1"]


def test_history_lengths_epochs_and_decay():
    solver = quiet(num_epochs=4, lr_decay=0.5, optim_config={"learning_rate": 0.08})
    solver.train()
    assert len(solver.loss_history) == 12
    assert len(solver.train_acc_history) == len(solver.val_acc_history) == 5
    assert solver.epoch == 4
    assert all(config["learning_rate"] == 0.005 for config in solver.optim_configs.values())
    assert solver.optim_config["learning_rate"] == 0.08


def test_a_second_call_of_train_continues():
    solver = quiet(update_rule="adam", num_epochs=2, rng=1)
    solver.train()
    first = list(solver.loss_history)
    solver.optim_config["learning_rate"] = 77.0  # has no effect any more
    solver.train()
    assert solver.loss_history[:6] == first
    assert len(solver.loss_history) == 12
    assert solver.epoch == 4
    assert len(solver.val_acc_history) == 6
    assert solver.optim_configs["W1"]["t"] == 12
    assert solver.optim_configs["W1"]["learning_rate"] == 1e-3


def test_best_parameters_and_statistics_come_back():
    class Watch(Callback):
        def on_epoch_end(self, solver, record):
            if record["epoch"] == 0:
                self.params = {name: w.copy() for name, w in solver.model.params.items()}
                self.mean = solver.model.running_mean.copy()
                solver.best_val_acc = 1.1  # nothing later is better

    watch = Watch()
    solver = quiet(callbacks=[watch])
    solver.train()
    for name, w in watch.params.items():
        assert np.array_equal(solver.model.params[name], w)
        assert not np.shares_memory(solver.model.params[name], solver.best_params[name])
    assert np.array_equal(solver.model.running_mean, watch.mean)


def test_restore_best_false_keeps_the_last_parameters():
    class Last(Callback):
        def on_step_end(self, solver, record):
            solver.best_val_acc = 2.0  # what came after the first estimate is never the best
            self.params = {name: w.copy() for name, w in solver.model.params.items()}

    last = Last()
    solver = quiet(restore_best=False, callbacks=[last])
    solver.train()
    assert np.array_equal(solver.model.params["W1"], last.params["W1"])
    assert not np.array_equal(solver.model.params["W1"], solver.best_params["W1"])


def test_without_a_right_answer_the_model_keeps_its_last_parameters():
    class Wrong(Softmax):
        def loss(self, X, y=None):
            return -np.eye(3)[np.zeros(len(X), int)] if y is None else super().loss(X, y)

    data = make_data()
    data["y_val"] = np.zeros_like(data["y_val"])
    solver = quiet(Wrong(), data)
    solver.train()
    assert solver.best_val_acc == 0
    assert sorted(solver.model.params) == ["W1", "b1"]


def test_zero_epochs_change_nothing():
    solver = quiet(num_epochs=0)
    before = solver.model.params["W1"].copy()
    solver.train()
    assert np.array_equal(solver.model.params["W1"], before)
    assert solver.loss_history == solver.val_acc_history == []


def test_records():
    recorder = Recorder()
    solver = quiet(callbacks=[recorder], num_epochs=2, lr_decay=0.5,
                   optim_config={"learning_rate": 0.1})  # fmt: skip
    solver.train()
    steps, epochs = recorder.of("step"), recorder.of("epoch")
    assert [record["kind"] for record in recorder.records[:3]] == ["step", "epoch", "step"]
    assert [record["iteration"] for record in steps] == [1, 2, 3, 4, 5, 6]
    assert [record["loss"] for record in steps] == solver.loss_history
    assert [record["learning_rate"] for record in steps] == [0.1] * 3 + [0.05] * 3
    assert [record["epoch"] for record in steps] == [0, 0, 1, 1, 1, 2]
    assert [record["epoch"] for record in epochs] == [0, 1, 2]
    assert [record["iteration"] for record in epochs] == [1, 3, 6]
    assert [record["val_acc"] for record in epochs] == solver.val_acc_history
    assert [record["train_acc"] for record in epochs] == solver.train_acc_history
    assert all(record["images_per_second"] > 0 for record in epochs)
    times = [record["time"] for record in steps]
    assert times == sorted(times)
    assert 0 < times[0] <= times[-1] <= solver.seconds
    assert recorder.ends == 1


def test_schedule_multiplies_the_base_rate_under_the_decay():
    recorder = Recorder()
    seen = []

    def schedule(step, total_steps):
        seen.append((step, total_steps))
        return np.float64(1 / (step + 1))

    solver = quiet(schedule=schedule, callbacks=[recorder], num_epochs=2, lr_decay=0.5)
    solver.train()
    assert seen == [(step, 6) for step in range(6)]
    rates = [record["learning_rate"] for record in recorder.of("step")]
    expected = [1e-2, 1e-2 / 2, 1e-2 / 3, 5e-3 / 4, 5e-3 / 5, 5e-3 / 6]
    assert rates == pytest.approx(expected, rel=1e-14)
    assert all(type(rate) is float for rate in rates)
    assert all(config["learning_rate"] == 2.5e-3 for config in solver.optim_configs.values())
    solver.train()
    assert seen[6:] == [(step, 12) for step in range(6, 12)]


def test_the_rate_of_the_schedule_is_the_rate_of_the_update():
    plain = quiet(num_epochs=1, optim_config={"learning_rate": 0.05}, rng=0)
    halved = quiet(num_epochs=1, optim_config={"learning_rate": 0.1}, rng=0,
                   schedule=lambda step, total_steps: 0.5)  # fmt: skip
    for solver in (plain, halved):
        solver.train()
    assert plain.loss_history == halved.loss_history
    constant = quiet(num_epochs=1, optim_config={"learning_rate": 0.05}, rng=0,
                     schedule=build_schedule("constant"))  # fmt: skip
    constant.train()
    assert constant.loss_history == plain.loss_history


def test_augment_gets_the_batch_after_the_draw_and_the_stream():
    data = make_data()
    stream = np.random.default_rng(5)
    seen = []

    def augment(X, rng):
        assert rng is stream
        seen.append(X.copy())
        return X + rng.random()

    solver = quiet(data=data, augment=augment, rng=stream, num_epochs=1)
    solver.train()
    again = np.random.default_rng(5)
    assert np.array_equal(seen[0], data["X_train"][again.choice(60, 20)])
    again.random()
    assert np.array_equal(seen[1], data["X_train"][again.choice(60, 20)])


def test_augment_on_the_global_stream():
    solver = quiet(augment=lambda X, rng: X * rng.random(), num_epochs=1)
    np.random.seed(3)
    solver.train()
    drawn = np.random.rand()
    np.random.seed(3)
    for _ in range(3):
        np.random.choice(60, 20)
        np.random.rand()
    assert np.random.rand() == drawn


def test_patience_stops_after_so_many_epochs_without_gain():
    class Flat(Callback):
        def on_epoch_end(self, solver, record):
            if record["epoch"] == 2:
                solver.best_val_acc = 2.0  # no later epoch is better

    solver = quiet(num_epochs=50, patience=3, callbacks=[Flat()])
    solver.train()
    assert solver.stop_reason == "patience"
    assert solver.epoch <= 5
    stopped_at = solver.epoch
    solver.train()  # a new call has new patience
    assert solver.epoch == stopped_at + 3


def test_stop_keeps_the_last_parameters_and_train_goes_on():
    class Stopper(Callback):
        def on_step_end(self, solver, record):
            if record["iteration"] == 5:
                self.params = {name: w.copy() for name, w in solver.model.params.items()}
                solver.stop()

    whole = quiet(rng=1)
    whole.train()
    stopper = Stopper()
    solver = quiet(rng=1, callbacks=[stopper])
    solver.train()
    assert solver.stop_reason == "interrupted"
    assert solver.iteration == 5
    assert np.array_equal(solver.model.params["W1"], stopper.params["W1"])
    solver.train()
    assert solver.stop_reason is None
    assert solver.loss_history == whole.loss_history
    assert solver.val_acc_history == whole.val_acc_history
    assert np.array_equal(solver.model.params["W1"], whole.model.params["W1"])


def test_solver_can_be_pickled_and_copied():
    solver = quiet(rng=1)
    solver.train()
    half = copy.copy(solver)
    half.X_train = half.y_train = half.X_val = half.y_val = None
    loaded = pickle.loads(pickle.dumps(half))
    X = make_data()["X_val"]
    assert np.array_equal(loaded.model.loss(X), solver.model.loss(X))
    assert loaded.update_rule is sgd
    assert solver.X_train is not None
    assert solver.grads == solver.params_before == {}


class Poisoned(Softmax):
    """From its third step on, something is NaN or infinite."""

    def __init__(self, where):
        super().__init__()
        self.where, self.steps = where, 0

    def loss(self, X, y=None):
        if y is None:
            return super().loss(X)
        loss, grads = super().loss(X, y)
        self.steps += 1
        if self.steps == 3:
            if self.where == "loss":
                loss = np.nan
                self.running_mean = self.running_mean * np.nan
            elif self.where == "raise":
                self.running_mean = self.running_mean * np.nan
                raise NonFiniteError("softmax_loss: x must be finite")
            else:
                grads["b1"][1] = np.inf
        return loss, grads


@pytest.mark.parametrize("rule", ["sgd", "sgd_momentum", "adam"])
@pytest.mark.parametrize("where", ["loss", "gradient", "raise"])
def test_nan_stops_within_the_step_and_keeps_the_model(where, rule):
    recorder = Recorder()
    solver = quiet(Poisoned(where), update_rule=rule, callbacks=[recorder], rng=0)
    with pytest.raises(NonFiniteError) as caught:
        solver.train()
    text = str(caught.value)
    assert "iteration 3 (epoch 0), learning rate 0.0" in text
    assert "learning rate is too high" in text
    if where == "gradient":
        assert "update of b1" in text
        assert "gradients that are not finite: b1; first layer in backward: b1" in text
    assert recorder.ends == 1
    healthy = quiet(update_rule=rule, num_epochs=1, rng=0, restore_best=False)

    class StopAtTwo(Callback):
        def on_step_end(self, solver, record):
            if record["iteration"] == 2:
                solver.stop()

    healthy.callbacks = [StopAtTwo()]
    healthy.train()
    assert solver.loss_history == healthy.loss_history
    for name, w in healthy.model.params.items():
        assert np.array_equal(solver.model.params[name], w)
    assert np.array_equal(solver.model.running_mean, healthy.model.running_mean)


def test_an_update_that_overflows_is_undone():
    def huge(w, dw, config):  # in place, as sgd
        w += config.setdefault("change", 0.0)
        config["change"] = 1e999
        return w, config

    solver = quiet(update_rule=huge)
    solver._advance(9)
    before = {name: w.copy() for name, w in solver.model.params.items()}
    with pytest.raises(NonFiniteError, match=r"the update of W1 is not finite"):
        solver._advance(9)
    for name, w in before.items():
        assert np.isfinite(w).all()
        assert np.array_equal(solver.model.params[name], w)


class Written(dict):
    """Parameters that are views of one memory: who sets one writes into its array."""

    def __setitem__(self, name, w):
        self[name][...] = w


def test_an_update_written_into_the_arrays_is_undone(monkeypatch):
    def huge(w, dw, config):
        w += config.setdefault("change", 0.0)
        config["change"] = 1e999
        return w, config

    monkeypatch.setitem(RULES, "huge", huge)  # a rule of one's own, by name
    registered = quiet(update_rule="huge")
    written = quiet(update_rule="adam", optim_config={"learning_rate": 0.0})
    written.model.params = Written(written.model.params)
    for solver in (registered, written):
        solver._advance(9)
        before = {name: w.copy() for name, w in solver.model.params.items()}
        config = solver.optim_configs["b1"]
        config |= {"learning_rate": 1e308, "epsilon": 1e-300}
        if "m" in config:
            config["m"] = config["m"] * 1e6  # a step too large in every engine
        with pytest.raises(NonFiniteError, match=r"the update of (W1|b1) is not finite"):
            solver._advance(9)
        for name, w in before.items():
            assert np.array_equal(solver.model.params[name], w)


def test_divergence_names_the_layer_and_the_cause():
    solver = quiet(augment=lambda X, rng: X * np.nan)
    with pytest.raises(NonFiniteError, match=r"is not finite: centred.*look at augment"):
        solver.train()
    model = Softmax()
    model.params["W1"][0, 0] = np.nan
    with pytest.raises(NonFiniteError, match=r"parameters that are not finite: W1.*was built"):
        quiet(model).train()


def test_another_error_in_the_step_also_leaves_the_parameters():
    def rule(w, dw, config):
        w -= dw
        if w.ndim == 1:
            raise KeyboardInterrupt
        return w, config

    solver = quiet(update_rule=rule)
    before = solver.model.params["W1"].copy()
    with pytest.raises(KeyboardInterrupt):
        solver.train()
    assert np.array_equal(solver.model.params["W1"], before)


def with_data(**changes):
    return {**make_data(), **changes}


def bad_rows(row, value):
    X = make_data()["X_train"]
    X[row, 2] = value
    return X


def labels(**changes):
    y = make_data()["y_train"].copy()
    for row, label in changes.items():
        y[int(row[1:])] = label
    return y


@pytest.mark.parametrize(
    ("data", "options", "error", "match"),
    [
        (make_data(), {"learning_rate": 1, "epochs": 2}, OptionError,
         'Solver: unrecognized "learning_rate", "epochs"; known are .*; did you mean "num_epochs"'),
        (make_data(), {"update_rule": "sdg"}, OptionError, 'Invalid update_rule "sdg"'),
        (make_data(), {"batch_size": 0}, OptionError, "batch_size must be at least 1"),
        (make_data(), {"batch_size": 2.5}, OptionError, "batch_size must be an integer"),
        (make_data(), {"num_epochs": -1}, OptionError, "num_epochs"),
        (make_data(), {"print_every": 0}, OptionError, "print_every"),
        (make_data(), {"lr_decay": -0.5}, OptionError, "lr_decay"),
        (make_data(), {"num_train_samples": 0}, OptionError, "num_train_samples"),
        (make_data(), {"patience": 0}, OptionError, "patience"),
        (make_data(), {"rng": "seed"}, OptionError, "rng"),
        ([1, 2], {}, OptionError, "data must be a dictionary"),
        ({"X_train": 0}, {}, OptionError, "lacks the key 'y_train'"),
        (with_data(y_train=labels()[:-1]), {}, ShapeError, r"y_train must have shape \(60,\)"),
        (with_data(y_train=labels()[:, None]), {}, ShapeError, "y_train"),
        (with_data(X_val=np.zeros((0, 6)), y_val=labels()[:0]), {}, ShapeError, "X_val"),
        (with_data(X_val=np.zeros((30, 5))), {}, ShapeError, "X_val must have rows of the shape"),
        (with_data(y_train=labels(_7=3)), {}, LabelError,
         r"y_train must be in \[0, 3\), but y_train\[7\] is 3"),
        (with_data(y_train=labels(_9=-1)), {}, LabelError, r"y_train\[9\] is -1"),
        (with_data(y_train=labels() * 1.0), {}, LabelError, "float64.*astype"),
        (with_data(X_train=bad_rows(41, np.nan)), {}, NonFiniteError, "X_train.*row 41"),
        (with_data(X_train=bad_rows(59, -np.inf)), {}, NonFiniteError, "X_train.*row 59"),
        (with_data(X_train=np.full((60, 6), "a")), {}, DtypeError, "X_train"),
    ],
)  # fmt: skip
def test_wrong_calls_are_refused_before_training(data, options, error, match):
    with pytest.raises(error, match=match) as caught:
        Solver(Softmax(), data, **options)
    assert isinstance(caught.value, HandgradError)


def test_huge_but_finite_data_are_taken():
    X = make_data()["X_train"] * 1e200
    solver = quiet(data=with_data(X_train=X))
    assert solver.X_train is X


@pytest.mark.parametrize(
    ("grads", "match"),
    [
        ({"W1": np.zeros((6, 3))}, "missing .'b1'."),
        ({"W1": np.zeros((6, 3)), "b1": np.zeros(3), "c": 0}, "unknown .'c'."),
        ({"W1": np.zeros((6, 3)), "b1": np.zeros((1, 3))}, r"b1 .* shape \(3,\), got \(1, 3\)"),
    ],
)
def test_gradients_that_do_not_fit_are_refused(grads, match):
    class Model(Softmax):
        def loss(self, X, y=None):
            return super().loss(X) if y is None else (1.0, grads)

    with pytest.raises(ShapeError, match=match):
        quiet(Model()).train()


def test_batches_of_one_with_batch_normalisation_are_warned_of():
    def make(**options):
        model = FullyConnectedNet([4, 5], 6, 3, rng=0, **options)
        return quiet(model, batch_size=1, num_epochs=1)

    with pytest.warns(UserWarning, match="batch_size 1.* affine1, affine2 a constant") as caught:
        make(normalization="batchnorm").train()
    assert len(caught) == 1
    make(normalization="layernorm")  # no warning, which would be an error
    make()


def test_nan_in_the_first_step_leaves_no_running_statistics():
    model = FullyConnectedNet([4], 6, 3, normalization="batchnorm", rng=0, dtype=np.float64)
    model.params["W2"] *= np.inf
    with pytest.raises(NonFiniteError, match=r"iteration 1 .*parameters that are not finite: W2"):
        quiet(model).train()
    assert model.buffers() == {}


@pytest.mark.parametrize("layer", ["conv1", "conv2", "affine3", "affine4"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_layer_that_turns_non_finite_is_named(layer, value):
    model = conv_net(convolutions=2, normalization=None, dropout_keep_ratio=1)

    class Poison(Callback):
        def on_step_end(self, solver, record):
            if record["iteration"] == 2:
                solver.model.params[f"b{layer[-1]}"][:] = value

    solver = quiet(model, images(), batch_size=10, callbacks=[Poison()])
    with pytest.raises(NonFiniteError, match=f"not finite: {layer}[;.]"):
        solver.train()
    assert solver.iteration == 2


def test_single_parameters_have_settings_of_their_own():
    special = {"W*": {"learning_rate": 0.5, "momentum": 0.1}, "b1": {"learning_rate": 0}}
    solver = quiet(
        update_rule="sgd_momentum",
        optim_config={"learning_rate": 0.08, "parameters": special},
        schedule=lambda step, total: 0.5,
    )
    assert solver.optim_configs["W1"] == {"learning_rate": 0.5, "momentum": 0.1}
    before = solver.model.params["b1"].copy()
    solver.train()
    assert np.array_equal(solver.model.params["b1"], before)
    assert solver.optim_configs["W1"]["learning_rate"] == 0.5
    assert solver.optim_configs["W1"]["momentum"] == 0.1
    assert solver.optim_configs["b1"]["momentum"] == 0.9


@pytest.mark.parametrize(
    ("special", "says"),
    [
        (
            {"W2": {"learning_rate": 1}},
            "optim_config: no parameter is called 'W2'; there are W1, b1",
        ),
        ({"W1": 0.1}, "optim_config: parameters of W1 must be a dictionary"),
        ([], "optim_config: parameters must be a dictionary"),
    ],
)
def test_settings_of_no_parameter_are_refused(special, says):
    with pytest.raises((OptionError, DtypeError), match=says):
        quiet(optim_config={"parameters": special})
