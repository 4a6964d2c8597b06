"""Checkpoints, from which training goes on bit by bit, and files of trained models.

A checkpoint is the whole state of a Solver in one file: the parameters, the best ones, running
statistics, the state of the update rule, the histories, the place in the run, and the states of all
random streams: NumPy's global one, the Solver's and the model's.  Also what it must be continued
with (model, update rule, batch size, data) and what it should be continued with (the other
settings, versions, threads): a difference in the first is an error, one in the second a
`ResumeWarning`.
"""

from __future__ import annotations

import hashlib
import platform
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import handgrad
from handgrad import engines, environment
from handgrad.errors import CheckpointError, as_path
from handgrad.training.arrays import Arrays, buffers_of
from handgrad.training.tensorfile import content_of, flatten, read_tensors, unflatten, write_tensors

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

_KIND = "handgrad checkpoint 1"
_MODEL_KIND = "handgrad model 1"
_PATTERN = "checkpoint-*.safetensors"
_HASHED_BYTES = 1 << 25  # of an array of data; what is larger is hashed at evenly spaced rows

# attributes of the Solver that a checkpoint restores
_PROGRESS = ("iteration", "epoch", "best_val_acc", "estimated_at", "_position",
             "_epochs_without_gain", "_seconds")  # fmt: skip
_HISTORIES = ("loss_history", "train_acc_history", "val_acc_history")
_ARRAYS = ("best_params", "best_buffers", "ema_params", "ema_buffers")
_PARTS = ("must", "should", "progress", "history", "streams", "params", "buffers",
          "optim_configs", *_ARRAYS)  # fmt: skip
# attributes whose change makes the continuation another run, yet a possible one
_SETTINGS = ("lr_decay", "num_train_samples", "num_val_samples", "patience", "restore_best",
             "clip_norm", "ema")  # fmt: skip


class ResumeWarning(UserWarning):
    """Training goes on under other circumstances, so it may differ from the run never stopped."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds; `state` is nested dictionaries of arrays and numbers."""

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


def save_checkpoint(solver: Solver, path: str | PathLike[str]) -> None:
    """Write the state of `solver` to the file `path`, atomically.

    Raises:
        CheckpointError: the file cannot be written, or the update rule's configuration holds
            something other than arrays, numbers, strings and None.
    """
    progress = {name: getattr(solver, name) for name in _PROGRESS}
    progress["_seconds"] = solver.seconds
    state = {
        "must": _must_agree(solver),
        "should": _should_agree(solver),
        "progress": progress,
        "history": {name: np.array(getattr(solver, name), float) for name in _HISTORIES},
        "streams": {
            name: stream if stream is None else _get_state(stream)
            for name, stream in _streams(solver).items()
        },
        "params": solver.model.params,
        "buffers": buffers_of(solver.model),
        "optim_configs": solver.optim_configs,
        **{name: getattr(solver, name) for name in _ARRAYS},
    }
    tensors: Arrays = {}
    content = flatten(state, tensors)
    write_tensors(Path(path), _KIND, tensors, content)


def load_checkpoint(path: str | PathLike[str]) -> Checkpoint:
    """Read a checkpoint file.

    Raises:
        CheckpointError: the file is missing, damaged, or no checkpoint.
    """
    path = as_path("load_checkpoint", "path", path)
    tensors, content = read_tensors(path, _KIND)
    with content_of(path):
        state = unflatten(content, tensors)
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
    """
    path = as_path("resume", "path", path)
    checkpoint = load_checkpoint(latest_checkpoint(path) if path.is_dir() else path)
    path = checkpoint.path
    state = checkpoint.state
    differences = _differences(state["must"], _must_agree(solver))
    if differences:
        raise CheckpointError(f"{path} is of another run: {'; '.join(differences)}")
    differences = _differences(state["should"], _should_agree(solver))
    if differences:
        warnings.warn(
            f"{path} is continued under other circumstances: {'; '.join(differences)}",
            ResumeWarning,
            stacklevel=2,
        )
    with content_of(path):
        if hasattr(solver.model, "load_buffers"):
            solver.model.load_buffers(state["buffers"])
        for name in _PROGRESS:
            setattr(solver, name, state["progress"][name])
        for name in _HISTORIES:
            setattr(solver, name, state["history"][name].tolist())
        for name in _ARRAYS:
            setattr(solver, name, state[name])
        solver.optim_configs = {name: state["optim_configs"][name] for name in solver.model.params}
        solver.model.params = {name: state["params"][name] for name in solver.model.params}
        for name, stream in _streams(solver).items():
            if stream is not None:
                _set_state(stream, state["streams"][name])
    return checkpoint


def checkpoint_files(folder: str | PathLike[str]) -> list[Path]:
    """Return the checkpoints that a `Checkpointer` left in `folder`, the newest first."""
    return sorted(Path(folder).glob(_PATTERN), reverse=True)


def latest_checkpoint(folder: str | PathLike[str]) -> Path:
    """Return the newest undamaged checkpoint in `folder`; damaged ones are skipped with a warning.

    Raises:
        CheckpointError: there is none.
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
    """What a model file holds: ``model.params``, ``model.buffers()``, and the writer's metadata."""

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
    """
    buffers = buffers_of(model)
    content = {"buffers": list(buffers), "params": list(model.params), "metadata": metadata or {}}
    write_tensors(path, _MODEL_KIND, {**model.params, **buffers}, content)


def load_model_arrays(path: str | Path) -> ModelFile:
    """Read what `save_model` wrote.

    Raises CheckpointError if the file is missing, damaged, or no model file.
    """
    tensors, content = read_tensors(path, _MODEL_KIND)
    with content_of(path):
        return ModelFile(
            {name: tensors[name] for name in content["params"]},
            {name: tensors[name] for name in content["buffers"]},
            content["metadata"],
        )


def _must_agree(solver: Solver) -> dict[str, Any]:
    """Return, by the name for messages, what a continuation cannot do without."""
    rule = solver.update_rule
    return {
        "update rule": getattr(rule, "__name__", type(rule).__name__),
        "batch size": solver.batch_size,
        "parameters": _shapes(solver.model.params),
        "network": _network(solver.model),
        "data": _data_of(solver),
        "random stream": {name: _kind(stream) for name, stream in _streams(solver).items()},
    }


def _data_of(solver: Solver) -> dict[str, str]:
    """Return the fingerprints of the data, computed once for a Solver."""
    if not solver._fingerprints:
        for name in ("X_train", "y_train", "X_val", "y_val"):
            solver._fingerprints[name] = fingerprint(getattr(solver, name))
    return solver._fingerprints


def _should_agree(solver: Solver) -> dict[str, Any]:
    """Return, by the name for messages, what may change the continuation."""
    blas = environment.blas()
    model = solver.model
    settings: dict[str, Any] = {name: getattr(solver, name) for name in _SETTINGS}
    settings["reg"] = getattr(model, "reg", None)
    settings["dropout"] = getattr(model, "dropout_param", {}).get("p")
    for name in ("schedule", "augment"):
        settings[name] = _description(getattr(solver, name))
    if solver.schedule is not None:
        settings["num_epochs"] = solver.num_epochs
    return {
        **settings,
        "engine": engines.select(None, np.zeros(1))[0],
        "versions": {
            "handgrad": handgrad.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "processor": environment.cpu(),
        "BLAS kernel": blas.get("kernel"),
        "BLAS threads": blas.get("threads"),
    }


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return "X was A, is B" for every leaf in which two nested dictionaries differ."""
    found = []
    for key in {**old, **new}:  # in order, each once
        was, now = old.get(key), new.get(key)
        name = f"{prefix}{key}"
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            found += _differences(was, now, f"{name} ")
        elif was != now:
            found.append(f"{name} was {was}, is {now}")
    return found


def fingerprint(array: np.ndarray) -> str:
    """Return shape, dtype and a SHA-256 of `array`; of a large one, of evenly spaced rows."""
    rows = len(array)
    step = max(1, -(-array.nbytes // _HASHED_BYTES))
    sample = np.ascontiguousarray(array[:: min(step, rows)])
    digest = hashlib.sha256(sample.view(np.uint8).data if sample.size else b"").hexdigest()
    return f"{array.shape} {array.dtype} {digest[:16]}"


def _shapes(arrays: Arrays) -> dict[str, str]:
    return {name: str(tuple(array.shape)) for name, array in arrays.items()}


def _network(model: Any) -> dict[str, str]:
    """Return the lines of the model's summary, if it has one: what its layers compute."""
    lines = model.summary().splitlines() if hasattr(model, "summary") else []
    return {f"line {number}": line.strip() for number, line in enumerate(lines, start=1)}


def _description(function: Any) -> str | None:
    """Return a text by which `function` can be told from others in another process."""
    if function is None:
        return None
    if hasattr(function, "__qualname__"):
        return str(function.__qualname__)
    text = repr(function)  # that of a dataclass shows its options
    return type(function).__qualname__ if " object at 0x" in text else text


def _streams(solver: Solver) -> dict[str, Any]:
    """Return the random streams that a run may draw from; None for one that is not there."""
    return {
        "of NumPy": np.random.mtrand._rand,
        "of the Solver": solver.rng,
        "of the model": getattr(solver.model, "rng", None),
        "of dropout": getattr(solver.model, "dropout_param", {}).get("rng"),
    }


def _kind(stream: Any) -> str:
    if stream is None:
        return "none"
    return f"{type(stream).__name__} ({_get_state(stream)['bit_generator']})"


def _get_state(stream: Any) -> dict[str, Any]:
    if isinstance(stream, np.random.RandomState):
        state: dict[str, Any] = stream.get_state(legacy=False)
    else:
        state = stream.bit_generator.state
    return state


def _set_state(stream: Any, state: dict[str, Any]) -> None:
    if isinstance(stream, np.random.RandomState):
        stream.set_state(state)
    else:
        stream.bit_generator.state = state
