"""Small folders and archives in the form of CIFAR-10, for tests."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from pathlib import Path

import numpy as np

from handgrad.data import cifar10

ROWS = 20
NAMES = (*cifar10.TRAINING, cifar10.TEST)


def short(text: str) -> bytes:
    return b"U" + bytes([len(text)]) + text.encode()


def python2_pickle(rows: np.ndarray, labels: np.ndarray) -> bytes:
    """A batch as Python 2's cPickle wrote it, operation for operation."""
    files = b"".join(short(f"image_{i:05d}.png") for i in range(len(labels)))
    marks = b"".join(b"K" + bytes([int(label)]) for label in labels)
    shape = b"M" + struct.pack("<H", rows.shape[0]) + b"M" + struct.pack("<H", rows.shape[1])
    return b"".join(
        (
            b"\x80\x02}q\x01(" + short("batch_label") + b"q\x02" + short("a batch") + b"q\x03",
            short("labels") + b"q\x04]q\x05(" + marks + b"e" + short("data") + b"q\x06",
            b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08",
            b"K\x00\x85" + short("b") + b"\x87Rq\x09(K\x01" + shape + b"\x86",
            b"cnumpy\ndtype\nq\x0a" + short("u1") + b"K\x00K\x01\x87Rq\x0b(K\x03" + short("|"),
            b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<i", rows.size),
            rows.tobytes() + b"tb" + short("filenames") + b"](" + files + b"eu.",
        )
    )


def python2_meta() -> bytes:
    names = b"".join(short(name) for name in cifar10.CLASS_NAMES)
    return (
        b"\x80\x02}(" + short("num_cases_per_batch") + b"M\x10'" + short("label_names")
        + b"](" + names + b"e" + short("num_vis") + b"M\x00\x0cu."
    )  # fmt: skip


def batches(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Batches of ROWS random images, with as many of each class."""
    rng = np.random.default_rng(seed)
    return {
        name: (
            rng.integers(0, 256, (ROWS, 3072), dtype=np.uint8),
            rng.permutation(np.arange(ROWS) % 10),
        )
        for name in NAMES
    }


def python_files(content: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, bytes]:
    files = {name: python2_pickle(*batch) for name, batch in content.items()}
    return files | {"batches.meta": python2_meta(), "readme.html": b"<html></html>"}


def binary_files(content: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, bytes]:
    files = {
        f"{name}.bin": np.concatenate([labels[:, None].astype(np.uint8), rows], axis=1).tobytes()
        for name, (rows, labels) in content.items()
    }
    return files | {"batches.meta.txt": "\n".join((*cifar10.CLASS_NAMES, "")).encode()}


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_archive(path: Path, folder: str, files: dict[str, bytes]) -> Path:
    """A .tar.gz with a folder entry, as the published ones have."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        entry = tarfile.TarInfo(folder)
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
        for name, content in reversed(files.items()):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    path.write_bytes(gzip.compress(plain.getvalue(), 1))
    return path
