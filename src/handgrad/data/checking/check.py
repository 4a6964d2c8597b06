"""The check of data of every kind."""

from __future__ import annotations

from collections import Counter
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from handgrad.data.checking.columns import check_columns, check_leaks, check_rows
from handgrad.data.checking.findings import DataCheck, several
from handgrad.data.checking.labels import suspects
from handgrad.data.checking.pictures import check_files, check_pictures
from handgrad.data.dataset import Dataset
from handgrad.data.kinds import kind_of
from handgrad.data.rows import Rows
from handgrad.data.splits import PARTS
from handgrad.data.table import Table, as_table
from handgrad.data.tablefile import read_table
from handgrad.errors import HandgradError, as_path

_SAID: Final = ("is left out", "files or folders are not", "cannot be read")
FEW: Final = 20  # rows of a class
UNEVEN: Final = 10.0  # times as many rows in the largest class as in the smallest


def check_data(data: Any, target: Any = (), **options: Any) -> DataCheck:
    """Look at data before any training.

    Args:
        data: a path, as `handgrad train --data` takes it; or a frame or dictionary of columns.
        target: the columns of a table to be predicted.
        options: those of `from_folder`, `from_table`, `from_arrays` or `from_shards`.

    Returns:
        Counts and findings; each says what to do.  What cannot be trained on at all is a finding, too.

    Raises DataError if there are no data at the path.

    >>> check_data('photos').findings  # doctest: +SKIP
    """
    from handgrad import data as sets  # the registry is above this file

    is_path = isinstance(data, str | PathLike)
    kind = kind_of(data) if is_path else "table"
    name = as_path("check", "path", data).resolve().name if is_path else "table"
    check = DataCheck(name)
    targets = [target] if isinstance(target, str) else list(target)
    if kind == "folder":
        check_files(check, Path(data).expanduser())
    table = _table_of(data, options) if kind == "table" else None
    if table is not None:
        check.facts |= {"rows": f"{len(table):,}", "columns": f"{len(table.names):,}"}
        check_columns(check, table, targets)
    if targets or kind == "table":
        options = {**options, "target": targets[0] if len(targets) == 1 else targets}
    if kind != "arrays":
        options = {**options, "skip_unreadable": True}
    dataset: Dataset | None = None
    try:
        if kind == "table" and not targets:
            check.add(
                "note",
                "no target",
                "no column to be predicted was named",
                "name it with --target, and its labels, leaks and split are looked at, too",
            )
        else:
            dataset = sets.DATASETS[kind](data, **options)
    except HandgradError as error:
        check.add("serious", "cannot be trained on", str(error), "see above")
    if dataset is not None:
        _check_dataset(check, dataset, table, targets)
    check.sort()
    return check


def _table_of(data: Any, options: dict[str, Any]) -> Table | None:
    how = {
        key: options[key]
        for key in ("delimiter", "encoding", "decimal", "header")
        if key in options
    }
    try:
        if isinstance(data, str | PathLike):
            return read_table(Path(data).expanduser(), True, **how).table
        return as_table(data)
    except HandgradError:
        return None  # making the data set says why


def _check_dataset(
    check: DataCheck, dataset: Dataset, table: Table | None, targets: list[str]
) -> None:
    parts = {part: len(dataset.rows[f"y_{part}"]) for part in PARTS}
    check.facts |= {
        "task": dataset.task,
        "a row becomes": " x ".join(map(str, dataset.input_shape)) + " numbers, centred and scaled",
        "split": ", ".join(f"{count:,} {part}" for part, count in parts.items()),
    }
    for note in dataset.notes:
        is_known = check.has("unreadable pictures")  # of a folder, with more names
        if "pictures cannot be read, " in note and not is_known:
            check.add(
                "serious",
                "unreadable pictures",
                note,
                "repair or remove them; or train without them: --set data.skip_unreadable=true",
            )
        if not note.startswith(("split", "task")) and not any(word in note for word in _SAID):
            check.add("note", "guessed", note, "if it is not so, see `handgrad train --help`")
    images = _images(dataset)
    y = np.concatenate([dataset.rows[f"y_{part}"] for part in PARTS])
    names = [name for part in PARTS for name in (dataset.row_names or {}).get(part, [])]
    if dataset.task == "classification":
        _check_classes(check, dataset)
    elif dataset.task == "regression":
        _check_numbers(check, y, dataset.target_names, names)
    if images is not None:
        owners = [part for part in PARTS for _ in range(parts[part])]
        check_pictures(check, images, y, dataset, owners, names)
    if table is not None and dataset.split is not None:
        chosen = _rows(dataset)
        check_leaks(check, table[chosen], targets, y if y.ndim == 1 else y[:, 0], dataset.task)
        by_row = {
            part: np.array([int(n) for n in rows])
            for part, rows in (dataset.row_names or {}).items()
        }
        check_rows(check, table, targets, by_row, [str(row) for row in range(len(table))])
    if dataset.task == "classification" and len(y) >= 40:
        _check_labels(check, dataset, images, y, names)


def _rows(dataset: Dataset) -> np.ndarray:
    """The rows of the table, part by part."""
    named = dataset.row_names or {}
    return np.array([int(name) for part in PARTS for name in named.get(part, [])])


class Joined:
    """The stored images of all parts, one behind the other."""

    def __init__(self, parts: list[Rows]) -> None:
        self._raw = parts[0].raw
        self._places = np.concatenate([rows.chosen for rows in parts])
        self.shape = (len(self._places), *parts[0].shape[1:])

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self._raw[self._places[rows]]


def _images(dataset: Dataset) -> Joined | None:
    parts = [dataset.rows[f"X_{part}"] for part in PARTS]
    return Joined(parts) if all(isinstance(rows, Rows) for rows in parts) else None


def _check_classes(check: DataCheck, dataset: Dataset) -> None:
    counts = {
        part: np.bincount(dataset.rows[f"y_{part}"], minlength=dataset.num_classes)
        for part in PARTS
    }
    for k, name in enumerate(dataset.class_names):
        check.classes[name] = {part: int(counts[part][k]) for part in PARTS}
    total = np.sum(list(counts.values()), axis=0)
    few = [f"{name} ({n})" for name, n in zip(dataset.class_names, total, strict=True) if n < FEW]
    if few:
        check.add(
            "look",
            "small classes",
            f"fewer than {FEW} rows: {several(few, 6)}",
            "gather more, or put small classes together",
            few,
        )
    if total.min() and total.max() / total.min() > UNEVEN:
        large, small = (dataset.class_names[int(k)] for k in (total.argmax(), total.argmin()))
        check.add(
            "look",
            "uneven classes",
            f"{large} has {total.max() / total.min():.0f} times as many rows as {small}",
            "weigh the classes (training.class_weight), and look at the balanced accuracy",
        )


def _check_numbers(
    check: DataCheck, y: np.ndarray, target_names: tuple[str, ...], names: list[str]
) -> None:
    for k, (target, numbers) in enumerate(zip(target_names, y.reshape(len(y), -1).T, strict=True)):
        check.facts[f"target {target}" if k or len(target_names) > 1 else "target"] = (
            f"{target}: {numbers.min():.6g} to {numbers.max():.6g}, mean {numbers.mean():.6g}, "
            f"standard deviation {numbers.std():.6g}"
        )
        value, count = Counter(numbers.tolist()).most_common(1)[0]
        if count > 0.5 * len(numbers):
            check.add(
                "look",
                "a target that hardly changes",
                f"{target} is {value:g} in {count:,} of {len(numbers):,} rows",
                "is that a gap written as a number?",
            )


def _check_labels(
    check: DataCheck, dataset: Dataset, images: Joined | None, y: np.ndarray, names: list[str]
) -> None:
    """Name the rows whose labels a quick fit contradicts."""
    if images is not None:
        from handgrad.data.checking.pictures import features_of

        X = features_of(images)
    else:
        X = np.concatenate([np.asarray(dataset.rows[f"X_{part}"]) for part in PARTS])
    found = suspects(X, y, dataset.num_classes)
    check.facts["a quick fit"] = f"tells {100 * found.accuracy:.0f} % of rows that it has not seen"
    if not len(found.rows):
        return
    label = dataset.class_names
    some = [
        f"{names[row] if names else row}: {label[y[row]]}, looks like {label[instead]}"
        for row, instead in zip(found.rows, found.instead, strict=True)
    ]
    pictures = []
    if images is not None:
        pictures = [(some[k], images[np.array([row])][0]) for k, row in enumerate(found.rows[:12])]
    check.add(
        "look",
        "labels that look wrong",
        f"a quick fit that has not seen them says otherwise of {len(some):,} rows: {several(some)}",
        "look at them, and correct the labels that are wrong",
        some,
        pictures,
    )
