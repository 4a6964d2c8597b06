"""Steering: changes between two steps of a run, written down so that the run can be repeated.

An act says after how many steps it came, and the factor that it put on the learning rates from there on:
``{iteration = 150, rate = 0.5}``.  The acts of a run stand in its ``config.toml``, under
``training.steering``.  A run of that configuration does them at the same steps, so it has the same bits as
the run that was steered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from handgrad.errors import OptionError, as_count, as_items, as_number, check_known
from handgrad.training.callback import Callback, Record

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

Act = dict[str, Any]


def as_act(act: Any) -> Act:
    """Return `act` with its numbers checked; OptionError says what is wrong with it.

    >>> as_act({"iteration": 150, "rate": 0.5})
    {'iteration': 150, 'rate': 0.5}
    """
    keys = ("iteration", "rate")
    if not isinstance(act, Mapping):
        raise OptionError(f"training: steering must hold tables, got {act!r} in it")
    check_known("training: an act in steering", act, keys)
    if missing := [key for key in keys if key not in act]:
        raise OptionError(f"training: an act in steering lacks {missing[0]!r}, got {dict(act)}")
    iteration = as_count("training", "iteration of an act in steering", act["iteration"], minimum=0)
    rate = as_number("training", "rate of an act in steering", act["rate"], 0.0, open_low=True)
    return {"iteration": iteration, "rate": rate}


def as_acts(acts: Any) -> list[Act]:
    """Return the checked `acts` in the order of their steps."""
    checked = [as_act(act) for act in as_items("training", "steering", acts, "tables")]
    return sorted(
        checked, key=lambda act: act["iteration"]
    )  # stable: those of one step keep theirs


class Steering(Callback):
    """Do the acts of a run at their steps, and tell the callbacks by records of kind ``steer``.

    Put it before what saves: a checkpoint of a step holds what the acts after that step changed.
    """

    def __init__(self, acts: Iterable[Mapping[str, Any]] = ()) -> None:
        """Do `acts` when their steps come."""
        self.acts = as_acts(list(acts))
        self._done: frozenset[int] = frozenset()  # the places of those that this process has done

    @property
    def needs_each_step(self) -> bool:  # type: ignore[override]
        """Whether an act is still to come."""
        return len(self._done) < len(self.acts)

    def on_train_begin(self, solver: Solver) -> None:
        """Do what comes before the first step; where steps are done, what came up to them is done, too."""
        if solver.iteration == 0:
            self._do(solver)
            return
        before = [i for i, act in enumerate(self.acts) if act["iteration"] <= solver.iteration]
        self._done |= frozenset(before)

    def on_step_end(self, solver: Solver, record: Record) -> None:
        """Do what comes after this step."""
        if len(self._done) < len(self.acts):
            self._do(solver)

    def add(self, solver: Solver, rate: float) -> Act:
        """Put a factor `rate` on the learning rates now; return the act as it is to be written down."""
        act = as_act({"iteration": solver.iteration, "rate": rate})
        self.acts.append(act)
        self._do(solver)
        return act

    def _do(self, solver: Solver) -> None:
        for place, act in enumerate(self.acts):
            if act["iteration"] != solver.iteration or place in self._done:
                continue
            done = self._done | {place}
            configs = {
                name: _changed(config, act["rate"]) for name, config in solver.optim_configs.items()
            }
            solver.emit({"kind": "steer", "epoch": solver.epoch, **act})
            # side by side, where no interruption comes between: an act is done once
            self._done, solver.optim_configs = done, configs


def _changed(config: dict[str, Any], rate: float) -> dict[str, Any]:
    if "learning_rate" not in config:
        return config
    return {**config, "learning_rate": config["learning_rate"] * rate}
