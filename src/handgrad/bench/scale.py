"""``handgrad bench scale``: what an image costs by batch and image size, and how work is cut for cores.

Curves: a training step of a network of three 3x3 convolutions, of 32, 64 and 128 filters, with batch
normalisation, ReLU and pooling, in float32, seconds divided by the images of the batch, beside PyTorch's own
(eager, the better of two layouts of memory, with an allocator that keeps large blocks).

Cores: threads that share cores cannot show speed.  So each chunk of work of a step is timed on one thread,
and handed in its order to 4, 8 and 16 cores, the next to whoever is free first:

    time of a region = the last core's end + a barrier          efficiency = time on one core / (cores x time)

What no region covers stays on one core.  Nothing here knows of the memory that cores share: it is a bound of
the split, not a promise.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handgrad import engines, nn
from handgrad.bench.measure import number

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
IMAGES = (8, 16, 24, 32, 48, 64, 96, 128)
CORES = (1, 2, 4, 8, 16)
BARRIER = 2e-6  # seconds: to tell workers that spin, and to hear from them
_AT_BATCH, _AT_IMAGE = 32, 32  # where the other one is varied
_FILTERS = (32, 64, 128)


class Point(NamedTuple):
    """Seconds of an image in a step; theirs is None without PyTorch."""

    batch: int
    image: int
    ours: float
    theirs: float | None


class Split(NamedTuple):
    """A step on so many cores: its seconds, the share of the work that is cut, and where time is lost.

    barriers, imbalance, alone: shares of the cores' time that go to barriers, to waiting for the last chunk
    of a region, and to what one core does by itself.
    """

    cores: int
    seconds: float
    efficiency: float
    barriers: float
    imbalance: float
    alone: float


def network(image: int) -> nn.Sequential:
    """Return the network that is measured.

    >>> network(8).num_classes
    10
    """
    made: list[Any] = []
    for filters in _FILTERS:
        made += [nn.Conv2d(filters, 3, pad=1), nn.BatchNorm(), nn.ReLU(), nn.MaxPool(2)]
    return nn.Sequential([*made, nn.Affine(10)], (3, image, image), rng=0)


def _rows(batch: int, image: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch, 3, image, image), np.float32), rng.integers(0, 10, batch)


def our_step(batch: int, image: int) -> Callable[[], Any]:
    """Return a compiled training step."""
    X, y = _rows(batch, image)
    steps = network(image).compile(X.shape, "sgd", {"learning_rate": 1e-6})
    assert steps is not None
    rows = np.arange(batch)[None]
    steps.run(X, y, rows=rows)
    return lambda: steps.run(X, y, rows=rows)


def their_steps(batch: int, image: int) -> list[Callable[[], Any]]:
    """Return PyTorch's steps, in both layouts."""
    import torch
    from torch import nn as theirs

    X, y = _rows(batch, image)
    found: list[Callable[[], Any]] = []
    for layout in (torch.contiguous_format, torch.channels_last):
        made: list[Any] = []
        for before, filters in pairwise((3, *_FILTERS)):
            made += [theirs.Conv2d(before, filters, 3, padding=1), theirs.BatchNorm2d(filters)]
            made += [theirs.ReLU(), theirs.MaxPool2d(2)]
        side = image // 2 ** len(_FILTERS)
        model = theirs.Sequential(
            *made, theirs.Flatten(), theirs.Linear(_FILTERS[-1] * side * side, 10)
        ).to(memory_format=layout)
        rule = torch.optim.SGD(model.parameters(), lr=1e-6, foreach=True)
        x = torch.from_numpy(X).contiguous(memory_format=layout)
        labels = torch.from_numpy(y)

        def step(model: Any = model, rule: Any = rule, x: Any = x, labels: Any = labels) -> None:
            rule.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(model(x), labels).backward()
            rule.step()

        found.append(step)
    return found


def _least(call: Callable[[], Any], seconds: float) -> float:
    call()
    least, end = np.inf, time.perf_counter() + seconds
    while True:
        started = time.perf_counter()
        call()
        now = time.perf_counter()
        least = min(least, now - started)
        if now > end:
            return float(least)


def point(batch: int, image: int, seconds: float, with_torch: bool) -> Point:
    """Measure one point of the curves, each side for so many seconds, one after the other."""
    ours = _least(our_step(batch, image), seconds)
    theirs = None
    if with_torch:
        theirs = min(_least(step, seconds / 2) for step in their_steps(batch, image)) / batch
    return Point(batch, image, ours / batch, theirs)


def curves(
    seconds: float, threads: int, with_torch: bool, quick: bool = False
) -> Iterator[tuple[str, Point]]:
    """Yield the points by batch size, then by image size; on `threads` threads a side."""
    if with_torch:
        import torch

        torch.set_num_threads(threads)
        _keep_memory()
    engines.set_threads(threads)
    step = 3 if quick else 1
    for batch in BATCHES[::step]:
        yield "batch", point(batch, _AT_IMAGE, seconds, with_torch)
    for image in IMAGES[::step]:
        yield "image", point(_AT_BATCH, image, seconds, with_torch)


def _keep_memory() -> None:
    """Let glibc keep large blocks, as `settings.MALLOC` does: it spares PyTorch page faults."""
    import ctypes

    trim_threshold, mmap_max = -1, -4
    try:
        library = ctypes.CDLL(None)
        library.mallopt(mmap_max, 0)
        library.mallopt(trim_threshold, 2**31 - 1)
    except (AttributeError, OSError, TypeError):  # another C library
        return


def trace(call: Callable[[], Any]) -> tuple[float, list[list[float]]]:
    """Return the seconds of a call on one thread, and those of the chunks of each of its regions."""
    from handgrad.engines.native import _kernels

    engines.set_threads(1)
    call()
    found: tuple[float, list[list[float]]] | None = None
    for _ in range(5):  # the quickest one: a step that somebody disturbed says nothing
        _kernels.start_trace()
        started = time.perf_counter()
        try:
            call()
        finally:
            seconds, regions = time.perf_counter() - started, _kernels.stop_trace()
        if found is None or seconds < found[0]:
            found = seconds, regions
    assert found is not None
    return found


def split(
    whole: float, regions: Sequence[Sequence[float]], cores: int, barrier: float = BARRIER
) -> Split:
    """Hand the chunks of each region to `cores` cores, in their order, each to the first that is free.

    >>> split(4.0, [[1.0, 1.0, 1.0, 1.0]], 2, barrier=0.0).efficiency
    1.0
    >>> split(3.0, [[1.0, 1.0, 1.0]], 2, barrier=0.0).efficiency
    0.75
    """
    work = sum(map(sum, regions))
    alone = max(whole - work, 0.0)
    seconds, waits, idle = alone, 0.0, 0.0
    for chunks in regions:
        if cores == 1 or len(chunks) == 1:
            seconds += sum(chunks)
            if cores > 1:
                alone += sum(chunks)
            continue
        free = [0.0] * cores
        for chunk in chunks:
            heapq.heappush(free, heapq.heappop(free) + chunk)
        last = max(free)
        seconds += last + barrier
        waits += barrier
        idle += cores * last - sum(chunks)
    used = cores * seconds
    lost_alone = alone * (cores - 1)
    shares = cores * waits / used, idle / used, lost_alone / used
    return Split(cores, seconds, max(whole, work) / used, *shares)


def draw(
    points: Sequence[tuple[str, Point]], splits: Sequence[Split], file: Path, title: str
) -> None:
    """Draw both curves, and the efficiency of the split, to a file (png or svg)."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    for axis, (kind, label) in zip(
        axes, (("batch", "images of a batch"), ("image", "pixels of a side")), strict=False
    ):
        chosen = [one for name, one in points if name == kind]
        x = [getattr(one, kind) for one in chosen]
        axis.plot(x, [1e6 * one.ours for one in chosen], "o-", color="#0b6e4f", label="Handgrad")
        if all(one.theirs is not None for one in chosen):
            theirs = [1e6 * (one.theirs or 0.0) for one in chosen]
            axis.plot(x, theirs, "s--", color="#b5541c", label="PyTorch")
        axis.set(xscale="log", yscale="log", xlabel=label, ylabel="microseconds an image")
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_xticks(x, [str(n) for n in x], rotation=60)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
        axis.legend()
    cores = [one.cores for one in splits]
    axes[-1].plot(cores, [100 * one.efficiency for one in splits], "o-", color="#0b6e4f")
    axes[-1].set(
        xscale="log", xlabel="cores, simulated", ylabel="efficiency of the split, %", ylim=(0, 105)
    )
    axes[-1].set_xticks(cores, [str(n) for n in cores])
    axes[-1].minorticks_off()
    axes[-1].grid(alpha=0.3)
    figure.suptitle(title)
    figure.savefig(file, dpi=150)


def line(point: Point) -> str:
    """Return a point as text."""
    size = f"batch {point.batch:>4}, {point.image:>3} x {point.image:<3}"
    text = f"{size}  {number(point.ours, 's'):>9} an image"
    if point.theirs is None:
        return text
    return f"{text}   PyTorch {number(point.theirs, 's'):>9}  {point.theirs / point.ours:5.2f} x"


def line_of_split(one: Split) -> str:
    """Return a simulated split as text."""
    lost = f"barriers {100 * one.barriers:4.1f} %, imbalance {100 * one.imbalance:4.1f} %"
    return (
        f"{one.cores:>3} cores  {number(one.seconds, 's'):>9} a step, "
        f"efficiency {100 * one.efficiency:5.1f} %  (lost: {lost}, one core alone {100 * one.alone:4.1f} %)"
    )
