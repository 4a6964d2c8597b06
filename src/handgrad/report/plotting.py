"""``handgrad.plot``: the histories of Solvers and runs, drawn and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.errors import OptionError, as_path, shown
from handgrad.files import read_records
from handgrad.report.grid import visualize_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = Mapping[str, Any]


def plot(runs: Any) -> Figure:
    """Draw how training went.

    Args:
        runs: a Solver, a run (`handgrad.load`, or its folder), its history (a list of records), or a list or
            dictionary name -> such.  Of one it draws loss, metric and the filters of the first layer; of
            several the metric and the loss of validation of each, to compare.

    Returns:
        A matplotlib Figure, which notebooks show; ``figure.savefig("training.png")`` keeps it.

    Raises:
        OptionError: there is no history in `runs`.

    >>> import handgrad
    >>> from handgrad.data import load_digits
    >>> solver = handgrad.Solver(
    ...     handgrad.TwoLayerNet(64, 10, 10), load_digits(), num_epochs=1, verbose=False
    ... )
    >>> solver.train()
    >>> figure = handgrad.plot(solver)
    """
    from handgrad.report.figures import training_figure

    if isinstance(runs, Mapping):
        named = {str(name): run for name, run in runs.items()}
    elif isinstance(runs, list | tuple) and runs and not _is_history(runs):
        named = {}
        for i, run in enumerate(runs, start=1):
            name = _name_of(run, i)
            named[name if name not in named else f"{name} {i}"] = run
    else:
        named = {"": runs}
    if not named:
        raise OptionError(
            f"plot: runs must be a Solver, a run, or several of them; got {shown(runs)}"
        )
    histories = {name: _history_of(run) for name, run in named.items()}
    if len(histories) > 1:
        return _compared(histories)
    (run,), (history,) = named.values(), histories.values()
    figure = training_figure(history)
    _add_filters(figure, run)
    return figure


def _is_history(value: Sequence[Any]) -> bool:
    return all(isinstance(record, Mapping) and "kind" in record for record in value)


def _name_of(run: Any, number: int) -> str:
    path = run if isinstance(run, str | PathLike) else getattr(run, "path", None)
    return as_path("plot", "runs", path).name if path is not None else f"run {number}"


def _history_of(run: Any) -> list[Record]:
    """Return the records of a history, or such as a Solver's lists say."""
    if isinstance(run, str | PathLike):
        path = as_path("plot", "runs", run)
        return list(read_records(path / "history.jsonl" if path.is_dir() else path))
    if isinstance(run, list | tuple) and _is_history(run) and run:
        return list(run)
    if hasattr(run, "loss_history") and hasattr(run, "iterations_per_epoch"):
        return _of_solver(run)
    history = getattr(run, "history", None)
    if isinstance(history, list) and history:
        return history
    raise OptionError(
        f"plot: runs must be a Solver, a run, its folder or history, or several of them; got {shown(run)}"
    )


def _of_solver(solver: Any) -> list[Record]:
    if not solver.loss_history:
        raise OptionError("plot: the Solver has not been trained yet")
    records: list[Record] = [
        {"kind": "step", "iteration": i, "loss": loss}
        for i, loss in enumerate(solver.loss_history, start=1)
    ]
    per_epoch = solver.iterations_per_epoch
    for i, metric in enumerate(solver.val_metric_history):
        loss = solver.val_loss_history[i]
        record = {
            "kind": "epoch",
            "epoch": i,
            "iteration": max(1, i * per_epoch),
            "val_loss": loss if np.isfinite(loss) else None,
        }
        if i < len(solver.val_acc_history):
            record |= {
                "train_acc": solver.train_acc_history[i],
                "val_acc": solver.val_acc_history[i],
            }
        else:
            record |= {
                "metric": solver.metric,
                "train_metric": solver.train_metric_history[i],
                "val_metric": metric,
            }
        records.append(record)
    return records


def _compared(histories: Mapping[str, list[Record]]) -> Figure:
    """Draw the metric and the loss of validation of several runs."""
    from handgrad.report.figures import COLOURS, new_figure

    figure = new_figure(10, 4.2)
    losses, metrics = figure.subplots(1, 2)
    for i, (name, history) in enumerate(histories.items()):
        epochs = [record for record in history if record["kind"] == "epoch"]
        key = "val_acc" if epochs and "val_acc" in epochs[-1] else "val_metric"
        style = {"color": COLOURS[i % len(COLOURS)], "label": name or "run", "marker": "o", "ms": 3}
        for axes, wanted in ((losses, "val_loss"), (metrics, key)):
            found = [(r["epoch"], r[wanted]) for r in epochs if r.get(wanted) is not None]
            if found:
                axes.plot(*zip(*found, strict=True), **style)
    losses.set(title="Validation loss", xlabel="epoch", ylabel="loss")
    metrics.set(title="Validation accuracy or metric", xlabel="epoch")
    for axes in (losses, metrics):
        axes.grid(alpha=0.25)
        if axes.lines:
            axes.legend(fontsize=8)
    return figure


def _add_filters(figure: Figure, run: Any) -> None:
    """Show the filters of the first layer beside the curves, if they are such of images."""
    model = getattr(run, "model", None)
    name = getattr(model, "first_filters", None)
    weights = None if name is None else getattr(model, "params", {}).get(name)
    if weights is None or weights.ndim != 4 or weights.shape[1] not in (1, 3):
        return

    grid = visualize_grid(weights[:64].transpose(0, 2, 3, 1), ubound=1.0, padding=1)
    figure.set_size_inches(13, 3.8)
    for axes in figure.axes:  # make room on the right
        axes.set_subplotspec(figure.add_gridspec(1, 3)[0, figure.axes.index(axes)])
    axes = figure.add_subplot(1, 3, 3)
    axes.imshow(grid.squeeze(), cmap="gray", interpolation="nearest")
    axes.set_title(f"Filters of {name}")
    axes.axis("off")
