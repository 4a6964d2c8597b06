"""Telling the callbacks: each is told once of each record, however often training is interrupted.

What is to be told stands in a list of calls.  A call is told when its callback's method has returned; one
that an exception ended is made again when training goes on.  A record that a callback emits is told to all
of them as soon as that callback's method has returned, and not at all if an exception ended it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from operator import call
from typing import TYPE_CHECKING, Any

from handgrad.training.callback import Callback, Record
from handgrad.training.parts import Part, State

if TYPE_CHECKING:
    from handgrad.training.solver import Solver


class PendingCall:
    """A call to make: ``method(*arguments)``, for a callback, or None for the Solver itself.

    Attributes: done, empty until the method has returned; emitted, the records of this call, each with the
    key of a warning or None.
    """

    def __init__(
        self, owner: Callback | None, method: Callable[..., None], *arguments: Any
    ) -> None:
        self.owner = owner
        self.method = method
        self.arguments = arguments
        self.done: list[Any] = []
        self.emitted: list[tuple[Record, str | None]] = []


def calls_of(
    solver: Solver, method: str, record: Record, is_last: bool = True
) -> list[PendingCall]:
    """Return the calls that tell all callbacks of `record` by their `method`.

    is_last: False where more steps of the same native call follow; some callbacks are not told of those.
    """
    return [
        PendingCall(callback, getattr(callback, method), solver, record)
        for callback in solver.callbacks
        if (is_last or not callback.only_last_step) and does_something(callback, method)
    ]


def say(line: str) -> None:
    """Print a line of the Solver's."""
    print(line, flush=True)  # noqa: T201  (verbose output is part of the courses' contract)


def is_told(solver: Solver, method: str) -> bool:
    """Whether a callback does something in `method`."""
    return any(does_something(callback, method) for callback in solver.callbacks)


def does_something(callback: Callback, method: str) -> bool:
    """Whether `method` is more than what the base class leaves to others."""
    return getattr(getattr(callback, method), "__func__", None) is not getattr(Callback, method)


class Telling(Part):
    """The calls that are still to be made, in order, and the warnings that were given.

    Attributes: warnings, the texts by their keys.
    """

    def __init__(self) -> None:
        self.warnings: dict[str, str] = {}
        self._calls: tuple[PendingCall, ...] = ()
        self._running: PendingCall | None = None

    @property
    def is_done(self) -> bool:
        """Whether all were told of all."""
        return not self._calls

    def add(self, own: Iterable[PendingCall], calls: Iterable[PendingCall]) -> None:
        """Add the Solver's `own` calls, which come before those of all callbacks, and `calls`."""
        before = (c for c in self._calls if c.owner is None)
        after = (c for c in self._calls if c.owner is not None)
        self._calls = (*before, *own, *after, *calls)

    def go_on(self, solver: Solver) -> None:
        """Make the calls; after an exception, call it again to make the rest."""
        try:
            while self._calls:
                first = self._calls[0]
                if not first.done and (first.owner is None or first.owner in solver.callbacks):
                    self._forget(first)
                    self._running = first
                    # Both in C, where no interruption comes between the return and the note of it.
                    first.done.extend(map(call, (first.method,), *((a,) for a in first.arguments)))
                more = [c for r, _ in first.emitted for c in calls_of(solver, "on_record", r)]
                self._calls = (*more, *self._calls[1:])
        finally:
            self._running = None

    def emit(self, solver: Any, record: Record, key: str | None = None) -> None:
        """Tell all of `record`, once the call that this comes from is over; at once outside of one."""
        if self._running is not None:
            self._running.emitted.append((record, key))
            return
        for callback in solver.callbacks:
            callback.on_record(solver, record)

    def warn(self, solver: Any, key: str, text: str) -> None:
        """Emit the warning `text`, once for each `key`."""
        if key in self.warnings:
            return
        if solver.verbose:
            print(f"warning: {text}", file=sys.stderr)  # noqa: T201
        place = {"iteration": solver.iteration, "epoch": solver.epoch}
        self.emit(solver, {"kind": "warning", **place, "text": text}, key)
        self.warnings[key] = text

    def state(self) -> State:
        """Return the warnings: training is saved when all were told of all."""
        return {"warnings": self.warnings}

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return the warnings."""
        if not isinstance(state["warnings"], dict):
            raise ValueError("warnings must be a dictionary")
        return {"warnings": {str(key): str(text) for key, text in state["warnings"].items()}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up the warnings."""
        self.warnings = state["warnings"]

    def _forget(self, interrupted: PendingCall) -> None:
        """Forget what a call that an exception ended has emitted: it will do so again."""
        for _, key in interrupted.emitted:
            if key is not None:
                self.warnings.pop(key, None)
        interrupted.emitted.clear()
