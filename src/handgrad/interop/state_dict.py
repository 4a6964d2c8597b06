"""Weights of PyTorch's names put into a network that `from_torch` or a file of the same names made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from handgrad import nn
from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    CheckpointError,
    DtypeError,
    OptionError,
    ShapeError,
    as_path,
    check_callable,
    check_takes,
    nearest,
    shown,
)
from handgrad.interop.describe import describe
from handgrad.interop.optional import library

_ROLES = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias", "a": "weight",
          "mean": "running_mean", "var": "running_var"}  # fmt: skip


def load_state_dict(
    model: Any, source: Any, rename: Mapping[str, str] | Callable[[str], str] | None = None
) -> tuple[str, ...]:
    """Put weights under PyTorch's names, ``layer1.0.conv1.weight``, into the layers of those names.

    Affine weights are transposed on the way; nothing else is changed.  Handgrad's own names, under which
    `export` writes safetensors, are taken as they are.

    Args:
        model: a network of `handgrad.nn`; its layers are named like the source's modules.
        source: a dictionary name -> array or tensor; a safetensors file; or a ``.pt`` or ``.pth`` file, which
            is read by PyTorch's ``weights_only`` reader, so that no code in it runs.
        rename: dictionary or function from the names of the source to those that are looked for.

    Returns:
        The names that were taken.

    Raises:
        OptionError: names are missing or left over; nothing is changed then.
        ShapeError, DtypeError: an array does not fit.
        CheckpointError: the file is missing or damaged, or holds more than weights.

    >>> load_state_dict(model, 'resnet20.safetensors')  # doctest: +SKIP
    """
    if not isinstance(model, nn.Model):
        raise OptionError(
            f"load_state_dict: model must be a network of handgrad.nn, got {shown(model)}"
        )
    arrays = _read(source)
    if rename is not None:
        arrays = _renamed(arrays, rename)
    arrays = {name: a for name, a in arrays.items() if not name.endswith("num_batches_tracked")}
    params, buffers, taken = {}, {}, []
    lacking = []
    for node in describe(model).nodes:
        base = node.name.partition("#")[0]
        for role, old in node.arrays.items():
            own = node.params.get(role, f"{base}.running_{role}")
            name = f"{base}.{_ROLES.get(role, role)}"
            if name in taken or own in taken:
                continue
            is_own = own in arrays and own != name
            if is_own:  # as `export` writes them
                name = own
            if name not in arrays:
                lacking.append(name)
                continue
            taken.append(name)
            turned = node.op == "affine" and role == "W" and not is_own
            new = _fitting(name, arrays[name], old, turned=turned)
            if role in node.params:
                params[node.params[role]] = new
            else:
                buffers[_buffer_of(model, base, role)] = new
    left = [name for name in arrays if name not in taken]
    if lacking or left:
        parts = [f"the source lacks {', '.join(lacking[:20])}"] if lacking else []
        if left:
            near = nearest(left[0], lacking)
            hint = f" (is {left[0]} meant for {near}?)" if near else ""
            parts.append(f"the network has no {', '.join(left[:20])}{hint}")
        raise OptionError(
            f"load_state_dict: {'; '.join(parts)}. Pass rename={{source's name: name}}"
        )
    for name, new in params.items():
        model.params[name][...] = new.reshape(model.params[name].shape)
    if buffers:
        model.load_buffers(buffers)
    return tuple(taken)


def _buffer_of(model: nn.Model, layer: str, role: str) -> str:
    """The model's name of a running statistic; those of ready networks are numbered, running_mean1."""
    for i, norm in enumerate(getattr(model, "_norms", ()), start=1):
        if norm._label == layer and f"running_{role}{i}" in model.buffer_shapes():
            return f"running_{role}{i}"
    return f"{layer}.running_{role}"


def _renamed(arrays: dict[str, Any], rename: Any) -> dict[str, Any]:
    if isinstance(rename, Mapping):
        return {str(rename.get(name, name)): array for name, array in arrays.items()}
    check_callable("load_state_dict", "rename (a dictionary or function)", rename)
    check_takes("load_state_dict", "rename", rename, "a name", 1)
    return {str(rename(name)): array for name, array in arrays.items()}


def _fitting(name: str, value: Any, old: np.ndarray, turned: bool) -> np.ndarray:
    array = as_numpy("load_state_dict", name, value)
    if array.dtype.kind != "f":
        raise DtypeError(
            f"load_state_dict: {name} must hold floating-point numbers, got {array.dtype}"
        )
    array = array.T if turned and array.ndim == 2 else array
    if array.ndim == 3 and old.ndim == 4:  # filters of sequences
        array = array[:, :, None]
    if array.shape != old.shape:
        wanted = old.shape[::-1] if turned else old.shape
        raise ShapeError(f"load_state_dict: {name} must have shape {wanted}, got {np.shape(value)}")
    if not np.isfinite(array).all():
        raise DtypeError(f"load_state_dict: {name} must hold finite numbers")
    return array.astype(old.dtype)


def _read(source: Any) -> dict[str, Any]:
    if isinstance(source, Mapping):
        return {str(name): _array(a) for name, a in source.items()}
    if not isinstance(source, str | PathLike):
        raise OptionError(
            f"load_state_dict: source must be a dictionary or a file, got {shown(source)}"
        )
    path: Path = as_path("load_state_dict", "source", source)
    if not path.is_file():
        raise CheckpointError(f"{path} is not there")
    if path.suffix in (".pt", ".pth", ".bin", ".ckpt"):
        torch = library("torch", "load_state_dict")
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # the reader's errors are of many kinds
            first = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"{path} holds more than weights, or is damaged: {first}"
            ) from None
        if not isinstance(loaded, Mapping):
            raise CheckpointError(f"{path} holds no dictionary of weights")
        return {str(name): _array(a) for name, a in loaded.items()}
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except Exception as error:  # as a dtype that NumPy lacks
        raise CheckpointError(f"{path} cannot be read as safetensors: {error!r}") from error


def _array(value: Any) -> Any:
    """A tensor as an array; what is none comes back as it is."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        return (
            value.float().numpy()
            if str(value.dtype) in ("torch.bfloat16", "torch.float16")
            else value.numpy()
        )
    return value
