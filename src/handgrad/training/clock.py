"""When a training ends, and how long it takes: the clock, and what stops it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from time import perf_counter
from typing import Any

from handgrad.errors import as_number
from handgrad.training.parts import Part, State, count_in


class Clock(Part):
    """The time spent in `train`, and the speed since the last estimate; an interruption undoes no time."""

    def __init__(self) -> None:
        self._before = 0.0  # seconds of training, without the running call
        self._started: float | None = None
        self._steps, self._step_seconds = 0, 0.0

    @property
    def seconds(self) -> float:
        """Seconds spent in training, those before a resume included."""
        return self._before + (0.0 if self._started is None else perf_counter() - self._started)

    def start(self) -> None:
        """A call of `train` begins."""
        self._started = perf_counter()

    def stop(self) -> None:
        """It ends."""
        self._before, self._started = self.seconds, None

    def count_steps(self, seconds: float, count: int) -> None:
        """Steps took so long."""
        self._steps, self._step_seconds = self._steps + count, self._step_seconds + seconds

    def take_speed(self) -> float:
        """Return the steps a second since the last call."""
        speed = self._steps / max(self._step_seconds, 1e-9)
        self._steps, self._step_seconds = 0, 0.0
        return speed

    def state(self) -> State:
        """Return the seconds."""
        return {"progress": {"_seconds": self.seconds}}

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return the seconds."""
        seconds = as_number("checkpoint", "_seconds", state["progress"]["_seconds"], 0.0)
        return {"progress": {"_seconds": seconds}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up the seconds."""
        self._before = state["progress"]["_seconds"]

    def mark(self) -> None:
        """Nothing is undone."""

    def back(self, mark: None) -> None:
        """Nothing is undone."""


class Stopped(Exception):
    """An estimate of the accuracy was given up for a stop."""


class Stopping(Part):
    """What ends a call of `train` before its last step; an interruption does not undo a stop.

    Attributes: reason, None, "patience", or what `Solver.stop` was told; patience and epochs_without_gain,
    of which `patience` end the training.
    """

    def __init__(self, patience: int | None) -> None:
        self.reason: str | None = None
        self.patience = patience
        self.epochs_without_gain = 0
        self._estimates_in: int | None = None  # the thread that makes an estimate

    @property
    def is_due(self) -> bool:
        """Whether training is to end here."""
        if self.patience is not None and self.epochs_without_gain >= self.patience:
            self.reason = "patience"
        return self.reason is not None

    def count(self, is_best: bool, is_epoch_end: bool) -> None:
        """Count an epoch without gain, or begin anew after a gain."""
        if is_best:
            self.epochs_without_gain = 0
        elif is_epoch_end:
            self.epochs_without_gain += 1

    def is_plateau(self, length: int) -> bool:
        """Whether another `length` epochs have gone by without a gain."""
        return self.epochs_without_gain > 0 and self.epochs_without_gain % length == 0

    @contextmanager
    def in_estimate(self) -> Iterator[None]:
        """Let `look` see a stop inside of the ``with`` block, in this thread."""
        self._estimates_in = get_ident()
        try:
            yield
        finally:
            self._estimates_in = None

    def look(self) -> None:
        """Raise Stopped if a stop came while this thread makes an estimate."""
        if self._estimates_in == get_ident() and self.reason == "interrupted":
            raise Stopped

    def state(self) -> State:
        """Return the epochs without gain."""
        return {"progress": {"_epochs_without_gain": self.epochs_without_gain}}

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return the epochs without gain."""
        return {"progress": {"_epochs_without_gain": count_in(state, "_epochs_without_gain")}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up the epochs without gain."""
        self.epochs_without_gain = state["progress"]["_epochs_without_gain"]

    def mark(self) -> int:
        """Return the epochs without gain."""
        return self.epochs_without_gain

    def back(self, mark: int) -> None:
        """Forget epochs counted since."""
        self.epochs_without_gain = mark
