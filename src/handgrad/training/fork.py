"""Forks: a new run that goes on from a checkpoint of another one, with other settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from handgrad.errors import CheckpointError, OptionError, as_number
from handgrad.files import atomic_write
from handgrad.training.build import read_config
from handgrad.training.callbacks import lines_until
from handgrad.training.checkpoint import checkpoint_files, load_checkpoint, write_state
from handgrad.training.config import RunConfig

_LEFT = ("model.safetensors", "evaluation.json", "history.jsonl", "log.txt", "report.html",
         "config.toml", "lab.json")  # fmt: skip
MAY_CHANGE = ("name", "training.epochs", "training.lr_decay", "training.patience", "training.clip_norm",
              "model.reg")  # fmt: skip


def fork_run(
    source: Path,
    folder: Path,
    iteration: int | None = None,
    rate: float = 1.0,
    settings: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Make the new run `folder` that goes on from a checkpoint of the run `source`.

    Train it with ``handgrad train --resume FOLDER``.

    Args:
        source: the run that is forked; it stays as it is.
        folder: of the new run; must not exist.
        iteration: of the checkpoint; None for the newest.
        rate: a factor on the learning rates, written down as an act of steering.
        settings: of `MAY_CHANGE`, by their dotted keys.

    Returns:
        The new run's configuration.

    Raises:
        CheckpointError: there is no such checkpoint.
        OptionError: another setting is to change, or a value is out of range.
    """
    settings = dict(settings or {})
    for key in settings:
        if key not in MAY_CHANGE:
            known = ", ".join(MAY_CHANGE)
            raise OptionError(f"fork: {key} cannot change in a fork; these can: {known}, rate")
    rate = as_number("fork", "rate", rate, 0.0, open_low=True)
    files = {_iteration(file): file for file in checkpoint_files(source / "checkpoints")}
    if iteration is None:
        iteration = next(iter(files), None)
    if iteration is None or iteration not in files:
        raise CheckpointError(
            f"fork: {source} has no checkpoint of step {iteration}; it has {sorted(files) or 'none'}"
        )
    config = read_config(source)
    acts = [act for act in config.training.steering if act["iteration"] <= iteration]
    acts += [{"iteration": iteration, "rate": rate}] if rate != 1 else []
    config = config.with_overrides({**settings, "training.steering": acts})
    folder.mkdir(parents=True)
    try:
        for path in source.iterdir():
            if path.is_file() and not path.name.startswith(".") and path.name not in _LEFT:
                shutil.copy2(path, folder / path.name)
        _copy_checkpoint(files[iteration], folder / "checkpoints", rate)
        _copy_history(source, folder, iteration, {"rate": rate, **settings})
        atomic_write(folder / "config.toml", config.to_toml().encode())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return config


def _iteration(file: Path) -> int:
    return int(file.stem.rpartition("-")[2])


def _copy_checkpoint(source: Path, folder: Path, rate: float) -> None:
    state = load_checkpoint(source).state
    for config in state["optim_configs"].values():
        if "learning_rate" in config:
            config["learning_rate"] *= rate
    folder.mkdir()
    write_state(folder / source.name, state)


def _copy_history(source: Path, folder: Path, iteration: int, changes: Mapping[str, Any]) -> None:
    path = source / "history.jsonl"
    lines = list(lines_until(path.read_bytes() if path.is_file() else b"", iteration))
    record = {
        "kind": "fork",
        "iteration": iteration,
        "of": source.name,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        **changes,
    }
    lines.append(json.dumps(record).encode() + b"\n")
    if changes["rate"] != 1:
        act = {"kind": "steer", "iteration": iteration, "rate": changes["rate"]}
        lines.append(json.dumps(act).encode() + b"\n")
    atomic_write(folder / "history.jsonl", b"".join(lines))
