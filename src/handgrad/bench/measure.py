"""Statistics of timings, comparisons of results, and their lines of text."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

REST = 0.03  # seconds between turns, in which the threads of the other side fall asleep


class WrongResult(Exception):
    """A side computes something else than the reference; what is wrong is not timed."""


@dataclass(frozen=True)
class Summary:
    """Median, quartiles, minimum and number of some measurements."""

    median: float
    q1: float
    q3: float
    minimum: float
    count: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Summary:
        """Summarise `samples`; quartiles are interpolated between the samples.

        >>> Summary.of([4.0, 1.0, 2.0, 3.0, 5.0])
        Summary(median=3.0, q1=2.0, q3=4.0, minimum=1.0, count=5)
        """
        q1, median, q3 = (
            statistics.quantiles(samples, n=4, method="inclusive")
            if len(samples) > 1
            else [samples[0]] * 3
        )
        return cls(median, q1, q3, min(samples), len(samples))

    def to_dict(self) -> dict[str, float]:
        """Return the plain dictionary of all fields."""
        return asdict(self)


def interleave(
    turns: Sequence[Callable[[], list[float]]], rounds: int, rest: float = REST
) -> list[Summary]:
    """Let each side have its turn, A B A B ..., for some rounds; summarise the samples of each.

    A busy neighbour or a slower clock then hits all sides alike.
    """
    samples: list[list[float]] = [[] for _ in turns]
    for _ in range(rounds):
        for turn, seen in zip(turns, samples, strict=True):
            time.sleep(rest)
            seen += turn()
    return [Summary.of(seen) for seen in samples]


def samples_of(call: Callable[[], Any], seconds: float, warm: bool = True) -> list[float]:
    """Time single calls for about `seconds`, at least one; with `warm`, after one untimed call."""
    if warm:
        call()
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while not samples or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    return samples


def compare(
    who: str,
    expected: Mapping[str, np.ndarray],
    got: Mapping[str, np.ndarray],
    allowed: Callable[[str, int], tuple[float, float]],
) -> tuple[float, float]:
    """Compare the arrays in `got` with the expected ones; WrongResult if one is off.

    With the difference d and the expected array e, the error is ``|d| / |e|``, and the scale, which
    sees a common factor, ``<d, e> / |e|^2``; ``allowed(name, size)`` says how large they may be.
    Where e is nearly zero (the gradient of a bias before batch normalisation), its norm counts as
    that of numbers a hundredth as large as those of the largest array of its kind, which is the
    first word of its name.

    Returns:
        The largest error and the largest scale of all arrays.
    """
    sizes: dict[str, float] = {}
    for name, array in expected.items():
        kind = name.partition(" ")[0]
        sizes[kind] = max(sizes.get(kind, 0.0), float(np.sqrt(np.mean(np.square(array)))))
    worst = [0.0, 0.0]
    for name, array in expected.items():
        if name not in got or got[name].shape != array.shape:
            shape = got[name].shape if name in got else "nothing"
            raise WrongResult(f"{who}: {name} must have the shape {array.shape}, got {shape}")
        floor = 1e-2 * sizes[name.partition(" ")[0]] * math.sqrt(array.size)
        norm = max(float(np.linalg.norm(array)), floor, np.finfo(float).tiny)
        difference = (got[name].astype(np.float64) - array).ravel() / norm
        error = float(np.linalg.norm(difference))
        scale = abs(float(difference @ (array.ravel() / norm)))
        limits = allowed(name, array.size)
        for i, (what, value, limit) in enumerate(
            zip(("error", "scale"), (error, scale), limits, strict=True)
        ):
            if not value <= limit:
                raise WrongResult(
                    f"{who}: {name} differs from the reference: relative {what} {value:.3g}, "
                    f"allowed {limit:g}"
                )
            worst[i] = max(worst[i], value)
    return worst[0], worst[1]


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers.

    >>> round(geometric_mean([1.0, 4.0]), 6)
    2.0
    """
    return math.exp(statistics.fmean(map(math.log, values)))


def summaries(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return geometric mean and worst of the ratios, for each row of several cases and each peer."""
    groups: dict[tuple[int, str], list[tuple[float, str]]] = {}
    for result in results:
        for peer in result["peers"]:
            key = (result["row"], peer["name"])
            groups.setdefault(key, []).append((peer["ratio"], result["case"]))
    return [
        {
            "row": row,
            "name": name,
            "geometric_mean": geometric_mean([ratio for ratio, _ in ratios]),
            "worst": min(ratios)[0],
            "worst_case": min(ratios)[1],
        }
        for (row, name), ratios in groups.items()
        if len(ratios) > 1
    ]


def number(value: float, unit: str) -> str:
    """Format seconds or bytes, as in "1.25 ms" or "310 MiB".

    >>> number(0.001254, "s"), number(75.0, "s"), number(3 << 20, "bytes")
    ('1.25 ms', '75.0 s', '3.00 MiB')
    """
    if unit == "bytes":
        return f"{_three(value / 2**20)} MiB"
    for size, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= size:
            return f"{_three(value / size)} {name}"
    return f"{value * 1e9:.0f} ns"


def _three(value: float) -> str:
    """Return `value` with three significant digits, and no fewer than stand before the point."""
    return f"{value:,.{max(0, 2 - math.floor(math.log10(max(value, 1e-9))))}f}"


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a result: ours, then each peer with its ratio and its setting."""
    yield result["case"]
    for side in [result["ours"], *result["peers"]]:
        unit = result["unit"]
        spread = f"[{number(side['q1'], unit)} .. {number(side['q3'], unit)}]"
        ratio = f"{_three(side['ratio']):>9} x" if "ratio" in side else " " * 11
        yield (
            f"    {side['name']:<22}{number(side['median'], unit):>10}  {spread:<24}"
            f"min {number(side['minimum'], unit):>9}{ratio}   {side['setting']}"
        ).rstrip()
