"""Folders of pictures that come from the page: each is decoded apart, made small, and written anew.

A body is a header of JSON, in front of it its length in 4 bytes, and the files' bytes behind it::

    {"data": "", "title": "photos", "files": [{"path": "cat/1.jpg", "size": 1234}, ...]}

where data is the name of a folder that was begun, if there is one.

Nothing of a file's name but letters, digits and a few signs stays, and nothing of the file but its pixels.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from handgrad.errors import OptionError
from handgrad.lab.decoder import decode_many
from handgrad.lab.launching import OWN

FOLDER = "pictures"
MOST_FOLDERS = 50
MOST_PICTURES = 20_000  # of a folder
MOST_FILES = 200  # of a body
_DEEPEST = 3  # train/cat/1.jpg
_OTHER = re.compile(r"[^\w .-]")


def keep(root: Path, data: bytes) -> dict[str, Any]:
    """Write the pictures of the body `data` under the runs' folder `root`.

    Returns:
        data, the name of the folder; kept and left, how many were written and could not be read.

    Raises OptionError for a body that is none, and for too many pictures.
    """
    header, files = _parts(data)
    paths = [_place(file["path"]) for file in header["files"]]
    folder = _folder(root, header["data"], str(header.get("title", "")))
    number = sum(1 for _ in folder.rglob("*.png"))
    if number + len(files) > MOST_PICTURES:
        raise OptionError(f"lab: a folder has at most {MOST_PICTURES:,} pictures")
    kept = 0
    for path, png in zip(paths, decode_many(files), strict=True):
        if png is None:
            continue
        kept += 1
        target = folder / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.write_bytes(png)
    return {"data": folder.name, "kept": kept, "left": len(files) - kept}


def _parts(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    size = int.from_bytes(data[:4], "big")
    header = json.loads(data[4 : 4 + size])
    if not isinstance(header, dict) or not isinstance(header.get("data"), str):
        raise OptionError("lab: pictures come with a header")
    listed = header.get("files")
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_FILES:
        raise OptionError(f"lab: send 1 to {MOST_FILES} pictures at a time")
    files, place = [], 4 + size
    for file in listed:
        is_good = isinstance(file, dict) and isinstance(file.get("path"), str)
        length = file.get("size") if is_good else None
        if not isinstance(length, int) or length < 0:
            raise OptionError("lab: a picture has a path and a size")
        files.append(data[place : place + length])
        place += length
    if place != len(data):
        raise OptionError("lab: the sizes of the pictures do not fill the body")
    return header, files


def _place(given: str) -> Path:
    """Return the path of a picture within its folder: class, and part where there is one."""
    parts = [_OTHER.sub("_", part).strip(" .")[:60] for part in given.split("/")[-_DEEPEST:]]
    if len(parts) < 2 or not all(parts):
        raise OptionError("lab: pictures lie in a folder for each class, as cat/1.jpg")
    return Path(*parts[:-1], f"{Path(parts[-1]).stem}.png")


def _folder(root: Path, name: str, title: str) -> Path:
    """Return the folder `name` that was begun, or a new one, called after `title`, where it is empty."""
    every = root / OWN / FOLDER
    if name:
        if name not in names(root):
            raise OptionError("lab: there is no such folder of pictures")
        return every / name
    every.mkdir(mode=0o700, parents=True, exist_ok=True)
    if len(names(root)) >= MOST_FOLDERS:
        raise OptionError(f"lab: {every} holds {MOST_FOLDERS} folders, the most there may be")
    title = _OTHER.sub("_", title).strip(" .")[:30] or "pictures"
    stem = f"{title}-{time.strftime('%Y%m%d-%H%M%S')}"
    number, folder = 1, every / stem
    while folder.exists():
        number += 1
        folder = every / f"{stem}-{number}"
    folder.mkdir(mode=0o700)
    return folder


def names(root: Path) -> list[str]:
    """Return the names of the folders of pictures that were kept."""
    try:
        return sorted(p.name for p in (root / OWN / FOLDER).iterdir() if p.is_dir())
    except OSError:
        return []
