"""The live view in a cell of a notebook, over Jupyter's own line: it works where the kernel is remote."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.errors import DtypeError, OptionError, shown
from handgrad.lab.thinning import Thinned
from handgrad.training.callback import Callback, Record

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

SHARE = 0.01  # of the time that the view takes
PAUSE = 0.3  # seconds between two changes of the view, at least
POINTS = 300


def show(solver: Solver) -> Any:
    """Show a live view of `solver` in a notebook: its curves, and where it is, while it trains.

    ::

        solver = handgrad.Solver(model, data, verbose=False)
        handgrad.lab.show(solver)  # at the end of a cell
        solver.train()  # in the next one

    Returns:
        The view, which the notebook shows where it ends a cell.  The numbers of the training stay the same.

    Raises:
        OptionError: the package anywidget is missing.  DtypeError: `solver` is no Solver.
    """
    if not hasattr(solver, "optim_configs") or isinstance(solver, type):
        raise DtypeError(f"show: solver must be a Solver, got {shown(solver)}")
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise OptionError(
            f"show needs the package {error.name}; get it with: pip install 'handgrad[lab]'"
        ) from None

    class View(anywidget.AnyWidget):  # type: ignore[misc]  # nothing is known of its base
        """What the notebook shows; `state` is JSON."""

        _esm = _script()
        _css = _static("uplot/uPlot.css") + _static("cell.css")
        state = traitlets.Unicode("{}").tag(sync=True)

    view = View()

    def tell(state: dict[str, Any]) -> None:
        view.state = json.dumps(state)

    cell = Cell(solver, tell)
    solver.callbacks = [*solver.callbacks, cell]
    return view


class Cell(Callback):
    """Tell a view how the training does, at most a share of the time."""

    needs_each_step = False

    def __init__(self, solver: Solver, tell: Callable[[dict[str, Any]], None]) -> None:
        """Begin with what `solver` has done so far."""
        self.tell = tell
        self._steps = Thinned(["loss", "learning_rate"])
        self._epochs: list[Record] = []
        self._waiting: list[Record] = []
        self._next = 0.0
        done = len(solver.loss_history)
        losses = np.array(solver.loss_history, np.float64)
        if done:
            steps = np.arange(1, done + 1)
            self._steps.add(steps, {"loss": losses, "learning_rate": np.full(done, np.nan)})
        self._say(solver, "ready")

    def on_step_end(self, solver: Solver, record: Record) -> None:
        """Keep the record, and change the view where it is time to."""
        self._waiting.append(record)
        if perf_counter() >= self._next:
            self._say(solver, "training")

    def on_epoch_end(self, solver: Solver, record: Record) -> None:
        """Keep the record."""
        if not self._epochs or self._epochs[-1] is not record:
            self._epochs.append(record)

    def on_train_end(self, solver: Solver) -> None:
        """Show the end."""
        self._say(solver, "stopped" if solver.stop_reason == "interrupted" else "trained")

    def _say(self, solver: Solver, state: str) -> None:
        start = perf_counter()
        steps = np.array([r["iteration"] for r in self._waiting], np.int64)
        columns = {
            name: np.array([np.nan if r[name] is None else r[name] for r in self._waiting])
            for name in self._steps.columns
        }
        self._waiting = []
        self._steps.add(steps, columns)
        kept = self._epochs[:: max(len(self._epochs) // POINTS, 1)]
        self.tell(
            {
                "state": state,
                "iteration": solver.iteration,
                "total_steps": solver.total_steps,
                "epoch": solver.epoch,
                "steps": self._steps.points(POINTS),
                "epochs": kept,
            }
        )
        took = perf_counter() - start
        self._next = perf_counter() + max(took / SHARE, PAUSE)


def _static(name: str) -> str:
    return ((resources.files("handgrad.lab") / "static").joinpath(name)).read_text("utf-8")


def _script() -> str:
    """Return the view's script, and the charts that it draws with, as one module."""
    charts, _, _ = _static("uplot/uPlot.js").rpartition("export {")
    return charts + _static("cell.js")
