"""The Poisson loss of logarithms of rates: for counts.

With w[n] the weight of row n and K the numbers of a row, W = sum_n w[n], without the term of y alone:

    loss = 1/(K W) sum_{n, k} w[n] (exp(x[n, k]) - y[n, k] x[n, k])
    dx[n, k] = w[n] (exp(x[n, k]) - y[n, k]) / (K W)
"""

from __future__ import annotations

from typing import Any

from handgrad import engines
from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, real_part
from handgrad.errors import NonFiniteError
from handgrad.layers.targets import check_targets, expanded, row_weights

_LARGEST_32, _LARGEST_64 = 88.0, 709.0  # whose exponentials are numbers of float32 and float64


def poisson_loss(
    x: Array, y: Array, *, sample_weight: Any = None, engine: str | None = None
) -> tuple[Array, Array]:
    """Mean of ``exp(x) - y x``, the negative log-likelihood of the rates ``exp(x)``, and its gradient.

    Args:
        x: logarithms of rates, (N, ...); finite.
        y: targets, at least 0, the shape of x; (N,) goes with x (N, 1); any library's, or a list.
        sample_weight: how often each row counts, (N,), at least 0; None is once.
        engine: the engine for this call; None is the chosen one.

    Returns:
        loss, a scalar, and dx, the shape of x.

    Raises:
        ShapeError: x has no number, or y or sample_weight does not fit it.
        NonFiniteError: x or y holds NaN or an infinity, or exp(x) would be one.  LabelError: y is negative.
        DtypeError: x is no array of numbers.  OptionError: a weight is negative.

    Source: J. A. Nelder, R. W. M. Wedderburn, "Generalized linear models" (1972).

    >>> import numpy as np
    >>> loss, dx = poisson_loss(np.zeros(2), np.array([1, 3]))
    >>> float(loss), dx.tolist()
    (1.0, [0.0, -1.0])
    """
    x, y = check_targets("poisson_loss", x, y, 0.0)
    xp = namespace(x)
    largest = float(xp.max(real_part(x)))
    if largest > (_LARGEST_32 if x.dtype == xp.float32 else _LARGEST_64):
        raise NonFiniteError(
            f"poisson_loss: the rate exp(x) must be finite, got x up to {largest:g}, where x are "
            "logarithms of rates"
        )
    weights = row_weights("poisson_loss", x, sample_weight)
    _, module = engines.select(engine, x)
    return module.poisson_loss(x, y, weights)


@vectorized.computes("poisson_loss")
def _loss(x: Array, y: Array, weights: Array) -> tuple[Array, Array]:
    xp = namespace(x)
    rate = xp.exp(x)
    scale = expanded(weights, x)
    return xp.sum(scale * (rate - y * x)), scale * (rate - y)
