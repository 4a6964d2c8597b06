"""From a data set to a trained run in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import Any

from handgrad.data import Dataset, kind_of
from handgrad.errors import OptionError, as_path, shown
from handgrad.training.build import network_of
from handgrad.training.config import RunConfig
from handgrad.training.defaults import choose
from handgrad.training.own_data import PREPARED
from handgrad.training.run import Run, new_run_folder, resume_run, start_run
from handgrad.training.trained import TrainedRun


def train(
    dataset: Dataset, out: str | PathLike[str] = "runs", settings: Mapping[str, Any] | None = None
) -> Any:
    """Train a network on a data set and leave a run folder, as ``handgrad train --data`` does.

    Network, rule, schedule and epochs are chosen by a stated table (`handgrad.training.defaults`).  Data
    that are not in a file are kept in the run's folder, so that the folder alone repeats the run.

    Args:
        dataset: what `from_folder`, `from_table`, `from_arrays` or `from_shards` made.
        out: the folder for run folders.
        settings: changes of the configuration by dotted keys, as ``{"training.epochs": 20}``; with
            ``start_from``, another run's folder, the network is that run's, and so are the weights that fit.

    Returns:
        The run, a `TrainedRun`, evaluated on the test rows; one that was stopped by Ctrl-C is used as far as
        it has come, and trained on by `resume`.

    Raises:
        OptionError: a setting is unknown.  DataError: the data cannot be trained on.

    >>> from handgrad.data import from_table
    >>> run = train(from_table("wine.csv", "quality"))  # doctest: +SKIP
    """
    if not isinstance(dataset, Dataset):
        raise OptionError(f"train: dataset must be a Dataset, got {shown(dataset)}")
    settings = {} if settings is None else settings
    if not isinstance(settings, Mapping) or not all(isinstance(key, str) for key in settings):
        raise OptionError(f"train: settings must be a dictionary, got {shown(settings)}")
    config: RunConfig = choose(dataset, data_table(dataset), settings).config
    config = _started(config, settings).with_overrides(settings)
    parent = as_path("train", "out", out)
    return _done(start_run(config, new_run_folder(parent, config.name), dataset))


def resume(folder: str | PathLike[str], epochs: int | None = None) -> Any:
    """Go on with the run in `folder`, as ``handgrad train --resume`` does, and return it.

    Args:
        folder: a run that was stopped, or with `epochs` any run.
        epochs: train until there are so many in all.

    Raises CheckpointError if the run is finished and no epochs are asked for, or if there is no run;
    OptionError if it has as many epochs already.

    >>> run = resume("runs/20260101-120000-wine", epochs=50)  # doctest: +SKIP
    """
    return _done(resume_run(as_path("resume", "folder", folder), epochs))


def _done(run: Run) -> TrainedRun:
    """Train `run` to its end, or to a signal, and measure it."""
    signal = run.train()
    if signal is None and run.is_finished and len(run.dataset.rows.get("y_test", ())):
        run.evaluate()
    return TrainedRun(run.folder)


def _started(config: RunConfig, settings: Mapping[str, Any]) -> RunConfig:
    """Return `config` with the network of the run that the training is to start from, if there is one."""
    source = settings.get("start_from")
    if not source or any(key.split(".")[0] == "model" for key in settings):
        return config
    return replace(config, model=network_of(str(as_path("train", "start_from", source))))


def data_table(dataset: Dataset) -> dict[str, Any]:
    """Return the table [data] of a configuration that makes `dataset` again."""
    if "path" not in dataset.settings:
        return {"name": PREPARED}
    return {"name": kind_of(dataset.settings["path"]), **dataset.settings}
