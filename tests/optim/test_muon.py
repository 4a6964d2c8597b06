"""Muon's orthogonal steps, beside the singular values that they come from."""

import numpy as np
import pytest

from handgrad.errors import OptionError
from handgrad.optim import muon, orthogonal, sgd_nesterov_momentum


def with_values(values, shape=(5, 8), seed=0):
    """A matrix with these singular values, and its U and V^T."""
    rng = np.random.default_rng(seed)
    U, _, Vt = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
    return U @ np.diag(values) @ Vt, U, Vt


def lifted(values, rounds):
    """What the rounds make of singular values, in plain numbers."""
    s = np.asarray(values) / np.sqrt(np.sum(np.square(values)))
    for _ in range(rounds):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return s


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (5, 5)])
@pytest.mark.parametrize("rounds", [0, 1, 5])
def test_only_the_singular_values_change_and_as_the_polynomial_says(shape, rounds):
    values = [3.0, 1.0, 0.5, 0.2, 0.04]
    m, U, Vt = with_values(values, shape)
    out = orthogonal(m, rounds)
    np.testing.assert_allclose(out, U @ np.diag(lifted(values, rounds)) @ Vt, atol=1e-13)
    if rounds == 5:
        found = np.linalg.svd(out, compute_uv=False)
        assert 0.68 < found.min() < found.max() < 1.21


@pytest.mark.parametrize("size", [1e-160, 1e-30, 1.0, 1e160])
def test_the_size_of_the_momentum_does_not_matter(size):
    m, _, _ = with_values([2.0, 1.0, 1.0, 0.5, 0.1])
    np.testing.assert_allclose(orthogonal(size * m), orthogonal(m), rtol=1e-12)


def test_a_momentum_of_zero_gives_no_step():
    assert not orthogonal(np.zeros((3, 4), np.float32)).any()
    w = np.ones((3, 4))
    next_w, _ = muon(w, np.zeros((3, 4)))
    np.testing.assert_array_equal(next_w, w)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (3, 0, 2)])
def test_weights_without_numbers_stay_as_they_are(shape):
    next_w, config = muon(np.ones(shape), np.ones(shape), {"radius": 1.0})
    assert next_w.shape == config["velocity"].shape == shape


def test_a_single_row_becomes_a_row_of_length_one():
    m = np.random.default_rng(0).standard_normal((1, 6))
    np.testing.assert_allclose(orthogonal(m), lifted([1.0], 5) * m / np.linalg.norm(m), rtol=1e-13)


def test_filters_are_rows_of_a_matrix():
    m = np.random.default_rng(0).standard_normal((6, 3, 2, 2))
    np.testing.assert_array_equal(orthogonal(m), orthogonal(m.reshape(6, 12)).reshape(m.shape))


@pytest.mark.parametrize("radius", [0.0, 1.5])
@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (4, 7), (4, 2), (4, 1)])
def test_steps_follow_the_formula(shape, radius):
    rng = np.random.default_rng(1)
    w = rng.standard_normal(shape)
    config = {"learning_rate": 0.1, "momentum": 0.6, "rounds": 3, "radius": radius}
    expected, v = w, 0.0
    for _ in range(3):
        g = rng.standard_normal(w.shape)
        w, config = muon(w, g, config)
        v = 0.6 * v + g
        U, S, Vt = np.linalg.svd((g + 0.6 * v).reshape(4, -1), full_matrices=False)
        if radius:
            expected = expected * (radius * 2.0 / np.linalg.norm(expected))
        expected = expected - 0.1 * (U @ np.diag(lifted(S, 3)) @ Vt).reshape(w.shape)
        np.testing.assert_allclose(w, expected, atol=1e-13)
        np.testing.assert_allclose(config["velocity"], v, atol=1e-13)


def test_vectors_follow_nesterov_with_a_rate_of_their_own():
    rng = np.random.default_rng(2)
    w = other = rng.standard_normal(7)
    config = {"learning_rate": 0.1, "momentum": 0.7, "vector_rate": 3.0}
    nesterov = {"learning_rate": 0.3, "momentum": 0.7}
    for _ in range(4):
        g = rng.standard_normal(7)
        w, config = muon(w, g, config)
        other, nesterov = sgd_nesterov_momentum(other, g, nesterov)
        np.testing.assert_allclose(w, other, rtol=1e-14)


@pytest.mark.parametrize("key", ["rounds", "radius", "vector_rate", "momentum"])
@pytest.mark.parametrize("value", [-1, np.nan, "many"])
def test_settings_out_of_range_are_named(key, value):
    with pytest.raises(OptionError, match=f"^muon: {key} must be"):
        muon(np.ones((2, 2)), np.ones((2, 2)), {key: value})
