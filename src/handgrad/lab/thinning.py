"""Curves of any length in little memory: buckets of steps, each with its least, largest and mean value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BUCKETS = 8192  # kept of a curve


class Thinned:
    """Values by step, of several columns, in at most `BUCKETS` buckets of equally many steps.

    The buckets depend on the steps alone, not on the portions in which they came.

    >>> import numpy as np
    >>> curve = Thinned(["loss"])
    >>> curve.add(np.arange(1, 100_001), {"loss": np.linspace(2, 1, 100_000)})
    >>> curve.stride, len(curve.points(100)["x"])
    (16, 100)
    """

    def __init__(self, columns: Sequence[str], buckets: int = BUCKETS) -> None:
        """Begin without values."""
        self.columns = tuple(columns)
        self.buckets = buckets
        self.stride = 1
        self.count = 0  # of steps that were added
        self.last = -1  # step
        shape = (len(self.columns), buckets)
        self._least = np.full(shape, np.nan)
        self._largest = np.full(shape, np.nan)
        self._sum = np.zeros(shape)
        self._number = np.zeros(shape, np.int64)

    def add(self, steps: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        """Add values, (N,) of each column, NaN where there is none, at the `steps`, (N,)."""
        if len(steps) == 0:
            return
        self.count += len(steps)
        self.last = max(self.last, int(steps.max()))
        while self.last // self.stride >= self.buckets:
            self._widen()
        places = steps // self.stride
        for row, name in enumerate(self.columns):
            found = np.asarray(values[name], np.float64)
            is_there = np.isfinite(found)
            where, found = places[is_there], found[is_there]
            np.fmin.at(self._least[row], where, found)
            np.fmax.at(self._largest[row], where, found)
            np.add.at(self._sum[row], where, found)
            np.add.at(self._number[row], where, 1)

    def state(self) -> tuple[list[int], dict[str, np.ndarray]]:
        """Return what `of` makes the same curve from: three numbers, and the arrays up to the last bucket."""
        used = max(self.last, 0) // self.stride + 1
        arrays = {
            "least": self._least,
            "largest": self._largest,
            "sum": self._sum,
            "number": self._number,
        }
        return [self.stride, self.count, self.last], {k: a[:, :used] for k, a in arrays.items()}

    @classmethod
    def of(cls, columns: Sequence[str], numbers: Any, arrays: Mapping[str, Any]) -> Thinned | None:
        """Return the curve whose `state` was `numbers` and `arrays`; None where they do not fit."""
        made = cls(columns)
        try:
            made.stride, made.count, made.last = (int(n) for n in numbers)
            used = max(made.last, 0) // made.stride + 1
            made._least[:, :used] = arrays["least"]
            made._largest[:, :used] = arrays["largest"]
            made._sum[:, :used] = arrays["sum"]
            made._number[:, :used] = arrays["number"]
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return None
        return made if 0 < used <= made.buckets else None

    def _widen(self) -> None:
        """Make each bucket hold twice as many steps."""
        self.stride *= 2
        self._least = _merged(self._least, np.fmin, np.nan)
        self._largest = _merged(self._largest, np.fmax, np.nan)
        self._sum = _merged(self._sum, np.add, 0)
        self._number = _merged(self._number, np.add, 0)

    def points(self, number: int, first: int = 0, last: int | None = None) -> dict[str, Any]:
        """Return at most `number` points of the steps from `first` to `last`, ready for JSON.

        Returns:
            x: the first step of each point's bucket; and by column [least, largest, mean], lists of the
            length of x with None where there is no value.
        """
        last = self.last if last is None else min(last, self.last)
        start = max(first, 0) // self.stride
        end = min(max(last, 0) // self.stride + 1, self.buckets)
        if self.count == 0 or end <= start:
            return {"x": [], **{name: [[], [], []] for name in self.columns}}
        width = -(-(end - start) // max(number, 1))
        cut = slice(start, end)
        least = _grouped(self._least[:, cut], width, np.fmin, np.nan)
        largest = _grouped(self._largest[:, cut], width, np.fmax, np.nan)
        total = _grouped(self._sum[:, cut], width, np.add, 0)
        count = _grouped(self._number[:, cut], width, np.add, 0)
        kept = count.any(axis=0)
        x = (np.arange(least.shape[1]) * width + start) * self.stride
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / count
        found: dict[str, Any] = {"x": x[kept].tolist()}
        for row, name in enumerate(self.columns):
            found[name] = [_listed(part[row, kept]) for part in (least, largest, mean)]
        return found


def _merged(values: np.ndarray, join: np.ufunc, empty: float) -> np.ndarray:
    half = join(values[:, 0::2], values[:, 1::2])
    return np.concatenate([half, np.full_like(half, empty)], axis=1)


def _grouped(values: np.ndarray, width: int, join: np.ufunc, empty: float) -> np.ndarray:
    left = -values.shape[1] % width
    padded = np.pad(values, ((0, 0), (0, left)), constant_values=empty)
    groups: np.ndarray = join.reduce(padded.reshape(len(values), -1, width), axis=2)
    return groups


def _listed(values: np.ndarray) -> list[float | None]:
    """Return `values` with six digits, None for NaN: what a screen can show."""
    return [None if v != v else float(f"{v:.6g}") for v in values.tolist()]
