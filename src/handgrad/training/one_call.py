"""From a data set to a trained run in one call."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from handgrad.data import Dataset, kind_of
from handgrad.errors import OptionError, as_path, shown
from handgrad.training.config import RunConfig
from handgrad.training.defaults import choose
from handgrad.training.own_data import PREPARED
from handgrad.training.run import new_run_folder, start_run
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
        settings: changes of the configuration by dotted keys, as ``{"training.epochs": 20}``.

    Returns:
        The run, a `TrainedRun`, evaluated on the test rows.

    Raises:
        OptionError: a setting is unknown.  DataError: the data cannot be trained on.

    >>> from handgrad.data import from_table
    >>> run = train(from_table("wine.csv", "quality"))  # doctest: +SKIP
    """
    if not isinstance(dataset, Dataset):
        raise OptionError(f"train: dataset must be a Dataset, got {shown(dataset)}")
    config: RunConfig = choose(dataset, data_table(dataset)).config
    if settings is not None:
        if not isinstance(settings, Mapping) or not all(isinstance(key, str) for key in settings):
            raise OptionError(f"train: settings must be a dictionary, got {shown(settings)}")
        config = config.with_overrides(settings)
    parent = as_path("train", "out", out)
    run = start_run(config, new_run_folder(parent, config.name), dataset)
    if run.train() is None and len(dataset.rows.get("y_test", ())):
        run.evaluate()
    return TrainedRun(run.folder)


def data_table(dataset: Dataset) -> dict[str, Any]:
    """Return the table [data] of a configuration that makes `dataset` again."""
    if "path" not in dataset.settings:
        return {"name": PREPARED}
    return {"name": kind_of(dataset.settings["path"]), **dataset.settings}
