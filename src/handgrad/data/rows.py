"""Rows that become numbers when they are asked for, so that a data set stays as small as it was stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, MutableMapping
from math import prod
from typing import Any

import numpy as np

from handgrad.data.preparing import Prepares
from handgrad.engines.arrays import as_numpy
from handgrad.errors import check_size


class Rows:
    """The rows ``prepare(raw[chosen])``, each made when it is asked for.

    It has the ``shape``, ``dtype``, ``ndim``, ``size``, ``nbytes`` and ``len`` of the array that it stands
    for; ``rows[i]``, ``rows[2:5]`` and ``rows[array of places]`` are NumPy arrays, ``np.asarray(rows)`` is
    all of it.

    Args:
        raw: rows as they are stored, (N, ...): an array, which may be mapped from a file.
        prepare: what turns rows into X.
        chosen: places (n,) in `raw`; None is all of them.
        digest: a hash of `raw`, where it is known; else the rows themselves are hashed.

    >>> from handgrad.data import Preprocessing
    >>> pixels = np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2)
    >>> rows = Rows(pixels, Preprocessing.fit("mine", pixels))
    >>> rows.shape, rows[1].ravel().tolist()
    ((2, 1, 2, 2), [2.0, 2.0, 2.0, 2.0])
    """

    def __init__(
        self, raw: Any, prepare: Prepares, chosen: np.ndarray | None = None, digest: str = ""
    ) -> None:
        self.raw = raw
        self._digest = digest
        self.prepare = prepare
        self.chosen = np.arange(len(raw)) if chosen is None else np.asarray(chosen)
        self.shape = (len(self.chosen), *prepare.input_shape)
        self.dtype = prepare.dtype
        check_size("data set", "the rows", *self.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes that the array would take."""
        return self.size * self.dtype.itemsize

    @property
    def digest(self) -> str:
        """A SHA-256 of all that decides on the rows; "" where the hash of `raw` is not known."""
        if not self._digest:
            return ""
        content, arrays = self.prepare.to_parts()
        digest = hashlib.sha256(f"{self._digest} {content}".encode())
        for array in (self.chosen, *arrays.values()):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @property
    def is_finite(self) -> bool:
        """Whether no row can hold NaN or infinity, since its numbers are made of whole ones."""
        return np.dtype(self.raw.dtype).kind in "iu"

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return the prepared `rows`, given as for the first axis of an array."""
        chosen = self.chosen[rows]
        convert = getattr(self.prepare, "convert", self.prepare)  # what is stored was looked at
        if chosen.ndim == 0:
            return convert(self.stored(chosen[None]))[0]
        return convert(self.stored(chosen))

    def stored(self, chosen: np.ndarray) -> Any:
        """Return the rows at these places of `raw`, as they are stored."""
        return self.raw[chosen]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return all rows as one array."""
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)

    def __repr__(self) -> str:
        return f"Rows(shape={self.shape}, dtype={self.dtype})"


def as_rows(layer: str, name: str, value: Any) -> Any:
    """Return `value`, `Rows` as they are, anything else as a NumPy array."""
    return value if isinstance(value, Rows) else as_numpy(layer, name, value)


class Chosen:
    """Some rows of stored pixels, read by slices: what `Preprocessing.fit` measures.

    Args:
        images: stored images (N, C, H, W), whole numbers that are in their range.
        chosen: places (n,) of the rows.
    """

    def __init__(self, images: Any, chosen: np.ndarray) -> None:
        self._images, self._chosen = images, chosen
        self.shape = (len(chosen), *images.shape[1:])
        self.dtype, self.ndim = images.dtype, len(self.shape)

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self._images[self._chosen[rows]]


class LazyArrays(MutableMapping[str, np.ndarray]):
    """A dictionary of arrays that makes an array of `Rows` when it is first asked for, and keeps it.

    Attribute: rows, the dictionary with what is still `Rows`.
    """

    def __init__(self, rows: Mapping[str, Any]) -> None:
        self.rows: dict[str, Any] = dict(rows)

    def __getitem__(self, name: str) -> np.ndarray:
        value = self.rows[name]
        if isinstance(value, Rows):
            value = self.rows[name] = np.asarray(value)
        return value

    def __setitem__(self, name: str, value: np.ndarray) -> None:
        self.rows[name] = value

    def __delitem__(self, name: str) -> None:
        del self.rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def __repr__(self) -> str:
        shapes = {name: array.shape for name, array in self.rows.items()}
        return f"LazyArrays({shapes})"
