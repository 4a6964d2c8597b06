"""A data set of Parquet or Arrow files with pictures, as Hugging Face stores them, read from disk."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import compress
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np

from handgrad.data.arrayfiles import PART_WORDS
from handgrad.data.cache import Item, cached_images
from handgrad.data.dataset import Dataset
from handgrad.data.folder import (
    check_classes,
    finished,
    image_dataset,
    image_shape_of,
    parts_of,
    unreadable_notes,
)
from handgrad.data.images import opened, read_picture
from handgrad.data.kinds import shards_in
from handgrad.data.parquet import (
    ARROW,
    arrow_batches,
    arrow_table,
    class_names,
    image_column,
    parquet_file,
    pyarrow_for,
    schema_of,
)
from handgrad.data.remembered import remembered
from handgrad.data.splits import Split, SplitOptions, split_as_before
from handgrad.data.table import as_column, as_texts
from handgrad.data.targets import as_text, labels_of
from handgrad.errors import DataError, as_flag, as_path, nearest, one_line

LABELS: Final = ("label", "labels", "fine_label", "class", "target", "category", "y")
_BLOCK: Final = 256  # pictures read at a time
_GROUPS: Final = 2  # row groups whose pictures are kept at a time


@remembered
def from_shards(
    path: str | PathLike[str],
    *,
    target: str = "",
    image_size: int | Sequence[int] | None = None,
    grey: bool | None = None,
    val: float = 0.15,
    test: float = 0.15,
    split_seed: int = 0,
    group: str = "",
    skip_unreadable: bool = False,
    subtract_mean: bool = True,
    standardize: bool = True,
    cache: bool = True,
    dtype: Any = np.float32,
    split: Split | None = None,
) -> Dataset:
    """Make a data set of Parquet or Arrow files with a column of pictures and a column of labels.

    Files called train..., validation... and test... are these parts; of others, each class gives its share.
    Names of classes are taken from the file's own description.  pyarrow reads the files.

    Args:
        path: a file, or a folder of them (or of a folder ``data`` of them), as ``save_to_disk`` of
            Hugging Face's datasets writes one.
        target: the column of labels; "" looks for label, labels, class, ...
        group: a column; pictures with the same value are in one part.
        image_size, grey, val, test, split_seed, skip_unreadable: as in `from_folder`.
        subtract_mean, standardize, cache, dtype, split: as in `from_folder`, too.

    Raises DataError if there are no such files or columns, or they are damaged.
    """
    root = as_path("from_shards", "path", path).expanduser()
    options = SplitOptions(val, test, split_seed)
    target, group = as_text("target", target), as_text("group", group)
    files = _files(root)
    home = root if root.is_dir() else root.parent
    source = _Source()
    items: list[Item] = []
    labels: list[Any] = []
    sides: list[Any] = []  # the groups, where they are asked for
    given: list[str] = []
    headers: list[Any] = []
    names: tuple[str, ...] = ()
    unknown = 0
    for file in files:
        column, wanted = _columns(file, target)
        names = names or class_names(schema_of(file), wanted)
        known = source.labels(file, wanted)
        if names:  # -1 is how Hugging Face says that a label is not known
            known = [None if label == -1 else label for label in known]
        stamp = (file.stat().st_size, file.stat().st_mtime_ns)
        called = file.relative_to(home).as_posix()
        for row, label in enumerate(known):
            if label is None:
                continue
            get = partial(source.picture, file, column, row)
            items.append(Item(f"{called}:{row}", stamp, partial(_read, get, f"{called}:{row}")))
            headers.append(partial(_header, get, f"{called}:{row}"))
        is_known = [label is not None for label in known]
        labels += compress(known, is_known)
        if group:
            _check_column(file, group)
            sides += compress(source.labels(file, group), is_known)
        given += [_part(file, home)] * sum(is_known)
        unknown += len(known) - sum(is_known)
    if not items:
        what = "labels" if unknown else "rows"
        raise DataError(f"{root}: the files hold no {what}")
    shape, notes = image_shape_of(headers, image_size, grey)
    if unknown:
        notes.append(f"{unknown:,} pictures without a label are left out")
    found = cached_images(home, items, shape, as_flag("data", "cache", cache))
    notes += unreadable_notes(found, len(items), as_flag("data", "skip_unreadable", skip_unreadable),
                              str(root))  # fmt: skip
    y, own = labels_of(as_column("label", [labels[row] for row in found.good]))
    if names and all(name.isdecimal() and int(name) < len(names) for name in own):
        own = tuple(names[int(name)] for name in own)
    if len(own) < 2:
        raise DataError(f"{root}: all pictures are of one class, {own[0]!r}")
    rows = [items[row].name for row in found.good]
    if split is not None:
        parts, more = split_as_before(split, rows, len(rows), str(root))
        notes += more
    else:
        groups = as_texts(as_column(group, [sides[row] for row in found.good])) if group else None
        groups = None if groups is None else groups.astype(str)
        parts = parts_of([given[row] for row in found.good], y, groups, options)
    notes += check_classes(parts, y, own, str(root))
    settings = {"path": str(root.resolve()), "image_size": list(shape[1:]), "grey": shape[0] == 1}
    dataset = image_dataset(
        root.resolve().stem, found.images, y, parts, own, found.digest, subtract_mean=subtract_mean,
        standardize=standardize, dtype=dtype,
    )  # fmt: skip
    return finished(dataset, Split(parts, tuple(rows), found.digest), notes, settings)


def stored_pictures(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each picture of Parquet or Arrow files, row by row.

    The bytes are empty where a row holds none.  Raises DataError if a file cannot be read.
    """
    for file in _files(path):
        column = image_column(schema_of(file))
        if column is None:
            raise DataError(f"{file}: has no column of pictures")
        row = 0
        for block in _blocks(file, column):
            for value in block.column(0).to_pylist():
                yield f"{file}:{row}", _bytes_in(value)
                row += 1


def _blocks(file: Path, column: str) -> Iterator[Any]:
    """Some rows of a column at a time."""
    if file.suffix.lower() in ARROW:
        for batch in arrow_batches(file):
            block = batch.select([column])
            yield from (block.slice(k, _BLOCK) for k in range(0, len(block), _BLOCK))
        return
    pyarrow = pyarrow_for(str(file))
    try:
        yield from parquet_file(file).iter_batches(_BLOCK, columns=[column])
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{file}: damaged, or cut off: {one_line(error)}") from None


def _bytes_in(value: Any) -> bytes:
    data = value.get("bytes") if isinstance(value, dict) else value
    return data if isinstance(data, bytes) else b""


def _files(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    try:
        found = shards_in(root, ("", "*/", "*/*/"))
    except OSError as error:
        raise DataError(f"{root}: cannot be read: {error.strerror or error}") from None
    if not found:
        raise DataError(f"{root}: holds no Parquet or Arrow files")
    return found


def _part(file: Path, home: Path) -> str:
    """The part that a file's name begins with, or that its folder inside of `home` is called."""
    for part, words in PART_WORDS.items():
        if any(file.name.lower().startswith(word) for word in words if len(word) > 2):
            return part
        if file.parent != home and file.parent.name.lower() in words:
            return part
    return ""


def _columns(file: Path, target: str) -> tuple[str, str]:
    """The names of the columns of pictures and of labels."""
    schema = schema_of(file)
    column = image_column(schema)
    if column is None:
        raise DataError(f"{file}: has no column of pictures, only {', '.join(schema.names)}")
    if target:
        _check_column(file, target)
        return column, target
    wanted = next((name for name in LABELS if name in schema.names), None)
    if wanted is None:
        raise DataError(
            f"{file}: which of the columns {', '.join(schema.names)} is the label? Say it with --target"
        )
    return column, wanted


def _check_column(file: Path, name: str) -> None:
    names = schema_of(file).names
    if name not in names:
        near = nearest(name, names)
        hint = f"; did you mean {near!r}?" if near else ""
        raise DataError(f"{file}: there is no column {name!r}, only {', '.join(names)}{hint}")


class _Source:
    """The pictures of Parquet files, a few row groups of them at a time, and those of Arrow files."""

    def __init__(self) -> None:
        self._tables: dict[Path, Any] = {}  # of Arrow files
        self._groups: OrderedDict[tuple[Path, int], list[Any]] = OrderedDict()
        self._starts: dict[Path, list[int]] = {}
        self._lock = Lock()

    def labels(self, file: Path, column: str) -> list[Any]:
        """All labels of a file."""
        if file.suffix.lower() in ARROW:
            self._tables[file] = arrow_table(file)
            return self._tables[file].column(column).to_pylist()
        try:
            reader = parquet_file(file)
            counts = [reader.metadata.row_group(k).num_rows for k in range(reader.num_row_groups)]
            self._starts[file] = np.cumsum([0, *counts]).tolist()
            return reader.read([column]).column(0).to_pylist()
        except DataError:
            raise
        except Exception as error:  # pyarrow raises errors of many kinds
            raise DataError(f"{file}: damaged, or cut off: {one_line(error)}") from None

    def picture(self, file: Path, column: str, row: int) -> bytes:
        """The bytes of the picture in a row."""
        if file in self._tables:
            value = self._tables[file].column(column)[row].as_py()
        else:
            value = self._from_groups(file, column, row)
        data = _bytes_in(value)
        if not data:
            raise DataError(f"{file.name}:{row}: holds no picture")
        return data

    def _from_groups(self, file: Path, column: str, row: int) -> Any:
        import pyarrow.parquet

        starts = self._starts[file]
        group = int(np.searchsorted(starts, row, side="right")) - 1
        with self._lock:
            if (file, group) not in self._groups:
                try:
                    read = pyarrow.parquet.ParquetFile(file).read_row_group(group, [column])
                except Exception as error:  # pyarrow raises errors of many kinds
                    raise DataError(
                        f"{file}: row group {group} is damaged: {one_line(error)}"
                    ) from None
                self._groups[file, group] = read.column(0).to_pylist()
                while len(self._groups) > _GROUPS:
                    self._groups.popitem(last=False)
            return self._groups[file, group][row - starts[group]]


def _read(get: Any, name: str, image_shape: tuple[int, int, int]) -> np.ndarray:
    return read_picture(io.BytesIO(get()), name, image_shape)


def _header(get: Any, name: str) -> tuple[int, int, str]:
    with opened(io.BytesIO(get()), name) as file:
        return (file.height, file.width, file.mode)
