"""The softmax (cross-entropy) loss.

With p[n, c] = exp(x[n, c]) / sum_k exp(x[n, k]), the probability of class c for row n:

    loss = -1/N sum_n log p[n, y[n]]
    dx[n, c] = (p[n, c] - [c = y[n]]) / N

The logarithm is taken of the sum, after the row's largest score m is subtracted, so that nothing
overflows and nothing under the logarithm is below 1:

    log p[n, c] = x[n, c] - m - log sum_k exp(x[n, k] - m)

and the gradient follows from d(log sum_k exp x[k]) / dx[c] = p[c].

With label smoothing e the label's certainty is shared out, so that no score need go to infinity: in
place of [c = y[n]] stands the target

    q[n, c] = (1 - e) [c = y[n]] + e / C

    loss = -1/N sum_n sum_c q[n, c] log p[n, c]          dx[n, c] = (p[n, c] - q[n, c]) / N

With weights a row counts w[n] times, the weight of its label times its own: w[n] / sum_n w[n] stands in
the place of 1/N.
"""

from __future__ import annotations

from typing import Any

from handgrad import engines
from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, real_part
from handgrad.errors import as_number
from handgrad.layers.scores import check_scores, one_hot
from handgrad.layers.targets import class_weights


def softmax_loss(
    x: Array,
    y: Array,
    *,
    label_smoothing: float = 0.0,
    class_weight: Any = None,
    sample_weight: Any = None,
    engine: str | None = None,
) -> tuple[Array, Array]:
    """Mean negative log-probability of the labels, and its gradient.

    Args:
        x: scores, (N, C); finite, of any size.
        y: labels, (N,), integers in [0, C); a NumPy array or list goes with any library's x.
        label_smoothing: e, the share of each target that goes to all classes alike, in [0, 1].
        class_weight: how often a row of each class counts, (C,), at least 0; None is once.
        sample_weight: how often each row counts, (N,), at least 0; None is once.
        engine: the engine for this call; None is the chosen one.

    Returns:
        loss, a scalar, and dx, (N, C).

    Raises:
        ShapeError: x is not (N, C) with N and C at least 1, or y or weights do not fit.
        NonFiniteError: x holds NaN or an infinity.  LabelError: y holds no class number.
        DtypeError: x is no array of numbers.  OptionError: label_smoothing is not in [0, 1],
        or a weight is negative, or all are zero.

    Source: CS231n assignment 2, ``softmax_loss``; label smoothing: Szegedy et al. (2016),
    arXiv:1512.00567.
    """
    x, y = check_scores("softmax_loss", x, y)
    if type(label_smoothing) is not float or not 0.0 <= label_smoothing <= 1.0:
        label_smoothing = as_number("softmax_loss", "label_smoothing", label_smoothing, 0.0, 1.0)
    weights = None
    if class_weight is not None or sample_weight is not None:
        weights = class_weights("softmax_loss", x, y, class_weight, sample_weight)
    _, module = engines.select(engine, x)
    return module.softmax_loss(x, y, label_smoothing, weights)


@vectorized.computes("softmax_loss")
def _loss(
    x: Array, y: Array, smoothing: float = 0.0, weights: Array | None = None
) -> tuple[Array, Array]:
    xp = namespace(x)
    N, C = x.shape
    target = one_hot(x, y)
    if smoothing:
        target = (1.0 - smoothing) * target + smoothing / C
    shifted = x - xp.max(real_part(x), axis=1, keepdims=True)
    log_sum = xp.log(xp.sum(xp.exp(shifted), axis=1, keepdims=True))
    log_p = shifted - log_sum
    if weights is not None:
        w = xp.expand_dims(weights, axis=1)
        return -xp.sum(w * log_p * target), w * (xp.exp(log_p) - target)
    return -xp.sum(log_p * target) / N, (xp.exp(log_p) - target) / N
