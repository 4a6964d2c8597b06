"""The same network in three libraries: scores, loss, gradients and ten steps of training to 1e-9."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from nn.three_levels import NETS, Keras, ThreeLayer, Torch, handgrad, sequential, weights
from nn.three_libraries_table import LEVELS, differences

from handgrad import Solver

TOLERANCE = 1e-9


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


@pytest.mark.thorough(keep=3)
@every
def test_all_numbers_agree(library, net, level):
    found = differences(peer(library, net, weights(net)), level, net)
    assert list(found) == ["scores", "loss", "gradients", "losses", "parameters"]
    assert max(found.values()) <= TOLERANCE, found


def test_other_weights_do_not_agree():
    """What the comparison sees: one number of one weight."""
    params = weights("two-layer")
    params["W2"][0, 0] += 1e-6
    assert (
        max(differences(peer("PyTorch", "two-layer", params), "Model", "two-layer").values()) > 1e-8
    )
    model = handgrad("Model", "two-layer", weights("two-layer"))
    assert not np.array_equal(model.params["scores.W"], params["W2"])


# The courses' bars: validation accuracy after one epoch of CIFAR-10, batches of 64.


def one_epoch(model, rate, momentum=0.9):
    from handgrad.data import load

    data = load("cifar10", standardize=True).arrays  # as the framework notebooks do
    solver = Solver(model, data, update_rule="sgd_nesterov_momentum",
                    optim_config={"learning_rate": rate, "momentum": momentum}, batch_size=64,
                    num_epochs=1, verbose=False, rng=0)  # fmt: skip
    solver.train()
    return solver.best_val_acc


@pytest.mark.cifar10
def test_two_layers_pass_the_bar_of_the_courses():
    assert one_epoch(sequential("two-layer", hidden=1000, rng=0), 1e-3) >= 0.40


@pytest.mark.cifar10
def test_three_layers_pass_the_bar_of_the_courses():
    assert one_epoch(ThreeLayer(rng=0), 3e-3) >= 0.43
