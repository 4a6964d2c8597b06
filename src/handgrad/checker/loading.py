"""Importing somebody's file by its path, so that its own imports work and leave nothing behind."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from handgrad.checker.running import quiet
from handgrad.errors import HandgradError


class CheckError(HandgradError, ValueError):
    """What was to be checked is missing, cannot be imported, or is nothing the checker knows."""


@contextlib.contextmanager
def loaded(path: Path) -> Iterator[ModuleType]:
    """Import the file; its package and the folder beside it can be imported while it is in use.

    Raises:
        CheckError: the file cannot be imported; the message names the line and the error.
    """
    path = path.resolve()
    root, name = _package(path)
    known, search = dict(sys.modules), list(sys.path)
    sys.path[:0] = list(dict.fromkeys([str(root), str(path.parent)]))
    _drop_modules_of(name.split(".")[0])
    _stand_in_for_past()
    importlib.invalidate_caches()
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with quiet():
            module = _import(path, name)
        yield module
    finally:
        sys.dont_write_bytecode = writes
        sys.path[:] = search
        for other in set(sys.modules) - set(known):
            if _is_below(sys.modules[other], root) or other.split(".")[0] in ("past", name):
                del sys.modules[other]
        sys.modules.update(known)


def _import(path: Path, name: str) -> ModuleType:
    try:
        if "." in name:
            return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise CheckError(f"check: {path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except CheckError:
        raise
    except SyntaxError as error:
        raise CheckError(f"check: {error.filename}:{error.lineno}: {error.msg}") from None
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        lines = [
            f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename
        ]
        place = f"{lines[-1].filename}:{lines[-1].lineno}" if lines else str(path)
        for frame in lines:
            if Path(frame.filename) == path:
                place = f"{path}:{frame.lineno}"
        raise CheckError(f"check: {place}: {type(error).__name__}: {error}") from None
    return module


def _package(path: Path) -> tuple[Path, str]:
    """The folder from which the file is imported, and its name there."""
    names, folder = [path.stem], path.parent
    while (folder / "__init__.py").exists():
        names.insert(0, folder.name)
        folder = folder.parent
    if len(names) > 1 and names[-1] == "__init__":
        names.pop()
    if len(names) == 1:
        return folder, f"checked_{path.stem}"
    return folder, ".".join(names)


def _drop_modules_of(package: str) -> None:
    """Forget modules of another package of this name: the file's own comes first."""
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        if package != "handgrad":
            del sys.modules[name]


def _stand_in_for_past() -> None:
    """The courses' files import xrange from `past.builtins`, a package for Python 2."""
    if importlib.util.find_spec("past") is None and "past" not in sys.modules:
        past, builtins = ModuleType("past"), ModuleType("past.builtins")
        builtins.xrange = range  # type: ignore[attr-defined]
        past.builtins = builtins  # type: ignore[attr-defined]
        sys.modules |= {"past": past, "past.builtins": builtins}


def _is_below(module: ModuleType, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and root in Path(str(file)).parents
