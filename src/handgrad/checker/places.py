"""Where a file belongs: the package that its own imports speak of, with or without ``__init__.py``."""

from __future__ import annotations

import ast
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from handgrad.courses.profiles import PROFILES

COURSE_PACKAGES = frozenset(package for p in PROFILES.values() for package in p.packages)
_DEPTH = 5  # folders above a file that are looked at


@dataclass(frozen=True)
class Place:
    """A file as its own imports see it.

    Attributes:
        file: the file, absolute.
        root: the folder that holds the outermost package; the file's own folder if there is none.
        name: the module's name, as in "cs231n.classifiers.fc_net".
        packages: folders by the name under which they are imported.
    """

    file: Path
    root: Path
    name: str
    packages: dict[str, Path] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The outermost package's folder; of a file outside of packages, its own folder."""
        return self.packages.get(self.name.partition(".")[0], self.file.parent)

    @property
    def _start(self) -> str:
        """How the paths of the submission's files begin."""
        return os.path.normcase(self.root / "_")[:-1]

    def owns(self, path: str | None) -> bool:
        """Whether a file is of the same submission."""
        return bool(path) and os.path.normcase(Path(str(path)).absolute()).startswith(self._start)

    def own_modules(self) -> list[ModuleType]:
        """Return the imported modules of the submission; most of the others are the library's."""
        start, modules = self._start, list(sys.modules.values())
        return [
            one
            for one in modules
            if (file := getattr(one, "__file__", None)) and os.path.normcase(file).startswith(start)
        ]


def place_of(file: Path) -> Place:
    """Return the place of a file that may not be parsable.

    The package reaches up to the outermost of: folders with ``__init__.py``; as many folders as a
    relative import climbs; the nearest folder of a name that the file imports from, or of a course.
    """
    file = Path(file).absolute()
    parents = file.parents
    absolute, level = imports_of(file)
    depth = level
    while depth < len(parents) and (parents[depth] / "__init__.py").exists():
        depth += 1
    wanted = (absolute - sys.stdlib_module_names) | COURSE_PACKAGES
    packages: dict[str, Path] = {}
    for i, folder in enumerate(parents[:_DEPTH]):
        beside = {name for name in absolute & COURSE_PACKAGES if has_python(folder / name)}
        packages |= {name: folder / name for name in beside if name not in packages}
        if beside:
            break
        if folder.name in wanted and folder.name not in sys.stdlib_module_names:
            depth = max(depth, i + 1)
            break
    depth = min(depth, len(parents) - 1)
    names = [parents[i].name.replace(".", "_") for i in range(depth)][::-1]
    for i in range(len(names)):
        packages[".".join(names[: i + 1])] = parents[depth - 1 - i]
    root = parents[depth]
    for name in absolute & COURSE_PACKAGES - set(packages):  # only the package's content is there
        home = parents[1] if parents[0].name == "classifiers" else parents[0]
        packages[name] = root / name if has_python(root / name) else home
    if not names:
        return Place(file, root, f"checked_{file.stem}", packages)
    stem = [] if file.stem == "__init__" else [file.stem.replace(".", "_")]
    return Place(file, root, ".".join([*names, *stem]), packages)


def imports_of(file: Path) -> tuple[set[str], int]:
    """Return the top-level names that a file imports from, and how far a relative import climbs."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return set(), 0
    names: set[str] = set()
    level = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            level = max(level, node.level)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names, level


def has_python(folder: Path) -> bool:
    """Whether a folder holds Python files, itself or in a package below."""
    return folder.is_dir() and (any(folder.glob("*.py")) or any(folder.glob("*/*.py")))
