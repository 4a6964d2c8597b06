"""Server-sent events: what changed since a client was told last.

A client that is slow misses what was in between: never more than one message waits for it.  One that does
not read is given up (`handgrad.lab.guard`).  All clients of a run share one reading of its files.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from handgrad.errors import HandgradError
from handgrad.lab.state import Lab

PAUSE = 0.25  # seconds between two looks at the files of a run, at least
SHARE = 0.01  # of the time that looks take, so that a training on the same cores is not held up
HEARTBEAT = 5.0  # seconds after which something is sent in any case
MOST_CLIENTS = 64
POINTS = 600


class Shared:
    """Readings of the files of runs that all clients share: each is made at most once in a while."""

    def __init__(self, lab: Lab) -> None:
        """Read for the clients of `lab`."""
        self.lab = lab
        self._found: dict[str, tuple[float, Any]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self.clients = 0

    async def get(self, key: str, seconds: float, make: Callable[[], Any]) -> Any:
        """Return what `make` returns, or returned not long ago: `seconds`, or longer where it is slow."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            kept = self._found.get(key)
            if kept is None or time.monotonic() > kept[0]:
                found, took = await asyncio.to_thread(_timed, make)
                kept = time.monotonic() + max(seconds, took / SHARE), found
                self._found[key] = kept
                if len(self._found) > 500:
                    self._found.pop(next(iter(self._found)))
        return kept[1]


def _timed(make: Callable[[], Any]) -> tuple[Any, float]:
    start = time.thread_time()
    return make(), time.thread_time() - start


def message(kind: str, content: Any) -> bytes:
    """Return an event as it goes over the line."""
    return f"event: {kind}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n".encode()


def curves(
    lab: Lab, run: str, points: int = POINTS, first: int = 0, last: int | None = None
) -> dict[str, Any]:
    """Return the curves and records of a run, thinned to so many points."""
    history = lab.histories.of(lab.folder.path(run))
    history.update()
    with history.lock:
        return {
            "version": history.version,
            "steps": history.steps.points(points, first, last),
            "count": history.steps.count,
            "feed": history.feed.points(points, first, last),
            "epochs": history.epochs[:: max(len(history.epochs) // points, 1)] if points else [],
            "layers": history.layers,
            "others": history.others,
            "start": history.start,
            "end": history.end,
        }


async def of_run(shared: Shared, run: str, at_weights: bool) -> AsyncIterator[bytes]:
    """Yield what changes in a run: ``curves`` and ``status``, and a heartbeat."""
    lab, told, version, sent = shared.lab, "", -1, 0.0
    while True:
        try:
            await shared.get(
                f"look {run} {at_weights}", 1.0, lambda: lab.look(run, at_weights=at_weights)
            )
            status = await shared.get(f"status {run}", PAUSE, lambda: lab.status(run))
            found = await shared.get(f"curves {run}", PAUSE, lambda: curves(lab, run))
        except (HandgradError, OSError) as error:
            yield message("gone", {"error": str(error)})
            return
        text = json.dumps(status)
        if text != told:
            told, sent = text, time.monotonic()
            yield message("status", status)
        if found["version"] != version:
            version, sent = found["version"], time.monotonic()
            yield message("curves", found)
        if time.monotonic() - sent > HEARTBEAT:
            sent = time.monotonic()
            yield b": still here\n\n"
        await asyncio.sleep(PAUSE)


async def of_folder(shared: Shared) -> AsyncIterator[bytes]:
    """Yield the rows of all runs whenever one changes, and the stamp of the files of layers."""
    lab, told, sent = shared.lab, "", 0.0
    while True:
        rows = await shared.get("rows", 1.0, lab.folder.rows)
        text = json.dumps([[r["id"], r["state"], r.get("iteration"), r["time"]] for r in rows])
        text += json.dumps(lab.own.stamp)
        lab.last_looked = time.monotonic()
        if text != told:
            told, sent = text, time.monotonic()
            yield message("changed", {"number": len(rows)})
        if time.monotonic() - sent > HEARTBEAT:
            sent = time.monotonic()
            yield b": still here\n\n"
        await asyncio.sleep(1.0)
