"""Whether CIFAR-10 on disk is what was published."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from handgrad.data import cifar10
from handgrad.data.cifar10 import (
    CLASS_NAMES,
    TEST,
    TRAINING,
    Source,
    find_cifar10,
    read_batches,
)
from handgrad.data.pickled import read_label_names
from handgrad.errors import DataError

# SHA-256 of each batch in the binary form; a Python batch is compared after being put into that form.
OFFICIAL_BATCHES: Final = {
    "data_batch_1": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}


@dataclass(frozen=True)
class Verification:
    """What `verify_cifar10` found.

    Attributes:
        path: the folder or archive that was read.
        version: "python" or "binary".
        images: how many images could be read.
        official: whether every batch holds exactly the published pixels and labels.
        problems: what is wrong, one sentence each; empty if nothing is.

    >>> from pathlib import Path
    >>> Verification(Path('data'), 'python', 60000, True, ()).official
    True
    """

    path: Path
    version: str
    images: int
    official: bool
    problems: tuple[str, ...]


def verify_cifar10(root: str | os.PathLike[str] | None = None) -> Verification:
    """Read all of CIFAR-10 and compare it with what was published.

    Checked are the archive's digest, the form of each file, the number of images, the range of
    the labels, 5,000 training and 1,000 test images of each class, and the class names.  Good files
    whose pixels differ from the published ones (compressed anew, say) are no problem but not official.

    Raises:
        DataError: nothing was found at `root`.

    >>> verify_cifar10('data').problems  # doctest: +SKIP
    """
    source = find_cifar10(root)
    problems, digests = [], {}
    counts = {"training": np.zeros(10, np.int64), "test": np.zeros(10, np.int64)}
    names: Iterable[Sequence[str]] = [(name,) for name in (*TRAINING, TEST)]
    if not source.path.is_dir():
        names = [(*TRAINING, TEST)]  # an archive is read once, from its start
    for group in names:
        try:
            for name, rows, labels in read_batches(source, group):
                records = np.concatenate([labels[:, None].astype(np.uint8), rows], axis=1)
                digests[name] = hashlib.sha256(records.data).hexdigest()
                counts["test" if name == TEST else "training"] += np.bincount(labels, minlength=10)
        except DataError as error:
            problems.append(str(error))
    if not problems:
        for part, expected in (("training", len(TRAINING) * cifar10.ROWS), ("test", cifar10.ROWS)):
            if (counts[part] * len(CLASS_NAMES) != expected).any():
                problems.append(
                    f"{source.path}: expected {expected // 10} {part} images of each class, got "
                    f"{counts[part].tolist()}"
                )
    problems += _check_names(source)
    return Verification(
        source.path,
        source.version.name,
        cifar10.ROWS * len(digests),
        digests == OFFICIAL_BATCHES,
        tuple(problems),
    )


def _check_names(source: Source) -> list[str]:
    """What is wrong with the file of class names."""
    try:
        for name, content in source.files([source.version.meta]):
            if source.version.name == "python":
                found = read_label_names(content, f"{source.path}: {name}")
            else:
                found = tuple(content.decode("latin-1").split())
            if found != CLASS_NAMES:
                return [f"{source.path}: {name}: expected the classes {CLASS_NAMES}, got {found}"]
    except DataError as error:
        return [str(error)]
    return []
