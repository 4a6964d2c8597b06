"""Clipping of gradients by their norm: all of them together, so that their direction stays."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite, sqrt
from typing import Any

import numpy as np

from handgrad.engines.arrays import as_numpy
from handgrad.engines.weights import compiled_rules
from handgrad.errors import DtypeError, as_number, check_dictionary

_CHUNK = 1 << 16  # numbers squared at a time, in the cache


def global_norm(arrays: Mapping[str, Any]) -> float:
    """Return the square root of the sum of all squares, added up in float64.

    >>> global_norm({"w": np.array([3.0, 0.0]), "b": np.array([4.0])})
    5.0
    """
    check_dictionary("global_norm", "arrays", arrays)
    total = 0.0
    for name, value in arrays.items():
        array = as_numpy("global_norm", str(name), value)
        if array.dtype.kind not in "biuf":
            raise DtypeError(f"global_norm: {name} must hold real numbers, got {array.dtype}")
        compiled = compiled_rules(array)
        if compiled:
            total += compiled.squares(array)
            continue
        flat = array.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            total += float(np.sum(np.square(flat[start : start + _CHUNK], dtype=np.float64)))
    return sqrt(total) if isfinite(total) else inf


def clip_by_norm(grads: Mapping[str, Any], max_norm: float) -> tuple[dict[str, Any], float]:
    """Return `grads`, scaled down to the global norm `max_norm` if theirs is larger, and their norm.

    The arrays that came in are not changed: where nothing is scaled, they are returned as they are.
    A norm that is not finite is returned as infinity, and nothing is scaled.

    Source: Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063.

    >>> import numpy as np
    >>> grads, norm = clip_by_norm({'W': np.array([3.0, 4.0])}, 1.0)
    >>> grads['W'], norm
    (array([0.6, 0.8]), 5.0)
    """
    max_norm = as_number("clip_by_norm", "max_norm", max_norm, 0.0, open_low=True)
    norm = global_norm(grads)
    if norm <= max_norm or norm == inf:
        return dict(grads), norm
    factor = max_norm / norm
    return {name: factor * np.asarray(dw) for name, dw in grads.items()}, norm
