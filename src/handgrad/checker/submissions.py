"""Finding submissions - folders, Python files, zip files, notebooks - and copying them safely.

Only ordinary files of a reasonable size are copied, never a link, and nothing lands outside of the
copy, whatever a zip file says.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from handgrad.checker.loading import CheckError
from handgrad.checker.notebooks import code_of

KINDS = ("folders", "Python files", "zip files", "notebooks")
_SUFFIXES = (".py", ".zip", ".ipynb")
_MEBI = 1 << 20
_LARGEST_FILE, _LARGEST_COPY, _MOST_FILES = 16 * _MEBI, 256 * _MEBI, 20_000
_SKIPPED = {"__MACOSX", "__pycache__", "node_modules", "site-packages"}
_DEFINES = re.compile(r"^[ \t]*(?:def|class)\s+(\w+)", re.MULTILINE)


class Submission(NamedTuple):
    """A submission: its name in the table, and its file or folder."""

    name: str
    path: Path


def submissions_in(folder: Path) -> list[Submission]:
    """Return what a folder holds, each under a name of its own; CheckError if it is nothing."""
    paths = sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith((".", "_"))
        and (path.is_dir() or path.suffix.lower() in _SUFFIXES)
    )
    if not paths:
        raise CheckError(f"check: {folder} holds no submissions ({', '.join(KINDS)})")
    plain = [name_of(path) for path in paths]
    names = [
        path.name if plain.count(name) > 1 else name
        for path, name in zip(paths, plain, strict=True)
    ]
    return [Submission(name, path) for name, path in zip(names, paths, strict=True)]


def name_of(path: Path) -> str:
    """The name of a submission: its folder's, or its file's without the ending."""
    return path.name if path.is_dir() else path.stem


def copy(path: Path, into: Path, wanted: frozenset[str] = frozenset()) -> list[str]:
    """Copy a submission into the empty folder `into`; return what was left out, as texts.

    wanted: names of functions.  The notebooks of a folder are read only for those that no Python
    file defines: a course's own notebooks call the functions, they do not define them.

    Raises:
        CheckError: it cannot be read, or is too large, or a zip file reaches out of its folder.
    """
    target = _Copy(into)
    try:
        if path.is_dir():
            _copy_folder(path, target)
            _unpack_only_zip(into, target)
        elif path.suffix.lower() == ".zip":
            _unpack(path, target)
            _unpack_only_zip(into, target)
        else:
            with path.open("rb") as file:
                target.add(PurePosixPath(path.name), file)
    except OSError as error:
        raise CheckError(f"cannot be copied: {error}") from None
    _convert_notebooks(into, wanted, target)
    return target.notes


class _Copy:
    """A folder that is being filled, and how much it may still hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self._left, self._files = _LARGEST_COPY, 0

    def add(self, name: PurePosixPath, source: IO[bytes]) -> None:
        """Write a file; one that is too large is left out, by what it holds, not by what it says."""
        self._files += 1
        if self._files > _MOST_FILES:
            raise CheckError(f"it holds more than {_MOST_FILES} files")
        path = self.folder.joinpath(*name.parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with path.open("wb") as file:
            while part := source.read(1 << 16):
                written += len(part)
                self._left -= len(part)
                if self._left < 0:
                    raise CheckError(f"it holds more than {_LARGEST_COPY // _MEBI} MiB")
                if written > _LARGEST_FILE:
                    break
                file.write(part)
        if written > _LARGEST_FILE:
            path.unlink()
            self.leave_out(name, f"larger than {_LARGEST_FILE // _MEBI} MiB")

    def leave_out(self, name: object, why: str) -> None:
        """Note that something was not copied."""
        self.notes.append(f"left out: {name} ({why})")


def _copy_folder(folder: Path, target: _Copy) -> None:
    for top, folders, files in os.walk(folder):
        for name in [one for one in folders if Path(top, one).is_symlink()]:
            target.leave_out(Path(top, name).relative_to(folder).as_posix(), "a link")
        folders[:] = sorted(one for one in folders if _is_kept(one))
        for name in sorted(files):
            path = Path(top, name)
            inside = PurePosixPath(path.relative_to(folder).as_posix())
            if not _is_kept(name):
                continue
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                target.leave_out(inside, "a link" if path.is_symlink() else "no ordinary file")
            elif status.st_size > _LARGEST_FILE:
                target.leave_out(inside, f"larger than {_LARGEST_FILE // _MEBI} MiB")
            else:
                with path.open("rb") as file:
                    target.add(inside, file)


def _unpack_only_zip(folder: Path, target: _Copy) -> None:
    """Unpack the zip files of what holds no code: some systems hand in one of each student, even in a zip.

    What such a zip file holds is not unpacked further.
    """
    if any(folder.rglob("*.py")) or any(folder.rglob("*.ipynb")):
        return
    for path in sorted(folder.rglob("*.zip")):
        _unpack(path, target)


def _unpack(path: Path, target: _Copy) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = _safe_name(member)
                if name is None or member.is_dir():
                    continue
                if stat.S_ISLNK(member.external_attr >> 16):
                    target.leave_out(name, "a link")
                    continue
                with archive.open(member) as source:
                    target.add(name, source)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise CheckError(f"{path.name} is no zip file that can be read: {error}") from None
    except RuntimeError as error:  # encrypted
        raise CheckError(f"{path.name} cannot be unpacked: {error}") from None


def _safe_name(member: zipfile.ZipInfo) -> PurePosixPath | None:
    """The path of a member inside the copy; None for what is skipped."""
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or re.match(r"[A-Za-z]:", member.filename):
        raise CheckError(f"the zip file holds a path that leads outside of it: {member.filename}")
    if not name.parts or not all(map(_is_kept, name.parts)):
        return None
    return name


def _is_kept(name: str) -> bool:
    return not (name in _SKIPPED or name.startswith("."))


def _convert_notebooks(folder: Path, wanted: frozenset[str], target: _Copy) -> None:
    """Write the definitions of notebooks into Python files beside them."""
    defined = {name for path in folder.rglob("*.py") for name in _names_in(path)}
    for path in sorted(folder.rglob("*.ipynb")):
        alone = not defined
        try:
            code, notes = code_of(path.read_text("utf-8", errors="replace"))
        except ValueError as error:
            target.leave_out(path.relative_to(folder).as_posix(), str(error))
            continue
        found = set(_DEFINES.findall(code))
        if not (found if alone else found & wanted - defined):
            continue
        name = re.sub(r"\W", "_", path.stem)
        module = path.with_name(f"{name if not name[:1].isdigit() else '_' + name}.py")
        while module.exists():
            module = module.with_name(f"{module.stem}_notebook.py")
        module.write_text(code, "utf-8")
        target.notes += [f"{path.name}: {note}" for note in notes]


def wide_file(folder: Path) -> str:
    """Return what is wrong with a Python file that is not in UTF-8, as some editors save it; else ""."""
    for path in sorted(folder.rglob("*.py")):
        with path.open("rb") as file:
            start = file.read(200)
        name = path.relative_to(folder).as_posix()
        if start.startswith((b"\xff\xfe", b"\xfe\xff")) or start.count(0) > len(start) // 4:
            return f"{name} is written in UTF-16: Python reads UTF-8"
    return ""


def _names_in(path: Path) -> Iterator[str]:
    try:
        yield from _DEFINES.findall(path.read_text("utf-8", errors="replace"))
    except OSError:
        return
