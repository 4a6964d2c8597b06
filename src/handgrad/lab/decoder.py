"""The process that decodes pictures: what a stranger's file does to a decoder, it does here.

A process for each file, with little memory and time, and no other file open.  The picture comes on standard
input, its pixels leave as JSON on standard output: channels, height, width and pixels, by rows, in 0..255.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from handgrad.errors import DataError

MEMORY = 1 << 30  # bytes
TIME = 10  # seconds of processor time
LARGEST_SIDE = 128  # pixels of what is returned
MOST_PIXELS = 40_000_000


def decode(data: bytes) -> dict[str, Any]:
    """Return the pixels of a picture file's bytes; DataError if it is none, or too large."""
    try:
        found = json.loads(_answer("main", "the picture", data, 2 * TIME))
    except ValueError:
        raise DataError("lab: the picture cannot be decoded") from None
    if "error" in found:
        raise DataError(f"lab: {found['error']}")
    return dict(found)


def decode_many(files: list[bytes]) -> list[bytes | None]:
    """Return each picture file as a small PNG, None where it is none; all in one process."""
    found = _cut(_answer("main_many", "the pictures", _joined(files), 6 * TIME))
    if len(found) != len(files):
        raise DataError("lab: the pictures cannot be decoded")
    return [png or None for png in found]


def _answer(entry: str, what: str, data: bytes, seconds: float) -> bytes:
    """Return what the function `entry` of this file, in a process of its own, writes for `data`."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        f"from handgrad.lab.decoder import {entry}; {entry}()"
    )
    command = [sys.executable, "-P", "-c", program, str(Path(__file__).parents[2])]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=seconds, check=False, cwd="/"
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"lab: it takes too long to decode {what}") from None
    except OSError as error:
        raise DataError(f"lab: {what} cannot be decoded: {error}") from None
    return done.stdout


def _joined(parts: list[bytes]) -> bytes:
    """Return number, sizes and bytes one after the other; `_cut` takes them apart."""
    sizes = (len(part).to_bytes(4, "big") for part in parts)
    return b"".join([len(parts).to_bytes(4, "big"), *sizes, *parts])


def _cut(data: bytes) -> list[bytes]:
    """Return the parts of number, sizes and bytes one after the other; [] where they do not fit."""
    number = int.from_bytes(data[:4], "big")
    sizes = [int.from_bytes(data[i : i + 4], "big") for i in range(4, 4 + 4 * number, 4)]
    if len(data) != 4 + 4 * number + sum(sizes):
        return []
    parts, place = [], 4 + 4 * number
    for size in sizes:
        parts.append(data[place : place + size])
        place += size
    return parts


def _limit() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (TIME, TIME))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    except (ImportError, OSError, ValueError):  # a system without limits
        return


def main() -> None:
    """Decode the picture on standard input."""
    from PIL import Image

    Image.init()
    _limit()
    data = sys.stdin.buffer.read()
    try:
        image = _small(data)
        gray = image.mode == "L"
        size = (1, image.height, image.width)
        pixels = list(image.tobytes())
        if not gray:
            size = (3, image.height, image.width)
            pixels = [*pixels[0::3], *pixels[1::3], *pixels[2::3]]
        reply: dict[str, Any] = dict(zip(("channels", "height", "width"), size, strict=True)) | {
            "pixels": pixels
        }
    except Exception as error:  # whatever a decoder does with a hostile file
        reply = {"error": f"this is no picture that can be read ({type(error).__name__})"}
    sys.stdout.write(json.dumps(reply))


def main_many() -> None:
    """Write the pictures on standard input as small PNG files to standard output."""
    from PIL import Image

    Image.init()
    _limit()
    found = []
    for data in _cut(sys.stdin.buffer.read()):
        png = io.BytesIO()
        try:
            _small(data).save(png, "PNG")
        except Exception:  # whatever a decoder does with a hostile file
            png = io.BytesIO()
        found.append(png.getvalue())
    sys.stdout.buffer.write(_joined(found))


def _small(data: bytes) -> Any:
    """Return the picture in `data`, gray or RGB, of at most `LARGEST_SIDE` each way."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "GIF", "BMP", "WEBP")) as file:
        if file.width * file.height > MOST_PIXELS:
            raise ValueError("the picture has too many pixels")
        file.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))
        image = file.convert("L" if file.mode in ("1", "L", "LA", "I;16") else "RGB")
        image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return image
