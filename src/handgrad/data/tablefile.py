"""Tables from files, whole or block by block: CSV and TSV, Parquet, Arrow and Feather."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from handgrad.data.csvfile import BLOCK, MAX_COLUMNS, CsvFile, open_csv
from handgrad.data.parquet import ARROW, arrow_batches, class_names, parquet_file, pyarrow_for
from handgrad.data.progress import tell
from handgrad.data.table import CommaText, Table, check_names
from handgrad.data.typing import SLACK, format_of, is_rounded, numbers_of, typed, without_words
from handgrad.errors import DataError, HandgradError, one_line

TEXT: Final = (".csv", ".tsv", ".tab", ".txt", ".data")
PARQUET: Final = (".parquet", ".pq")


class ReadTable(NamedTuple):
    """A table, and how it was read.

    Attributes:
        formats: of its dates, where they were texts.
        notes: on what was guessed.
        settings: how to read it again in the same way.
    """

    table: Table
    formats: dict[str, str]
    notes: list[str]
    settings: dict[str, Any]


def read_table(path: Path, skip: bool = False, **options: Any) -> ReadTable:
    """Read a whole table.

    Args:
        path: the file.
        skip: leave out lines that have more or fewer cells than there are columns.
        options: delimiter, encoding, decimal and header of `open_csv`.

    Raises DataError if the file is missing, damaged, or of another kind.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    suffix = path.suffix.lower()
    if suffix in (*PARQUET, *ARROW):
        blocks = list(_arrow_blocks(path, 1 << 62))
        return ReadTable(_stacked(blocks, path), {}, [], {})
    file = open_csv(path, skip=skip, **options)
    table, formats, notes = _typed_table(file)
    if file.skipped:
        some = ", ".join(map(str, file.skipped[:5])) + (", ..." if len(file.skipped) > 5 else "")
        notes.append(
            f"{len(file.skipped)} lines have another number of cells, they are left out: {some}"
        )
    settings = {"delimiter": file.delimiter, "encoding": file.encoding, "decimal": file.decimal,
                "header": file.has_header}  # fmt: skip
    return ReadTable(table, formats, file.notes + notes, settings)


def table_blocks(
    path: Path, size: int = BLOCK, **options: Any
) -> Iterator[tuple[Table, dict[int, str]]]:
    """Yield up to `size` rows of a table at a time, for a trained network.

    Texts are left as they are, but for decimal commas: what they are, the network's columns say.  A line
    that has more or fewer cells than there are columns is a row of gaps; the dictionary says so, by its
    place among the rows.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    if path.suffix.lower() in (*PARQUET, *ARROW):
        for table in _arrow_blocks(path, size):
            yield table, {}
        return
    file = open_csv(path, **options)
    prepare = _with_points if file.decimal == "," else _objects
    for block, wrong in file.marked_blocks(size, keep=True):
        yield Table({name: prepare(texts) for name, texts in block.items()}), wrong


def _objects(texts: list[str | None]) -> np.ndarray:
    out = np.empty(len(texts), object)
    out[:] = texts
    return out


def _with_points(texts: list[str | None]) -> np.ndarray:
    """The texts, as numbers where all of them are such with a decimal comma."""
    plain = without_words(texts)
    numbers = numbers_of(plain, ",")
    is_gap = np.array([text is None for text in plain])
    if not (np.isnan(numbers) & ~is_gap).any() and not is_rounded(plain):
        return numbers
    return _objects([None if text is None else CommaText(text) for text in texts])


def _typed_table(file: CsvFile) -> tuple[Table, dict[str, str], list[str]]:
    """Read all blocks; columns that turn out to be texts behind a block of numbers are read once more."""
    textual: set[str] = set()
    while True:
        before = len(textual)
        numbers: dict[str, list[np.ndarray]] = {name: [] for name in file.names}
        texts: dict[str, list[str | None]] = {name: [] for name in file.names}
        odd: dict[str, dict[str, None]] = {name: {} for name in file.names}
        known: dict[str, str] = {}
        rows = 0
        for block in file.blocks():
            for name, column in block.items():
                if name not in textual:
                    plain = without_words(column)
                    made = numbers_of(plain, file.decimal)
                    wrong = [
                        t for t, n in zip(plain, made, strict=True) if t is not None and n != n
                    ]
                    there = sum(text is not None for text in plain)
                    is_number = len(wrong) <= SLACK * there or not there
                    if is_number and not is_rounded(plain):
                        numbers[name].append(made)
                        odd[name] |= dict.fromkeys(wrong)
                        continue
                    textual.add(name)
                    if numbers[name]:
                        continue  # read once more, from its first block on
                texts[name] += [t if t is None else known.setdefault(t, t) for t in column]
            if len(known) > 1_000_000:
                known.clear()
            rows += len(next(iter(block.values()), []))
            tell("reading rows", rows, rows)
        again = len(textual) > before and any(numbers[name] for name in textual)
        if not again:
            break
    if not rows:
        raise DataError(f"{file.path}: holds a header, but no rows")
    columns: dict[str, np.ndarray] = {}
    formats, notes = {}, []
    for name in file.names:
        if name not in textual:
            columns[name] = np.concatenate(numbers[name])
            if odd[name]:
                some = ", ".join(map(repr, list(odd[name])[:3]))
                notes.append(f"column {name!r} holds numbers, but also {some}: these count as gaps")
            continue
        plain = without_words(texts[name])
        format = format_of([text for text in plain if text is not None])
        dates = typed(plain, file.decimal) if format else None
        columns[name] = _objects(texts[name]) if dates is None else dates.values
        if format:
            formats[name] = format
    return Table(columns), formats, notes


def _arrow_blocks(path: Path, size: int) -> Iterator[Table]:
    """The rows of a Parquet, Arrow or Feather file, `size` at a time."""
    pyarrow = pyarrow_for(str(path))
    called: dict[str, tuple[str, ...]] = {}
    try:
        for batch in _batches(path, size):
            if batch.num_columns > MAX_COLUMNS:
                raise DataError(
                    f"{path}: {batch.num_columns:,} columns, at most {MAX_COLUMNS:,} are read"
                )
            check_names(list(batch.schema.names))
            names = batch.schema.names
            called = called or {name: class_names(batch.schema, name) for name in names}
            yield Table(
                {name: _plain(batch.column(k), called[name]) for k, name in enumerate(names)}
            )
    except HandgradError as error:
        text = str(error)
        raise type(error)(text if text.startswith(str(path)) else f"{path}: {text}") from None
    except (pyarrow.ArrowException, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path}: damaged, cut off or of another kind: {one_line(error)}") from None


def _plain(column: Any, names: tuple[str, ...] = ()) -> Any:
    """A column of pyarrow, dictionaries (categories) and numbers that have `names` as what they stand for."""
    if names:
        found = [None if k is None or k == -1 else k for k in column.to_pylist()]
        if all(k is None or (isinstance(k, int) and 0 <= k < len(names)) for k in found):
            return _objects([None if k is None else names[k] for k in found])
    return column.dictionary_decode() if hasattr(column, "dictionary_decode") else column


def _batches(path: Path, size: int) -> Iterator[Any]:
    import pyarrow

    if path.suffix.lower() in PARQUET:
        file = parquet_file(path)
        yield from file.iter_batches(batch_size=min(size, BLOCK))
        if not file.metadata.num_rows:
            yield pyarrow.RecordBatch.from_pylist([], file.schema_arrow)
        return
    yield from arrow_batches(path)


def _stacked(blocks: list[Table], path: Path) -> Table:
    rows = sum(map(len, blocks))
    if not rows:
        raise DataError(f"{path}: holds no rows")
    columns = {}
    for name in blocks[0].names:
        parts: list[np.ndarray] = [block[name] for block in blocks if len(block)]
        if len({part.dtype for part in parts}) > 1:  # booleans with gaps in some blocks
            from handgrad.data.table import as_texts

            parts = [as_texts(part) for part in parts]
        columns[name] = np.concatenate(parts)
    return Table(columns)
