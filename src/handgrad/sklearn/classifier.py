"""The estimator of classes."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from handgrad.data import Description
from handgrad.data.scaling import ArrayPreprocessing
from handgrad.data.table import name_of
from handgrad.errors import OptionError
from handgrad.sklearn.estimator import Estimator


class HandgradClassifier(ClassifierMixin, Estimator):
    """A fully connected network that classifies rows of numbers.

    Args:
        hidden_layer_sizes: units of each hidden layer.
        activation: "relu", "gelu", "elu", "tanh", "logistic" or "identity".
        dropout: share of the units that a training step leaves out, in [0, 1).
        batch_norm: whether the layers are normalised over the batch.
        alpha: strength of the L2 regularisation, ``alpha / (2 sqrt(n)) sum(W^2)``: the fewer the rows n, the
            more; scikit-learn's is ``alpha / (2 n)``.
        update_rule: name of a rule of `handgrad.optim`.
        learning_rate_init: its learning rate.
        batch_size: rows of a step; "auto" is an eighth of all, at least 16 and at most 200; all
            where they are at most 32.
        max_iter: epochs, at most.
        tol, n_iter_no_change: end after so many epochs in which the loss did not fall by tol.
        early_stopping: look at the loss of a part of the rows, validation_fraction, instead, and end with
            the best network.
        class_weight: "balanced", a dictionary class -> number, or None.
        loss: "softmax", "focal", or a table with options (`handgrad.nn.Model`).
        warm_start: whether `fit` goes on from the last one.
        random_state: a seed, a RandomState or None.
        verbose: print the training.

    Attributes: classes_, model_ (the network), n_features_in_, n_iter_, t_, loss_, loss_curve_,
    best_loss_ (with early stopping).

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> HandgradClassifier(random_state=0).fit(X, y).score(X, y) > 0.9
    True
    """

    _task = "classification"

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        alpha: float = 0.1,
        update_rule: str = "adam",
        learning_rate_init: float = 3e-3,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        class_weight: Any = None,
        loss: Any = "softmax",
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
        self.class_weight = class_weight
        self.loss = loss
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Do one epoch over some rows; the first call names all `classes`, unless y has them all."""
        first = not hasattr(self, "model_")
        if first and classes is not None:
            self.classes_ = np.unique(classes)
        elif (
            not first
            and classes is not None
            and not np.array_equal(np.unique(classes), self.classes_)
        ):
            raise ValueError("classes must be those of the first call of partial_fit")
        return self._partial_fit(X, y, sample_weight, first)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows X (n, d) with classes y (n,); see `Estimator.fit`."""
        if not (self.warm_start and hasattr(self, "model_")):
            for name in ("classes_", "model_"):
                self.__dict__.pop(name, None)
        return super().fit(X, y, sample_weight)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the classes, (n, classes), in the order of `classes_`."""
        return self._outputs_of(X)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row, (n,)."""
        p = self._outputs_of(X)
        chosen: np.ndarray = self.classes_[p.argmax(axis=1)]
        return chosen

    def _described(self, rows: ArrayPreprocessing) -> Description:
        names = tuple(name_of(label) for label in self.classes_.tolist())
        return Description("classification", names, ("y",), rows)

    def _as_targets(self, y: np.ndarray, reset: bool) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if not hasattr(self, "classes_"):
            self.classes_ = np.unique(y)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y holds the class {unknown[0]!r}, which is not among classes_ {self.classes_.tolist()}"
            )
        return np.searchsorted(self.classes_, y)

    def _begin_targets(self, y: np.ndarray, weight: np.ndarray | None) -> None:
        """Classes have no scale."""

    def _scaled_targets(self, y: np.ndarray) -> np.ndarray:
        return y

    def _outputs(self) -> int:
        return len(self.classes_)

    def _solver_options(self) -> dict[str, Any]:
        weight = self.class_weight
        if weight is None or isinstance(weight, str):
            return {"class_weight": weight}
        places = {label: i for i, label in enumerate(self.classes_.tolist())}
        unknown = [label for label in weight if label not in places]
        if unknown:
            raise OptionError(
                f"HandgradClassifier: class_weight has {unknown[0]!r}, which is no class; classes are "
                f"{list(places)}"
            )
        return {"class_weight": {places[label]: value for label, value in weight.items()}}
