"""A table in memory: columns of equal length by name, each of one of four kinds of arrays.

==============  ==================================  =======================
column          array                               a gap is
==============  ==================================  =======================
numbers         float64                             NaN
booleans        bool                                (none; else texts)
dates           datetime64[us]                      NaT
texts           objects: str or None                None
==============  ==================================  =======================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import numpy as np

from handgrad.errors import DataError, DtypeError, ShapeError, check_dictionary, shown

GAPS: Final = frozenset(("", "na", "n/a", "nan", "null", "?", "#n/a", "<na>"))
"""Texts that say that there is nothing, in small letters."""
WORDS: Final = frozenset(("none", "nil", "missing", "-", "."))
"""Texts that say so among numbers and dates, in small letters; among texts they are texts like any other."""
TRUTHS: Final = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "t": 1.0, "f": 0.0}


class CommaText(str):
    """A cell of a file whose decimal sign is a comma: "1,5" is a number where numbers are looked for."""

    __slots__ = ()


class Table:
    """Columns of equal length by name.

    Args:
        columns: name -> array, as the table above says, or anything that `as_column` takes.

    >>> table = Table({"age": [22, None], "name": ["Ada", None]})
    >>> len(table), table["age"].tolist(), table[1:].names
    (2, [22.0, nan], ('age', 'name'))
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        check_dictionary("table", "columns", columns)
        self.columns = {str(name): as_column(str(name), c) for name, c in columns.items()}
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ShapeError(f"table: all columns must be of one length, got {shown(lengths)}")
        self._length = next(iter(lengths.values()), 0)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.columns)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, key: Any) -> Any:
        """Return a column by its name, or a table of the rows that an index of arrays chooses."""
        if isinstance(key, str):
            return self.columns[key]
        return Table({name: column[key] for name, column in self.columns.items()})

    def without(self, *names: str) -> Table:
        """Return a table without these columns."""
        return Table({n: c for n, c in self.columns.items() if n not in names})

    def __repr__(self) -> str:
        return f"Table({len(self)} rows: {', '.join(self.names)})"


def as_table(raw: Any) -> Table:
    """Return `raw` as a Table: a Table, a dictionary of columns, or a frame of pandas, polars or pyarrow.

    Raises:
        DtypeError: it is nothing of these.  DataError: two columns have one name.
    """
    if isinstance(raw, Table):
        return raw
    if isinstance(raw, Mapping):
        return Table(raw)
    if isinstance(raw, list) and raw and all(isinstance(row, Mapping) for row in raw):
        keys = dict.fromkeys(name for row in raw for name in row)
        return Table({name: [row.get(name) for row in raw] for name in keys})
    names: Any = getattr(raw, "column_names", None)  # pyarrow
    if names is None:
        names = getattr(raw, "columns", None)  # pandas, polars
    if names is None or isinstance(raw, type):
        raise DtypeError(
            "table: expected a data frame of pandas, polars or pyarrow, or a dictionary of columns, got "
            f"{shown(raw)}"
        )
    names = list(names)
    texts = [str(name) for name in names]
    check_names(texts)
    columns = {}
    for text, name in zip(texts, names, strict=True):
        columns[text] = raw.column(name) if hasattr(raw, "column_names") else raw[name]
    return Table(columns)


def check_names(names: list[str]) -> None:
    """Raise DataError if two columns have one name."""
    twice = next((name for name in names if names.count(name) > 1), None) if (
        len(set(names)) < len(names)
    ) else None  # fmt: skip
    if twice is not None:
        raise DataError(
            f"table: {names.count(twice)} columns are called {shown(twice)}; give each a name of its own"
        )


def as_column(name: str, values: Any) -> np.ndarray:
    """Return `values` as one of the four kinds of arrays.

    Raises DtypeError for what is no column of numbers, texts, booleans or dates.
    """
    if isinstance(values, np.ndarray):
        return _of_array(name, values)
    kind = str(getattr(values, "type", getattr(values, "dtype", ""))).lower()  # of arrow and frames
    if hasattr(values, "to_pylist"):  # pyarrow
        return _of_arrow(name, values, kind)
    if hasattr(values, "to_numpy"):
        numeric = kind.startswith(("int", "uint", "float", "double", "decimal"))
        if numeric:
            if str(kind) in ("int64", "uint64") and isinstance(values.to_numpy(), np.ndarray):
                return _of_array(name, values.to_numpy())
            with suppress(TypeError, ValueError):
                return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), np.float64)
            return _of_array(name, np.asarray(values.to_numpy()))
        if "category" in kind or "enum" in kind:  # its values, not their numbers
            return _of_objects(name, list(values))
        return _of_array(name, np.asarray(values.to_numpy()))
    if isinstance(values, list | tuple | range):
        return _of_objects(name, list(values))
    raise DtypeError(
        f"table: column {name!r} must hold numbers, texts or dates, got {shown(values)}"
    )


def _of_arrow(name: str, values: Any, kind: str) -> np.ndarray:
    if kind in ("int64", "uint64") and not values.null_count:
        return _of_array(name, np.asarray(values.to_numpy(zero_copy_only=False)))
    if kind.startswith(("int", "uint", "float", "double", "halffloat")):
        return values.to_numpy(zero_copy_only=False).astype(np.float64)
    if kind.startswith(("timestamp", "date")):
        import pyarrow

        return (
            values.cast(pyarrow.timestamp("us"))
            .to_numpy(zero_copy_only=False)
            .astype("datetime64[us]")
        )
    return _of_objects(name, values.to_pylist())


def is_rounded(values: np.ndarray) -> bool:
    """Whether float64 keeps not every digit of whole numbers, as of long keys; they then are texts."""
    if not values.size or max(abs(int(values.max())), abs(int(values.min()))) <= 1 << 53:
        return False
    there = values.astype(np.float64)
    return any(int(n) != int(x) for n, x in zip(values.tolist(), there.tolist(), strict=True))


def _of_array(name: str, values: np.ndarray) -> np.ndarray:
    if values.ndim != 1:
        raise ShapeError(f"table: column {name!r} must have one axis, got shape {values.shape}")
    kind = values.dtype.kind
    if hasattr(values, "mask"):
        return _of_objects(name, values.tolist())
    if kind == "b":
        return np.asarray(values)
    if kind in "iu" and is_rounded(values):
        return _of_objects(name, list(map(str, values.tolist())))
    if kind in "iuf":
        return np.asarray(values, np.float64)
    if kind == "M":
        return np.asarray(values, "datetime64[us]")
    if kind in "OUST":
        return _of_objects(name, values.tolist())
    raise DtypeError(
        f"table: column {name!r} must hold numbers, texts, booleans or dates, got {values.dtype}"
    )


def _of_objects(name: str, values: list[Any]) -> np.ndarray:
    """The array of Python objects: numbers, booleans, dates, or all of them as texts."""
    import datetime
    from decimal import Decimal

    is_gap = [value is None or value is np.ma.masked or _is_odd(value) for value in values]
    there = [value for value, gap in zip(values, is_gap, strict=True) if not gap]
    if there and all(isinstance(value, bool | np.bool_) for value in there) and not any(is_gap):
        return np.array(values, bool)
    numbers = (int, float, Decimal, np.integer, np.floating)
    if all(isinstance(v, numbers) and not isinstance(v, bool | np.bool_) for v in there):
        filled = [np.nan if gap else float(v) for v, gap in zip(values, is_gap, strict=True)]
        return np.array(filled, np.float64)
    if there and all(isinstance(value, datetime.date | np.datetime64) for value in there):
        plain = [np.datetime64("NaT") if gap else _instant(v) for v, gap in
                 zip(values, is_gap, strict=True)]  # fmt: skip
        return np.array(plain, "datetime64[us]")
    out = np.empty(len(values), object)
    for k, value in enumerate(values):
        if is_gap[k]:
            continue
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        is_many = hasattr(value, "shape") and not isinstance(value, np.generic)
        if is_many or isinstance(value, list | dict | tuple | set | type):
            raise DtypeError(
                f"table: column {name!r} must hold single values, row {k} holds {shown(value)}"
            )
        out[k] = value if isinstance(value, str) else name_of(value)
    return out


def _instant(value: Any) -> np.datetime64:
    import datetime

    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(value, "us")


def _is_odd(value: Any) -> bool:
    """Whether `value` is NaN, NaT or pandas' NA: not equal to itself."""
    try:
        return not bool(value == value)
    except Exception:  # as of arrays, which may be of any library
        return False


def name_of(value: Any) -> str:
    """Return the text by which a value is called: whole numbers without a point.

    >>> name_of(3.0), name_of(True), name_of("a"), name_of(2.5)
    ('3', 'True', 'a', '2.5')
    """
    if isinstance(value, float | np.floating):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else str(number)
    if isinstance(value, np.datetime64):
        return str(value).removesuffix("T00:00:00.000000").removesuffix(".000000")
    return str(value)


def as_texts(column: np.ndarray) -> np.ndarray:
    """Return a column as texts and None."""
    if column.dtype.kind == "O":
        return column
    missing = is_missing(column)
    out = np.empty(len(column), object)
    unique, places = np.unique(column, return_inverse=True)
    names = np.array([name_of(value) for value in unique], object)
    out[:] = names[places] if len(unique) else out
    out[missing] = None
    return out


def as_numbers(column: np.ndarray) -> np.ndarray:
    """Return a column as float64: booleans are 0 and 1, dates seconds, texts that are no number NaN."""
    if column.dtype.kind == "f":
        return column
    if column.dtype.kind == "b":
        return column.astype(np.float64)
    if column.dtype.kind == "M":
        seconds = column.astype(np.int64) / 1e6
        return np.where(np.isnat(column), np.nan, seconds)
    from handgrad.data.typing import numbers_of

    out = np.full(len(column), np.nan)
    for kind, decimal in ((CommaText, ","), (str, ".")):
        places = [k for k, text in enumerate(column) if type(text) is kind]
        out[places] = numbers_of([column[k] for k in places], decimal)
    for k in np.flatnonzero(np.isnan(out)):
        if column[k] is not None:
            out[k] = TRUTHS.get(column[k].strip().lower(), np.nan)
    return out


def is_missing(column: np.ndarray) -> np.ndarray:
    """Return where a column has gaps."""
    if column.dtype.kind == "f":
        return np.isnan(column)
    if column.dtype.kind == "M":
        return np.isnat(column)
    if column.dtype.kind == "b":
        return np.zeros(len(column), bool)
    return np.array([text is None for text in column], bool)
