"""What goes into a plan of training steps, and what comes out of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]


class Options(NamedTuple):
    """What a plan is made for, beside the network.

    Attributes:
        shape: of a batch.
        targets: numbers of a row of y, None for labels.
        rule: the name of the update rule.
        frozen: parameters that stay.
        clips, averages: whether gradients are clipped, weights averaged.
        decayed: parameters with an l2 of their own.
        weighted: whether rows count as often as weights say.
        is_half: whether values of layers are stored in bf16, and products have factors of it.
    """

    shape: tuple[int, ...]
    targets: int | None
    rule: str
    frozen: frozenset[str] = frozenset()
    clips: bool = False
    averages: bool = False
    decayed: frozenset[str] = frozenset()
    weighted: bool = False
    is_half: bool = False


class Feed(NamedTuple):
    """The rows that batches are taken from.

    Attributes:
        X: (N, ...), float32 or float64, or bytes.
        y: (N,) int64 or (N, K) float64.
        prepare: of bytes the table (channels, 256) of their numbers, or mean and std of all numbers of
            a row.
        y_dtype: what a loss that Python computes takes y for, None for that of y.
    """

    X: np.ndarray
    y: np.ndarray
    prepare: tuple[np.ndarray, ...] = ()
    y_dtype: np.dtype | None = None


class Steps(NamedTuple):
    """What changes from step to step.

    Attributes:
        rows: (steps, rows of a batch), places in the feed.
        factors: on the learning rate, None for 1.
        shares: what averages keep of themselves.
        weights: how often each row counts, (steps, rows) float64.
        moves: of images, (steps, rows, 3) int32: whether each is mirrored, and how far down and right it then
            begins, with zeros beyond its edges.
    """

    rows: np.ndarray
    factors: Sequence[float] | None = None
    clip_norm: float = 0.0
    shares: Sequence[float] | None = None
    weights: np.ndarray | None = None
    moves: np.ndarray | None = None


class Done(NamedTuple):
    """What steps have done.

    Attributes:
        norms: of the gradients before they were clipped.
        params: the new ones that are trained.
        before: all in front of the last step.
        grads: of the last step.
        averages: of parameters and running statistics.
    """

    losses: list[float]
    norms: list[float]
    params: Arrays
    before: Arrays
    grads: Arrays
    averages: Arrays
