"""Losses, one row of scores, or one prediction and its target, at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def softmax_loss(
    x: np.ndarray, y: np.ndarray, smoothing: float = 0.0, weights: np.ndarray | None = None
) -> tuple[np.generic, np.ndarray]:
    N, C = x.shape
    dx = np.zeros_like(x)
    loss = x.dtype.type(0)
    for n in range(N):
        largest = max(score.real for score in x[n])
        log_sum = np.log(sum(np.exp(score - largest) for score in x[n]))
        for c in range(C):
            log_p = x[n, c] - largest - log_sum
            target = (1 - smoothing) * float(c == y[n]) + smoothing / C
            if weights is None:
                loss -= target * log_p / N
                dx[n, c] = (np.exp(log_p) - target) / N
            else:
                loss -= weights[n] * target * log_p
                dx[n, c] = weights[n] * (np.exp(log_p) - target)
    return loss, dx


def svm_loss(x: np.ndarray, y: np.ndarray) -> tuple[np.generic, np.ndarray]:
    N, C = x.shape
    dx = np.zeros_like(x)
    loss = x.dtype.type(0)
    for n in range(N):
        for c in range(C):
            margin = x[n, c] - x[n, y[n]] + 1
            if c != y[n] and margin.real > 0:
                loss += margin / N
                dx[n, c] += 1 / N
                dx[n, y[n]] -= 1 / N
    return loss, dx


def focal_loss(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, gamma: float = 2.0
) -> tuple[np.generic, np.ndarray]:
    N, C = x.shape
    dx = np.zeros_like(x)
    loss = x.dtype.type(0)
    for n in range(N):
        largest = max(score.real for score in x[n])
        log_sum = np.log(sum(np.exp(score - largest) for score in x[n]))
        q = x[n, y[n]] - largest - log_sum
        rest = -np.expm1(q)  # 1 - p
        ratio = q / rest if rest.real > 0 else -1
        loss -= weights[n] * rest**gamma * q
        slope = weights[n] * rest**gamma * (gamma * np.exp(q) * ratio - 1)
        for c in range(C):
            dx[n, c] = slope * ((c == y[n]) - np.exp(x[n, c] - largest - log_sum))
    return loss, dx


def _over_numbers(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, one: Callable[[Any, Any], tuple[Any, Any]]
) -> tuple[np.generic, np.ndarray]:
    """Return the weighted mean of a loss of single numbers: ``one(x, y)`` is it and its slope."""
    dx = np.zeros_like(x)
    loss = x.dtype.type(0)
    for place in np.ndindex(x.shape):
        share = weights[place[0]] / (x.size // len(x))
        value, slope = one(x[place], y[place])
        loss += share * value
        dx[place] = share * slope
    return loss, dx


def mse_loss(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.generic, np.ndarray]:
    return _over_numbers(x, y, weights, lambda a, b: ((a - b) * (a - b), 2 * (a - b)))


def absolute_loss(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> tuple[np.generic, np.ndarray]:
    def one(a: Any, b: Any) -> tuple[Any, Any]:
        if (a - b).real == 0:
            return 0, 0
        return (a - b, 1) if (a - b).real > 0 else (b - a, -1)

    return _over_numbers(x, y, weights, one)


def huber_loss(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, delta: float = 1.0
) -> tuple[np.generic, np.ndarray]:
    def one(a: Any, b: Any) -> tuple[Any, Any]:
        r = a - b
        if abs(r.real) <= delta:
            return r * r / 2, r
        sign = 1 if r.real > 0 else -1
        return delta * (sign * r - delta / 2), sign * delta

    return _over_numbers(x, y, weights, one)


def quantile_loss(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, quantile: float = 0.5
) -> tuple[np.generic, np.ndarray]:
    def one(a: Any, b: Any) -> tuple[Any, Any]:
        r = b - a
        if r.real == 0:
            return 0, 0
        return (quantile * r, -quantile) if r.real > 0 else ((quantile - 1) * r, 1 - quantile)

    return _over_numbers(x, y, weights, one)


def binary_cross_entropy_loss(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> tuple[np.generic, np.ndarray]:
    def one(a: Any, b: Any) -> tuple[Any, Any]:
        if a.real > 0:
            decay = np.exp(-a)
            return a * (1 - b) + np.log1p(decay), 1 / (1 + decay) - b
        decay = np.exp(a)
        return -a * b + np.log1p(decay), decay / (1 + decay) - b

    return _over_numbers(x, y, weights, one)


def poisson_loss(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> tuple[np.generic, np.ndarray]:
    return _over_numbers(x, y, weights, lambda a, b: (np.exp(a) - b * a, np.exp(a) - b))
