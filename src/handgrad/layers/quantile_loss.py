"""The quantile (pinball) loss: its least value is at the q-th quantile of the targets.

With r = y[n, k] - x[n, k], w[n] the weight of row n and K the numbers of a row, W = sum_n w[n]:

    loss = 1/(K W) sum_{n, k} w[n] (q r where r > 0, else (q - 1) r)
    dx[n, k] = w[n] (-q where r > 0, 1 - q where r < 0) / (K W)

At x = y, where the function has a kink, the gradient is 0.
"""

from __future__ import annotations

from typing import Any

from handgrad import engines
from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, real_part
from handgrad.errors import as_number
from handgrad.layers.targets import check_targets, expanded, row_weights


def quantile_loss(
    x: Array,
    y: Array,
    *,
    quantile: float = 0.5,
    sample_weight: Any = None,
    engine: str | None = None,
) -> tuple[Array, Array]:
    """Mean of ``q r``, of ``(q - 1) r`` where ``r = y - x`` is below 0.

    Args:
        x: predictions, (N, ...); finite.
        y: targets, the shape of x; (N,) goes with x (N, 1); any library's, or a list.
        quantile: q, in (0, 1).
        sample_weight: how often each row counts, (N,), at least 0; None is once.
        engine: the engine for this call; None is the chosen one.

    Returns:
        loss, a scalar, and dx, the shape of x.

    Raises:
        ShapeError: x has no number, or y or sample_weight does not fit it.
        NonFiniteError: x or y holds NaN or an infinity.
        DtypeError: x is no array of numbers.  OptionError: quantile is not in (0, 1), or a weight is
        negative.

    Source: R. Koenker, G. Bassett, "Regression quantiles" (1978).

    >>> import numpy as np
    >>> loss, dx = quantile_loss(np.array([1.0, 3.0]), np.array([2.0, 2.0]), quantile=0.75)
    >>> float(loss), dx.tolist()
    (0.5, [-0.375, 0.125])
    """
    quantile = as_number(
        "quantile_loss", "quantile", quantile, 0.0, 1.0, open_low=True, open_high=True
    )
    x, y = check_targets("quantile_loss", x, y)
    weights = row_weights("quantile_loss", x, sample_weight)
    _, module = engines.select(engine, x)
    return module.quantile_loss(x, y, weights, quantile)


@vectorized.computes("quantile_loss")
def _loss(x: Array, y: Array, weights: Array, quantile: float = 0.5) -> tuple[Array, Array]:
    xp = namespace(x)
    r = y - x
    above = xp.astype(real_part(r) > 0, x.dtype)
    below = xp.astype(real_part(r) < 0, x.dtype)
    slope = expanded(weights, x) * (below * (1.0 - quantile) - above * quantile)
    return -xp.sum(slope * r), slope
