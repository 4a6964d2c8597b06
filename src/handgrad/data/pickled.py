"""The pickled batches of CIFAR-10, read without running them (`handgrad.data.machine`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.data.machine import Array, Reader, is_a
from handgrad.errors import DataError


def read_batch(content: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read one pickled batch.

    Args:
        content: the file's bytes.
        name: the file's name, for messages.

    Returns:
        rows (N, D) uint8, a read-only view of `content`; labels (N,) int64.

    Raises:
        DataError: the content is anything but a dictionary of 'data' (a uint8 array) and 'labels' (a list
            of N integers), with or without 'batch_label' and 'filenames'.
    """
    batch = _read_dictionary(content, name, {"data", "labels"}, {"batch_label", "filenames"})
    array, labels = batch["data"], batch["labels"]
    if not is_a(array, Array) or array.value is None:
        raise DataError(f"{name}: 'data' must be a uint8 array, got {type(array).__name__}")
    if not is_a(labels, list) or not all(is_a(label, int) for label in labels):
        raise DataError(f"{name}: 'labels' must be a list of integers")
    if len(labels) != len(array.value):
        raise DataError(f"{name}: {len(array.value)} images but {len(labels)} labels")
    return array.value, np.array(labels, np.int64)


def read_label_names(content: bytes, name: str) -> tuple[str, ...]:
    """Read the class names of a pickled ``batches.meta``; DataError if it is anything else."""
    meta = _read_dictionary(content, name, {"label_names"}, {"num_cases_per_batch", "num_vis"})
    names = meta["label_names"]
    if not is_a(names, list) or not all(is_a(each, str) for each in names):
        raise DataError(f"{name}: 'label_names' must be a list of strings")
    return tuple(names)


def _read_dictionary(
    content: bytes, name: str, needed: set[str], optional: set[str]
) -> dict[str, Any]:
    """The pickled dictionary, with exactly the keys of `needed` and some of `optional`."""
    value = Reader(content, name).read()
    if not is_a(value, dict):
        raise DataError(f"{name}: not a CIFAR-10 batch: a {type(value).__name__}, no dictionary")
    if not needed <= set(value) <= needed | optional:
        keys = ", ".join(repr(key[:40]) for key in list(value)[:8])
        raise DataError(f"{name}: expected the keys {sorted(needed | optional)}, got {keys}")
    return value
