"""What `Model.compile` returns where it is given an update rule: whole training steps in one call."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    NonFiniteError,
    OptionError,
    ShapeError,
    as_count,
    as_number,
    check_dictionary,
    check_known,
)
from handgrad.nn.compiled.calls import Raised
from handgrad.nn.compiled.half import (
    AUTO,
    BF16,
    FLOAT32,
    InHalf,
    check_precision,
    measured,
    shown_choice,
)
from handgrad.nn.compiled.memory import NotCovered
from handgrad.nn.compiled.parts import Feed, Options, Steps
from handgrad.nn.compiled.training import TrainPlan
from handgrad.nn.state import changing, training
from handgrad.optim import clip_by_norm, get_rule, keys_of

if TYPE_CHECKING:
    from handgrad.nn.model import Model

_MOST = 2000  # steps of a native call


class CompiledSteps:
    """Training steps of a network: batch, forward, loss, backward, penalty, clipping, update rule.

    One call of `run` does any number of them, without the interpreter's lock where a plan covers the network,
    and to the bit what `Model.loss` and the update rule do one by one.  The first step is always done so.

        steps = model.compile((32, 64), update_rule="adam", optim_config={"learning_rate": 1e-3})
        losses = steps.run(X, y, steps=1000, rng=0)

    Attributes:
        configs: the settings and state of the update rule for each parameter.
        why: why steps are done one by one in Python, None where a plan does them.
        precision: of "auto" the one that was chosen at the first step.
        precision_text: says both.
    """

    def __init__(
        self,
        model: Model,
        batch_shape: tuple[int, ...],
        update_rule: str,
        optim_config: Mapping[str, Any] | None = None,
        clip_norm: float | None = None,
        precision: str = FLOAT32,
    ) -> None:
        """See `handgrad.nn.Model.compile`."""
        if not hasattr(model, "_name"):
            raise OptionError(
                f"CompiledSteps: model must be a network of handgrad.nn, got {type(model).__name__}"
            )
        where = f"{model._name}.compile"
        self.model, self.shape = model, batch_shape
        self.rule, self._name = get_rule(update_rule), update_rule
        config = {} if optim_config is None else optim_config
        check_dictionary(where, "optim_config", config)
        check_known(f"{where}: optim_config of {update_rule}", config, keys_of(self.rule) or ())
        if clip_norm is not None:
            clip_norm = as_number(where, "clip_norm", clip_norm, 0.0, open_low=True)
        self.clip_norm = clip_norm
        check_precision(where, model, precision)
        self.precision, self.precision_text = precision, precision
        self._half: InHalf | None = None
        if precision == BF16:
            self._half = InHalf(model, where)
            if model.task == "classification":
                self._half.check(batch_shape, None)
        self.configs: dict[str, dict[str, Any]] = {name: dict(config) for name in model.params}
        self.why: str | None = None
        self._plan: TrainPlan | None = None
        self._is_first = True

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_plan": None}

    def __repr__(self) -> str:
        how = "one native call" if self.why is None else f"one by one: {self.why}"
        if self.why is None and self.in_python:
            how += f", in parts around {', '.join(self.in_python)}"
        return f"CompiledSteps({self.model._name}, {self.shape}, {self._name!r}: {how})"

    @property
    def in_python(self) -> tuple[str, ...]:
        """What Python computes in the middle of the plan: layers that no operation computes, and the loss."""
        return () if self._plan is None else tuple(dict.fromkeys(self._plan.calls.shown))

    def run(
        self, X: Any, y: Any, *, steps: int = 1, rows: Any = None, rng: Any = None
    ) -> list[float]:
        """Do `steps` training steps on batches of rows of X; return their losses.

        Args:
            X: (N, ...), the rows.
            y: labels (N,), or targets.
            steps: how many.
            rows: (steps, batch), the places of the rows of each batch.  None draws them, each out of all.
            rng: a Generator, a RandomState or a seed to draw them from; None is NumPy's global stream.

        Raises:
            ShapeError, OptionError: X, y or rows do not fit.
            NonFiniteError: a loss or a parameter is not finite; the parameters are those before this call.
        """
        where = f"{self.model._name}.compile"
        X, y = as_numpy(where, "X", X), as_numpy(where, "y", y)
        if X.shape[1:] != self.shape[1:] or len(X) == 0 or y.shape[:1] != X.shape[:1]:
            raise ShapeError(
                f"{where}: X must have rows of {self.shape[1:]}, and y as many; got X {X.shape}, "
                f"y {y.shape}"
            )
        chosen = self._rows(where, len(X), steps, rows, rng)
        with training(self.model):
            params = dict(self.model.params)
            buffers = self.model.buffers()
            configs = {name: dict(config) for name, config in self.configs.items()}
            try:
                return self._run(X, y, chosen)
            except BaseException:
                self.model.params = params
                self.model.load_buffers(buffers)
                self.configs = configs
                raise

    def _rows(self, where: str, N: int, steps: Any, rows: Any, rng: Any) -> np.ndarray:
        if rows is None:
            steps = as_count(where, "steps", steps)
            if rng is None:
                rng = np.random.mtrand._rand
            elif not isinstance(rng, np.random.Generator | np.random.RandomState):
                rng = np.random.default_rng(as_count(where, "rng", rng, minimum=0))
            found: np.ndarray = rng.choice(N, (steps, self.shape[0]))
            return found
        rows = as_numpy(where, "rows", rows)
        if rows.ndim != 2 or rows.shape[1] != self.shape[0] or len(rows) == 0:
            raise ShapeError(
                f"{where}: rows must be (steps, {self.shape[0]}), a batch for each step, got {rows.shape}"
            )
        if rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= N:
            raise OptionError(
                f"{where}: rows must be whole numbers in [0, {N}), places of rows of X"
            )
        return np.ascontiguousarray(rows, np.int64)

    def _run(self, X: np.ndarray, y: np.ndarray, rows: np.ndarray) -> list[float]:
        losses: list[float] = []
        if self.precision == AUTO:
            self._choose(X[rows[0]], y[rows[0]])
        if self._is_first:
            losses.append(self._step(X[rows[0]], y[rows[0]]))
            self._is_first = False
        feed, is_finite = None, True
        while len(losses) < len(rows):
            done = None
            try:
                if not is_finite:
                    raise NotCovered("numbers that are not finite")
                feed = feed or self._feed(X, y)
                plan = self._made(feed)
                some = rows[len(losses) : len(losses) + _MOST]
                left = Steps(some, clip_norm=self.clip_norm or 0.0)
                done = plan.run(feed, self.configs, left)
                self.why, is_finite = None, done is not None
            except NotCovered as error:
                self.why = f"no plan covers {error}"
            except Raised:  # a step by itself says it in its own words
                is_finite = False
            if done is None:
                batch = rows[len(losses)]
                losses.append(self._step(X[batch], y[batch]))
                continue
            with changing:
                self.model.params.update(done.params)
            losses += done.losses
        return losses

    def _choose(self, X: np.ndarray, y: np.ndarray) -> None:
        self.precision, seconds = measured(self.model, X, y)
        self.precision_text = shown_choice(AUTO, self.precision, seconds)
        if self.precision == BF16:
            self._half = InHalf(self.model, f"{self.model._name}.compile")

    def _feed(self, X: np.ndarray, y: np.ndarray) -> Feed:
        model = self.model
        first = next(iter(model.params.values()), None)
        if model.dtype is not None and model._casts_input:
            X = X if X.dtype in (np.float32, np.float64) else X.astype(model.dtype)
        elif first is None or X.dtype != first.dtype:
            raise NotCovered("inputs of another dtype")
        dtype = np.int64 if model.task == "classification" else np.float64
        if dtype is np.int64 and y.dtype.kind not in "iu":
            raise NotCovered("labels of another dtype")
        if dtype is np.int64 and (y.min() < 0 or y.max() >= prod(model._row_shape or ())):
            raise NotCovered("labels of classes that there are not")
        return Feed(np.ascontiguousarray(X), np.ascontiguousarray(y, dtype), y_dtype=y.dtype)

    def _made(self, feed: Feed) -> TrainPlan:
        targets = None if feed.y.dtype == np.int64 else prod(feed.y.shape[1:])
        decayed = frozenset(name for name, config in self.configs.items() if config.get("l2"))
        clips = self.clip_norm is not None
        options = Options(
            self.shape,
            targets,
            self._name,
            clips=clips,
            decayed=decayed,
            is_half=self._half is not None,
        )
        if self._plan is None or not self._plan.is_for(options):
            self._plan = None
            if self._half is not None:
                self._half.forget()  # single steps are rare from here on
            self._plan = TrainPlan(self.model, options)
        return self._plan

    def _step(self, X: np.ndarray, y: np.ndarray) -> float:
        """One step in Python."""
        model = self.model
        with np.errstate(all="ignore"):
            loss, grads = (self._half or model).loss(X, y)
            if self.clip_norm is not None:
                grads, norm = clip_by_norm(grads, self.clip_norm)
                loss = loss if isfinite(norm) else norm
            updated = {}
            for name, w in model.params.items():
                updated[name], self.configs[name] = self.rule(
                    w.copy(order="K"), grads[name], self.configs[name]
                )
        if not isfinite(loss) or not all(np.isfinite(w).all() for w in updated.values()):
            raise NonFiniteError(
                f"{model._name}.compile: the loss or a parameter is not finite after a step; the parameters "
                "are those before this call of run; try a tenth of the learning rate"
            )
        with changing:
            model.params.update(updated)
        return float(loss)
