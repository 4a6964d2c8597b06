"""A run: from a configuration to a trained network and the folder it leaves behind.

The folder holds ``config.toml`` (complete: it alone repeats the run), ``summary.txt`` (the network),
``history.jsonl``, ``log.txt``, ``checkpoints/``, ``model.safetensors`` and ``evaluation.json``.
"""

from __future__ import annotations

import json
import platform
import shutil
import signal
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from handgrad import engines, environment
from handgrad.data import Dataset
from handgrad.errors import CheckpointError, OptionError
from handgrad.files import atomic_write
from handgrad.optim import build_schedule
from handgrad.training import views
from handgrad.training.build import (
    build_model,
    completed,
    headed,
    load_dataset,
    options_of,
    read_config,
)
from handgrad.training.callback import Callback, Record
from handgrad.training.callbacks import (
    Checkpointer,
    HistoryWriter,
    LayerStatistics,
    StopOnSignal,
    is_near_end,
)
from handgrad.training.checkpoint import ResumeWarning, checkpoint_files, save_model
from handgrad.training.config import RunConfig
from handgrad.training.division import SPLIT, save_split
from handgrad.training.ensemble import Viewed
from handgrad.training.finetune import StartedFrom, keep_start, start_from
from handgrad.training.health import HealthCheck
from handgrad.training.judging import standardises
from handgrad.training.own_data import FILE, PREPARED, save_data
from handgrad.training.shards import Wire
from handgrad.training.solver import Solver
from handgrad.training.steering import Act, Steering
from handgrad.training.trained import evaluate_split, save_preprocessing

Ranks = Callable[[int], Wire]


class Run:
    """A configured training: its folder, data, model and Solver.

    Make one with `start_run` (a new folder) or `resume_run` (the folder of a run that was stopped).
    """

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        dataset: Dataset | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        """Build what `config` says.

        Args:
            config: the run.
            folder: where it is written.
            dataset: its data set where that is loaded already.
            ranks: makes of the number of shards what sums them over the ranks of MPI; None without MPI.
                Rank 0 alone writes.
        """
        engines.check_name(config.engine)
        # every random number of a run comes from NumPy's global stream, in the courses' order
        np.random.seed(config.seed)
        self.dataset = dataset or load_dataset(config, folder)
        description = self.dataset.description
        if config.start_from:
            config = headed(config, description.num_outputs)
        self.model = build_model(config, description.input_shape, description.num_outputs)
        self.config = completed(config, self.dataset)
        self.folder = folder
        self.started_from: StartedFrom | None = None
        if config.start_from:
            self.started_from = start_from(self.model, config.start_from, folder, description)
        self.new_folders: list[Path] = []
        self.engine, _ = engines.select(config.engine, np.zeros(1, np.float32))
        native = engines.get("native").control if self.engine == "native" else None
        self.threads = native.threads() if native else environment.blas().get("threads")
        training = config.training
        self.solver = Solver(
            self.model,
            rows_to_train_on(self.model, self.dataset),
            update_rule=config.optimizer["name"],
            optim_config=options_of(self.config.optimizer),
            **training.arguments(description.class_names),
            schedule=build_schedule(config.schedule) if config.schedule else None,
            task=description.task,
            unit=description.unit if standardises(self.model, description) else None,
            verbose=False,
        )
        wire = None
        if ranks is not None:
            wire = ranks(training.shards or 1)
            self.solver.use_wire(wire)
        self.has_ranks = wire is not None
        self.writes = wire is None or wire.rank == 0
        # one of each for all calls of `train`: they know what they were told before an interruption
        self._history = HistoryWriter(folder / "history.jsonl")
        self._watchers: list[Callback] = [
            self._history,
            _Log(folder / "log.txt"),
            LayerStatistics(self.dataset.rows["X_val"][:200]),
            HealthCheck(),
        ]
        self.steering = Steering(training.steering)
        if not self.writes:
            self._watchers = []
            self.solver.looks_after_health = False
        self._stop = StopOnSignal()
        self._checkpointer = Checkpointer(
            folder / "checkpoints",
            every_epochs=training.checkpoint_every,
            every_steps=training.checkpoint_steps or None,
        )

    def __repr__(self) -> str:
        return views.run_text(self)

    def train(self, callbacks: Iterable[Callback] = ()) -> int | None:
        """Train to the end or to a signal; return the signal's number or None.

        At the end the model is saved: then `is_finished`, and the memory of the steps is given back.
        """
        history, stop = self._history, self._stop
        self.solver.callbacks = [*self._watchers, self.steering, *callbacks, stop]
        if self.writes:
            self.solver.callbacks.append(self._checkpointer)
            history.write(self._start_record(is_first=not _is_begun(history.path)))
        try:
            with engines.use(self.config.engine):
                self.solver.train()
        except BaseException:
            if self.solver.iteration == 0:
                self.remove()
            raise
        if self.solver.stop_reason == "interrupted":
            # another rank may have got the signal; alone, somebody called `Solver.stop`
            return stop.signal or (signal.SIGTERM if self.has_ranks else None)
        if not self.writes:
            return stop.signal
        history.write(
            {
                "kind": "end",
                "reason": self.solver.stop_reason or "finished",
                "seconds": self.solver.seconds,
            }
        )
        save_model(self.folder / "model.safetensors", self.model, self._metadata())
        self._give_memory_back()
        return stop.signal  # one that came with the last step: the run is finished, and stops here

    def _give_memory_back(self) -> None:
        """Let go of what only steps need, before the test and the report need theirs."""
        self.solver.planned.forget()
        if self.engine == "native":
            engines.get("native").control.give_memory_back()

    def steer(self, rate: float) -> Act:
        """Put a factor `rate` on the learning rates from here on, and write that into ``config.toml``.

        Call it from a callback.  A run of that configuration, and a resume, do the same at the same step.
        """
        act = self.steering.add(self.solver, rate)
        acts = self.steering.acts
        self.config = self.config.with_overrides({"training.steering": acts})
        atomic_write(self.folder / "config.toml", self.config.to_toml().encode())
        return act

    def how_steps_are_taken(self) -> str:
        """Say whether a plan takes the steps (`handgrad.training.compiled`), or why not."""
        with engines.use(self.config.engine):
            self.solver.precise.settle(self.solver)
            why_not = self.solver.planned.why_not
            parts = self.solver.planned.in_python
        if why_not is not None:
            return f"one by one: {why_not}"
        return f"by a plan, in parts around {', '.join(parts)}" if parts else "by a plan"

    @property
    def is_finished(self) -> bool:
        """Whether the run was trained to its end."""
        return (self.folder / "model.safetensors").exists()

    @property
    def has_checkpoints(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        return bool(checkpoint_files(self.folder / "checkpoints"))

    def evaluate(self, split: str = "test") -> dict[str, Any]:
        """Measure the model on a split of the data; write and return ``evaluation.json``."""
        with engines.use(self.config.engine):
            viewed = Viewed(self.model, self.config.tta or None)
            return evaluate_split(self.folder, viewed, self.dataset, split)

    def remove(self) -> None:
        """Delete the new folder of a run that did not take a step, and those made to hold it."""
        if not self.writes:
            return
        for folder in self.new_folders[:1]:
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another run has begun in one of them
            for folder in self.new_folders[1:]:
                folder.rmdir()

    def _metadata(self) -> dict[str, Any]:
        """What the header of ``model.safetensors`` says, so that the file alone describes its network."""
        return {
            "config": self.config.to_dict(),
            "data": self.dataset.description.to_json(),
            "versions": environment.versions(),
        }

    def _start_record(self, is_first: bool) -> Record:
        columns = getattr(self.dataset.preprocessing, "columns", ())
        return {
            "kind": "start" if is_first else "resume",
            "iteration": self.solver.iteration,
            "date": datetime.now().astimezone().isoformat(timespec="seconds"),
            "engine": self.engine,
            "steps": self.how_steps_are_taken(),
            "precision": self.solver.precise.text,
            "cpu": environment.cpu(),
            "threads": self.threads,
            "platform": platform.platform(),
            "versions": environment.versions(),
            "image_shape": list(self.dataset.input_shape),
            "kind_of_data": self.dataset.preprocessing.kind,
            **({"columns": {c.name: c.kind for c in columns}} if columns else {}),
            "task": self.dataset.task,
            "class_names": list(self.dataset.class_names),
            "splits": {
                words: len(self.dataset.rows[f"X_{split}"])  # of arrays, all rows would be made
                for split, words in (("train", "training"), ("val", "validation"), ("test", "test"))
                if f"X_{split}" in self.dataset.rows
            },
            "weights": list(getattr(self.solver.model, "decayed", ())),
            "first_filters": getattr(self.solver.model, "first_filters", None),
        }


def start_run(
    config: RunConfig, folder: Path, dataset: Dataset | None = None, ranks: Ranks | None = None
) -> Run:
    """Build the run of `config` and write its new `folder` (nothing is written if it can't be built).

    `dataset` is the data set of `config` where that is loaded already; `ranks` as of `Run`.
    """
    run = Run(config, folder, dataset, ranks)
    if not run.writes:
        return run
    run.new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True)
        atomic_write(folder / "config.toml", run.config.to_toml().encode())
        _describe(run)
    except BaseException:
        run.remove()
        raise
    return run


def _describe(run: Run) -> None:
    """Write what the folder of a run holds, beside its configuration, before it is trained."""
    atomic_write(run.folder / "summary.txt", run.model.summary().encode())
    save_preprocessing(run.folder / "preprocessing.safetensors", run.dataset)
    if run.config.data["name"] == PREPARED and not (run.folder / FILE).exists():
        save_data(run.folder / FILE, run.dataset)
    elif run.dataset.split is not None:
        save_split(run.folder / SPLIT, run.dataset.split)
    if run.started_from is not None:
        keep_start(run.started_from, run.folder)


def resume_run(folder: Path, epochs: int | None = None, ranks: Ranks | None = None) -> Run:
    """Build the run of `folder` at its last good checkpoint, or at its start if it never got to one.

    With `epochs` it is trained on until there are so many in all, finished or not; its configuration then
    says so, and what was measured of it is removed.
    """
    config = read_config(folder)
    if epochs is None and (folder / "model.safetensors").exists():
        raise CheckpointError(
            f"the run {folder} is finished; measure it with: handgrad evaluate {folder}, train on with: "
            f"handgrad train --resume {folder} --epochs {2 * config.training.epochs}, or train again with: "
            f"handgrad train --config {folder / 'config.toml'}"
        )
    if epochs is not None:
        config = config.with_overrides({"training.epochs": epochs})
    run = Run(config, folder, ranks=ranks)
    if run.has_checkpoints:
        with engines.use(run.config.engine), warnings.catch_warnings():
            if epochs is not None:  # that there are to be more of them is no news
                asked = r".*(circumstances: num_epochs was \d+, is \d+$|further than this Solver)"
                warnings.filterwarnings("ignore", asked, ResumeWarning)
            run.solver.resume(folder / "checkpoints")
    elif run.writes:
        _describe(run)  # the run may have ended before it had done so itself
    if epochs is not None:
        done = run.solver.epoch
        if epochs <= done:
            raise OptionError(
                f"the run {folder} has {done} epochs; give more than that, not {epochs}"
            )
        run.solver.forget_patience()
    if epochs is not None and run.writes:
        atomic_write(folder / "config.toml", run.config.to_toml().encode())
        for name in ("model.safetensors", "evaluation.json"):
            (folder / name).unlink(missing_ok=True)
    return run


def rows_to_train_on(model: Any, dataset: Dataset) -> dict[str, Any]:
    """Return the rows of `dataset`; targets of a regression as the network sees them: standardised."""
    rows = dict(dataset.rows)
    if standardises(model, dataset.description):
        for part in ("y_train", "y_val"):
            rows[part] = dataset.description.standardise(rows[part])
    return rows


def new_run_folder(parent: Path, name: str) -> Path:
    """Return ``parent/<time>-<name>``, a path where nothing is yet."""
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)[:60]
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{safe}"
    folder = parent / stem
    number = 1
    while folder.exists():
        number += 1
        folder = parent / f"{stem}-{number}"
    return folder


def _is_begun(path: Path) -> bool:
    """Return whether the history file `path` holds the record of the start, which may have been cut off."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        for line in islice(file, 10):  # cut-off lines may stand before it
            with suppress(ValueError, AttributeError):
                if line.endswith(b"\n") and json.loads(line).get("kind") == "start":
                    return True
    return False


class _Log(Callback):
    """Write one line an epoch, and the warnings, to a text file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: tuple[Record, bytes] | None = None  # the record last written, and its line

    def on_record(self, solver: Any, record: Record) -> None:
        if record["kind"] == "warning":
            self._write(record, f"warning: {record['text']}")

    def on_epoch_end(self, solver: Any, record: Record) -> None:
        figures = "  ".join(
            f"{key.replace('_', ' ').replace('metric', record.get('metric', ''))} {record[key]:.4f}"
            for key in ("train_acc", "val_acc", "train_metric", "val_metric", "val_loss")
            if record.get(key) is not None
        )
        self._write(
            record,
            f"epoch {record['epoch']}  iteration {record['iteration']}  "
            f"loss {solver.loss_history[-1]:.6f}  {figures}",
        )

    def _write(self, record: Record, text: str) -> None:
        if self._last and record is self._last[0] and is_near_end(self.path, self._last[1]):
            return  # it was written before an interruption
        line = f"{datetime.now():%Y-%m-%d %H:%M:%S}  {text}\n".encode()
        self._last = record, line
        with self.path.open("ab") as file:
            file.write(line)
