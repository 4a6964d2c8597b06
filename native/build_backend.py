"""How pip builds Handgrad: with the native engine where it compiles, else without, and the reason is kept.

It is scikit-build-core's own backend.  Where CMake or the compiler fails, the wheel is built once more
in pure Python, and ``handgrad/engines/native_missing.txt`` in it holds the first error.  With
HANDGRAD_NATIVE=1 in the environment a failure is one; with HANDGRAD_NATIVE=0 nothing is compiled.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scikit_build_core import build as backend
from scikit_build_core.build import (
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]

REASON = Path("src/handgrad/engines/native_missing.txt")
LONGEST = 300  # characters of the reason

Settings = dict[str, Any] | None


def build_wheel(directory: str, settings: Settings = None, metadata: str | None = None) -> str:
    """Build a wheel, of pure Python where the native engine does not compile."""
    return _build(backend.build_wheel, directory, settings, metadata)


def build_editable(directory: str, settings: Settings = None, metadata: str | None = None) -> str:
    """Build an editable wheel in the same way."""
    return _build(backend.build_editable, directory, settings, metadata)


def first_error(text: str) -> str:
    """Return what a build's output says first about why it failed, on one line.

    >>> first_error("[1/2] Building\\nnative/core/a.cpp:3:1: error: no member named 'x'\\n")
    "native/core/a.cpp:3:1: error: no member named 'x'"
    """
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    for line in lines:
        own = not line.startswith("CMake Error")  # the compiler's word goes before CMake's
        if own and re.search(r"\b(fatal )?error( \w+)?: ", line, re.IGNORECASE):
            return _short(line.strip())
    for i, line in enumerate(lines):
        if line.startswith("CMake Error"):  # what it says is indented below
            said = itertools.takewhile(lambda line: line.startswith(" "), lines[i + 1 :])
            text = " ".join(" ".join(said).split()) or line
            return _short(text.partition(" It fails with the following output")[0])
    return _short(lines[-1].strip()) if lines else "the build said nothing"


def _short(line: str) -> str:
    line = line.replace(str(Path.cwd()) + os.sep, "")
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."


def _build(
    build: Callable[..., str], directory: str, settings: Settings, metadata: str | None
) -> str:
    wanted = os.environ.get("HANDGRAD_NATIVE", "")
    pure = {**(settings or {}), "wheel.cmake": "false", "wheel.py-api": "py3"}
    if wanted == "0":
        return _with_reason("this is the pure-Python wheel", build, directory, pure)
    said: list[bytes] = []
    try:
        with _overheard(said):
            return build(directory, settings, metadata)
    except SystemExit:  # how scikit-build-core ends where CMake fails
        if wanted == "1":
            raise
    except Exception as error:  # no CMake, or one that is too old
        if wanted == "1" or (settings or {}).get("wheel.cmake") == "false":
            raise
        said.append(f"\n{type(error).__name__}: error: {error}".encode())
    reason = first_error(b"".join(said).decode("utf-8", errors="replace"))
    print(f"*** the native engine did not compile, so Handgrad is installed without it: {reason}")
    return _with_reason(reason, build, directory, pure)


def _with_reason(reason: str, build: Callable[..., str], directory: str, settings: Settings) -> str:
    REASON.write_text(reason + "\n", encoding="utf-8")
    try:
        return build(directory, settings)
    finally:
        REASON.unlink()


@contextmanager
def _overheard(said: list[bytes]) -> Iterator[None]:
    """Pass on what this process and its children print, and keep it in `said`."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    read, write = os.pipe()

    def pass_on() -> None:
        while part := os.read(read, 1 << 16):
            said.append(part)
            os.write(kept[0], part)

    thread = threading.Thread(target=pass_on)
    try:
        os.dup2(write, 1)
        os.dup2(write, 2)
        os.close(write)
        thread.start()
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        thread.join()
        for pipe in (*kept, read):
            os.close(pipe)
