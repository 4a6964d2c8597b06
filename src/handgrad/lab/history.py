"""The history of a run as the lab keeps it: read as it grows, thinned, of bounded size."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from handgrad.lab.live import FEED, live_folder
from handgrad.lab.thinning import Thinned

PORTION = 4 << 20  # bytes that are read at a time
MOST_EPOCHS = 4000
MOST_LAYERS = 120
MOST_OTHERS = 200
KEPT = 48  # histories in memory

Record = dict[str, Any]


class Tail:
    """The lines that are added to a file; it begins anew where the file became another one."""

    def __init__(self, path: Path) -> None:
        """Read `path`, which need not exist."""
        self.path = path
        self._place = 0
        self._file: tuple[int, int] | None = None

    def read(self) -> tuple[list[Record], bool, bool]:
        """Return the records of the next portion, whether it begins anew, and whether more is there."""
        try:
            status = os.stat(self.path)  # noqa: PTH116
        except OSError:
            is_new, self._file, self._place = self._file is not None, None, 0
            return [], is_new, False
        file = (status.st_dev, status.st_ino)
        is_new = self._file is not None and (file != self._file or status.st_size < self._place)
        if is_new:
            self._place = 0
        self._file = file
        if status.st_size == self._place:
            return [], is_new, False
        with self.path.open("rb") as opened:
            opened.seek(self._place)
            data = opened.read(PORTION)
        end = data.rfind(b"\n") + 1
        if end == 0:
            if len(data) == PORTION:  # no line of ours is so long
                self._place += PORTION
            return [], is_new, len(data) == PORTION
        self._place += end
        return records_of(data[:end]), is_new, self._place < status.st_size


def records_of(lines: bytes) -> list[Record]:
    """Return the objects in `lines` of JSON; what is none is left out."""
    listed = lines.splitlines()
    with suppress(ValueError, RecursionError):
        found = json.loads(b"[" + b",".join(listed) + b"]")
        return [record for record in found if isinstance(record, dict)]
    records = []
    for line in listed:
        with suppress(ValueError, RecursionError):
            record = json.loads(line)
            if isinstance(record, dict):
                records.append(record)
    return records


class History:
    """What a run has told so far.

    Attributes: steps (loss and learning_rate, thinned), feed (gradient_norm and images_per_second, thinned),
    epochs, layers and others (records of these kinds), start, end, version (grows with each change).
    """

    def __init__(self, folder: Path) -> None:
        """Read the history of the run `folder`, when `update` is called."""
        self.folder = folder
        self._tail = Tail(folder / "history.jsonl")
        self._feed_tail = Tail(live_folder(folder) / FEED)
        self.version = 0
        self.lock = RLock()
        self._clear()

    def _clear(self) -> None:
        self.steps = Thinned(["loss", "learning_rate", "clipped_norm"])
        self.epochs: list[Record] = []
        self.layers: list[Record] = []
        self.others: list[Record] = []
        self.start: Record = {}
        self.end: Record | None = None
        self.feed = Thinned(["gradient_norm", "images_per_second"])

    def update(self, portions: int = 1_000_000) -> bool:
        """Read what is new, at most so many portions; return whether all was read."""
        with self.lock:
            for _ in range(portions):
                records, is_new, is_more = self._tail.read()
                if is_new:
                    self._clear()
                if records or is_new:
                    self.version += 1
                    self._take(records)
                if not is_more:
                    break
            else:
                return False
            self._update_feed()
        return True

    def _update_feed(self) -> None:
        is_more = True
        while is_more:
            records, is_new, is_more = self._feed_tail.read()
            if is_new:
                self.feed = Thinned(self.feed.columns)
            if records:
                self.version += 1
                _add(self.feed, records)

    def _take(self, records: list[Record]) -> None:
        steps = [r for r in records if r.get("kind") == "step"]
        _add(self.steps, [{**r, "clipped_norm": r.get("gradient_norm")} for r in steps])
        for record in records:
            kind = record.get("kind")
            if kind == "epoch":
                self.epochs.append(record)
            elif kind == "layers":
                self.layers.append(record)
            elif kind == "start":
                self.start = record
            elif kind == "end":
                self.end = record
            elif kind in ("resume", "steer", "fork", "warning"):
                self.others.append(record)
                self.end = None if kind == "resume" else self.end
        self.epochs = _thinned(self.epochs, MOST_EPOCHS)
        self.layers = _thinned(self.layers, MOST_LAYERS)
        del self.others[:-MOST_OTHERS]


def _thinned(records: list[Record], most: int) -> list[Record]:
    """Leave out every second record but for the first and the last, until there are at most `most`."""
    while len(records) > most:
        records = [*records[:-1:2], records[-1]]
    return records


def _add(curve: Thinned, records: list[Record]) -> None:
    good = [r for r in records if _is_step(r.get("iteration"))]
    steps = np.array([r["iteration"] for r in good], np.int64)
    values = {name: np.array([_number(r.get(name)) for r in good]) for name in curve.columns}
    curve.add(steps, values)


def _is_step(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 1 << 50


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


class Histories:
    """The histories that were asked for last."""

    def __init__(self) -> None:
        """Begin without one."""
        self._kept: OrderedDict[Path, History] = OrderedDict()
        self._lock = RLock()

    def of(self, folder: Path) -> History:
        """Return the history of the run `folder`, as it was when it was updated last."""
        with self._lock:
            history = self._kept.get(folder)
            if history is None:
                history = self._kept[folder] = History(folder)
            self._kept.move_to_end(folder)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return history
