"""Training that starts from another run's weights: what fits is taken, the head is made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from handgrad.data import Description
from handgrad.errors import OptionError, as_path
from handgrad.training.arrays import Arrays, copied
from handgrad.training.checkpoint import ModelFile, load_model_arrays, model_in, save_arrays
from handgrad.training.tensorfile import content_of
from handgrad.training.trained import load_description

START = "start.safetensors"


class StartedFrom(NamedTuple):
    """Where weights came from: taken and fresh, names of parameters; file, what was read."""

    source: str
    taken: tuple[str, ...]
    fresh: tuple[str, ...]
    file: ModelFile

    def __str__(self) -> str:
        fresh = ", ".join(self.fresh) or "none"
        return f"Weights from {self.source}: {len(self.taken)} taken; drawn anew: {fresh}"


def start_from(model: Any, source: str, folder: Path, description: Description) -> StartedFrom:
    """Give `model` the weights of the run or file `source`, where names and shapes fit.

    The last layer, the head, stays as it was drawn where its shape is another one or where the other run
    told other classes apart.  `folder` is that of the new run, which keeps a copy of the weights: a resume
    needs no other run.

    Raises CheckpointError if there are no such weights, OptionError if none fits.
    """
    kept = folder / START
    path = kept if kept.is_file() else as_path("start_from", "source", source)
    file = model_in(path) if path.is_dir() else load_model_arrays(path)
    params: Arrays = model.params
    head = head_of(model)
    is_same = _class_names(path, file) in (None, tuple(description.class_names))
    taken = {
        name: w
        for name, w in file.params.items()
        if name in params and params[name].shape == w.shape and (is_same or name not in head)
    }
    fresh = tuple(name for name in params if name not in taken)
    wrong = [name for name in fresh if name in file.params and name not in head]
    if wrong or not taken:
        shapes = ", ".join(
            f"{name} {file.params[name].shape} for {params[name].shape}" for name in wrong[:3]
        )
        raise OptionError(
            f"start_from: the weights of {source} do not fit the network{': ' if wrong else ''}{shapes}; "
            "use the same network and size of images, as the other run's config.toml has them"
        )
    params.update({name: w.astype(params[name].dtype) for name, w in copied(taken).items()})
    if hasattr(model, "load_buffers") and file.buffers:
        shapes_of = model.buffer_shapes() if hasattr(model, "buffer_shapes") else {}
        fits = {
            name: array
            for name, array in file.buffers.items()
            if name in shapes_of and shapes_of[name] in (None, array.shape)
        }
        model.load_buffers(fits)
    return StartedFrom(source, tuple(taken), fresh, file)


def keep_start(started: StartedFrom, folder: Path) -> None:
    """Keep the weights that a run began with in its own `folder`."""
    if not (folder / START).exists():
        save_arrays(folder / START, started.file)


def head_of(model: Any) -> frozenset[str]:
    """Return the names of the parameters of the last layer with weights."""
    return frozenset(getattr(model, "head", ()))


def _class_names(path: Path, file: ModelFile) -> tuple[str, ...] | None:
    """Return the classes that the network in `file` tells apart, None if nothing says so."""
    if (path / "preprocessing.safetensors").is_file():
        return load_description(path / "preprocessing.safetensors").class_names
    data = file.metadata.get("data")
    if not isinstance(data, dict):
        return None
    with content_of(path):
        return Description.from_json(data).class_names
