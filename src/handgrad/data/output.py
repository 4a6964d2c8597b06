"""Tables written row by row, to CSV or Parquet, whole or not at all."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from handgrad.data.parquet import pyarrow_for
from handgrad.errors import DataError

_DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r")
SUFFIXES: Final = (".csv", ".tsv", ".parquet")


class Writes(Protocol):
    """What takes rows."""

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write `rows`, each with a value for every column."""


def defused(value: Any) -> Any:
    """Return `value`; a text that a spreadsheet would compute gets an apostrophe in front.

    >>> defused("=1+1"), defused("cat"), defused(-1.5)
    ("'=1+1", 'cat', -1.5)

    Source: OWASP, CSV Injection.
    """
    if isinstance(value, str) and value.lstrip(" ").startswith(_DANGEROUS):
        return "'" + value
    return value


@contextmanager
def table_writer(path: Path, columns: Mapping[str, type]) -> Iterator[Writes]:
    """Write a table: a ``.csv``, ``.tsv`` or ``.parquet`` file, which appears when all is written.

    Args:
        path: the file.
        columns: the type of each: str, float or int; any value may be None.

    Raises:
        DataError: the suffix is another one, or pyarrow is missing.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: tables are written to {', '.join(SUFFIXES)}, by the file's name")
    if suffix == ".parquet":
        pyarrow_for(str(path))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        if suffix == ".parquet":
            with _parquet(temporary, columns) as writer:
                yield writer
        else:
            with temporary.open("x", encoding="utf-8", newline="") as file:
                text = _Csv(csv.writer(file, delimiter="\t" if suffix == ".tsv" else ","), columns)
                yield text
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class _Csv:
    def __init__(self, writer: Any, columns: Mapping[str, type]) -> None:
        self._writer, self._columns = writer, columns
        writer.writerow([defused(name) for name in columns])

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            values = (row.get(name) for name in self._columns)
            self._writer.writerow(["" if v is None else defused(v) for v in values])


class _Parquet:
    def __init__(self, writer: Any, schema: Any) -> None:
        self._writer, self._schema = writer, schema

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        import pyarrow

        plain = [{name: row.get(name) for name in self._schema.names} for row in rows]
        self._writer.write_batch(pyarrow.RecordBatch.from_pylist(plain, self._schema))


@contextmanager
def _parquet(path: Path, columns: Mapping[str, type]) -> Iterator[Writes]:
    import pyarrow
    import pyarrow.parquet

    kinds = {str: pyarrow.string(), float: pyarrow.float64(), int: pyarrow.int64()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        yield _Parquet(writer, schema)
