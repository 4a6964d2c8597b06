"""Filters that whiten the patches of images: what comes out, and how they are kept."""

import numpy as np
import pytest
from nn.nets import check_gradients

from handgrad import nn
from handgrad.errors import OperationError, OptionError, ShapeError
from handgrad.training import Solver, load_model_arrays, save_model


def images(N=300, C=2, size=6, seed=0):
    """Images whose neighbouring pixels and channels are alike."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, C, size + 2, size + 2)).cumsum(axis=2).cumsum(axis=3)
    X[:, 1:] += 0.7 * X[:, :1]
    return X[:, :, 2:, 2:] - X.mean(axis=(0, 2, 3), keepdims=True)


def network(size=3, components=5, shape=(2, 6, 6), **options):
    layers = [nn.Whitening(size, components), nn.ReLU(), nn.Flatten(), nn.Affine(3)]
    return nn.Sequential(layers, shape, dtype=np.float64, rng=0, **options)


def test_outputs_are_uncorrelated_and_have_the_variance_of_the_formula():
    X = images()
    eps = 0.3
    layer = nn.Whitening(3, 5, eps=eps)
    net = nn.Sequential([layer, nn.Flatten(), nn.Affine(3)], (2, 6, 6), dtype=np.float64, rng=0)
    net.prepare(X)
    out = net.activations(X)["whitening1"]
    inner = out[:, :, 1:-1, 1:-1]  # of whole patches
    np.testing.assert_allclose(inner[:, :5], -inner[:, 5:])
    found = np.cov(inner[:, :5].transpose(1, 0, 2, 3).reshape(5, -1), bias=True)
    windows = np.lib.stride_tricks.sliding_window_view(X, (3, 3), axis=(2, 3))
    patches = windows.transpose(1, 4, 5, 0, 2, 3).reshape(18, -1)
    values = np.linalg.eigvalsh(np.cov(patches, bias=True))[::-1][:5]
    np.testing.assert_allclose(found, np.diag(values / (values + eps)), atol=1e-10)


def test_prepare_looks_at_no_more_images_than_it_says_and_repeats_itself():
    X = images(4100)
    first, second = network(), network()
    first.prepare(X)
    second.prepare(X[::2][:2000])
    assert np.array_equal(first.buffers()["whitening1.W"], second.buffers()["whitening1.W"])


def test_before_prepare_each_filter_picks_a_pixel():
    filters = network().buffers()["whitening1.W"]
    assert filters.shape == (10, 2, 3, 3)
    assert (np.abs(filters).sum(axis=(1, 2, 3)) == 1).all()


def test_gradients_by_complex_step():
    def make(**options):
        layers = [nn.Whitening(3, 2), nn.Conv2d(3, 3), nn.ReLU(), nn.Flatten(), nn.Affine(4)]
        return nn.Sequential(layers, (2, 5, 5), **options)

    check_gradients(make)


def test_the_solver_prepares_and_the_filters_are_saved(tmp_path):
    X = images().astype(np.float32)
    y = np.arange(len(X)) % 3
    data = {"X_train": X[:200], "y_train": y[:200], "X_val": X[200:], "y_val": y[200:]}
    net = network()
    Solver(net, data, num_epochs=1, batch_size=50, verbose=False, rng=0).train()
    assert len(np.unique(net.buffers()["whitening1.W"])) > 10
    save_model(tmp_path / "m.safetensors", net)
    saved = load_model_arrays(tmp_path / "m.safetensors")
    again = network()
    again.params = saved.params
    again.load_buffers(saved.buffers)
    assert np.array_equal(again.loss(X), net.loss(X))


@pytest.mark.parametrize(
    ("error", "call", "says"),
    [
        (OptionError, lambda: nn.Whitening(2, 3), "filter_size must be odd, got 2"),
        (OptionError, lambda: network(components=19), "more components than the 18 that patches"),
        (
            ShapeError,
            lambda: network().prepare(np.zeros((4, 3, 6, 6))),
            r"\(N, 2, 6, 6\); got \(N, 3, 6, 6\)",
        ),
        (
            ShapeError,
            lambda: network().load_buffers({"whitening1.W": np.zeros((10, 2, 3))}),
            r"whitening1.W must be numbers of shape \(10, 2, 3, 3\), got \(10, 2, 3\)",
        ),
        (
            OperationError,
            lambda: nn.Sequential(
                [nn.ReLU(), nn.Whitening(3, 2), nn.Flatten(), nn.Affine(2)], (2, 6, 6)
            ).prepare(images(5)),
            "layer whitening1: Whitening takes the network's input",
        ),
    ],
)
def test_wrong_calls_are_refused(error, call, says):
    with pytest.raises(error, match=says):
        call()
