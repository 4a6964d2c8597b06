"""Safetensors files that carry a SHA-256 of themselves, so that damage never goes unnoticed.

The checksum is in the header's metadata, under ``sha256``: the SHA-256 of the whole file with the
64 digits of the checksum itself replaced by zeros.  Any safetensors reader can open the files.

A checksum tells damage, not malice: whoever makes a file can also make its checksum.  So the length of
the header is checked before more is read.  safetensors itself checks dtypes, shapes, overlaps and holes
against the size of the file before it makes an array.  `unflatten` makes nothing larger than the tensors of
the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.errors import MALFORMED, CheckpointError, as_path, shown
from handgrad.files import atomic_write_pieces
from handgrad.training.arrays import Arrays

_BLANK = b"0" * 64
_LONGEST_HEADER = 100_000_000  # bytes, as in safetensors itself
_MARK = b'"sha256":"'  # inside of other metadata the quotes are escaped, so it occurs once
_WRITTEN_AT_ONCE = 1 << 20  # bytes: smaller arrays are gathered, larger ones are never copied
_KINDS = "biuf"  # bool, int, uint, float: of these safetensors takes up to 8 bytes


def write_tensors(
    path: str | Path, kind: str, tensors: Mapping[str, np.ndarray], content: Any
) -> None:
    """Write `tensors` and the JSON-able `content` to `path`, atomically.

    kind: what the file is, with its version, as in "handgrad checkpoint 1"; checked on reading.
    Raises CheckpointError if the file cannot be written, or a tensor has no safetensors dtype.
    """
    for name, array in tensors.items():
        if array.dtype.kind not in _KINDS or array.dtype.itemsize > 8:
            raise CheckpointError(f"{path}: {name} has dtype {array.dtype}, which cannot be saved")
    # wide numbers first, so that each starts at a multiple of its size
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    ready = [tensors[name] for name in order]
    metadata = {"kind": kind, "content": json.dumps(content), "sha256": _BLANK.decode()}
    head = _header(dict(zip(order, ready, strict=True)), metadata)
    digest = hashlib.sha256(head)
    for piece in map(_bytes_of, ready):
        digest.update(piece)
    start = _checksum_at(head)
    head[start : start + 64] = digest.hexdigest().encode()
    pieces = _gathered(chain([head], map(_bytes_of, ready)))
    try:
        atomic_write_pieces(as_path("file of tensors", "path", path), pieces)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error}") from error


def _header(tensors: Mapping[str, np.ndarray], metadata: dict[str, str]) -> bytearray:
    """Return what stands before the numbers of `tensors` in a safetensors file: the length, and JSON."""
    about: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, array in tensors.items():
        start, end = end, end + array.nbytes
        kind = (
            "BOOL" if array.dtype.kind == "b" else f"{array.dtype.kind.upper()}{array.itemsize * 8}"
        )
        about[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(about, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return bytearray(len(text).to_bytes(8, "little") + text)


def _bytes_of(array: np.ndarray) -> memoryview:
    """Return the numbers of `array` as safetensors has them; a copy only where they lie otherwise."""
    ordered = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8).data


def _gathered(pieces: Iterable[bytearray | memoryview]) -> Iterator[bytearray | memoryview]:
    """Yield `pieces`, the small ones that follow each other as one."""
    small = bytearray()
    for piece in pieces:
        if len(small) + len(piece) <= _WRITTEN_AT_ONCE:
            small += piece
            continue
        if small:
            yield small
        small = bytearray()
        yield piece
    if small:
        yield small


@contextmanager
def content_of(path: str | Path) -> Iterator[None]:
    """Turn what goes wrong with the content of the file `path` into a CheckpointError that names it."""
    try:
        yield
    except CheckpointError:
        raise
    except (*MALFORMED, SyntaxError) as error:
        raise CheckpointError(f"{path} does not hold what it should: {error!r}") from error


def read_tensors(path: str | Path, kind: str) -> tuple[Arrays, Any]:
    """Return the tensors and the content of the file `path`, after checking its checksum.

    Raises CheckpointError if the file is missing, damaged, or of another kind.
    """
    path = as_path("file of tensors", "path", path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            _check_header_length(file.read(8), size, path)
            file.seek(0)
            data = file.read()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    return parse_tensors(data, kind, path)


def parse_tensors(data: bytes, kind: str, path: str | Path) -> tuple[Arrays, Any]:
    """Return the tensors and the content of `data`, the bytes of the file `path`; see `read_tensors`."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    _check_header_length(data[:8], len(data), path)
    _verify(data, path)
    try:
        metadata = json.loads(data[8 : _header_end(data)])["__metadata__"]
        found = metadata["kind"]
        if found == kind:
            return load(data), json.loads(metadata["content"])
    except (
        SafetensorError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        RecursionError,
    ) as error:
        raise CheckpointError(f"{path} is not a file that Handgrad wrote: {error!r}") from error
    raise CheckpointError(f"{path} must be a {kind} file, but is {shown(found)}")


def _check_header_length(start: bytes, size: int, path: str | Path) -> None:
    """Raise CheckpointError if `start`, the first bytes of a file of `size`, announce no sane header."""
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > min(size - 8, _LONGEST_HEADER):
        raise CheckpointError(
            f"{path} is damaged, cut off, or not a file that Handgrad wrote: a header of {length} "
            f"bytes in a file of {size}"
        )


def _verify(data: bytes, path: str | Path) -> None:
    start = _checksum_at(data)
    if start < 0:
        raise CheckpointError(
            f"{path} is damaged, cut off, or not a file that Handgrad wrote: it has no checksum"
        )
    digest = hashlib.sha256(data[:start])
    digest.update(_BLANK)
    digest.update(memoryview(data)[start + 64 :])
    if digest.hexdigest().encode() != data[start : start + 64]:
        raise CheckpointError(f"{path} is damaged or cut off: its checksum does not match")


def _checksum_at(data: bytes | bytearray) -> int:
    """Return where in `data` the checksum's digits are, -1 if there is none."""
    mark = data.find(_MARK, 8, _header_end(data))
    return mark + len(_MARK) if mark >= 0 else -1


def _header_end(data: bytes | bytearray) -> int:
    return min(8 + int.from_bytes(data[:8], "little"), len(data))


def flatten(tree: Any, tensors: Arrays, prefix: str = "") -> Any:
    """Return `tree` (nested dictionaries) as JSON-able content, its arrays moved to `tensors`.

    NumPy scalars keep their dtype, and arrays the order of their axes in memory: the result of a
    matrix product may depend on it in the last digit.
    """
    if isinstance(tree, dict):
        return {
            str(key): flatten(value, tensors, f"{prefix}/{key}".lstrip("/"))
            for key, value in tree.items()
        }
    if isinstance(tree, np.ndarray):
        tensors[prefix] = tree
        order = sorted(range(tree.ndim), key=lambda axis: -abs(tree.strides[axis]))
        return {"$array": prefix, "order": order}
    if isinstance(tree, np.generic):
        return {"$scalar": tree.dtype.name, "value": tree.item()}
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    raise CheckpointError(f"{prefix} is a {type(tree).__name__}, which cannot be saved")


def unflatten(content: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    """Return the tree that `flatten` took apart; its arrays are new.

    Each of `tensors` can stand in one place only, so that the tree is never larger than they are.
    """
    return _unflatten(content, dict(tensors))


def _unflatten(content: Any, tensors: Arrays) -> Any:
    if not isinstance(content, dict):
        return content
    if "$array" in content:
        stored = tensors.pop(content["$array"])
        order = content["order"]
        if sorted(order) != list(range(stored.ndim)):
            raise ValueError(f"{shown(order)} is no order of {stored.ndim} axes")
        array = np.empty([stored.shape[axis] for axis in order], stored.dtype)
        array = array.transpose(np.argsort(order)) if order else array
        array[...] = stored
        return array
    if "$scalar" in content:
        dtype = np.dtype(content["$scalar"])
        if dtype.kind not in _KINDS:
            raise ValueError(f"a number cannot be {dtype}")
        return dtype.type(content["value"])
    return {key: _unflatten(value, tensors) for key, value in content.items()}
