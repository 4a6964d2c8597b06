"""Training steps in half precision: losses and gradients by plans that store values of layers in bf16.

A bf16 number is the upper half of a float32 number: 8 significant bits, so that rounding to it moves a number
by 2^-8 of its size at most.  The parameters, their gradients, all sums, statistics and updates are float32;
the weights are rounded to bf16 where a product reads them, once a step, and so is each value that a layer
hands to the next.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import nan, prod
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.errors import HandgradError, OptionError, ShapeError, check_choice
from handgrad.nn.compiled.calls import Raised
from handgrad.nn.compiled.memory import NotCovered
from handgrad.nn.compiled.parts import Arrays, Feed, Options, Steps
from handgrad.nn.compiled.scoring import ScorePlan
from handgrad.nn.compiled.training import TrainPlan

if TYPE_CHECKING:
    from handgrad.nn.model import Model

FLOAT32, BF16, AUTO = PRECISIONS = ("float32", "bf16", "auto")

_MOST_PLANS = 4
_ADVICE = "leave precision out, or set it to 'auto', which takes float32 where bf16 cannot be had"
_SECONDS = 0.3  # that either precision is measured for, or one call
_TURNS = 5


def check_precision(where: str, model: Any, precision: Any) -> None:
    """Raise OptionError unless `precision` is one of `PRECISIONS` that networks like `model` can have."""
    check_choice(where, "precision", precision, PRECISIONS)
    if precision == BF16 and (why := why_never(model)):
        raise OptionError(f"{where}: precision 'bf16' {why}")


def why_never(model: Any) -> str | None:
    """Return why no step of `model` can be done in bf16, with advice; None where it may be."""
    loss = getattr(type(model), "loss", None)
    if not hasattr(model, "_plan") or loss.__module__ != "handgrad.nn.model":
        name = type(model).__name__
        return f"is for networks of handgrad.nn, and {name} is none; {_ADVICE}"
    if not model._is_static and not model._compiled:
        return f"is for networks whose forward is fixed, as after compile(batch_shape); {_ADVICE}"
    for name, w in model.params.items():
        if w.dtype != np.float32:
            return (
                f"is for networks of float32, and {name} is {w.dtype}; build the network with "
                "dtype=np.float32, or leave precision out"
            )
    return None


class InHalf:
    """A network whose losses and gradients are computed in bf16; it has the attributes of the network."""

    def __init__(self, model: Model, where: str) -> None:
        """Take `model`; `where` is what its errors begin with."""
        self._model, self._where = model, where
        self._plans: dict[Options, TrainPlan] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_model", "_plans"):
            raise AttributeError(name)
        return getattr(self._model, name)

    def __getstate__(self) -> dict[str, Any]:
        return {"_model": self._model, "_where": self._where, "_plans": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def loss(self, X: Any, y: Any, *, sample_weight: Any = None) -> tuple[float, Arrays]:
        """Return the loss and the gradients of a batch, as `Model.loss`, in float32.

        A loss that is not finite is NaN, with gradients of zeros.

        Raises:
            OptionError: no plan computes the step; says what of it.
            ShapeError: y has another number of rows than X, or another shape than the scores.
        """
        model = self._model
        (X,) = model._checked(X)
        y_dtype = getattr(y, "dtype", None)
        if model.task == "classification":
            y, targets = self._labels(y, len(X)), None
        else:
            y = np.ascontiguousarray(y, np.float64)
            targets = prod(y.shape[1:])
        if len(y) != len(X):
            raise ShapeError(
                f"{self._where}: y must have a row for each of X, {len(X)}, got {y.shape}"
            )
        options = Options(
            X.shape,
            targets,
            "sgd",
            frozenset(model.params),
            weighted=sample_weight is not None,
            is_half=True,
        )
        weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)[None]
        rows = np.arange(len(X))[None]
        try:
            feed = Feed(np.ascontiguousarray(X, np.float32), y, y_dtype=y_dtype)
            done = self._made(options).run(feed, {}, Steps(rows, weights=weights))
        except NotCovered as error:
            raise _refused(self._where, error) from None
        except Raised as error:
            raise error.error from None
        if done is None:
            return nan, {name: np.zeros_like(w) for name, w in model.params.items()}
        return done.losses[0], done.grads

    def forget(self) -> None:
        """Give back the memory of the plans; the next call makes them again."""
        self._plans.clear()

    def check(self, X_shape: Sequence[int], targets: int | None) -> None:
        """Raise OptionError where no plan computes batches of this shape."""
        options = Options(
            tuple(X_shape), targets, "sgd", frozenset(self._model.params), is_half=True
        )
        try:
            self._made(options)
        except NotCovered as error:
            raise _refused(self._where, error) from None

    def _labels(self, y: Any, rows: int) -> np.ndarray:
        y = np.asarray(y)
        classes = prod(self._model._row_shape or ())
        if y.dtype.kind not in "iu" or y.ndim != 1:
            raise ShapeError(f"{self._where}: y must be labels (N,), got {y.shape} {y.dtype}")
        if y.size and (y.min() < 0 or y.max() >= classes):
            raise OptionError(
                f"{self._where}: labels must be in [0, {classes}), got {y.min()} to {y.max()}"
            )
        return np.ascontiguousarray(y, np.int64)

    def _made(self, options: Options) -> TrainPlan:
        known = self._plans.get(options)
        if known is not None and known.is_for(options):
            return known
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        self._plans[options] = TrainPlan(self._model, options)
        return self._plans[options]


def _refused(where: str, error: NotCovered) -> OptionError:
    advice = _ADVICE
    if str(error).startswith("another engine"):
        advice = "choose engine 'auto' or 'native', or leave precision out"
    return OptionError(f"{where}: precision 'bf16': no plan covers {error}; {advice}")


def measured(model: Model, X: np.ndarray, y: np.ndarray) -> tuple[str, dict[str, float]]:
    """Return the precision in which steps of `model` on batches like X, y are faster, and seconds of both.

    Nothing of `model` changes: a copy is measured, in turns, for under a second where a step takes less than
    a tenth of one.  Without a plan for bf16 that is float32, and there are no seconds.
    """
    if why_never(model) is not None:
        return FLOAT32, {}
    drawn = np.random.get_state()
    try:
        return _measured(copy.deepcopy(model), X, y)
    finally:
        np.random.set_state(drawn)


def _measured(own: Model, X: np.ndarray, y: np.ndarray) -> tuple[str, dict[str, float]]:
    half = InHalf(own, "precision")
    sides = {FLOAT32: own.loss, BF16: half.loss}
    try:
        for loss in sides.values():
            with np.errstate(all="ignore"):
                loss(X, y)
    except HandgradError:
        return FLOAT32, {}
    best = _best_times({name: partial(loss, X, y) for name, loss in sides.items()})
    return min(best, key=lambda name: best[name]), best


def _best_times(sides: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the least seconds of each side's calls, which take turns; all are warmed up before."""
    best = dict.fromkeys(sides, float("inf"))
    started = perf_counter()
    with np.errstate(all="ignore"):
        for turn in range(_TURNS + 1):
            for name, call in sides.items():
                begun = perf_counter()
                call()
                if turn:
                    best[name] = min(best[name], perf_counter() - begun)
            if turn and perf_counter() - started > 2 * _SECONDS:
                break
    return best


def scorer(
    model: Model, where: str, shape: tuple[int, ...], precision: str, freezes: bool
) -> ScorePlan | None:
    """Return the plan of scores of batches of `shape` in a precision, of "auto" the faster one.

    None where no plan computes them in float32.  OptionError where none does in bf16.
    """
    check_precision(where, model, precision)
    plans: dict[str, ScorePlan] = {}
    for name in (FLOAT32, BF16):
        if precision not in (name, AUTO) or (name == BF16 and why_never(model) is not None):
            continue
        try:
            plans[name] = ScorePlan(model, shape, name == BF16, freezes)
        except NotCovered as error:
            if precision == BF16:
                raise _refused(where, error) from None
    if len(plans) < 2:
        return plans.get(precision if precision != AUTO else FLOAT32)
    X = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    best = _best_times({name: partial(plan, X) for name, plan in plans.items()})
    return plans[min(best, key=lambda name: best[name])]


def shown_choice(asked: str, chosen: str, seconds: Mapping[str, float]) -> str:
    """Return how a run's header says its precision."""
    if asked != AUTO:
        return asked
    if not seconds:
        return f"{chosen} (auto: no plan for bf16)"
    each = ", ".join(f"{name} {1e3 * seconds[name]:.3g} ms" for name in (FLOAT32, BF16))
    return f"{chosen} (auto: a gradient takes {each})"
