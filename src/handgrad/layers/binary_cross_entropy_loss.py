"""The binary cross-entropy of logits: each number of a row says yes or no by itself (multi-label).

With p = sigmoid(x[n, k]), w[n] the weight of row n and K the numbers of a row, W = sum_n w[n]:

    loss = -1/(K W) sum_{n, k} w[n] (y log p + (1 - y) log(1 - p))
    dx[n, k] = w[n] (p - y[n, k]) / (K W)

The logarithms are taken of the logits, so that nothing overflows and small losses keep their digits:

    -y log p - (1 - y) log(1 - p) = max(x, 0) - x y + log(1 + exp(-|x|))
"""

from __future__ import annotations

from typing import Any

from handgrad import engines
from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace
from handgrad.layers.sigmoid import sigmoid_and_slope
from handgrad.layers.signs import negative_part, positive_part
from handgrad.layers.targets import check_targets, expanded, row_weights


def binary_cross_entropy_loss(
    x: Array, y: Array, *, sample_weight: Any = None, engine: str | None = None
) -> tuple[Array, Array]:
    """Mean of ``-y log p - (1 - y) log(1 - p)`` with ``p = sigmoid(x)``, and its gradient.

    Args:
        x: logits, (N, ...); finite.
        y: targets in [0, 1] or booleans, the shape of x; (N,) goes with x (N, 1); any library's, or a list.
        sample_weight: how often each row counts, (N,), at least 0; None is once.
        engine: the engine for this call; None is the chosen one.

    Returns:
        loss, a scalar, and dx, the shape of x.

    Raises:
        ShapeError: x has no number, or y or sample_weight does not fit it.
        NonFiniteError: x or y holds NaN or an infinity.  LabelError: y is not in [0, 1].
        DtypeError: x is no array of numbers.  OptionError: a weight is negative.

    Source: D. R. Cox, "The regression analysis of binary sequences" (1958).

    >>> import numpy as np
    >>> loss, dx = binary_cross_entropy_loss(np.zeros((1, 2)), np.array([[0, 1]]))
    >>> round(float(loss), 4), dx.tolist()
    (0.6931, [[0.25, -0.25]])
    """
    x, y = check_targets("binary_cross_entropy_loss", x, y, 0.0, 1.0)
    weights = row_weights("binary_cross_entropy_loss", x, sample_weight)
    _, module = engines.select(engine, x)
    return module.binary_cross_entropy_loss(x, y, weights)


@vectorized.computes("binary_cross_entropy_loss")
def _loss(x: Array, y: Array, weights: Array) -> tuple[Array, Array]:
    xp = namespace(x)
    positive, negative = positive_part(x), negative_part(x)
    decay = xp.exp(negative - positive)  # exp(-|x|)
    p, _ = sigmoid_and_slope(x)
    # x (1 - y) above zero, -x y below it: no difference of large numbers
    values = positive * (1.0 - y) - negative * y + xp.log1p(decay)
    scale = expanded(weights, x)
    return xp.sum(scale * values), scale * (p - y)
