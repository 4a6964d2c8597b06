"""The history of a run as the lab keeps it: read as it grows, thinned, of bounded size."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from threading import RLock
from time import perf_counter
from typing import Any

import numpy as np

from handgrad.lab import kept
from handgrad.lab.live import FEED, live_folder
from handgrad.lab.records import Record, records_of
from handgrad.lab.thinning import Thinned

PORTION = 4 << 20  # bytes that are read at a time
MOST_EPOCHS = 4000
MOST_LAYERS = 120
MOST_OTHERS = 200
KEPT = 48  # histories in memory
PATIENCE = 0.7  # seconds for reading at a time: what is longer comes in parts


class Tail:
    """The lines that are added to a file; it begins anew where the file became another one."""

    def __init__(self, path: Path) -> None:
        """Read `path`, which need not exist."""
        self.path = path
        self._place = 0
        self._file: tuple[int, int] | None = None

    @property
    def state(self) -> list[Any]:
        """The file, and how far it was read; `go_on` goes on from there."""
        return [*(self._file or (0, 0)), self._place]

    def go_on(self, state: Any) -> bool:
        """Go on from `state`; False where the file is another one by now."""
        try:
            device, number, place = (int(n) for n in state)
            status = os.stat(self.path)  # noqa: PTH116
        except (OSError, TypeError, ValueError):
            return False
        if (status.st_dev, status.st_ino) != (device, number) or status.st_size < place:
            return False
        self._file, self._place = (device, number), place
        return True

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


class History:
    """What a run has told so far.

    Attributes: steps (loss and learning_rate, thinned), feed (gradient_norm and images_per_second, thinned),
    epochs, layers and others (records of these kinds), start, end, version (grows with each change), whole
    (whether all was read).
    """

    def __init__(self, folder: Path, beside: Path | None = None) -> None:
        """Read the history of the run `folder`, when `update` is called.

        beside: the folder in which the thinned curves of long histories are kept for the next time.
        """
        self.folder = folder
        self._tail = Tail(folder / "history.jsonl")
        self._feed_tail = Tail(live_folder(folder) / FEED)
        self.version = 0
        self.whole = True
        self.lock = RLock()
        self._kept = kept.file_of(beside, folder) if beside else None
        self._kept_at = 0
        self._clear()
        self._restore()

    def _clear(self) -> None:
        self.steps = Thinned(["loss", "learning_rate", "clipped_norm"])
        self.epochs: list[Record] = []
        self.layers: list[Record] = []
        self.others: list[Record] = []
        self.start: Record = {}
        self.end: Record | None = None
        self.feed = Thinned(["gradient_norm", "images_per_second"])

    def update(self, patience: float | None = None) -> bool:
        """Read what is new, for so many seconds at most; return whether all was read."""
        until = None if patience is None else perf_counter() + patience
        with self.lock:
            is_more = True
            while is_more:
                records, is_new, is_more = self._tail.read()
                if is_new:
                    self._clear()
                if records or is_new:
                    self.version += 1
                    self._take(records)
                if is_more and until is not None and perf_counter() > until:
                    break
            self.version += self.whole is is_more
            self.whole = not is_more
            self._keep()
            if self.whole:
                self._update_feed()
        return self.whole

    def _keep(self) -> None:
        """Keep what was read of a long history: each time that it has grown by much, and at its end."""
        place = self._tail.state[2]
        has_grown = place >= max(kept.LONG, (1.1 if self.whole else 2) * self._kept_at)
        is_over = self.end is not None and place >= kept.LONG and place > self._kept_at
        if self._kept is None or not (has_grown or is_over):
            return
        self._kept_at = place
        curve, arrays = self.steps.state()
        others = {
            name: getattr(self, name) for name in ("epochs", "layers", "others", "start", "end")
        }
        kept.write_history(self._kept, {"tail": self._tail.state, "curve": curve, **others}, arrays)

    def _restore(self) -> None:
        found = kept.read_history(self._kept) if self._kept else None
        if found is None:
            return
        meta, arrays = found
        steps = Thinned.of(self.steps.columns, meta.get("curve"), arrays)
        lists = [meta.get(name) for name in ("epochs", "layers", "others")]
        if steps is None or not all(isinstance(part, list) for part in lists):
            return
        if not self._tail.go_on(meta.get("tail")):
            return
        self.steps, self._kept_at, self.version = steps, self._tail.state[2], 1
        self.epochs, self.layers, self.others = lists  # type: ignore[assignment]
        self.start, self.end = meta.get("start") or {}, meta.get("end")

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

    def __init__(self, beside: Path | None = None) -> None:
        """Begin without one; see `History` for `beside`."""
        self.beside = beside
        self._kept: OrderedDict[Path, History] = OrderedDict()
        self._lock = RLock()

    def of(self, folder: Path) -> History:
        """Return the history of the run `folder`, as it was when it was updated last."""
        with self._lock:
            history = self._kept.get(folder)
            if history is None:
                history = self._kept[folder] = History(folder, self.beside)
            self._kept.move_to_end(folder)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return history
