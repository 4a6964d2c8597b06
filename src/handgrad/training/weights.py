"""Put the weights of a file, a run, a dictionary or another network into a network, and say what fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    CheckpointError,
    DtypeError,
    NonFiniteError,
    OptionError,
    ShapeError,
    as_flag,
    as_path,
    check_callable,
    nearest,
    shown,
)
from handgrad.nn.norms import STEPS
from handgrad.nn.state import changing
from handgrad.training.arrays import buffers_of
from handgrad.training.checkpoint import (
    Checkpoint,
    ModelFile,
    latest_checkpoint,
    load_checkpoint,
    load_model_arrays,
)

Rename = Mapping[str, str | None] | Callable[[str], str | None] | None


class LoadedWeights(NamedTuple):
    """What `load_weights` did; names are the network's, those of `unused` the source's.

    Attributes:
        taken: parameters and running statistics that now are the source's.
        missing: those that the source lacks, left as they were.
        unused: what the source holds beside them.

    >>> LoadedWeights(('W1',), (), ('W9',)).unused
    ('W9',)
    """

    taken: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(
            f"{what}: {', '.join(names) or 'none'}" for what, names in self._asdict().items()
        )


def load_weights(
    model: Any, source: Any, strict: bool = True, rename: Rename = None
) -> LoadedWeights:
    """Copy the parameters and running statistics of `source` into `model`, by name.

    The arrays are copied, and cast to the dtypes of the model's.  All or nothing: where an error is raised,
    the model is as it was.

    Args:
        model: the network to change; it has ``params`` and perhaps ``load_buffers``.
        source: a safetensors file (Handgrad's or any other), a checkpoint, a run folder (its
            ``model.safetensors``, or the newest checkpoint), an ``.npz`` file, a dictionary name -> array,
            or another network (also PyTorch's).
        strict: refuse a source that lacks a name or holds another one; else these are only returned.
        rename: dictionary or function from the source's names to the model's, for sources that call them
            otherwise; names that it lacks stay, those that it makes None are left out.

    Returns:
        The names that were taken, missing and unused; ``print`` shows them.

    Raises:
        OptionError: with `strict`, names are missing or unused; or the source is of no known kind.
        ShapeError, DtypeError: an array does not fit the parameter of its name.
        NonFiniteError: the source holds NaN or infinity.
        CheckpointError: the file is missing or damaged.

    >>> from handgrad import TwoLayerNet, load_weights
    >>> first, second = (TwoLayerNet(4, 3, 2) for _ in range(2))
    >>> print(load_weights(second, first))
    taken: W1, b1, W2, b2; missing: none; unused: none
    """
    strict = as_flag("load_weights", "strict", strict)
    params = _params_of("model", model)
    shapes = model.buffer_shapes() if hasattr(model, "buffer_shapes") else {}
    names = _renamed(_read(source), rename)
    sorts = {name: name in shapes or name in buffers_of(model) for name in names.arrays}
    taken = {
        name: _fitting(name, names.arrays[name], w) for name, w in params.items() if name in sorts
    }
    kept = {
        name: _fitting_statistic(name, names.arrays[name], shapes.get(name))
        for name, is_statistic in sorts.items()
        if is_statistic
    }
    missing = [name for name in params if name not in taken]
    if kept or not names.is_untrained:
        missing += [name for name in shapes if name not in kept and not _is_count(name)]
    unused = [name for name in names.arrays if name not in taken and name not in kept]
    if strict and (missing or unused):
        raise OptionError(_explained(missing, unused, [*params, *shapes]))
    with changing:
        if hasattr(model, "load_buffers"):
            before = {} if names.is_untrained else buffers_of(model)
            if kept:  # the number of steps belongs to the statistics
                before = {name: array for name, array in before.items() if not _is_count(name)}
            model.load_buffers({**before, **kept})  # what it refuses, it refuses before it changes
        params.update(taken)
    return LoadedWeights((*taken, *kept), tuple(missing), tuple(unused))


def _is_count(name: str) -> bool:
    """Whether `name` is that of the number of steps, which files of others do not hold."""
    return name.rpartition(".")[2].rstrip("0123456789") == STEPS


class _Source(NamedTuple):
    """Arrays by name; is_untrained: whether the source says that it has no running statistics yet."""

    arrays: dict[str, Any]
    is_untrained: bool = False


def _of(params: Mapping[str, Any], buffers: Mapping[str, Any]) -> _Source:
    return _Source({**params, **buffers}, is_untrained=not buffers)


def _params_of(what: str, model: Any) -> MutableMapping[str, Any]:
    params = None if isinstance(model, type) else getattr(model, "params", None)
    if not isinstance(params, MutableMapping):
        raise OptionError(
            f"load_weights: {what} must be a network with params, a dictionary name -> array, "
            f"got {shown(model)}"
        )
    return params


def _read(source: Any) -> _Source:
    """The arrays of `source`."""
    if isinstance(source, str | PathLike):
        return _read_path(as_path("load_weights", "source", source))
    if isinstance(source, Mapping):
        wrong = [name for name in source if not isinstance(name, str)]
        if wrong:
            raise OptionError(
                f"load_weights: the names in source must be texts, got {shown(wrong[0])}"
            )
        return _Source(dict(source))
    if isinstance(source, ModelFile):
        return _of(source.params, source.buffers)
    if isinstance(source, Checkpoint):
        return _of(source.params, source.state["buffers"])
    if not isinstance(source, type) and callable(getattr(source, "state_dict", None)):  # PyTorch's
        return _Source(dict(source.state_dict()))
    if not isinstance(getattr(source, "params", None), Mapping) and hasattr(source, "model"):
        source = source.model  # of a Solver or a trained run
    if isinstance(source, type) or not isinstance(getattr(source, "params", None), Mapping):
        raise OptionError(
            "load_weights: source must be a file, a run folder, a dictionary name -> array or a network, "
            f"got {shown(source)}"
        )
    return _of(source.params, buffers_of(source))


def _read_path(path: Path) -> _Source:
    if path.is_dir():
        return _read_folder(path)
    if path.suffix in (".pt", ".pth", ".bin", ".ckpt"):
        raise OptionError(
            f"load_weights: {path} looks like a file of PyTorch, which may hold code; read it yourself and "
            "pass the dictionary: torch.load(path, weights_only=True)"
        )
    if path.suffix == ".npz":
        return _read_npz(path)
    kind = _kind_of(path)
    if kind.startswith("handgrad checkpoint"):
        checkpoint = load_checkpoint(path)
        return _of(checkpoint.params, checkpoint.state["buffers"])
    if kind.startswith("handgrad"):
        file = load_model_arrays(path)
        return _of(file.params, file.buffers)
    from safetensors.numpy import load_file

    try:
        return _Source(dict(load_file(path)))
    except Exception as error:  # as a dtype that NumPy lacks
        raise CheckpointError(f"{path} cannot be read as safetensors: {error!r}") from error


def _kind_of(path: Path) -> str:
    """What the metadata of a safetensors file call it, "" if they do not."""
    from safetensors import safe_open

    try:
        with safe_open(path, "np") as file:
            return str((file.metadata() or {}).get("kind", ""))
    except Exception as error:  # safetensors has errors of its own
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error


def _read_npz(path: Path) -> _Source:
    try:
        with np.load(path, allow_pickle=False) as file:
            return _Source(dict(file.items()))
    except Exception as error:  # zipfile and NumPy raise errors of many kinds
        raise CheckpointError(
            f"{path} cannot be read as arrays of NumPy: it is missing, damaged, or holds Python objects"
        ) from error


def _read_folder(folder: Path) -> _Source:
    if (folder / "model.safetensors").is_file():
        return _read_path(folder / "model.safetensors")
    inner = folder / "checkpoints"
    try:
        return _read_path(latest_checkpoint(inner if inner.is_dir() else folder))
    except CheckpointError as error:
        raise CheckpointError(
            f"{folder} holds no weights: no model.safetensors, and {error}"
        ) from None


def _renamed(source: _Source, rename: Rename) -> _Source:
    """The source with other names."""
    if rename is None:
        return source
    where = "load_weights: rename"
    if isinstance(rename, Mapping):
        for name in rename:
            if name not in source.arrays:
                near = nearest(name, source.arrays)
                hint = f"; did you mean {near!r}?" if near else ""
                raise OptionError(
                    f"{where} has {shown(name)}, which the source does not hold{hint}"
                )
    else:
        check_callable("load_weights", "rename (a dictionary or function)", rename)
    renamed: dict[str, Any] = {}
    for name, array in source.arrays.items():
        new = rename.get(name, name) if isinstance(rename, Mapping) else rename(name)
        if new is None:
            continue
        if not isinstance(new, str) or new in renamed:
            why = "for two arrays" if isinstance(new, str) else "which is no name"
            raise OptionError(f"{where} makes {shown(new)} of {name!r}, {why}")
        renamed[new] = array
    return source._replace(arrays=renamed)


def _fitting(name: str, value: Any, like: Any) -> np.ndarray:
    """A copy of `value` for the parameter `name`, which is now `like`."""
    array = as_numpy("load_weights", name, value)
    if array.shape != np.shape(like):
        turned = array.T.shape == np.shape(like)
        hint = f"; its transpose would fit: pass a dictionary with {name}.T" if turned else ""
        raise ShapeError(
            f"load_weights: {name} must have shape {np.shape(like)}, as the model's, got {array.shape}{hint}"
        )
    dtype = like.dtype if like.dtype.kind in "fc" else np.dtype(np.float64)
    if array.dtype.kind not in "iuf" and not (array.dtype.kind == "c" == dtype.kind):
        raise DtypeError(
            f"load_weights: {name} must hold numbers that fit {dtype}, got {array.dtype}"
        )
    return _finite(name, array, dtype)


def _fitting_statistic(name: str, value: Any, shape: tuple[int, ...] | None) -> np.ndarray:
    array = as_numpy("load_weights", name, value)
    if shape is not None and array.shape != shape:
        raise ShapeError(f"load_weights: {name} must have shape {shape}, got {array.shape}")
    if array.dtype.kind not in "iuf":
        raise DtypeError(f"load_weights: {name} must hold real numbers, got {array.dtype}")
    return _finite(name, array, array.dtype)


def _finite(name: str, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if not np.isfinite(cast).all():
        raise NonFiniteError(
            f"load_weights: {name} must hold finite numbers of {dtype}, got NaN, infinity or larger ones"
        )
    return cast


def _explained(missing: list[str], unused: list[str], known: list[str]) -> str:
    """Say which names do not fit, and which may be meant."""
    parts = [f"the source lacks {', '.join(missing)}"] if missing else []
    if unused:
        shown_names = [
            f"{name} (did you mean {near}?)" if (near := nearest(name, missing or known)) else name
            for name in unused
        ]
        parts.append(f"the model has no {', '.join(shown_names)}")
    return (
        f"load_weights: {'; '.join(parts)}. Pass rename={{source's name: model's name}}, or strict=False to "
        "take what fits"
    )
