"""The folder ``live`` of a run: what a training and a lab write for each other.

============================  ==========  ==========================================================
file                          written by  content
============================  ==========  ==========================================================
``status.json``               training    state, pid, iteration, total_steps, learning_rate, ...
``feed.jsonl``                training    iteration, gradient_norm, images_per_second; thinned
``weights.safetensors``       training    the weights now, while somebody looks
``frames/frame-*``            training    the weights of some epochs; thinned
``acts.jsonl``                lab         acts of steering, one a line
``watched``                   lab         its time says that somebody looks at the weights
``lease``                     lab         its time says that a lab is there; without one, no pause lasts
============================  ==========  ==========================================================

Nobody waits for the other.  Where a file is missing, half written or old, the reader goes on without it.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDER = "live"
STATUS = "status.json"
FEED = "feed.jsonl"
WEIGHTS = "weights.safetensors"
FRAMES = "frames"
ACTS = "acts.jsonl"
WATCHED = "watched"
LEASE = "lease"

LOOKED_AT = 6.0  # seconds for which `watched` counts
LEASED = 20.0  # seconds for which `lease` counts
LARGEST_ACTS = 1 << 16  # bytes of acts that are read at once


def live_folder(run: Path) -> Path:
    """Return the folder ``live`` of the folder `run`."""
    return run / FOLDER


def touch(path: Path) -> None:
    """Set the time of the file `path` to now; make it, and its folder, where they are missing."""
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        path.touch()


def is_recent(path: Path, seconds: float) -> bool:
    """Return whether `path` was written in the last `seconds`."""
    try:
        return time.time() - path.stat().st_mtime < seconds
    except OSError:
        return False


def write_quickly(path: Path, data: bytes) -> None:
    """Replace the file `path` as a whole, without waiting for the disk: a crash may lose it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)  # noqa: PTH105  (one atomic system call, named as such)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in the file `path`, {} where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_alive(pid: Any) -> bool:
    """Return whether a process with the number `pid` is there."""
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return False
    if os.name == "nt":  # os.kill would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:  # one that ended and was not waited for
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return True


class Acts:
    """The acts that a lab appends to a file, and a training reads as they come."""

    def __init__(self, path: Path) -> None:
        """Read what is appended to `path` from now on."""
        self.path = path
        self._place = self._size()

    def _size(self) -> int:
        try:
            return os.stat(self.path).st_size  # noqa: PTH116  (called between steps)
        except OSError:
            return 0

    def read(self) -> list[dict[str, Any]]:
        """Return the new acts; what is no act is left out."""
        size = self._size()
        if size <= self._place:
            self._place = size
            return []
        try:
            with self.path.open("rb") as file:
                file.seek(self._place)
                data = file.read(LARGEST_ACTS)
        except OSError:
            return []
        if b"\n" not in data:
            self._place += len(data) if len(data) == LARGEST_ACTS else 0
            return []  # a line that is not there as a whole
        lines = data[: data.rindex(b"\n") + 1]
        self._place += len(lines)
        acts = []
        for line in lines.splitlines():
            with suppress(ValueError, RecursionError):
                act = json.loads(line)
                if isinstance(act, dict):
                    acts.append(act)
        return acts


def append_act(run: Path, act: dict[str, Any]) -> None:
    """Hand `act` to the training of the folder `run`."""
    path = live_folder(run) / ACTS
    path.parent.mkdir(exist_ok=True)
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(act).encode() + b"\n")
