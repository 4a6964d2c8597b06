"""What the classifier and the regressor share: checks, training, pickling."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from handgrad.data import Description
from handgrad.data.scaling import ArrayPreprocessing
from handgrad.errors import as_count, as_flag, as_number, check_choice
from handgrad.sklearn.bytes import restored, to_bytes
from handgrad.sklearn.network import ACTIVATIONS, network_of, scale_of
from handgrad.training.averaging import load_buffers
from handgrad.training.callback import Callback, Record
from handgrad.training.estimates import as_predictions
from handgrad.training.evaluate import scores_of
from handgrad.training.solver import Solver

# rows of a step with batch_size="auto", see `HandgradClassifier`
_FEW, _LEAST, _BATCH = 32, 16, 200


class _Watch(Callback):
    """Ends a training that no longer gains: of its mean loss or, with early stopping, of the validation."""

    def __init__(self, tol: float, patience: int, looks_at_validation: bool) -> None:
        self.losses: list[float] = []  # of the epochs, the mean over their steps
        self.best = np.inf
        self._looks_at_validation = looks_at_validation
        self._tol, self._patience = tol, patience
        self._waited = 0
        self._seen = 0  # steps

    def on_epoch_end(self, solver: Solver, record: Record) -> None:
        if record["epoch"] <= len(self.losses):
            return  # the estimate after the first step
        self.losses.append(float(np.mean(solver.loss_history[self._seen :])))
        self._seen = len(solver.loss_history)
        now = self.losses[-1]
        if self._looks_at_validation:
            now = np.inf if record["val_loss"] is None else record["val_loss"]
        self._waited = 0 if now < self.best - self._tol else self._waited + 1
        self.best = min(self.best, now)
        if self._waited > self._patience:
            solver.stop("no gain")


class Estimator(BaseEstimator):
    """What the classifier and the regressor share."""

    _task: str

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the network on rows X (n, d) with targets y.

        Args:
            X: numbers, (n, d).
            y: classes of any kind, (n,); of a regression numbers, (n,) or (n, targets).
            sample_weight: how often each row counts, (n,); None is once.  A row of weight 2 is one that
                stands there twice.
        """
        self._check_options()
        goes_on = self.warm_start and hasattr(self, "model_")
        X, y, weight = self._checked(X, y, sample_weight, reset=not goes_on)
        if not goes_on:
            self._begin(X, y, weight)
        self._train(X, y, weight, self.max_iter)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, first: bool) -> Self:
        """Do one pass over rows; the first call decides how inputs and targets are scaled."""
        self._check_options()
        X, y, weight = self._checked(X, y, sample_weight, reset=first)
        if first:
            self._begin(X, y, weight)
        self._train(X, y, weight, 1)
        return self

    # -- checks ------------------------------------------------------------------------------------

    def _check_options(self) -> None:
        name = type(self).__name__
        sizes = self.hidden_layer_sizes
        for size in np.atleast_1d(np.asarray(sizes, dtype=object)):
            as_count(name, "hidden_layer_sizes", size)
        check_choice(name, "activation", self.activation, ACTIVATIONS)
        as_number(name, "dropout", self.dropout, 0.0, 1.0, open_high=True)
        for flag in ("batch_norm", "early_stopping", "warm_start"):
            as_flag(name, flag, getattr(self, flag))
        as_number(name, "alpha", self.alpha, 0.0)
        as_number(name, "learning_rate_init", self.learning_rate_init, 0.0, open_low=True)
        as_number(name, "tol", self.tol, 0.0)
        as_number(
            name,
            "validation_fraction",
            self.validation_fraction,
            0.0,
            1.0,
            open_low=True,
            open_high=True,
        )
        as_count(name, "max_iter", self.max_iter)
        as_count(name, "n_iter_no_change", self.n_iter_no_change)
        if self.batch_size != "auto":
            as_count(name, "batch_size (or 'auto')", self.batch_size)

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, reset: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the rows, their targets and weights, without rows that do not count."""
        X, y = validate_data(
            self,
            X,
            y,
            reset=reset,
            dtype=[np.float64, np.float32],
            multi_output=True,
            y_numeric=False,
        )
        y = self._as_targets(y, reset)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
            counted = np.flatnonzero(weight)
            if not len(counted):
                raise ValueError("the weights of the rows must not all be zero")
            X, y, weight = X[counted], y[counted], weight[counted]
        return X, y, weight

    # -- training ----------------------------------------------------------------------------------

    def _begin(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> None:
        """Make a new network, and measure how inputs are scaled."""
        self._random = check_random_state(self.random_state)
        self._mean, self._scale = scale_of(X, weight)
        self._begin_targets(y, weight)
        self._made = self._architecture(X.shape[1], X.dtype)
        self.model_ = network_of(self._made, self._random, self._random)
        self._states: dict[str, dict[str, Any]] = {}  # of the update rule
        self.n_iter_ = 0
        self.t_ = 0
        self.loss_curve_: list[float] = []

    def _architecture(self, width: int, dtype: Any) -> dict[str, Any]:
        """Return what the network is made of, in plain numbers and texts."""
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object))
        return {
            "width": width,
            "dtype": np.dtype(dtype).name,
            "hidden": [int(size) for size in sizes],
            "activation": self.activation,
            "dropout": float(self.dropout),
            "batch_norm": bool(self.batch_norm),
            "outputs": self._outputs(),
            "loss": self.loss,
        }

    def _train(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, epochs: int) -> None:
        X = self._scaled(X)
        targets = self._scaled_targets(y)
        X_val, y_val = X[:1], targets[:1]
        stops_early = self.early_stopping and epochs > 1
        if stops_early:
            X, X_val, targets, y_val, weight = self._divided(X, targets, weight)
        rows = len(X) if weight is None else float(weight.sum())
        self.model_.reg = self.alpha / np.sqrt(rows)
        size = len(X) if len(X) <= _FEW else min(max(len(X) // 8, _LEAST), _BATCH)
        size = min(size if self.batch_size == "auto" else self.batch_size, len(X))
        watch = _Watch(self.tol, self.n_iter_no_change, stops_early)
        solver = Solver(
            self.model_,
            {"X_train": X, "y_train": targets, "X_val": X_val, "y_val": y_val},
            update_rule=self.update_rule,
            optim_config={"learning_rate": self.learning_rate_init},
            batch_size=size,
            num_epochs=epochs,
            num_train_samples=1,
            verbose=bool(self.verbose),
            rng=self._random,
            callbacks=[watch],
            restore_best=stops_early,
            sampling="shuffled",
            metric="loss",
            sample_weight=weight,
            **self._solver_options(),
        )
        for name, state in self._states.items():
            solver.optim_configs[name] = {**state, "learning_rate": self.learning_rate_init}
        solver.looks_after_health = bool(self.verbose)  # it warns in what is printed
        solver.train()
        if solver.stop_reason is not None and stops_early and solver.best_params:
            self.model_.params = {name: w.copy() for name, w in solver.best_params.items()}
            load_buffers(self.model_, solver.best_buffers)
        self._states = solver.optim_configs
        self.loss_curve_ = [*self.loss_curve_, *watch.losses]
        self.n_iter_ += len(watch.losses)
        self.t_ += len(solver.loss_history)
        self.loss_ = self.loss_curve_[-1]
        if stops_early:
            self.best_loss_ = float(watch.best)

    def _divided(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        rows = np.arange(len(X))
        labels = y if self._task == "classification" else None
        if labels is not None and np.bincount(labels)[np.unique(labels)].min() < 2:
            labels = None  # a class of one row cannot be on both sides
        train, val = train_test_split(
            rows, test_size=self.validation_fraction, random_state=self._random, stratify=labels
        )
        return X[train], X[val], y[train], y[val], None if weight is None else weight[train]

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        return ((X - self._mean) / self._scale).astype(X.dtype)

    def _outputs_of(self, X: Any) -> np.ndarray:
        """Return probabilities, or numbers as the network was trained on."""
        check_is_fitted(self, "model_")
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return as_predictions(self.model_, self._task, scores_of(self.model_, self._scaled(X)))

    @property
    def description_(self) -> Description:
        """What X and y went through, for `handgrad.export`."""
        check_is_fitted(self, "model_")
        dtype = np.dtype(self._made["dtype"])
        rows = ArrayPreprocessing((self._made["width"],), self._mean, self._scale, dtype)
        return self._described(rows)

    # -- pickling ----------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """Parameters, and what was learned as the bytes of a safetensors file."""
        learned = to_bytes(self) if hasattr(self, "model_") else None
        others = {
            name: vars(self)[name]
            for name in ("classes_", "n_features_in_", "feature_names_in_", "_random")
            if name in vars(self)
        }
        return restored, (type(self), self.get_params(deep=False), others, learned)
