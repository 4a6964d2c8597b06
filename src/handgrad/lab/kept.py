"""What the lab keeps beside the runs, in ``.lab``, so that the next look is quick.

All of it can be deleted: it is made again of the runs.  A file that is not as it should be counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.lab.live import read_json, write_quickly
from handgrad.lab.records import records_of

ROWS = "rows.json"
VERSION = 1  # of the files' form; others are made anew
LONG = 2 << 20  # bytes of a history from which on its summary is kept
LARGEST_SPARK = 64 << 20  # bytes of a history that a spark is made of
SPARK = 32  # values of a spark
MOST_ARRAY = 1 << 20  # numbers of a kept array
_EPOCH = re.compile(rb'^.*"kind": ?"epoch".*$', re.MULTILINE)
_SHOWN = ("val_acc", "val_metric", "train_acc", "val_loss")


class KeptRows:
    """The rows of runs by id, each with the stamps of the files that it was read from."""

    def __init__(self, folder: Path) -> None:
        """Keep them in the folder `folder`."""
        self.path = folder / ROWS
        self._written = 0

    def read(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        """Return what was kept: id -> (stamps, row)."""
        found = read_json(self.path)
        if found.get("version") != VERSION or not isinstance(found.get("rows"), dict):
            return {}
        kept = {}
        for run, pair in found["rows"].items():
            if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], dict):
                stamps = tuple(None if s is None else tuple(s) for s in pair[0])
                kept[run] = stamps, pair[1]
        return kept

    def write(self, rows: dict[str, tuple[Any, dict[str, Any]]]) -> None:
        """Keep `rows`; a disk that is full or may not be written is no mistake."""
        text = json.dumps({"version": VERSION, "rows": rows}, separators=(",", ":")).encode()
        if hash(text) == self._written:
            return
        self._written = hash(text)
        with suppress(OSError):
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            write_quickly(self.path, text)


def spark(path: Path) -> list[float | None]:
    """Return a figure of each epoch of the history `path`, thinned: validation accuracy, or what there is."""
    try:
        if path.stat().st_size > LARGEST_SPARK:
            return []
        records = records_of(b"\n".join(_EPOCH.findall(path.read_bytes())))
    except OSError:
        return []
    name = next((n for n in _SHOWN if any(n in r for r in records)), None)
    values = [r.get(name) for r in records] if name else []
    numbers = [v if isinstance(v, int | float) else None for v in values]
    if len(numbers) > SPARK:
        numbers = [numbers[i] for i in np.linspace(0, len(numbers) - 1, SPARK).astype(int)]
    return [None if v is None or v != v else float(f"{v:.4g}") for v in numbers]


# -- long histories ------------------------------------------------------------------------------------


def file_of(folder: Path, run: Path) -> Path:
    """Return the file in `folder` that keeps the history of the folder `run`."""
    return folder / "histories" / f"{hashlib.sha256(str(run).encode()).hexdigest()[:24]}.npz"


def write_history(path: Path, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Keep the thinned curves `arrays`, and the rest of a history, as `meta`."""
    import io

    text = json.dumps({"version": VERSION, **meta}, default=str).encode()
    content = io.BytesIO()
    np.savez(content, meta=np.frombuffer(text, np.uint8), **arrays)  # type: ignore[arg-type]
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_quickly(path, content.getvalue())


def read_history(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Return what `write_history` kept, None where there is nothing good."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(arrays.pop("meta").tobytes())
    except (OSError, ValueError, KeyError, EOFError, RecursionError, zipfile.BadZipFile):
        return None
    if not isinstance(meta, dict) or meta.get("version") != VERSION:
        return None
    if any(a.size > MOST_ARRAY for a in arrays.values()):
        return None
    return meta, arrays
