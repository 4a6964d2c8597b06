"""Judging the loop of gradient descent in a classifier's `train`: its batches, its steps, its history."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from handgrad.checker import diagnosis
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import NOT_WRITTEN, RIGHT, WRONG, Breach, Raised, Verdict, is_numeric
from handgrad.checker.undisturbed import quiet, run, source_file, source_lines


class Watched:
    """What the loss of a classifier was asked: it answers with gradients that are known."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._rng, self._shape = np.random.default_rng(34), shape
        self.batches: list[tuple[Any, Any, Any]] = []
        self.gradients: list[np.ndarray] = []

    def __call__(self, X_batch: Any, y_batch: Any, reg: Any) -> tuple[float, np.ndarray]:
        """Answer with the number of the call and the next gradient."""
        self.batches.append((np.array(X_batch), np.array(y_batch), reg))
        self.gradients.append(self._rng.standard_normal(self._shape))
        return float(len(self.batches)), self.gradients[-1].copy()


class Trained:
    """How `train` is watched: its weights are (D, C), as they were set; its loss has a reg.

    asked: what it calls for a loss.  UCLA's classes have another, see `own_weights`.
    """

    asked = "self.loss(X_batch, y_batch, reg)"

    @staticmethod
    def prepared(thing: Any, start: np.ndarray, watched: Any) -> Any:
        """Return an instance that begins with `start` and asks `watched` for its losses."""
        instance = thing()
        instance.W, instance.loss = start.copy(), watched
        return instance

    @staticmethod
    def weights(instance: Any) -> Any:
        """Return the weights as (D, C)."""
        return instance.W


def judge_train(name: str, thing: Any, function: Callable[..., Any], way: Any) -> Verdict:
    """Judge the loop of stochastic gradient descent by its batches and by its steps; way: see `Trained`."""
    start = time.perf_counter()
    with quiet():
        findings = list(dict.fromkeys(_findings_of_train(thing, function, way)))
    lines, first = source_lines(function)
    place: dict[str, Any] = {"file": source_file(function), "line": first if lines else None}
    unwritten = [one for one in findings if one.name == "not_written"]
    if unwritten:
        return Verdict(name, NOT_WRITTEN, reason=unwritten[0].says, **place)
    layer = KnownLayer("", list)
    causes = diagnosis.explain([], findings, layer, "forward", source_lines(function))
    seconds = time.perf_counter() - start
    verdict = WRONG if causes else RIGHT
    return Verdict(name, verdict, causes=causes, configurations=1, seconds=seconds, **place)


def _findings_of_train(thing: Any, function: Callable[..., Any], way: Any) -> Iterator[Breach]:
    rng = np.random.default_rng(35)
    X, y, rate, steps, size = rng.standard_normal((30, 4)), rng.integers(0, 3, 30), 0.1, 6, 8
    y[0] = 2
    start = rng.standard_normal((4, 3))
    watched = Watched(start.shape)
    instance = way.prepared(thing, start, watched)
    settings = {"learning_rate": rate, "num_iters": steps, "batch_size": size}
    if "reg" in inspect.signature(function).parameters:
        settings["reg"] = 0.3
    history = run(lambda: instance.train(X.copy(), y.copy(), **settings))
    if isinstance(history, Raised):
        kind = (
            "not_written"
            if history.kind in ("TypeError", "AttributeError") and not watched.batches
            else "raises"
        )
        if watched.batches and any(batch[0].ndim == 0 for batch in watched.batches):
            kind = "not_written"
        yield Breach(kind, f"train raises {history}", history.line)
        return
    batches = watched.batches
    if not batches:
        yield Breach("loss_not_asked", f"train never calls {way.asked}")
        return
    if any(batch[0].ndim == 0 or batch[0].dtype == object for batch in batches):
        yield Breach("not_written", "X_batch is None: the batch is not drawn yet")
        return
    if len(batches) != steps:
        yield Breach("steps", f"train takes {len(batches)} steps for num_iters={steps}")
    for rows, labels, reg in batches:
        if rows.shape != (size, 4) or labels.shape != (size,):
            yield Breach(
                "batch_shape",
                f"a batch has X {rows.shape} and y {labels.shape}: for batch_size {size} and {X.shape[1]} "
                f"features they must be {(size, 4)} and {(size,)}",
            )
            return
        places = [np.flatnonzero((row == X).all(axis=1)) for row in rows]
        if not all(map(len, places)):
            yield Breach("batch_rows", "rows of a batch are none of the training set")
        elif any(label != y[place[0]] for label, place in zip(labels, places, strict=True)):
            yield Breach("batch_labels", "the labels of a batch are not those of its rows")
        if reg != settings.get("reg"):
            yield Breach("reg_not_passed", "reg does not reach self.loss")
    if len(batches) > 1 and all(np.array_equal(batches[0][0], one[0]) for one in batches[1:]):
        yield Breach("same_batch", "every step has the same batch: draw it inside of the loop")
    yield from _of_steps(way.weights(instance), start, watched, rate)
    if isinstance(history, list | tuple | np.ndarray):
        if [float(one) for one in history if is_numeric(one)] != [
            float(i + 1) for i in range(len(batches))
        ]:
            yield Breach("history", "train must return the losses of all steps, in their order")
    else:
        yield Breach(
            "history", f"train must return the list of losses, got {type(history).__name__}"
        )


def _of_steps(weights: Any, start: np.ndarray, watched: Watched, rate: float) -> Iterator[Breach]:
    total = np.sum(watched.gradients, axis=0)
    if not is_numeric(weights) or np.shape(weights) != start.shape:
        yield Breach(
            "weights", f"self.W has shape {np.shape(weights)} after train, not {start.shape}"
        )
        return
    moved = np.asarray(weights) - start
    if np.allclose(moved, -rate * total):
        return
    for says, guess in [
        ("self.W does not change: W -= learning_rate * grad is missing", 0 * total),
        ("self.W climbs: the gradient is added, it must be subtracted", rate * total),
        ("the learning rate is missing: W -= learning_rate * grad", -total),
        ("only the last step changes self.W", -rate * watched.gradients[-1]),
        ("only the first step changes self.W", -rate * watched.gradients[0]),
    ]:
        if np.allclose(moved, guess):
            yield Breach("update", says)
            return
    yield Breach("update", "self.W does not move by -learning_rate * grad in each step")
