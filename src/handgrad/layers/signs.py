"""The parts of x above and below zero, of which the activations are made; branches look at the real part."""

from __future__ import annotations

from handgrad.engines.arrays import Array, namespace, real_part


def positive_part(x: Array) -> Array:
    """Return ``max(0, x)``."""
    xp = namespace(x)
    if xp.isdtype(x.dtype, "complex floating"):
        return xp.where(xp.real(x) > 0, x, 0.0)
    return xp.maximum(x, 0.0)


def negative_part(x: Array) -> Array:
    """Return ``min(0, x)``."""
    xp = namespace(x)
    if xp.isdtype(x.dtype, "complex floating"):
        return xp.where(xp.real(x) > 0, 0.0, x)
    return xp.minimum(x, 0.0)


def is_positive(x: Array) -> Array:
    """Return one where x > 0, else zero, in x's dtype: the slope of the positive part."""
    return namespace(x).astype(real_part(x) > 0, x.dtype)
