"""The multiclass support vector machine (hinge) loss, of Weston and Watkins.

Every other class whose score comes within 1 of the label's costs the difference:

    margin[n, c] = max(0, x[n, c] - x[n, y[n]] + 1) for c != y[n], and 0 for c = y[n]
    loss = 1/N sum_n sum_c margin[n, c]
    dx[n, c] = [margin[n, c] > 0] / N for c != y[n]
    dx[n, y[n]] = -(number of margin[n, :] > 0) / N

At a margin of exactly 0, where the function has a kink, the gradient is 0.
"""

from __future__ import annotations

from handgrad import engines
from handgrad.engines import vectorized
from handgrad.engines.arrays import Array, namespace, real_part
from handgrad.layers.scores import check_scores, one_hot


def svm_loss(x: Array, y: Array, *, engine: str | None = None) -> tuple[Array, Array]:
    """Mean sum of the margins that are violated, and its gradient.

    Args:
        x: scores, (N, C); finite.
        y: labels, (N,), integers in [0, C); a NumPy array or list goes with any library's x.
        engine: the engine for this call; None is the chosen one.

    Returns:
        loss, a scalar, and dx, (N, C).

    Raises:
        ShapeError: x is not (N, C) with N and C at least 1, or y is not (N,).
        NonFiniteError: x holds NaN or an infinity.  LabelError: y holds no class number.
        DtypeError: x is no array of numbers.

    Source: CS231n assignments 1 and 2, ``svm_loss``; J. Weston, C. Watkins, "Support vector
    machines for multi-class pattern recognition" (1999).
    """
    x, y = check_scores("svm_loss", x, y)
    _, module = engines.select(engine, x)
    return module.svm_loss(x, y)


@vectorized.computes("svm_loss")
def _loss(x: Array, y: Array) -> tuple[Array, Array]:
    xp = namespace(x)
    N = x.shape[0]
    target = one_hot(x, y)
    correct = xp.sum(x * target, axis=1, keepdims=True)
    margins = (x - correct + 1.0) * (1.0 - target)
    violated = xp.astype(real_part(margins) > 0, x.dtype)
    count = xp.sum(violated, axis=1, keepdims=True)
    return xp.sum(margins * violated) / N, (violated - count * target) / N
