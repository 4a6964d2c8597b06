"""Networks of all three levels are trained, saved, resumed bit by bit, and built again."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from gpus import GPUS
from nn.nets import Residual
from training.test_resume import check_resume
from training.toys import images, solver_of

from handgrad import nn
from handgrad.cli.app import run
from handgrad.errors import CheckpointError, EngineError, OptionError
from handgrad.layers import (
    affine_backward,
    affine_forward,
    relu_backward,
    relu_forward,
    softmax_loss,
)
from handgrad.models import build
from handgrad.training import load_model_arrays, save_model
from handgrad.training.config import RunConfig
from handgrad.training.run import start_run
from handgrad.training.trained import TrainedRun


def functions():
    """The lowest level: a dictionary of parameters and a function."""
    rng = np.random.default_rng(2)
    params = {"W1": 0.1 * rng.standard_normal((72, 8)), "b1": np.zeros(8),
              "W2": 0.1 * rng.standard_normal((8, 4)), "b2": np.zeros(4)}  # fmt: skip

    def loss(X, y=None):
        p = model.params
        hidden, first = affine_forward(X, p["W1"], p["b1"])
        hidden, rectified = relu_forward(hidden)
        scores, second = affine_forward(hidden, p["W2"], p["b2"])
        if y is None:
            return scores
        value, dscores = softmax_loss(scores, y)
        dhidden, dW2, db2 = affine_backward(dscores, second)
        _, dW1, db1 = affine_backward(relu_backward(dhidden, rectified), first)
        return float(value), {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}

    model = SimpleNamespace(params=params, loss=loss)
    return model


class Small(nn.Model):
    """A residual network with dropout of its own stream and of NumPy's."""

    def __init__(self, input_shape=(2, 6, 6), num_classes=4, width: int = 3, keep: float = 0.7):
        super().__init__(input_shape, rng=2, reg=0.01)
        self.stem, self.conv = nn.Conv2d(width, 3, pad=1), nn.Conv2d(width, 3, pad=1, bias=False)
        self.bn, self.relu = nn.BatchNorm(), nn.ReLU()
        self.own, self.numpys = nn.Dropout(keep, rng=5), nn.Dropout(keep)
        self.scores = nn.Affine(num_classes)

    def forward(self, x):
        x = self.own(self.relu(self.stem(x)))
        return self.scores(self.numpys(self.relu(x + self.bn(self.conv(x)))))


def sequential():
    drop = nn.Dropout(0.7, rng=np.random.RandomState(4))
    parts = [nn.Conv2d(3, 3, pad=1), nn.BatchNorm(), nn.ReLU(), nn.MaxPool(2), nn.Flatten(), drop,
             nn.Affine(5), nn.ReLU(), nn.Affine(4)]  # fmt: skip
    return nn.Sequential(parts, (2, 6, 6), rng=2)


def compiled():
    model = sequential()
    model.compile((10, 2, 6, 6))
    return model


LEVELS = {"functions": functions, "Model": Small, "Sequential": sequential, "compiled": compiled}
every_level = pytest.mark.parametrize("make", LEVELS.values(), ids=LEVELS)


@every_level
def test_resume_is_bit_identical(make, tmp_path):
    data = images()
    check_resume(
        lambda: solver_of(model=make(), data=data, update_rule="adam", batch_size=10),
        tmp_path / "c.safetensors",
        stops=(1, 5, 11),
    )


@every_level
def test_save_and_load(make, tmp_path):
    data = images()
    model = make()
    solver_of(model=model, data=data, batch_size=10).train()
    save_model(tmp_path / "m.safetensors", model)
    other, saved = make(), load_model_arrays(tmp_path / "m.safetensors")
    assert not np.array_equal(other.loss(data["X_val"]), model.loss(data["X_val"]))
    other.params = saved.params
    if hasattr(other, "load_buffers"):
        other.load_buffers(saved.buffers)
    else:  # the function reads the dictionary of its own object
        assert saved.buffers == {}
    np.testing.assert_array_equal(other.loss(data["X_val"]), model.loss(data["X_val"]))


def test_another_network_is_not_resumed(tmp_path):
    from handgrad.training import save_checkpoint

    data = images()
    solver = solver_of(model=Small(), data=data, batch_size=10)
    solver.train()
    save_checkpoint(solver, tmp_path / "c.safetensors")
    with pytest.raises(CheckpointError, match=r"network line .* was own +Dropout\(0.7, rng=5\)"):
        solver_of(model=Small(keep=0.5), data=data, batch_size=10).resume(
            tmp_path / "c.safetensors"
        )


def test_training_learns():
    """The loss of a few images goes to zero: all parts work together."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 2, 5, 4)), rng.integers(4, size=20)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    model = Residual(rng=0)
    solver = solver_of(model=model, data=data, update_rule="adam", batch_size=20, num_epochs=60,
                       optim_config={"learning_rate": 1e-2}, rng=0)  # fmt: skip
    solver.train()
    assert solver.loss_history[-1] < 0.1 < solver.loss_history[0]
    assert solver.best_val_acc == 1.0


def test_batches_of_one_row_are_warned_of():
    data = images()
    rows = nn.Sequential([nn.Affine(5), nn.BatchNorm(), nn.ReLU(), nn.Affine(4)], (2, 6, 6), rng=0)
    with pytest.warns(UserWarning, match="makes the output of batchnorm1 a constant"):
        solver_of(model=rows, data=data, batch_size=1)
    solver_of(model=sequential(), data=data, batch_size=1)  # of images: no warning


# runs


TABLES = [
    {"layer": "Conv2d", "num_filters": 4, "filter_size": 3, "stride": 2},
    {"layer": "BatchNorm"}, {"layer": "ReLU"}, {"layer": "Dropout", "p": 0.8, "rng": 3},
    {"layer": "Affine", "width": 10},
]  # fmt: skip
MODELS = {
    "Sequential": {"name": "Sequential", "layers": TABLES, "reg": 0.01},
    "own": {"name": f"{__name__}:Small", "width": 4},
    "resnet8": {"name": "resnet8"},
}


def config_of(model, **training):
    tables = {"name": "t", "data": {"name": "digits"}, "model": model,
              "training": {"epochs": 1, "batch_size": 100, "num_val_samples": 50, **training}}  # fmt: skip
    return RunConfig.from_dict(tables)


@pytest.mark.parametrize("name", MODELS)
def test_a_run_is_built_again_from_its_folder(name, tmp_path):
    made = start_run(config_of(MODELS[name]), tmp_path / "run")
    made.train()
    trained = TrainedRun(tmp_path / "run")
    assert trained.model.summary() == made.model.summary()
    X = made.dataset.arrays["X_test"][:20]
    np.testing.assert_array_equal(trained.model.loss(X), made.model.loss(X))
    assert made.solver.loss_history[-1] < made.solver.loss_history[0]
    again = start_run(RunConfig.from_toml(tmp_path / "run/config.toml"), tmp_path / "again")
    again.train()
    assert again.solver.loss_history == made.solver.loss_history


def test_a_class_that_cannot_be_imported_is_refused(tmp_path):
    class Local(nn.Model):
        pass

    with pytest.raises(OptionError, match=r"Local made inside a function cannot be imported"):
        Local().config()
    with pytest.raises(OptionError, match=r"init=<lambda>\) is function .* cannot be written"):
        nn.Sequential([nn.Affine(2, init=lambda shape, rng: np.ones(shape))]).config()
    assert build(**Small(width=2).config()).params["stem.W"].shape == (2, 2, 3, 3)
    with pytest.raises(OptionError, match=r"model: gone:Net cannot be imported"):
        start_run(config_of({"name": "gone:Net"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def command(*words):
    """Run the command line; return its exit code."""
    return run([str(word) for word in words])


@pytest.mark.thorough
def test_the_command_line_trains_networks_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynets.py").write_text(
        "from handgrad import nn\n"
        "class Net(nn.Model):\n"
        "    def __init__(self, input_shape, num_classes, width=8):\n"
        "        super().__init__(input_shape)\n"
        "        self.hidden, self.relu = nn.Affine(width), nn.ReLU()\n"
        "        self.scores = nn.Affine(num_classes)\n"
        "    def forward(self, x):\n"
        "        return self.scores(self.relu(self.hidden(x)))\n"
    )
    options = (
        "train",
        "--quiet",
        "--epochs",
        "1",
        "--set",
        "model.width=40",
        "--lr",
        "0.01",
        "--out",
        "runs",
    )
    assert command(*options, "--model", "mynets:Net") == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert "hidden" in (run / "summary.txt").read_text()
    assert command("evaluate", run) == 0
    assert json.loads((run / "evaluation.json").read_text())["accuracy"] > 0.2
    capsys.readouterr()
    assert command(*options, "--model", "mynets:Gone") == 2
    assert "the module mynets has no Gone" in capsys.readouterr().err


@pytest.mark.thorough
def test_devices_on_the_command_line(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    options = ("train", "--quiet", "--epochs", "1", "--model", "TwoLayerNet", "--out", "runs")
    assert command(*options, "--device", "cpu") == 0
    assert command(*options, "--device", "torch:cpu") == 0
    assert command(*options, "--device", "gpu") == 2
    assert "device must be 'cpu', 'cuda'" in capsys.readouterr().err
    if GPUS:
        assert command(*options, "--device", "cuda") == 0
    else:
        assert command(*options, "--device", "cuda") == 2
        assert "there is no device 'cuda' here" in capsys.readouterr().err
    with pytest.raises(EngineError, match="config: device must be"):
        RunConfig(device="tpu")
