"""What trained networks say of whole folders and files, row by row, in bounded memory."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from handgrad.data.arrayfiles import inputs_in, read_arrays
from handgrad.data.images import read_picture
from handgrad.data.kinds import holds_arrays, is_shards
from handgrad.data.listing import walk_images
from handgrad.data.shards import stored_pictures
from handgrad.data.tablefile import table_blocks
from handgrad.errors import DataError, HandgradError, OptionError
from handgrad.training.trained import TrainedRun

BLOCK: Final = 256


class Said(NamedTuple):
    """What is said of one row: its name; outputs (C,), None where there is a problem; the problem."""

    name: str
    outputs: np.ndarray | None
    problem: str = ""


def said_of(runs: Sequence[TrainedRun], path: Path) -> Iterator[Said]:
    """Yield what the mean of `runs` says of each row at `path`.

    Args:
        runs: trained networks, of the same outputs.
        path: for pictures a file or a folder of them, or Parquet files that hold them; for tables and arrays
            their file; a folder of arrays, as of MNIST's files, of which the test rows are taken if it has
            parts.

    Raises:
        DataError: nothing can be read at all; what is wrong with single rows is their problem.
    """
    kind = runs[0].preprocessing.kind
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    if kind == "table":
        yield from _of_blocks(runs, _tables(runs[0], path))
    elif holds_arrays(path):
        yield from _of_blocks(runs, _arrays(runs[0], path))
    elif kind == "images":
        yield from _of_pictures(runs, path)
    else:
        raise OptionError(
            f"{path}: this network takes arrays: give it an .npy, .npz or .safetensors file"
        )


def columns_of(run: TrainedRun, first: str) -> dict[str, type]:
    """Return the columns of a table of predictions and their types; `first` names the rows."""
    names = run.class_names or run.description.target_names
    columns: dict[str, type] = {first: str if first == "file" else int}
    if run.task == "classification":
        columns |= {"prediction": str} | {f"p({name})": float for name in names}
    elif run.task == "multilabel":
        columns |= {_own(name): int for name in names} | {f"p({name})": float for name in names}
    else:
        columns |= {_own(name): float for name in names}
    return columns | {"problem": str}


def record_of(run: TrainedRun, said: Said, first: str) -> dict[str, Any]:
    """Return the row of a table of predictions; see `columns_of`."""
    record: dict[str, Any] = {first: said.name if first == "file" else int(said.name)}
    if said.outputs is None:
        return record | {"problem": said.problem}
    values = [float(value) for value in said.outputs]
    names = run.class_names or run.description.target_names
    if run.task == "regression":
        return record | dict(zip(map(_own, names), values, strict=True))
    chances = {f"p({name})": value for name, value in zip(names, values, strict=True)}
    if run.task == "classification":
        return record | {"prediction": names[int(np.argmax(values))]} | chances
    marks = {_own(name): int(value >= 0.5) for name, value in zip(names, values, strict=True)}
    return record | marks | chances


def _own(name: str) -> str:
    """A target's name, other than those of the table's own columns."""
    return f"{name}_" if name in ("row", "file", "problem", "prediction") else name


def _mean(runs: Sequence[TrainedRun], raw: Any) -> np.ndarray:
    return np.mean([run.outputs(raw) for run in runs], axis=0)


def _of_pictures(runs: Sequence[TrainedRun], path: Path) -> Iterator[Said]:
    files = _pictures(path)
    shape, levels = runs[0].preprocessing.image_shape, runs[0].preprocessing.levels
    same = [run.preprocessing.image_shape == shape for run in runs]
    if not all(same):
        raise OptionError("predict: the runs look at pictures of other sizes; ask them one by one")

    def read(named: tuple[str, Any]) -> np.ndarray | str:
        name, file = named
        try:
            return read_picture(file, name, shape, levels)
        except DataError as error:
            return str(error)

    count = 0
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # of Pillow, about oddities that do not matter
        while block := list(islice(files, BLOCK)):
            count += len(block)
            images = list(pool.map(read, block))
            good = [image for image in images if isinstance(image, np.ndarray)]
            outputs = iter(_mean(runs, np.stack(good)) if good else ())
            for (name, _), image in zip(block, images, strict=True):
                if isinstance(image, str):
                    yield Said(name, None, image)
                else:
                    yield Said(name, next(outputs))
    if not count:
        raise DataError(f"{path}: holds no pictures")


def _pictures(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the names of the pictures at `path`, and their files: paths, or what lies in Parquet files."""
    if is_shards(path):
        for name, data in stored_pictures(path):
            yield name, BytesIO(data)
        return
    for file in walk_images(path) if path.is_dir() else [path]:
        yield str(file), file


Block = tuple[Any, dict[int, str]]
"""Rows as they are stored, and what is wrong with some of them, by their place in the block."""


def _tables(run: TrainedRun, path: Path) -> Iterator[Block]:
    own = run.config.data
    how = {key: own[key] for key in ("header",) if key in own}
    for number, (block, wrong) in enumerate(table_blocks(path, BLOCK, **how)):
        if number == 0:
            run.preprocessing(block[:0])  # a column that is missing is missing in all rows
        yield block, wrong


def _arrays(run: TrainedRun, path: Path) -> Iterator[Block]:
    X = inputs_in(read_arrays(path), str(path), run.config.data.get("x", ""))
    for start in range(0, len(X), BLOCK):
        yield np.array(X[start : start + BLOCK]), {}


def _of_blocks(runs: Sequence[TrainedRun], blocks: Iterator[Block]) -> Iterator[Said]:
    start = 0
    for block, wrong in blocks:
        try:
            outputs = _mean(runs, block)
            problems: dict[int, str] = dict(wrong)
        except HandgradError:
            outputs, problems = _one_by_one(runs, block)
            problems |= wrong
        for k in range(len(block)):
            bad = k in problems
            yield Said(str(start + k), None if bad else outputs[k], problems.get(k, ""))
        start += len(block)
    if not start:
        raise DataError("predict: there are no rows")


def _one_by_one(runs: Sequence[TrainedRun], block: Any) -> tuple[Any, dict[int, str]]:
    """What is said of each row by itself, and what is wrong with the others."""
    outputs, problems = [], {}
    for k in range(len(block)):
        try:
            outputs.append(_mean(runs, block[k : k + 1])[0])
        except HandgradError as error:
            outputs.append(None)
            problems[k] = str(error)
    if len(problems) == len(block):
        raise DataError(next(iter(problems.values())))
    return outputs, problems
