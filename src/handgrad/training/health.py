"""Signs that a training is not healthy, each said once: the initial loss, dead ReLUs, what does not move."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from handgrad.training.callback import Callback, Record
from handgrad.training.callbacks import LayerStatistics

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

FAR = 2.0  # an initial loss so many times ln(classes), or under one part in so many, is far from it
DEAD = 0.5  # share of dead units in a layer
_ROWS = 200  # looked at
STILL = 1e-7  # change of a parameter in a step, on its own scale: about the resolution of float32


class HealthCheck(Callback):
    """Warn, by `Solver.warn`, of what a healthy training does not show.

    - After the first step: a loss, without regularisation, far from that of scores that favour no class:
      ln(classes) for the softmax loss.
    - From the records of `LayerStatistics` (put that among the callbacks too), after each epoch: layers in
      which half of the units or more are 0 for every row looked at; weights that a step does not move
      although the learning rate has not been taken back.

    >>> Solver(model, data, callbacks=[HealthCheck()])  # doctest: +SKIP
    """

    needs_each_step = False

    def on_step_end(self, solver: Solver, record: Record) -> None:
        """Look at the initial loss."""
        if record["iteration"] != 1:
            return
        if (
            solver.task != "classification"
            or getattr(solver.model, "task", "classification") is None
        ):
            return
        classes = getattr(solver.model, "num_classes", None) or int(solver.y_train.max()) + 1
        if classes < 2:
            return
        loss, expected = record["loss"] - _regularization(solver), _of_no_opinion(solver, classes)
        if not expected / FAR <= loss <= expected * FAR:
            cause = "weights that start too large (weight_scale), or data that are not centred"
            if loss < expected:
                cause = "labels that are in the data, or nearly all of one class"
            solver.warn(
                "initial loss",
                f"the initial loss is {loss:.3g}, far from {_ln(expected, classes)}, that of scores which "
                f"favour no class; look for {cause}",
            )

    def on_record(self, solver: Solver, record: Record) -> None:
        """Look at the statistics of the layers."""
        if record["kind"] != "layers" or record["epoch"] == 0:
            return
        for name, spread in record["layers"].items():
            dead = spread.get("dead")
            if dead is not None and dead >= DEAD:
                solver.warn(
                    f"dead {name}",
                    f"{100 * dead:.0f} % of the units of {name} are 0 for every row looked at (dead "
                    "ReLUs): try a smaller learning rate, or other initial weights",
                )
        if _is_taken_back(solver):
            return
        for name, gradient in record["gradients"].items():
            ratio = gradient["ratio"]
            if name in solver.frozen:
                continue
            if solver.model.params[name].ndim > 1 and ratio is not None and ratio < STILL:
                why = "its gradient is 0: a later layer is dead"
                if gradient["norm"]:
                    why = "try a larger learning rate"
                solver.warn(
                    f"still {name}",
                    f"{name} does not move (a step changes it by {ratio:.1g} of its size): {why}",
                )


def look_after(solver: Solver, record: Record) -> None:
    """Do what `HealthCheck` and `LayerStatistics` do after the estimate of `record`, in their absence."""
    if any(isinstance(callback, HealthCheck) for callback in solver.callbacks):
        return
    check = HealthCheck()
    if record["iteration"] == 1:
        check.on_step_end(solver, {"iteration": 1, "loss": solver.loss_history[-1]})
        return
    with np.errstate(all="ignore"):
        check.on_record(solver, LayerStatistics(solver.X_val[:_ROWS]).look(solver, record))


def _of_no_opinion(solver: Solver, classes: int) -> float:
    """Return the loss of scores that favour no class."""
    named = getattr(solver.model, "_loss", None)
    if getattr(named, "name", None) in (None, "softmax"):
        return math.log(classes)
    return float(named.func(np.zeros((classes, classes)), np.arange(classes), **named.options)[0])  # type: ignore[union-attr]


def _ln(expected: float, classes: int) -> str:
    is_ln = math.isclose(expected, math.log(classes))
    return f"ln({classes}) = {expected:.3g}" if is_ln else f"{expected:.3g}"


def _regularization(solver: Solver) -> float:
    """Return what the weights before the step added to the loss; the network says which `reg` counts."""
    reg = getattr(solver.model, "reg", 0.0)
    decayed = getattr(solver.model, "decayed", ())
    weights = [w for name, w in solver.params_before.items() if name in decayed]
    return 0.5 * reg * sum(float(np.vdot(w, w)) for w in weights) if reg else 0.0


def _is_taken_back(solver: Solver) -> bool:
    """Return whether a schedule or decay holds the learning rate under a hundredth of its start."""
    start = solver.optim_config.get("learning_rate")
    rate = solver.learning_rate
    return start is not None and rate is not None and rate < 0.01 * start
