"""The leaky rectified linear unit: a ReLU with a small slope on the negative side.

    out = x where x > 0, else alpha x
    dx = dout where x > 0, else alpha dout

At x = 0, where the function has a kink, the gradient is that of the negative side.
"""

from __future__ import annotations

from typing import NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote, real_part
from handgrad.errors import as_number, check_min_ndim
from handgrad.layers.pair import Cache, run_backward, run_forward
from handgrad.layers.signs import negative_part, positive_part


def leaky_relu_forward(
    x: Array, alpha: float = 0.01, *, engine: str | None = None
) -> tuple[Array, Cache]:
    """Leaky ReLU of each entry: ``out = x where x > 0, else alpha x``.

    Args:
        x: inputs, (N, ...).
        alpha: slope of the negative side, any finite number.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, the shape of x, and the cache (where x is positive) for `leaky_relu_backward`.

    Raises:
        ShapeError, DtypeError: x is not an array of real or complex numbers.
        OptionError: alpha is no finite number.

    Source: A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic
    models" (2013).
    """
    (x,) = promote("leaky_relu_forward", x=x)
    check_min_ndim("leaky_relu_forward", "x", x, 1, "(N, ...)")
    alpha = as_number("leaky_relu_forward", "alpha", alpha)
    return run_forward("leaky_relu", engine, (x,), alpha)


def leaky_relu_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `leaky_relu_forward`: ``dx = dout where x > 0, else alpha dout``.

    Args:
        dout: upstream gradient, the shape of x.
        cache: what `leaky_relu_forward` returned.

    Returns:
        dx, the shape of x.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("leaky_relu", dout, cache)


class Saved(NamedTuple):
    """positive: where x > 0, booleans in the shape of x; alpha: the slope elsewhere."""

    positive: Array
    alpha: float


@vectorized.computes("leaky_relu_forward")
def _forward(x: Array, alpha: float) -> tuple[Array, Saved]:
    out = positive_part(x) + alpha * negative_part(x)
    return out, Saved(real_part(x) > 0, alpha)


@vectorized.computes("leaky_relu_backward")
def _backward(dout: Array, saved: Saved) -> Array:
    positive = namespace(dout).astype(saved.positive, dout.dtype)
    return dout * (positive + saved.alpha * (1.0 - positive))
