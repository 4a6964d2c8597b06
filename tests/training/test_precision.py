"""Training in half precision: the option, what goes with it, what a run says of it, and how it goes on."""

import json
import tomllib

import numpy as np
import pytest
from training.toys import Softmax, images, make_data, outcome

import handgrad
from handgrad import engines, models, nn
from handgrad.errors import CheckpointError, OptionError
from handgrad.report import model_card, write_report
from handgrad.training import Callback, Solver, precision
from handgrad.training.checkpoint import load_checkpoint, save_checkpoint
from handgrad.training.config import RunConfig
from handgrad.training.run import resume_run, start_run

pytestmark = pytest.mark.skipif(
    "native" not in engines.available(), reason="the native engine is not built"
)


def mlp(dtype=np.float32):
    layers = [nn.Affine(9), nn.BatchNorm(), nn.ReLU(), nn.Affine(3)]
    return nn.Sequential(layers, input_shape=(6,), rng=0, reg=1e-2, dtype=dtype)


def conv_net():
    conv = [{"num_filters": 4, "filter_size": 3}]
    return models.ConvNet((2, 6, 6), conv, [5], 4, "batchnorm", reg=1e-2, rng=2, dtype=np.float32)


def solver_of(make=mlp, data=make_data, asked="bf16", **options):
    np.random.seed(7)
    options = {"rng": 1, "update_rule": "adam", "batch_size": 10, "num_epochs": 3, **options}
    return Solver(make(), data(), num_train_samples=20, verbose=False, precision=asked, **options)


def trained(*args, **options):
    solver = solver_of(*args, **options)
    solver.train()
    return solver


def mirrored(X, rng):
    return X[..., ::-1]


WITHOUT_A_PLAN = {
    "muon": (mlp, make_data, {"update_rule": "muon"}),
    "augmentation": (conv_net, images, {"augment": mirrored}),
    "parts": (mlp, make_data, {"accumulate": 3}),
    "easy rows": (mlp, make_data, {"sampling": "shuffled", "skip_easy": 0.5}),
    "weights": (mlp, make_data, {"accumulate": 2, "class_weight": "balanced", "clip_norm": 0.5}),
}


@pytest.mark.parametrize("name", WITHOUT_A_PLAN)
def test_gradients_are_in_bf16_where_no_plan_takes_whole_steps(name):
    make, data, options = WITHOUT_A_PLAN[name]
    half, full = (trained(make, data, asked, **options) for asked in ("bf16", "float32"))
    assert half.planned.steps == 0
    assert half.precision == "bf16"
    assert half.loss_history != full.loss_history
    assert half.loss_history == pytest.approx(full.loss_history, rel=0.1)
    assert {w.dtype for w in half.model.params.values()} == {np.dtype(np.float32)}
    assert "precision bf16" in repr(half)


def stopped(tmp_path, asked):
    class Stop(Callback):
        def on_epoch_end(self, solver, record):
            if record["epoch"] == 2:
                save_checkpoint(solver, tmp_path / "half.safetensors")
                solver.stop()

    trained(asked=asked, callbacks=[Stop()])
    return tmp_path / "half.safetensors"


@pytest.mark.parametrize("asked", ["bf16", "auto"])
def test_goes_on_from_a_checkpoint_with_the_same_bits(tmp_path, monkeypatch, asked):
    """Of auto with what it has chosen, though the other one would be faster now."""
    monkeypatch.setattr(precision, "measured", lambda *_: ("bf16", {"float32": 2.0, "bf16": 1.0}))
    once, path = trained(asked=asked), stopped(tmp_path, asked)
    monkeypatch.setattr(
        precision, "measured", lambda *_: ("float32", {"float32": 1.0, "bf16": 2.0})
    )
    resumed = solver_of(asked=asked)
    resumed.resume(path)
    resumed.train()
    assert resumed.precision == "bf16"
    assert outcome(resumed) == outcome(once)
    assert outcome(resumed) == outcome(trained(asked="bf16"))


def test_goes_on_in_its_own_precision_alone(tmp_path):
    path = stopped(tmp_path, "bf16")
    with pytest.raises(CheckpointError, match="precision was bf16, is None"):
        solver_of(asked="float32").resume(path)
    assert "precision" not in load_checkpoint(stopped(tmp_path, "float32")).state["must"]


@pytest.mark.parametrize("fast", ["float32", "bf16"])
def test_auto_has_the_bits_of_what_it_takes(monkeypatch, fast):
    def measured(model, X, y):
        assert X.shape == (10, 6)
        assert y.shape == (10,)
        return fast, {"float32": 0.002, "bf16": 0.0011}

    monkeypatch.setattr(precision, "measured", measured)
    solver = trained(asked="auto")
    assert solver.precision == fast
    assert solver.precise.text == f"{fast} (auto: a gradient takes float32 2 ms, bf16 1.1 ms)"
    assert outcome(solver) == outcome(trained(asked=fast))


def test_auto_measures_indeed_and_draws_nothing():
    """From NumPy's stream, which dropout draws from as well as the rows."""

    def make():
        layers = [nn.Affine(9), nn.ReLU(), nn.Dropout(0.7), nn.Affine(3)]
        return nn.Sequential(layers, input_shape=(6,), rng=0)

    solver = trained(make, asked="auto", rng=None)
    assert solver.precise.text.startswith(f"{solver.precision} (auto: a gradient takes float32 ")
    assert outcome(solver) == outcome(trained(make, asked=solver.precision, rng=None))


class OwnGradients(Solver):
    def gradients_of(self, X, y, weights):
        return super().gradients_of(X, y, weights)


def twice():
    layer = nn.Affine(6)
    return nn.Sequential([layer, nn.Tanh(), layer, nn.Affine(3)], input_shape=(6,))


REFUSED = {
    "float64": ({"make": lambda: mlp(np.float64)}, "build the network with dtype=np.float32"),
    "a model of one's own": ({"make": Softmax}, "is for networks of handgrad.nn, and Softmax is none"),
    "a layer twice": ({"make": twice}, "set it to 'auto'"),
    "shards": ({"shards": 2}, "precision 'bf16' and shards do not go together"),
    "another name": ({"asked": "fp16"}, "'float32', 'bf16', 'auto'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    options, why = REFUSED[name]
    with pytest.raises(OptionError, match=why):
        trained(**options)
    if name in ("float64", "a model of one's own", "a layer twice"):
        assert trained(**options, asked="auto").precision == "float32"


def test_gradients_of_ones_own_are_refused():
    data = make_data()
    with pytest.raises(OptionError, match="OwnGradients computes gradients of its own"):
        OwnGradients(mlp(), data, verbose=False, precision="bf16").train()
    with engines.use("vectorized"), pytest.raises(OptionError, match="choose engine 'auto'"):
        trained()


@pytest.fixture
def run(tmp_path):
    config = RunConfig.default("digits").with_overrides(
        {"training.precision": "bf16", "training.epochs": 2}
    )
    return start_run(config, tmp_path / "run")


def test_a_run_says_keeps_and_needs_no_precision_to_predict(run):
    run.train()
    evaluated = run.evaluate()
    assert evaluated["metrics"]["accuracy"] > 0.7
    folder = run.folder
    first = json.loads((folder / "history.jsonl").read_text().splitlines()[0])
    assert first["precision"] == "bf16"
    assert first["steps"] == "by a plan"
    config = tomllib.loads((folder / "config.toml").read_text())
    assert config["training"]["precision"] == "bf16"
    more = resume_run(folder, 3)
    assert more.solver.precise.asked == "bf16"
    more.train()
    images = more.dataset.rows["X_test"][:20]
    loaded = handgrad.load(folder).model
    assert {w.dtype for w in loaded.params.values()} == {np.dtype(np.float32)}
    assert loaded.loss(images).tobytes() == more.model.loss(images).tobytes()


@pytest.mark.thorough
def test_reports_and_cards_say_it(run):
    run.train()
    run.evaluate()
    assert "<td>precision</td><td>bf16</td>" in write_report(run.folder).read_text()
    assert "- precision: bf16" in model_card(run.folder)
