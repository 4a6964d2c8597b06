"""The softmax (cross-entropy) loss.

With p[n, c] = exp(x[n, c]) / sum_k exp(x[n, k]), the probability of class c for row n:

    loss = -1/N sum_n log p[n, y[n]]
    dx[n, c] = (p[n, c] - [c = y[n]]) / N

The logarithm is taken of the sum, after the row's largest score m is subtracted, so that nothing
overflows and nothing under the logarithm is below 1:

    log p[n, c] = x[n, c] - m - log sum_k exp(x[n, k] - m)

and the gradient follows from d(log sum_k exp x[k]) / dx[c] = p[c].
"""

from __future__ import annotations

from handgrad import engines
from handgrad.engines.arrays import Array
from handgrad.layers.scores import check_scores


def softmax_loss(x: Array, y: Array, *, engine: str | None = None) -> tuple[Array, Array]:
    """Mean negative log-probability of the labels, and its gradient.

    Args:
        x: scores, (N, C); finite, of any size.
        y: labels, (N,), integers in [0, C); a NumPy array or list goes with any library's x.
        engine: the engine for this call; None is the chosen one.

    Returns:
        loss, a scalar, and dx, (N, C).

    Raises:
        ShapeError: x is not (N, C) with N and C at least 1, or y is not (N,).
        NonFiniteError: x holds NaN or an infinity.  LabelError: y holds no class number.
        DtypeError: x is no array of numbers.

    Source: CS231n assignment 2, ``softmax_loss``.
    """
    x, y = check_scores("softmax_loss", x, y)
    _, module = engines.select(engine, x)
    return module.softmax_loss(x, y)
