"""Trainings on data that are in memory, not in a file: the run keeps them in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from handgrad.data import Dataset, Description, Rows, kind_of
from handgrad.data.splits import PARTS
from handgrad.errors import CheckpointError, OptionError, as_path, shown
from handgrad.training.config import RunConfig
from handgrad.training.tensorfile import content_of, read_tensors, write_tensors

PREPARED: Final = "prepared"
"""The name of a data set that lies in the folder of its run."""
FILE: Final = "data.safetensors"
_KIND: Final = "handgrad data 1"


def save_data(path: Path, dataset: Dataset) -> None:
    """Write the rows of `dataset`, images as they are stored, and its description to the file `path`."""
    content, tensors = dataset.description.to_parts()
    tensors = {f"description/{name}": array for name, array in tensors.items()}
    for name, rows in dataset.rows.items():
        is_stored = isinstance(rows, Rows)
        tensors[("raw/" if is_stored else "") + name] = (
            np.asarray(rows.stored(rows.chosen)) if is_stored else rows
        )
    write_tensors(path, _KIND, tensors, {"name": dataset.name, "description": content})


def load_data(path: Path) -> Dataset:
    """Return the data set that `save_data` wrote; CheckpointError if the file is missing or damaged."""
    tensors, content = read_tensors(path, _KIND)
    with content_of(path):
        own = "description/"
        arrays = {n.removeprefix(own): a for n, a in tensors.items() if n.startswith(own)}
        known = Description.from_parts(content["description"], arrays)
        rows: dict[str, Any] = {}
        for part in PARTS:
            if f"y_{part}" not in tensors:
                continue
            raw = tensors.get(f"raw/X_{part}")
            rows[f"X_{part}"] = (
                tensors[f"X_{part}"] if raw is None else Rows(raw, known.preprocessing)
            )
            rows[f"y_{part}"] = tensors[f"y_{part}"]
        return Dataset(
            content["name"],
            rows,
            known.class_names,
            known.preprocessing,
            known.task,
            known.target_names,
        )


def data_of_run(folder: Path | None) -> Dataset:
    """Return the data in the `folder` of a run."""
    if folder is None or not (folder / FILE).is_file():
        raise CheckpointError(
            f"the data of this run lie in its own folder, in {FILE}, which is not there"
        )
    return load_data(folder / FILE)


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
    from handgrad.training.defaults import choose
    from handgrad.training.run import new_run_folder, start_run
    from handgrad.training.trained import TrainedRun

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
