"""The same network in three libraries: scores, loss, gradients and ten steps of training to 1e-9."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from nn.three_levels import NETS, SHAPE, Keras, ThreeLayer, Torch, handgrad, sequential, weights

from handgrad import Solver
from handgrad.optim import sgd_nesterov_momentum

TOLERANCE = 1e-9
LEVELS = ("functions", "Model", "Sequential")
RATE, MOMENTUM = 3e-3, 0.9


def peer(library, net, params):
    if library == "PyTorch":
        pytest.importorskip("torch")
        return Torch(net, params)
    pytest.importorskip("torch")
    os.environ["KERAS_BACKEND"] = "torch"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Keras imports
        pytest.importorskip("keras")
        return Keras(net, params)


def batches(count=10, rows=8):
    rng = np.random.default_rng(5)
    return [
        (rng.standard_normal((rows, *SHAPE)), rng.integers(10, size=rows)) for _ in range(count)
    ]


def close(got, expected, what):
    scale = np.max(np.abs(expected))
    error = np.max(np.abs(np.asarray(got) - expected)) / scale
    assert error <= TOLERANCE, f"{what}: off by {error:.3g} relative"


# importing Keras takes long, and it speaks NumPy 1's protocol
KERAS = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
every = pytest.mark.parametrize(
    ("library", "net", "level"),
    [
        pytest.param(
            library, net, level, marks=KERAS if library == "Keras" else [],
            id=f"{library}-{net}-{level}",
        )
        for library in ("PyTorch", "Keras")
        for net in NETS
        for level in LEVELS
    ],
)  # fmt: skip


@every
def test_scores_loss_and_gradients(library, net, level):
    params = weights(net)
    other, model = peer(library, net, params), handgrad(level, net, params)
    ((X, y),) = batches(1)
    close(model.loss(X), other.scores(X), "scores")
    (loss, grads), (expected, others) = model.loss(X, y), other.loss(X, y)
    close(loss, expected, "loss")
    for dw, (name, known) in zip(grads.values(), others.items(), strict=True):
        close(dw, known, name)


@every
def test_ten_steps_of_training(library, net, level):
    params = weights(net)
    other, model = peer(library, net, params), handgrad(level, net, params)
    configs = {name: {"learning_rate": RATE, "momentum": MOMENTUM} for name in model.params}
    for step, (X, y) in enumerate(batches(10)):
        loss, grads = model.loss(X, y)
        for name, w in model.params.items():
            model.params[name], configs[name] = sgd_nesterov_momentum(w, grads[name], configs[name])
        close(loss, other.step(X, y, RATE, MOMENTUM), f"loss of step {step}")
    for w, (name, known) in zip(model.params.values(), other.params().items(), strict=True):
        assert not np.array_equal(known, params[name])
        close(w, known, name)


# The courses' bars: validation accuracy after one epoch of CIFAR-10, batches of 64.


def one_epoch(model, rate, momentum=0.9):
    from handgrad.data import load

    solver = Solver(model, load("cifar10").arrays, update_rule="sgd_nesterov_momentum",
                    optim_config={"learning_rate": rate, "momentum": momentum}, batch_size=64,
                    num_epochs=1, verbose=False, rng=0)  # fmt: skip
    solver.train()
    return solver.best_val_acc


@pytest.mark.cifar10
def test_two_layers_pass_the_bar_of_the_courses():
    assert one_epoch(sequential("two-layer", hidden=1000, rng=0), 1e-2) >= 0.40


@pytest.mark.cifar10
def test_three_layers_pass_the_bar_of_the_courses():
    assert one_epoch(ThreeLayer(rng=0), 3e-3) >= 0.43
