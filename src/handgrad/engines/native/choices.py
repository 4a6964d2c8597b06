"""Which algorithm computes a convolution: a model of the processor, or what was measured on it.

The kernels estimate what direct sums and Winograd's tiles of 2, 4 and 8 take, and choose the least
(`native/ops/winograd.cpp`).  The estimate was fitted to one processor; on another a number that goes through
a transform, and a weight, may cost more or less beside a multiplication: two factors.  `measure` times some
convolutions in each way and keeps the factors whose choices take the least time, for this processor by its
name; `restore` takes what was kept.  Nothing is measured unasked, as another choice has other bits.

They are kept in the file HANDGRAD_CHOICES, or ``choices.json`` in ~/.cache/handgrad (or XDG_CACHE_HOME).
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from handgrad.engines.native import _kernels

FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0)
SIZES = (  # N, C, height and width, F: those that are near the edge between two ways
    (2, 16, 32, 32), (8, 16, 16, 32), (2, 32, 16, 32), (4, 64, 8, 64), (16, 64, 4, 64), (8, 32, 8, 64),
    (2, 64, 16, 64), (2, 128, 8, 128),
)  # fmt: skip
WAYS = (0, 2, 4, 8)  # the direct algorithm, and tiles
_PASSES = range(3)  # forward, gradient of the input, of the weights
_WORTH = 0.02  # of the time that other factors must save


class Choices(NamedTuple):
    """The two factors, and where they come from."""

    number: float
    weight: float
    source: str


def path() -> Path:
    """Return the file of what was measured."""
    if given := os.environ.get("HANDGRAD_CHOICES"):
        return Path(given)
    return (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        / "handgrad"
        / "choices.json"
    )


def processor() -> str:
    """Return the processor's name, with its family and model, and the instruction set in use."""
    found = {
        "model name": platform.processor() or platform.machine(),
        "cpu family": "",
        "model": "",
    }
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in reversed(lines):  # the first processor's come last
        key, _, value = line.partition(":")
        if key.strip() in found:
            found[key.strip()] = value.strip()
    name, family, model = found.values()
    return f"{name}, family {family}, model {model}, {_kernels.isa()}"


def current() -> Choices:
    """Return the factors in use."""
    number, weight = _kernels.winograd_costs()
    kept = _kept().get(processor())
    if (number, weight) == (1.0, 1.0) and kept is None:
        return Choices(number, weight, "built in, fitted to AMD Zen 5 and Zen 4")
    return Choices(number, weight, "measured on this processor")


def restore() -> None:
    """Take the factors that were kept for this processor, if any."""
    if not path().is_file():
        return
    if kept := _kept().get(processor()):
        _kernels.set_winograd_costs(*kept)


def measure() -> tuple[Choices, float, float]:
    """Time convolutions in each way, and keep the best factors for this processor.

    Returns:
        The factors; and the seconds that all the passes take by them, and by those that are built in.

    Raises OSError where they cannot be written.
    """
    times = {(size, which): _times(size, which) for size, which in product(SIZES, _PASSES)}
    totals: dict[tuple[float, float], float] = {}
    before = _kernels.winograd_costs()
    try:
        for factors in product(FACTORS, FACTORS):
            _kernels.set_winograd_costs(*factors)
            totals[factors] = sum(
                seconds[_chosen(size, which)] for (size, which), seconds in times.items()
            )
    finally:
        _kernels.set_winograd_costs(*before)
    built_in = totals[1.0, 1.0]
    best = min(totals, key=lambda factors: totals[factors])
    if totals[best] > (1.0 - _WORTH) * built_in:
        best = 1.0, 1.0
    _keep(best)
    _kernels.set_winograd_costs(*best)
    return current(), totals[best], built_in


def chosen() -> Iterator[tuple[tuple[int, int, int, int], list[int]]]:
    """Yield each of the sizes that are measured, and the tile of each pass, 0 for direct sums."""
    for size in SIZES:
        yield size, [_chosen(size, which) for which in _PASSES]


def _chosen(size: tuple[int, int, int, int], which: int) -> int:
    N, C, length, F = size
    found: int = _kernels.winograd_choice(N, C, length, length, F, which)
    return found


def _times(size: tuple[int, int, int, int], which: int) -> dict[int, float]:
    """Return the seconds of a pass in each way."""
    N, C, length, F = size
    rng = np.random.default_rng(0)

    def images(channels: int) -> np.ndarray:
        made = rng.standard_normal((N, length, length, channels), np.float32)
        return made.transpose(0, 3, 1, 2)

    x, dout = images(C), images(F)
    w, b = rng.standard_normal((F, C, 3, 3), np.float32), np.zeros(F, np.float32)
    one = (1, 1)
    found = {}
    exact = _kernels.is_exact()
    try:
        for way in WAYS:
            _kernels.set_exact(way == 0)
            _kernels.set_winograd_tile(way)
            if which == 0:
                found[way] = _least(lambda: _kernels.conv_forward(x, w, b, one, one))
                continue
            weights = _least(
                lambda: _kernels.conv_backward(dout, x, w, one, one, one, 1, False, False)
            )
            if which == 1:
                both = _least(
                    lambda: _kernels.conv_backward(dout, x, w, one, one, one, 1, True, False)
                )
                found[way] = max(both - weights, 0.0)
            else:
                found[way] = weights
    finally:
        _kernels.set_exact(exact)
        _kernels.set_winograd_tile(0)
    return found


def _least(call: Callable[[], object], times: int = 5) -> float:
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _kept() -> dict[str, tuple[float, float]]:
    """Return the factors that were kept, by processor; what cannot be read counts as nothing."""
    try:
        given = json.loads(path().read_text(encoding="utf-8"))
        return {
            str(name): (float(number), float(weight))
            for name, (number, weight) in given.items()
            if 0.1 <= number <= 10.0 and 0.1 <= weight <= 10.0
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _keep(factors: tuple[float, float]) -> None:
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**_kept(), processor(): list(factors)}, indent=2) + "\n"
    made = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        made.write_text(text, encoding="utf-8")
        made.replace(file)  # whoever reads it finds the old text or the new one
    finally:
        made.unlink(missing_ok=True)
