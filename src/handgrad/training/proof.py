"""The proof that a run can be stopped and resumed without a trace."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.errors import OptionError, as_count
from handgrad.training.callback import Callback, Record
from handgrad.training.checkpoint import state_of
from handgrad.training.config import RunConfig
from handgrad.training.run import Run, resume_run, start_run

# in which two runs may differ: times, and whether a plan took the steps, whose bits are theirs
_DROPPED = ("time", "images_per_second", "seconds", "date", "steps")


@dataclass(frozen=True)
class Part:
    """A part of what a run is: its name, and the hashes of it without and with a stop."""

    name: str
    whole: str
    resumed: str

    @property
    def is_same(self) -> bool:
        """Whether the stop left no trace in it."""
        return self.whole == self.resumed


@dataclass(frozen=True)
class Proof:
    """What `verify_resume` found: the step of the stop, all steps, and the parts of the state."""

    stopped_at: int
    steps: int
    parts: list[Part]

    @property
    def differing(self) -> list[Part]:
        """The parts in which the resumed run differs."""
        return [part for part in self.parts if not part.is_same]


def verify_resume(config: RunConfig, folder: Path, stop_at: int | None = None) -> Proof:
    """Train `config` through, and once more with a stop and a resume; compare all that a run is.

    Compared are the parameters, the best ones, running statistics, the state of the update rule, the
    positions of all random streams, the histories, the place in the run, and the lines of ``history.jsonl``
    (but for times); each by its SHA-256.

    Args:
        config: the run.
        folder: where the two run folders go; must exist.
        stop_at: the step after which to stop; None for two thirds of the way, as a rule in the middle
            of an epoch.

    Raises:
        OptionError: `stop_at` is not inside the run.
    """
    if stop_at is not None:
        stop_at = as_count("verify-resume", "stop_at", stop_at)
    whole = start_run(config, folder / "whole")
    _check_inside(stop_at, whole.solver.num_epochs * whole.solver.iterations_per_epoch)
    _train(whole)
    steps = whole.solver.iteration  # fewer, where patience ran out
    _check_inside(stop_at, steps)
    stop_at = max(2 * steps // 3, 1) if stop_at is None else stop_at
    expected = _hashes(whole)
    part = start_run(config, folder / "resumed")
    _train(part, _StopAt(stop_at))
    del part  # what is not in the folder must not help
    np.random.seed(stop_at)
    resumed = resume_run(folder / "resumed")
    _train(resumed)
    found = _hashes(resumed)
    names = [*expected, *(name for name in found if name not in expected)]
    return Proof(
        stop_at,
        steps,
        [Part(name, expected.get(name, "missing"), found.get(name, "missing")) for name in names],
    )


class _StopAt(Callback):
    """Stop after a step."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def on_step_end(self, solver: Any, record: Record) -> None:
        if solver.iteration == self.iteration:
            solver.stop()


def _train(run: Run, *callbacks: Callback) -> None:
    """Train `run`; a signal ends the whole proof."""
    if run.train(callbacks) is not None:
        raise KeyboardInterrupt


def _check_inside(stop_at: int | None, steps: int) -> None:
    if (stop_at is not None and stop_at >= steps) or steps < 2:
        raise OptionError(
            f"verify-resume: the run has {steps} steps, and must have more than stop_at; got {stop_at}"
        )


def _hashes(run: Run) -> dict[str, str]:
    """Return the SHA-256 of each part of the finished `run`."""
    state = state_of(run.solver)
    state["progress"].pop("_seconds")
    parts = {
        "parameters": state["params"],
        "best parameters": state["best_params"],
        "running statistics": state["buffers"],
        "best running statistics": state["best_buffers"],
        "update rule's state of": state["optim_configs"],
        "random stream": state["streams"],
        "history": state["history"],
        "place in the run": state["progress"],
    }
    hashes = {
        f"{part} {name}": _hash(value)
        for part, values in parts.items()
        for name, value in values.items()
    }
    lines = (run.folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    kept = [
        {key: value for key, value in record.items() if key not in _DROPPED}
        for record in records
        if record["kind"] != "resume"
    ]
    hashes["records of history.jsonl"] = hashlib.sha256(json.dumps(kept).encode()).hexdigest()
    return hashes


def _hash(value: Any) -> str:
    digest = hashlib.sha256()
    _add(digest, value)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, dict):
        for key in sorted(value):
            digest.update(f"{key}:".encode())
            _add(digest, value[key])
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.shape} {value.dtype} ".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    else:
        digest.update(f"{type(value).__name__} {value!r} ".encode())
