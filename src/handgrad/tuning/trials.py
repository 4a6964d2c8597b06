"""Which trial a process computes next, and how.

A trial belongs to the process that holds its lock (`handgrad.tuning.places`).  One that Optuna calls
running, and whose lock is free, was left by a process that died: whoever finds it takes it over as the
same trial of the same number, and goes on from its last checkpoint.  So no trial is lost, and none is
told twice.  A trial of a machine that is lost with its disk gives no sign of life any more; after a time
Optuna's own mechanism marks it as failed and repeats it as a new trial.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from handgrad.data import Dataset
from handgrad.errors import HandgradError, NonFiniteError
from handgrad.training.build import load_dataset
from handgrad.training.callback import Callback, Record
from handgrad.training.checkpoint import checkpoint_files
from handgrad.training.config import RunConfig
from handgrad.training.run import Run, resume_run, start_run
from handgrad.tuning.methods import make_pruner, make_sampler
from handgrad.tuning.places import Lock, Place
from handgrad.tuning.settings import Settings, check_same
from handgrad.tuning.storage import beating, open_storage, quiet_optuna, reading, silent

_AT_ONCE = 60  # seconds in which another machine has said that a trial is its own


class Taken(NamedTuple):
    """A trial of Optuna that this process computes, its record as it was, and its lock."""

    trial: Any
    known: Any
    lock: Lock


class Searcher:
    """One process of a search: it takes trials and computes them, one after the other."""

    def __init__(self, settings: Settings) -> None:
        """Open the storage and the study."""
        self.settings = settings
        self.config = settings.run_config()
        self.space = settings.made_space()
        self.place = Place(settings.folder)
        self.study = open_study(settings)
        self._data: dict[str, Dataset] = {}

    def compute_next(self) -> dict[str, Any]:
        """Compute one trial and return what became of it, as plain data.

        Returns a dictionary: number, state ("complete", "pruned", "failed", or "stopped" by a signal),
        value, params, seconds, reason; or {"idle": True, "over": ...} where there is none to compute,
        over saying whether all are finished.
        """
        taken = self._take()
        if taken is None:
            return {"idle": True, "over": not self._open_trials()}
        started = perf_counter()
        beat = self.settings.beat if self.settings.is_database else None
        try:
            with silent(), beating(self.study._storage, taken.known._trial_id, beat):
                found = self._compute(taken)
        finally:
            taken.lock.close()
        return {"number": taken.trial.number, **found, "seconds": perf_counter() - started}

    def _open_trials(self) -> list[Any]:
        states = _states()
        return self.study.get_trials(False, states=(states.RUNNING, states.WAITING))

    def _take(self) -> Taken | None:
        """Return an abandoned trial of this folder, or a new one, or None if there are enough."""
        with self.place.asking(), silent():
            return self._taken()

    def _taken(self) -> Taken | None:
        optuna, states, study = quiet_optuna(), _states(), self.study
        for known in study.get_trials(False, states=(states.RUNNING,)):
            if self._may_be_ours(known) and (lock := self.place.lock_of(known.number)):
                trial = optuna.trial.Trial(study, known._trial_id)
                trial.set_user_attr("place", self.place.name)
                return Taken(trial, known, lock)
        optuna.storages.fail_stale_trials(study)
        trials = study.get_trials(False)
        is_enough = count_of(trials) >= self.settings.trials
        if not any(known.state == states.WAITING for known in trials) and (
            is_enough or study.user_attrs.get("exhausted")
        ):
            return None
        trial = study.ask()
        lock = self.place.lock_of(trial.number)
        trial.set_user_attr("place", self.place.name)
        assert lock is not None  # no other worker has seen this number
        known = next(t for t in study.get_trials(False) if t.number == trial.number)
        return Taken(trial, known, lock)

    def _may_be_ours(self, known: Any) -> bool:
        """Return whether a running trial was begun in this folder, or by one that died at once."""
        place = known.user_attrs.get("place")
        if place is not None or not self.settings.is_database:
            return place in (None, self.place.name)
        return (datetime.now() - known.datetime_start).total_seconds() > _AT_ONCE

    def _compute(self, taken: Taken) -> dict[str, Any]:
        trial, known = taken.trial, taken.known
        folder = self.place.run_folder(trial.number)
        reported = dict(known.intermediate_values)
        chosen: dict[str, Any] = {}
        try:
            chosen = self.space.ask(trial, self.config.to_dict())
            if not self._may_try(trial, known, folder):
                return self._fail(
                    trial, chosen, f"its process died {self.settings.retries} times there"
                )
            if not known.user_attrs.get("pruned") and not (folder / "model.safetensors").exists():
                run = self._run(trial.number, chosen, folder)
                watcher = Reporter(trial, reported)
                signal = run.train([watcher])
                if signal is not None and not run.is_finished:
                    return {"state": "stopped", "params": chosen, "value": None}
        except NonFiniteError as error:
            return self._fail(trial, chosen, str(error).splitlines()[0])
        except MemoryError:
            return self._fail(trial, chosen, "out of memory")
        except HandgradError as error:
            self._fail(trial, chosen, str(error).splitlines()[0])
            raise type(error)(f"trial {trial.number} with {chosen}: {error}") from error
        return self._tell(trial, chosen, reported)

    def _may_try(self, trial: Any, known: Any, folder: Path) -> bool:
        """Count the tries that began at the same checkpoint; return whether there may be another."""
        files = checkpoint_files(folder / "checkpoints")
        place = files[0].name if files else ""
        before, count = known.user_attrs.get("tries") or (None, 0)
        count = count + 1 if before == place else 1
        trial.set_user_attr("tries", [place, count])
        return count <= self.settings.retries

    def _run(self, number: int, chosen: Mapping[str, Any], folder: Path) -> Run:
        if (folder / "config.toml").is_file():
            return resume_run(folder)
        shutil.rmtree(folder, ignore_errors=True)
        config = self.config.with_overrides(
            {**chosen, "name": f"{self.config.name}-{number:04d}"},
        )
        return start_run(config, folder, self._dataset(config))

    def _dataset(self, config: RunConfig) -> Dataset | None:
        """Return the data set of `config`, loaded once for all trials that have the same."""
        key = repr(sorted(config.data.items(), key=lambda item: item[0]))
        if key not in self._data:
            self._data = {key: load_dataset(config)}
        return self._data[key]

    def _tell(
        self, trial: Any, chosen: dict[str, Any], reported: dict[int, float]
    ) -> dict[str, Any]:
        """Tell Optuna how the trial ended; its value is the best of its epochs."""
        states = _states()
        values = [value for value in reported.values() if math.isfinite(value)]
        if trial.user_attrs.get("pruned"):
            self.study.tell(trial, state=states.PRUNED)
            state, value = "pruned", reported[max(reported)]
        elif values:
            value = max(values) if self.settings.direction == "maximize" else min(values)
            self.study.tell(trial, value)
            state = "complete"
        else:
            return self._fail(trial, chosen, f"its {self.settings.metric} was never finite")
        self._note_end()
        return {"state": state, "params": chosen, "value": value}

    def _fail(self, trial: Any, chosen: dict[str, Any], reason: str) -> dict[str, Any]:
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=_states().FAIL)
        self._note_end()
        return {"state": "failed", "params": chosen, "value": None, "reason": reason}

    def _note_end(self) -> None:
        if self.study.sampler.is_exhausted:
            self.study.set_user_attr("exhausted", True)


class Reporter(Callback):
    """Reports the metric of every epoch, and stops a trial that the pruner gives up."""

    def __init__(self, trial: Any, reported: dict[int, float]) -> None:
        """`reported`: epoch -> metric of what was reported before; it is added to."""
        self._trial = trial
        self._reported = reported

    def on_epoch_end(self, solver: Any, record: Record) -> None:
        """Report."""
        epoch = record["epoch"]
        if epoch == 0:  # the estimate after the first step
            return
        value = float(solver.val_metric_history[-1])
        if epoch not in self._reported:
            self._trial.report(value, epoch)
            self._reported[epoch] = value
        if solver.iteration < solver.total_steps and self._trial.should_prune():
            self._trial.set_user_attr("pruned", epoch)
            solver.stop("pruned")


def open_study(settings: Settings) -> Any:
    """Return the study of `settings`, a new one where there is none of its name."""
    optuna = quiet_optuna()
    epochs = settings.run_config().training.epochs
    sampler = make_sampler(settings.sampler, settings.sampler_options, settings.seed)
    pruner = make_pruner(settings.pruner, settings.pruner_options, epochs)
    storage = open_storage(settings.url, settings.beat, settings.grace)
    with silent(), reading(settings.url):
        study = optuna.create_study(
            study_name=settings.name,
            storage=storage,
            sampler=sampler,
            pruner=pruner,
            direction=settings.direction,
            load_if_exists=True,
        )
    check_same(study, settings)
    return study


def count_of(trials: list[Any]) -> int:
    """Return how many of `trials` count: all but those that Optuna repeated as another one."""
    repeated = {number for t in trials for number in t.system_attrs.get("retry_history", ())}
    return sum(t.number not in repeated for t in trials)


def _states() -> Any:
    return quiet_optuna().trial.TrialState
