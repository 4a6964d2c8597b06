"""Answering a student's imports: their own modules first, then the course's, then stand-ins."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from handgrad.checker import relics, scripts, standins
from handgrad.checker.places import COURSE_PACKAGES, Place, has_python


class OwnLoader(SourceFileLoader):
    """Runs a student's file: never from a cache of bytecode, with the ``xrange`` of Python 2.

    A line of a script in it that cannot run here, as one that reads data, is left out and noted.
    """

    left_out: tuple[str, ...] = ()

    def get_code(self, fullname: str) -> Any:
        """Compile the file as it lies there."""
        return self.source_to_code(self.get_data(self.path), self.path)

    def exec_module(self, module: ModuleType) -> None:
        """Run it; a package whose ``__init__`` fails is a package all the same."""
        module.__dict__.setdefault("xrange", relics.xrange)
        before = dict(vars(module))
        try:
            super().exec_module(module)
        except BaseException as error:
            if Path(self.path).stem == "__init__" and isinstance(error, Exception):
                return
            if not scripts.is_of_a_script(error, self.path):
                raise
            vars(module).clear()
            vars(module).update(before)
            self.left_out = scripts.run_what_can(module, self.get_data(self.path), self.path)


class PlainPackage(Loader):
    """Makes a package of a folder without ``__init__.py``."""

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is to be run."""


class OwnFinder(MetaPathFinder):
    """Finds the modules that lie in the submission, whatever else has their names."""

    def __init__(self, place: Place) -> None:
        """Answer for the file at `place` and what lies beside it."""
        self.place = place

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module that lies in the submission."""
        if fullname == self.place.name:
            package = [str(self.place.file.parent)] if self.place.file.stem == "__init__" else None
            return _spec(fullname, self.place.file, package)
        if fullname in self.place.packages:
            return _package(fullname, self.place.packages[fullname])
        if path is None:
            if fullname in sys.stdlib_module_names:
                return None
            folders = dict.fromkeys([self.place.file.parent, self.place.root])
            found = self._within(fullname, list(folders), COURSE_PACKAGES)
            return found or self._of_the_root(fullname)
        own = [Path(entry) for entry in path if self._is_own(Path(entry))]
        return self._within(fullname, own)

    def _of_the_root(self, fullname: str) -> ModuleSpec | None:
        """The folder above all packages as a package itself, as files run from above it import it."""
        root = self.place.root
        if fullname != root.name or fullname in COURSE_PACKAGES or PathFinder.find_spec(fullname):
            return None
        return _package(fullname, root)

    def _is_own(self, folder: Path) -> bool:
        return folder == self.place.root or self.place.root in folder.parents

    def _within(
        self, fullname: str, folders: Sequence[Path], plain: frozenset[str] | None = None
    ) -> ModuleSpec | None:
        """plain: names that may be folders without ``__init__.py``; None: any."""
        tail = fullname.rpartition(".")[2]
        for folder in folders:
            if (folder / tail / "__init__.py").is_file():
                return _package(fullname, folder / tail)
            if (folder / f"{tail}.py").is_file():
                return _spec(fullname, folder / f"{tail}.py", None)
            if (plain is None or tail in plain) and has_python(folder / tail):
                return _package(fullname, folder / tail)
        return None


def _package(fullname: str, folder: Path) -> ModuleSpec | None:
    if (folder / "__init__.py").is_file():
        return _spec(fullname, folder / "__init__.py", [str(folder)])
    spec = ModuleSpec(fullname, PlainPackage(), is_package=True)
    spec.submodule_search_locations = [str(folder)]
    return spec


def _spec(fullname: str, file: Path, locations: list[str] | None) -> ModuleSpec | None:
    return importlib.util.spec_from_file_location(
        fullname,
        file,
        loader=OwnLoader(fullname, str(file)),
        submodule_search_locations=locations,
    )


class StandInFinder(MetaPathFinder, Loader):
    """Answers what nothing else does, and only for the submission's own imports."""

    def __init__(self, session: standins.Session) -> None:
        """Keep the session, which learns what was stood in for."""
        self.session = session

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a stand-in."""
        importer = _importer()
        if not isinstance(importer, OwnLoader):
            return None
        top, _, rest = fullname.partition(".")
        moved = top == "numpy" and rest  # as an editor wrote it down, for names that nobody uses
        if self._is_cython(fullname, path) or top in standins.LIBRARIES or moved:
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def _is_cython(self, fullname: str, path: Sequence[str] | None) -> bool:
        tail = fullname.rpartition(".")[2]
        return tail == standins.CYTHON or any(
            (Path(entry) / f"{tail}.pyx").is_file() for entry in path or ()
        )

    def exec_module(self, module: ModuleType) -> None:
        """Fill the stand-in; a function that imports while it is judged learns the truth."""
        top, tail = module.__name__.partition(".")[0], module.__name__.rpartition(".")[2]
        if not self.session.loading and top in standins.LIBRARIES:
            raise standins.NotHere(f"{top} is needed, and it is not installed")
        if top in standins.LIBRARIES or top == "numpy":
            standins.fill(module, self.session)
        elif tail == standins.CYTHON:
            module.__dict__.update(standins.cython_functions())
            self.session.notes.append(
                f"{tail} is not built: Handgrad's functions of the same names answer for it"
            )
        else:
            why = f"{tail} is not built (python setup.py build_ext --inplace)"
            module.__getattr__ = lambda name: standins.refuse(name, why)  # type: ignore[method-assign]


class SlowFinder(StandInFinder):
    """Spares the submission's own imports of what takes longer than the judgement and is not needed.

    That is Matplotlib, and a library that a file imports and never uses; one that only some of its functions
    use is imported when one of them runs.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a stand-in for a module that is not imported yet."""
        importer, top = _importer(), fullname.partition(".")[0]
        if not self.session.loading or not isinstance(importer, OwnLoader):
            return None
        if top in ("matplotlib", "seaborn"):
            return ModuleSpec(fullname, self, is_package=True)
        if top not in ("torch", "tensorflow"):
            return None
        if not _uses(Path(importer.path), top):
            return ModuleSpec(fullname, self, is_package=True)
        if _waits(Path(importer.path), top) and PathFinder.find_spec(top):
            return ModuleSpec(fullname, Later(self.session), is_package=True)
        return None


class Later(StandInFinder):
    """Imports a library as soon as a function of the submission asks for one of its names."""

    def exec_module(self, module: ModuleType) -> None:
        """Let the names come from the library itself."""
        name = module.__name__

        def ask(attribute: str) -> Any:
            if attribute.startswith("__"):
                raise AttributeError(attribute)
            return getattr(importlib.import_module(name), attribute)

        module.__getattr__ = ask  # type: ignore[method-assign]


def _waits(file: Path, top: str) -> bool:
    """Whether a file imports modules of the library `top` by name, and uses them in functions alone."""
    tree = ast.parse(file.read_bytes())
    bound: set[str] = set()
    queue: list[ast.AST] = [tree]
    used: set[str] = set()
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Import):
            found = [one for one in node.names if one.name.partition(".")[0] == top]
            bound |= {one.asname or top for one in found}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == top:
            return False
        elif isinstance(node, ast.Name):
            used.add(node.id)
        if isinstance(node, ast.FunctionDef):
            queue += [*node.decorator_list, node.args, *filter(None, [node.returns])]
        else:
            queue += ast.iter_child_nodes(node)
    return bool(bound) and not bound & used


def _uses(file: Path, top: str) -> bool:
    """Whether a file uses a name that it imports from the library `top`."""
    tree = ast.parse(file.read_bytes())
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [one for one in node.names if one.name.partition(".")[0] == top]
            bound |= {one.asname or top for one in found}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == top:
            bound |= {one.asname or one.name for one in node.names}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return "*" in bound or bool(bound & used)


def _importer() -> Any:
    """The loader of the module whose import statement is being answered."""
    frame: Any = sys._getframe(2)
    while frame is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    spec = frame.f_globals.get("__spec__") if frame is not None else None
    return getattr(spec, "loader", None)


def search_path(dotted: str, folders: Sequence[str]) -> Path | None:
    """Return the file of a module ``package.module`` that lies in one of the folders."""
    parts = dotted.split(".")
    for folder in folders:
        place = Path(folder or ".").joinpath(*parts)
        for file in (place.with_name(place.name + ".py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None
