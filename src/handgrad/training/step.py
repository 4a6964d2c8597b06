"""One step of a training: a batch, its gradient, and the update by it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from handgrad.errors import NonFiniteError
from handgrad.training.ahead import Wish
from handgrad.training.arrays import buffers_of
from handgrad.training.callback import Record
from handgrad.training.checks import check_buffers, check_gradients, divergence
from handgrad.training.shards import Cut
from handgrad.training.telling import PendingCall, calls_of, is_told, say
from handgrad.training.undo import Before

if TYPE_CHECKING:
    from handgrad.training.solver import Solver


class Taken(NamedTuple):
    """Steps that were taken in one go.

    Attributes:
        started: the seconds of training before them.
        rates: the learning rate of each.
        norms: of the gradients of each before they were clipped, None without clip_norm.
    """

    started: float
    rates: list[float | None]
    norms: list[float | None]


def take_steps(solver: Solver, before: Before, most: int) -> Taken:
    """Take up to `most` steps by a plan, or one without; see `take_step`."""
    started = solver.seconds
    done = solver.planned.do(before, most)
    if done is not None:
        return Taken(started, *done)
    take_step(solver, before)
    return Taken(started, [solver.learning_rate], [solver.gradient_norm])


def take_step(solver: Solver, before: Before) -> None:
    """Draw a batch, update the parameters by its gradient, and note what came of it.

    Raises NonFiniteError where the loss or the update is not finite; the weights are then as `before`.
    """
    place, model, last = solver.place, solver.model, solver.last
    rows, X = solver.ahead.take(solver.sampler, solver.random, wish(solver, 0))
    solver.ahead.go_on(solver.sampler, solver.random, wish(solver, 1))
    y = solver.y_train[rows]
    params = model.params
    last.params_before = before.params
    try:
        with np.errstate(all="ignore"):  # NaN and infinity are looked for, and say more so
            weights = None if solver.weights is None else solver.weights[rows]
            loss, last.grads = solver.gradients_of(X, y, weights)
            check_gradients(params, last.grads)
            if not math.isfinite(loss):
                raise NonFiniteError(f"the loss is {loss}")
            solver.updates.apply(model, params, last, place.iteration, solver.total_steps)
            check_buffers(buffers_of(model))
    except NonFiniteError as error:
        before.put_back_weights(solver)
        if isinstance(X, Cut):
            rows, X = X.one_of(rows)
        solver.diverge(divergence(solver, error, rows, X), error)
        return
    solver.loss_history.append(loss)
    solver.sampler.note(rows, model, y)
    solver.average.add(model, place.iteration)


def wish(solver: Solver, later: int, steps: int = 1) -> Wish:
    """Return what the batch of this step, or of one `later`, depends on; or those of `steps` from there."""
    place, per_epoch = solver.place, solver.iterations_per_epoch
    position = place.position + later
    epoch = place.epoch + (later if position % per_epoch == 0 else 0)
    share = (place.iteration + later) / max(solver.total_steps, 1)
    step = position % per_epoch
    shards = solver.shards
    cut = None if shards is None else (shards.count, shards.own)
    return Wish(solver.X_train, solver.augment, solver.batch_size, step, share, epoch, cut, steps)


def records_of(solver: Solver, taken: Taken) -> list[Record]:
    """Return the records of the last steps, which have just been taken."""
    records = []
    place, count = solver.place, len(taken.rates)
    seconds = solver.seconds
    each = (seconds - taken.started) / count
    before = place.epoch - (place.position % solver.iterations_per_epoch == 0)
    for i, rate in enumerate(taken.rates, start=1):
        record = {
            "kind": "step",
            "iteration": place.iteration - count + i,
            "epoch": place.epoch if i == count else before,
            "loss": solver.loss_history[i - count - 1],
            "learning_rate": rate,
            "time": seconds if i == count else taken.started + i * each,
        }
        if solver.clip_norm is not None:
            record["gradient_norm"] = taken.norms[i - 1]
        records.append(record)
    return records


def told_of(
    solver: Solver, taken: Taken, num_iterations: int
) -> tuple[list[PendingCall], list[PendingCall]]:
    """Return the calls that tell of the last steps: the Solver's own lines, and those of the callbacks."""
    own, end = [], solver.place.position
    for t in range(end - len(taken.rates), end) if solver.verbose else ():
        if t % solver.print_every == 0:
            text = f"(Iteration {t + 1} / {num_iterations}) loss: {solver.loss_history[t - end]:f}"
            own.append(PendingCall(None, say, text))
    told: list[PendingCall] = []
    if is_told(solver, "on_step_end"):
        *earlier, last = records_of(solver, taken)
        for record in earlier:
            told += calls_of(solver, "on_step_end", record, is_last=False)
        told += calls_of(solver, "on_step_end", last)
    return own, told
