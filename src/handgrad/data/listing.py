"""Which pictures are in a folder, of which class, and in which part."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from handgrad.data.cache import FOLDER as CACHE
from handgrad.errors import DataError, shown

SUFFIXES: Final = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp",
     ".ppm", ".pgm", ".pbm", ".pnm", ".pfm")
)  # fmt: skip
PART_NAMES: Final = {
    "train": ("train", "training", "train_set", "training_set"),
    "val": ("val", "valid", "validation", "dev", "eval"),
    "test": ("test", "testing", "test_set", "holdout"),
}
_HIDDEN: Final = ("__MACOSX", "Thumbs.db", "desktop.ini", CACHE)


@dataclass
class Listing:
    """The pictures of a folder of classes.

    root: the folder.  files: paths relative to it, with / between their parts.  labels: the class of each.
    parts: the part of each, "" where the folders do not say.  others: files that are no pictures.
    empty: class folders without a picture.
    """

    root: Path
    files: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, numbers in their order."""
        return tuple(sorted(set(self.labels), key=natural))


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts "2" before "10".

    >>> sorted(["10", "b2", "2", "b10"], key=natural)
    ['2', '10', 'b2', 'b10']
    """
    pieces = re.split(r"([0-9]{1,18})", text)
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p.lower()) for p in pieces if p]


def list_images(root: Path) -> Listing:
    """List the pictures of class folders, or of train/val/test folders of class folders.

    Raises:
        DataError: there is no such folder, or it is not arranged by classes; says how it should be.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder")
    root = _unpacked(root)
    listing = Listing(root)
    folders = _folders(root)
    parts = {part: _part_folders(folders, part) for part in PART_NAMES}
    if parts["train"]:
        for part, found in parts.items():
            for folder in found:
                _add_classes(listing, folder, part)
        used = {folder for found in parts.values() for folder in found}
        listing.others += [folder.name + "/" for folder in folders if folder not in used]
    else:
        _add_classes(listing, root, "")
    if not listing.files:
        raise DataError(
            f"{root}: no class folders with pictures: put the pictures of each class into a folder of its "
            f"name, as {root.name}/cat/1.jpg and {root.name}/dog/1.jpg{_found(root)}"
        )
    return listing


def walk_images(root: Path) -> Iterator[Path]:
    """Yield every picture below a folder, in order; hidden files and folders are left out."""
    for folder, _, names in _walk(root):
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES:
                yield Path(folder) / name


def _walk(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted((f for f in folders if not _is_hidden(f)), key=natural)
        yield folder, folders, sorted((n for n in names if not _is_hidden(n)), key=natural)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _HIDDEN


def _folders(root: Path) -> list[Path]:
    found = [entry for entry in root.iterdir() if entry.is_dir() and not _is_hidden(entry.name)]
    return sorted(found, key=lambda folder: natural(folder.name))


def _part_folders(folders: list[Path], part: str) -> list[Path]:
    return [folder for folder in folders if folder.name.lower() in PART_NAMES[part]]


def _unpacked(root: Path) -> Path:
    """The folder inside of `root` where that holds nothing but one folder of folders."""
    for _ in range(3):
        folders = _folders(root)
        files = [entry for entry in root.iterdir() if entry.is_file()]
        if len(folders) != 1 or any(f.suffix.lower() in SUFFIXES for f in files):
            break
        if not _folders(folders[0]) or _part_folders(folders, "train"):
            break
        root = folders[0]
    return root


def _add_classes(listing: Listing, top: Path, part: str) -> None:
    """Add the pictures in the class folders of `top`."""
    for folder in _folders(top):
        before = len(listing.files)
        for place, _, names in _walk(folder):
            for name in names:
                path = (Path(place) / name).relative_to(listing.root).as_posix()
                if Path(name).suffix.lower() not in SUFFIXES:
                    listing.others.append(path)
                    continue
                listing.files.append(path)
                listing.labels.append(_text(folder.name))
                listing.parts.append(part)
        if len(listing.files) == before:
            listing.empty.append(folder.relative_to(listing.root).as_posix())
    loose = [e.name for e in top.iterdir() if e.is_file() and not _is_hidden(e.name)]
    listing.others += [(top / name).relative_to(listing.root).as_posix() for name in sorted(loose)]


def _text(name: str) -> str:
    """A name of the file system as a text that every file can hold."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _found(root: Path) -> str:
    """What is there instead, for a message."""
    names = sorted(entry.name for entry in root.iterdir() if not _is_hidden(entry.name))
    if not names:
        return "; the folder is empty"
    return (
        f"; it holds {', '.join(shown(name) for name in names[:4])}{', ...' if names[4:] else ''}"
    )
