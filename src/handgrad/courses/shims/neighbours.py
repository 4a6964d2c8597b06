"""Assignment 1's nearest neighbours: the Euclidean distances in three forms, and the vote of the nearest.

dists[i, j] = sqrt(sum_d (X[i, d] - X_train[j, d])^2)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.errors import OptionError, ShapeError, as_count


class _Neighbours:
    """What remembers its training data, and lets the nearest ones vote."""

    X_train: np.ndarray
    y_train: np.ndarray

    def train(self, X: np.ndarray, y: np.ndarray) -> None:
        """Remember the training data X (N, D) and their labels y (N,)."""
        self.X_train, self.y_train = X, y

    def predict_labels(self, dists: np.ndarray, k: int = 1) -> np.ndarray:
        """Return the label that most of the k nearest have, for each row of `dists` (M, N).

        Of labels with as many votes the smallest wins.
        """
        k = as_count(type(self).__name__, "k", k)
        nearest = np.argsort(dists, axis=1)[:, :k]
        labels = [np.bincount(votes).argmax() for votes in np.asarray(self.y_train)[nearest]]
        return np.array(labels, dtype=np.float64)

    def _check(self, X: np.ndarray) -> None:
        if X.ndim != 2 or X.shape[1:] != self.X_train.shape[1:]:
            raise ShapeError(
                f"{type(self).__name__}: X must be (M, {self.X_train.shape[1]}) like the training data, "
                f"got {X.shape}"
            )

    def _all(self, X: np.ndarray) -> np.ndarray:
        """Return the distances of all pairs: |a - b|^2 = |a|^2 + |b|^2 - 2 a b."""
        squares = np.sum(X * X, axis=1)[:, None] + np.sum(self.X_train**2, axis=1)
        return np.sqrt(np.maximum(squares - 2 * (X @ self.X_train.T), 0.0))


class KNearestNeighbor(_Neighbours):
    """CS231n's classifier of the k nearest neighbours."""

    def predict(self, X: np.ndarray, k: int = 1, num_loops: int = 0) -> np.ndarray:
        """Return the labels of X (M, D); `num_loops`, 0 to 2, says how the distances are computed."""
        forms = (
            self.compute_distances_no_loops,
            self.compute_distances_one_loop,
            self.compute_distances_two_loops,
        )
        if num_loops not in (0, 1, 2):
            raise OptionError(f"Invalid value {num_loops} for num_loops")
        return self.predict_labels(forms[num_loops](X), k=k)

    def compute_distances_two_loops(self, X: np.ndarray) -> np.ndarray:
        """Return the distances (M, N), pair by pair."""
        self._check(X)
        dists = np.zeros((len(X), len(self.X_train)))
        for i, image in enumerate(X):
            for j, other in enumerate(self.X_train):
                difference = image - other
                dists[i, j] = np.sqrt(difference @ difference)
        return dists

    def compute_distances_one_loop(self, X: np.ndarray) -> np.ndarray:
        """Return the distances (M, N), row by row."""
        self._check(X)
        dists = np.zeros((len(X), len(self.X_train)))
        for i, image in enumerate(X):
            dists[i] = np.sqrt(np.sum((self.X_train - image) ** 2, axis=1))
        return dists

    def compute_distances_no_loops(self, X: np.ndarray) -> np.ndarray:
        """Return the distances (M, N) by one product of matrices."""
        self._check(X)
        return self._all(X)


class KNN(_Neighbours):
    """nndl's classifier of the k nearest neighbours."""

    def compute_distances(
        self, X: np.ndarray, norm: Callable[[np.ndarray], Any] | None = None
    ) -> np.ndarray:
        """Return ``norm(X[i] - X_train[j])`` for all pairs (M, N); the Euclidean norm if it is None."""
        self._check(X)
        dists = np.zeros((len(X), len(self.X_train)))
        for i, image in enumerate(X):
            for j, other in enumerate(self.X_train):
                difference = image - other
                dists[i, j] = np.sqrt(difference @ difference) if norm is None else norm(difference)
        return dists

    def compute_L2_distances_vectorized(self, X: np.ndarray) -> np.ndarray:
        """Return the Euclidean distances (M, N) by one product of matrices."""
        self._check(X)
        return self._all(X)
