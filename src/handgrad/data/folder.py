"""A data set of a folder of pictures: a folder for each class."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from handgrad.data.cache import Cached, Item, StoredImages, cached_images
from handgrad.data.dataset import Dataset
from handgrad.data.images import opened, read_picture
from handgrad.data.listing import Listing, list_images
from handgrad.data.preprocessing import Preprocessing
from handgrad.data.remembered import remembered
from handgrad.data.rows import Chosen, Rows
from handgrad.data.splits import PARTS, Split, SplitOptions, counts_of, split_as_before, split_rows
from handgrad.errors import DataError, OptionError, as_count, as_flag, as_path, shown

SIZES: Final = (8, 16, 24, 28, 32, 48, 64)
"""Sizes that are chosen from where none is given."""
_SAMPLE: Final = 300  # pictures whose sizes are looked at
_GREY: Final = ("1", "L", "LA", "La", "I", "F")


@remembered
def from_folder(
    path: str | PathLike[str],
    *,
    image_size: int | Sequence[int] | None = None,
    grey: bool | None = None,
    val: float = 0.15,
    test: float = 0.15,
    split_seed: int = 0,
    group: str = "",
    skip_unreadable: bool = False,
    subtract_mean: bool = True,
    standardize: bool = True,
    cache: bool = True,
    dtype: Any = np.float32,
    split: Split | None = None,
) -> Dataset:
    """Make a data set of pictures, a folder for each class.

        photos/cat/1.jpg            or        photos/train/cat/1.jpg
        photos/dog/2.png                      photos/val/cat/2.jpg
                                              photos/test/dog/3.jpg

    The middle of each picture, of the wanted proportions, is resized; `read_image` says what becomes of
    colours, depth and transparency.  Without `image_size`, pictures that all have one size of at most 64
    each way keep it; else they become squares of the largest of `SIZES` that is not above half of them
    (the median of their shorter sides), so 64 for photographs.  They are grey if all are grey.

    Where the folders do not say which pictures are for validation or test, each class gives its share.

    Args:
        path: the folder.
        image_size: pixels each way, or [height, width].
        grey: whether images are made grey; None: if all pictures are.
        val, test: shares of the pictures for validation and test, where no folders say it.
        split_seed: seed of the draws.
        group: a regular expression; pictures whose path (in the folder, with /) matches it with the
            same text are in one part, as ``patient[0-9]+``.  Its first ( ) counts, if it has one.
        skip_unreadable: leave out the pictures that cannot be read, rather than refuse.
        subtract_mean, standardize: see `Preprocessing.fit`; standardize centres and scales each channel.
        cache: keep the images in a file in the folder ``.handgrad`` of the data, which is mapped.
        dtype: float32 or float64.
        split: the parts that a run has already.

    Raises:
        DataError: the folder is not arranged so, pictures cannot be read, or there is only one class.
    """
    root = as_path("from_folder", "path", path).expanduser()
    options = SplitOptions(val, test, split_seed)
    skip = as_flag("data", "skip_unreadable", skip_unreadable)
    listing = list_images(root)
    notes = _notes_on(listing)
    shape, shape_notes = image_shape_of(
        [partial(_header, listing.root / file) for file in listing.files], image_size, grey
    )
    items = [_item(listing.root, file) for file in listing.files]
    found = cached_images(root, items, shape, as_flag("data", "cache", cache))
    notes += shape_notes + unreadable_notes(
        found, len(items), skip, str(root), " (`handgrad data check` names more)"
    )
    files = [listing.files[row] for row in found.good]
    labels = [listing.labels[row] for row in found.good]
    names = listing.class_names
    if len(names) < 2:
        raise DataError(
            f"{root}: all pictures are of one class, {names[0]!r}; a network needs at least two to tell apart"
        )
    y = np.array([names.index(label) for label in labels], np.int64)
    given = [listing.parts[row] for row in found.good]
    groups = groups_of(files, group)
    if split is not None:
        parts, more = split_as_before(split, files, len(files), str(root))
        notes += more
    else:
        parts = parts_of(given, y, groups, options)
    notes += check_classes(parts, y, names, str(root))
    settings = {"path": str(root.resolve()), "image_size": list(shape[1:]), "grey": shape[0] == 1}
    dataset = image_dataset(
        root.resolve().name, found.images, y, parts, names, found.digest, subtract_mean=subtract_mean,
        standardize=standardize, dtype=dtype,
    )  # fmt: skip
    return finished(dataset, Split(parts, tuple(files), found.digest), notes, settings)


def image_dataset(
    name: str,
    images: StoredImages | np.ndarray,
    y: np.ndarray,
    parts: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    digest: str = "",
    **preprocessing: Any,
) -> Dataset:
    """Make the Dataset of stored images and labels; the preprocessing is fitted to the training part.

    `digest` is a hash of the images, where it is known.
    """
    prepare = Preprocessing.fit(name, Chosen(images, parts["train"]), **preprocessing)
    rows: dict[str, Any] = {}
    for part in PARTS:
        rows[f"X_{part}"] = Rows(images, prepare, parts[part], digest)
        rows[f"y_{part}"] = y[parts[part]]
    return Dataset(name, rows, tuple(class_names), prepare)


def finished(
    dataset: Dataset, split: Split, notes: list[str], settings: Mapping[str, Any]
) -> Dataset:
    """Return `dataset` with its split, what was guessed about it, and the options for the same again."""
    from dataclasses import replace

    notes = [*notes, f"split: {counts_of(split.parts)}"]
    return replace(
        dataset, arrays=dataset.rows, split=split, notes=tuple(notes), settings=dict(settings)
    )


def _notes_on(listing: Listing) -> list[str]:
    notes = []
    if listing.others:
        some = ", ".join(listing.others[:3]) + (", ..." if listing.others[3:] else "")
        notes.append(
            f"{len(listing.others)} files or folders are not used, they are no pictures of a class: {some}"
        )
    if listing.empty:
        notes.append(
            f"class folders without a picture are left out: {', '.join(listing.empty[:5])}"
        )
    return notes


def _item(root: Path, file: str) -> Item:
    path = root / file
    try:
        status = path.stat()
        stamp: tuple[int, ...] = (status.st_size, status.st_mtime_ns)
    except OSError:
        stamp = ()
    return Item(file, stamp, partial(_read, path, file))


def _read(path: Path, name: str, image_shape: tuple[int, int, int]) -> np.ndarray:
    return read_picture(path, name, image_shape)


def _header(path: Path) -> tuple[int, int, str]:
    """Return (height, width, mode) of a picture, as it will stand."""
    with opened(path, str(path)) as file:
        turned = file.getexif().get(0x0112, 1) >= 5
        width, height = file.size
        return (width, height, file.mode) if turned else (height, width, file.mode)


def image_shape_of(
    headers: Sequence[Any], image_size: Any, grey: bool | None
) -> tuple[tuple[int, int, int], list[str]]:
    """Return (C, H, W) for the pictures with these `headers`, functions; and notes on what was guessed."""
    import warnings

    size = None if image_size is None else _as_size(image_size)
    if grey is not None:
        grey = as_flag("data", "grey", grey)
    if size is not None and grey is not None:
        return (1 if grey else 3, *size), []
    step = max(1, len(headers) // _SAMPLE)
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for header in headers[::step]:
            try:
                seen.append(header())
            except DataError:
                continue
    if not seen:
        raise DataError("data: none of the pictures that were tried can be read")
    notes = []
    if grey is None:
        grey = all(mode in _GREY or mode.startswith("I;") for _, _, mode in seen)
        notes.append(f"images are {'grey: all pictures are' if grey else 'in colour'}")
    if size is None:
        sizes = {(height, width) for height, width, _ in seen}
        only = next(iter(sizes))
        if len(sizes) == 1 and max(only) <= SIZES[-1]:
            size = only
            notes.append(f"images are {size[1]}x{size[0]} pixels, as all pictures are")
        else:
            short = median(min(height, width) for height, width in sizes_of(seen))
            side = max((s for s in SIZES if s <= short), default=SIZES[0])
            size = (side, side)
            notes.append(
                f"images are {side}x{side} pixels, the middle of each picture resized: the median of the "
                f"shorter sides is {short:g} (--image-size chooses another)"
            )
    return (1 if grey else 3, *size), notes


def sizes_of(seen: Sequence[tuple[int, int, str]]) -> list[tuple[int, int]]:
    """Return (height, width) of headers."""
    return [(height, width) for height, width, _ in seen]


def _as_size(value: Any) -> tuple[int, int]:
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise OptionError(
                f"data: image_size must be a number of pixels or [height, width], got {shown(value)}"
            )
        return (
            as_count("data", "image_size", value[0], maximum=4096),
            as_count("data", "image_size", value[1], maximum=4096),
        )
    side = as_count("data", "image_size", value, maximum=4096)
    return side, side


def unreadable_notes(
    found: Cached, count: int, skip: bool, where: str, more: str = ""
) -> list[str]:
    """Return a note on the rows that cannot be read; DataError unless they are to be skipped.

    `more` is put into the error: where more of them are named.
    """
    if not found.bad:
        return []
    what = f"{len(found.bad)} of {count} pictures cannot be read"
    some = "; ".join(list(found.bad.values())[:3]) + ("; ..." if len(found.bad) > 3 else "")
    if not skip:
        raise DataError(
            f"{where}: {what}: {some}. Repair or remove them{more}, or leave them out with "
            "skip_unreadable=True, or --set data.skip_unreadable=true"
        )
    if len(found.bad) == count:
        raise DataError(f"{where}: none of {count} pictures can be read: {some}")
    return [f"{what}, they are left out: {some}"]


def groups_of(files: Sequence[str], group: str) -> np.ndarray | None:
    """Return what the expression `group` finds in each path; a path without it is a group of its own."""
    if not isinstance(group, str):
        raise OptionError(f"data: group must be a regular expression, got {shown(group)}")
    if not group:
        return None
    try:
        expression = re.compile(group)
    except (re.error, TypeError, RecursionError, OverflowError) as error:
        raise OptionError(
            f"data: group must be a regular expression for paths, as 'patient[0-9]+', got {shown(group)}: "
            f"{error}"
        ) from None
    found = [expression.search(file) for file in files]
    if not any(found):
        raise OptionError(
            f"data: group {group!r} is found in no path; they are such as {shown(files[0])}"
        )
    return np.array(
        [
            (match.group(1) if expression.groups else match.group()) or "" if match else f"\0{file}"
            for match, file in zip(found, files, strict=True)
        ]
    )


def parts_of(
    given: Sequence[str], y: np.ndarray, groups: np.ndarray | None, options: SplitOptions
) -> dict[str, np.ndarray]:
    """Return the parts that folders say, and split the training rows for those that they do not say."""
    said = np.array(given)
    if not (said == "train").any():
        return split_rows(len(y), options, labels=y, groups=groups)
    parts = {part: np.flatnonzero(said == part) for part in PARTS}
    train = parts["train"]
    missing = [part for part in ("val", "test") if not len(parts[part])]
    shares = {part: getattr(options, part) if part in missing else 0.0 for part in ("val", "test")}
    if not missing or not any(shares.values()):
        return parts
    # split_rows needs a share of validation rows: the test share takes its place where only that is missing
    only_test = shares["val"] == 0
    val, test = (shares["test"], 0.0) if only_test else (shares["val"], shares["test"])
    inner = split_rows(
        len(train),
        SplitOptions(val, test, options.seed),
        labels=y[train],
        groups=None if groups is None else groups[train],
    )
    parts["train"] = train[inner["train"]]
    parts["test" if only_test else "val"] = train[inner["val"]]
    if "test" in missing and not only_test:
        parts["test"] = train[inner["test"]]
    return parts


def check_classes(
    parts: Mapping[str, np.ndarray], y: np.ndarray, names: Sequence[str], where: str
) -> list[str]:
    """Return a note on classes that are in no training row but in others; DataError if there is none."""
    counts = {part: np.bincount(y[rows], minlength=len(names)) for part, rows in parts.items()}
    if (counts["train"] > 0).sum() < 2:
        only = [name for name, count in zip(names, counts["train"], strict=True) if count]
        raise DataError(
            f"{where}: the training rows are of fewer than two classes (of {shown(only[0])} alone); a "
            "network needs two to tell apart"
            if only
            else f"{where}: there are no training rows"
        )
    unseen = [name for k, name in enumerate(names) if not counts["train"][k]]
    if unseen:
        more = f" and {len(unseen) - 5} more" if len(unseen) > 5 else ""
        text = f"no training row is of {', '.join(unseen[:5])}{more}: a network cannot learn"
        return [f"{text} {'that class' if len(unseen) == 1 else 'those classes'}"]
    return []
