"""Steps that the Solver takes by a plan: the bits, records and files of those that it takes one by one."""

import copy

import numpy as np
import pytest
from training.interrupting import is_interrupted
from training.toys import Softmax, images, make_data, outcome, without_times

from handgrad import engines, models, nn
from handgrad.data import Preprocessing
from handgrad.data.rows import Rows
from handgrad.errors import NonFiniteError
from handgrad.optim import build_schedule
from handgrad.training import (
    Callback,
    HealthCheck,
    HistoryWriter,
    Solver,
    compiled,
)
from handgrad.training.checkpoint import save_checkpoint
from handgrad.training.compiled import Planned

pytestmark = pytest.mark.skipif(
    "native" not in engines.available(), reason="the native engine is not built"
)
HOURS = 1e4


@pytest.fixture(autouse=True)
def whole_epochs(monkeypatch):
    """Let each call take all steps to the next estimate, however busy the machine is."""
    monkeypatch.setattr(compiled, "SECONDS", HOURS)


def sequential(*layers, **options):
    return nn.Sequential(list(layers), input_shape=(6,), rng=0, **{"reg": 1e-2, **options})


def mlp():
    return sequential(nn.Affine(9), nn.BatchNorm(), nn.ReLU(), nn.Affine(3))


def dropping(rng=None):
    return lambda: sequential(nn.Affine(9), nn.Dropout(0.7, rng=rng), nn.Affine(3))


def conv_net():
    conv = [{"num_filters": 4, "filter_size": 3}]
    return models.ConvNet((2, 6, 6), conv, [5], 4, "batchnorm", reg=1e-2, rng=2)


def as_bytes(standardize):
    """Images as bytes, of which a data set chooses some rows."""
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 256, (80, 2, 6, 6), dtype=np.uint8)
    prepare = Preprocessing.fit("mine", stored, standardize=standardize)
    chosen = rng.permutation(80)[:40]
    X = Rows(stored, prepare, chosen)
    y = rng.integers(0, 4, 40)
    return {"X_train": X, "y_train": y, "X_val": X[:12], "y_val": y[:12]}


def regression():
    data = make_data()
    for part in ("train", "val"):
        data[f"y_{part}"] = np.stack(
            [data[f"X_{part}"][:, 0], data[f"X_{part}"][:, 1] ** 2], axis=1
        )
    return data


class Records(Callback):
    """Keeps the records, and looks at nothing else."""

    needs_each_step = False

    def __init__(self):
        self.records = []

    def on_step_end(self, solver, record):
        self.records.append(record)

    on_epoch_end = on_step_end


def timeless(records):
    return [{k: v for k, v in r.items() if k not in ("time", "images_per_second")} for r in records]


CASES = {
    "plain": (mlp, {}),
    "all at once": (
        mlp,
        {
            "clip_norm": 0.5,
            "ema": 0.9,
            "lr_decay": 0.9,
            "sampling": "shuffled",
            "schedule": build_schedule({"name": "cosine", "final": 0.1}),
            "update_rule": "adamw",
            "optim_config": {"learning_rate": 1e-2, "parameters": {"*W": {"l2": 1e-3}}},
        },
    ),
    "frozen": (mlp, {"freeze": ["*gamma", "*beta"], "ema": 0.5, "update_rule": "sgd_momentum"}),
    "dropout from the stream of the rows": (dropping(), {"rng": None}),
    "dropout from a stream of its own": (dropping(5), {}),
    "dropout, shuffled": (dropping(), {"rng": None, "sampling": "shuffled"}),
    "images": (conv_net, {"data": images}),
    "bytes": (conv_net, {"data": lambda: as_bytes(True)}),
    "bytes less a mean image": (conv_net, {"data": lambda: as_bytes(False), "ema": 0.9}),
    "regression": (
        lambda: sequential(nn.Affine(9), nn.Tanh(), nn.Affine(2), loss="mse"),
        {"data": regression, "metric": "loss"},
    ),
    "weights of classes": (mlp, {"class_weight": "balanced", "batch_size": 30}),
    "weights of rows": (mlp, {"sample_weight": np.linspace(0.0, 3.0, 60) ** 3, "clip_norm": 0.5}),
    "weights of rows of a regression": (
        lambda: sequential(nn.Affine(9), nn.Tanh(), nn.Affine(2), loss="mse"),
        {"data": regression, "metric": "loss", "sample_weight": np.linspace(0.5, 3.0, 60)},
    ),
    "weights of bytes": (
        conv_net,
        {"data": lambda: as_bytes(True), "class_weight": {0: 3.0, 2: 0.5}},
    ),
    "more rows than there are": (mlp, {"batch_size": 100}),
    "plateau": (mlp, {"schedule": build_schedule({"name": "plateau", "patience": 1})}),
}


def trained(make, *, by_plan, data=make_data, callbacks=(), epochs=3, **options):
    np.random.seed(7)
    options = {"rng": 1, "update_rule": "adam", "batch_size": 10, "clip_norm": None, **options}
    listens = Records()
    solver = Solver(make(), data(), num_epochs=epochs, num_train_samples=20, verbose=False,
                    callbacks=[listens, *callbacks], **options)  # fmt: skip
    if not by_plan:
        solver.planned.do = lambda *_: None
    solver.train()
    return solver, listens.records


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", CASES)
def test_the_bits_are_those_of_single_steps(name, precision):
    make, options = CASES[name]
    options = {**options, "precision": precision}
    single, singly_told = trained(make, by_plan=False, **options)
    planned, told = trained(make, by_plan=True, **options)
    assert planned.planned.why_not is None
    assert planned.planned.steps == planned.iteration - 1
    assert outcome(planned) == outcome(single)
    assert timeless(told) == timeless(singly_told)
    assert [record["time"] for record in told] == sorted(record["time"] for record in told)
    for part in ("ema_params", "ema_buffers"):
        for key, array in getattr(single, part).items():
            assert getattr(planned, part)[key].tobytes() == array.tobytes(), key


def test_lines_that_are_printed(capsys):
    printed = []
    for by_plan in (False, True):
        np.random.seed(0)
        solver = Solver(mlp(), make_data(), batch_size=10, num_epochs=2, print_every=4, rng=0)
        if not by_plan:
            solver.planned.do = lambda *_: None
        solver.train()
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert printed[0].count("Iteration") == 3


def test_gradients_and_parameters_of_the_last_step():
    """What callbacks look at after an estimate."""

    class Looks(Callback):
        def __init__(self):
            self.seen = []

        def on_epoch_end(self, solver, record):
            arrays = [*solver.grads.items(), *solver.params_before.items()]
            self.seen.append([(name, array.tobytes()) for name, array in arrays])
            self.seen.append([solver.learning_rate, solver.gradient_norm])

    looks = [Looks(), Looks()]
    for by_plan, look in zip((False, True), looks, strict=True):
        trained(mlp, by_plan=by_plan, callbacks=[look], clip_norm=0.5)
    assert looks[0].seen == looks[1].seen


def test_files(tmp_path):
    lines = []
    for by_plan in (False, True):
        path = tmp_path / f"{by_plan}.jsonl"
        trained(mlp, by_plan=by_plan, callbacks=[HistoryWriter(path), HealthCheck()])
        lines.append(without_times(path))
    assert lines[0] == lines[1]
    assert len(lines[0]) > 18


def test_goes_on_from_a_checkpoint(tmp_path):
    class Stop(Callback):
        def on_epoch_end(self, solver, record):
            if record["epoch"] == 2:
                save_checkpoint(solver, tmp_path / "half.safetensors")
                solver.stop()

    once, _ = trained(mlp, by_plan=True, ema=0.9)
    half, _ = trained(mlp, by_plan=True, ema=0.9, callbacks=[Stop()])
    assert len(half.loss_history) == 12
    half.train()
    assert outcome(half) == outcome(once)
    np.random.seed(7)
    resumed = Solver(mlp(), make_data(), num_epochs=3, num_train_samples=20, verbose=False, rng=1,
                     update_rule="adam", batch_size=10, ema=0.9)  # fmt: skip
    resumed.resume(tmp_path / "half.safetensors")
    resumed.train()
    assert outcome(resumed) == outcome(once)
    assert resumed.planned.steps == 6


class Looking(Callback):
    def on_step_end(self, solver, record):
        """Look at nothing, but nobody knows."""


REFUSED = {
    "a model of one's own": (Softmax, {}, "Softmax"),
    "a rule of one's own": (mlp, {"update_rule": lambda w, dw, config: (w - 0.1 * dw, config)}, "rule"),
    "muon": (mlp, {"update_rule": "muon"}, "muon"),
    "parts": (mlp, {"accumulate": 2}, "parts"),
    "easy rows": (mlp, {"sampling": "shuffled", "skip_easy": 0.5}, "easy"),
    "an augmentation of one's own": (
        conv_net, {"data": images, "augment": lambda X, random: X[..., ::-1]}, "augmented"
    ),
    "a callback": (mlp, {"callbacks": [Looking()]}, "Looking looks at each step"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, options, why = REFUSED[name]
    solver, _ = trained(make, by_plan=True, **options)
    assert why in solver.planned.why_not
    assert solver.planned.steps == 0


def test_another_engine():
    with engines.use("vectorized"):
        solver, _ = trained(mlp, by_plan=True)
        assert "engine" in solver.planned.why_not
    assert solver.planned.steps == 0
    assert solver.planned.why_not is None


@pytest.mark.parametrize("when", [0, 2])
def test_a_step_that_is_not_finite(when):
    """It says what it says without a plan, and leaves what that leaves."""
    found = []
    for by_plan in (False, True):
        np.random.seed(7)
        solver = Solver(mlp(), make_data(), num_epochs=5, batch_size=10, verbose=False, rng=0,
                        update_rule="sgd", optim_config={"learning_rate": 0.1},
                        schedule=lambda step, total: 1e30 if step > 6 * when + 2 else 1.0)  # fmt: skip
        if not by_plan:
            solver.planned.do = lambda *_: None
        with pytest.raises(NonFiniteError) as error:
            solver.train()
        found.append((str(error.value), outcome(solver)))
    assert found[0] == found[1]


def test_a_copy_of_a_solver_has_a_plan_of_its_own():
    solver, _ = trained(mlp, by_plan=True, epochs=2)
    other = copy.deepcopy(solver)
    other.train()
    assert other.planned._solver is other
    assert other.planned._plan is not solver.planned._plan
    solver.train()
    assert outcome(other)["/params/affine1.W"] == outcome(solver)["/params/affine1.W"]


def test_steps_of_a_call_are_as_many_as_take_no_longer(monkeypatch):
    """A stop is seen behind each call."""
    monkeypatch.setattr(compiled, "SECONDS", 0.0)
    calls = []
    do = Planned.do
    monkeypatch.setattr(Planned, "do", lambda *args: calls.append(do(*args)) or calls[-1])
    solver, _ = trained(mlp, by_plan=True)
    assert [len(taken[0]) for taken in calls if taken is not None] == [1] * (solver.iteration - 1)


def test_an_interruption_at_any_line_takes_the_steps_back(monkeypatch):
    """All lines of the plan's Python, and those around it, during a call for several steps."""
    files = (
        "training/compiled.py",
        "training/step.py",
        "compiled/training.py",
        "compiled/rules.py",
    )
    whole, _ = trained(mlp, by_plan=True, epochs=2, ema=0.9, clip_norm=0.5)
    expected = outcome(whole)

    def interrupted(at):
        """Train with an interruption at line number `at`; return whether there was one, and the Solver."""
        np.random.seed(7)
        solver = Solver(mlp(), make_data(), num_epochs=2, num_train_samples=20, verbose=False, rng=1,
                        update_rule="adam", batch_size=10, ema=0.9, clip_norm=0.5)  # fmt: skip
        return is_interrupted(solver.train, at, files), solver

    at, lines = 1, 0
    while True:
        came, solver = interrupted(at)
        if not came:
            break
        solver.train()
        assert outcome(solver) == expected, at
        lines += 1
        at += 11
    assert lines > 30
