"""The mean squared error, of a regression.

With w[n] the weight of row n and K the numbers of a row, W = sum_n w[n]:

    loss = 1/(K W) sum_{n, k} w[n] (x[n, k] - y[n, k])^2
    dx[n, k] = 2 w[n] (x[n, k] - y[n, k]) / (K W)
"""

from __future__ import annotations

from typing import Any

from handgrad import engines
from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace
from handgrad.layers.targets import check_targets, expanded, row_weights


def mse_loss(
    x: Array, y: Array, *, sample_weight: Any = None, engine: str | None = None
) -> tuple[Array, Array]:
    """Mean of ``(x - y)^2``, and its gradient.

    Args:
        x: predictions, (N, ...); finite.
        y: targets, the shape of x; (N,) goes with x (N, 1); any library's, or a list.
        sample_weight: how often each row counts, (N,), at least 0; None is once.
        engine: the engine for this call; None is the chosen one.

    Returns:
        loss, a scalar, and dx, the shape of x.

    Raises:
        ShapeError: x has no number, or y or sample_weight does not fit it.
        NonFiniteError: x or y holds NaN or an infinity.
        DtypeError: x is no array of numbers.  OptionError: a weight is negative.

    Source: C. F. Gauss, "Theoria motus" (1809).

    >>> import numpy as np
    >>> loss, dx = mse_loss(np.array([[1.0], [3.0]]), np.array([1.0, 1.0]))
    >>> float(loss), dx.tolist()
    (2.0, [[0.0], [2.0]])
    """
    x, y = check_targets("mse_loss", x, y)
    weights = row_weights("mse_loss", x, sample_weight)
    _, module = engines.select(engine, x)
    return module.mse_loss(x, y, weights)


@vectorized.computes("mse_loss")
def _loss(x: Array, y: Array, weights: Array) -> tuple[Array, Array]:
    xp = namespace(x)
    difference = x - y
    scaled = expanded(weights, x) * difference
    return xp.sum(scaled * difference), 2.0 * scaled
