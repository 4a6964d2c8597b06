"""Losses over rows of scores, with the labels as one-hot rows."""

from __future__ import annotations

from handgrad.engines.arrays import Array, namespace, real_part


def softmax_loss(x: Array, y: Array, smoothing: float = 0.0) -> tuple[Array, Array]:
    xp = namespace(x)
    N, C = x.shape
    target = _one_hot(x, y)
    if smoothing:
        target = (1.0 - smoothing) * target + smoothing / C
    shifted = x - xp.max(real_part(x), axis=1, keepdims=True)
    log_sum = xp.log(xp.sum(xp.exp(shifted), axis=1, keepdims=True))
    log_p = shifted - log_sum
    return -xp.sum(log_p * target) / N, (xp.exp(log_p) - target) / N


def svm_loss(x: Array, y: Array) -> tuple[Array, Array]:
    xp = namespace(x)
    N = x.shape[0]
    target = _one_hot(x, y)
    correct = xp.sum(x * target, axis=1, keepdims=True)
    margins = (x - correct + 1.0) * (1.0 - target)
    violated = xp.astype(real_part(margins) > 0, x.dtype)
    count = xp.sum(violated, axis=1, keepdims=True)
    return xp.sum(margins * violated) / N, (violated - count * target) / N


def _one_hot(x: Array, y: Array) -> Array:
    """Rows of zeros with a one at the label, (N, C), in x's dtype."""
    xp = namespace(x)
    classes = xp.arange(x.shape[1], device=x.device)
    return xp.astype(xp.expand_dims(y, axis=1) == classes, x.dtype)
