"""What prepares the rows of a data set for a network: one protocol, and its form in files.

==================  ======================  =====================================================
kind                class                   what it prepares
==================  ======================  =====================================================
``images``          `Preprocessing`         pixels (N, C, H, W)
``arrays``          `ArrayPreprocessing`    numbers: rows (N, D), sequences (N, C, L), anything
``table``           `TablePreprocessing`    columns of a table: numbers, categories, dates, ...
==================  ======================  =====================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol

import numpy as np

from handgrad.errors import DataError, OptionError, dtype_name, shown

DTYPES: Final = ("float32", "float64")

Parts = tuple[dict[str, Any], dict[str, np.ndarray]]
"""A preparation as plain JSON and as arrays by name."""


class Prepares(Protocol):
    """What turns raw rows into X.

    Attributes: kind, its name in files; input_shape, the shape of one row of X; dtype, of X.
    """

    kind: ClassVar[str]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row of X."""

    @property
    def dtype(self) -> np.dtype:
        """The dtype of X."""

    def __call__(self, raw: Any, /) -> np.ndarray:
        """Turn raw rows into X (N, *input_shape)."""

    def to_parts(self) -> Parts:
        """Return what `from_parts` makes it of: plain JSON, and arrays by name."""

    @classmethod
    def from_parts(cls, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Prepares:
        """Return the preparation that `to_parts` described."""


def as_float_dtype(where: str, dtype: Any) -> np.dtype:
    """Return `dtype` as a NumPy dtype; OptionError unless it is float32 or float64."""
    if dtype_name(dtype) not in DTYPES:
        raise OptionError(f"{where}: dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    return np.dtype(dtype)


def preparation_of(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Prepares:
    """Return the preparation that its `to_parts` described, with its kind under "kind".

    Files of version 0.1.0 do not say the kind: theirs are images.
    """
    from handgrad.data.columns import TablePreprocessing
    from handgrad.data.preprocessing import Preprocessing
    from handgrad.data.scaling import ArrayPreprocessing

    kinds = {cls.kind: cls for cls in (Preprocessing, ArrayPreprocessing, TablePreprocessing)}
    kind = content.get("kind", Preprocessing.kind)
    if kind not in kinds:
        raise DataError(
            f"preprocessing: kind must be one of {', '.join(kinds)}, got {shown(kind)}; it was written "
            "by a later version"
        )
    return kinds[kind].from_parts(content, arrays)
