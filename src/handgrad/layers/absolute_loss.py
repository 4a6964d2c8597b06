"""The mean absolute error, of a regression to the median.

With w[n] the weight of row n and K the numbers of a row, W = sum_n w[n]:

    loss = 1/(K W) sum_{n, k} w[n] |x[n, k] - y[n, k]|
    dx[n, k] = w[n] sign(x[n, k] - y[n, k]) / (K W)

At x = y, where the function has a kink, the gradient is 0.
"""

from __future__ import annotations

from typing import Any

from handgrad import engines
from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, real_part
from handgrad.layers.targets import check_targets, expanded, row_weights


def absolute_loss(
    x: Array, y: Array, *, sample_weight: Any = None, engine: str | None = None
) -> tuple[Array, Array]:
    """Mean of ``|x - y|``, and its gradient.

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

    Source: P.-S. Laplace, "Mecanique celeste" (1799).

    >>> import numpy as np
    >>> loss, dx = absolute_loss(np.array([1.0, 3.0]), np.array([2.0, 1.0]))
    >>> float(loss), dx.tolist()
    (1.5, [-0.5, 0.5])
    """
    x, y = check_targets("absolute_loss", x, y)
    weights = row_weights("absolute_loss", x, sample_weight)
    _, module = engines.select(engine, x)
    return module.absolute_loss(x, y, weights)


@vectorized.computes("absolute_loss")
def _loss(x: Array, y: Array, weights: Array) -> tuple[Array, Array]:
    xp = namespace(x)
    difference = x - y
    signs = xp.astype(xp.sign(real_part(difference)), x.dtype)
    slope = expanded(weights, x) * signs
    return xp.sum(slope * difference), slope
