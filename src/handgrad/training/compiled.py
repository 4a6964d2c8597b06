"""The steps of a Solver that a plan does, many in one native call (`handgrad.nn.compiled`).

A plan takes the steps of a network of the library's layers with an update rule of the library.  An
augmentation must be one of the library's, too, and no callback may want to look at the Solver between two
steps.
Its numbers are those of the steps themselves, to the bit.  The first step of a training, and every step in
which something is not finite, is done without it.

Several steps are one call if they take no longer than `SECONDS`; they are done as a whole or, where an
exception comes, not at all.
"""

from __future__ import annotations

from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad import engines
from handgrad.data.augment import Augmentation
from handgrad.errors import HandgradError
from handgrad.nn.compiled.calls import Raised
from handgrad.nn.compiled.memory import NotCovered
from handgrad.nn.compiled.parts import Done, Options, Steps
from handgrad.nn.compiled.training import TrainPlan
from handgrad.nn.model import Model
from handgrad.optim.rules import RULES
from handgrad.training.arrays import commit
from handgrad.training.feeds import Blocks, Stored, feed_of, rows_of_a_step
from handgrad.training.telling import does_something

if TYPE_CHECKING:
    from handgrad.training.solver import Solver
    from handgrad.training.undo import Before

SECONDS = 0.05
_HOME = "handgrad.training.solver"


class Planned:
    """The plan of a Solver.

    Attribute: steps, how many it has done.
    """

    def __init__(self, solver: Solver) -> None:
        self.steps = 0
        self._solver = solver
        self._plan: TrainPlan | None = None
        self._feed: Stored | Blocks | None = None
        self._fed: Any = None  # what the feed was made of
        self._refused: tuple[Any, str] | None = None  # what no plan takes, and why
        self._alone = 0  # the iteration up to which steps are done one by one
        self._seconds = 0.0  # of a step
        self._in_turns = (
            False  # whether a layer in Python was seen to draw from the stream of the rows
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_plan": None, "_feed": None, "_fed": None}

    @property
    def why_not(self) -> str | None:
        """Why steps are done one by one in Python; None where a plan does them."""
        if text := self._refusal():
            return text
        if self._made() is None:
            assert self._refused is not None
            return self._refused[1]
        return None

    @property
    def in_python(self) -> tuple[str, ...]:
        """What Python computes in the middle of the plan."""
        return () if self._plan is None else tuple(dict.fromkeys(self._plan.calls.shown))

    def forget(self) -> None:
        """Let go of the plan and its memory; the next step makes it anew."""
        self._plan = self._feed = self._fed = None

    def do(self, before: Before, most: int) -> tuple[list[Any], list[Any]] | None:
        """Do up to `most` steps; return their learning rates, and the norms of their gradients.

        None where a step is to be done without a plan.

        before: all as it is now; what did not come to its end is taken back.
        """
        solver = self._solver
        if solver.iteration < max(self._alone, 1) or self._refusal() is not None:
            return None  # the first step fills in settings and state of the rule
        plan = self._made()
        if plan is None:
            return None
        # the first call tells how long a step takes
        count = min(most, max(int(SECONDS / self._seconds), 1)) if self._seconds else 1
        in_turns = self._shares_stream(plan)
        if in_turns:
            count = 1
        started = perf_counter()
        try:
            done, count = self._run(plan, count, most, in_turns)
        except (NotCovered, Raised):
            done, count = None, 1
        if done is None:
            before.put_back(solver)
            self._alone = solver.iteration + count
            return None
        rates = self._note(done, count)
        norms = done.norms if solver.clip_norm is not None else [None] * count
        self._seconds = (perf_counter() - started) / count
        self.steps += count
        return rates, norms

    def _run(
        self, plan: TrainPlan, count: int, most: int, in_turns: bool
    ) -> tuple[Done | None, int]:
        """Do about `count` steps; return what came of them, and how many they were."""
        solver, place = self._solver, self._solver.place
        source = self._rows()
        if source is None:
            raise NotCovered("the training set as it is stored")
        rows, feed, places, moves = source.draw(solver, count, most, in_turns)
        count = len(rows)
        weights = None if solver.weights is None else solver.weights[rows]
        iterations = range(place.iteration, place.iteration + count)
        factors = shares = averages = None
        if solver.schedule is not None:
            factors = [solver.updates.factor(i, solver.total_steps) for i in iterations]
        if solver.ema is not None:
            shares = [solver.average.share(i) for i in iterations]
            averages = {**solver.average.params, **solver.average.buffers}
        steps = Steps(places, factors, solver.clip_norm or 0.0, shares, weights, moves)
        self._factors = factors
        watched = _position(solver.random) if plan.calls.functions and self._draws() else None
        done = plan.run(feed, solver.optim_configs, steps, averages, seconds=np.inf)
        if watched is not None and watched != _position(solver.random):
            self._in_turns = True
            if count > 1:  # its numbers were to come between those of the rows
                plan.calls.take_back()
                return None, count
        return done, count

    def _note(self, done: Done, count: int) -> list[Any]:
        """Put what the steps have done in place; return their learning rates."""
        solver, last = self._solver, self._solver.last
        commit(solver.model.params, done.params)
        if solver.ema is not None:
            solver.average.take(solver.model, done.averages)
        solver.loss_history.extend(done.losses)
        rate = solver.optim_configs[next(reversed(done.params))]["learning_rate"]
        rates = [rate * factor for factor in self._factors or [1.0] * count]
        last.grads, last.params_before, last.learning_rate = done.grads, done.before, rates[-1]
        if solver.clip_norm is not None:
            last.gradient_norm = done.norms[-1]
        return rates

    # -- whether a plan can do it ----------------------------------------------------------------------

    def _refusal(self) -> str | None:
        """Return why no plan can do the next step, of what is seen without making one."""
        solver, model = self._solver, self._solver.model
        name = type(model).__name__
        if not isinstance(model, Model) or type(model).loss is not Model.loss:
            return f"{name} is no network of handgrad.nn"
        if not model._is_static and not self._is_compiled():
            return f"{name}.forward may do something else in each call"
        if _rule_name(solver.update_rule) is None:
            return "the update rule is none of the library's"
        if type(solver).gradients_of.__module__ != _HOME:
            return f"{type(solver).__name__} has gradients of its own"
        for callback in solver.callbacks:
            if callback.needs_each_step and does_something(callback, "on_step_end"):
                return f"{type(callback).__name__} looks at each step"
        given = {
            "params is no plain dictionary": type(model.params) is not dict,
            "batches are augmented by a function of your own": (
                solver.augment is not None and type(solver.augment) is not Augmentation
            ),
            "a step is computed in parts": solver.accumulate > 1,
            "batches are cut into shards": solver.shards is not None,
            "easy rows are skipped": solver.sampler.passes is not None,
        }
        return next((text for text, is_so in given.items() if is_so), None)

    def _is_compiled(self) -> bool:
        """Whether the network was compiled for the batches, so that its forward is fixed."""
        plan = self._solver.model._compiled.get("train")
        return plan is not None and plan.shapes == (self._shape(),)

    def _shape(self) -> tuple[int, ...]:
        """Return that of a batch."""
        return rows_of_a_step(self._solver), *self._solver.X_train.shape[1:]

    def _made(self) -> TrainPlan | None:
        """Return the plan for the network as it is now, or None where there is none."""
        solver = self._solver
        options = self._options()
        if self._plan is not None and self._plan.is_for(options):
            return self._plan
        key = options, engines.current()
        if self._refused is not None and self._refused[0] == key:
            return None
        try:
            if self._rows() is None:
                raise NotCovered("the training set as it is stored")
            solver.precise.forget()
            self._plan = TrainPlan(solver.model, options)
        except NotCovered as error:
            self._plan, self._refused = None, (key, f"no plan covers {error}")
        except (HandgradError, MemoryError):  # the first step says it in its own words
            self._plan, self._refused = (
                None,
                (key, "the network does not fit the data, or the memory"),
            )
        return self._plan

    def _options(self) -> Options:
        solver = self._solver
        labels = solver.task == "classification"
        return Options(
            self._shape(),
            None if labels else prod(solver.y_train.shape[1:]),
            _rule_name(solver.update_rule) or "",
            solver.frozen,
            solver.clip_norm is not None,
            solver.ema is not None,
            frozenset(name for name, config in solver.optim_configs.items() if config.get("l2")),
            solver.weights is not None,
            solver.precise.is_half,
        )

    def _rows(self) -> Stored | Blocks | None:
        """Return how batches are read, or None where a plan cannot read them."""
        solver = self._solver
        now = solver.X_train, solver.y_train, solver.augment
        if self._fed is None or any(a is not b for a, b in zip(self._fed, now, strict=True)):
            self._feed = feed_of(solver)
            self._fed = now
        return self._feed

    def _shares_stream(self, plan: TrainPlan) -> bool:
        """Whether dropout draws from the stream of the rows, which then are drawn in turns with it."""
        solver = self._solver
        rows = _bits(solver.random)
        shares = self._in_turns or any(stream is rows for stream in plan.bit_generators())
        return shares and self._draws()

    def _draws(self) -> bool:
        """Whether steps draw from the stream of the rows, beside the order of an epoch."""
        return self._solver.sampling == "replacement" or self._solver.augment is not None


def _rule_name(rule: Any) -> str | None:
    return next((name for name, known in RULES.items() if known is rule), None)


def _bits(random: Any) -> Any:
    return (
        random.bit_generator if isinstance(random, np.random.Generator) else random._bit_generator
    )


def _position(random: Any) -> list[Any]:
    """Return where a stream stands."""
    state = _bits(random).state
    inner = state["state"]
    numbers = [x.tobytes() if isinstance(x, np.ndarray) else x for x in inner.values()]
    return [*numbers, *(value for key, value in state.items() if key != "state")]
