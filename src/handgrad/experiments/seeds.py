"""What several seeds say: mean and spread of a number, and whether two settings differ by more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from statistics import fmean, stdev
from typing import Any

EVEN = 0.01
"""Accuracies whose means differ by less are never told apart."""

STUDENT = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
"""Degrees of freedom -> two-sided 95 % point of Student's t; 2.23 for ten, kept for more."""


@dataclass(frozen=True)
class Sample:
    """One number of a setting, once for each seed.

    >>> Sample((0.5, 0.75)).mean, round(Sample((0.5, 0.75)).spread, 4)
    (0.625, 0.1768)
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return fmean(self.values)

    @property
    def spread(self) -> float:
        """The standard deviation over the seeds, with n - 1; 0 of one seed, NaN if a number is not finite."""
        if not isfinite(self.mean):
            return float("nan")
        return stdev(self.values) if len(self.values) > 1 else 0.0


def sample(records: Sequence[Any], measure: Callable[[Any], float]) -> Sample:
    """Return `measure` of each seed's record.

    >>> sample([[1, 2], [3]], len)
    Sample(values=(2, 1))
    """
    return Sample(tuple(measure(record) for record in records))


def told_apart(a: Sample, b: Sample, least: float = EVEN) -> bool:
    """Return whether the means differ by more than the seeds explain, and by `least` or more.

    That is: |mean a - mean b| > t sqrt(spread a^2 / n + spread b^2 / m), with the 95 % point t of
    Student's distribution of n + m - 2 degrees of freedom: 4.30 for two seeds each, 2.78 for three.
    One seed tells nothing apart.

    >>> told_apart(Sample((0.50, 0.51, 0.52)), Sample((0.60, 0.61, 0.62)))
    True
    >>> told_apart(Sample((0.50, 0.60, 0.70)), Sample((0.60, 0.61, 0.62)))
    False
    >>> told_apart(Sample((0.5,)), Sample((0.9,)))
    False
    """
    n, m = len(a.values), len(b.values)
    if min(n, m) < 2:
        return False
    difference = abs(a.mean - b.mean)
    error = sqrt(a.spread**2 / n + b.spread**2 / m)
    return difference >= least and difference > STUDENT.get(n + m - 2, 2.23) * error


def ranked(values: Mapping[Any, Sample], *, lowest: bool = False) -> list[Any]:
    """Return the keys, the one of the largest mean (or the lowest) first.

    >>> ranked({"a": Sample((1,)), "b": Sample((2,))})
    ['b', 'a']
    """
    return sorted(values, key=lambda key: values[key].mean, reverse=not lowest)


def ahead(
    values: Mapping[Any, Sample], *, lowest: bool = False, least: float = EVEN
) -> tuple[Any, list[Any]]:
    """Return the key of the largest mean (or the lowest), and those the seeds do not tell from it.

    >>> ahead({"a": Sample((0.1, 0.1)), "b": Sample((0.5, 0.5)), "c": Sample((0.4, 0.6))})
    ('b', ['c'])
    """
    first, *rest = ranked(values, lowest=lowest)
    return first, [key for key in rest if not told_apart(values[first], values[key], least)]
