"""The live view in a cell of a notebook, over Jupyter's own line: it works where the kernel is remote."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.errors import DtypeError, shown
from handgrad.lab.looking import Passed, diagram, glimpse
from handgrad.lab.thinning import Thinned
from handgrad.optional import library
from handgrad.training.callback import Callback, Record

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

SHARE = 0.01  # of the time that the view takes
PAUSE = 0.3  # seconds between two changes of the view, at least
POINTS = 300
ROWS = 64  # that are passed through the network at a look
NOT_SHOWN = (
    "The live view needs the package anywidget where Jupyter itself runs: pip install anywidget there, and "
    "load the page again."
)
SHOWN = 12  # of which the answers are shown


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
    anywidget = library("anywidget", "show", "lab")
    traitlets = library("traitlets", "show", "lab")

    base: Any = anywidget.AnyWidget

    class View(base):  # type: ignore[misc]  # nothing is known of its base
        """What the notebook shows; `state` is JSON."""

        _esm = _script()
        _css = _static("uplot/uPlot.css") + _static("cell.css")
        state = traitlets.Unicode("{}").tag(sync=True)

        def _repr_mimebundle_(self, **given: Any) -> Any:
            """Say what is missing where Jupyter cannot show it."""
            found = super()._repr_mimebundle_(**given)
            bundle = found[0] if isinstance(found, tuple) else found
            if bundle:
                bundle["text/plain"] = NOT_SHOWN
            return found

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
        self._network = Glance(solver)
        done = len(solver.loss_history)
        losses = np.array(solver.loss_history, np.float64)
        if done:
            steps = np.arange(1, done + 1)
            self._steps.add(steps, {"loss": losses, "learning_rate": np.full(done, np.nan)})
        self._say(solver, "ready")
        self._next = 0.0  # nothing is trained yet that this could hold up

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
        is_done = solver.iteration >= solver.total_steps or solver.stop_reason == "patience"
        self._say(solver, "trained" if is_done else "stopped")

    def _say(self, solver: Solver, state: str) -> None:
        start = thread_time()
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
                "network": self._network.look(solver),
            }
        )
        took = thread_time() - start
        self._next = perf_counter() + max(took / SHARE, PAUSE)


class Glance:
    """What goes through a network now: its layers for one row, and what it says of some rows.

    The network computes in its test mode, and no random stream moves on, so that no bit of the training is
    another one.  A network that is not made of the library's layers has no glance.
    """

    def __init__(self, solver: Solver) -> None:
        """Look at the first rows of the validation set."""
        self._X = np.asarray(solver.X_val[:ROWS])
        self._y = np.asarray(solver.y_val[:ROWS])

    def look(self, solver: Solver) -> dict[str, Any] | None:
        """Return the layers, and the rows with their scores; None where there is nothing to see."""
        state = np.random.get_state()
        try:
            with np.errstate(all="ignore"):
                passed = Passed(solver.model, self._X, self._y)
                names = dict.fromkeys(range(len(passed.graph.inputs)), "input")
                layers = diagram(passed, solver.model, 0, names)
                scores = np.asarray(passed.scores, np.float64)
                rows = [glimpse(x) for x in self._X[:SHOWN]]
        except Exception:  # whatever a network of one's own does, the training goes on
            return None
        finally:
            np.random.set_state(state)
        found: dict[str, Any] = {"input": glimpse(self._X[0]), "layers": layers}
        if scores.ndim == 2 and self._y.ndim == 1 and self._y.dtype.kind in "iu":
            found["rows"] = [
                {"shown": row, "says": int(s.argmax()), "is": int(y), "sure": _share(s)}
                for row, s, y in zip(rows, scores, self._y, strict=False)
            ]
        return found


def _share(scores: np.ndarray) -> float | None:
    """Return the probability of the largest score."""
    with np.errstate(all="ignore"):
        share = 1 / np.exp(scores - scores.max()).sum()
    return float(f"{share:.4g}") if np.isfinite(share) else None


def _static(name: str) -> str:
    return ((resources.files("handgrad.lab") / "static").joinpath(name)).read_text("utf-8")


def _script() -> str:
    """Return the view's script, and the charts that it draws with, as one module."""
    charts, _, _ = _static("uplot/uPlot.js").rpartition("export {")
    return charts + _static("cell.js")
