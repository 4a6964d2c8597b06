"""`export`: a network as a file for another library, or for none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handgrad.data import Description, Preprocessing
from handgrad.data.columns import TablePreprocessing
from handgrad.data.scaling import ArrayPreprocessing
from handgrad.errors import (
    CheckpointError,
    OptionError,
    as_flag,
    as_path,
    check_choice,
    check_dictionary,
    check_name,
    nearest,
    shown,
)
from handgrad.files import atomic_write, is_of
from handgrad.interop.columns import Columns
from handgrad.interop.describe import describe
from handgrad.interop.network import Images, Network, folded, in_unit, without_dropout

SUFFIXES = {
    "onnx": ".onnx", "torch": ".py", "keras": ".keras", "numpy": ".py", "c": ".h",
    "safetensors": ".safetensors",
}  # fmt: skip


class Exported(NamedTuple):
    """What `export` did: the files that it wrote, and lines that say more of them.

    >>> from pathlib import Path
    >>> Exported((Path('net.onnx'),)).notes
    ()
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def export(
    model: Any,
    to: str,
    out: str | PathLike[str] | None = None,
    *,
    bare: bool = False,
    fold: bool = False,
    train: bool = False,
    int8: bool = False,
    calibration: Any = None,
    preprocessing: Any = None,
    class_names: Any = (),
    metadata: Mapping[str, str] | None = None,
) -> Exported:
    """Write a network as a file of another library, or as one that needs none.

    Args:
        model: a network of `handgrad.nn` or `handgrad.models`, a run folder or `TrainedRun`, an estimator of
            `handgrad.sklearn`, or an ONNX file.
        to: 'onnx', 'torch' (an ``nn.Module`` as source, its weights in safetensors), 'keras', 'numpy' (one
            Python file, its weights in ``.npz``), 'c' (a header in C99), or 'safetensors' (the weights
            alone).
        out: the file; None is one named after the network in the current folder.  An older export is
            replaced, source of somebody's own is not.
        bare: leave preprocessing and class names out.
        fold: onnx: fold batch normalisations into the layers in front of them (c always does).
        train: numpy: with the backward passes and a loop of SGD.
        int8: c: weights and activations in 8-bit integers.
        calibration: rows X that the scales of int8 come from; of a run, None is its validation set.
        preprocessing: a `handgrad.data.Preprocessing`, or that of arrays or of a table, which becomes part
            of the file; of a run its own.  What a file takes of a table says `handgrad.interop.encoded`.
        class_names: texts; of a run its own.
        metadata: texts for the metadata of the file, as ``{"licence": "CC BY 4.0"}``.

    Returns:
        The files, and notes about sizes and accuracies.

    Raises:
        OptionError: an option is unknown or does not belong to `to`, a library is missing, or `out` is
            source that export has not written.
        OperationError: layers that have no counterpart, all of them.
        OSError: the files cannot be written.

    >>> import tempfile
    >>> from handgrad import nn
    >>> net = nn.Sequential([nn.Affine(3)], input_shape=(4,), rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print([file.name for file in export(net, "numpy", folder + "/net.py").files])
    ['net.py', 'net.npz']
    """
    check_choice("export", "to", to, SUFFIXES)
    flags = {"bare": bare, "fold": fold, "train": train, "int8": int8}
    for name, flag in flags.items():
        as_flag("export", name, flag)
    for name, home in (("fold", "onnx"), ("train", "numpy"), ("int8", "c")):
        if flags[name] and to != home:
            raise OptionError(f"export: {name} is for to={home!r}, not for {to!r}")
    check_dictionary("export", "metadata", {} if metadata is None else metadata)
    source = read(model)
    images = source.network.images
    if preprocessing is not None:
        images = images_of(preprocessing, images.class_names, images.info)
    is_list = isinstance(class_names, tuple | list)
    names = images.class_names if is_list and not class_names else class_names
    if not is_list or not all(isinstance(n, str) for n in names):
        raise OptionError(f"export: class_names must be a list of texts, got {shown(names)}")
    info = {**images.info, **(metadata or {})}
    images = replace(images, class_names=tuple(names), info=info)
    if bare and len(source.network.inputs) != 1:
        images = replace(images, mean=None, std=None)
    network = fitted(replace(source.network, images=images))
    if not bare and to != "safetensors":
        network = in_unit(network) or network
    form = f"_{to}" if to in ("torch", "numpy") else ""  # so that they can lie in one folder
    path = (
        Path(f"{network.name.lower()}{form}{SUFFIXES[to]}")
        if out is None
        else as_path("export", "out", out)
    )
    if not path.name or path.is_dir():
        raise OptionError(f"export: out must be the path of a file, got the folder {path}")
    check_name("export", "out", path.name)
    name = path.stem
    notes: tuple[str, ...] = ()
    if images.columns is not None and not bare and to != "safetensors":
        notes = tuple(str(images.columns).splitlines())
        coarse = images.columns.coarse(images.mean, images.std)  # type: ignore[arg-type]
        if coarse and to != "numpy":
            notes += (
                f"float32 is too coarse for {', '.join(coarse)}, far from 0 beside the spread: take a "
                "constant off such a column before training",
            )
    if network.loss.get("name") == "poisson":
        notes += (
            "its numbers are the logarithms of the rates of a Poisson loss: take exp of them",
        )
    if to == "c":
        files, more = _c(network, source, path.name, bare, int8, calibration)
        notes += more
    else:
        files = _WRITERS[to](network, path.name, name, flags)
    written = []
    source_files = [path.with_name(file) for file in files if file.endswith((".py", ".h"))]
    for own in (file for file in source_files if not is_of(file, "written by Handgrad")):
        raise OptionError(
            f"export: {own} is there, not written by export; give another file as out (--out)"
        )
    for file, data in files.items():
        path.parent.mkdir(exist_ok=True)
        atomic_write(path.with_name(file), data)
        written.append(path.with_name(file))
    return Exported(tuple(written), notes)


class Source(NamedTuple):
    """A network to write; split: "val" and "test" -> (X, y), asked for where they are needed."""

    network: Network
    split: Callable[[str], tuple[np.ndarray, np.ndarray]] | None = None


def read(model: Any) -> Source:
    """Return the neutral form of whatever holds a network: see `export`."""
    from handgrad.training import TrainedRun

    if isinstance(model, str | PathLike):
        path = as_path("interop", "the path", model)
        if path.suffix == ".onnx":
            from handgrad.interop.onnx_in import network_of

            return Source(network_of(path))
        if path.suffix == ".keras":
            from handgrad.interop.keras_in import network_of as of_keras

            return Source(of_keras(path))
        if not path.exists():
            near = nearest(
                path.name,
                [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else [],
            )
            hint = f"; did you mean {path.with_name(near)}?" if near else ""
            raise CheckpointError(
                f"{path} is neither a run folder nor an ONNX file: it is not there{hint}"
            )
        model = TrainedRun(path)
    if isinstance(model, TrainedRun):
        return _of_run(model)
    if hasattr(model, "description_"):  # an estimator of handgrad.sklearn
        return Source(_described(model.model_, model.description_, {}))
    images = getattr(model, "images", None)  # of a network that came from a file
    return Source(describe(model, images if isinstance(images, Images) else None))


def _of_run(run: Any) -> Source:
    found: list[Any] = []

    def split(name: str) -> tuple[np.ndarray, np.ndarray]:
        if not found:
            found.append(run.dataset())
        return found[0].arrays[f"X_{name}"], found[0].arrays[f"y_{name}"]

    info = {"dataset": str(run.config.data["name"]), "run": run.config.name}
    return Source(_described(run.model, run.description, info), split)


def _described(model: Any, known: Description, info: dict[str, str]) -> Network:
    """Return the neutral form of a network whose data are described."""
    if known.task != "classification":
        info |= {"task": known.task, "targets": json.dumps(list(known.target_names))}
    images = images_of(known.preprocessing, known.class_names, info)
    network = describe(model, images)
    if known.task == "regression" and network.loss.get("name") != "poisson":
        mean, std = known.target_mean, known.target_std
        assert mean is not None
        assert std is not None
        return replace(network, images=replace(images, unit=(mean, std)))
    return network


def images_of(prepare: Any, class_names: Any, info: Mapping[str, str]) -> Images:
    """Return the preprocessing of a data set in the neutral form."""
    kinds = Preprocessing, ArrayPreprocessing, TablePreprocessing
    if not isinstance(prepare, kinds):
        raise OptionError(
            f"export: preprocessing must be one of {', '.join(k.__name__ for k in kinds)} of "
            f"handgrad.data, got {shown(prepare)}"
        )
    mean, std = (np.asarray(a, np.float64) for a in (prepare.mean, prepare.std))
    if isinstance(prepare, Preprocessing):
        mean, std = (a.reshape((1,) * (3 - a.ndim) + a.shape) for a in (mean, std))
        return Images(mean, std, prepare.levels, tuple(class_names), info)
    columns = Columns.of(prepare) if isinstance(prepare, TablePreprocessing) else None
    return Images(mean, std, None, tuple(class_names), info, columns)


def fitted(network: Network) -> Network:
    """Return the network with the constants of its preprocessing in the shape of its rows."""
    images = network.images
    if images.mean is None or images.std is None:
        return network
    if len(network.inputs) != 1:
        raise OptionError("export: preprocessing is for networks of one input; pass bare=True")
    (shape,) = network.inputs.values()
    mean, std = images.mean, images.std
    if len(shape) == 1 and mean.ndim == 3:  # a network that flattens images
        size = np.broadcast_shapes(mean.shape, std.shape)
        count = int(np.prod(size))
        if shape[0] % count:
            raise OptionError(f"export: the preprocessing does not fit rows of {shape}")
        mean, std = (
            np.repeat(np.broadcast_to(a, size).reshape(-1), shape[0] // count) for a in (mean, std)
        )
    try:
        np.broadcast_to(mean, shape), np.broadcast_to(std, shape)
    except ValueError:
        raise OptionError(f"export: the preprocessing does not fit rows of {shape}") from None
    return replace(network, images=replace(images, mean=mean, std=std))


# -- the writers, each imported when it is used ----------------------------------------------------

Flags = Mapping[str, bool]


def _onnx(network: Network, file: str, name: str, flags: Flags) -> dict[str, bytes]:
    from handgrad.interop.onnx_out import model_proto

    network = folded(without_dropout(network)) if flags["fold"] else network
    return {file: model_proto(network, bare=flags["bare"]).SerializeToString()}


def _torch(network: Network, file: str, name: str, flags: Flags) -> dict[str, bytes]:
    from handgrad.interop.torch_out import files

    return files(network, name, bare=flags["bare"])


def _keras(network: Network, file: str, name: str, flags: Flags) -> dict[str, bytes]:
    from handgrad.interop.keras_out import file as keras_file

    return {file: keras_file(network, bare=flags["bare"])}


def _numpy(network: Network, file: str, name: str, flags: Flags) -> dict[str, bytes]:
    from handgrad.interop.numpy_out import files

    return files(network, name, bare=flags["bare"], train=flags["train"])


def _safetensors(network: Network, file: str, name: str, flags: Flags) -> dict[str, bytes]:
    from safetensors.numpy import save

    from handgrad.interop.onnx_out import metadata

    weights = dict(network.parameters())
    for node in network.nodes:
        if node.op == "batchnorm":
            weights |= {
                f"{node.name}.running_{role}": node.arrays[role] for role in ("mean", "var")
            }
    ready = {key: np.asarray(array, order="C") for key, array in weights.items()}
    return {file: save(ready, metadata(network, bare=flags["bare"]))}


_WRITERS: dict[str, Callable[[Network, str, str, Flags], dict[str, bytes]]] = {
    "onnx": _onnx,
    "torch": _torch,
    "keras": _keras,
    "numpy": _numpy,
    "safetensors": _safetensors,
}


def _c(
    network: Network, source: Source, file: str, bare: bool, int8: bool, calibration: Any
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    from handgrad.interop import c_int8, c_out

    name = Path(file).stem
    if not int8:
        text, sizes = c_out.header(network, name, bare=bare)
        return {file: text.encode()}, (_sizes(sizes),)
    from handgrad.interop.int8 import quantized
    from handgrad.interop.int8_run import scores

    X = calibration
    if X is None:
        if source.split is None:
            raise OptionError(
                "export: int8 needs a calibration set, rows X that the scales come from; pass calibration=X"
            )
        X = _rows(source.split("val")[0][:500], network)
    xs = X if isinstance(X, tuple) else (X,)
    rows = tuple(_rows(x, network) for x in xs)
    net = quantized(network, rows if len(rows) > 1 else rows[0], bare=bare)
    text, sizes = c_int8.header(net, name, bare=bare)
    notes = [_sizes(sizes)]
    if source.split is not None:
        notes.append(_measured(net, network, source.split("test"), bare, scores))
    return {file: text.encode()}, tuple(notes)


def _rows(X: Any, network: Network) -> np.ndarray:
    X = np.asarray(X)
    shapes = list(network.inputs.values())
    if X.dtype.kind not in "iuf" or X.ndim < 2:
        raise OptionError(f"export: calibration must be rows of numbers (N, ...), got {shown(X)}")
    flat = X.reshape(len(X), -1).shape[1]
    for shape in shapes:
        if X.shape[1:] == shape or (len(shape) == 1 and flat == shape[0]):
            return X.reshape(len(X), *shape).astype(np.float32)
    raise OptionError(f"export: calibration rows must have shape {shapes[0]}, got {X.shape[1:]}")


def _sizes(sizes: Any) -> str:
    return f"{sizes.weights:,} bytes of weights, {sizes.memory:,} bytes of static memory"


def _measured(net: Any, network: Network, split: Any, bare: bool, of_int8: Any) -> str:
    """What the network gets right on rows (X, y), before and after it was made one of integers."""
    from handgrad.interop.rebuild import model_of

    X, y = split
    X = _rows(X, network)
    raw, images, model = X, network.images, model_of(network)
    if images.mean is not None and not bare:
        raw = (X * images.std + images.mean).astype(np.float32)
    parts = [slice(start, start + 100) for start in range(0, len(X), 100)]
    before = np.concatenate([model.loss(X[part]) for part in parts])
    after = np.concatenate([of_int8(net, raw[part]) for part in parts])
    task, where = images.info.get("task", "classification"), f"({len(X)} {_ROWS[images.raw]})"
    if task == "regression":
        y = y.reshape(before.shape)
        if bare and images.unit is not None:
            y = (y - images.unit[0]) / images.unit[1]
        old, new = (float(np.sqrt(np.mean((out - y) ** 2))) for out in (before, after))
        return f"test RMSE {old:.5g} in float, {new:.5g} in int8 {where}"
    if task == "multilabel":
        shares = [np.mean((out > 0) == (y > 0.5)) for out in (before, after)]
    else:
        shares = [np.mean(out.argmax(axis=1) == y) for out in (before, after)]
    old, new = (100 * float(share) for share in shares)
    return f"test accuracy {old:.2f} % in float, {new:.2f} % in int8 {where}"


_ROWS = {"pixels": "images", "rows": "rows", "columns": "rows"}
