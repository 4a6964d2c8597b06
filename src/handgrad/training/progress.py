"""The progress bar."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any, TextIO

from handgrad.errors import as_number, check_choice
from handgrad.training.callback import Callback, Record
from handgrad.training.notebook_bar import NotebookBar, is_in_notebook

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

_REFRESH = 0.1  # seconds between drawings of the bar


class ProgressBar(Callback):
    """Show loss, accuracy, images per second and the time left.

    On a terminal and in a notebook a bar; elsewhere a plain line for each estimate of the accuracy, and one
    whenever `seconds` have passed without one.

    >>> Solver(model, data, callbacks=[ProgressBar()])  # doctest: +SKIP
    """

    needs_each_step = False

    def __init__(self, stream: str = "stderr", seconds: float = 10.0) -> None:
        """Write to `stream`, "stderr" or "stdout"."""
        check_choice("ProgressBar", "stream", stream, ("stderr", "stdout"))
        self.stream = stream
        self.seconds = as_number("ProgressBar", "seconds", seconds, 0.0, 1e9)
        self._bar: Any = None  # rich's Progress, while training on a terminal
        self._page: NotebookBar | None = None  # while training in a notebook
        self._shown_at = 0.0
        self._shown_iteration = 0
        self._speed = 0.0  # images per second
        self._judged = ""  # what the last estimate said

    def on_train_begin(self, solver: Solver) -> None:
        """Start the bar."""
        self._shown_at, self._shown_iteration = perf_counter(), solver.iteration
        self._speed = 0.0
        self._judged = ""
        if solver.val_acc_history:
            self._judged = f"  val {100 * solver.val_acc_history[-1]:.1f} %"
        if is_in_notebook():
            self._page = NotebookBar(solver.total_steps, solver.iteration)
        elif self._file.isatty():
            self._bar = _new_bar(self._file)
            done, total = solver.iteration, solver.total_steps
            self._bar.add_task(
                "training", total=total, completed=done, text="starting", left="-:--"
            )
            self._bar.start()

    def on_step_end(self, solver: Solver, record: Record) -> None:
        """Show the step, if the last look was long enough ago."""
        wait = self.seconds if self._bar is None and self._page is None else _REFRESH
        if perf_counter() - self._shown_at >= wait:
            self._show(solver, record["loss"])

    def on_epoch_end(self, solver: Solver, record: Record) -> None:
        """Show the accuracy."""
        self._judged = _judged(record)
        self._show(solver, solver.loss_history[-1])

    def on_record(self, solver: Solver, record: Record) -> None:
        """Show a warning."""
        if record["kind"] != "warning":
            return
        text = f"warning: {record['text']}"
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self._file, flush=True)

    def on_train_end(self, solver: Solver) -> None:
        """Leave the bar as it is, on its own line."""
        self._page = None
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @property
    def _file(self) -> TextIO:
        return sys.stderr if self.stream == "stderr" else sys.stdout

    def _show(self, solver: Solver, loss: float) -> None:
        now = perf_counter()
        steps = solver.iteration - self._shown_iteration
        if steps > 0:
            speed = steps * solver.batch_size / max(now - self._shown_at, 1e-9)
            # half the last look, half this one: steady, and soon right
            self._speed = speed if self._speed == 0.0 else 0.5 * (self._speed + speed)
        self._shown_at, self._shown_iteration = now, solver.iteration
        text = (
            f"epoch {solver.epoch}/{_epochs(solver)}  loss {loss:.4f}{self._judged}  "
            f"{self._speed:,.0f} {_unit(solver)}/s"
        )
        left = (solver.total_steps - solver.iteration) * solver.batch_size / max(self._speed, 1e-9)
        if self._page is not None:
            self._page.update(solver.iteration, f"{text}  {clock(left)} left")
        elif self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, completed=solver.iteration, text=text, left=clock(left))
            self._bar.refresh()
        else:
            line = f"step {solver.iteration}/{solver.total_steps}  {text}  {clock(left)} left"
            print(line, file=self._file, flush=True)


def _judged(record: Record) -> str:
    """Return the validation accuracy, metric and loss of an epoch's record, those that it has."""
    parts = []
    if record.get("val_acc") is not None:
        parts.append(f"{100 * record['val_acc']:.1f} %")
    if record.get("val_metric") is not None:
        parts.append(f"{record['metric'].replace('_', ' ')} {record['val_metric']:.3f}")
    if record.get("val_loss") is not None:
        parts.append(f"loss {record['val_loss']:.4f}")
    return f"  val {', '.join(parts)}" if parts else ""


def _unit(solver: Solver) -> str:
    """Return what the rows are called."""
    return "images" if solver.X_train.ndim == 4 else "rows"


def clock(seconds: float) -> str:
    """Return `seconds` as m:ss or h:mm:ss.

    >>> clock(75), clock(3661)
    ('1:15', '1:01:01')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _epochs(solver: Solver) -> int:
    """Return the epochs after which this call of `train` ends."""
    return round(solver.total_steps / solver.iterations_per_epoch)


def _new_bar(file: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        TextColumn("{task.fields[left]} left", markup=False),
        console=Console(file=file),
        auto_refresh=False,
    )
