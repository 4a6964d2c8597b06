"""Arrays from files: .npz, .npy, .safetensors and MNIST's IDX files; never with pickle."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from handgrad.data.kinds import is_idx
from handgrad.errors import DataError, nearest, one_line, shown

X_NAMES: Final = ("x", "data", "images", "inputs", "features", "samples", "signals", "sequences")
Y_NAMES: Final = ("y", "labels", "label", "targets", "target")
CLASS_NAMES: Final = ("class_names", "label_names", "target_names", "classes")
PART_WORDS: Final = {
    "train": ("train", "training", "tr"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "t10k", "te"),
}
LARGEST: Final = 16 << 30  # bytes of one array; a header that says more is wrong, or a bomb
IDX_TYPES: Final = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_CHUNK: Final = 1 << 20


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file, or of the files of a folder, by name.

    Raises:
        DataError: nothing can be read, an array holds Python objects, or is larger than its file allows.
    """
    if path.is_dir():
        found: dict[str, np.ndarray] = {}
        home: dict[str, str] = {}
        for file in sorted(path.iterdir()):
            is_twin = (
                file.suffix == ".gz" and file.with_suffix("").is_file()
            )  # of what was unpacked
            if not file.is_file() or file.name.startswith(".") or is_twin:
                continue
            if is_idx(file) or file.suffix.lower() in (".npy", ".npz", ".safetensors"):
                for name, array in read_arrays(file).items():
                    if name in found:
                        raise DataError(
                            f"{path}: both {home[name]} and {file.name} hold an array called {name!r}; put "
                            "one of them elsewhere"
                        )
                    found[name], home[name] = array, file.name
        if not found:
            raise DataError(f"{path}: holds no .npy, .npz, .safetensors or IDX files")
        return found
    if is_idx(path):
        return {_idx_name(path): read_idx(path)}
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return {path.stem: _read_npy(path)}
    if suffix == ".npz":
        return _read_npz(path)
    if suffix == ".safetensors":
        return _read_safetensors(path)
    raise DataError(f"{path}: arrays are read from .npz, .npy, .safetensors and MNIST's IDX files")


def _read_npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, OverflowError) as error:
        raise DataError(f"{path}: {_why(error)}") from None


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as file:
            large = [m.filename for m in file.infolist() if m.file_size > LARGEST]
            if large:
                raise DataError(f"{path}: {large[0]} says that it is larger than {LARGEST:,} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays.items())
    except DataError:
        raise
    except (
        OSError, ValueError, EOFError, SyntaxError, TypeError, KeyError, NotImplementedError,
        OverflowError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise DataError(f"{path}: {_why(error)}") from None


def _why(error: BaseException) -> str:
    text = str(error)
    if "Python objects" in text or "pickle" in text.lower():
        return (
            "it holds Python objects (pickle), which can run code and are not read; save plain arrays: "
            "np.array(labels, str) for texts"
        )
    return f"the file is damaged, cut off, or not what its name says: {shown(text or repr(error))}"


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except Exception as error:  # safetensors has errors of its own, and NumPy lacks some dtypes
        raise DataError(f"{path}: cannot be read as safetensors: {shown(str(error))}") from None


def _idx_name(path: Path) -> str:
    """The name of the array in one of MNIST's files, as "train_images"."""
    name = path.name.lower().removesuffix(".gz")
    for part, words in PART_WORDS.items():
        if set(_split(name)) & set(words):
            return f"{part}_{'labels' if 'label' in name or 'idx1' in name else 'images'}"
    return "labels" if "label" in name or "idx1" in name else "images"


def read_idx(path: Path) -> np.ndarray:
    """Read a file of MNIST's form, packed by gzip or not.

    The form: two zero bytes, a byte for the type, one for the number of axes, the sizes as big-endian
    32-bit integers, the numbers.

    Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database, http://yann.lecun.com/exdb/mnist/.

    Raises DataError if the file is damaged, or its length is not what its header says.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in IDX_TYPES or not head[3]:
                raise DataError(
                    f"{path}: not a file of MNIST's form (IDX): it begins with {head!r}"
                )
            words = file.read(4 * head[3])
            sizes = np.frombuffer(words[: len(words) // 4 * 4], ">u4")
            dtype = np.dtype(IDX_TYPES[head[2]])
            wanted = int(np.prod(sizes.astype(object))) * dtype.itemsize
            if len(sizes) != head[3] or wanted > LARGEST:
                raise DataError(f"{path}: its header is damaged: sizes {sizes.tolist()}")
            data = bytearray()
            while len(data) <= wanted and (part := file.read(_CHUNK)):
                data += part
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged or cut off: {one_line(error)}") from None
    if len(data) != wanted:
        got = "more" if len(data) > wanted else str(len(data))
        raise DataError(
            f"{path}: the header says {' x '.join(map(str, sizes))} numbers, {wanted} bytes, but "
            f"there are {got}"
        )
    return np.frombuffer(data, dtype).reshape(sizes.tolist()).astype(dtype.newbyteorder("="))


def pairs_of(
    arrays: Mapping[str, np.ndarray], where: str, x: str = "", y: str = ""
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Find inputs and targets among arrays by their names.

    Args:
        arrays: name -> array.
        where: the file, for messages.
        x, y: names of the arrays of inputs and targets, where they are called otherwise; of one that is
            named alone, the other is found by its name.

    Returns:
        "" -> (inputs, targets) where nothing says a part, else "train", "val", "test" -> (inputs, targets).

    Raises DataError if they are not found; says which names are looked for.
    """
    if x or y:
        x, y = x or _partner(y, "x", arrays), y or _partner(x, "y", arrays)
        for name in (x, y):
            if name not in arrays:
                near = nearest(name, arrays)
                hint = f"; did you mean {near!r}?" if near else ""
                raise DataError(f"{where}: there is no array {name!r}, only {_names(arrays)}{hint}")
        return {"": (arrays[x], arrays[y])}
    found: dict[str, dict[str, str]] = {}
    for name in arrays:
        part, kind = _role(name)
        if kind is None:
            continue
        if kind in found.setdefault(part, {}):
            raise DataError(
                f"{where}: both {found[part][kind]!r} and {name!r} may be the {_WHAT[kind]}; say which, "
                f"with --set data.{kind}={name}"
            )
        found[part][kind] = name
    pairs = {p: (arrays[f["x"]], arrays[f["y"]]) for p, f in found.items() if len(f) == 2}
    if pairs and "train" not in pairs and "" not in pairs:
        part, own = next((p, found[p]) for p in pairs)
        raise DataError(
            f"{where}: there are only arrays for {part}, {_names(arrays)}, and none to train on; name them "
            f"with --set data.x={own['x']} --set data.y={own['y']} to divide them into parts"
        )
    if not pairs:
        raise DataError(
            f"{where}: inputs and targets are not found among the arrays {_names(arrays)}: they are called X "
            "and y, images and labels, or X_train and y_train, X_test and y_test; or name them with "
            "--set data.x=NAME --set data.y=NAME"
        )
    return {part: pair for part, pair in pairs.items() if part or "train" not in pairs}


def inputs_in(arrays: Mapping[str, np.ndarray], where: str, x: str = "") -> np.ndarray:
    """Return the inputs among arrays, by their names; of several parts those of the test, else of validation.

    Args:
        arrays: name -> array.
        where: the file, for messages.
        x: what the inputs were called in training.

    Raises DataError if none are found, or it cannot be told which.
    """
    for name in (x, "X"):
        if name in arrays:
            return arrays[name]
    roles = {name: _role(name) for name in arrays}
    for part in ("", "test", "val", "train"):
        names = [name for name, role in roles.items() if role == (part, "x")]
        if len(names) == 1:
            return arrays[names[0]]
        if names:
            raise DataError(f"{where}: which are the inputs, {' or '.join(names)}? Call them X")
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise DataError(f"{where}: which of the arrays {_names(arrays)} are the inputs? Call them X")


def _partner(name: str, kind: str, arrays: Mapping[str, np.ndarray]) -> str:
    """The array that belongs to the array `name`: the only one of its `kind` and part, else X or y."""
    part = _role(name)[0]
    found = [other for other in arrays if other != name and _role(other) == (part, kind)]
    return found[0] if len(found) == 1 else {"x": "X", "y": "y"}[kind]


_WHAT: Final = {"x": "inputs", "y": "targets"}


def _role(name: str) -> tuple[str, str | None]:
    """Return (part, "x" or "y") of an array's name; ("", None) for a name that says nothing."""
    if name.lower() in CLASS_NAMES:
        return "", None
    words = _split(name)
    part = next((p for p, known in PART_WORDS.items() if set(words) & set(known)), "")
    if set(words) & set(Y_NAMES):
        return part, "y"
    if set(words) & set(X_NAMES):
        return part, "x"
    return "", None


def _split(name: str) -> list[str]:
    """The words of a name in small letters: of "X_train", "xTrain", "train.images" and "y-test"."""
    spaced = "".join(f" {c}" if c.isupper() and k and name[k - 1].islower() else c
                     for k, c in enumerate(name))  # fmt: skip
    words = "".join(c if c.isalnum() else " " for c in spaced).lower().split()
    glued = []
    for word in words:  # xtrain, ytest
        for part in ("train", "test", "val", "valid"):
            if word in (f"x{part}", f"y{part}"):
                glued += [word[0], part]
                break
        else:
            glued.append(word)
    return glued


def _names(arrays: Mapping[str, np.ndarray]) -> str:
    some = [f"{name} {array.shape}" for name, array in list(arrays.items())[:8]]
    return ", ".join(some) + (", ..." if len(arrays) > 8 else "")
