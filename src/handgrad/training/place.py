"""Where a Solver is in its run, and what came of it so far."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np

from handgrad.errors import as_number
from handgrad.training.arrays import Arrays, copied
from handgrad.training.estimates import Figures
from handgrad.training.parts import Part, State, check_fit, count_in

_HISTORIES = ("loss_history", "train_acc_history", "val_acc_history")
_LATER = ("val_loss_history", "train_metric_history", "val_metric_history")  # not in version 0.1.0

DUE, AT_EPOCH_END = 1, 2


class Place(Part):
    """Steps and epochs done.

    Attributes: iteration, epoch; position, steps done of the current call of `train`; estimated_at, the
    iteration of the last estimate of the accuracy; estimate_due, 0, or `DUE` or `AT_EPOCH_END` where the
    estimate after the last step is still to come.
    """

    def __init__(self) -> None:
        self.iteration = self.epoch = self.position = self.estimated_at = self.estimate_due = 0

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


class Best(Part):
    """The parameters and running statistics of the best validation accuracy, or of another metric.

    Attributes: val_acc, 0.0 before there is one; of another metric its value, with the sign for which more
    is better; params, buffers, empty until then; patience and epochs_without_gain, of which more than
    patience end the training.
    """

    def __init__(self, patience: int | None, takes_first: bool = False) -> None:
        """takes_first: whether the first value is the best so far whatever it is; else it exceeds 0."""
        self._takes_first = takes_first
        self.patience = patience
        self.val_acc = 0.0
        self.params: Arrays = {}
        self.buffers: Arrays = {}
        self.epochs_without_gain = 0

    def look(self, val_acc: float, params: Arrays, buffers: Arrays, is_epoch_end: bool) -> None:
        """Keep copies of `params` and `buffers` if `val_acc` is the best so far."""
        is_first = self._takes_first and not self.params and np.isfinite(val_acc)
        if val_acc > self.val_acc or is_first:
            self.val_acc = val_acc
            self.params, self.buffers = copied(params), copied(buffers)
            self.epochs_without_gain = 0
        elif is_epoch_end:
            self.epochs_without_gain += 1

    def is_plateau(self, length: int) -> bool:
        """Whether another `length` epochs have gone by without a better accuracy."""
        return self.epochs_without_gain > 0 and self.epochs_without_gain % length == 0

    @property
    def is_out_of_patience(self) -> bool:
        """Whether there were `patience` epochs without a better accuracy."""
        return self.patience is not None and self.epochs_without_gain >= self.patience

    def state(self) -> State:
        """Return accuracy, arrays, and epochs without gain."""
        progress = {"best_val_acc": self.val_acc, "_epochs_without_gain": self.epochs_without_gain}
        return {"progress": progress, "best_params": self.params, "best_buffers": self.buffers}

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return accuracy, arrays, and epochs without gain."""
        check_fit("best_params", state["best_params"], params)
        progress = {
            "best_val_acc": as_number(
                "checkpoint", "best_val_acc", state["progress"]["best_val_acc"]
            ),
            "_epochs_without_gain": count_in(state, "_epochs_without_gain"),
        }
        arrays = {name: state[name] for name in ("best_params", "best_buffers")}
        return {"progress": progress, **arrays}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up accuracy, arrays, and epochs without gain."""
        self.val_acc = state["progress"]["best_val_acc"]
        self.epochs_without_gain = state["progress"]["_epochs_without_gain"]
        self.params, self.buffers = state["best_params"], state["best_buffers"]


class Clock(Part):
    """The time spent in `train`, and the speed since the last estimate; an interruption undoes no time."""

    def __init__(self) -> None:
        self._before = 0.0  # seconds of training, without the running call
        self._started: float | None = None
        self._steps, self._step_seconds = 0, 0.0

    @property
    def seconds(self) -> float:
        """Seconds spent in training, those before a resume included."""
        return self._before + (0.0 if self._started is None else perf_counter() - self._started)

    def start(self) -> None:
        """A call of `train` begins."""
        self._started = perf_counter()

    def stop(self) -> None:
        """It ends."""
        self._before, self._started = self.seconds, None

    def count_step(self, seconds: float) -> None:
        """A step took so long."""
        self._steps, self._step_seconds = self._steps + 1, self._step_seconds + seconds

    def take_speed(self) -> float:
        """Return the steps a second since the last call."""
        speed = self._steps / max(self._step_seconds, 1e-9)
        self._steps, self._step_seconds = 0, 0.0
        return speed

    def state(self) -> State:
        """Return the seconds."""
        return {"progress": {"_seconds": self.seconds}}

    def checked(self, state: Mapping[str, Any], params: Mapping[str, Any]) -> State:
        """Return the seconds."""
        seconds = as_number("checkpoint", "_seconds", state["progress"]["_seconds"], 0.0)
        return {"progress": {"_seconds": seconds}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up the seconds."""
        self._before = state["progress"]["_seconds"]

    def mark(self) -> None:
        """Nothing is undone."""

    def back(self, mark: None) -> None:
        """Nothing is undone."""
