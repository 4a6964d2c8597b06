"""The exponential linear unit.

    out = x where x > 0, else alpha (exp(x) - 1)
    dx = dout where x > 0, else alpha exp(x) dout

At x = 0 the gradient is that of the negative side, alpha; the two sides agree for alpha = 1.
"""

from __future__ import annotations

from typing import NamedTuple

from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, promote
from handgrad.errors import as_number, check_min_ndim
from handgrad.layers.pair import Cache, run_backward, run_forward
from handgrad.layers.signs import is_positive, negative_part, positive_part


def elu_forward(x: Array, alpha: float = 1.0, *, engine: str | None = None) -> tuple[Array, Cache]:
    """Exponential linear unit: ``out = x where x > 0, else alpha (exp(x) - 1)``.

    Args:
        x: inputs, (N, ...).
        alpha: minus the limit for large negative x, any finite number.
        engine: the engine for this call; None is the chosen one.

    Returns:
        out, the shape of x, and the cache (x and alpha) for `elu_backward`.

    Raises:
        ShapeError, DtypeError: x is not an array of real or complex numbers.
        OptionError: alpha is no finite number.

    Source: D. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by
    exponential linear units" (2016).
    """
    (x,) = promote("elu_forward", x=x)
    check_min_ndim("elu_forward", "x", x, 1, "(N, ...)")
    alpha = as_number("elu_forward", "alpha", alpha)
    return run_forward("elu", engine, (x,), alpha)


def elu_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `elu_forward`: ``dx = dout where x > 0, else alpha exp(x) dout``.

    Args:
        dout: upstream gradient, the shape of x.
        cache: what `elu_forward` returned.

    Returns:
        dx, the shape of x.

    Raises:
        ShapeError: dout does not have the output's shape.  CacheError: cache is another layer's.
    """
    return run_backward("elu", dout, cache)


class Saved(NamedTuple):
    """x: as it came; alpha: minus the limit for large negative x."""

    x: Array
    alpha: float


@vectorized.computes("elu_forward")
def _forward(x: Array, alpha: float) -> tuple[Array, Saved]:
    out = positive_part(x) + alpha * namespace(x).expm1(negative_part(x))
    return out, Saved(x, alpha)


@vectorized.computes("elu_backward")
def _backward(dout: Array, saved: Saved) -> Array:
    x, alpha = saved
    positive = is_positive(x)
    slope = alpha * namespace(x).exp(negative_part(x))
    return dout * (positive + slope * (1.0 - positive))
