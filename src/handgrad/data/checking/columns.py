"""What is found in the columns of a table."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from shlex import quote
from typing import Final

import numpy as np

from handgrad.data.checking.findings import DataCheck, several
from handgrad.data.table import Table, as_numbers, as_texts, is_missing, name_of

FAR: Final = 8.0  # interquartile ranges from the quartiles
LEAK: Final = 0.99  # of what one column alone tells of the target
BINS: Final = 20
FEW: Final = 50  # values of a column, of which another one may be a translation


def option(key: str, name: str) -> str:
    """Return the option that leaves a column out (`key` "drop") or keeps it ("keep"), as a shell takes it.

    >>> print(option("drop", "age"))
    --set data.drop='["age"]'
    """
    return f"--set data.{key}={quote(json.dumps([name], ensure_ascii=False))}"


def check_columns(check: DataCheck, table: Table, targets: list[str]) -> None:
    """Look at every column by itself, and for columns that are the same."""
    seen: dict[bytes, list[str]] = defaultdict(list)
    for name in table.names:
        column = table[name]
        missing = is_missing(column)
        there = column[~missing]
        check.columns.append(_summary(name, column, missing))
        seen[_key(column)].append(name)
        if name in targets:
            continue
        if not len(there):
            check.add("note", "empty column", f"{name} holds nothing", "it is left out", [name])
        elif len(set(as_texts(there))) == 1 and not missing.any():
            check.add(
                "note",
                "constant column",
                f"{name} is {name_of(there[0])} in every row",
                "it is left out",
                [name],
            )
        elif missing.mean() > 0.5:
            check.add(
                "look",
                "many gaps",
                f"{name} is empty in {100 * missing.mean():.0f} % of the rows",
                "gaps become the median, with a column that marks them; if that is no help, "
                f"{option('drop', name)}",
                [name],
            )
        _outliers(check, name, column, missing)
    same = [names for names in seen.values() if len(names) > 1]
    for names in same:
        if any(name in targets for name in names):
            check.add(
                "serious",
                "the target again",
                f"{several(names)} say the same",
                "drop all but the target: a network would only copy it",
                names,
            )
        else:
            check.add(
                "note",
                "identical columns",
                f"{several(names, 5)} say the same",
                "one of them is enough: --set data.drop",
                names,
            )


def _summary(name: str, column: np.ndarray, missing: np.ndarray) -> dict[str, str]:
    kinds = {"f": "numbers", "b": "booleans", "M": "dates", "O": "texts"}
    there = column[~missing]
    row = {"column": name, "kind": kinds[column.dtype.kind], "gaps": f"{int(missing.sum()):,}"}
    if not len(there):
        return {**row, "different": "0", "values": ""}
    if column.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # the median of infinities of both signs
            low, middle, high = (f"{v:.6g}" for v in (there.min(), np.median(there), there.max()))
        return {
            **row,
            "different": f"{len(np.unique(there)):,}",
            "values": f"{low} … {middle} … {high}",
        }
    counts = Counter(as_texts(there))
    common = ", ".join(f"{text[:30]} ({count:,})" for text, count in counts.most_common(3))
    if column.dtype.kind == "M":
        common = f"{name_of(there.min())} … {name_of(there.max())}"
    return {**row, "different": f"{len(counts):,}", "values": common}


def _key(column: np.ndarray) -> bytes:
    """The same for columns that say the same, also in other words: where few values stand for one another."""
    texts = as_texts(column)
    known: dict[str | None, int] = {}
    codes = [known.setdefault(text, len(known)) for text in texts]
    if len(known) <= FEW:
        return np.array(codes).tobytes()
    data = "\0".join("\1" if text is None else text for text in texts)
    return hashlib.sha256(data.encode("utf-8", "surrogatepass")).digest()


def _outliers(check: DataCheck, name: str, column: np.ndarray, missing: np.ndarray) -> None:
    if column.dtype.kind != "f":
        return
    rows = np.flatnonzero(~missing)
    values = column[rows]
    infinite = np.isinf(values)
    if infinite.any():
        check.add(
            "serious",
            "infinity",
            f"{name} holds infinity in {int(infinite.sum()):,} rows",
            "correct the rows, or leave the column out",
            rows[infinite],
        )
        return
    if len(np.unique(values)) < 10:
        return
    first, third = np.quantile(values, (0.25, 0.75))
    width = third - first
    if width == 0:
        return
    far = (values < first - FAR * width) | (values > third + FAR * width)
    if far.any():
        some = several([f"{values[k]:.6g} (row {rows[k]})" for k in np.flatnonzero(far)])
        check.add(
            "look",
            "values far off",
            f"{name}: {int(far.sum()):,} values are far from all others: {some}",
            "look whether they are mistakes or gaps written as a number; else take the logarithm",
            rows[far],
        )


def check_leaks(
    check: DataCheck, table: Table, targets: list[str], y: np.ndarray, task: str
) -> None:
    """Look for columns that alone tell the target: mostly they were filled in after it was known."""
    if len(y) < 20:
        return
    for name in table.names:
        if name in targets:
            continue
        told, base = told_by(table[name], y, task)
        if told >= LEAK and base < 0.9:
            how = "rows right" if task == "classification" else "of the variance"
            check.add(
                "serious",
                "leaking column",
                f"{name} alone tells {targets[0]}: {100 * told:.1f} % {how}, "
                f"{100 * base:.1f} % without it",
                f"if it would not be known when the network is used, leave it out: {option('drop', name)}",
                [name],
            )


def told_by(column: np.ndarray, y: np.ndarray, task: str) -> tuple[float, float]:
    """Return how well the other rows with a like value tell the target, and how well the target tells itself.

    Of a classification it is the share of right rows, of a regression the explained share of the variance;
    numbers are alike in one of 20 bins.
    """
    places = _bins(column)
    if task != "classification":
        sums, counts = np.bincount(places, y), np.bincount(places)
        others = counts[places] - 1
        said = np.where(others > 0, (sums[places] - y) / np.maximum(others, 1), y.mean())
        linear = _linear(column, y)
        return max(1 - float(((y - said) ** 2).mean() / max(y.var(), 1e-300)), linear), 0.0
    classes = int(y.max()) + 1
    held = np.zeros((places.max() + 1, classes))
    np.add.at(held, (places, y), 1)
    rest = held[places]
    rest[np.arange(len(y)), y] -= 1
    right = (rest.argmax(axis=1) == y) & (rest.sum(axis=1) > 0)
    return float(right.mean()), float(np.bincount(y).max() / len(y))


def _bins(column: np.ndarray) -> np.ndarray:
    """A number for each row, the same for like values."""
    if column.dtype.kind in "fM" and len(np.unique(column[~is_missing(column)])) > BINS:
        numbers = as_numbers(column)
        missing = np.isnan(numbers)
        edges = np.quantile(numbers[~missing], np.linspace(0, 1, BINS + 1)[1:-1])
        return np.where(missing, BINS, np.searchsorted(edges, numbers, side="right"))
    texts = as_texts(column)
    known: dict[str | None, int] = {}
    return np.array([known.setdefault(text, len(known)) for text in texts])


def _linear(column: np.ndarray, y: np.ndarray) -> float:
    """The square of the correlation of a column of numbers with the target."""
    if column.dtype.kind != "f" or is_missing(column).any() or column.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.corrcoef(column, y)[0, 1] ** 2)


def check_rows(
    check: DataCheck,
    table: Table,
    targets: list[str],
    parts: dict[str, np.ndarray],
    names: list[str],
) -> None:
    """Look for rows that are the same: with other targets, or in two parts."""
    columns = [as_texts(table[name]) for name in table.names if name not in targets]
    labels = [as_texts(table[name]) for name in targets]
    groups: dict[bytes, list[int]] = defaultdict(list)
    for row in range(len(table)):
        data = "\0".join("\1" if c[row] is None else c[row] for c in columns)
        groups[hashlib.md5(data.encode("utf-8", "surrogatepass")).digest()].append(row)
    part_of = {int(row): part for part, rows in parts.items() for row in rows}
    doubled = [rows for rows in groups.values() if len(rows) > 1]
    against: list[list[int]] = []
    same: list[list[int]] = []
    across: list[list[int]] = []
    for rows in doubled:
        found = {tuple(label[row] for label in labels) for row in rows}
        (against if len(found) > 1 else same).append(rows)
        if len({part_of.get(row) for row in rows}) > 1:
            across.append(rows)
    if against:
        check.add(
            "look",
            "contradicting rows",
            f"{len(against):,} groups of rows have the same values, but other "
            f"targets: rows {several([names[row] for row in against[0]])}, ...",
            "look for a column that is missing, or for wrong targets",
            [names[row] for rows in against for row in rows],
        )
    if same:
        count = sum(len(rows) - 1 for rows in same)
        check.add(
            "look" if across else "note",
            "repeated rows",
            f"{count:,} rows repeat another one"
            + (f", {len(across):,} of them in another part of the split" if across else ""),
            "remove them, or keep them in one part with --group",
            [names[rows[1]] for rows in same],
        )
