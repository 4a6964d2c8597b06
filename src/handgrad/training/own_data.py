"""Trainings on data that are in memory, not in a file: the run keeps them in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from handgrad.data import Dataset, Description, Rows
from handgrad.data.splits import PARTS
from handgrad.errors import CheckpointError
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
