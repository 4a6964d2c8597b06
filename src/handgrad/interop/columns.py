"""The columns of a table in exported files: numbers, of which the file makes what the network sees.

A file cannot hold texts and dates as a table does.  It takes numbers (N, K):

===========  ==================================================================================
a column     becomes
===========  ==================================================================================
number       the number; NaN where it is missing
boolean      1 for yes, 0 for no; NaN where it is missing
category     the place of its text among `Field.levels`; -1 for any other text, NaN for none
date         days since 1970, and where they count: month, weekday and hour as sine and cosine
===========  ==================================================================================

`encoded` makes them of a table.  The D numbers that the network sees are centred and scaled afterwards.
With v = x[source[d]]:

    out[d] = v is missing                   where gap[d]
             v == level[d]                  where level[d] is a number
             fill[d] if v is missing else v for the others
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from handgrad.data.columns import OTHER, Column, TablePreprocessing
from handgrad.data.table import as_table, as_texts
from handgrad.errors import OptionError, as_path, shown

_WORDS: Final = {"number": "NaN where missing", "boolean": "1 or 0; NaN where missing"}


@dataclass(frozen=True)
class Field:
    """One of the K numbers: its name, its kind (number, boolean or category), and the texts of a category."""

    name: str
    kind: str
    levels: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.kind != "category":
            return f"{self.name} ({_WORDS[self.kind]})"
        texts = ", ".join(f"{k} {text}" for k, text in enumerate(self.levels[:6]))
        more = ", ..." if len(self.levels) > 6 else ""
        return f"{self.name} ({texts}{more}; -1 another, NaN none)"


@dataclass(frozen=True)
class Columns:
    """How K numbers become D: see above.

    Attributes:
        fields: what the K numbers are.
        source: int64 (D,), which of them each of the D is made of.
        level: float64 (D,), the place that marks a text; NaN elsewhere.
        gap: bool (D,), whether it marks gaps.
        fill: float64 (D,), what stands for a gap.
        table: the columns themselves: name, kind, and of a category its texts and the place of any other
            one, of a date the parts that count.
    """

    fields: tuple[Field, ...]
    source: np.ndarray
    level: np.ndarray
    gap: np.ndarray
    fill: np.ndarray
    table: tuple[tuple[str, str, Any], ...] = ()

    @classmethod
    def of(cls, prepare: TablePreprocessing) -> Columns:
        """Return those of a table's preprocessing."""
        fields: list[Field] = []
        made: list[tuple[int, float, bool, float]] = []
        table: list[tuple[str, str, Any]] = []
        for column in prepare.columns:
            first = len(fields)
            if column.kind == "category":
                levels = (*column.levels, *((OTHER,) if column.rare else ()))
                fields.append(Field(column.name, "category", levels))
                made += [(first, float(k), False, 0.0) for k in range(len(levels))]
                table.append((column.name, "category", [*column.levels, _other(column)]))
            else:
                names, fills = _parts(column)
                kind = "boolean" if column.kind == "boolean" else "number"
                fields += [Field(name, kind) for name in names]
                made += [(first + k, np.nan, False, fill) for k, fill in enumerate(fills)]
                table.append((column.name, column.kind, list(column.parts)))
            if column.gaps:
                made.append((first, np.nan, True, 0.0))
        source, level, gap, fill = zip(*made, strict=True)
        arrays = np.array(source, np.int64), np.array(level), np.array(gap), np.array(fill)
        return cls(tuple(fields), *arrays, tuple(table))

    @property
    def is_level(self) -> np.ndarray:
        """bool (D,), whether it marks a text."""
        return ~np.isnan(self.level)

    def to_json(self) -> str:
        """Return what the K numbers are, for the metadata of files."""
        return json.dumps(
            [{"name": f.name, "kind": f.kind, **({"levels": list(f.levels)} if f.levels else {})}
             for f in self.fields], ensure_ascii=False)  # fmt: skip

    def coarse(self, mean: np.ndarray, std: np.ndarray) -> list[str]:
        """The names of the K numbers whose steps in float32 are above a thousandth of their deviation."""
        near = np.abs(mean) * 2.0**-24 > 1e-3 * std
        return [self.fields[k].name for k in dict.fromkeys(self.source[near].tolist())]

    def __str__(self) -> str:
        many = len(self.fields)
        lines = [f"  {k}  {field}" for k, field in enumerate(self.fields[:20])]
        more = [f"  ... and {many - 20} more"] if many > 20 else []
        return "\n".join([f"takes {many} numbers a row:", *lines, *more])


def _parts(column: Column) -> tuple[list[str], list[float]]:
    """The names of the numbers that a column gives apart from its gaps, and what stands for each in a gap."""
    names = column.feature_names
    numbers = column.numbers(np.array([np.nan]))[0]
    count = len(names) - column.gaps
    if column.kind == "date":
        names = [f"{names[0]}, days since 1970", *names[1:]]
    return names[:count], numbers[:count].tolist()


def _other(column: Column) -> int:
    """The place of a text that is not among the levels."""
    return len(column.levels) if column.rare else -1


def encoded(run: Any, table: Any) -> np.ndarray:
    """Return the rows of a table as the numbers that an exported file takes.

    Args:
        run: a `TrainedRun` on a table, the path of one, or its preprocessing.
        table: a frame, a dictionary of columns, or the path of a file, with the columns of the training.

    Returns:
        float64 (N, K): see `handgrad.interop.columns`.

    Raises:
        OptionError: the run is of no table.  DataError: a column is missing.

    >>> handgrad.interop.encoded("runs/20260101-120000-houses", "new.csv")  # doctest: +SKIP
    """
    from handgrad.data.tablefile import read_table
    from handgrad.training import TrainedRun

    if isinstance(run, str) or hasattr(run, "__fspath__"):
        run = TrainedRun(run)
    prepare = getattr(run, "preprocessing", run)
    if not isinstance(prepare, TablePreprocessing):
        raise OptionError(f"encoded: run must be one that was trained on a table, got {shown(run)}")
    if isinstance(table, str) or hasattr(table, "__fspath__"):
        table = read_table(as_path("encoded", "table", table)).table
    table = as_table(table)
    parts = []
    for column in prepare.columns:
        prepare.check(column, table)
        parts.append(_encoded(column, table[column.name]))
    return np.concatenate(parts, axis=1)


def _encoded(column: Column, values: np.ndarray) -> np.ndarray:
    if column.kind != "category":
        numbers = column.numbers(values)
        numbers = numbers[:, : numbers.shape[1] - column.gaps]
        numbers[np.isnan(column.values(values))] = np.nan
        return numbers
    places: dict[Any, float] = {text: float(k) for k, text in enumerate(column.levels)}
    other = float(_other(column))
    found = [np.nan if text is None else places.get(text, other) for text in as_texts(values)]
    return np.array(found, np.float64).reshape(-1, 1)
