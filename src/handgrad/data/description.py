"""What a trained network must know of its data, in one object that goes into its files."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from handgrad.data.preparing import Parts, Prepares, preparation_of
from handgrad.engines.arrays import as_numpy
from handgrad.errors import DataError, OptionError, ShapeError, check_choice, shown

TASKS: Final = ("classification", "regression", "multilabel")


@dataclass(frozen=True)
class Description:
    """Task, names, and how inputs and targets became numbers.

    ==================  =============================  ==================================
    task                y                              class_names
    ==================  =============================  ==================================
    ``classification``  (N,) int64 in [0, C)           what the C labels mean
    ``regression``      (N,) or (N, T) float64         ()
    ``multilabel``      (N, C) int64, 0 or 1           what the C columns mean
    ==================  =============================  ==================================

    Targets of a regression are kept in their own unit; `standardise` makes of them what a network is
    trained on, `unit` makes its outputs numbers of that unit.

    Attributes:
        task: one of `TASKS`.
        class_names: texts.
        target_names: names of the target columns: T for a regression, else one, or none.
        preprocessing: turns raw rows into X.
        target_mean, target_std: float64 (T,), of the training targets of a regression; else None.
    """

    task: str
    class_names: tuple[str, ...]
    target_names: tuple[str, ...]
    preprocessing: Prepares
    target_mean: np.ndarray | None = None
    target_std: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check that the attributes fit the task."""
        where = "Description"
        check_choice(where, "task", self.task, TASKS)
        for name in ("class_names", "target_names"):
            names = getattr(self, name)
            if not isinstance(names, tuple | list) or not all(isinstance(n, str) for n in names):
                raise OptionError(f"{where}: {name} must be a tuple of texts, got {shown(names)}")
            object.__setattr__(self, name, tuple(names))
        if self.task != "regression":
            return
        for name in ("target_mean", "target_std"):
            array = as_numpy(where, name, getattr(self, name)).astype(np.float64)
            if array.shape != (len(self.target_names),):
                raise ShapeError(
                    f"{where}: {name} must have one number for each of the targets "
                    f"{self.target_names}, got shape {array.shape}"
                )
            object.__setattr__(self, name, array)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row of X: images (C, H, W), rows (D,), sequences (C, L)."""
        return self.preprocessing.input_shape

    @property
    def num_outputs(self) -> int:
        """How many numbers the network returns a row: classes, or targets of a regression."""
        return len(self.target_names if self.task == "regression" else self.class_names)

    def standardise(self, y: np.ndarray) -> np.ndarray:
        """Return targets of a regression, (N,) or (N, T), as ``(y - mean) / std``, (N, T) of X's dtype."""
        mean, std = self._scale()
        y = np.asarray(y, np.float64).reshape(len(y), -1)
        return ((y - mean) / std).astype(self.preprocessing.dtype)

    def unit(self, outputs: np.ndarray) -> np.ndarray:
        """Return a network's outputs (N, T) as numbers of the targets' own unit, float64."""
        mean, std = self._scale()
        return np.asarray(outputs, np.float64) * std + mean

    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        if self.target_mean is None or self.target_std is None:
            raise OptionError(f"Description: a {self.task} has no targets to standardise")
        return self.target_mean, self.target_std

    def to_parts(self) -> Parts:
        """Return plain JSON, and arrays by name, of which `from_parts` makes the same."""
        content, arrays = self.preprocessing.to_parts()
        content = {
            **content,
            "task": self.task,
            "class_names": list(self.class_names),
            "target_names": list(self.target_names),
        }
        if self.target_mean is not None and self.target_std is not None:
            arrays = {**arrays, "target_mean": self.target_mean, "target_std": self.target_std}
        return content, arrays

    @classmethod
    def from_parts(
        cls, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Description:
        """Return the description that `to_parts` took apart; files of version 0.1.0 are read too."""
        return cls(
            content.get("task", "classification"),
            tuple(content["class_names"]),
            tuple(content.get("target_names", ())),
            preparation_of(content, arrays),
            arrays.get("target_mean"),
            arrays.get("target_std"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON, for the header of a file; arrays keep every bit."""
        content, arrays = self.to_parts()
        return {**content, "arrays": {name: _text_of(array) for name, array in arrays.items()}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Description:
        """Return the description that `to_json` wrote."""
        arrays = {name: _array_of(value) for name, value in content["arrays"].items()}
        return cls.from_parts(content, arrays)


def _text_of(array: np.ndarray) -> dict[str, Any]:
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    text = base64.b64encode(data.tobytes()).decode()
    return {"dtype": data.dtype.str, "shape": list(array.shape), "base64": text}


def _array_of(value: Mapping[str, Any]) -> np.ndarray:
    dtype = np.dtype(value["dtype"])
    if dtype.kind not in "fiub":
        raise DataError(f"description: an array cannot be {dtype}")
    data = base64.b64decode(value["base64"], validate=True)
    return np.frombuffer(data, dtype).reshape(value["shape"]).astype(dtype.newbyteorder("="))
