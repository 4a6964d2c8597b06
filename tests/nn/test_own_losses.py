"""Losses of one's own, and networks whose scores are images."""

import numpy as np
import pytest

from handgrad import nn
from handgrad.training import predict


@pytest.mark.parametrize(
    "loss", [1.5, np.float32(1.5), np.array(1.5), np.array([1.5]), np.array([[1.5]]), 1]
)
def test_every_form_of_one_number_is_a_loss(loss):
    model = nn.Sequential([nn.Affine(3)], (2,), loss=lambda s, y: (loss, np.ones_like(s)), rng=0)
    value, grads = model.loss(np.ones((4, 2)), [0] * 4)
    assert value == np.asarray(loss).item()
    np.testing.assert_array_equal(grads["affine1.b"], [4, 4, 4])


def test_dscores_may_be_lists():
    model = nn.Sequential([nn.Affine(3)], (2,), loss=lambda s, y: [0.0, [[1, 2, 3]] * 4], rng=0)
    np.testing.assert_array_equal(model.loss(np.ones((4, 2)), [0] * 4)[1]["affine1.b"], [4, 8, 12])


def test_classes_of_pixels_are_predicted():
    model = nn.Sequential([nn.Conv2d(3, 3, pad=1)], input_shape=(2, 4, 5), rng=0)
    X = np.random.default_rng(0).standard_normal((7, 2, 4, 5))
    expected = model.loss(X).argmax(axis=1)
    assert expected.shape == (7, 4, 5)
    for batch_size in (1, 3, 100):
        np.testing.assert_array_equal(model.predict(X, batch_size), expected)
    np.testing.assert_array_equal(predict(model, X, batch_size=3), expected)
    assert model.predict(X[:0]).shape == (0, 4, 5)
    rows = nn.Sequential([nn.Affine(3)], (2,), rng=0)
    assert rows.predict(np.zeros((0, 2))).shape == (0,)
