"""Parquet and Arrow files, read by pyarrow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from handgrad.errors import DataError, one_line


def pyarrow_for(what: str) -> Any:
    """Return the module pyarrow; DataError with the way to get it if it is not installed."""
    try:
        import pyarrow
    except ImportError:
        raise DataError(
            f"{what}: reading it needs pyarrow; install it with: pip install 'handgrad[tables]'"
        ) from None
    return pyarrow


_UNPACKED: Final = 1 << 30  # bytes of a group of rows
_TIMES: Final = 200  # as large as its file
ARROW: Final = (".arrow", ".feather", ".ipc")


def parquet_file(path: Path) -> Any:
    """Return the reader of a Parquet file.

    Raises DataError if its rows say that they are a gigabyte and hundreds of times the file: a bomb.
    """
    pyarrow_for(str(path))
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(path)
    sizes = [
        file.metadata.row_group(k).total_byte_size for k in range(file.metadata.num_row_groups)
    ]
    largest, own = max(sizes, default=0), path.stat().st_size
    if largest > _UNPACKED and largest > _TIMES * own:
        raise DataError(
            f"{path}: {own:,} bytes that unpack to {largest:,}; it is damaged, or a decompression bomb"
        )
    return file


def arrow_batches(path: Path) -> Iterator[Any]:
    """Yield the batches of rows in an Arrow file.

    The file is mapped, so that memory holds only what is looked at.  Raises DataError if it is damaged: what
    a wrong offset points to is not looked at.
    """
    pyarrow = pyarrow_for(str(path))
    reader = _arrow_reader(path)
    is_stream = not hasattr(reader, "num_record_batches")
    try:
        for batch in (
            reader if is_stream else map(reader.get_batch, range(reader.num_record_batches))
        ):
            batch.validate(full=True)
            yield batch
    except (pyarrow.ArrowException, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path}: damaged, cut off or of another kind: {one_line(error)}") from None


def arrow_table(path: Path) -> Any:
    """Return all rows of an Arrow file as a table of pyarrow; see `arrow_batches`."""
    import pyarrow

    return pyarrow.Table.from_batches(list(arrow_batches(path)), _arrow_reader(path).schema)


def _arrow_reader(path: Path) -> Any:
    pyarrow_for(str(path))
    import pyarrow.ipc

    try:
        source = pyarrow.memory_map(str(path))
        try:
            return pyarrow.ipc.open_file(source)
        except pyarrow.ArrowInvalid:
            source.seek(0)
            return pyarrow.ipc.open_stream(source)
    except (pyarrow.ArrowException, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path}: damaged, cut off or of another kind: {one_line(error)}") from None


def schema_of(path: Path) -> Any:
    """Return the schema of a Parquet or Arrow file."""
    if path.suffix.lower() in ARROW:
        return _arrow_reader(path).schema
    pyarrow_for(str(path))
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_schema(path)
    except Exception as error:  # pyarrow raises errors of many kinds
        raise DataError(f"{path}: no Parquet file, or a damaged one: {one_line(error)}") from None


def class_names(schema: Any, column: str) -> tuple[str, ...]:
    """Return the names of the numbers in a column, where Hugging Face's description of the file has them."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(map(str, features[column]["names"]))
    except (KeyError, ValueError, TypeError):
        return ()


def image_column(schema: Any) -> str | None:
    """Return the name of the column of pictures: a struct with bytes, or binary called image or img."""
    import pyarrow

    for field in schema:
        kind = field.type
        if pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            return field.name
        is_binary = pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)
        if is_binary and field.name.lower() in ("image", "img", "picture", "png", "jpg"):
            return field.name
    return None
