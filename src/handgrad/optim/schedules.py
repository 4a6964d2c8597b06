"""Learning-rate schedules: ``schedule(step, total_steps)`` -> the factor on the base learning rate.

A schedule is a frozen dataclass without state, so resuming a run needs none.  Steps count from 0;
steps at or beyond total_steps get the factor of the end.  With u = step / total_steps:

===============  ================================================================================
``constant``     1
``step``         factor ** floor(step / every)
``exponential``  factor ** (step / every)
``cosine``       final + (1 - final) (1 + cos(pi u)) / 2
``triangular``   a linear rise from `start` to 1 over the share `rise` of the run, then a linear
                 fall to `final`, reached at the last step
``one_cycle``    a cosine rise from `start` to 1 over the share `rise` of the run, then a cosine
                 fall to `final`, reached at the last step
===============  ================================================================================

Any of them can be preceded by a linear warm-up (`Warmup`), in configuration by the key ``warmup``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import cos, pi
from typing import Any

from handgrad.errors import (
    OptionError,
    as_count,
    as_number,
    check_dictionary,
    check_known,
    is_one_of,
)

Schedule = Callable[[int, int], float]


@dataclass(frozen=True)
class Constant:
    """The base learning rate throughout."""

    def __call__(self, step: int, total_steps: int) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Step:
    """Multiply the rate by `factor` after each `every` steps, at once."""

    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        """Check the options."""
        as_count("schedule step", "every", self.every)
        as_number("schedule step", "factor", self.factor, 0, 1, open_low=True)

    def __call__(self, step: int, total_steps: int) -> float:
        """Return ``factor ** (step // every)``."""
        return float(self.factor ** (step // self.every))


@dataclass(frozen=True)
class Exponential:
    """Multiply the rate by `factor` over each `every` steps, smoothly."""

    factor: float
    every: int = 1

    def __post_init__(self) -> None:
        """Check the options."""
        as_number("schedule exponential", "factor", self.factor, 0, 1, open_low=True)
        as_count("schedule exponential", "every", self.every)

    def __call__(self, step: int, total_steps: int) -> float:
        """Return ``factor ** (step / every)``."""
        return float(self.factor ** (step / self.every))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from the base rate down to `final` times it.

    Source: Loshchilov and Hutter (2017), arXiv:1608.03983.
    """

    final: float = 0.0

    def __post_init__(self) -> None:
        """Check the options."""
        as_number("schedule cosine", "final", self.final, 0, 1)

    def __call__(self, step: int, total_steps: int) -> float:
        """Return ``final + (1 - final) * (1 + cos(pi * step / total_steps)) / 2``."""
        return _half_cosine(1.0, self.final, step / max(total_steps, 1))


@dataclass(frozen=True)
class Triangular:
    """Rise from `start` to the base rate over the share `rise` of the run, then fall to `final`.

    Both in straight lines.  Source: Smith (2017), arXiv:1506.01186; with one period for the run, as in
    D. Page, How to train your ResNet (2018).
    """

    rise: float = 0.25
    start: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        """Check the options."""
        for name in ("rise", "start", "final"):
            as_number("schedule triangular", name, getattr(self, name), 0, 1)

    def __call__(self, step: int, total_steps: int) -> float:
        """Return the factor; the top is at ``rise * (total_steps - 1)``, the end at the last step."""
        end = max(total_steps - 1.0, 1.0)
        top = self.rise * end
        if step < top:
            return float(self.start + (1.0 - self.start) * step / top)
        share = min((step - top) / (end - top), 1.0) if end > top else 0.0
        return float(1.0 + (self.final - 1.0) * share)


@dataclass(frozen=True)
class OneCycle:
    """Rise from `start` to the base rate over the share `rise` of the run, then fall to `final`.

    The base learning rate is the largest.  Source: Smith and Topin (2019), arXiv:1708.07120.
    """

    rise: float = 0.3
    start: float = 0.04
    final: float = 4e-6

    def __post_init__(self) -> None:
        """Check the options."""
        for name in ("rise", "start", "final"):
            as_number("schedule one_cycle", name, getattr(self, name), 0, 1)

    def __call__(self, step: int, total_steps: int) -> float:
        """Return the factor; the top is at ``rise * total_steps - 1``, the end at the last step."""
        top = max(self.rise * total_steps - 1.0, 0.0)
        if step < top:
            return _half_cosine(self.start, 1.0, step / top)
        return _half_cosine(1.0, self.final, (step - top) / max(total_steps - 1.0 - top, 1.0))


@dataclass(frozen=True)
class Warmup:
    """Rise linearly over the first `steps` steps, ``(step + 1) / steps``, then follow `then`.

    `then` starts at its own step 0 after the warm-up and spans what remains of the run.
    """

    steps: int
    then: Schedule = Constant()

    def __post_init__(self) -> None:
        """Check the options."""
        as_count("schedule", "warmup", self.steps)

    def __call__(self, step: int, total_steps: int) -> float:
        """Return the factor of the warm-up, or of what follows it."""
        if step < self.steps:
            return (step + 1) / self.steps
        return self.then(step - self.steps, max(total_steps - self.steps, 1))


@dataclass(frozen=True)
class Plateau:
    """Keep the rate, and multiply it by `factor` after each `patience` epochs without a better metric.

    The Solver does so, by the metric that decides what is best; the rate never falls below `least` times
    the first one.
    """

    factor: float = 0.1
    patience: int = 10
    least: float = 0.0

    def __post_init__(self) -> None:
        """Check the options."""
        as_number("schedule plateau", "factor", self.factor, 0.0, 1.0, open_low=True)
        as_count("schedule plateau", "patience", self.patience)
        as_number("schedule plateau", "least", self.least, 0.0, 1.0)

    def __call__(self, step: int, total_steps: int) -> float:
        """Return 1: the steps alone change nothing."""
        return 1.0


SCHEDULES: dict[str, type] = {
    "constant": Constant,
    "step": Step,
    "exponential": Exponential,
    "cosine": Cosine,
    "triangular": Triangular,
    "one_cycle": OneCycle,
    "plateau": Plateau,
}


def build_schedule(config: str | Mapping[str, Any] | None = None) -> Schedule:
    """Build a schedule from its name, or from a table with ``name``, its options, and ``warmup``.

    None is the constant schedule.

    >>> schedule = build_schedule({"name": "cosine", "final": 0.01, "warmup": 100})
    >>> [round(schedule(step, 1000), 3) for step in (0, 99, 550, 1000)]
    [0.01, 1.0, 0.505, 0.01]
    """
    options = {"name": config} if isinstance(config, str) else {} if config is None else config
    check_dictionary("schedule", "a schedule that is no name", options)
    options = dict(options)
    name = options.pop("name", "constant")
    warmup = as_count("schedule", "warmup", options.pop("warmup", 0), minimum=0)
    if not is_one_of(name, SCHEDULES):
        raise OptionError(f"schedule: name must be one of {', '.join(SCHEDULES)}; got {name!r}")
    kind = SCHEDULES[name]
    known = [field.name for field in fields(kind)]
    check_known(f"schedule {name}", options, [*known, "name", "warmup"])
    try:
        schedule: Schedule = kind(**options)
    except TypeError:
        missing = ", ".join(name for name in known if name not in options)
        raise OptionError(f"schedule {name}: lacks {missing}") from None
    if warmup and kind is Plateau:
        raise OptionError("schedule plateau: it has no warmup; use another schedule, or warmup 0")
    return Warmup(warmup, schedule) if warmup else schedule


def _half_cosine(first: float, last: float, share: float) -> float:
    """Return the value at `share` of half a cosine from `first` to `last`."""
    return last + (first - last) * (1.0 + cos(pi * min(share, 1.0))) / 2.0
