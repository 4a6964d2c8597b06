"""The steps of a Solver that a plan does, many in one native call (`handgrad.nn.compiled`).

A plan takes the steps of a network of the library's layers, with an update rule of the library, without an
augmentation or weights of rows, while no callback wants to look at the Solver between two steps.  Its numbers
are those of the steps themselves, to the bit.  The first step of a training, and every step in which something
is not finite, is done without it.

Several steps are one call if they take no longer than `SECONDS`; they are done as a whole or, where an exception
comes, not at all.
"""

from __future__ import annotations

from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.data.preprocessing import Preprocessing
from handgrad.data.rows import Rows
from handgrad.engines.weights import compiled_rules
from handgrad.errors import as_number
from handgrad.nn.model import Model
from handgrad.optim.rules import RULES
from handgrad.training.arrays import commit
from handgrad.training.callback import Callback

if TYPE_CHECKING:
    from handgrad.nn.compiled.training import Done, Feed, Options, TrainPlan
    from handgrad.training.solver import Solver

SECONDS = 0.05
_MOST = 10_000  # steps of a call


class Planned:
    """The plan of a Solver.

    Attributes: steps, how many it has done; why, why it does none, None as long as it may.
    """

    def __init__(self, solver: Solver) -> None:
        self.steps = 0
        self._solver = solver
        self._plan: TrainPlan | None = None
        self._feed: Feed | None = None
        self._fed: Any = None  # what the feed was made of
        self._refused: tuple[Any, str] | None = None  # options that no plan takes, and why
        self._alone = 0  # the iteration up to which steps are done without it
        self._seconds = 0.0  # of a step

    def __deepcopy__(self, memo: dict[int, Any]) -> Planned:
        return Planned(memo.get(id(self._solver), self._solver))

    @property
    def why(self) -> str | None:
        """Why steps are done one by one in Python, None where a plan does them."""
        text = self._refusal()
        if text is None and self._made() is None:
            assert self._refused is not None
            text = self._refused[1]
        return text

    def do(self, most: int) -> Done | None:
        """Do up to `most` steps, and put the parameters in place; None where a step is to be done without it."""
        from handgrad.nn.compiled.memory import NotCovered

        solver = self._solver
        if solver.iteration < self._alone or self._refusal() is not None:
            return None
        plan = self._made()
        if plan is None:
            return None
        if self._seconds:
            most = min(most, max(int(SECONDS / self._seconds), 1), _MOST)
        elif most > 1:
            most = 1  # the first tells how long a step takes
        if self._shares_stream(plan):
            most = 1
        feed = self._rows()
        started = perf_counter()
        try:
            done = self._run(plan, feed, most)
        except NotCovered:
            solver.settle_step()
            self._alone = solver.iteration + 1
            return None
        if done is None:
            solver.settle_step()
            self._alone = solver.iteration + most
            return None
        self._seconds = (perf_counter() - started) / most
        self.steps += most
        return done

    def _run(self, plan: TrainPlan, feed: Feed, count: int) -> Done | None:
        from handgrad.nn.compiled.training import Steps

        solver, place = self._solver, self._solver.place
        step = place.position % solver.iterations_per_epoch
        share = place.iteration / max(solver.total_steps, 1)
        rows = solver.sampler.draw_several(solver.batch_size, solver.random, step, share, count)
        if isinstance(solver.X_train, Rows):
            rows = solver.X_train.chosen[rows]
        factors = None
        if solver.schedule is not None:
            factors = [
                as_number(
                    "Solver",
                    "the factor that schedule returns",
                    solver.schedule(i, solver.total_steps),
                    0.0,
                )
                for i in range(place.iteration, place.iteration + count)
            ]
        average = solver.average
        shares = None
        if average.decay is not None:
            shares = [average.share(i) for i in range(place.iteration, place.iteration + count)]
        steps = Steps(np.ascontiguousarray(rows), factors, solver.clip_norm or 0.0, shares)
        averages = None if shares is None else {**average.params, **average.buffers}
        with np.errstate(all="ignore"):
            done = plan.run(feed, solver.optim_configs, steps, averages, seconds=np.inf)
        if done is None:
            return None
        commit(solver.model.params, done.params)
        if shares is not None:
            average.take(solver.model, done.averages)
        last = list(done.params)[-1]
        rate = solver.optim_configs[last].get("learning_rate")
        rates = [rate] * count if factors is None else [rate * factor for factor in factors]
        norm = done.norms[-1] if solver.clip_norm is not None else solver.gradient_norm
        solver.set_last_step(done.grads, done.before, rates[-1], norm)
        return done._replace(rates=rates)

    # -- whether a plan can do it ----------------------------------------------------------------------

    def _refusal(self) -> str | None:
        """Return why no plan can do the next step, of what can be seen without making one."""
        solver, model = self._solver, self._solver.model
        name = type(model).__name__
        if type(solver)._step is not _own(solver, "_step") or "_step" in vars(solver):
            return f"{type(solver).__name__} has a step of its own"
        if not isinstance(model, Model) or type(model).loss is not Model.loss:
            return f"{name} is no network of handgrad.nn"
        if not model._is_static:
            return f"{name}.forward may do something else in each call"
        if _rule_name(solver.update_rule) is None:
            return "the update rule is none of the library's"
        if type(model.params) is not dict:
            return "params is no plain dictionary"
        if solver.augment is not None:
            return "batches are augmented"
        if solver.weights is not None:
            return "rows have weights"
        if solver.accumulate > 1:
            return "a step is computed in parts"
        if solver.sampler.passes is not None:
            return "easy rows are skipped"
        for callback in solver.callbacks:
            method = getattr(callback.on_step_end, "__func__", None)
            if method is not Callback.on_step_end and callback.needs_each_step:
                return f"{type(callback).__name__} looks at each step"
        if solver.iteration == 0 or (solver.ema is not None and not solver.ema_params):
            return None
        return None

    def _made(self) -> TrainPlan | None:
        """Return the plan for the network as it is now, or None where there is none."""
        from handgrad.nn.compiled.memory import NotCovered
        from handgrad.nn.compiled.training import TrainPlan

        solver = self._solver
        options = self._options()
        if self._plan is not None and self._plan.is_for(options):
            return self._plan
        if self._refused is not None and self._refused[0] == options:
            return None
        try:
            if self._rows() is None:
                raise NotCovered("the rows of the training set as they are stored")
            if compiled_rules(*list(solver.model.params.values())[:1]) is None:
                raise NotCovered("the engine or the dtype")
            self._plan = TrainPlan(solver.model, options)
        except NotCovered as error:
            self._plan, self._refused = None, (options, f"no plan covers {error}")
        return self._plan

    def _options(self) -> Options:
        from handgrad.nn.compiled.training import Options

        solver = self._solver
        labels = solver.task == "classification"
        size = min(solver.batch_size, len(solver.X_train))
        return Options(
            (size, *solver.X_train.shape[1:]),
            None if labels else prod(solver.y_train.shape[1:]),
            _rule_name(solver.update_rule) or "",
            solver.frozen,
            solver.clip_norm is not None,
            solver.ema is not None,
            frozenset(name for name, config in solver.optim_configs.items() if config.get("l2")),
        )

    def _rows(self) -> Feed | None:
        """Return where the batches come from, or None where a plan cannot read it."""
        solver = self._solver
        X, y = solver.X_train, solver.y_train
        if self._fed is not None and self._fed[0] is X and self._fed[1] is y:
            return self._feed
        self._fed, self._feed = (X, y), _feed(X, y, solver.model, solver.task == "classification")
        return self._feed

    def _shares_stream(self, plan: TrainPlan) -> bool:
        """Whether dropout draws from the stream that the rows are drawn from."""
        own = plan.bit_generators()
        from_stream = self._solver.sampling == "replacement"
        return from_stream and any(stream is _bits(self._solver.random) for stream in own)


def _feed(X: Any, y: np.ndarray, model: Any, labels: bool) -> Feed | None:
    from handgrad.nn.compiled.training import Feed

    prepare: tuple[np.ndarray, ...] = ()
    dtype = np.dtype(np.float64 if model.dtype is None else model.dtype)
    if type(X) is Rows:
        if type(X.prepare) is not Preprocessing or X.dtype != dtype:
            return None
        prepare, X = X.prepare.of_bytes(), X.raw
        if type(X) is not np.ndarray or X.dtype != np.uint8:
            return None
    elif isinstance(X, Rows) or X.dtype not in (np.float32, np.float64):
        return None
    elif model.dtype is None and X.dtype != next(iter(model.params.values())).dtype:
        return None
    if not (X.flags.c_contiguous and X.flags.aligned):
        return None
    y = np.ascontiguousarray(y, np.int64 if labels else np.float64)
    if len(y) != len(X):  # the rows that are chosen are a part of those that are stored
        return None
    return Feed(X, y, prepare)


def _own(solver: Solver, name: str) -> Any:
    from handgrad.training import solver as module

    return getattr(module.Solver, name)


def _rule_name(rule: Any) -> str | None:
    return next((name for name, known in RULES.items() if known is rule), None)


def _bits(random: Any) -> Any:
    return (
        random.bit_generator if isinstance(random, np.random.Generator) else random._bit_generator
    )
