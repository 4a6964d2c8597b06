"""What listens to the Solver: history, checkpoints, signals, statistics of the layers.

Records are plain dictionaries, ready for JSON:

=========  ===================================================================================
kind       keys
=========  ===================================================================================
``step``   iteration, epoch (finished ones), loss, learning_rate, time (seconds of training), and
           gradient_norm (before it was clipped) where the Solver clips
``epoch``  epoch, iteration, train_acc, val_acc, images_per_second, time; epoch 0 is the
           estimate after the first step
``layers`` epoch, iteration, layers {name: {mean, std, zeros, dead}}, gradients {parameter: {norm,
           max, ratio}}; from `LayerStatistics`
``warning`` epoch, iteration, text; from `Solver.warn`, as by `HealthCheck`
=========  ===================================================================================
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.errors import ShapeError, as_count, as_path, shape_of
from handgrad.files import atomic_write, remove_partial_files
from handgrad.training.callback import Callback, Record
from handgrad.training.checkpoint import checkpoint_files, save_checkpoint

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

_TAIL = 1 << 14  # bytes at the end of a file in which a line last written is looked for


class HistoryWriter(Callback):
    """Append every record to a file of JSON lines, the history of one run.

    When training starts, lines of steps that the Solver has not done (it was resumed from an
    earlier checkpoint), of an end, and lines that a crash cut off, are removed.  Before a checkpoint is saved
    the lines are brought to the disk, so that no crash leaves a checkpoint without its history.

    >>> Solver(model, data, callbacks=[HistoryWriter('history.jsonl')])  # doctest: +SKIP
    """

    needs_each_step = False

    def __init__(self, path: str | Path) -> None:
        """Write to `path`, whose folder must exist."""
        self.path = as_path("HistoryWriter", "path", path)
        self._file: FileIO | None = None
        self._last: Record | None = None  # the record last told, which is in the file, or nearly so

    def write(self, record: Record) -> None:
        """Append `record`; also outside of training."""
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        if self._file is not None:
            self._append(self._file, line)
            return
        with self.path.open("ab+", buffering=0) as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a line that a crash cut off; dropped in on_train_begin
                    line = b"\n" + line
            self._append(file, line)

    def _append(self, file: FileIO, line: bytes) -> None:
        """Write `line` without a buffer, which would keep what did not fit a full disk."""
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def on_train_begin(self, solver: Solver) -> None:
        """Drop what the Solver has not done, and open the file."""
        self.on_train_end(solver)
        if self.path.exists():
            old = self.path.read_bytes()
            kept = b"".join(lines_until(old, solver.iteration))
            if kept != old:
                atomic_write(self.path, kept)
        self._file = self.path.open("ab", buffering=0)

    def on_step_end(self, solver: Solver, record: Record) -> None:
        """Write the record."""
        self._write_once(record)

    def on_epoch_end(self, solver: Solver, record: Record) -> None:
        """Write the record."""
        self._write_once(record)

    def on_record(self, solver: Solver, record: Record) -> None:
        """Write the record."""
        self._write_once(record)

    def _write_once(self, record: Record) -> None:
        """Write `record`, unless an interrupted call has done so."""
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        if record is not self._last or not is_near_end(self.path, line):
            self._last = record
            self.write(record)

    def on_save(self, solver: Solver) -> None:
        """Bring the lines to the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def on_train_end(self, solver: Solver) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def is_near_end(path: Path, line: bytes) -> bool:
    """Return whether `line` is one of the last lines of the file `path`."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - len(line) - _TAIL, 0))
        return line in file.read().splitlines(keepends=True)


def lines_until(content: bytes, iteration: int) -> Iterator[bytes]:
    """Yield the lines of records up to `iteration`, without an end, and lines that a crash cut off."""
    for line in content.splitlines(keepends=True):
        try:
            record = json.loads(line)
            is_later = record.get("iteration", 0) > iteration or record.get("kind") == "end"
        except (ValueError, AttributeError, TypeError):
            continue
        if not is_later and line.endswith(b"\n"):
            yield line


class Checkpointer(Callback):
    """Save checkpoints to a folder, ``checkpoint-<iteration>.safetensors``; keep the newest.

    Saves every `every_epochs` epochs, every `every_steps` steps where given, and when training is
    stopped early.  Put it last among the callbacks, so that what the others write about a step
    exists before the checkpoint that contains the step.

    >>> Solver(model, data, callbacks=[Checkpointer('checkpoints')])  # doctest: +SKIP
    """

    def __init__(
        self,
        folder: str | Path,
        every_epochs: int = 1,
        keep: int = 2,
        every_steps: int | None = None,
    ) -> None:
        """Save to `folder`, made if missing; `keep` counts the checkpoints that stay."""
        self.folder = as_path("Checkpointer", "folder", folder)
        self.every_epochs = as_count("Checkpointer", "every_epochs", every_epochs)
        self.keep = as_count("Checkpointer", "keep", keep)
        if every_steps is not None:
            every_steps = as_count("Checkpointer", "every_steps", every_steps)
        self.every_steps = every_steps
        self.needs_each_step = every_steps is not None
        self._saved_at = -1

    def save(self, solver: Solver) -> Path:
        """Save now; then delete later checkpoints and those before the `keep` newest; return the path."""
        path = self.folder / f"checkpoint-{solver.iteration:08d}.safetensors"
        for callback in solver.callbacks:
            callback.on_save(solver)
        save_checkpoint(solver, path)
        self._saved_at = solver.iteration
        files = checkpoint_files(self.folder)
        newest = files.index(path)
        # what is newer belongs to a run that was given up by resuming from an earlier checkpoint
        for old in files[:newest] + files[newest + self.keep :]:
            old.unlink(missing_ok=True)
        return path

    def on_train_begin(self, solver: Solver) -> None:
        """Make the folder, and clean up after a killed run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_partial_files(self.folder)
        self._saved_at = -1

    def on_step_end(self, solver: Solver, record: Record) -> None:
        """Save every `every_steps` steps; where an epoch record follows, after that one."""
        if self._is_at_steps(solver) and solver.estimated_at != solver.iteration:
            self.save(solver)

    def on_epoch_end(self, solver: Solver, record: Record) -> None:
        """Save every `every_epochs` epochs, and at the end of training."""
        is_end = solver.iteration == solver.total_steps
        is_epoch = record["epoch"] > 0 and record["epoch"] % self.every_epochs == 0
        if self._is_at_steps(solver) or is_epoch or is_end:
            self.save(solver)

    def on_train_end(self, solver: Solver) -> None:
        """Save if training was stopped early: not after an error, and not twice."""
        was_stopped = solver.stop_reason not in (None, "patience")
        if was_stopped and self._saved_at != solver.iteration and solver.is_at_rest:
            self.save(solver)

    def _is_at_steps(self, solver: Solver) -> bool:
        return self.every_steps is not None and solver.iteration % self.every_steps == 0


_SENT_BEFORE_THE_END = (signal.SIGUSR1,) if hasattr(signal, "SIGUSR1") else ()  # Windows has none


class StopOnSignal(Callback):
    """Turn Ctrl-C (SIGINT), SIGTERM and SIGUSR1 into a stop after the current step.

    Schedulers of clusters send SIGUSR1 before the time is over; it is left alone where somebody catches it.

    Afterwards `signal` is the number of the signal that came, else None; a program that ends
    because of it exits with ``128 + signal``.  A second signal acts as it would without this.
    Outside of the main thread, where Python cannot catch signals, it does nothing.

    >>> Solver(model, data, callbacks=[StopOnSignal()])  # doctest: +SKIP
    """

    def __init__(self) -> None:
        """Start without a signal."""
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def on_train_begin(self, solver: Solver) -> None:
        """Catch the signals."""
        self.signal = None
        self._restore()
        if threading.current_thread() is not threading.main_thread():
            return

        def stop(number: int, frame: Any) -> None:
            self.signal = number
            self._restore()
            solver.stop("interrupted")

        for number in (signal.SIGINT, signal.SIGTERM, *_SENT_BEFORE_THE_END):
            previous = signal.getsignal(number)
            if number not in _SENT_BEFORE_THE_END or previous == signal.SIG_DFL:
                self._previous[number] = previous
                signal.signal(number, stop)

    def on_train_end(self, solver: Solver) -> None:
        """Give the signals back."""
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous = {}


class LayerStatistics(Callback):
    """Look into the network: how its activations on a few rows and its gradients are spread.

    Emits records of kind ``layers`` and keeps them in `records`.  Activations come from
    ``model.activations(X)`` (name -> array), and are left out where the model has none.  Dead is the share
    of units (of channels, over images) that are 0 for every row.  Gradients are those of the last step.
    Ratio is the norm of the step's update over the norm of the parameter before it.  No random numbers are
    drawn.

    >>> Solver(model, data, callbacks=[LayerStatistics(X_val[:200])])  # doctest: +SKIP
    """

    def __init__(self, X_probe: np.ndarray, every_epochs: int = 1) -> None:
        """Look at the activations on the rows `X_probe`."""
        if len(shape_of("LayerStatistics", "X_probe", X_probe)) < 2 or len(X_probe) == 0:
            raise ShapeError(
                f"LayerStatistics: X_probe must be (N, ...) with a row, got {X_probe.shape}"
            )
        self.X_probe = X_probe
        self.every_epochs = as_count("LayerStatistics", "every_epochs", every_epochs)
        self.records: list[Record] = []

    def on_epoch_end(self, solver: Solver, record: Record) -> None:
        """Emit a record every `every_epochs` epochs."""
        if record["epoch"] % self.every_epochs != 0:
            return
        with np.errstate(all="ignore"):  # what overflows is left out, and the next step says more
            found = self.look(solver, record)
        kept = [old for old in self.records if old["iteration"] < found["iteration"]]
        self.records[:] = [*kept, found]  # one of this iteration stems from an interrupted call
        solver.emit(found)

    def look(self, solver: Solver, record: Record) -> Record:
        """Return the record of this moment, without telling the callbacks."""
        activations = {}
        if hasattr(solver.model, "activations"):
            activations = solver.model.activations(self.X_probe)
        return {
            "kind": "layers",
            "epoch": record["epoch"],
            "iteration": record["iteration"],
            "layers": {name: _spread(out) for name, out in activations.items()},
            "gradients": {
                name: _gradient(dw, solver.params_before[name], solver.model.params[name])
                for name, dw in solver.grads.items()
            },
        }


def _spread(out: np.ndarray) -> dict[str, float | None]:
    return {
        "mean": _number(np.mean(out, dtype=np.float64)),
        "std": _number(np.std(out, dtype=np.float64)),
        "zeros": _number(1.0 - np.count_nonzero(out) / max(out.size, 1)),
        "dead": _number(1.0 - np.mean(out.any(axis=(0, *range(2, out.ndim))))),
    }


def _gradient(dw: np.ndarray, before: np.ndarray, after: np.ndarray) -> dict[str, float | None]:
    size = float(np.linalg.norm(before))
    return {
        "norm": _number(np.linalg.norm(dw)),
        "max": _number(np.max(np.abs(dw), initial=0.0)),
        "ratio": _number(np.linalg.norm(after - before) / size) if size > 0 else None,
    }


def _number(value: Any) -> float | None:
    """Return `value` as a float, None where JSON has no number for it."""
    number = float(value)
    return number if math.isfinite(number) else None
