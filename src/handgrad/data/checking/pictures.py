"""What is found in a folder of pictures, and in the pictures themselves."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np

from handgrad.data.checking.findings import DataCheck, several
from handgrad.data.checking.likeness import exact_groups, near_pairs, shrunk
from handgrad.data.dataset import Dataset
from handgrad.data.images import opened, read_picture
from handgrad.data.listing import list_images
from handgrad.errors import DataError, HandgradError

TINY: Final = 16  # pixels of the shorter side
LONG: Final = 4.0  # times as long as wide
_HEADERS: Final = 5000  # pictures whose sizes are looked at
_CHUNK: Final = 256


def check_files(check: DataCheck, root: Path) -> None:
    """Look at the files of a folder: kinds, sizes, what cannot be read."""
    try:
        listing = list_images(root)
    except HandgradError:
        return  # making the data set says why
    check.facts |= {
        "pictures": f"{len(listing.files):,}",
        "classes": f"{len(listing.class_names):,}",
    }
    formats: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    sizes: list[tuple[int, int]] = []
    bad, tiny, long, mistaken = [], [], [], []
    step = max(1, len(listing.files) // _HEADERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, file in enumerate(listing.files):
            path = listing.root / file
            try:
                if number % step == 0:
                    with opened(path, file) as picture:
                        width, height = picture.size
                        format, mode = str(picture.format), picture.mode
                    formats[format] += 1
                    modes[mode] += 1
                    sizes.append((width, height))
                    tiny += [file] if min(width, height) < TINY else []
                    long += [file] if max(width, height) > LONG * min(width, height) else []
                    mistaken += [file] if _is_other(file, format) else []
                read_picture(path, file, (3, 8, 8))
            except DataError as error:
                bad.append(str(error))
    if sizes:
        short = sorted(min(size) for size in sizes)
        check.facts |= {
            "kinds": ", ".join(f"{count:,} {name}" for name, count in formats.most_common()),
            "colours": ", ".join(f"{count:,} {name}" for name, count in modes.most_common()),
            "shorter sides": f"{short[0]} to {short[-1]} pixels, median {short[len(short) // 2]}",
        }
    if bad:
        check.add(
            "serious",
            "unreadable pictures",
            f"{len(bad):,} of {len(listing.files):,}: {several(bad)}",
            "repair or remove them; or train without them: --set data.skip_unreadable=true",
            bad,
        )
    if tiny:
        check.add(
            "look",
            "very small pictures",
            f"{len(tiny):,} are below {TINY} pixels: {several(tiny)}",
            "they are blown up; find larger ones, or remove them",
            tiny,
        )
    if long:
        check.add(
            "look",
            "very long pictures",
            f"{len(long):,} are more than {LONG:g} times as long as wide, of "
            f"which the middle is seen: {several(long)}",
            "cut out what matters",
            long,
        )
    if mistaken:
        check.add(
            "note",
            "other suffixes",
            f"{len(mistaken):,} pictures are of another kind than their names say: "
            f"{several(mistaken)}",
            "nothing: they are read by what they are",
            mistaken,
        )
    if listing.others:
        check.add(
            "note",
            "other files",
            f"{len(listing.others):,} are no pictures of a class: {several(listing.others)}",
            "nothing: they are not used",
            listing.others,
        )
    if listing.empty:
        check.add(
            "look",
            "empty classes",
            f"no picture in {several(listing.empty)}",
            "fill the folders, or remove them",
            listing.empty,
        )


def _is_other(file: str, format: str) -> bool:
    suffix = Path(file).suffix.lower().lstrip(".")
    same = {"jpg": "JPEG", "jpe": "JPEG", "jfif": "JPEG", "tif": "TIFF", "dib": "BMP"}
    known = same.get(suffix, suffix.upper())
    return known in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP") and format not in (
        known,
        "MPO",
        "DIB",
    )


def check_pictures(
    check: DataCheck,
    images: Any,
    y: np.ndarray,
    dataset: Dataset,
    owners: list[str],
    names: list[str],
) -> None:
    """Look at stored images (N, C, H, W): flat ones, the same ones, nearly the same ones."""
    named = names or [str(row) for row in range(len(y))]
    flat = _flat(images)
    if len(flat):
        check.add(
            "look",
            "flat pictures",
            f"{len(flat):,} are of one colour: {several([named[row] for row in flat])}",
            "remove them if they say nothing",
            [named[row] for row in flat],
        )
    kinds = dataset.class_names if dataset.task == "classification" else ()
    skipped = set(flat)
    groups = [[row for row in rows if row not in skipped] for rows in exact_groups(images)]
    _say(
        check,
        "the same picture",
        [rows for rows in groups if len(rows) > 1],
        images,
        y,
        kinds,
        owners,
        named,
    )
    pairs = [list(pair) for pair in near_pairs(images)]
    _say(check, "nearly the same picture", pairs, images, y, kinds, owners, named)


def _say(
    check: DataCheck,
    what: str,
    groups: list[list[int]],
    images: Any,
    y: np.ndarray,
    kinds: tuple[str, ...],
    owners: list[str],
    names: list[str],
) -> None:
    """Add findings on groups of like pictures: of several classes, in several parts, or neither."""
    other = [rows for rows in groups if kinds and len({int(y[row]) for row in rows}) > 1]
    across = [
        rows for rows in groups if len({owners[row] for row in rows}) > 1 and rows not in other
    ]
    rest = [rows for rows in groups if rows not in other and rows not in across]
    for level, title, found, advice in (
        ("serious", f"{what} in two classes", other, "keep it in the class where it belongs"),
        (
            "serious" if what.startswith("the") else "look",
            f"{what} in two parts",
            across,
            "the test would be on pictures that were trained on: remove all but one, or, where the parts "
            "are drawn, keep them together with --group",
        ),
        ("note", what, rest, "remove all but one, if they are no more than copies"),
    ):
        if found:
            some = [" = ".join(names[row] for row in rows[:3]) for rows in found]
            shown = [
                (names[row], images[np.array([row])][0]) for rows in found[:4] for row in rows[:2]
            ]
            check.add(level, title, f"{len(found):,} times: {several(some)}", advice, some, shown)


def _flat(images: Any) -> list[int]:
    """The images of one colour."""
    found: list[int] = []
    for start in range(0, len(images), _CHUNK):
        part = images[np.arange(start, min(start + _CHUNK, len(images)))].astype(np.int16)
        spread = part.max(axis=(2, 3)) - part.min(axis=(2, 3))
        found += (start + np.flatnonzero(spread.max(axis=1) <= 2)).tolist()
    return found


def features_of(images: Any, side: int = 12) -> np.ndarray:
    """Return the images (N, C, H, W) at no more than `side` x `side` places, as rows of numbers in 0..1."""
    N, C, H, W = images.shape
    rows, columns = min(side, H), min(side, W)
    out = np.empty((N, C * rows * columns), np.float32)
    for start in range(0, N, _CHUNK):
        part = images[np.arange(start, min(start + _CHUNK, N))]
        flat = part.reshape(-1, H, W).astype(np.float32)
        made = shrunk(shrunk(flat, rows, 1), columns, 2)
        out[start : start + len(part)] = made.reshape(len(part), -1)
    return out / 255
