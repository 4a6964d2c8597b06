"""What is to be predicted: the task, guessed from the targets and said, and the targets as numbers.

======================================================  ==============================================
one column of targets                                   task
======================================================  ==============================================
texts, booleans                                         classification
whole numbers, at most 20 different ones, each seen     classification
twice on average
whole numbers from 0 or 1 on without a gap, each seen   classification
20 times on average
other numbers                                           regression
several columns of 0 and 1                              multilabel; classification, where each row has
                                                        a single 1
several columns of other numbers                        regression
======================================================  ==============================================

Rows without a target are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from handgrad.data.description import TASKS
from handgrad.data.listing import natural
from handgrad.data.table import as_column, as_numbers, as_texts, is_missing, name_of
from handgrad.errors import DataError, OptionError, check_choice, shown

FEW: Final = 20
MOST: Final = 10_000  # classes; a network has an output for each


class Targets(NamedTuple):
    """Targets as numbers.

    Attributes:
        y: as `Description` says.
        kept: places (n,) of the rows with targets.
        notes: on what was guessed and left out.
    """

    task: str
    y: np.ndarray
    class_names: tuple[str, ...]
    target_names: tuple[str, ...]
    kept: np.ndarray
    notes: list[str]


def targets_of(columns: Mapping[str, Any], task: str, where: str) -> Targets:
    """Return the targets in `columns`, name -> (N,).

    Args:
        columns: what is to be predicted.
        task: one of `TASKS`, or "" to guess it.
        where: the data, for messages.

    Raises:
        DataError: no row has a target, there is one class only, or the targets do not fit the task.
    """
    check_choice("data", "task", task, ("", *TASKS))
    made = {name: as_column(name, column) for name, column in columns.items()}
    missing = np.any([is_missing(column) for column in made.values()], axis=0)
    infinite = np.any([np.isinf(c) for c in made.values() if c.dtype.kind == "f"] or [missing & False],
                      axis=0)  # fmt: skip
    kept = np.flatnonzero(~missing & ~infinite)
    names = tuple(made)
    what = "target" + ("s " if len(names) > 1 else " ") + ", ".join(map(repr, names[:5]))
    notes = []
    if not len(kept):
        raise DataError(f"{where}: no row has a value of the {what}")
    if len(kept) < len(missing):
        without = len(missing) - len(kept)
        row = "1 row has" if without == 1 else f"{without} rows have"
        notes.append(f"{row} no {what} (or infinity), left out")
    made = {name: column[kept] for name, column in made.items()}
    guessed, why = guess_task(made)
    if task == "":
        task = guessed
        notes.append(f"task: {task}, since the {what} {'hold' if len(names) > 1 else 'holds'} {why} "
                     "(--task says otherwise)")  # fmt: skip
    if task == "regression":
        return Targets(task, _numbers(made, where), (), names, kept, notes)
    if len(names) > 1:
        marks = _marks(made, where)
        if task == "classification":
            if not (marks.sum(axis=1) == 1).all():
                raise DataError(
                    f"{where}: a classification has one label a row, but some rows have several or none of "
                    f"the {what}; is the task multilabel?"
                )
            return Targets(task, marks.argmax(axis=1), names, names, kept, notes)
        return Targets(task, marks, names, names, kept, notes)
    if task == "multilabel":
        raise DataError(
            f"{where}: a multi-label task has several columns of 0 and 1 as targets, got {what}"
        )
    y, class_names = labels_of(next(iter(made.values())))
    _check_classes(y, class_names, where, what)
    return Targets(task, y, class_names, names, kept, notes)


def as_text(name: str, value: Any) -> str:
    """Return the option `value`, a text; OptionError for anything else."""
    if not isinstance(value, str):
        raise OptionError(f"data: {name} must be a text, got {shown(value)}")
    return value


def guess_task(columns: Mapping[str, np.ndarray]) -> tuple[str, str]:
    """Return the task that the table above says, and why."""
    if len(columns) > 1:
        numbers = np.stack([as_numbers(column) for column in columns.values()], axis=1)
        if np.isin(numbers, (0, 1)).all():
            if (numbers.sum(axis=1) == 1).all():
                return "classification", "a single 1 in each row"
            return "multilabel", "0 and 1"
        return "regression", "numbers"
    column = next(iter(columns.values()))
    if column.dtype.kind == "b":
        return "classification", "booleans"
    if column.dtype.kind == "O":
        return "classification", "texts"
    numbers = as_numbers(column)
    values = np.unique(numbers)
    count = len(values)
    if not (values == np.rint(values)).all():
        return "regression", f"{count:,} different numbers, not all whole"
    is_run = count > 1 and values[0] in (0, 1) and values[-1] - values[0] == count - 1
    if count <= FEW and len(numbers) >= 2 * count:
        return "classification", f"{count} different whole numbers"
    if is_run and len(numbers) >= 20 * count:
        return "classification", f"the whole numbers from {values[0]:g} to {values[-1]:g}"
    return "regression", f"{count:,} different whole numbers"


def labels_of(column: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return labels (N,) from 0 on, and their names in order: numbers by size, texts by alphabet."""
    if column.dtype.kind in "fbM":
        values, y = np.unique(column, return_inverse=True)
        return y.astype(np.int64), tuple(name_of(value) for value in values)
    texts = as_texts(column)
    names = sorted(set(texts), key=lambda text: (natural(text), text))
    places = {name: k for k, name in enumerate(names)}
    return np.array([places[text] for text in texts], np.int64), tuple(names)


def _check_classes(y: np.ndarray, names: Sequence[str], where: str, what: str) -> None:
    if len(names) < 2:
        raise DataError(
            f"{where}: all rows have the same {what}, {shown(names[0])}; a network needs at least "
            "two classes "
            "to tell apart"
        )
    if len(names) > MOST or len(names) > max(FEW, len(y) // 2):
        raise DataError(
            f"{where}: the {what} has {len(names):,} different values in {len(y):,} rows, too "
            "many for classes; "
            "is it an identifier, a free text, or a number (--task regression)?"
        )


def _numbers(columns: Mapping[str, np.ndarray], where: str) -> np.ndarray:
    made = []
    for name, column in columns.items():
        numbers = as_numbers(column)
        if np.isnan(numbers).any():
            row = int(np.isnan(numbers).argmax())
            raise DataError(
                f"{where}: a regression needs numbers, but the target {name!r} holds {shown(column[row])}"
            )
        if (np.abs(numbers) > 1e30).any():
            raise DataError(
                f"{where}: the target {name!r} holds numbers above 1e30, no network learns them"
            )
        made.append(numbers)
    return made[0] if len(made) == 1 else np.stack(made, axis=1)


def _marks(columns: Mapping[str, np.ndarray], where: str) -> np.ndarray:
    marks = np.stack([as_numbers(column) for column in columns.values()], axis=1)
    if not np.isin(marks, (0, 1)).all():
        raise DataError(
            f"{where}: the columns of a multi-label target must hold 0 and 1 (or true and false); "
            "for numbers, "
            "say --task regression"
        )
    return marks.astype(np.int64)
