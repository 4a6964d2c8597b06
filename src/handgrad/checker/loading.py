"""Importing somebody's file by its path, so that its own imports work and leave nothing behind."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from handgrad.checker import relics, standins
from handgrad.checker.imports import OwnFinder, OwnLoader, SlowFinder, StandInFinder
from handgrad.checker.known import by_function
from handgrad.checker.places import COURSE_PACKAGES, Place, place_of
from handgrad.checker.standins import refuse
from handgrad.checker.undisturbed import ends_program, quiet
from handgrad.checker.written import LOSS, unwritten
from handgrad.courses.finder import ShimFinder, also_as
from handgrad.courses.profiles import Profile, get_profile
from handgrad.courses.shims import shims
from handgrad.errors import HandgradError


class CheckError(HandgradError, ValueError):
    """What was to be checked is missing, cannot be imported, or is nothing the checker knows."""


@dataclass
class Loaded:
    """A module that was imported from its file, where that lies, and what was stood in for."""

    module: ModuleType
    place: Place
    notes: list[str] = field(default_factory=list)


@contextlib.contextmanager
def loaded(path: Path, course: Profile | None = None) -> Iterator[Loaded]:
    """Import exactly this file; its package and what lies beside it can be imported while in use.

    Modules of its own submission come first, then what is installed.  `course` answers the modules
    of that course which the submission lacks.  Libraries that are not installed are stood in for.

    Raises:
        CheckError: the file cannot be imported; the message names the line and the error.
    """
    place = place_of(path)
    session = standins.Session()
    finders: list[MetaPathFinder] = [OwnFinder(place)]
    if course is not None:
        found = shims(course)
        for package in set(place.packages) - COURSE_PACKAGES:  # where relative imports lead
            if package.partition(".")[0] not in COURSE_PACKAGES:
                found = also_as(package, course.packages[0], found)
        finders.append(ShimFinder(course, found))
    finders.append(SlowFinder(session))
    last = StandInFinder(session)
    search, writes = list(sys.path), sys.dont_write_bytecode
    hidden = _taken_out(place)
    before = set(sys.modules)
    sys.meta_path[:] = [*finders, *sys.meta_path, last]
    sys.path += dict.fromkeys([str(place.file.parent), str(place.root)])
    sys.dont_write_bytecode = True
    try:
        with quiet(), _settings_kept(place):
            module = _import(place)
        _forget(set(sys.modules) - before, (StandInFinder,))
        session.loading = False
        if course is None and _refuse_cython(module):
            session.notes.clear()
        _refuse_unwritten(place)
        if relic := relics.use_of_xrange(module):
            session.notes.append(relic)
        session.notes += _left_out(place)
        yield Loaded(module, place, list(dict.fromkeys(session.notes)))
    finally:
        sys.dont_write_bytecode = writes
        sys.path[:] = search
        sys.meta_path[:] = [one for one in sys.meta_path if one not in (*finders, last)]
        _forget(set(sys.modules) - before, (), place)
        sys.modules.update(hidden)


@contextlib.contextmanager
def _settings_kept(place: Place) -> Iterator[None]:
    """Import with the arguments of a script that has none; leave NumPy's settings as they were."""
    arguments, errors, printing = list(sys.argv), np.geterr(), np.get_printoptions()
    sys.argv[:] = [str(place.file)]
    try:
        yield
    finally:
        sys.argv[:] = arguments
        np.seterr(**errors)
        np.set_printoptions(**printing)


def _left_out(place: Place) -> list[str]:
    """Say which lines of the submission's files could not run, and were left out."""
    notes = []
    for module in place.own_modules():
        lines = getattr(getattr(module, "__loader__", None), "left_out", ())
        if lines:
            more = f", and {len(lines) - 1} more" if len(lines) > 1 else ""
            file = Path(str(module.__file__))
            notes.append(f"{'' if file == place.file else f'{file.name}: '}{lines[0]}{more}")
    return notes


def _taken_out(place: Place) -> dict[str, ModuleType]:
    """Take modules out of ``sys.modules`` that have the names of the submission's own."""
    tops = set(COURSE_PACKAGES) | {name.partition(".")[0] for name in place.packages}
    tops |= {place.name.partition(".")[0]}
    for folder in {place.file.parent, place.root}:
        with contextlib.suppress(OSError):
            tops |= {file.stem for file in folder.glob("*.py")}
            tops |= {file.parent.name for file in folder.glob("*/__init__.py")}
    tops -= sys.stdlib_module_names | {"handgrad", "numpy"}
    return {
        name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in tops
    }


def _forget(names: set[str], loaders: tuple[type, ...], place: Place | None = None) -> None:
    """Take the modules of these loaders, or of the submission, out of ``sys.modules``."""
    for name in names:
        module = sys.modules[name]
        loader = getattr(getattr(module, "__spec__", None), "loader", None)
        if place is None:
            gone = isinstance(loader, loaders)
        else:
            mine = place.owns(getattr(module, "__file__", None))
            gone = mine or isinstance(loader, OwnLoader | ShimFinder | StandInFinder)
            gone = gone or name.partition(".")[0] in place.packages
        if gone:
            del sys.modules[name]


def _refuse_cython(module: ModuleType) -> bool:
    """Let the file's own use of a module that is not built be seen; elsewhere the library answers."""
    text = Path(str(module.__file__)).read_text("utf-8", errors="replace")
    if not re.search(rf"^\s*(from|import)\b.*{standins.CYTHON}", text, re.MULTILINE):
        return False
    found = False
    answered = {id(one): name for name, one in standins.cython_functions().items()}
    for name, value in list(vars(module).items()):
        if id(value) in answered:
            why = (
                f"{standins.CYTHON} is not built (python setup.py build_ext --inplace); "
                "--course NAME answers it by Handgrad's functions"
            )
            setattr(module, name, refuse(name, why))
            found = True
    return found


def _refuse_unwritten(place: Place) -> None:
    """Let what builds upon a layer that is not written yet be not testable."""
    refused: dict[int, Callable[..., Any]] = {}
    for module in place.own_modules():
        for name, value in list(vars(module).items()):
            known = by_function(name) if isinstance(value, FunctionType) else None
            if known is None:
                continue
            if id(value) not in refused:
                side = LOSS if known[0].loss else known[1]
                why = unwritten(value, side)
                says = f"{name} is not written yet"
                refused[id(value)] = refuse(name, says, value) if why else value
            if refused[id(value)] is not value:
                setattr(module, name, refused[id(value)])


def _import(place: Place) -> ModuleType:
    try:
        module = importlib.import_module(place.name)
    except SyntaxError as error:
        raise CheckError(f"check: {relics.of_syntax(error, str(place.file))}") from None
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        raise CheckError(_why(place, error)) from None
    if Path(str(module.__file__)).absolute() != place.file:
        raise CheckError(f"check: {place.file} was to be imported, but {module.__file__} came")
    return module


def _why(place: Place, error: BaseException) -> str:
    """Say where an import failed, and what would help."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and place.owns(frame.filename)
    ]
    own = [frame for frame in frames if frame.filename == str(place.file)]
    last = (own or frames)[-1:]
    where = f"{last[0].filename}:{last[0].lineno}" if last else str(place.file)
    if frames and own and frames[-1].filename != own[-1].filename:
        where += f" (from {frames[-1].filename}:{frames[-1].lineno})"
    relic = relics.of_error(error, frames[-1].filename if frames else "")
    text = relic.message if relic else f"{type(error).__name__}: {error}"
    if ends := ends_program(error):
        text = f"{type(error).__name__}: {ends}"
    return f"check: {where}: {' '.join(text.split())}{_advice(error, place)}"


def _advice(error: BaseException, place: Place) -> str:
    """Name --course where the missing module is one of a course's."""
    if not isinstance(error, ImportError) or not error.name or "Handgrad" in str(error):
        return ""
    packages = {error.name.partition(".")[0], *place.packages}
    top, _, tail = error.name.rpartition(".")
    modules = {name.rpartition(".")[2] for name in shims(get_profile("cs231n-2020"))}
    relative = top in place.packages and tail in modules
    if not (relative or packages & {*COURSE_PACKAGES, "utils"}):
        return ""
    top = next((name for name in ("nndl", "utils", "skynet") if name in packages), "cs231n")
    example = {"nndl": "nndl-keep", "utils": "nndl-keep", "skynet": "skynet"}.get(
        top, "cs231n-2020"
    )
    says = "answers the course's modules that are not there"
    return f"; --course NAME, such as --course {example}, {says}"
