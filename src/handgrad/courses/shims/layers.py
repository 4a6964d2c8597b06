"""The pairs that the courses name, or mean, differently from `handgrad.layers`.

``_naive`` is the engine of plain loops, so that the notebooks' comparison of naive and fast compares
two computations.  In the years that drop, ``dropout_param["p"]`` is the probability of dropping.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handgrad import layers
from handgrad.engines.arrays import Array
from handgrad.errors import as_number
from handgrad.layers.pair import Cache


def conv_forward_naive(
    x: Array, w: Array, b: Array, conv_param: dict[str, Any]
) -> tuple[Array, Cache]:
    """Convolution by plain loops; see `handgrad.layers.conv_forward`."""
    return layers.conv_forward(x, w, b, conv_param, engine="naive")


def conv_backward_naive(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients of `conv_forward_naive`: dx, dw, db."""
    return layers.conv_backward(dout, cache)


def max_pool_forward_naive(x: Array, pool_param: dict[str, Any]) -> tuple[Array, Cache]:
    """Max pooling by plain loops; see `handgrad.layers.max_pool_forward`."""
    return layers.max_pool_forward(x, pool_param, engine="naive")


def max_pool_backward_naive(dout: Array, cache: Cache) -> Array:
    """Gradient of `max_pool_forward_naive`: of equal maxima the first gets all of it."""
    return layers.max_pool_backward(dout, cache)


def keeping(dropout_param: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of `dropout_param` whose p, the probability of dropping, is that of keeping."""
    param = dict(dropout_param)
    if "p" in param:
        drop = as_number("dropout_forward", "p (the probability of dropping)", param["p"], 0, 1)
        param["p"] = 1 - drop
    return param


def dropout_forward_drop(x: Array, dropout_param: dict[str, Any]) -> tuple[Array, Cache]:
    """Inverted dropout where ``dropout_param["p"]`` is the probability of dropping.

    ``out = x * (rand < 1 - p) / (1 - p)`` in training; see `handgrad.layers.dropout_forward`.
    """
    return layers.dropout_forward(x, keeping(dropout_param))
