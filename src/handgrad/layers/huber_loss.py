"""The Huber loss, of a regression that outliers pull with a limited force: squares near, lines far.

With r = x[n, k] - y[n, k], w[n] the weight of row n and K the numbers of a row, W = sum_n w[n]:

    l(r) = r^2 / 2 where |r| <= delta, else delta (|r| - delta / 2)
    loss = 1/(K W) sum_{n, k} w[n] l(r)
    dx[n, k] = w[n] clip(r, -delta, delta) / (K W)
"""

from __future__ import annotations

from typing import Any

from handgrad import engines
from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, real_part
from handgrad.errors import as_number
from handgrad.layers.targets import check_targets, expanded, row_weights


def huber_loss(
    x: Array, y: Array, *, delta: float = 1.0, sample_weight: Any = None, engine: str | None = None
) -> tuple[Array, Array]:
    """Mean of ``r^2 / 2``, of ``delta (|r| - delta / 2)`` where ``|r| = |x - y|`` is above delta.

    Args:
        x: predictions, (N, ...); finite.
        y: targets, the shape of x; (N,) goes with x (N, 1); any library's, or a list.
        delta: where squares become lines, above 0, in the unit of y.
        sample_weight: how often each row counts, (N,), at least 0; None is once.
        engine: the engine for this call; None is the chosen one.

    Returns:
        loss, a scalar, and dx, the shape of x.

    Raises:
        ShapeError: x has no number, or y or sample_weight does not fit it.
        NonFiniteError: x or y holds NaN or an infinity.
        DtypeError: x is no array of numbers.  OptionError: delta is not above 0, or a weight is negative.

    Source: P. J. Huber, "Robust estimation of a location parameter" (1964).

    >>> import numpy as np
    >>> loss, dx = huber_loss(np.array([0.5, 3.0]), np.zeros(2))
    >>> float(loss), dx.tolist()
    (1.3125, [0.25, 0.5])
    """
    delta = as_number("huber_loss", "delta", delta, 0.0, open_low=True)
    x, y = check_targets("huber_loss", x, y)
    weights = row_weights("huber_loss", x, sample_weight)
    _, module = engines.select(engine, x)
    return module.huber_loss(x, y, weights, delta)


@vectorized.computes("huber_loss")
def _loss(x: Array, y: Array, weights: Array, delta: float = 1.0) -> tuple[Array, Array]:
    xp = namespace(x)
    r = x - y
    sign = xp.astype(xp.sign(real_part(r)), x.dtype)
    far = xp.astype(xp.abs(real_part(r)) > delta, x.dtype)
    near = r * (1.0 - far)
    slope = near + far * sign * delta
    # beyond delta the line, and of the square what is near
    values = 0.5 * near * near + far * delta * (sign * r - 0.5 * delta)
    scale = expanded(weights, x)
    return xp.sum(scale * values), scale * slope
