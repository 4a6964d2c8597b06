"""The focal loss: the softmax loss, in which rows that are right already count less.

With p[n] the probability of the label y[n], q[n] = log p[n], and w[n] the weight of row n, W = sum_n w[n]:

    loss = -1/W sum_n w[n] (1 - p[n])^g q[n]
    dx[n, c] = w[n]/W s[n] ([c = y[n]] - p[n, c])
    s = d(-(1 - p)^g q) / dq = (1 - p)^g (g p q / (1 - p) - 1)

since dq[n] / dx[n, c] = [c = y[n]] - p[n, c].  Where p is 1, q / (1 - p) has the limit -1.  With g = 0
it is the softmax loss.
"""

from __future__ import annotations

from typing import Any

from handgrad import engines
from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, real_part
from handgrad.errors import as_number
from handgrad.layers.scores import check_scores, one_hot
from handgrad.layers.targets import class_weights, row_weights


def focal_loss(
    x: Array,
    y: Array,
    *,
    gamma: float = 2.0,
    class_weight: Any = None,
    sample_weight: Any = None,
    engine: str | None = None,
) -> tuple[Array, Array]:
    """Mean of ``-(1 - p)^gamma log p`` with p the probability of the label, and its gradient.

    Args:
        x: scores, (N, C); finite, of any size.
        y: labels, (N,), integers in [0, C); a NumPy array or list goes with any library's x.
        gamma: how much less the rows that are right count, at least 0.
        class_weight: how often a row of each class counts, (C,), at least 0; None is once.
        sample_weight: how often each row counts, (N,), at least 0; None is once.
        engine: the engine for this call; None is the chosen one.

    Returns:
        loss, a scalar, and dx, (N, C).

    Raises:
        ShapeError: x is not (N, C) with N and C at least 1, or y or weights do not fit.
        NonFiniteError: x holds NaN or an infinity.  LabelError: y holds no class number.
        DtypeError: x is no array of numbers.  OptionError: gamma or a weight is negative.

    Source: T.-Y. Lin et al. (2017), arXiv:1708.02002.

    >>> import numpy as np
    >>> loss, dx = focal_loss(np.zeros((1, 2)), np.array([0]))
    >>> round(float(loss), 4)
    0.1733
    """
    x, y = check_scores("focal_loss", x, y)
    gamma = as_number("focal_loss", "gamma", gamma, 0.0)
    weights = class_weights("focal_loss", x, y, class_weight, sample_weight)
    if weights is None:
        weights = row_weights("focal_loss", x, None)
    _, module = engines.select(engine, x)
    return module.focal_loss(x, y, weights, gamma)


@vectorized.computes("focal_loss")
def _loss(x: Array, y: Array, weights: Array, gamma: float = 2.0) -> tuple[Array, Array]:
    xp = namespace(x)
    target = one_hot(x, y)
    shifted = x - xp.max(real_part(x), axis=1, keepdims=True)
    log_p = shifted - xp.log(xp.sum(xp.exp(shifted), axis=1, keepdims=True))
    q = xp.sum(log_p * target, axis=1, keepdims=True)
    rest = -xp.expm1(q)  # 1 - p
    is_sure = xp.astype(real_part(rest) <= 0, x.dtype)
    ratio = q / (rest + is_sure) * (1.0 - is_sure) - is_sure
    share = rest**gamma if gamma else xp.ones_like(rest)
    slope = share * (gamma * xp.exp(q) * ratio - 1.0) * xp.expand_dims(weights, axis=1)
    loss = -xp.sum(xp.expand_dims(weights, axis=1) * share * q)
    return loss, slope * (target - xp.exp(log_p))
