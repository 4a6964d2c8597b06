"""Named regular files out of a ``.tar.gz`` archive, in memory.

Nothing is extracted: a member is returned as bytes, and only when its name is asked for, it is a
regular file, occurs once and is no larger than its limit.  Links, devices, paths that lead elsewhere
and everything else are passed over or refused.  The total that is decompressed is limited, so that a
small archive cannot fill the memory or run for ever.

The headers are read here rather than by ``tarfile``, whose parser could be made to loop for ever
(CVE-2025-8194) in Python versions that this package supports.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from handgrad.errors import DataError

BLOCK: Final = 512
CHUNK: Final = 1 << 20
MAX_TOTAL: Final = 256 << 20  # CIFAR-10 unpacks to 186 MB
MAX_MEMBERS: Final = 1000


def sha256(path: Path) -> str:
    """The SHA-256 digest of the file at `path`, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_members(
    path: Path, limits: Mapping[str, int], max_total: int = MAX_TOTAL
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the members named in `limits`, in the archive's order.

    Args:
        path: the archive, a gzip-compressed tar file.
        limits: for each wanted member its exact name and the largest size that is taken.
        max_total: the most bytes to decompress altogether.

    Raises:
        DataError: the archive is truncated or corrupt, decompresses to more than `max_total` bytes, or a
            wanted member is missing, occurs twice, is too large or is no regular file.
    """
    missing = dict(limits)
    try:
        with gzip.open(path, "rb") as file:
            stream = _Stream(path, file, max_total)
            for name, kind, size in _headers(stream):
                if name not in limits:
                    stream.skip(_padded(size))
                    continue
                if name not in missing:
                    raise DataError(f"{path}: the member {name!r} occurs twice")
                if kind not in (b"0", b"\0"):
                    raise DataError(f"{path}: the member {name!r} is not a regular file")
                if size > missing.pop(name):
                    raise DataError(
                        f"{path}: the member {name!r} has {size} bytes, at most {limits[name]} allowed"
                    )
                content = stream.read(size)
                stream.skip(_padded(size) - size)
                yield name, content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: the archive cannot be read: {error}; fetch it again") from error
    if missing:
        raise DataError(f"{path}: the archive lacks {', '.join(sorted(missing))}")


def _padded(size: int) -> int:
    """The bytes that content of `size` takes in whole blocks."""
    return -(-size // BLOCK) * BLOCK


class _Stream:
    """The decompressed archive, read forwards and at most to a limit."""

    def __init__(self, path: Path, file: gzip.GzipFile, max_total: int) -> None:
        self.path = path
        self.file = file
        self.left = max_total

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        if size > self.left:
            raise DataError(f"{self.path}: the archive unpacks to more than is allowed")
        content = self.file.read(size)
        self.left -= size
        if len(content) != size:
            raise EOFError("it ends in the middle of a member")
        return content

    def skip(self, size: int) -> None:
        """Pass over `size` bytes, a chunk at a time."""
        while size > 0:
            size -= len(self.read(min(size, CHUNK)))


def _headers(stream: _Stream) -> Iterator[tuple[str, bytes, int]]:
    """Yield (name, kind, size) of each member; the caller then reads or skips the content."""
    for _ in range(MAX_MEMBERS):
        block = stream.read(BLOCK)
        if block == bytes(BLOCK):
            return
        checksum = _octal(stream, block[148:156])
        if checksum != sum(block) - sum(block[148:156]) + 8 * ord(" "):
            raise DataError(f"{stream.path}: the archive is corrupt: a wrong header checksum")
        name = block[:100].split(b"\0")[0].decode("latin-1")
        prefix = block[345:500].split(b"\0")[0].decode("latin-1")
        if block[257:263] == b"ustar\0" and prefix:
            name = f"{prefix}/{name}"
        yield name, block[156:157], _octal(stream, block[124:136])
    raise DataError(f"{stream.path}: the archive has more than {MAX_MEMBERS} members")


def _octal(stream: _Stream, field: bytes) -> int:
    """The number in a header field: octal digits between blanks, never negative."""
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise DataError(f"{stream.path}: the archive is corrupt: a number in a header")
    return int(digits, 8)
