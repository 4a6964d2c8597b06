"""A ``.keras`` file, looked at before Keras opens it: what it holds must be layers and numbers, no more.

Keras builds the layers that a file names, with all their weights, and follows the links in it.  So a file
is refused that names code or files to be read, whose weights lie elsewhere, or whose layers have more
numbers than it holds.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handgrad.errors import DataError, HandgradError, shown
from handgrad.interop.network import Images

_LARGEST = 2 << 30  # bytes that the members of a file may unpack to
_MOST = 200  # how many times as large as the file they may be
_MODULES = (
    "layers", "models", "initializers", "regularizers", "constraints", "optimizers", "losses", "metrics",
    "activations", "dtype_policies", "ops", "quantizers",
)  # fmt: skip
_TOP = ("Sequential", "Functional", "Model", "DTypePolicy", "KerasTensor", "FloatDTypePolicy")
_RUNS = ("Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer")
_READS = ("StringLookup", "IntegerLookup", "TextVectorization")  # vocabularies


def checked_file(path: Path) -> tuple[Images, dict[str, Any], int]:
    """Return what `export` put into the file, its configuration, and how many numbers it holds."""
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            whole = sum(m.file_size for m in members)
            if whole > _LARGEST or whole > max(_MOST * size, 1 << 24) or len(members) > 10_000:
                raise DataError(
                    f"{path} unpacks to {whole:,} bytes, which no network of its size does"
                )
            names = [m.filename for m in members]
            if "config.json" not in names or any(
                n.startswith("/") or ".." in n.replace("\\", "/").split("/") for n in names
            ):
                raise DataError(f"{path} is no .keras file: its members are {shown(names)}")
            config = json.loads(archive.read("config.json"))
            config.pop("compile_config", None)  # neither Keras nor the check opens it
            known = json.loads(archive.read("handgrad.json")) if "handgrad.json" in names else {}
            held = _numbers(archive.read("model.weights.h5"), whole, path)
        foreign = sorted(set(_code(config)))
    except HandgradError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # damaged archives raise errors of many kinds
        raise DataError(
            f"{path} is no .keras file, or damaged: {' '.join(str(error).split())[:200]}"
        ) from None
    if foreign:
        raise DataError(f"{path} holds code, which is not run: {', '.join(foreign)[:300]}")
    return _images(known), config, held


def check_size(keras: Any, config: dict[str, Any], held: int, path: Path) -> None:
    """Raise DataError where the layers have more numbers than the file: their arrays are never made."""
    with keras.device("meta"):
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    needed = model.count_params() if getattr(model, "built", False) else 0
    if needed > held:
        raise DataError(f"{path}: its layers have {needed:,} numbers, but it holds {held:,}")


def _images(known: Any) -> Images:
    try:
        classes = tuple(str(n) for n in json.loads(known.pop("class_names", "[]")))
        levels = int(known.pop("levels", 255))
    except (AttributeError, TypeError, ValueError):
        return Images()
    return Images(None, None, levels, classes, {str(k): str(v) for k, v in known.items()})


def _code(config: Any, depth: int = 0) -> Iterator[str]:
    """Layers that run code or read files, functions, and classes that are none of Keras' parts."""
    if depth > 100:
        yield "a configuration that is nested without end"
    elif isinstance(config, dict):
        name, module = config.get("class_name"), config.get("module")
        if name in (*_RUNS, *_READS):
            yield str(name)
        elif isinstance(name, str) and (module is not None or config.get("registered_name")):
            parts = str(module).removeprefix("keras.src").removeprefix("keras").split(".")
            known = name in _TOP if str(module) == "keras" else parts[1:2] and parts[1] in _MODULES
            is_keras = str(module).split(".")[0] == "keras"
            if not (is_keras and known) or (name == "function" and parts[1] != "activations"):
                what = config.get("config") if name == "function" else name
                yield f"{module}.{what}"[:80]
        for value in config.values():
            yield from _code(value, depth + 1)
    elif isinstance(config, list):
        for value in config:
            yield from _code(value, depth + 1)


def _numbers(data: bytes, whole: int, path: Path) -> int:
    """Count the numbers of the weights, none of which may lie elsewhere, or be more than the file holds."""
    import h5py

    count = 0
    with h5py.File(io.BytesIO(data), "r") as file:
        groups = [("", file)]
        while groups:
            above, group = groups.pop()
            for key in group:
                name, link = f"{above}/{key}", group.get(key, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise DataError(f"{path}: its weights {name} are a link, which is not followed")
                thing = group[key]
                if isinstance(thing, h5py.Group):
                    if len(groups) > 10_000 or name.count("/") > 100:
                        raise DataError(f"{path}: the groups of its weights are nested without end")
                    groups.append((name, thing))
                    continue
                if thing.external or thing.is_virtual:
                    raise DataError(f"{path}: its weights {name} lie in another file")
                count += thing.size or 0
                if count * 2 > max(_MOST * whole, 1 << 24):
                    raise DataError(
                        f"{path}: its weights {name} have more numbers than it can hold"
                    )
    return count
