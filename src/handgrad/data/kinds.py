"""Which kind of data lies at a path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Final

from handgrad.data.listing import SUFFIXES, walk_images
from handgrad.data.pointers import check_no_pointer
from handgrad.errors import DataError, as_path

TABLES: Final = (
    ".csv",
    ".tsv",
    ".tab",
    ".txt",
    ".data",
    ".parquet",
    ".pq",
    ".arrow",
    ".feather",
    ".ipc",
)
_SHARDS: Final = (".parquet", ".pq", ".arrow")
_FOREIGN: Final = (
    ".arff",
    ".dta",
    ".h5",
    ".hdf5",
    ".json",
    ".jsonl",
    ".mat",
    ".orc",
    ".rda",
    ".rdata",
    ".rds",
    ".sas7bdat",
    ".sav",
    ".xpt",
)
ARRAYS: Final = (".npz", ".npy", ".safetensors")
_IDX: Final = re.compile(r"[-._]idx\d|-ubyte|\.idx$")


def kind_of(path: str | PathLike[str]) -> str:
    """Return what lies at `path`: "folder", "table", "arrays" or "shards".

    Raises:
        DataError: there is nothing, or nothing that is known; says what is.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "wine.csv").write_text("a,b")
    ...     kind_of(f"{folder}/wine.csv")
    'table'
    """
    path = as_path("data", "path", path).expanduser()
    if path.is_dir():
        return _kind_of_folder(path)
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    check_no_pointer(path)
    if _is_array(path):
        return "arrays"
    if path.suffix.lower() in _SHARDS and _has_images(path):
        return "shards"
    if path.suffix.lower() in TABLES:
        return "table"
    hint = "; put pictures into class folders, and give the folder" if (
        path.suffix.lower() in SUFFIXES
    ) else ""  # fmt: skip
    if path.suffix.lower() in (".pkl", ".pickle", ".pt", ".pth", ".joblib"):
        hint = "; such files can run code, so they are not read: save arrays with np.savez, tables as CSV"
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        hint = "; save the sheet as CSV"
    if path.suffix.lower() in (".zip", ".tar", ".tgz", ".7z", ".rar"):
        hint = "; unpack it, and give the folder"
    if path.suffix.lower() in (".gz", ".bz2", ".xz", ".zst"):
        hint = "; unpack it, and give what was in it"
    if path.suffix.lower() in _FOREIGN:
        hint = "; write the table as CSV or Parquet with the program that it is of"
    raise DataError(f"{path}: no data of a known kind, which are {KNOWN}{hint}")


KNOWN: Final = (
    "a folder of class folders of pictures, a table (.csv, .tsv, .parquet, .arrow, .feather), arrays "
    "(.npz, .npy, .safetensors), MNIST's files, and folders of Parquet or Arrow files with pictures"
)


def shards_in(path: Path, depths: Sequence[str] = ("", "data/", "*/")) -> list[Path]:
    """Return the Parquet files at these depths of a folder, or else its Arrow files.

    What Hugging Face's datasets keep beside a saved data set, as ``cache-1a2b.arrow``, is not of it.
    """
    for end in ("parquet", "arrow"):
        found = dict.fromkeys(p for deep in depths for p in sorted(path.glob(f"{deep}*.{end}")))
        if good := [p for p in found if not p.name.startswith((".", "cache-"))]:
            return good
    return []


def is_idx(path: Path) -> bool:
    """Whether `path` is one of MNIST's files, by its name."""
    return _IDX.search(path.name.lower().removesuffix(".gz")) is not None


def _is_array(path: Path) -> bool:
    return is_idx(path) or path.suffix.lower() in ARRAYS


def holds_arrays(path: Path) -> bool:
    """Whether `path` is a file of arrays, or a folder with such files in it."""
    if path.is_dir():
        return any(entry.is_file() and _is_array(entry) for entry in path.iterdir())
    return _is_array(path)


def is_shards(path: Path) -> bool:
    """Whether `path` is a Parquet or Arrow file, or a folder of them without other pictures."""
    if path.is_file():
        return path.suffix.lower() in _SHARDS
    return next(walk_images(path), None) is None and bool(shards_in(path, ("**/",)))


def _kind_of_folder(path: Path) -> str:
    files = [entry for entry in sorted(path.iterdir()) if entry.is_file()]
    arrays, shards = [file for file in files if _is_array(file)], shards_in(path)
    for file in [*arrays, *shards[:1]]:
        check_no_pointer(file)
    if arrays:
        return "arrays"
    if shards and _has_images(shards[0]):
        return "shards"
    if next(walk_images(path), None) is not None:
        return "folder"
    tables = [p for p in files if p.suffix.lower() in TABLES and not p.name.startswith("cache-")]
    if len(tables) == 1:
        raise DataError(f"{path}: give the table itself: {tables[0]}")
    if tables:
        raise DataError(
            f"{path}: holds {len(tables)} tables; give one of them, such as {tables[0]}"
        )
    if shards:
        raise DataError(f"{path}: holds tables; give one of them, such as {shards[0]}")
    deeper = next((p for p in sorted(path.glob("*/")) + sorted(path.glob("*/*/")) if p.is_dir()
                   and any(_is_array(file) for file in p.iterdir() if file.is_file())), None)  # fmt: skip
    if deeper is not None:
        raise DataError(f"{path}: no data of a known kind in this folder; there is in {deeper}")
    raise DataError(f"{path}: no data of a known kind in this folder; known are {KNOWN}")


def _has_images(path: Path) -> bool:
    """Whether a Parquet or Arrow file has a column of pictures, as Hugging Face writes them."""
    from handgrad.data.parquet import image_column, schema_of

    return image_column(schema_of(path)) is not None
