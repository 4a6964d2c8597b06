"""The estimates of a training: what the network is worth after an epoch, and what follows from it."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.data.rows import as_rows
from handgrad.engines.arrays import as_numpy
from handgrad.errors import OptionError, ShapeError, as_count
from handgrad.nn.state import is_trained_elsewhere
from handgrad.optim.schedules import Plateau
from handgrad.training.arrays import steady
from handgrad.training.averaging import weights_of
from handgrad.training.callback import Record
from handgrad.training.estimates import Figures
from handgrad.training.place import AT_EPOCH_END
from handgrad.training.shards import Wire

if TYPE_CHECKING:
    from handgrad.training.owned import Owner
    from handgrad.training.solver import Solver


def estimate(solver: Solver) -> tuple[Record, str]:
    """Estimate both accuracies, keep the best parameters, and return the record and the line that tell it.

    Raises Stopped if a stop comes in the middle (by a signal), before anything is noted.
    """
    place = solver.place
    params, buffers = solver.average.kept(solver.model)
    average = nullcontext() if solver.ema is None else weights_of(solver.model, params, buffers)
    # the next step says more about what overflows here
    with np.errstate(all="ignore"), average:
        train = _figures(solver, solver.X_train, solver.y_train, solver.num_train_samples)
        val = _figures(solver, solver.X_val, solver.y_val, solver.num_val_samples)
    solver.histories.note(train, val)
    at_end = place.estimate_due == AT_EPOCH_END
    is_best = solver.best.look(solver.looking.score(val.metric), params, buffers)
    solver.stopping.count(is_best, at_end)
    plateau = solver.schedule
    if at_end and isinstance(plateau, Plateau) and solver.stopping.is_plateau(plateau.patience):
        solver.updates.take_back(plateau)
    place.estimate_due, place.estimated_at = 0, place.iteration
    record = {
        "kind": "epoch",
        "epoch": place.epoch,
        "iteration": place.iteration,
        **solver.looking.record(train, val),
        "images_per_second": solver.clock.take_speed() * solver.batch_size,
        "time": solver.seconds,
    }
    line = f"(Epoch {place.epoch} / {solver.num_epochs}) {solver.looking.text(train, val)}"
    return record, line


def accuracy_of(solver: Owner, X: Any, y: Any, num_samples: int | None, batch_size: int) -> float:
    """Return the share of rows whose largest score is at the label; see `Solver.check_accuracy`."""
    X, y = as_rows("check_accuracy", "X", X), as_numpy("check_accuracy", "y", y)
    N = len(X) if X.ndim else 0
    shape = y.shape if solver.task == "classification" else y.shape[:1]
    if N == 0 or shape != (N,) or y.dtype.kind not in "biuf":
        raise ShapeError(
            "check_accuracy: X must have at least one row and y one label for each row, "
            f"got X {X.shape} and y {y.shape} {y.dtype}"
        )
    batch_size = as_count("check_accuracy", "batch_size", batch_size)
    if num_samples is not None:
        num_samples = as_count("check_accuracy", "num_samples", num_samples)
    scores, y = _scored(solver, X, y, num_samples, batch_size)
    figures = solver.looking.figures(scores, y, needs_loss=False)
    if figures.accuracy is None:
        raise OptionError(
            f"check_accuracy: a {solver.task} has no accuracy; see val_metric_history"
        )
    return figures.accuracy


def _figures(solver: Solver, X: Any, y: np.ndarray, num_samples: int | None) -> Figures:
    """Judge the model on rows, or raise Stopped if a stop comes in the middle of it."""
    with solver.stopping.in_estimate():
        wire = None if solver.shards is None else solver.shards.wire
        scores, y = _scored(solver, X, y, num_samples, wire=wire)
    return solver.looking.figures(scores, y, needs_loss=X is solver.X_val)


def _scored(
    solver: Owner,
    X: Any,
    y: np.ndarray,
    num_samples: int | None,
    batch_size: int = 100,
    wire: Wire | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores, and the targets, of all rows or of num_samples, drawn with replacement.

    Processes on one `wire` take the batches in turns, and give one another the scores.
    """
    N, rows = len(y), None
    if num_samples is not None and num_samples < N:
        # the stream belongs to the thread that trains
        beside = is_trained_elsewhere(solver.model)
        random = copy.deepcopy(solver.random) if beside else solver.random
        rows = random.choice(N, num_samples)
        y, N = y[rows], num_samples
    scores = {}
    with steady(solver.model):
        for number, start in enumerate(range(0, N, batch_size)):
            if wire is not None and number % wire.size != wire.rank:
                continue
            solver.stopping.look()
            batch: Any = slice(start, start + batch_size)
            found = solver.model.loss(X[batch if rows is None else rows[batch]])
            scores[number] = np.asarray(found)
    if wire is not None:
        scores = wire.batch(scores)
    return np.concatenate([scores[number] for number in range(len(scores))]), y
