"""A data set of arrays: images, rows of numbers, sequences, in memory or in files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from handgrad.data.arrayfiles import CLASS_NAMES, pairs_of, read_arrays
from handgrad.data.cache import StoredImages
from handgrad.data.dataset import Dataset
from handgrad.data.folder import check_classes, parts_of
from handgrad.data.kinds import is_idx
from handgrad.data.preparing import Prepares
from handgrad.data.preprocessing import Preprocessing
from handgrad.data.remembered import remembered
from handgrad.data.rows import Chosen, Rows
from handgrad.data.scaling import ArrayPreprocessing
from handgrad.data.splits import (
    PARTS,
    Split,
    SplitOptions,
    counts_of,
    digest_of,
    split_as_before,
    split_rows,
)
from handgrad.data.table import as_column, as_numbers
from handgrad.data.targets import Targets, as_text, targets_of
from handgrad.engines.arrays import as_numpy
from handgrad.errors import DataError, OptionError, ShapeError, as_path, check_choice, shown

LAYOUTS: Final = ("images", "rows", "sequences")
_CHANNELS: Final = (1, 3, 4)
_CHUNK: Final = 256  # rows hashed at a time
_MOST_AXES: Final = 8
_LABELS: Final = "task: classification, since bytes in IDX files are labels (--task says otherwise)"


@remembered
def from_arrays(
    path: Any,
    y: Any = None,
    *,
    x: str = "",
    layout: str = "",
    task: str = "",
    val: float = 0.15,
    test: float = 0.15,
    split_seed: int = 0,
    group: Any = "",
    time: Any = "",
    subtract_mean: bool = True,
    standardize: bool = True,
    dtype: Any = np.float32,
    split: Split | None = None,
) -> Dataset:
    """Make a data set of arrays.

    Files: ``.npz`` and ``.safetensors`` with X and y (or images and labels; with X_train, X_test, ...: these
    parts), ``.npy`` pairs in one folder, and MNIST's IDX files, packed or not.  Nothing is unpickled.

    What X is, unless `layout` says it:

    ===========================================  =================================================
    X                                            layout
    ===========================================  =================================================
    (N,), (N, D)                                 rows
    (N, H, W) of bytes, or floats with H = W     grey images
    (N, C, L), other floats                      sequences
    (N, C, H, W), (N, H, W, C), C 1, 3 or 4      images; anything of four axes or more
    ===========================================  =================================================

    Images of whole numbers become numbers when they are asked for (`Preprocessing`); everything else is
    centred and scaled at once: rows by column, sequences and images by channel (`ArrayPreprocessing`).

    Args:
        path: a file or folder; or X itself, an array.
        y: targets (N,) or (N, T) for X itself; for files, the name of their array.
        x: the name of the array of inputs in a file.
        layout: "images", "rows" or "sequences".
        task: "classification", "regression" or "multilabel"; "" guesses it (`handgrad.data.targets`).
        val, test: shares of the rows for validation and test, where no arrays are theirs.
        split_seed: seed of the draws.
        group, time: an array (N,), or its name in the file: rows of one group are in one part; the last
            rows in time are for the test.
        subtract_mean, standardize: centre; centre and scale.
        dtype: float32 or float64.
        split: the parts that a run has already.

    Raises:
        DataError, ShapeError: inputs and targets are not found, or do not fit each other.

    >>> from handgrad.data import from_arrays
    >>> X, y = np.random.default_rng(0).normal(size=(100, 4)), np.arange(100) % 3
    >>> from_arrays(X, y).arrays["X_train"].shape
    (70, 4)
    """
    options = SplitOptions(val, test, split_seed)
    check_choice("data", "layout", layout, ("", *LAYOUTS))
    as_text("x", x)
    settings: dict[str, Any] = {}
    named: Mapping[str, Any] = {}
    are_labels = False
    if isinstance(path, str | PathLike):
        place = as_path("from_arrays", "path", path).expanduser()
        where, name = str(place), place.resolve().name.partition(".")[0]
        settings["path"] = str(place.resolve())
        named = read_arrays(_home(place))
        pairs = pairs_of(named, where, x, "" if y is None else _name("y", y))
        are_labels = not task and _are_labels(place, pairs)
    else:
        where, name = "from_arrays", "arrays"
        if y is None:
            raise OptionError(
                "from_arrays: y is missing: pass the targets of X, or a path in the place of X"
            )
        pairs = {"": (path, y)}
    X, columns, given = _joined(pairs, where)
    X, layout, notes = _laid_out(X, layout, where)
    targets = targets_of(columns, "classification" if are_labels else task, where)
    notes += targets.notes
    if are_labels:
        notes.append(_LABELS)
    class_names = _class_names(named, targets)
    aside = {
        "groups": _beside("group", group, named, len(X), where),
        "times": _beside("time", time, named, len(X), where),
    }
    kept = targets.kept
    aside = {key: None if value is None else value[kept] for key, value in aside.items()}
    if aside["times"] is not None:
        aside["times"] = as_numbers(aside["times"])
    parts = _parts(split, given[kept], targets, aside, options, notes, where)
    if targets.task == "classification":
        notes += check_classes(parts, targets.y, class_names, where)
    rows = kept if len(kept) < len(X) else None
    digest = digest_of(np.asarray(targets.y), str(X.shape), _sample(X))
    scaling = {"subtract_mean": subtract_mean, "standardize": standardize, "dtype": dtype}
    in_file = "path" in settings
    inputs, prepare = _prepared(_remapped(X, pairs), rows, parts, layout, name, scaling, in_file)
    arrays: dict[str, Any] = {}
    for part in PARTS:
        arrays[f"X_{part}"], arrays[f"y_{part}"] = inputs[part], targets.y[parts[part]]
    notes.append(f"split: {counts_of(parts)}")
    settings |= {"task": targets.task, "layout": layout}
    return Dataset(
        name, arrays, class_names, prepare, targets.task, targets.target_names,
        Split(parts, None, digest), tuple(notes), settings,
    )  # fmt: skip


def _home(path: Path) -> Path:
    """The folder of a file that has the inputs alone, the path itself otherwise."""
    alone = path.suffix.lower() == ".npy" or is_idx(path)
    if path.is_file() and alone:
        return path.parent
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    return path


def _are_labels(path: Path, pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether the targets are bytes of IDX files, however many different ones there are."""
    files = path.parent.iterdir() if path.is_file() else path.iterdir()
    is_byte = all(y.dtype == np.uint8 and y.ndim == 1 for _, y in pairs.values())
    return is_byte and any(is_idx(file) for file in files)


def _name(option: str, value: Any) -> str:
    if not isinstance(value, str):
        raise OptionError(f"data: {option} must be the name of an array in the file, got {value!r}")
    return value


def _joined(
    pairs: Mapping[str, tuple[Any, Any]], where: str
) -> tuple[np.ndarray, dict[str, Any], np.ndarray]:
    """All parts one behind the other: X, the columns of targets, and the part of each row."""
    Xs, ys, given = [], [], []
    for part, (X, y) in pairs.items():
        X, y = as_numpy(where, "X", X), _any_array(where, y)
        if X.dtype.kind not in "fiub":
            raise DataError(f"{where}: X must hold numbers, got {X.dtype}")
        if X.ndim == 0 or y.ndim == 0 or len(X) != len(y):
            raise ShapeError(
                f"{where}: X and y must have as many rows, got X {X.shape} and y {y.shape}"
            )
        if X.ndim > _MOST_AXES:
            raise ShapeError(
                f"{where}: X must have at most {_MOST_AXES} axes, got shape {shown(X.shape)}"
            )
        if not X.size or not y.size:
            raise ShapeError(
                f"{where}: X and y must have at least one row, got {X.shape} and {y.shape}"
            )
        Xs.append(X)
        ys.append(y.reshape(len(y), -1))
        given += [part] * len(X)
    if len({X.shape[1:] for X in Xs}) > 1 or len({y.shape[1:] for y in ys}) > 1:
        raise ShapeError(
            f"{where}: rows of all parts must have one shape, got X {[X.shape for X in Xs]} and y "
            f"{[y.shape for y in ys]}"
        )
    X = Xs[0] if len(Xs) == 1 else np.concatenate(Xs)
    y = np.concatenate(ys)
    if y.shape[1] > 10_000:
        raise DataError(f"{where}: y has {y.shape[1]:,} columns, at most 10,000 can be targets")
    names = ["y"] if y.shape[1] == 1 else [f"y{k + 1}" for k in range(y.shape[1])]
    columns = {name: as_column(name, y[:, k]) for k, name in enumerate(names)}
    return X, columns, np.array(given)


def _any_array(where: str, y: Any) -> np.ndarray:
    """Targets as an array, texts and objects too."""
    try:
        return np.asarray(y)
    except Exception:  # other libraries raise errors of many kinds
        return as_numpy(where, "y", y)  # says what to do


def _laid_out(X: np.ndarray, layout: str, where: str) -> tuple[np.ndarray, str, list[str]]:
    """Return X with its channels in front, its layout, and a note on it."""
    if X.ndim == 1:
        X = X[:, None]
    guessed = layout or _guess(X)
    notes = [] if layout else [f"X {X.shape} {X.dtype}: {guessed} (data.layout says otherwise)"]
    if guessed == "rows":
        return X.reshape(len(X), -1), guessed, notes
    if X.ndim == 2:
        raise ShapeError(f"{where}: X {X.shape} has rows of one axis: its layout is rows")
    if guessed == "sequences":
        if X.ndim != 3:
            raise ShapeError(f"{where}: sequences must be (N, C, L), got X {X.shape}")
        return X, guessed, notes
    if X.ndim == 3:
        X = X[:, None]
    elif X.ndim == 4 and X.shape[1] not in _CHANNELS and X.shape[-1] in _CHANNELS:
        X = X.transpose(0, 3, 1, 2)
        notes.append(f"the channels of X come last, they are put in front: {X.shape}")
    return X, guessed, notes


def _guess(X: np.ndarray) -> str:
    if X.ndim == 2:
        return "rows"
    if X.ndim == 3 and X.dtype != np.uint8 and X.shape[1] != X.shape[2]:
        return "sequences"
    return "images"


def _class_names(named: Mapping[str, Any], targets: Targets) -> tuple[str, ...]:
    """The names in the file where it has some for labels 0, 1, ...; else the labels'."""
    for key, array in named.items():
        if key.lower() not in CLASS_NAMES or array.ndim != 1 or array.dtype.kind not in "US":
            continue
        texts = [
            t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in array.tolist()
        ]
        is_place = all(n.isdecimal() and int(n) < len(texts) for n in targets.class_names)
        if targets.task == "classification" and is_place and len(set(texts)) == len(texts):
            return tuple(texts[int(number)] for number in targets.class_names)
    return targets.class_names


def _beside(
    option: str, value: Any, named: Mapping[str, Any], count: int, where: str
) -> np.ndarray | None:
    """The column (N,) of groups or times."""
    if isinstance(value, str):
        if not value:
            return None
        if value not in named:
            raise DataError(
                f"{where}: {option} must name an array of the file, got {value!r}; there are "
                f"{', '.join(named) or 'none'}"
            )
        value = named[value]
    column = as_column(option, value)
    if len(column) != count:
        raise ShapeError(
            f"{where}: {option} must have a value for each of the {count} rows, got {len(column)}"
        )
    return column


def _parts(
    split: Split | None,
    given: np.ndarray,
    targets: Targets,
    aside: Mapping[str, np.ndarray | None],
    options: SplitOptions,
    notes: list[str],
    where: str,
) -> dict[str, np.ndarray]:
    count = len(targets.y)
    if split is not None:
        parts, more = split_as_before(split, None, count, where)
        notes += more
        return parts
    labels = targets.y if targets.task == "classification" else None
    if (given == "train").any():
        strata = labels if labels is not None else np.zeros(count, np.int64)
        return parts_of(list(given), strata, aside["groups"], options)
    return split_rows(count, options, labels=labels, groups=aside["groups"], times=aside["times"])


def _prepared(
    X: Any,
    rows: np.ndarray | None,
    parts: Mapping[str, np.ndarray],
    layout: str,
    name: str,
    scaling: Mapping[str, Any],
    in_file: bool,
) -> tuple[dict[str, Any], Prepares]:
    """The inputs of each part, and what prepares them; `rows` are those with targets."""
    places = {part: chosen if rows is None else rows[chosen] for part, chosen in parts.items()}
    if layout == "images" and X.ndim == 4 and X.dtype.kind in "u" and X.dtype.itemsize <= 2:
        levels = 255 if X.dtype == np.uint8 else 65535
        chosen = Chosen(X, places["train"])
        pixels = Preprocessing.fit(name, chosen, levels=levels, **scaling)
        # those in memory are kept in their run as they were chosen: only the rows themselves can be compared
        whole = _hash(X) if in_file else ""
        return {part: Rows(X, pixels, place, whole) for part, place in places.items()}, pixels
    scaling = {"standardize": scaling["standardize"], "dtype": scaling["dtype"]}
    prepare = ArrayPreprocessing.fit(name, X[places["train"]], **scaling)
    return {part: prepare(X[place]) for part, place in places.items()}, prepare


def _hash(X: Any) -> str:
    """A SHA-256 of all of X, a part of it at a time."""
    digest = hashlib.sha256(f"{X.shape} {X.dtype}".encode())
    for start in range(0, len(X), _CHUNK):
        digest.update(np.ascontiguousarray(X[start : start + _CHUNK]).data)
    return digest.hexdigest()


def _remapped(X: np.ndarray, pairs: Mapping[str, tuple[Any, Any]]) -> Any:
    """X, where it is mapped from a file of whole numbers as one that is mapped for each access."""
    base = next(iter(pairs.values()))[0]
    plain = len(pairs) == 1 and isinstance(base, np.memmap) and base.dtype.kind == "u"
    if not plain or base.ndim < 3 or not base.flags.c_contiguous or base.filename is None:
        return X
    arrange = None
    if X.ndim == base.ndim + 1:
        arrange = _one_channel
    elif X.shape != base.shape:
        arrange = _channels_first
    return StoredImages(Path(base.filename), base.offset, base.shape, base.dtype, arrange)


def _one_channel(rows: np.ndarray) -> np.ndarray:
    return rows[:, None]


def _channels_first(rows: np.ndarray) -> np.ndarray:
    return rows.transpose(0, 3, 1, 2)


def _sample(X: np.ndarray) -> np.ndarray:
    """Some rows of X, by which another X is told."""
    return np.ascontiguousarray(X[:: max(1, len(X) // 64)])
