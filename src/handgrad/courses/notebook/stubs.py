"""Stand-ins for what notebooks import and today's Python no longer has; in the kernel only.

Each is put in place only where the real thing is missing: ``google.colab.drive``, ``scipy.misc.imread``
and ``imresize``, ``imageio``, ``skimage.transform.resize``, ``past.builtins``, ``time.clock``.  The shell and
the change of folder (``!command``, ``%cd``) are answered with a note: a notebook that is only run for
its figures needs neither.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from handgrad.courses.shims.data_utils import imread


def install() -> None:
    """Put every stand-in in place whose original is missing."""
    if not hasattr(time, "clock"):
        time.clock = time.perf_counter  # type: ignore[attr-defined]
    if not _importable("google.colab"):
        _module("google.colab", drive=_module("google.colab.drive", mount=mount))
    if not _importable("imageio"):
        _module("imageio", imread=imread, imwrite=imwrite, imsave=imwrite)
        _module("imageio.v2", imread=imread, imwrite=imwrite, imsave=imwrite)
    if not _importable("scipy.misc") or not hasattr(_imported("scipy.misc"), "imread"):
        _module("scipy.misc", imread=imread, imsave=imwrite, imresize=imresize)
    if not _importable("skimage.transform"):
        _module("skimage.transform", resize=resize)
    if not _importable("past.builtins"):
        _module("past.builtins", xrange=range, basestring=str, unicode=str, raw_input=input)


def quiet_shell(shell: Any) -> None:
    """Make the IPython `shell` answer ``!command`` and ``%cd`` with a note instead of obeying."""

    def note(kind: str) -> Callable[[str], list[str]]:
        def passed(line: str, *_: object, **__: object) -> list[str]:
            sys.stdout.write(f"[handgrad notebook: passed {kind}{line}]\n")
            return []

        return passed

    for name in ("system", "system_piped", "system_raw", "getoutput"):
        setattr(shell, name, note("!"))
    for name in ("cd", "pip", "conda"):
        shell.register_magic_function(note(f"%{name} "), "line", name)


def mount(*_: object, **__: object) -> None:
    """Stand in for ``drive.mount``: there is no drive."""
    sys.stdout.write("[handgrad notebook: passed drive.mount]\n")


def imwrite(path: Any, picture: np.ndarray, *_: object, **__: object) -> None:
    """Write an array (H, W, 3) or (H, W) to a picture file with Pillow."""
    from PIL import Image

    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path)


def imresize(picture: np.ndarray, size: Any, *_: object, **__: object) -> np.ndarray:
    """Return `picture` (H, W, 3) as uint8 resized to `size`: (height, width), a share, or percent."""
    from PIL import Image

    picture = np.asarray(picture)
    if picture.dtype != np.uint8:  # as SciPy did: the range is stretched to 0..255
        low, high = float(picture.min()), float(picture.max())
        picture = ((picture - low) * (255.0 / ((high - low) or 1.0)) + 0.5).astype(np.uint8)
    if not isinstance(size, tuple | list):
        share = size / 100 if isinstance(size, int | np.integer) else float(size)
        size = tuple(int(side * share) for side in picture.shape[:2])
    height, width = size[:2]
    image = Image.fromarray(picture)
    return np.array(image.resize((int(width), int(height)), Image.Resampling.BILINEAR))


def resize(picture: np.ndarray, size: Any, *_: object, **__: object) -> np.ndarray:
    """Return `picture` (H, W, 3) of uint8 resized to `size` (height, width), as float64 in 0..1."""
    return imresize(picture, size[:2]).astype(np.float64) / 255.0


def _importable(name: str) -> bool:
    """Return whether `name` can be imported, its parents included; stand-ins count."""
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _imported(name: str) -> ModuleType:
    return importlib.import_module(name)


def _module(name: str, **names: Any) -> ModuleType:
    """Return a new module `name` holding `names`, reachable by import; parents are made as needed."""
    parent, _, child = name.rpartition(".")
    module = ModuleType(name, "A stand-in by Handgrad, where the original is missing.")
    module.__dict__.update(names)
    module.__path__ = []
    if parent:
        if parent not in sys.modules and not _importable(parent):
            _module(parent)
        setattr(_imported(parent), child, module)
    sys.modules[name] = module
    return module
