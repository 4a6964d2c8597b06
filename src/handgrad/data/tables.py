"""A data set of a table: columns to predict from, and the columns to be predicted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Final

import numpy as np

from handgrad.data.columns import TablePreprocessing, check_size
from handgrad.data.dataset import Dataset
from handgrad.data.folder import check_classes
from handgrad.data.remembered import remembered
from handgrad.data.splits import (
    PARTS,
    Split,
    SplitOptions,
    counts_of,
    digest_of,
    split_as_before,
    split_rows,
)
from handgrad.data.table import Table, as_numbers, as_table, as_texts, is_missing
from handgrad.data.tablefile import ReadTable, read_table
from handgrad.data.targets import Targets, as_text, targets_of
from handgrad.errors import DataError, as_flag, as_items, as_path, nearest, shown

MAX_LEVELS: Final = 100  # texts of a column that get a column of their own
MAX_FEATURES: Final = 10_000
_COUNTS: Final = "it counts the rows"
_LOOKED_AT: Final = 5000  # training rows that are looked at for leaks


@remembered
def from_table(
    path: Any,
    target: str | Sequence[str] = (),
    *,
    task: str = "",
    val: float = 0.15,
    test: float = 0.15,
    split_seed: int = 0,
    group: str = "",
    time: str = "",
    drop: Sequence[str] = (),
    categories: Sequence[str] = (),
    keep: Sequence[str] = (),
    delimiter: str = "",
    encoding: str = "",
    decimal: str = "",
    header: bool | None = None,
    skip_unreadable: bool = False,
    standardize: bool = True,
    dtype: Any = np.float32,
    split: Split | None = None,
) -> Dataset:
    """Make a data set of a table.

    `handgrad.data.columns` says what becomes of numbers, categories, booleans and dates.  Left out, and
    said, are columns that are empty, constant, the same as another one, the count of the rows, or texts of
    which nearly every row has its own.  Rows without a target are left out.

    Args:
        path: a CSV or TSV file, a Parquet, Arrow or Feather file (with pyarrow); a frame of pandas, polars
            or pyarrow; or a dictionary of columns.
        target: the column, or several, to be predicted.
        task: "classification", "regression" or "multilabel"; "" guesses it (`handgrad.data.targets`).
        val, test: shares of the rows for validation and test.
        split_seed: seed of the draws.
        group: a column; rows with the same value are in one part.  It is not predicted from.
        time: a column by which rows are ordered: the last ones are the test.  It is not predicted from.
        drop: columns to leave out.
        categories: columns of numbers that are categories.
        keep: columns of numbers that stay although they count the rows.
        delimiter, encoding, decimal, header: how a file of text is written; each is guessed and said.
        skip_unreadable: leave out lines that have more or fewer cells than there are columns.
        standardize: centre and scale.
        dtype: float32 or float64.
        split: the parts that a run has already.

    Raises:
        DataError: the file is damaged, a column is missing, or nothing is there to predict (from).

    >>> from handgrad.data import from_table
    >>> rows = 100
    >>> frame = {"size": np.arange(rows) % 7, "kind": ["a", "b"] * 50, "price": np.arange(rows) % 5}
    >>> from_table(frame, "price").class_names
    ('0', '1', '2', '3', '4')
    """
    options = SplitOptions(val, test, split_seed)
    names = (
        [target]
        if isinstance(target, str)
        else as_items("data", "target", target, "names of columns")
    )
    drop = as_items("data", "drop", drop, "names of columns")
    categories = as_items("data", "categories", categories, "names of columns")
    keep = as_items("data", "keep", keep, "names of columns")
    group, time = as_text("group", group), as_text("time", time)
    settings: dict[str, Any] = {"target": target if isinstance(target, str) else names}
    if isinstance(path, str | PathLike):
        place = as_path("from_table", "path", path).expanduser()
        how = {"delimiter": delimiter, "encoding": encoding, "decimal": decimal, "header": header}
        read = read_table(place, as_flag("data", "skip_unreadable", skip_unreadable), **how)
        where, name = str(place), place.stem
        settings |= {"path": str(place.resolve()), **read.settings}
    else:
        read = ReadTable(as_table(path), {}, [], {})
        where, name = "from_table", "table"
    table, notes = read.table, list(read.notes)
    if not len(table):
        raise DataError(f"{where}: the table has no rows")
    aside = [column for column in (group, time) if column]
    for column in [*names, *aside, *drop, *categories, *keep]:
        _check_column(column, table, where)
    if not names:
        raise DataError(
            f"{where}: say which column is to be predicted, with --target; there are {_some(table.names)}"
        )
    targets = targets_of({name: table[name] for name in names}, task, where)
    notes += targets.notes
    inputs = table.without(*names, *aside, *drop)[targets.kept]
    sides = {
        "groups": as_texts(table[group])[targets.kept].astype(str) if group else None,
        "times": _times(table[time][targets.kept], time, where) if time else None,
    }
    parts = _parts(split, targets, sides, options, notes, where)
    train = parts["train"]
    kinds, left_out = _kinds(inputs, train, categories, keep)
    more = [f"column {name!r} is left out: {why}" for name, why in left_out.items()]
    notes += more
    if not kinds:
        from handgrad.data.checking.columns import option

        message = f"{where}: no column is left to predict from; {'; '.join(more) or 'there is none beside'}"
        counting = [option("keep", name) for name, why in left_out.items() if why == _COUNTS]
        if counting:
            message += f"; if it matters, use {counting[-1]}"
        raise DataError(message)
    for column in (column for column, kind in kinds.items() if kind == "number"):
        check_size(column, as_numbers(inputs[column]), targets.kept)
    notes += _leaks(inputs[train[:_LOOKED_AT]], kinds, targets, train[:_LOOKED_AT])
    min_count = _min_count(inputs, train, kinds)
    prepare = TablePreprocessing.fit(
        inputs[train], kinds, min_count=min_count, formats=read.formats,
        standardize=as_flag("data", "standardize", standardize), dtype=dtype,
    )  # fmt: skip
    if prepare.input_shape[0] > MAX_FEATURES:
        raise DataError(
            f"{where}: the columns become {prepare.input_shape[0]:,} numbers a row, at most "
            f"{MAX_FEATURES:,}; "
            "leave some out with --set data.drop"
        )
    if targets.task == "classification":
        notes += check_classes(parts, targets.y, targets.class_names, where)
    arrays: dict[str, Any] = {}
    for part in PARTS:
        arrays[f"X_{part}"], arrays[f"y_{part}"] = (
            prepare(inputs[parts[part]]),
            targets.y[parts[part]],
        )
    notes += [_summary(kinds, prepare), f"split: {counts_of(parts)}"]
    settings |= {"task": targets.task}
    digest = digest_of(*(as_texts(table[name]).astype(str) for name in names))
    numbers = tuple(str(row) for row in targets.kept)  # which rows of the file
    return Dataset(
        name, arrays, targets.class_names, prepare, targets.task, targets.target_names,
        Split(parts, numbers, digest), tuple(notes), settings,
    )  # fmt: skip


def _check_column(column: Any, table: Table, where: str) -> None:
    if not isinstance(column, str) or column not in table:
        near = nearest(str(column), table.names)
        hint = f"; did you mean {near!r}?" if near else ""
        raise DataError(
            f"{where}: there is no column {shown(column)}; the columns are {_some(table.names)}{hint}"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


def _times(column: np.ndarray, name: str, where: str) -> np.ndarray:
    numbers = as_numbers(column)
    if np.isnan(numbers).any():
        row = int(np.isnan(numbers).argmax())
        raise DataError(
            f"{where}: the column of times, {name!r}, must hold dates or numbers in every row, row {row} "
            f"holds {shown(column[row])}"
        )
    return numbers


def _parts(
    split: Split | None,
    targets: Targets,
    sides: Mapping[str, np.ndarray | None],
    options: SplitOptions,
    notes: list[str],
    where: str,
) -> dict[str, np.ndarray]:
    if split is not None:
        rows = [str(row) for row in targets.kept]
        parts, more = split_as_before(split, rows, len(rows), where)
        notes += more
        return parts
    labels = targets.y if targets.task == "classification" else None
    return split_rows(
        len(targets.y), options, labels=labels, groups=sides["groups"], times=sides["times"]
    )


def _kinds(
    inputs: Table, train: np.ndarray, categories: Sequence[str], keep: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The kind of each column that is used, and why the others are not."""
    kinds: dict[str, str] = {}
    left_out: dict[str, str] = {}
    seen: dict[bytes, str] = {}
    for name in inputs.names:
        column = inputs[name]
        kind, why = _kind(name, column, column[train], name in categories)
        if why == _COUNTS and name in keep:
            why = ""
        if not why:
            key = _key(column)
            if key in seen:
                why = f"it is the same as {seen[key]!r}"
            seen.setdefault(key, name)
        if why:
            left_out[name] = why
        else:
            kinds[name] = kind
    return kinds, left_out


def _kind(name: str, column: np.ndarray, train: np.ndarray, is_category: bool) -> tuple[str, str]:
    """The kind of a column, and why it is left out ("" if it is not)."""
    missing = is_missing(train)
    there = train[~missing]
    if not len(there):
        return "number", "it is empty in all training rows"
    distinct = len(set(there)) if there.dtype.kind == "O" else len(np.unique(there))
    if distinct == 1 and not missing.any():
        return "number", f"all training rows have the same value, {shown(there[0])}"
    if column.dtype.kind == "O" or is_category:
        counts = Counter(as_texts(there))
        common = sum(count for count in counts.values() if count > 1)
        if common < 0.2 * len(there) and len(there) >= 10:
            return "category", (
                f"{len(counts):,} different texts in {len(there):,} training rows tell single rows apart"
            )
        return "category", ""
    if column.dtype.kind == "M":
        return "date", ""
    if column.dtype.kind == "b":
        return "boolean", ""
    if np.isinf(column).any():
        raise DataError(f"table: column {name!r} holds infinity; correct it, or drop the column")
    if (
        len(column) >= 10
        and not is_missing(column).any()
        and (column[0] in (0, 1) and (np.diff(column) == 1).all())
    ):
        return "number", _COUNTS
    return "number", ""


def _key(column: np.ndarray) -> bytes:
    """The same for columns that say the same."""
    if column.dtype.kind == "O":
        data = "\0".join("\1" if text is None else text for text in column)
        return hashlib.sha256(data.encode("utf-8", "surrogatepass")).digest()
    return hashlib.sha256(np.ascontiguousarray(column + 0.0 if column.dtype.kind == "f" else column)
                          .tobytes()).digest()  # fmt: skip


def _leaks(
    inputs: Table, kinds: Mapping[str, str], targets: Targets, rows: np.ndarray
) -> list[str]:
    """Notes on columns that alone tell the target, as `handgrad data check` finds them."""
    from handgrad.data.checking.columns import LEAK, option, told_by

    if targets.y.ndim != 1 or targets.task == "multilabel" or len(rows) < 20:
        return []
    notes = []
    for name in kinds:
        told, base = told_by(inputs[name], targets.y[rows], targets.task)
        if told >= LEAK and base < 0.9:
            notes.append(
                f"column {name!r} alone tells {targets.target_names[0]!r}: would it be known when the "
                f"network is used? If not: {option('drop', name)}"
            )
    return notes


def _min_count(inputs: Table, train: np.ndarray, kinds: Mapping[str, str]) -> int:
    """How many training rows must have a text for a column of its own: 1 in 200, at most 100 texts."""
    count = 1 if len(train) < 50 else max(2, round(len(train) / 200))
    for name, kind in kinds.items():
        if kind == "category":
            counts = sorted(Counter(as_texts(inputs[name][train])).values(), reverse=True)
            if len(counts) > MAX_LEVELS:
                count = max(count, counts[MAX_LEVELS] + 1)
    return count


def _summary(kinds: Mapping[str, str], prepare: TablePreprocessing) -> str:
    counts = Counter(kinds.values())
    plural = {"number": "numbers", "category": "categories", "boolean": "booleans", "date": "dates"}
    what = ", ".join(f"{n} {plural[k] if n > 1 else k}" for k, n in counts.items())
    gaps = sum(column.gaps for column in prepare.columns)
    filled = f"; {gaps} with gaps, filled by the median and marked" if gaps else ""
    columns = "1 column" if len(kinds) == 1 else f"{len(kinds)} columns"
    numbers = f"{prepare.input_shape[0]} number{'s' if prepare.input_shape[0] != 1 else ''}"
    return f"{columns} to predict from ({what}) become{'s' if len(kinds) == 1 else ''} {numbers}{filled}"
