"""What a data set is: inputs and targets in three parts, and how they became numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np

from handgrad.data import views
from handgrad.data.description import TASKS, Description
from handgrad.data.preparing import Prepares
from handgrad.data.preprocessing import Preprocessing
from handgrad.data.rows import LazyArrays, Rows
from handgrad.data.splits import PARTS, Split
from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    DtypeError,
    LabelError,
    NonFiniteError,
    OptionError,
    ShapeError,
    check_choice,
    check_dictionary,
    shown,
)

_CHUNK: Final = 1 << 22  # numbers made at a time


@dataclass(frozen=True, repr=False)
class Dataset:
    """A data set, split and prepared.

    Attributes:
        name: what it is called: in ``handgrad.data.DATASETS``, or its file.
        arrays: the courses' dictionary: ``X_train, y_train, X_val, y_val, X_test, y_test``; X are images
            (N, C, H, W), rows (N, D) or sequences (N, C, L), y fit the task
            (`handgrad.data.Description`).  What was given as `Rows` becomes an array when it is first
            asked for; `rows` hands it out as it is.
        class_names: what the labels mean; () for a regression.
        preprocessing: how raw rows became X, to treat others in the same way.
        task: "classification", "regression" or "multilabel".
        target_names: names of the target columns.
        split: which of the stored rows are in which part; None where it is not kept.
        notes: what was guessed about the data, left out or changed, a sentence each.
        settings: options that were guessed, as the size of images: with them the same is made again.
    """

    name: str
    arrays: MutableMapping[str, Any]
    class_names: tuple[str, ...]
    preprocessing: Prepares
    task: str = "classification"
    target_names: tuple[str, ...] = ()
    split: Split | None = None
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that inputs and targets fit the preprocessing and the task."""
        where = f"data set {shown(self.name)}"
        if not callable(self.preprocessing) or not hasattr(self.preprocessing, "to_parts"):
            raise OptionError(
                f"{where}: preprocessing must be a Preprocessing, got {shown(self.preprocessing)}"
            )
        check_choice(where, "task", self.task, TASKS)
        for attribute in ("class_names", "target_names", "notes"):
            texts = getattr(self, attribute)
            if not isinstance(texts, tuple | list) or not all(isinstance(n, str) for n in texts):
                raise OptionError(
                    f"{where}: {attribute} must be a tuple of texts, got {shown(texts)}"
                )
            object.__setattr__(self, attribute, tuple(texts))
        if self.task == "regression" and self.class_names:
            raise OptionError(f"{where}: a regression has no class_names, got {self.class_names}")
        check_dictionary(where, "arrays", self.arrays)
        object.__setattr__(self, "arrays", LazyArrays(_checked_rows(where, self)))
        if self.task == "regression" and not self.target_names:
            y: Any = next((y for n, y in self.rows.items() if n.startswith("y")), np.zeros(0))
            count = y.shape[1] if y.ndim == 2 else 1
            names = ("target",) if count == 1 else tuple(f"target{k + 1}" for k in range(count))
            object.__setattr__(self, "target_names", names)

    def __repr__(self) -> str:
        return views.text(self)

    def _repr_html_(self) -> str:
        return views.page(self)

    @property
    def rows(self) -> dict[str, Any]:
        """The same as `arrays`, where X may be `Rows`, which become numbers batch by batch."""
        arrays = self.arrays
        return arrays.rows if isinstance(arrays, LazyArrays) else dict(arrays)

    @property
    def row_names(self) -> dict[str, list[str]] | None:
        """For each part what its rows are called: files, or numbers of rows; None without a split."""
        return None if self.split is None else self.split.row_names

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row of X: images (C, H, W), rows (D,), sequences (C, L)."""
        return self.preprocessing.input_shape

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one image, (C, H, W): the same as `input_shape`."""
        return self.preprocessing.input_shape

    @property
    def num_classes(self) -> int:
        """The number of classes; 0 for a regression."""
        return len(self.class_names)

    @cached_property
    def description(self) -> Description:
        """What a network that was trained on this must know; the targets' scale is that of y_train."""
        mean = std = None
        if self.task == "regression":
            y = self.rows["y_train"].reshape(len(self.rows["y_train"]), -1)
            mean, std = y.mean(axis=0), y.std(axis=0)
            std = np.where(std > 1e-12 * np.abs(mean), std, 1.0)
        return Description(
            self.task, self.class_names, self.target_names, self.preprocessing, mean, std
        )

    def preprocess(self, raw: Any) -> np.ndarray:
        """Turn raw rows, as pixels, into X; see `Preprocessing`."""
        return self.preprocessing(raw)

    def fingerprint(self) -> str:
        """A SHA-256 digest of all arrays: equal only for equal data."""
        digest = hashlib.sha256()
        for name, array in self.rows.items():
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            step = max(1, _CHUNK * len(array) // max(1, array.size))
            for start in range(0, len(array), step):
                digest.update(np.ascontiguousarray(array[start : start + step]).data)
        return digest.hexdigest()


def _checked_rows(where: str, dataset: Dataset) -> dict[str, Any]:
    """Return the rows after checking the parts that are there: shapes, dtypes, targets."""
    checked: dict[str, Any] = {
        name: a if isinstance(a, Rows) else as_numpy(where, name, a)
        for name, a in dataset.rows.items()
    }
    shape = dataset.input_shape
    for name, array in checked.items():
        kind, _, split = name.partition("_") if isinstance(name, str) else ("", "", "")
        other = f"{'y' if kind == 'X' else 'X'}_{split}"
        if kind not in ("X", "y") or split not in PARTS or other not in checked:
            raise OptionError(
                f"{where}: arrays must hold X_train and y_train, X_val and y_val, X_test and y_test, "
                f"got {shown(name)} without {other}"
            )
        if kind == "y":
            checked[name] = _checked_targets(where, name, array, len(checked[other]), dataset)
        elif array.dtype.kind != "f" or array.shape[1:] != shape:
            raise ShapeError(
                f"{where}: {name} must hold floats of shape (N, {str(shape)[1:]}, as its "
                f"preprocessing makes them, got {array.dtype} {array.shape}"
            )
    return checked


def _checked_targets(
    where: str, name: str, y: np.ndarray, rows: int, dataset: Dataset
) -> np.ndarray:
    """Return the targets `y` after checking that they fit the task."""
    X, classes = f"X_{name[2:]}", dataset.num_classes
    if dataset.task == "classification":
        if y.shape != (rows,):
            raise ShapeError(
                f"{where}: {name} must have shape ({rows},), a label for each row of {X}, "
                f"got {y.shape}"
            )
        if y.dtype.kind not in "iu" or (y.size and not 0 <= y.min() <= y.max() < classes):
            got = f"{y.min()}..{y.max()}" if y.dtype.kind in "iuf" and y.size else y.dtype
            raise LabelError(f"{where}: {name} must hold integers in [0, {classes}), got {got}")
        return y
    if dataset.task == "multilabel":
        if y.shape != (rows, classes):
            raise ShapeError(
                f"{where}: {name} must have shape ({rows}, {classes}), 0 or 1 for each row of {X} and "
                f"each class, got {y.shape}"
            )
        if y.dtype.kind not in "iub" or not np.isin(y, (0, 1)).all():
            raise LabelError(f"{where}: {name} must hold 0 and 1, got {y.dtype} {shown(y)}")
        return y.astype(np.int64, copy=False)
    columns = len(dataset.target_names)
    one_axis = y.ndim == 1 and columns <= 1
    if len(y) != rows or not (one_axis or (y.ndim == 2 and columns in (0, y.shape[1]))):
        wanted = f"({rows},)" if columns <= 1 else f"({rows}, {columns})"
        raise ShapeError(
            f"{where}: {name} must have shape {wanted}, a number for each row of {X} and each target, "
            f"got {y.shape}"
        )
    if y.dtype.kind not in "fiu":
        raise DtypeError(f"{where}: {name} must hold numbers, got {y.dtype}")
    if not np.isfinite(y).all():
        bad = int((~np.isfinite(y)).reshape(rows, -1).any(axis=1).argmax())
        raise NonFiniteError(f"{where}: {name} must be finite, but row {bad} has NaN or infinity")
    return y.astype(np.float64, copy=False)


def build(
    name: str,
    splits: dict[str, tuple[np.ndarray, np.ndarray]],
    class_names: tuple[str, ...],
    **preprocessing: Any,
) -> Dataset:
    """Make the Dataset of `splits`, {"train" | "val" | "test": (images, labels)}.

    The preprocessing is fitted to the training images alone; `preprocessing` are options of
    `Preprocessing.fit`.  Images are kept as they are, and become numbers when they are asked for.
    """
    prepare = Preprocessing.fit(name, splits["train"][0], **preprocessing)
    rows: dict[str, Any] = {}
    for split in PARTS:
        images, labels = splits[split]
        rows[f"X_{split}"] = Rows(images, prepare)
        rows[f"y_{split}"] = labels.astype(np.int64)
    return Dataset(name, rows, class_names, prepare)
