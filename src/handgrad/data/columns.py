"""How the columns of a table become what a network sees.

===========  ==================================================================================
kind         what becomes of a column
===========  ==================================================================================
number       the number, centred and scaled; a gap is the median of the training rows
boolean      0 or 1, as a number
category     a column of 0 and 1 for each text of the training rows; rare ones share one
date         days, and where they change: month, weekday and hour as points on a circle
===========  ==================================================================================

A column with gaps in the training rows also gives a column of 0 and 1 that says where they are.  Columns
of 0 and 1 are centred, not scaled, so that a rare 1 is no large number.  A text that no training row had
counts as rare where rare ones share a column; else all columns of that category are 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from handgrad.data.preparing import Parts, as_float_dtype
from handgrad.data.scaling import one_scale
from handgrad.data.table import Table, as_numbers, as_table, as_texts, is_missing
from handgrad.data.typing import dates_of
from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    DataError,
    DtypeError,
    NonFiniteError,
    OptionError,
    as_items,
    check_choice,
    nearest,
    one_line,
    shown,
)

KINDS: Final = ("number", "boolean", "category", "date")
OTHER: Final = "(other)"
_DAY: Final = 86400.0
_LARGEST: Final = 1e30  # of a number; its square still is one of float64
_PARTS: Final = ("month", "weekday", "hour")


def check_size(name: str, value: np.ndarray, rows: np.ndarray | None = None) -> None:
    """Raise NonFiniteError if a `value` (N,) is too large; `rows` are the numbers of its rows."""
    large = np.abs(value) > _LARGEST
    if large.any():
        at = int(large.argmax())
        raise NonFiniteError(
            f"table: column {name!r}, row {at if rows is None else rows[at]}: {value[at]:g} is too large for "
            "a network; correct it, leave the row out, or take the logarithm of the column"
        )


@dataclass(frozen=True)
class Column:
    """One column: its name, its kind, and what the training rows said of it.

    levels: the texts of a category.  rare: whether the rare ones share a column.  parts: what of a date
    changes.  gaps: whether training rows had gaps.  fill: what stands for a gap.
    format: how the texts of a date are written, "" where they were no texts.
    """

    name: str
    kind: str
    levels: tuple[str, ...] = ()
    rare: bool = False
    parts: tuple[str, ...] = ()
    gaps: bool = False
    fill: float = 0.0
    format: str = ""

    def __post_init__(self) -> None:
        check_choice("column", "kind", self.kind, KINDS)

    @classmethod
    def fit(
        cls, name: str, kind: str, column: np.ndarray, min_count: int = 1, format: str = ""
    ) -> Column:
        """Look at the training rows of a column; texts fewer than `min_count` times are rare."""
        missing = is_missing(column)
        if kind == "category":
            counts = Counter(text for text in as_texts(column) if text is not None)
            levels = sorted(text for text, count in counts.items() if count >= min_count)
            rare = len(levels) < len(counts)
            return cls(name, kind, tuple(levels), rare, gaps=bool(missing.any()))
        numbers = as_numbers(column)
        missing = np.isnan(numbers)
        there = numbers[~missing]
        fill = float(np.median(there)) if len(there) else 0.0
        parts: tuple[str, ...] = ()
        if kind == "date":
            parts = tuple(part for part in _PARTS if np.ptp(_part(there, part)) > 0) if len(
                there
            ) else ()  # fmt: skip
        return cls(name, kind, (), False, parts, bool(missing.any()), fill, format)

    @property
    def feature_names(self) -> list[str]:
        """What the numbers are called that the column gives."""
        gaps = [f"{self.name} is missing"] if self.gaps else []
        if self.kind == "category":
            levels = [*self.levels, *([OTHER] if self.rare else [])]
            return [f"{self.name}={level}" for level in levels] + gaps
        parts = [f"{self.name} {part} {f}" for part in self.parts for f in ("sin", "cos")]
        return [self.name, *parts, *gaps]

    @property
    def is_scaled(self) -> list[bool]:
        """Which of these numbers are divided by their standard deviation."""
        first = [] if self.kind == "category" else [self.kind != "boolean"]
        return first + [False] * (len(self.feature_names) - len(first))

    def numbers(self, column: np.ndarray) -> np.ndarray:
        """Return the numbers (N, features), float64, that the rows of a `column` give."""
        if self.kind == "category":
            return self._marks(as_texts(column))
        value = self.values(column)
        missing = np.isnan(value)
        value = np.where(missing, self.fill, value)
        check_size(self.name, value)
        out = [value / _DAY if self.kind == "date" else value]
        for part in self.parts:
            turn = 2 * np.pi * _part(value, part)
            out += [np.sin(turn), np.cos(turn)]
        return np.stack([*out, *([missing] if self.gaps else [])], axis=1).astype(np.float64)

    def values(self, column: np.ndarray) -> np.ndarray:
        """Return the rows of a column that is no category as float64; gaps are NaN, dates seconds."""
        if self.format and column.dtype.kind == "O":
            column = dates_of(column.tolist(), self.format)
        return as_numbers(column)

    def _marks(self, texts: np.ndarray) -> np.ndarray:
        places = {level: k for k, level in enumerate(self.levels)}
        out = np.zeros((len(texts), len(self.feature_names)))
        other = len(self.levels) if self.rare else None
        for row, text in enumerate(texts):
            place = (len(self.feature_names) - 1 if self.gaps else None) if text is None else (
                places.get(text, other)
            )  # fmt: skip
            if place is not None:
                out[row, place] = 1.0
        return out

    def to_json(self) -> dict[str, Any]:
        """Return the column as plain JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "levels": list(self.levels),
            "rare": self.rare,
            "parts": list(self.parts),
            "gaps": self.gaps,
            "fill": self.fill,
            "format": self.format,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Column:
        """Return the column that `to_json` described."""
        lists = {name: tuple(content[name]) for name in ("levels", "parts")}
        return cls(**{**content, **lists})


def _part(seconds: np.ndarray, part: str) -> np.ndarray:
    """Where in its circle a date is, in [0, 1)."""
    when = np.asarray(seconds, "float64").astype("int64").astype("datetime64[s]")
    if part == "month":
        year = when.astype("datetime64[Y]")
        start = year.astype("datetime64[s]")
        end = (year + np.timedelta64(1, "Y")).astype("datetime64[s]")
        return (when - start) / (end - start)
    if part == "weekday":
        return ((when.astype("datetime64[D]").astype("int64") + 3) % 7) / 7
    return (when.astype("int64") % 86400) / 86400


@dataclass(frozen=True)
class TablePreprocessing:
    """How the rows of a table become X (N, D): what `Column.numbers` gives, centred and scaled.

    Attributes:
        columns: the columns that are used, in order.
        mean, std: float64 (D,), measured on the training rows.
        dtype: float32 or float64, the dtype of X.
    """

    columns: tuple[Column, ...]
    mean: np.ndarray
    std: np.ndarray
    dtype: np.dtype
    kind: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        """Check that the numbers fit the columns."""
        where = "TablePreprocessing"
        for column in as_items(where, "columns", self.columns, "Columns"):
            if not isinstance(column, Column):
                raise OptionError(f"{where}: columns must be Columns, got {shown(column)}")
        count = len(self.feature_names)
        for name in ("mean", "std"):
            array = as_numpy(where, name, getattr(self, name))
            if array.dtype.kind not in "fiu":
                raise DtypeError(f"{where}: {name} must hold numbers, got {array.dtype}")
            array = array.astype(np.float64)
            if array.shape != (count,) or not np.isfinite(array).all():
                raise OptionError(
                    f"{where}: {name} must be {count} finite numbers, got {shown(array)}"
                )
            object.__setattr__(self, name, array)
        if not (self.std > 0).all():
            raise OptionError(f"{where}: std must be above 0, got {shown(self.std)}")
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "dtype", as_float_dtype(where, self.dtype))

    @classmethod
    def fit(
        cls,
        table: Table,
        kinds: Mapping[str, str],
        *,
        min_count: int = 1,
        formats: Mapping[str, str] | None = None,
        standardize: bool = True,
        dtype: Any = np.float32,
    ) -> TablePreprocessing:
        """Look at training rows.

        Args:
            table: the training rows.
            kinds: the kind of each column that is used.
            min_count: texts that fewer rows have are rare, and share a column.
            formats: how the dates of columns of texts are written.
            standardize: whether to centre and scale; columns of numbers by `one_scale`.
            dtype: float32 or float64.
        """
        formats = formats or {}
        columns = [
            Column.fit(n, k, table[n], min_count, formats.get(n, "")) for n, k in kinds.items()
        ]
        count = sum(len(column.feature_names) for column in columns)
        mean, std, is_measured = np.zeros(count), np.ones(count), np.zeros(count, bool)
        start = 0
        for column in columns if standardize else []:
            numbers = column.numbers(table[column.name])
            part = slice(start, start + numbers.shape[1])
            mean[part] = numbers.mean(axis=0)
            spread = numbers.std(axis=0)
            is_constant = spread <= 1e-12 * np.abs(mean[part])
            is_scaled = np.array(column.is_scaled) & ~is_constant
            std[part] = np.where(is_scaled, spread, 1.0)
            is_measured[part] = is_scaled & (column.kind == "number")
            start = part.stop
        std = one_scale(std, is_measured)
        return cls(tuple(columns), mean, std, as_float_dtype("table", dtype))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(D,), the shape of one row of X."""
        return (len(self.feature_names),)

    @property
    def feature_names(self) -> list[str]:
        """What the D numbers of a row are called."""
        return [name for column in self.columns for name in column.feature_names]

    def __call__(self, raw: Any) -> np.ndarray:
        """Turn rows into X (N, D).

        Args:
            raw: a Table, a frame of pandas, polars or pyarrow, or a dictionary of columns, with at least
                the columns that training had.

        Raises:
            DataError: a column is missing.
        """
        table = as_table(raw)
        out = np.empty((len(table), len(self.feature_names)), self.dtype)
        start = 0
        for column in self.columns:
            self.check(column, table)
            numbers = column.numbers(table[column.name])
            part = slice(start, start + numbers.shape[1])
            out[:, part] = (numbers - self.mean[part]) / self.std[part]
            start = part.stop
        return out

    def check(self, column: Column, table: Table) -> None:
        """Raise DataError if `table` lacks the `column`."""
        if column.name in table:
            return
        near = nearest(column.name, table.names)
        hint = f"; did you mean {near!r}?" if near else ""
        raise DataError(
            f"table: there is no column {column.name!r}, which the network was trained on; the columns are "
            f"{one_line(', '.join(table.names[:20]))}{hint}"
        )

    def to_parts(self) -> Parts:
        """Return plain JSON and arrays, of which `from_parts` makes the same preprocessing."""
        content = {
            "kind": self.kind,
            "columns": [column.to_json() for column in self.columns],
            "dtype": self.dtype.name,
        }
        return content, {"mean": self.mean, "std": self.std}

    @classmethod
    def from_parts(
        cls, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> TablePreprocessing:
        """Return the preprocessing that `to_parts` described."""
        columns = tuple(Column.from_json(column) for column in content["columns"])
        return cls(columns, arrays["mean"], arrays["std"], np.dtype(content["dtype"]))


def feature_groups(columns: Sequence[Column]) -> dict[str, slice]:
    """Return for each column which of the D numbers are its own."""
    groups, start = {}, 0
    for column in columns:
        stop = start + len(column.feature_names)
        groups[column.name] = slice(start, stop)
        start = stop
    return groups
