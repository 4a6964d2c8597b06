"""Server-sent events: what changed since a client was told last.

A client that is slow misses what was in between: never more than one message waits for it.  One that does
not read is given up (`handgrad.lab.guard`).  All clients of a run share one
reading of its files.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from handgrad.errors import HandgradError
from handgrad.lab.history import PATIENCE
from handgrad.lab.state import Lab

PAUSE = 0.25  # seconds between two looks at the files of a run, at least
SHARE = 0.005  # of the time that looks take, so that a training on the same cores is not held up
LOOK = 2.0  # seconds between two signs that somebody looks
HEARTBEAT = 5.0  # seconds after which something is sent in any case
MOST_CLIENTS = 64
POINTS = 600


class Watch:
    """A run, or the whole folder, as its clients see it: read by one task for all of them.

    Attributes: said, by kind of event its message; changed, set and replaced when one of them is another one.
    """

    def __init__(self, make: Callable[[Watch], dict[str, bytes]]) -> None:
        """Let `make`, which runs in a thread, return the messages that changed."""
        self.make = make
        self.said: dict[str, bytes] = {}
        self.changed = asyncio.Event()
        self.error = ""
        self.clients = self.at_weights = 0
        self.looked = 0.0
        self.known: Any = None  # what `make` keeps from call to call
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read, where nobody does."""
        if self._task is None or self._task.done():
            self.error = ""
            self._task = asyncio.create_task(self._go())

    async def _go(self) -> None:
        while self.clients > 0 and not self.error:
            found: dict[str, bytes] = {}
            took = 0.0
            try:
                found, took = await asyncio.to_thread(_timed, self.make, self)
            except (HandgradError, OSError) as error:
                self.error = str(error)
            if found or self.error:
                self.said |= found
                before, self.changed = self.changed, asyncio.Event()
                before.set()
            await asyncio.sleep(min(max(PAUSE, took / SHARE), LOOK))


class Shared:
    """The watches of all clients."""

    def __init__(self, lab: Lab) -> None:
        """Watch for the clients of `lab`."""
        self.lab = lab
        self.clients = 0
        self._watches: dict[str | None, Watch] = {}

    def watch(self, run: str | None) -> Watch:
        """Return the watch of a run, None for the folder."""
        if run not in self._watches:
            make = partial(_of_folder, self.lab) if run is None else partial(_of_run, self.lab, run)
            self._watches = {k: w for k, w in self._watches.items() if w.clients > 0}
            self._watches[run] = Watch(make)
        return self._watches[run]


def _timed(make: Callable[[Watch], Any], watch: Watch) -> tuple[Any, float]:
    start = time.thread_time()
    return make(watch), time.thread_time() - start


def message(kind: str, content: Any) -> bytes:
    """Return an event as it goes over the line."""
    return f"event: {kind}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n".encode()


def curves(
    lab: Lab, run: str, points: int = POINTS, first: int = 0, last: int | None = None
) -> dict[str, Any]:
    """Return the curves and records of a run, thinned to so many points."""
    history = lab.histories.of(lab.folder.path(run))
    history.update(PATIENCE)
    with history.lock:
        return {
            "version": history.version,
            "whole": history.whole,
            "steps": history.steps.points(points, first, last),
            "count": history.steps.count,
            "feed": history.feed.points(points, first, last),
            "epochs": history.epochs[:: max(len(history.epochs) // points, 1)] if points else [],
            "layers": history.layers,
            "others": history.others,
            "start": history.start,
            "end": history.end,
        }


def _of_run(lab: Lab, run: str, watch: Watch) -> dict[str, bytes]:
    """Return what changed in a run: ``status`` and ``curves``."""
    if time.monotonic() - watch.looked > LOOK:
        watch.looked = time.monotonic()
        lab.look(run, at_weights=watch.at_weights > 0)
    found = {}
    status = message("status", lab.status(run))
    if status != watch.said.get("status"):
        found["status"] = status
    history = lab.histories.of(lab.folder.path(run))
    history.update(PATIENCE)
    if watch.known != history.version:
        watch.known = history.version
        found["curves"] = message("curves", curves(lab, run))
    return found


def _of_folder(lab: Lab, watch: Watch) -> dict[str, bytes]:
    """Return ``changed`` where a run is another one, ``layers`` where a verdict on own layers is."""
    rows = lab.folder.rows()
    now = [[r["id"], r["state"], r.get("iteration"), r["time"]] for r in rows], lab.own.stamp
    before, watch.known = watch.known or (None, None), now
    lab.last_looked = time.monotonic()
    kinds = ["changed"] if now[0] != before[0] else []
    kinds += ["layers"] if now[1] != before[1] else []
    return {kind: message(kind, {"number": len(rows)}) for kind in kinds}


async def told(shared: Shared, run: str | None, at_weights: bool) -> AsyncIterator[bytes]:
    """Yield the messages of a watch as they change, and a heartbeat."""
    watch = shared.watch(run)
    watch.clients += 1
    watch.at_weights += at_weights
    watch.looked = 0.0
    watch.start()
    sent: dict[str, bytes] = {}
    try:
        while True:
            changed = watch.changed
            for kind, text in list(watch.said.items()):
                if sent.get(kind) is not text:
                    sent[kind] = text
                    yield text
            if watch.error:
                yield message("gone", {"error": watch.error})
                return
            try:
                await asyncio.wait_for(changed.wait(), HEARTBEAT)
            except TimeoutError:
                yield b": still here\n\n"
    finally:
        watch.clients -= 1
        watch.at_weights -= at_weights
