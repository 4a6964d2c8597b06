"""How the running statistics of batch normalisation start, and how they are kept."""

import numpy as np
import pytest

from handgrad import nn
from handgrad.courses import profiles
from handgrad.courses.shims import cs231n
from handgrad.data import load_digits
from handgrad.errors import OptionError
from handgrad.layers import batchnorm_forward
from handgrad.models import ConvNet, FullyConnectedNet, resnet8
from handgrad.nn import norms
from handgrad.nn.norms import momentum_at
from handgrad.training import Solver

MOMENTA = (0.0, 0.1, 0.9, 0.999, 1 - 1e-9)


@pytest.mark.parametrize("momentum", MOMENTA)
def test_the_average_is_that_of_adams_correction(momentum):
    rng, raw, corrected = np.random.default_rng(0), 0.0, 7.0
    for t in range(1, 50):
        s = rng.standard_normal()
        raw = momentum * raw + (1 - momentum) * s
        a = momentum_at(momentum, t)
        corrected = a * corrected + (1 - a) * s
        weight = -np.expm1(t * np.log(momentum)) if momentum else 1.0
        assert corrected == pytest.approx(raw / weight, rel=1e-6 if momentum > 0.999 else 1e-12)
    assert momentum_at(momentum, 10**12) == momentum
    assert momentum_at(1.0, 1) == momentum_at(1.0, 9) == 1.0  # statistics that are to stay


def networks(**options):
    conv = {"num_filters": 3, "filter_size": 3}
    return [
        FullyConnectedNet([6], 8, 3, normalization="batchnorm", rng=0, **options),
        ConvNet((2, 2, 2), [conv], [5], 3, "batchnorm", rng=0, **options),
        nn.Sequential([nn.Affine(6), nn.BatchNorm(), nn.ReLU(), nn.Affine(3)], (2, 2, 2), rng=0,
                      **options),
    ]  # fmt: skip


X, Y = np.random.default_rng(0).standard_normal((20, 2, 2, 2)), np.arange(20) % 3


def test_one_step_is_enough_for_statistics_of_the_right_size():
    """After one step the scores are those of training mode, on the batch that it was."""
    for net in networks(dtype=np.float64):
        net.loss(X, Y)
        np.testing.assert_allclose(net.loss(X), net.last_scores, rtol=1e-9, atol=1e-12)


def test_training_losses_do_not_depend_on_it(monkeypatch):
    losses, scores = [], []
    for rule in (momentum_at, lambda momentum, step: momentum):
        monkeypatch.setattr(norms, "momentum_at", rule)
        net = networks()[2]
        losses.append([net.loss(X, Y)[0] for _ in range(3)])
        scores.append(net.loss(X))
    assert losses[0] == losses[1]
    assert not np.allclose(*scores)


def test_early_validation_accuracy(monkeypatch):
    """The figure of docs/layers.md: resnet8 after the first epoch, 12 steps, of the digits."""
    digits, found = load_digits(), []
    for rule in (momentum_at, lambda momentum, step: momentum):
        monkeypatch.setattr(norms, "momentum_at", rule)
        model = resnet8((1, 8, 8), 10, rng=0)
        solver = Solver(model, digits, update_rule="adam", num_epochs=1, verbose=False, rng=0)
        solver.train()
        found.append(solver.val_acc_history[-1])
    assert found[0] > found[1] + 0.15, found


def test_the_courses_networks_and_functions_keep_the_start_at_zero():
    deep = cs231n.modules(profiles.PROFILES["cs231n-2022"])["cs231n.classifiers.fc_net"]
    net = deep.names["FullyConnectedNet"]([6], 8, 3, normalization="batchnorm", dtype=np.float64)
    net.params["W1"][:] = np.random.default_rng(1).standard_normal((8, 6))
    net.loss(X, Y)
    hidden = X.reshape(20, 8) @ net.params["W1"] + net.params["b1"]
    np.testing.assert_allclose(net.buffers()["running_mean1"], 0.1 * hidden.mean(axis=0))
    assert list(net.buffers()) == ["running_mean1", "running_var1"]
    param = {"mode": "train"}
    batchnorm_forward(hidden, np.ones(6), np.zeros(6), param)
    np.testing.assert_allclose(param["running_var"], 0.1 * hidden.var(axis=0))
    assert set(param) == {"mode", "running_mean", "running_var"}


def test_statistics_without_a_count_go_on_uncorrected():
    """As those of files of version 0.1.0."""
    for net in networks(dtype=np.float64):
        net.loss(X, Y)
        whole = net.buffers()
        old = {name: value for name, value in whole.items() if "steps" not in name}
        counted = [name for name in whole if "steps" in name]
        assert counted
        assert all(whole[name] == 1 and whole[name].dtype == np.int64 for name in counted)
        net.load_buffers(old)
        net.loss(2 * X, Y)
        for name, value in net.buffers().items():
            assert name not in counted
            scale = 4 if "var" in name else 2
            if name in ("running_mean1", "running_var1", "batchnorm1.running_var"):
                np.testing.assert_allclose(value, (0.9 + 0.1 * scale) * old[name], rtol=1e-9)
        net.load_buffers({})
        net.loss(X, Y)
        assert net.buffers().keys() == whole.keys()


@pytest.mark.parametrize("value", [-1, 1.5, [1, 2]])
def test_a_count_is_a_whole_number(value):
    for net in networks():
        net.loss(X, Y)
        name = next(name for name in net.buffers() if "steps" in name)
        with pytest.raises(OptionError, match=r"steps.* must be a whole number of training steps"):
            net.load_buffers({**net.buffers(), name: value})


# batches of one row


def test_images_of_one_pixel_are_warned_of():
    conv = {"num_filters": 3, "filter_size": 3, "pad": 0, "pool": False}
    conv1 = {"num_filters": 3, "filter_size": 1, "pool": False}
    pooled = {"num_filters": 3, "filter_size": 3}
    three = {"X_train": np.ones((4, 1, 3, 3)), "y_train": [0, 1, 2, 0],
             "X_val": np.ones((4, 1, 3, 3)), "y_val": [0, 1, 2, 0]}  # fmt: skip
    three = {name: np.asarray(value) for name, value in three.items()}
    cases = [
        (nn.Sequential([nn.Conv2d(4, 3), nn.BatchNorm(), nn.Affine(3)], (1, 3, 3), rng=0), "batchnorm1"),
        (nn.Sequential([nn.GlobalAvgPool(), nn.BatchNorm(name="last"), nn.Affine(3)], (1, 3, 3), rng=0),
         "last"),
        (ConvNet((1, 3, 3), [conv], [], 3, "batchnorm", rng=0), "conv1"),
        (ConvNet((1, 3, 3), [pooled, conv1], [4], 3, "batchnorm", rng=0), "conv2, affine3"),
        (resnet8((1, 3, 3), 3, rng=0), r"blocks\.2\.first\.bn"),
    ]  # fmt: skip
    for model, names in cases:
        with pytest.warns(UserWarning, match=f"batch_size 1, .* output of .*{names}.* a constant"):
            Solver(model, three, batch_size=1, verbose=False)
        Solver(model, three, batch_size=2, verbose=False)  # no warning, which would be an error
        one = {**three, "X_train": three["X_train"][:1], "y_train": three["y_train"][:1]}
        with pytest.warns(UserWarning, match=f"training set of one row.*{names}"):
            Solver(model, one, verbose=False)
    Solver(
        ConvNet((1, 3, 3), [pooled], [], 3, "batchnorm", rng=0), three, batch_size=1, verbose=False
    )
