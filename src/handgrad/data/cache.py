"""Images as bytes in one file beside the data, read again in a moment and never held in memory.

The file ``.handgrad/images-3x64x64.npy`` in the data's folder is an array of NumPy; the ``.json`` beside it
says of which files, sizes and times it was made, and its SHA-256.  Where anything differs, it is made anew.
Where the folder cannot be written to, the cache is in `cache_folder`.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np

from handgrad.data.progress import tell
from handgrad.errors import DataError
from handgrad.files import atomic_write

READER: Final = 1  # of another number, a cache is made anew: the pixels differ
FOLDER: Final = ".handgrad"
_PORTION: Final = 128  # images read at a time
_CHUNK: Final = 1 << 22  # bytes hashed at a time
_PARTIAL: Final = ".partial"


def cache_folder() -> Path:
    """Where downloads and caches go: HANDGRAD_DATA, or this system's folder for caches.

    >>> cache_folder()  # doctest: +SKIP
    """
    if chosen := os.environ.get("HANDGRAD_DATA"):
        return Path(chosen).expanduser()
    return system_cache() / "handgrad"


def system_cache() -> Path:
    """Return this system's folder for caches."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


class Item(NamedTuple):
    """One picture to read: its name, what changes when it does, and how it is read."""

    name: str
    stamp: Sequence[int | str]
    read: Callable[[tuple[int, int, int]], np.ndarray]


ReadsRows = Callable[[int, int, np.ndarray, np.ndarray], bool]


class StoredImages:
    """Whole numbers (N, ...) in a file, read or mapped for the time of each access.

    So memory holds only what is asked for.

    Args:
        path: the file; offset: bytes in front of the array; shape, dtype: the array's.
        arrange: what is done to rows that were taken from the file, as to put channels in front.
    """

    def __init__(
        self,
        path: Path,
        offset: int,
        shape: tuple[int, ...],
        dtype: Any = np.uint8,
        arrange: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.path, self.offset, self._shape = path, offset, shape
        self.dtype, self._arrange = np.dtype(dtype), arrange
        none = np.zeros((0, *shape[1:]), self.dtype)
        self.shape = (shape[0], *(none if arrange is None else arrange(none)).shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __getitem__(self, places: Any) -> np.ndarray:
        """Return the rows at `places`, as an array of their own."""
        if not len(self):
            return np.zeros(self.shape, self.dtype)[places]
        rows = self._read(places, _read_one_by_one)
        if rows is None:
            mapped = np.memmap(self.path, self.dtype, "r", self.offset, self._shape)
            rows = np.array(mapped[places])
        return rows if self._arrange is None else self._arrange(rows)

    def read(self, places: np.ndarray, by: ReadsRows | None = None) -> np.ndarray:
        """Return the rows at `places` (n,), read by a function quicker than the loop of this class.

        Args:
            places: whole numbers, (n,).
            by: takes an open file's number, an offset, places (n,) and bytes (n, size) to read into, and
                says whether it could be done.
        """
        rows = self._read(places, by or _read_one_by_one)
        if rows is None:
            return self[places]
        return rows if self._arrange is None else self._arrange(rows)

    def _read(self, places: Any, by: ReadsRows) -> np.ndarray | None:
        """Read rows here and there, cheaper than to map their pages; None where that cannot be."""
        if not isinstance(places, np.ndarray) or places.ndim != 1 or places.dtype.kind not in "iu":
            return None
        inside = len(places) and places.min() >= 0 and places.max() < len(self)
        if not inside:
            return None
        rows = np.empty((len(places), *self._shape[1:]), self.dtype)
        if not rows.nbytes:
            return None
        to = rows.reshape(len(places), -1).view(np.uint8)
        with self.path.open("rb") as file:
            done = by(file.fileno(), self.offset, places.astype(np.int64, copy=False), to)
        return rows if done else None


def _read_one_by_one(file: int, offset: int, places: np.ndarray, out: np.ndarray) -> bool:
    if not hasattr(os, "preadv"):
        return False
    count, size = out.shape
    to = memoryview(out.reshape(-1).data)
    for i, place in zip(range(count), places.tolist(), strict=True):
        if os.preadv(file, [to[i * size : (i + 1) * size]], offset + place * size) != size:
            return False
    return True


class Cached(NamedTuple):
    """The images that could be read, the places of them among the items, and why the others could not."""

    images: StoredImages | np.ndarray
    good: np.ndarray
    bad: dict[str, str]
    digest: str


def cached_images(
    home: Path, items: Sequence[Item], image_shape: tuple[int, int, int], use: bool = True
) -> Cached:
    """Return all images of `items`, out of the cache where it holds them.

    Args:
        home: the data's folder, in which the cache is kept.
        items: what to read.
        image_shape: (C, H, W) of each.
        use: whether to keep a cache; without one, the images are in memory.
    """
    stem = "images-" + "x".join(map(str, image_shape))
    about = {"reader": READER, "shape": list(image_shape)}
    about["items"] = hashlib.sha256(
        json.dumps([[item.name, *item.stamp] for item in items]).encode()
    ).hexdigest()
    for folder in _places(home) if use else ():
        found = _read(folder, stem, about, items)
        if found is not None:
            return found
    for folder in _places(home) if use else ():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return _write(folder, stem, about, items, image_shape)
        except OSError:  # no place, or not allowed: the next folder
            continue
    return _in_memory(items, image_shape)


def stored_array(
    home: Path, stem: str, about: Mapping[str, Any], make: Callable[[], np.ndarray]
) -> StoredImages | np.ndarray:
    """Return an array of bytes (N, ...) out of the cache, where ``make()`` puts it if it is not there.

    Args:
        home: the data's folder, in which the cache is kept.
        stem: the name of the cache's files.
        about: plain JSON that changes when the data do.
        make: returns the array.
    """
    about = {"reader": READER, **about}
    for folder in _places(home):
        found = _stored(folder, stem, about)
        if found is not None:
            return found
    array = np.ascontiguousarray(make())
    for folder in _places(home):
        temporary = folder / f".{stem}.{secrets.token_hex(4)}{_PARTIAL}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                offset = _write_header(file, array.shape)
                file.write(array.data)
            os.replace(temporary, folder / f"{stem}.npy")  # noqa: PTH105
            content = {**about, "sha256": hashlib.sha256(array.data).hexdigest()}
            atomic_write(folder / f"{stem}.json", json.dumps(content).encode())
            return StoredImages(folder / f"{stem}.npy", offset, array.shape)
        except OSError:  # no place, or not allowed: the next folder
            temporary.unlink(missing_ok=True)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return array


def _places(home: Path) -> tuple[Path, Path]:
    key = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16]
    return home / FOLDER, cache_folder() / "images" / key


def _read(folder: Path, stem: str, about: dict[str, Any], items: Sequence[Item]) -> Cached | None:
    """Return what the cache in `folder` holds, if it is of these items and undamaged."""
    try:
        text = (folder / f"{stem}.json").read_text(encoding="utf-8")
        bad = {str(name): str(why) for name, why in json.loads(text)["bad"].items()}
        digest = json.loads(text)["sha256"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    good = [k for k, item in enumerate(items) if item.name not in bad]
    images = _stored(folder, stem, about)
    if images is None or images.shape != (len(good), *about["shape"]):
        return None
    return Cached(images, np.array(good, np.int64), bad, digest)


def _stored(folder: Path, stem: str, about: Mapping[str, Any]) -> StoredImages | None:
    """Return the array that the cache in `folder` holds, if it is that of `about` and undamaged."""
    path = folder / f"{stem}.npy"
    try:
        content = json.loads((folder / f"{stem}.json").read_text(encoding="utf-8"))
        if any(content[key] != value for key, value in about.items()):
            return None
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            offset = file.tell()
            if fortran or dtype != np.uint8 or _hash(file) != content["sha256"]:
                return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return StoredImages(path, offset, tuple(shape))


def _hash(file: BinaryIO) -> str:
    """The SHA-256 of the rest of a file."""
    digest = hashlib.sha256()
    while data := file.read(_CHUNK):
        digest.update(data)
    return digest.hexdigest()


def _write(
    folder: Path,
    stem: str,
    about: dict[str, Any],
    items: Sequence[Item],
    image_shape: tuple[int, int, int],
) -> Cached:
    path = folder / f"{stem}.npy"
    temporary = folder / f".{stem}.{secrets.token_hex(4)}{_PARTIAL}"
    bad: dict[str, str] = {}
    good: list[int] = []
    digest = hashlib.sha256()
    try:
        with temporary.open("xb") as file:
            offset = _write_header(file, (len(items), *image_shape))
            for start, images, wrong in _portions(items, image_shape):
                bad |= wrong
                good += [start + k for k, image in enumerate(images) if image is not None]
                for image in images:
                    if image is not None:
                        data = image.tobytes()
                        file.write(data)
                        digest.update(data)
            file.seek(0)
            again = _write_header(file, (len(good), *image_shape))
            assert again == offset  # the header of NumPy leaves room for numbers to change
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    content = {**about, "bad": bad, "sha256": digest.hexdigest()}
    atomic_write(folder / f"{stem}.json", json.dumps(content).encode())
    images = StoredImages(path, offset, (len(good), *image_shape))
    return Cached(images, np.array(good, np.int64), bad, digest.hexdigest())


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> int:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _in_memory(items: Sequence[Item], image_shape: tuple[int, int, int]) -> Cached:
    images = np.empty((len(items), *image_shape), np.uint8)
    bad: dict[str, str] = {}
    good: list[int] = []
    for start, portion, wrong in _portions(items, image_shape):
        bad |= wrong
        for k, image in enumerate(portion):
            if image is not None:
                images[len(good)] = image
                good.append(start + k)
    images = images[: len(good)]
    return Cached(images, np.array(good, np.int64), bad, hashlib.sha256(images.data).hexdigest())


def _portions(items: Sequence[Item], image_shape: tuple[int, int, int]) -> Any:
    """Yield (place of the first, images or None, {name: what is wrong}), read by several threads."""

    def read(item: Item) -> np.ndarray | str:
        try:
            return item.read(image_shape)
        except DataError as error:
            return str(error)

    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # of Pillow, about oddities that do not matter
        for start in range(0, len(items), _PORTION):
            portion = items[start : start + _PORTION]
            made = list(pool.map(read, portion))
            images = [image if isinstance(image, np.ndarray) else None for image in made]
            wrong = {
                item.name: why
                for item, why in zip(portion, made, strict=True)
                if isinstance(why, str)
            }
            tell("reading images", start + len(portion), len(items))
            yield start, images, wrong
