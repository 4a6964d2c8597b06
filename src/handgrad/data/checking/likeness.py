"""Which pictures are the same, or nearly: by a hash of their brightness, then by their pixels.

The hash of a picture has a bit for each of 8x8 places: whether the place is brighter than its right neighbour
(difference hash).  Pictures are compared that share one of the four quarters of the hash, as all do whose
hashes differ in at most 3 bits; they are nearly the same if at most 6 bits, and their pixels, differ little.

Source: N. Krawetz (2013), Kind of Like That, http://www.hackerfactor.com/blog/.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any, Final

import numpy as np

BITS: Final = 6  # in which hashes may differ
LEVELS: Final = 8.0  # by which pixels may differ on average, of 255, relative to the contrast below
CONTRAST: Final = 8.0  # standard deviation below which a picture says too little
_BUCKET: Final = (
    200  # pictures that share a quarter of the hash; more are flat pictures or a series
)
_CHUNK: Final = 256


def thumbnails(images: Any) -> np.ndarray:
    """Return the brightness of images (N, C, H, W) at 8x9 places, float32 (N, 8, 9)."""
    out = np.empty((len(images), 8, 9), np.float32)
    for start in range(0, len(images), _CHUNK):
        part = np.asarray(images[np.arange(start, min(start + _CHUNK, len(images)))], np.float32)
        grey = part.mean(axis=1)
        out[start : start + len(part)] = shrunk(shrunk(grey, 8, 1), 9, 2)
    return out


def shrunk(images: np.ndarray, size: int, axis: int) -> np.ndarray:
    """The means of `size` equal stretches of an axis, which may begin and end inside of a pixel."""
    length = images.shape[axis]
    ends = np.linspace(0, length, size + 1)
    zero = np.zeros_like(np.take(images, [0], axis))
    sums = np.concatenate([zero, np.cumsum(images, axis=axis, dtype=np.float64)], axis=axis)
    low = np.minimum(ends.astype(int), length - 1)
    share = (ends - low).reshape([-1 if k == axis else 1 for k in range(3)])
    at = np.take(sums, low, axis) * (1 - share) + np.take(sums, low + 1, axis) * share
    return np.diff(at, axis=axis) / (length / size)


def hashes_of(small: np.ndarray) -> np.ndarray:
    """Return the difference hash (N,) uint64 of thumbnails."""
    bits = (small[:, :, :-1] > small[:, :, 1:]).reshape(len(small), 64)
    return (bits * (np.uint64(1) << np.arange(64, dtype=np.uint64))).sum(axis=1, dtype=np.uint64)


def exact_groups(images: Any) -> list[list[int]]:
    """Return the groups of at least two rows whose pixels are the same."""
    found: dict[bytes, list[int]] = defaultdict(list)
    for start in range(0, len(images), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(images)))
        for row, image in zip(rows, images[rows], strict=True):
            found[hashlib.sha256(image.tobytes()).digest()].append(int(row))
    return [rows for rows in found.values() if len(rows) > 1]


def near_pairs(images: Any, most: int = 10_000) -> list[tuple[int, int]]:
    """Return pairs of rows that look alike but are not the same; flat pictures are left out."""
    small = thumbnails(images)
    hashes = hashes_of(small)
    told = small.reshape(len(small), -1).std(axis=1) >= CONTRAST
    pairs: set[tuple[int, int]] = set()
    for quarter in range(4):
        key = (hashes >> np.uint64(16 * quarter)) & np.uint64(0xFFFF)
        order = np.flatnonzero(told)[np.argsort(key[told], kind="stable")]
        starts = np.flatnonzero(np.r_[True, np.diff(key[order].astype(np.int64)) != 0])
        for rows in np.split(order, starts[1:]):
            if 2 <= len(rows) <= _BUCKET:
                pairs |= _alike(rows, hashes, small)
            if len(pairs) > most:
                break
    return [pair for pair in sorted(pairs) if not _same(images, *pair)]


def _alike(rows: np.ndarray, hashes: np.ndarray, small: np.ndarray) -> set[tuple[int, int]]:
    rows = np.sort(rows)
    bits = np.bitwise_count(hashes[rows][:, None] ^ hashes[rows][None])
    first, second = np.nonzero(np.triu(bits <= BITS, 1))
    found = set()
    for a, b in zip(rows[first].tolist(), rows[second].tolist(), strict=True):
        one, two = (small[row] - small[row].mean() for row in (a, b))
        contrast = max(float(one.std()), float(two.std()))
        if np.abs(one - two).mean() <= LEVELS * contrast / 64:
            found.add((a, b))
    return found


def _same(images: Any, a: int, b: int) -> bool:
    one, two = images[np.array([a, b])]
    return bool((one == two).all())
