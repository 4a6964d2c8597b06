"""Dictionaries of arrays by name: a model's parameters and running statistics."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from handgrad.engines.weights import compiled_rules
from handgrad.nn.state import Stateful, changing

Arrays = dict[str, np.ndarray]


def buffers_of(model: Any) -> Arrays:
    """Return the model's running statistics, {} where it has none."""
    return model.buffers() if hasattr(model, "buffers") else {}


def steady(model: Any) -> AbstractContextManager[None]:
    """Let this thread see a network of the library as it is now, inside of the ``with`` block."""
    return model.fixed() if isinstance(model, Stateful) else nullcontext()


def commit(params: Any, updated: Arrays) -> None:
    """Put the new parameters of a step in place, in one step for those who look at a dictionary."""
    with changing:
        if type(params) is dict:
            params.update(updated)
            return
        for name, w in updated.items():
            params[name] = w


def copied(arrays: Arrays) -> Arrays:
    """Return `arrays` with each array copied, in the same memory layout."""
    return {name: array.copy(order="K") for name, array in arrays.items()}


def all_finite(array: np.ndarray) -> bool:
    """Return whether `array` holds neither NaN nor infinity, mostly by one sum."""
    if array.dtype.kind not in "fc":
        return True
    compiled = compiled_rules(array)
    if compiled:
        return bool(compiled.all_finite(array))
    flat = array.ravel(order="K")
    # No dot product: the threads of BLAS stop for ever if the process forks meanwhile.
    with np.errstate(all="ignore"):
        total = flat.sum()
    # it may overflow where every number is finite: then look at each
    return bool(np.isfinite(total)) or bool(np.isfinite(flat).all())
