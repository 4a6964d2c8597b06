"""Where a Solver is in its run, and what came of it so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from handgrad.training.arrays import Arrays
from handgrad.training.estimates import Figures
from handgrad.training.parts import Part, State, check_fit, count_in

_HISTORIES = ("loss_history", "train_acc_history", "val_acc_history")
_LATER = ("val_loss_history", "train_metric_history", "val_metric_history")  # not in version 0.1.0

DUE, AT_EPOCH_END = 1, 2


class Place(Part):
    """Steps and epochs done.

    Attributes:
        position: steps done of the current call of `train`.
        estimated_at: the iteration of the last estimate of the accuracy.
        estimate_due: 0, or `DUE` or `AT_EPOCH_END` where the estimate after the last step is still to
            come.
    """

    def __init__(self) -> None:
        self.iteration = self.epoch = self.position = self.estimated_at = self.estimate_due = 0

    def past(self, num_epochs: int, per_epoch: int) -> str | None:
        """Return a text that says so if more than `num_epochs` of this call are done, else None."""
        done = self.position / per_epoch
        if done <= num_epochs:
            return None
        return (
            f"{done:g} of {num_epochs} epochs are done: train() has no step to do, and ends this call with "
            f"the best parameters; the next call trains {num_epochs} epochs more.  To train on without "
            f"an end at this place, set num_epochs above {done:g} first"
        )

    def state(self) -> State:
        """Return the numbers."""
        return {
            "progress": {
                "iteration": self.iteration,
                "epoch": self.epoch,
                "estimated_at": self.estimated_at,
                "_position": self.position,
                "_estimate_due": self.estimate_due,
            }
        }

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return the numbers."""
        names = ("iteration", "epoch", "estimated_at", "_position")
        numbers = {name: count_in(state, name) for name in names}
        due = count_in(state, "_estimate_due", missing=0, most=AT_EPOCH_END)
        return {"progress": {**numbers, "_estimate_due": due}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up the numbers."""
        progress = state["progress"]
        self.iteration, self.epoch = progress["iteration"], progress["epoch"]
        self.estimated_at = progress["estimated_at"]
        self.position, self.estimate_due = progress["_position"], progress["_estimate_due"]


class Histories(Part):
    """The losses of all steps, and of all estimates the accuracies, validation losses and metrics."""

    def __init__(self) -> None:
        self.loss_history: list[float] = []
        self.train_acc_history: list[float] = []
        self.val_acc_history: list[float] = []
        self.val_loss_history: list[float] = []
        self.train_metric_history: list[float] = []
        self.val_metric_history: list[float] = []

    def note(self, train: Figures, val: Figures) -> None:
        """Add an estimate; a regression has no accuracies."""
        for part, figures in (("train", train), ("val", val)):
            if figures.accuracy is not None:
                getattr(self, f"{part}_acc_history").append(figures.accuracy)
            getattr(self, f"{part}_metric_history").append(figures.metric)
        self.val_loss_history.append(val.loss)

    def state(self) -> State:
        """Return them as arrays."""
        names = (*_HISTORIES, *_LATER)
        return {"history": {name: np.array(getattr(self, name), float) for name in names}}

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return them as arrays; older files lack the validation losses, and have accuracies for metrics."""
        history = state["history"]
        arrays = {name: history[name] for name in _HISTORIES}
        before = {
            "val_loss_history": np.full(len(arrays["val_acc_history"]), np.nan),
            "train_metric_history": arrays["train_acc_history"],
            "val_metric_history": arrays["val_acc_history"],
        }
        arrays |= {name: history.get(name, before[name]) for name in _LATER}
        for name, array in arrays.items():
            if array.ndim != 1 or array.dtype != np.float64:
                raise ValueError(f"{name} is {array.shape} {array.dtype}")
        return {"history": arrays}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take them up."""
        for name in (*_HISTORIES, *_LATER):
            setattr(self, name, state["history"][name].tolist())

    def mark(self) -> tuple[int, ...]:
        """Return the lengths: the lists only grow."""
        return tuple(len(getattr(self, name)) for name in (*_HISTORIES, *_LATER))

    def back(self, mark: tuple[int, ...]) -> None:
        """Cut off what was added."""
        for name, length in zip((*_HISTORIES, *_LATER), mark, strict=True):
            del getattr(self, name)[length:]


class LastStep(Part):
    """What the last step did, which callbacks look at: a checkpoint holds it until its estimate is made.

    Attributes:
        params_before: the parameters before it.
        learning_rate: None for a rule that has none.
        gradient_norm: of all gradients before they were clipped, None without clip_norm.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.grads: Arrays = {}
        self.params_before: Arrays = {}
        self.learning_rate: float | None = None
        self.gradient_norm: float | None = None

    def forget_arrays(self) -> None:
        """Let the arrays go."""
        self.grads, self.params_before = {}, {}

    def state(self) -> State:
        """Return gradients, parameters and rate where the estimate after the step is still to come."""
        if not self._place.estimate_due:
            return {"last_step": {}}
        last = {"grads": self.grads, "params_before": self.params_before}
        return {"last_step": {**last, "_learning_rate": self.learning_rate}}

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return them."""
        last = state["last_step"]
        if not isinstance(last, dict):
            raise ValueError("last_step must be a dictionary")
        for part in ("grads", "params_before") if last else ():
            check_fit(part, last[part], params)
        return {"last_step": last}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take them up, if there are any."""
        if last := state["last_step"]:
            self.grads, self.params_before = last["grads"], last["params_before"]
            self.learning_rate, self.gradient_norm = last.get("_learning_rate"), None
