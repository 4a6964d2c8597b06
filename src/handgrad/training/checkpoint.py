"""Checkpoints, from which training goes on bit by bit, and files of trained models.

A checkpoint is the whole state of a Solver in one file: the parameters, the best ones, running
statistics, the state of the update rule, the histories, the place in the run, and the states of all
random streams: NumPy's global one, the Solver's and the model's.  It also holds what the run must be
continued with (model, update rule, batch size, data), where a difference is an error, and what it should be
continued with (the other settings, versions, threads), where a difference is a `ResumeWarning`.
"""

from __future__ import annotations

import copy
import json
import warnings
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from handgrad.errors import (
    CheckpointError,
    DtypeError,
    OptionError,
    as_path,
    check_dictionary,
    shown,
)
from handgrad.training.arrays import Arrays, buffers_of, steady
from handgrad.training.checks import check_weights
from handgrad.training.circumstances import (
    differences,
    get_state,
    must_agree,
    set_state,
    should_agree,
    streams,
)
from handgrad.training.parts import Part
from handgrad.training.tensorfile import content_of, flatten, read_tensors, unflatten, write_tensors

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

_KIND = "handgrad checkpoint 1"
_MODEL_KIND = "handgrad model 1"
_PATTERN = "checkpoint-*.safetensors"

_PARTS = ("must", "should", "progress", "history", "streams", "params", "buffers",
          "optim_configs", "best_params", "best_buffers", "ema_params", "ema_buffers")  # fmt: skip
_LATER = (
    "ema_params",
    "ema_buffers",
    "warnings",
    "last_step",
    "passes",
)  # parts that checkpoints of version 0.1.0 do not hold


class ResumeWarning(UserWarning):
    """Training goes on under other circumstances, so it may differ from the run never stopped."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds; `state` is nested dictionaries of arrays and numbers.

    >>> load_checkpoint('run/checkpoints/last.safetensors').iteration  # doctest: +SKIP
    """

    path: Path
    state: dict[str, Any]

    @property
    def iteration(self) -> int:
        """Steps done."""
        return int(self.state["progress"]["iteration"])

    @property
    def params(self) -> Arrays:
        """The model's parameters after that step."""
        return dict(self.state["params"])


def state_of(solver: Solver) -> dict[str, Any]:
    """Return the whole state of `solver`, as a checkpoint holds it; its arrays are the live ones."""
    solver.settle()
    state: dict[str, Any] = {
        "must": must_agree(solver),
        "should": should_agree(solver),
        "progress": {},
        "streams": {
            name: stream if stream is None else get_state(stream)
            for name, stream in streams(solver).items()
        },
        "params": solver.model.params,
        "buffers": buffers_of(solver.model),
        # where those of the parts stand in the file
        "optim_configs": {},
        "warnings": {},
        "last_step": {},
    }
    for part in solver.parts:
        own = part.state()
        progress = own.pop("progress", {})
        state = {**state, **own, "progress": {**state["progress"], **progress}}
    return state


def save_checkpoint(solver: Solver, path: str | PathLike[str]) -> None:
    """Write the state of `solver` to the file `path`, atomically.

    Raises:
        CheckpointError: the file cannot be written, or the update rule's configuration holds
            something other than arrays, numbers, strings and None.
        OptionError, ShapeError, DtypeError: the model's params are not those that it was made with.

    >>> save_checkpoint(solver, 'state.safetensors')  # doctest: +SKIP
    """
    path = as_path("save_checkpoint", "path", path)
    _check_solver("save_checkpoint", solver)
    check_weights(solver.model)
    write_state(path, state_of(solver))


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write a `state`, as `state_of` returns it, to the checkpoint file `path`, atomically."""
    tensors: Arrays = {}
    content = flatten(state, tensors)
    write_tensors(path, _KIND, tensors, content)


def load_checkpoint(path: str | PathLike[str]) -> Checkpoint:
    """Read a checkpoint file.

    Raises:
        CheckpointError: the file is missing, damaged, or no checkpoint.

    >>> load_checkpoint('state.safetensors').iteration  # doctest: +SKIP
    """
    path = as_path("load_checkpoint", "path", path)
    return checkpoint_of(path, *read_tensors(path, _KIND))


def checkpoint_of(path: Path, tensors: Arrays, content: Any) -> Checkpoint:
    """Return the checkpoint that the file `path` holds as `tensors` and `content`."""
    with content_of(path):
        state = unflatten(content, tensors)
        state |= {part: state.get(part, {}) for part in _LATER}
        missing = [part for part in _PARTS if not isinstance(state[part], dict)]
        if missing:
            raise CheckpointError(f"{path} lacks {', '.join(missing)}")
    return Checkpoint(path, state)


def restore(solver: Solver, path: str | PathLike[str]) -> Checkpoint:
    """Bring `solver` into the state of a checkpoint; `solver.train()` then goes on from there.

    `solver` is built with the same model, data and options as the one that was saved.  NumPy's
    global random stream is set as well.  Nothing is changed if an error is raised.

    Args:
        solver: the one to change.
        path: a checkpoint file, or a folder, of which the newest undamaged checkpoint is taken.

    Returns:
        The checkpoint.

    Raises:
        CheckpointError: the checkpoint is missing, damaged, or of another model, update rule,
            batch size, data or kind of random stream; names the differences.

    Warns:
        ResumeWarning: another setting, version, engine or number of threads differs.

    >>> restore(solver, 'state.safetensors')  # doctest: +SKIP
    """
    path = as_path("resume", "path", path)
    _check_solver("restore", solver)
    checkpoint = load_checkpoint(latest_checkpoint(path) if path.is_dir() else path)
    take_up(solver, checkpoint)
    return checkpoint


def take_up(solver: Solver, checkpoint: Checkpoint) -> None:
    """Bring `solver` into the state of `checkpoint`; see `restore`."""
    path, state = checkpoint.path, checkpoint.state
    with content_of(path):
        found = differences(state["must"], must_agree(solver))
    if found:
        raise CheckpointError(f"{path} is of another run: {'; '.join(found)}")
    with content_of(path):
        states = _checked(state, solver)
        found = differences(state["should"], should_agree(solver))
    if found:
        warnings.warn(
            f"{path} is continued under other circumstances: {'; '.join(found)}",
            ResumeWarning,
            stacklevel=3,
        )
    with content_of(path):
        if hasattr(solver.model, "load_buffers"):
            solver.model.load_buffers(state["buffers"])
    for part, own in states:
        part.load(own)
    solver.model.params = {name: state["params"][name] for name in solver.model.params}
    for name, stream in streams(solver).items():
        if stream is not None:
            set_state(stream, state["streams"][name])
    if text := solver.nothing_left():
        warnings.warn(
            f"{path} is further than this Solver goes: {text}", ResumeWarning, stacklevel=3
        )


def _checked(state: dict[str, Any], solver: Solver) -> list[tuple[Part, dict[str, Any]]]:
    """Return the parts of `solver`, each with its own part of a `state` that all can take up.

    The file states what it must agree with.  That may be false, so the arrays themselves are checked.
    """
    params = solver.model.params
    states = [(part, part.checked(state, params)) for part in solver.parts]
    for name, w in params.items():
        found = state["params"][name]
        if (found.shape, found.dtype) != (w.shape, w.dtype):
            raise ValueError(f"params {name} is {found.shape} {found.dtype}")
    for name, stream in streams(solver).items():
        if stream is not None:
            set_state(copy.deepcopy(stream), state["streams"][name])
    return states


def _check_solver(where: str, solver: Any) -> None:
    """Raise DtypeError unless `solver` is one."""
    if not hasattr(solver, "optim_configs") or isinstance(solver, type):
        raise DtypeError(f"{where}: solver must be a Solver, got {shown(solver)}")


def checkpoint_files(folder: str | PathLike[str]) -> list[Path]:
    """Return the checkpoints that a `Checkpointer` left in `folder`, the newest first."""
    folder = as_path("latest_checkpoint", "folder", folder)
    return sorted(folder.glob(_PATTERN), reverse=True)


def latest_checkpoint(folder: str | PathLike[str]) -> Path:
    """Return the newest undamaged checkpoint in `folder`; damaged ones are skipped with a warning.

    Raises:
        CheckpointError: there is none.

    >>> latest_checkpoint('run/checkpoints')  # doctest: +SKIP
    """
    files = checkpoint_files(folder)
    for path in files:
        try:
            load_checkpoint(path)
        except CheckpointError as error:
            warnings.warn(f"skipped: {error}", ResumeWarning, stacklevel=2)
        else:
            return path
    reason = f"all {len(files)} checkpoints are damaged" if files else f"there is no {_PATTERN}"
    raise CheckpointError(f"nothing to resume from in {folder}: {reason}")


class ModelFile(NamedTuple):
    """What a model file holds: ``model.params``, ``model.buffers()``, and the writer's metadata.

    >>> ModelFile({}, {}, {'kind': 'model'}).metadata
    {'kind': 'model'}
    """

    params: Arrays
    buffers: Arrays
    metadata: dict[str, Any]


def save_model(path: str | Path, model: Any, metadata: dict[str, Any] | None = None) -> None:
    """Write the parameters and running statistics of `model` to a safetensors file, atomically.

    Args:
        path: the file, as a rule ``model.safetensors``.
        model: has ``params``, and ``buffers()`` where it keeps running statistics.
        metadata: JSON-able, as what is needed to build the model and to prepare its inputs.

    Raises:
        CheckpointError: the file cannot be written.
        OptionError, ShapeError, DtypeError: the model's params are not those that it was made with.
    """
    path = as_path("save_model", "path", path)
    check_weights(model)
    metadata = {} if metadata is None else metadata
    check_dictionary("save_model", "metadata", metadata)
    try:
        json.dumps(metadata)
    except (TypeError, ValueError, RecursionError) as error:
        raise OptionError(f"save_model: metadata must be such as JSON holds: {error}") from None
    with steady(model):
        params, buffers = model.params, buffers_of(model)
    content = {"buffers": list(buffers), "params": list(params), "metadata": metadata}
    write_tensors(path, _MODEL_KIND, {**params, **buffers}, content)


def save_arrays(path: Path, file: ModelFile) -> None:
    """Write a `ModelFile` again."""
    params, buffers = file.params, file.buffers
    content = {"buffers": list(buffers), "params": list(params), "metadata": file.metadata}
    write_tensors(path, _MODEL_KIND, {**params, **buffers}, content)


def model_in(folder: Path) -> ModelFile:
    """Return the model of a run `folder`; of one that is not finished the best of its last checkpoint.

    Raises CheckpointError if it holds neither.
    """
    if (folder / "model.safetensors").is_file():
        return load_model_arrays(folder / "model.safetensors")
    try:
        state = load_checkpoint(latest_checkpoint(folder / "checkpoints")).state
    except CheckpointError as error:
        raise CheckpointError(
            f"{folder} holds no model.safetensors, its training was not finished, and {error}; train it "
            f"with: handgrad train --resume {folder}"
        ) from None
    for params, buffers in (
        ("best_params", "best_buffers"),
        ("ema_params", "ema_buffers"),
        ("params", "buffers"),
    ):
        if state[params]:
            return ModelFile(dict(state[params]), dict(state[buffers]), {})
    raise CheckpointError(f"{folder}: its checkpoint holds no parameters")


def load_model_arrays(path: str | Path) -> ModelFile:
    """Read what `save_model` wrote.

    Raises CheckpointError if the file is missing, damaged, or no model file.

    >>> load_model_arrays('model.safetensors').params  # doctest: +SKIP
    """
    tensors, content = read_tensors(path, _MODEL_KIND)
    with content_of(path):
        return ModelFile(
            {name: tensors[name] for name in content["params"]},
            {name: tensors[name] for name in content["buffers"]},
            content["metadata"],
        )
