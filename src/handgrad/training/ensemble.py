"""Several opinions on one image: the views of one network, and several networks.

    p[n, c] = mean over the views v and the networks m of softmax(m(v(x)))[n, c]

=========  =====================================================================================
view       what the network sees
=========  =====================================================================================
itself     the image
flip       also its mirror image, left to right
shift      also the image one pixel further up and left, and one further down and right; the edge is
           repeated
shifts     also the image one pixel further in each of the eight directions
=========  =====================================================================================

``flip+shift`` are six, ``flip+shifts`` 18.  Every view costs a pass of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from handgrad.errors import OptionError, check_choice, check_ndim
from handgrad.training.evaluate import predict_probabilities

View = Callable[[np.ndarray], np.ndarray]
Move = tuple[int, int]  # pixels up and left

_MOVES: dict[str, list[Move]] = {
    "shift": [(1, 1), (-1, -1)],
    "shifts": [(i, j) for i in (1, 0, -1) for j in (1, 0, -1) if i or j],
}
VIEWS = ("flip", *_MOVES)


def views_of(tta: str | None) -> list[View]:
    """Return the views that `tta` names, the image itself first; None is that one alone.

    >>> len(views_of(None)), len(views_of("flip")), len(views_of("flip+shifts"))
    (1, 2, 18)

    Raises OptionError unless `tta` is None, or names out of `VIEWS` with a plus between.
    """
    views: list[View] = [lambda X: X]
    if tta is None:
        return views
    names = tta.split("+") if isinstance(tta, str) else [tta]
    for name in names:
        check_choice("test-time augmentation", "a view", name, VIEWS)
    if len(set(names)) < len(names):
        raise OptionError(f"test-time augmentation: a view is named twice in {tta!r}")
    moves = dict.fromkeys(move for name in _MOVES if name in names for move in _MOVES[name])
    views += [partial(_shifted, by=move) for move in moves]
    if "flip" in names:
        views += [_flipped(view) for view in views]
    return views


class Viewed:
    """A model that looks at several views: ``loss(X)`` returns the logarithm of its mean probabilities."""

    def __init__(self, model: Any, tta: str | None) -> None:
        self.model = model
        self.tta = tta
        self.views = views_of(tta)

    def loss(self, X: np.ndarray) -> np.ndarray:
        """Return scores whose softmax is the mean of the views' probabilities, (N, C)."""
        if len(self.views) > 1:
            check_ndim("test-time augmentation", "X", X, 4, "(N, C, H, W)")
        return log_mean(
            predict_probabilities(self.model, view(X), batch_size=max(len(X), 1))
            for view in self.views
        )


def log_mean(probabilities: Iterable[np.ndarray]) -> np.ndarray:
    """Return the logarithm of the mean of arrays of probabilities; zero counts as the least number."""
    total: Any = 0.0
    count = 0
    for p in probabilities:
        total = total + p
        count += 1
    return np.log(np.maximum(total / count, np.finfo(np.float64).tiny))


def _flipped(view: View) -> View:
    return lambda X: view(X)[:, :, :, ::-1]


def _shifted(X: np.ndarray, by: Move) -> np.ndarray:
    """Move images by so many pixels; the edge is repeated."""
    moved = X
    for axis, pixels in zip((2, 3), by, strict=True):
        places = np.clip(np.arange(X.shape[axis]) + pixels, 0, X.shape[axis] - 1)
        moved = np.take(moved, places, axis=axis)
    return moved
