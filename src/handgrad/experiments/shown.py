"""Trials that can be watched: a folder for each, with its settings and curves, as `handgrad.lab` shows.

Only curves: a trial's network is not kept, and nothing acts on it.  The records are written now and then, so
that a trial takes as long as without, and its numbers are the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from handgrad.errors import HandgradError
from handgrad.training.callback import Callback, Record

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

PAUSE = 0.3  # seconds between two writings
SHARE = 0.01  # of the time that writing takes
FOLDER = "runs"

_where: list[Path] = []  # the folder of the trial that is done now, if it is shown


@contextmanager
def shown_in(folder: Path | None) -> Iterator[None]:
    """Have the training within write what can be watched to `folder`; None writes nothing."""
    _where[:] = [] if folder is None else [folder]
    try:
        yield
    finally:
        _where.clear()


def watchers(spec: Mapping[str, Any]) -> list[Callback]:
    """Return the callbacks of the training that `spec` describes: one where it is shown."""
    return [Shown(folder, spec) for folder in _where]


class Shown(Callback):
    """Write settings and curves of one training to a folder; no error of the disk stops it."""

    needs_each_step = False

    def __init__(self, folder: Path, spec: Mapping[str, Any]) -> None:
        """Write to `folder`, which is made anew."""
        self.folder = folder
        self._waiting: list[Record] = []
        self._next = 0.0
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "history.jsonl").write_bytes(b"")
            (folder / "config.toml").write_text(_settings(folder.name, spec), "utf-8")

    def on_step_end(self, solver: Solver, record: Record) -> None:
        """Keep the record, and write where it is time to."""
        self._waiting.append(record)
        if perf_counter() >= self._next:
            self._write()

    def on_epoch_end(self, solver: Solver, record: Record) -> None:
        """Keep the record."""
        self._waiting.append(record)

    def on_train_end(self, solver: Solver) -> None:
        """Write the rest, and that it is over."""
        reason = solver.stop_reason or "finished"
        self._waiting.append({"kind": "end", "iteration": solver.iteration, "reason": reason})
        self._write()

    def _write(self) -> None:
        start = perf_counter()
        lines = "".join(json.dumps(record) + "\n" for record in self._waiting)
        self._waiting = []
        with suppress(OSError), (self.folder / "history.jsonl").open("a") as file:
            file.write(lines)
        took = perf_counter() - start
        self._next = start + took + max(took / SHARE, PAUSE)


def _settings(name: str, spec: Mapping[str, Any]) -> str:
    """Return what `spec` says in the words of a configuration; it is to be read, not to be run."""
    import tomli_w

    solver = dict(spec.get("solver", {}))
    optimizer = {"name": solver.pop("update_rule", "sgd"), **solver.pop("optim_config", {})}
    tables = {
        "data": spec.get("data", {}),
        "model": spec.get("model", {}),
        "optimizer": optimizer,
        "training": {{"num_epochs": "epochs"}.get(key, key): v for key, v in solver.items()},
        "augment": spec.get("augment", {}),
    }
    given = {
        title: {key: value for key, value in table.items() if value is not None}
        for title, table in tables.items()
    }
    filled = {title: table for title, table in given.items() if table}
    try:
        return tomli_w.dumps({"name": name, "seed": spec.get("seed", 0), **filled})
    except TypeError as error:
        raise HandgradError(
            f"experiment: a setting of a trial cannot be written: {error}"
        ) from None
