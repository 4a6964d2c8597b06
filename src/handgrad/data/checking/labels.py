"""Labels that look wrong: those that a quick fit, which does not see the row itself, contradicts.

The fit is a kernel ridge regression of the classes (1 for a row's own, 0 for the others) on at most 2,000
rows, with a Gaussian kernel of the rows' median distance.  What it says of a row without that row follows
from one inverse: ``y - (G^-1 y) / diag(G^-1)``, G = K + ridge I.

Source: R. Rifkin and R. Lippert (2007), Notes on Regularized Least Squares, MIT-CSAIL-TR-2007-025.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

ROWS: Final = 2000
RIDGE: Final = 0.05
MARGIN: Final = 0.5  # by which another class must be above the row's own
FITTED: Final = 0.75  # share of right rows below which the fit says nothing
MOST: Final = 0.1  # of the rows; where more look wrong, it is the fit
FEATURES: Final = 400


class Suspects(NamedTuple):
    """accuracy of the fit; rows whose labels look wrong, the likeliest first; the class it says of each."""

    accuracy: float
    rows: np.ndarray
    instead: np.ndarray


def suspects(X: np.ndarray, y: np.ndarray, classes: int, seed: int = 0) -> Suspects:
    """Return the rows of X (N, D) whose labels `y` look wrong."""
    rows = np.arange(len(X))
    if len(X) > ROWS:
        rows = np.sort(np.random.RandomState(seed).permutation(len(X))[:ROWS])
    X = np.asarray(X, np.float64)[rows].reshape(len(rows), -1)
    y = y[rows]
    said = left_out(X, y, classes)
    best = said.argmax(axis=1)
    margin = said.max(axis=1) - said[np.arange(len(rows)), y]
    accuracy = float((best == y).mean())
    if accuracy < FITTED:
        return Suspects(accuracy, rows[:0], best[:0])
    wrong = np.flatnonzero(margin > MARGIN)
    if len(wrong) > MOST * len(rows):
        return Suspects(accuracy, rows[:0], best[:0])
    wrong = wrong[np.argsort(-margin[wrong], kind="stable")]
    return Suspects(accuracy, rows[wrong], best[wrong])


def left_out(X: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """Return what the fit to all other rows says of each row, (N, classes)."""
    X = X - X.mean(axis=0)
    if X.shape[1] > FEATURES:  # the first principal components say the distances well enough
        _, _, axes = np.linalg.svd(X[: min(len(X), FEATURES)], full_matrices=False)
        X = X @ axes[:FEATURES].T
    squares = (X * X).sum(axis=1)
    distance = np.maximum(squares[:, None] + squares[None] - 2 * (X @ X.T), 0.0)
    scale = float(np.median(distance)) or 1.0
    kernel = np.exp(-distance / scale * 2)
    inverse = np.linalg.inv(kernel + RIDGE * np.eye(len(X)))
    marks = np.eye(classes)[y]
    centre = marks.mean(axis=0)
    marks = marks - centre
    return marks - (inverse @ marks) / inverse.diagonal()[:, None] + centre
