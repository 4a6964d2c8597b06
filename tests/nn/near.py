"""Numbers with bounds on how far others may be from them: what a step in bf16 may differ from the exact one.

A `Near` holds exact numbers v and radii r: the numbers of the step in bf16 lie within r of v.  Each function
makes the radii of its result of those of its arguments, and of the roundings that the step does there:

    stored     a number is rounded to bf16, which has 8 significant bits: at most BF16 = 2^-8 of its size
    float32    a sum of n terms: at most n FLOAT32 / (1 - n FLOAT32) of the sum of their sizes

Nothing here is measured.  Source: N. Higham, Accuracy and Stability of Numerical Algorithms (2002), 3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

BF16, FLOAT32 = 2.0**-8, 2.0**-24
TINY = 2.0**-120  # products may take what is smaller for zero


class Near(NamedTuple):
    v: np.ndarray
    r: np.ndarray

    @property
    def size(self) -> np.ndarray:
        return np.abs(self.v) + self.r

    @property
    def T(self) -> Near:
        return Near(self.v.T, self.r.T)

    def reshape(self, *shape: int) -> Near:
        return Near(self.v.reshape(shape), self.r.reshape(shape))

    def __getitem__(self, key: Any) -> Near:
        return Near(self.v[key], self.r[key])


def given(v: Any) -> Near:
    """Numbers that both steps start from."""
    v = np.asarray(v, np.float64)
    return Near(v, np.zeros_like(v))


def stored(x: Near) -> Near:
    return Near(x.v, x.r + BF16 * x.size + TINY)


def summed(v: np.ndarray, r: np.ndarray, sizes: np.ndarray, n: int) -> Near:
    """A sum of n terms in float32, to which their own radii do r; sizes: of the terms, summed."""
    n += 1
    return Near(v, r + n * FLOAT32 / (1 - n * FLOAT32) * sizes + n * TINY)


def plus(a: Near, b: Near) -> Near:
    return summed(a.v + b.v, a.r + b.r, a.size + b.size, 2)


def minus(a: Near, b: Near) -> Near:
    return plus(a, Near(-b.v, b.r))


def times(a: Near, b: Near) -> Near:
    return summed(a.v * b.v, np.abs(a.v) * b.r + a.r * b.size, a.size * b.size, 1)


def product(a: Near, b: Near) -> Near:
    r = np.abs(a.v) @ b.r + a.r @ b.size
    return summed(a.v @ b.v, r, a.size @ b.size, a.v.shape[-1])


def rows_summed(x: Near) -> Near:
    return summed(x.v.sum(axis=0), x.r.sum(axis=0), x.size.sum(axis=0), len(x.v))


def root(x: Near) -> Near:
    least = x.v - x.r
    assert (least > 0).all()
    return summed(np.sqrt(x.v), x.r / np.sqrt(least) / 2, np.sqrt(x.size), 1)


def inverse(x: Near) -> Near:
    least = np.abs(x.v) - x.r
    assert (least > 0).all()
    return summed(1 / x.v, x.r / least / np.abs(x.v), 1 / least, 1)


def rectified(x: Near) -> Near:
    return Near(np.maximum(x.v, 0), np.where(x.v < -x.r, 0, x.r))


def opened(dout: Near, x: Near) -> Near:
    """The gradient behind a ReLU of x: where the sign of x is open, it may be dout or zero."""
    is_open = np.abs(x.v) <= x.r
    return Near(
        np.where(x.v > 0, dout.v, 0), np.where(is_open, dout.size, np.where(x.v > 0, dout.r, 0))
    )


def softmax(scores: Near, y: np.ndarray) -> tuple[Near, Near]:
    """The loss, and its gradient; scores within R of a row's move each share p by exp(2 R) at most."""
    n, rows = len(y), np.arange(len(y))
    shifted = scores.v - scores.v.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    loss = -(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))[rows, y].mean()
    reach = scores.r.max(axis=1, keepdims=True)
    terms = np.abs(scores.v).max(axis=1, keepdims=True) + reach + np.log(scores.v.shape[1]) + 1
    classes = 8 * scores.v.shape[1]  # a float32 exponential is within a few units of its last place
    loss_of = summed(loss, (2 * reach).mean(), terms.mean(), classes + n)
    d = p.copy()
    d[rows, y] -= 1
    return loss_of, summed(d / n, p * np.expm1(2 * reach) / n, (p + 1) / n, classes)


def patches(x: Near, size: int, pad: int) -> Near:
    """(N H W, C size size), of images (N, C, H, W)."""

    def of(a: np.ndarray) -> np.ndarray:
        padded = np.pad(a, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (2, 3))
        return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, a.shape[1] * size * size)

    return Near(of(x.v), of(x.r))


def largest(x: Near) -> tuple[Near, np.ndarray, np.ndarray]:
    """Pool (N, C, H, W) by 2 x 2; also which place is the largest, and which ones may be."""
    N, C, H, W = x.v.shape

    def windows(a: np.ndarray) -> np.ndarray:
        return a.reshape(N, C, H // 2, 2, W // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(-1, 4)

    v, r = windows(x.v), windows(x.r)
    best = v.argmax(axis=1)
    chosen = np.arange(4) == best[:, None]
    may = v + r >= (v - r).max(axis=1, keepdims=True)
    out = Near(v.max(axis=1), np.where(may, r, 0).max(axis=1))
    return out.reshape(N, C, H // 2, W // 2), chosen, may


def handed_down(dout: Near, chosen: np.ndarray, may: np.ndarray) -> Near:
    """The gradient in front of `largest`."""
    N, C, OH, OW = dout.v.shape
    d, r = dout.v.reshape(-1, 1), dout.r.reshape(-1, 1)
    is_sure = may.sum(axis=1, keepdims=True) == 1
    radius = np.where(may, np.where(is_sure, r, np.abs(d) + r), 0)

    def images(a: np.ndarray) -> np.ndarray:
        return (
            a.reshape(N, C, OH, OW, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(N, C, 2 * OH, 2 * OW)
        )

    return Near(images(chosen * d), images(radius))
