"""Passes over a model's weights: the update rules that an engine has compiled, and the penalty."""

from __future__ import annotations

from functools import cache
from types import ModuleType

import numpy as np

from handgrad import engines
from handgrad.engines.arrays import Array

_COMPILED_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def compiled_rules(w: Array, *others: Array) -> ModuleType | None:
    """Return the chosen engine's own update rules, where it has them for these arrays of one dtype."""
    if type(w) is not np.ndarray or w.dtype not in _COMPILED_DTYPES or not w.flags.aligned:
        return None
    dtype = w.dtype
    for array in others:
        if type(array) is not np.ndarray or array.dtype != dtype or not array.flags.aligned:
            return None
    return _updates() if engines.current() in ("auto", "native") else None


@cache
def _updates() -> ModuleType | None:
    """Return the update rules of the native engine, None where it is not built."""
    if "native" not in engines.available():
        return None
    rules: ModuleType = engines.get("native").updates
    return rules


def with_penalty(w: Array, dw: Array, reg: float) -> tuple[Array, float]:
    """Return ``dw + reg w`` and ``reg/2 sum(w^2)``: a model's regularisation of the weights w."""
    compiled = compiled_rules(w, dw)
    if compiled:
        total, squares = compiled.penalty(w, dw, reg)
        return total, 0.5 * reg * squares
    return dw + reg * w, 0.5 * reg * np.sum(w * w).item()
