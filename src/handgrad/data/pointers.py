"""Files that stand for others: what a clone without Git LFS holds in the place of large files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from handgrad.errors import DataError

_BEGINNING: Final = b"version https://git-lfs.github.com/spec/"
_LONGEST: Final = 1024  # bytes of a pointer


def check_no_pointer(path: Path, name: str = "") -> None:
    """Raise DataError if the file `path` is a pointer of Git LFS; `name` is that in the message."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST)
    except OSError:
        return  # whoever reads it says so
    if content.startswith(_BEGINNING):
        raise DataError(
            f"{name or path}: a pointer of Git LFS in the place of the file; fetch that with: git lfs pull"
        )
