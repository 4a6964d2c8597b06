"""The estimator of numbers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import column_or_1d

from handgrad.data import Description
from handgrad.data.scaling import ArrayPreprocessing
from handgrad.sklearn.estimator import Estimator
from handgrad.sklearn.network import scale_of


class HandgradRegressor(RegressorMixin, MultiOutputMixin, Estimator):
    """A fully connected network that predicts numbers, one or several a row.

    Args:
        loss: "mse", "absolute", "huber", "quantile" or "poisson", or a table with options.  The targets are
            centred and scaled inside, but not those of "poisson"; options are in the scaled unit.

    The others are as in `HandgradClassifier`.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> HandgradRegressor(random_state=0).fit(X, y).score(X, y) > 0.4
    True
    """

    _task = "regression"

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        alpha: float = 0.1,
        update_rule: str = "adam",
        learning_rate_init: float = 1e-3,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        loss: Any = "mse",
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.alpha = alpha
        self.update_rule = update_rule
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.loss = loss
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Do one epoch over some rows; the first call decides how X and y are scaled."""
        return self._partial_fit(X, y, sample_weight, not hasattr(self, "model_"))

    def predict(self, X: Any) -> np.ndarray:
        """Return the numbers of each row in the unit of y, (n,) or (n, targets)."""
        outputs = self._outputs_of(X) * self._y_scale + self._y_mean
        return outputs[:, 0] if self._is_flat else outputs

    def _described(self, rows: ArrayPreprocessing) -> Description:
        count = len(self._y_mean)
        names = ("y",) if count == 1 else tuple(f"y{k + 1}" for k in range(count))
        return Description("regression", (), names, rows, self._y_mean, self._y_scale)

    def _as_targets(self, y: np.ndarray, reset: bool) -> np.ndarray:
        is_flat = y.ndim == 1
        if y.ndim == 2 and y.shape[1] == 1:
            y, is_flat = column_or_1d(y, warn=True), True
        if reset:
            self._is_flat = is_flat
        if y.dtype.kind not in "fiub":
            y = y.astype(np.float64)  # texts that are no numbers raise ValueError
        return y.reshape(len(y), -1).astype(np.float64)

    def _begin_targets(self, y: np.ndarray, weight: np.ndarray | None) -> None:
        self._y_mean, self._y_scale = scale_of(y, weight)
        loss = self.loss["name"] if isinstance(self.loss, dict) else self.loss
        if loss == "poisson":
            self._y_mean, self._y_scale = np.zeros(y.shape[1]), np.ones(y.shape[1])

    def _scaled_targets(self, y: np.ndarray) -> np.ndarray:
        return (y - self._y_mean) / self._y_scale

    def _outputs(self) -> int:
        return len(self._y_mean)

    def _solver_options(self) -> dict[str, Any]:
        return {}
