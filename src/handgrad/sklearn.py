"""Networks as scikit-learn's estimators: `HandgradClassifier` and `HandgradRegressor`.

They take what `MLPClassifier` takes under the same names, and besides: dropout, batch normalisation,
weights of rows and classes, any update rule and loss of the library.  Inputs, and the targets of a
regression, are centred and scaled inside, by the mean and deviation of the training rows.

    model = make_pipeline(SimpleImputer(), HandgradClassifier(dropout=0.2, class_weight="balanced"))
    GridSearchCV(model, {"handgradclassifier__alpha": [1e-4, 1e-2]}, n_jobs=2).fit(X, y)

An estimator is pickled as its parameters and the bytes of a safetensors file.  Needs scikit-learn:
``pip install 'handgrad[sklearn]'``.
"""

from __future__ import annotations

import json
from typing import Any, Self

import numpy as np

from handgrad import nn
from handgrad.engines.arrays import Array
from handgrad.errors import OptionError, as_count, as_flag, as_number, check_choice
from handgrad.training.averaging import load_buffers
from handgrad.training.callback import Callback, Record
from handgrad.training.estimates import as_predictions
from handgrad.training.evaluate import scores_of
from handgrad.training.solver import Solver

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        _check_sample_weight,
        check_is_fitted,
        column_or_1d,
        validate_data,
    )
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"handgrad.sklearn needs scikit-learn ({error.name} is missing): pip install 'handgrad[sklearn]'",
        name=error.name,
    ) from None

__all__ = ["HandgradClassifier", "HandgradRegressor"]

_ACTIVATIONS = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "identity": None,
}
_ONE_UNIT = 10.0
_FEW, _LEAST, _BATCH = (
    32,
    16,
    200,
)  # rows of a step with batch_size="auto", see `HandgradClassifier`


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


class _Estimator(BaseEstimator):
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
        check_choice(name, "activation", self.activation, _ACTIVATIONS)
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
        self._mean, self._scale = _scale_of(X, weight)
        self._begin_targets(y, weight)
        self._made = self._architecture(X.shape[1], X.dtype)
        self.model_ = _network(self._made, self._random, self._random)
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

    # -- pickling ----------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """Parameters, and what was learned as the bytes of a safetensors file."""
        learned = _to_bytes(self) if hasattr(self, "model_") else None
        others = {
            name: vars(self)[name]
            for name in ("classes_", "n_features_in_", "feature_names_in_", "_random")
            if name in vars(self)
        }
        return _restored, (type(self), self.get_params(deep=False), others, learned)


class HandgradClassifier(ClassifierMixin, _Estimator):
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
        """Train on rows X (n, d) with classes y (n,); see `_Estimator.fit`."""
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


class HandgradRegressor(RegressorMixin, MultiOutputMixin, _Estimator):
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
        self._y_mean, self._y_scale = _scale_of(y, weight)
        loss = self.loss["name"] if isinstance(self.loss, dict) else self.loss
        if loss == "poisson":
            self._y_mean, self._y_scale = np.zeros(y.shape[1]), np.ones(y.shape[1])

    def _scaled_targets(self, y: np.ndarray) -> np.ndarray:
        return (y - self._y_mean) / self._y_scale

    def _outputs(self) -> int:
        return len(self._y_mean)

    def _solver_options(self) -> dict[str, Any]:
        return {}


def _network(made: dict[str, Any], rng: Any, weights: Any) -> nn.Sequential:
    """Return the network of an `_Estimator._architecture`; rng is dropout's stream, weights that of W."""
    parts: list[Any] = []
    activation = _ACTIVATIONS[made["activation"]]
    for size in made["hidden"]:
        parts.append(nn.Affine(size))
        parts += [nn.BatchNorm()] if made["batch_norm"] else []
        parts += [] if activation is None else [activation()]
        parts += [nn.Dropout(1.0 - made["dropout"], rng=rng)] if made["dropout"] else []
    parts.append(nn.Affine(made["outputs"]))
    network: nn.Sequential = nn.Sequential(
        parts,
        input_shape=(made["width"],),
        loss=made["loss"],
        dtype=made["dtype"],
        rng=weights,
    )
    return network


def _scale_of(X: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each column, and what its distance from it is divided by.

    That is its standard deviation, 1 for a constant column.  Columns whose deviations are within a factor of
    `_ONE_UNIT` are taken for measurements in one unit, whose proportions say something: all are divided by
    the root of their mean variance.
    """
    X = X.astype(np.float64)
    mean = np.average(X, axis=0, weights=weight)
    variance = np.average((X - mean) ** 2, axis=0, weights=weight)
    # what rounding leaves of a constant column is no spread
    is_constant = variance <= (1e-12 * np.maximum(np.abs(mean), 1e-300)) ** 2
    scale = np.where(is_constant, 1.0, np.sqrt(variance))
    spread = scale[~is_constant]
    if len(spread) and spread.max() <= _ONE_UNIT * spread.min():
        scale = np.full_like(scale, np.sqrt(np.mean(spread**2)))
    return mean, scale


_ARRAYS = ("_mean", "_scale", "_y_mean", "_y_scale")
_PLAIN = ("n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "_is_flat")


def _to_bytes(estimator: _Estimator) -> bytes:
    """Return what an estimator learned as the bytes of a safetensors file."""
    from safetensors.numpy import save

    model = estimator.model_
    tensors: dict[str, Array] = {f"params/{name}": w for name, w in model.params.items()}
    tensors |= {f"buffers/{name}": w for name, w in model.buffers().items()}
    plain: dict[str, dict[str, Any]] = {}
    for name, state in estimator._states.items():
        plain[name] = {}
        for key, value in state.items():
            if isinstance(value, np.ndarray):
                tensors[f"state/{name}/{key}"] = value
            else:
                plain[name][key] = value
    tensors |= {
        f"scale/{name}": vars(estimator)[name] for name in _ARRAYS if name in vars(estimator)
    }
    about = {
        "made": estimator._made,
        "reg": model.reg,
        "states": plain,
        "plain": {name: vars(estimator)[name] for name in _PLAIN if name in vars(estimator)},
    }
    ready = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    return save(ready, {"handgrad": json.dumps(about)})


def _restored(
    cls: type[_Estimator], params: dict[str, Any], others: dict[str, Any], learned: bytes | None
) -> _Estimator:
    """Make an estimator of what `_Estimator.__reduce__` took it apart to."""
    estimator = cls(**params)
    estimator.__dict__.update(others)
    if learned is None:
        return estimator
    from safetensors.numpy import load

    tensors = load(learned)
    length = int.from_bytes(learned[:8], "little")
    about = json.loads(json.loads(learned[8 : 8 + length])["__metadata__"]["handgrad"])
    parts: dict[str, dict[str, np.ndarray]] = {"params": {}, "buffers": {}, "scale": {}}
    states: dict[str, dict[str, Any]] = about["states"]
    for name, array in tensors.items():
        part, _, rest = name.partition("/")
        if part == "state":
            parameter, _, key = rest.rpartition("/")
            states[parameter][key] = array
        else:
            parts[part][rest] = array
    # the weights are put in afterwards, so that their own stream stays where it is
    model = _network(about["made"], estimator._random, 0)
    model.reg = about["reg"]
    model.params = parts["params"]
    load_buffers(model, parts["buffers"])
    estimator.__dict__.update(
        {
            "model_": model,
            "_made": about["made"],
            "_states": states,
            **about["plain"],
            **parts["scale"],
        }
    )
    return estimator
