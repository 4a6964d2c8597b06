"""Tiny models and data for the tests of training, and what a run is as a whole."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from handgrad.models import ConvNet
from handgrad.training import Callback, Solver


def make_data(rows: int = 60, columns: int = 6, classes: int = 3, seed: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    centres = 1.5 * rng.standard_normal((classes, columns))

    def part(n: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.integers(0, classes, n)
        return centres[y] + rng.standard_normal((n, columns)), y

    X_train, y_train = part(rows)
    X_val, y_val = part(30)
    return {"X_train": X_train, "y_train": y_train, "X_val": X_val, "y_val": y_val}


class Softmax:
    """Softmax regression, with what the Solver may find in a model: noise, running statistics."""

    def __init__(self, columns: int = 6, classes: int = 3, seed: int = 0, rng: Any = None) -> None:
        start = np.random.default_rng(seed)
        self.params = {
            "W1": 0.01 * start.standard_normal((columns, classes)),
            "b1": np.zeros(classes),
        }
        self.num_classes = classes
        self.rng = rng
        self.running_mean = np.zeros(columns)

    def buffers(self) -> dict[str, np.ndarray]:
        return {"running_mean1": self.running_mean}

    def load_buffers(self, buffers: dict[str, np.ndarray]) -> None:
        self.running_mean = buffers["running_mean1"]

    def activations(self, X: np.ndarray) -> dict[str, np.ndarray]:
        return {"centred": X - self.running_mean, "scores": self.loss(X)}

    def loss(self, X: np.ndarray, y: np.ndarray | None = None) -> Any:
        if y is None:
            return (X - self.running_mean) @ self.params["W1"] + self.params["b1"]
        self.running_mean = 0.9 * self.running_mean + 0.1 * X.mean(axis=0)
        if self.rng is not None:
            X = X * (self.rng.random(X.shape) < 0.8)
        scores = (X - self.running_mean) @ self.params["W1"] + self.params["b1"]
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = -np.log(p[rows, y]).mean()
        p[rows, y] -= 1
        p /= len(y)
        return loss, {"W1": (X - self.running_mean).T @ p, "b1": p.sum(axis=0)}


def images(rows=40, seed=4):
    rng = np.random.default_rng(seed)
    data = {}
    for part, n in (("train", rows), ("val", 12)):
        data[f"X_{part}"] = rng.standard_normal((n, 2, 6, 6)).astype(np.float32)
        data[f"y_{part}"] = rng.integers(0, 4, n)
    return data


def conv_net(convolutions=1, **options):
    options = {"normalization": "batchnorm", "dropout_keep_ratio": 0.7, **options}
    conv = {"num_filters": 3, "filter_size": 3, "pool": convolutions == 1}
    return ConvNet((2, 6, 6), [conv] * convolutions, [5], 4, rng=2, **options)


class StopAt(Callback):
    def __init__(self, iteration):
        self.iteration = iteration

    def on_step_end(self, solver, record):
        if record["iteration"] == self.iteration:
            solver.stop()


def solver_of(**options):
    options = {
        "verbose": False,
        "batch_size": 20,
        "num_epochs": 3,
        "num_train_samples": 30,
        **options,
    }
    model = options.pop("model", None)
    data = options.pop("data", None)
    return Solver(model or Softmax(), data or make_data(), **options)


def flat(tree, prefix=""):
    """The leaves of nested dictionaries by path, arrays as (dtype, shape, bytes)."""
    if isinstance(tree, dict):
        return {
            k: v for key, value in tree.items() for k, v in flat(value, f"{prefix}/{key}").items()
        }
    if isinstance(tree, np.ndarray):
        return {prefix: (tree.dtype.str, tree.shape, tree.tobytes())}
    return {prefix: (type(tree), tree)}


def outcome(solver):
    """All that a run is, as comparable leaves."""
    buffers = solver.model.buffers() if hasattr(solver.model, "buffers") else {}
    streams = [np.random.get_state(legacy=False)]
    for rng in (solver.rng, getattr(solver.model, "rng", None)):
        if isinstance(rng, np.random.RandomState):
            streams.append(rng.get_state(legacy=False))
        elif rng is not None:
            streams.append(rng.bit_generator.state)
    return flat(
        {
            "params": solver.model.params,
            "best": solver.best_params,
            "best_buffers": solver.best_buffers,
            "buffers": buffers,
            "optim": solver.optim_configs,
            "streams": dict(enumerate(streams)),
            "history": {
                "loss": np.array(solver.loss_history),
                "train": np.array(solver.train_acc_history),
                "val": np.array(solver.val_acc_history),
            },
            "place": {"iteration": solver.iteration, "epoch": solver.epoch,
                      "best_val_acc": solver.best_val_acc},
        }
    )  # fmt: skip


def without_times(path):
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in r.items() if k not in ("time", "images_per_second")} for r in records]
