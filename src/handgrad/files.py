"""Writing a file so that a crash leaves the old one or the new one, never a mixture."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from handgrad.errors import DataError, DtypeError, OptionError, as_path, shown

_SUFFIX = ".partial"


def atomic_write(path: str | Path, data: bytes | bytearray) -> None:
    """Write `data` to `path`: temporary file beside it, fsync, rename, fsync of the folder.

    Args:
        path: the file; its folder must exist.
        data: the whole new content.

    Raises:
        OptionError, DtypeError: `path` is no path of a file, or `data` no bytes.
        OSError: the data could not be written; a file that stood at `path` is as it was, and no
            temporary file is left (unless only the last step, the folder's fsync, failed: then the
            new file is complete and in its place).

    >>> atomic_write('notes.txt', b'text')  # doctest: +SKIP
    """
    path = as_path("atomic_write", "path", path)
    if not isinstance(data, bytes | bytearray | memoryview):
        raise DtypeError(f"atomic_write: data must be bytes, got {type(data).__name__}")
    atomic_write_pieces(path, (data,))


def atomic_write_pieces(path: Path, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
    """Write `pieces` of bytes one behind the other to `path`, as `atomic_write` writes the whole."""
    if not path.name:
        raise OptionError(f"atomic_write: path must be the path of a file, got {shown(path)}")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_SUFFIX}")
    try:
        with temporary.open("xb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105  (one atomic system call, named as such)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def is_of(path: Path, mark: str) -> bool:
    """Whether a file may be replaced by one that begins with `mark`: it is not there, or does so itself."""
    if not path.is_file():
        return True
    with path.open("rb") as file:
        return mark.encode() in file.read(1000)


def remove_partial_files(folder: str | Path) -> None:
    """Delete the temporary files that killed writers left in `folder`."""
    for temporary in Path(folder).glob(f".*{_SUFFIX}"):
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: what was renamed in it survives a power cut."""
    if os.name == "nt":  # Windows cannot open folders; its rename is journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a ``history.jsonl``; a last line cut off by a crash is left out.

    Raises DataError if there is no such file, or it is damaged.
    """
    if not path.is_file():
        raise DataError(f"report: there is no {path.name} in {path.parent}; is it a run folder?")
    records = []
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            if number < len(lines):
                raise DataError(f"report: {path} line {number} is not JSON: {error}") from None
    return records
