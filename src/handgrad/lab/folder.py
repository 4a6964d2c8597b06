"""The folder of runs: which there are, what each says of itself in a row, its tags and notes, the trash."""

from __future__ import annotations

import json
import os
import re
import time
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from threading import RLock
from typing import Any

from handgrad.errors import OptionError
from handgrad.files import atomic_write
from handgrad.lab.kept import KeptRows, spark
from handgrad.lab.live import STATUS, is_alive, live_folder, read_json
from handgrad.lab.records import records_of

DEPTH = 5
MOST_RUNS = 5000
TRASH = ".trash"
OWN = "lab.json"  # tags and notes of a run
FRESH = 20.0  # seconds after which a history that does not grow is that of a stopped run
_TAIL = 1 << 12  # bytes at the end of a history that tell where it is
_LONG_TAIL = 1 << 20  # and those in which its last epoch is looked for
_LAST = tuple(
    (f'"kind": "{kind}"'.encode(), f'"kind":"{kind}"'.encode()) for kind in ("step", "epoch", "end")
)
_KEEP_EVERY = 2.0  # seconds between two times that the rows are kept
_HEAD = 1 << 12  # bytes at the start of an evaluation that hold its figures
_LONGEST_NOTE, _LONGEST_TAG, _MOST_TAGS = 10_000, 40, 20

Row = dict[str, Any]
Stamp = tuple[int, int, int] | None


class RunFolder:
    """The runs under a folder; a run's id is its path from there, with slashes."""

    def __init__(self, root: Path) -> None:
        """Look at `root`, or, where that is a run itself, at it alone."""
        root = root.resolve()
        self.only = root.name if _is_run(root) else None
        self.root = root.parent if self.only else root
        self._runs: dict[str, Path] = {}
        self._looked_at = 0.0
        self._kept = KeptRows(self.root / ".lab")
        self._rows: dict[str, tuple[Any, Row]] = self._kept.read()
        self._kept_at = 0.0
        self._is_kept = True
        self._sparks: dict[str, tuple[Any, list[float | None]]] = {}
        self._lock = RLock()

    def runs(self) -> dict[str, Path]:
        """Return the folders of the runs by id, looked for once a second at most."""
        with self._lock:
            if time.monotonic() - self._looked_at > 1.0 or not self._runs:
                self._runs = dict(self._found())
                self._looked_at = time.monotonic()
            return dict(self._runs)

    def refresh(self) -> None:
        """Look anew at the next call."""
        self._looked_at = 0.0
        self._runs = {}

    def _found(self) -> Iterator[tuple[str, Path]]:
        if self.only is not None:
            yield self.only, self.root / self.only
            return
        waiting, number = [(self.root, 0)], 0
        while waiting:
            folder, depth = waiting.pop()
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
                    continue
                path = Path(entry.path)
                if _is_run(path):
                    number += 1
                    yield path.relative_to(self.root).as_posix(), path
                    if number >= MOST_RUNS:
                        return
                elif depth + 1 < DEPTH:
                    waiting.append((path, depth + 1))

    def has(self, run: str) -> bool:
        """Return whether there is a run with this id by now."""
        self.refresh()
        return run in self.runs()

    def path(self, run: Any) -> Path:
        """Return the folder of the run with this id; OptionError where there is none."""
        found = self.runs().get(run) if isinstance(run, str) else None
        if found is None:
            self.refresh()
            found = self.runs().get(run) if isinstance(run, str) else None
        if found is None:
            raise OptionError("lab: there is no such run")
        return found

    # -- rows --------------------------------------------------------------------------------------

    def rows(self) -> list[Row]:
        """Return a row for each run, the newest first; read again only where files changed."""
        runs = self.runs()
        with self._lock:
            self._rows = {run: kept for run, kept in self._rows.items() if run in runs}
            rows = [self._row(run, path) for run, path in runs.items()]
            self._keep()
        return sorted(rows, key=lambda row: (row["time"], row["id"]), reverse=True)

    def _keep(self) -> None:
        """Keep the rows for the next lab, where one is new."""
        if self._is_kept or time.monotonic() - self._kept_at < _KEEP_EVERY:
            return
        self._kept_at, self._is_kept = time.monotonic(), True
        self._kept.write(self._rows)

    def sparks(self, runs: list[str]) -> dict[str, list[float | None]]:
        """Return for each run a figure of some of its epochs, read again only where it grew."""
        found = {}
        for run in runs:
            path = self.path(run) / "history.jsonl"
            stamp, before = _stamp(path), self._sparks.get(run)
            if before is None or before[0] != stamp:
                before = self._sparks[run] = stamp, spark(path)
            found[run] = before[1]
        return found

    def row(self, run: str) -> Row:
        """Return the row of one run."""
        with self._lock:
            return self._row(run, self.path(run))

    def _row(self, run: str, path: Path) -> Row:
        stamps = tuple(
            _stamp(path / name) for name in ("config.toml", "history.jsonl", "evaluation.json", OWN)
        )
        kept = self._rows.get(run)
        if kept is None or kept[0] != stamps:
            kept = stamps, {"id": run, "name": path.name, **_read_row(path, stamps)}
            self._rows[run] = kept
            self._is_kept = False
        return {**kept[1], "state": state_of(path, kept[1])}

    # -- what the lab writes -----------------------------------------------------------------------

    def keep_notes(self, run: Any, tags: Any, notes: Any) -> None:
        """Keep tags and notes of a run, in its folder."""
        if not isinstance(notes, str) or len(notes) > _LONGEST_NOTE:
            raise OptionError(f"lab: notes must be a text of at most {_LONGEST_NOTE} characters")
        if not isinstance(tags, list) or len(tags) > _MOST_TAGS:
            raise OptionError(f"lab: tags must be a list of at most {_MOST_TAGS}")
        for tag in tags:
            if not isinstance(tag, str) or not 0 < len(tag.strip()) <= _LONGEST_TAG:
                raise OptionError(f"lab: a tag must have 1 to {_LONGEST_TAG} characters")
        content = {"tags": [tag.strip() for tag in tags], "notes": notes}
        atomic_write(self.path(run) / OWN, json.dumps(content).encode())

    def to_trash(self, run: Any) -> Path:
        """Move a run to the folder ``.trash``; OptionError while it trains."""
        path = self.path(run)
        if state_of(path, {}) in ("live", "paused"):
            raise OptionError("lab: the run is being trained; stop it before it goes to the trash")
        trash = self.root / TRASH
        trash.mkdir(exist_ok=True)
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{path.name}"
        target, number = trash / stem, 1
        while target.exists():
            number += 1
            target = trash / f"{stem}-{number}"
        path.rename(target)
        self.refresh()
        return target


def state_of(path: Path, row: Row) -> str:
    """Return "live", "paused", "training" (without --live), "finished" or "stopped"."""
    status = read_json(live_folder(path) / STATUS)
    if status.get("state") in ("running", "paused") and is_alive(status.get("pid")):
        return "paused" if status["state"] == "paused" else "live"
    if (path / "model.safetensors").exists() or row.get("ended") == "finished":
        return "finished"
    try:
        age = time.time() - (path / "history.jsonl").stat().st_mtime
    except OSError:
        age = FRESH
    if age < FRESH and status.get("state") not in ("stopped", "ended"):
        return "training"
    return "stopped"


def _is_run(path: Path) -> bool:
    return (path / "config.toml").is_file() and (
        (path / "history.jsonl").is_file() or (path / "summary.txt").is_file()
    )


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read_row(path: Path, stamps: tuple[Stamp, ...]) -> Row:
    try:
        config = _toml((path / "config.toml").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        config = {}
    own = read_json(path / OWN)
    written = [stamp[0] for stamp in stamps[:2] if stamp]
    return {
        "title": str(config.get("name", path.name)),
        "settings": flat(config),
        "time": max(written, default=0) / 1e9,
        "tags": [str(tag) for tag in own.get("tags", []) if isinstance(tag, str)],
        "notes": str(own.get("notes", "")),
        **_progress(path / "history.jsonl"),
        **_measured(path / "evaluation.json"),
    }


def _toml(text: str) -> dict[str, Any]:
    """Return what `text` in TOML says: line by line, since the lines of most runs are the same.

    Where a line is not whole by itself, or a table is more than a name, the whole text is read at once.
    """
    found: dict[str, Any] = {}
    table = found
    try:
        for line in text.splitlines():
            if line.startswith("[") and line.endswith("]") and line[1:-1].isidentifier():
                if line[1:-1] in found:
                    raise ValueError
                table = found[line[1:-1]] = {}
                continue
            pair = _line(line)
            if any(key in table for key in pair):
                raise ValueError
            table.update(pair)
    except ValueError:
        return tomllib.loads(text)
    return found


@lru_cache(maxsize=4096)
def _line(line: str) -> dict[str, Any]:
    if line.startswith("["):
        raise ValueError
    return tomllib.loads(line)


def _progress(path: Path) -> Row:
    """Return what the last lines of a history say: of its steps, and of its epochs."""
    row: Row = {}
    for data in _ends(path):
        for record in [record for kind in _LAST for record in _last(data, kind)]:
            kind = record.get("kind")
            if kind == "step" and "iteration" not in row:
                row |= {"iteration": record.get("iteration"), "loss": record.get("loss")}
                row.setdefault("seconds", record.get("time"))
            elif kind == "epoch" and "epoch" not in row:
                row |= {"epoch": record.get("epoch"), "seconds": record.get("time")}
                for name in ("train_acc", "val_acc", "val_loss", "metric", "val_metric"):
                    if name in record:
                        row[name] = record[name]
            elif kind == "end" and record.get("iteration") == row.get("iteration"):
                row["ended"] = str(record.get("reason", ""))
        if "iteration" in row and "epoch" in row:
            break
    return row


def _ends(path: Path) -> Iterator[bytes]:
    """Yield the last bytes of a file, few and then many."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            for number in (_TAIL, _LONG_TAIL):
                file.seek(max(size - number, 0))
                data = file.read(number)
                yield data if size <= number else data[data.find(b"\n") + 1 :]
                if size <= number:
                    return
    except OSError:
        return


def _last(data: bytes, kind: tuple[bytes, bytes]) -> list[Row]:
    """Return the last whole record of a kind in `data`, alone in a list, as its texts `kind` mark it."""
    end = len(data)
    while (at := max(data.rfind(mark, 0, end) for mark in kind)) >= 0:
        first = data.rfind(b"\n", 0, at) + 1
        last = data.find(b"\n", at)
        if last >= 0 and (records := records_of(data[first:last])):
            return records
        end = at
    return []


def _measured(path: Path) -> Row:
    """Return the accuracy or the metric of an evaluation."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        return {}
    found = re.match(r'\{"accuracy": ([0-9.eE+-]+)', head) or re.search(
        r'"accuracy": ([0-9.eE+-]+)', head
    )
    if found is None:
        return {}
    try:
        return {"test_acc": float(found[1])}
    except ValueError:
        return {}


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the settings of a configuration by their dotted keys; lists as texts."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            found |= flat(value, f"{name}.")
        elif isinstance(value, bool | int | float | str):
            found[name] = value
        else:
            found[name] = json.dumps(value, default=str)[:400]
    return found
