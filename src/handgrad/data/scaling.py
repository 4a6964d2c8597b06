"""How arrays of numbers become what a network sees: centred and scaled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from handgrad.data.preparing import Parts, as_float_dtype
from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    DtypeError,
    NonFiniteError,
    OptionError,
    ShapeError,
    as_count,
    as_flag,
    shown,
)

_CHUNK: Final = 1 << 20  # numbers converted at a time
_ONE_UNIT: Final = 10.0


def one_scale(std: np.ndarray, is_measured: np.ndarray) -> np.ndarray:
    """Return what the distances of columns from their means are divided by.

    Columns whose deviations are within a factor of 10 are taken for measurements in one unit, whose
    proportions say something: all are divided by the root of their mean variance.  Others are divided by
    their own deviation.

    Args:
        std: deviation of each column, (D,), above 0.
        is_measured: which of the columns count; the others keep what they have.
    """
    spread = std[is_measured]
    if len(spread) and spread.max() <= _ONE_UNIT * spread.min():
        return np.where(is_measured, np.sqrt(np.mean(spread**2)), std)
    return std


@dataclass(frozen=True)
class ArrayPreprocessing:
    """How rows of numbers become X: ``X = (rows - mean) / std``.

    Attributes:
        input_shape: shape of one row: (D,), (C, L), or any other.
        mean, std: float64 arrays that broadcast to `input_shape`, measured on the training rows.
        dtype: float32 or float64, the dtype of X.
    """

    input_shape: tuple[int, ...]
    mean: np.ndarray
    std: np.ndarray
    dtype: np.dtype
    kind: ClassVar[str] = "arrays"

    def __post_init__(self) -> None:
        """Check the attributes."""
        where, shape = "ArrayPreprocessing", self.input_shape
        if not isinstance(shape, tuple | list) or not shape:
            raise OptionError(f"{where}: input_shape must be a shape, as (D,), got {shown(shape)}")
        shape = tuple(as_count(where, "input_shape", size) for size in shape)
        for name in ("mean", "std"):
            array = as_numpy(where, name, getattr(self, name))
            if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
                raise DtypeError(f"{where}: {name} must hold finite numbers, got {shown(array)}")
            if not _fits(array.shape, shape):
                raise ShapeError(
                    f"{where}: {name} must broadcast to input_shape {shape}, got {array.shape}"
                )
            object.__setattr__(self, name, array)
        if not (self.std > 0).all():
            raise OptionError(f"{where}: std must be above 0, got {shown(self.std)}")
        object.__setattr__(self, "input_shape", shape)
        object.__setattr__(self, "dtype", as_float_dtype(where, self.dtype))

    @classmethod
    def fit(
        cls, where: str, rows: np.ndarray, *, standardize: bool = True, dtype: Any = np.float32
    ) -> ArrayPreprocessing:
        """Measure mean and standard deviation of training rows (N, ...).

        Rows of one axis have both of each column, or one deviation (`one_scale`); sequences (N, C, L) and
        larger ones have both of each channel, over all of its places.  What is constant is only centred.

        Args:
            where: the data set's name, for messages.
            rows: (N, ...), finite numbers.
            standardize: whether to centre and scale at all.
            dtype: float32 or float64.
        """
        rows = as_numpy(where, "rows", rows)
        if rows.dtype.kind not in "fiub":
            raise DtypeError(f"{where}: rows must hold real numbers, got {rows.dtype}")
        if rows.ndim < 2 or not len(rows):
            raise ShapeError(f"{where}: rows must be (N, ...), N at least 1, got {rows.shape}")
        shape = rows.shape[1:]
        axes = (0, *range(2, rows.ndim))
        kept = (shape[0], *[1] * (rows.ndim - 2))
        mean, std = np.zeros(kept), np.ones(kept)
        if as_flag(where, "standardize", standardize):
            mean = np.mean(rows, axis=axes, dtype=np.float64).reshape(kept)
            std = np.std(rows, axis=axes, dtype=np.float64).reshape(kept)
            tiny = std <= 1e-12 * np.maximum(np.abs(mean), 1e-300)  # rounding of a constant
            is_constant = tiny | (std == 0)
            std = np.where(is_constant, 1.0, std)
            std = one_scale(std, ~is_constant) if rows.ndim == 2 else std
        return cls(shape, mean, std, as_float_dtype(where, dtype))

    def __call__(self, raw: Any) -> np.ndarray:
        """Turn rows (N, *input_shape) into X.

        They may also come as `from_arrays` takes them: without the one channel of the input, with the
        channels last, or of several axes where a row is a list of numbers.

        Raises:
            ShapeError, DtypeError: the rows are of another shape, or no real numbers.
            NonFiniteError: they hold NaN or infinity.
        """
        rows = as_numpy("preprocess", "rows", raw)
        if rows.dtype.kind not in "fiub":
            raise DtypeError(f"preprocess: rows must hold real numbers, got {rows.dtype}")
        rows = self._arranged(rows)
        out = np.empty(rows.shape, self.dtype)
        step = max(1, _CHUNK // max(1, int(np.prod(self.input_shape))))
        for start in range(0, len(rows), step):
            part = rows[start : start + step].astype(np.float64)
            if not np.isfinite(part).all():
                bad = int((~np.isfinite(part)).reshape(len(part), -1).any(axis=1).argmax())
                raise NonFiniteError(
                    f"preprocess: rows must be finite, but row {start + bad} has NaN or infinity; leave "
                    "such rows out, or fill the gaps"
                )
            part -= self.mean
            part /= self.std
            out[start : start + step] = part
        return out

    def _arranged(self, rows: np.ndarray) -> np.ndarray:
        """Return `rows` as (N, *input_shape)."""
        shape, got = self.input_shape, rows.shape[1:]
        if rows.ndim and got != shape:
            if shape == (1, *got) or (len(shape) == 1 and math.prod(got) == shape[0]):
                return rows.reshape(len(rows), *shape)
            if len(shape) == 3 and got == (*shape[1:], shape[0]):
                return rows.transpose(0, 3, 1, 2)
        if rows.ndim == 0 or got != shape:
            raise ShapeError(f"preprocess: rows must be (N, {str(shape)[1:]}, got {rows.shape}")
        return rows

    def undo(self, X: np.ndarray) -> np.ndarray:
        """Return the rows, float64, of which `X` was made."""
        X = as_numpy("undo", "X", X)
        if X.shape[1:] != self.input_shape:
            raise ShapeError(f"undo: X must have rows of {self.input_shape}, got shape {X.shape}")
        return X * self.std + self.mean

    def to_parts(self) -> Parts:
        """Return plain JSON and arrays, of which `from_parts` makes the same preprocessing."""
        content = {
            "kind": self.kind,
            "input_shape": list(self.input_shape),
            "dtype": self.dtype.name,
        }
        return content, {"mean": self.mean, "std": self.std}

    @classmethod
    def from_parts(
        cls, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> ArrayPreprocessing:
        """Return the preprocessing that `to_parts` described."""
        shape, dtype = tuple(content["input_shape"]), np.dtype(content["dtype"])
        return cls(shape, arrays["mean"], arrays["std"], dtype)


def _fits(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of `shape` broadcasts to the shape `to`."""
    try:
        return np.broadcast_shapes(shape, to) == tuple(to)
    except ValueError:
        return False
