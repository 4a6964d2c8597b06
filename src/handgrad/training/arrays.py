"""Dictionaries of arrays by name: a model's parameters and running statistics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


def buffers_of(model: Any) -> Arrays:
    """Return the model's running statistics, {} where it has none."""
    return model.buffers() if hasattr(model, "buffers") else {}


def copied(arrays: Arrays) -> Arrays:
    """Return `arrays` with each array copied, in the same memory layout."""
    return {name: array.copy(order="K") for name, array in arrays.items()}


def all_finite(array: np.ndarray) -> bool:
    """Return whether `array` holds neither NaN nor infinity, mostly by one dot product."""
    if array.dtype.kind not in "fc":
        return True
    flat = array.ravel(order="K")
    # the sum of squares may overflow where every number is finite: then look at each
    return math.isfinite(np.vdot(flat, flat).real) or bool(np.isfinite(array).all())
