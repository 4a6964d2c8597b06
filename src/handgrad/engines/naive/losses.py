"""Losses, one row of scores at a time."""

from __future__ import annotations

import numpy as np


def softmax_loss(
    x: np.ndarray, y: np.ndarray, smoothing: float = 0.0
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
            loss -= target * log_p / N
            dx[n, c] = (np.exp(log_p) - target) / N
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
