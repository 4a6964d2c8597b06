"""The rule by which seeds tell two settings apart."""

from math import gamma, pi, sqrt

import numpy as np
import pytest

from handgrad.experiments.seeds import STUDENT, Sample, ahead, told_apart


@pytest.mark.parametrize(("freedom", "point"), [*STUDENT.items(), (10, 2.23)])
def test_the_points_of_students_distribution(freedom, point):
    """Its density over -point ... point makes 95 %."""
    t = np.linspace(-point, point, 20001)
    density = (1 + t**2 / freedom) ** (-(freedom + 1) / 2)
    density *= gamma((freedom + 1) / 2) / (sqrt(freedom * pi) * gamma(freedom / 2))
    assert np.trapezoid(density, t) == pytest.approx(0.95, abs=2e-3)


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_equal_settings_are_rarely_told_apart_and_others_often(seeds):
    rng = np.random.default_rng(0)

    def share(shift):
        draws = rng.standard_normal((4000, 2, seeds)) + np.array([[0.0], [shift]])
        pairs = [(Sample(tuple(a)), Sample(tuple(b))) for a, b in draws.tolist()]
        return np.mean([told_apart(a, b, 0) for a, b in pairs])

    assert share(0.0) < 0.065
    assert share(6.0) > 0.7


def test_the_smallest_difference_that_counts():
    a, b = Sample((0.500, 0.501, 0.502)), Sample((0.508, 0.509, 0.510))
    assert not told_apart(a, b)
    assert told_apart(a, b, 0.005)
    assert not told_apart(a, a, 0)


def test_one_seed_is_told_from_nothing():
    assert not told_apart(Sample((0.1,)), Sample((0.9, 0.9, 0.9)))
    assert not told_apart(Sample((0.9, 0.9, 0.9)), Sample((0.1,)))


def test_who_is_ahead():
    values = {"a": Sample((0.0, 0.2)), "b": Sample((0.15, 0.15)), "c": Sample((0.9, 0.9))}
    assert ahead(values) == ("c", [])
    assert ahead(values, lowest=True)[1] == ["b"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_told_from_nothing(value):
    assert not told_apart(Sample((value, 1.0, 1.0)), Sample((5.0, 5.0, 5.0)))
    assert not told_apart(Sample((5.0, 5.0, 5.0)), Sample((value, value, value)))
