"""Answer a course's imports: `use` puts its packages in place, `stop_using` takes them away.

Nothing is installed under a course's name.  `use` adds a finder in front of ``sys.meta_path`` that
answers imports of the packages of one profile, and of nothing else, from the tables in
`handgrad.courses.shims`.

A real package of the same name (a student's folder ``cs231n`` with Python files on ``sys.path``, an
installed one, or one that is imported already) comes first: it is left alone, with a warning,
unless ``use(..., shadow=True)`` asks for the shims.  A folder without Python files, such as one that
holds only ``datasets``, is no package.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

from handgrad.courses import settings
from handgrad.courses.profiles import Profile, get_profile
from handgrad.courses.shims import Shim, outside, shims


class ShimFinder(MetaPathFinder, Loader):
    """Finds and fills the modules of one profile; `shims` are they, by full name."""

    def __init__(self, profile: Profile, found: dict[str, Shim]) -> None:
        """Answer for the modules `found` of `profile`."""
        self.profile = profile
        self.shims = found
        self.packages = {name.partition(".")[0] for name in found}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of one of the modules; an ImportError that says why for their like."""
        if fullname.partition(".")[0] not in self.packages:
            return None
        if fullname not in self.shims:
            why = outside(fullname) or f"{self.profile.name} has no such module"
            raise ModuleNotFoundError(f"No module named {fullname!r}: {why}", name=fullname)
        is_package = any(name.startswith(fullname + ".") for name in self.shims)
        is_package = is_package or "." not in fullname
        spec = ModuleSpec(fullname, self, origin=self.shims[fullname].file, is_package=is_package)
        spec.has_location = True
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """Fill `module`: first what it star-imports and imports, then its own names."""
        shim = self.shims[module.__name__]
        names: dict[str, Any] = {}
        for star in shim.stars:
            names |= public_names(importlib.import_module(star))
        names |= {name: importlib.import_module(place) for name, place in shim.imports.items()}
        names |= shim.names
        module.__doc__ = f"{module.__name__} of {self.profile.name}, by Handgrad."
        module.__dict__.update(names)


def public_names(module: ModuleType) -> dict[str, Any]:
    """Return what ``from module import *`` gives."""
    listed = getattr(module, "__all__", None)
    if listed is None:
        listed = [name for name in vars(module) if not name.startswith("_")]
    return {name: getattr(module, name) for name in listed}


_finder: ShimFinder | None = None
_displaced: dict[str, ModuleType] = {}  # real modules that shadow=True took out of sys.modules


def use(
    name: str,
    *,
    data_dir: str | PathLike[str] | None = None,
    utils: bool = False,
    shadow: bool = False,
    trust_pickles: bool = False,
    package: str | None = None,
) -> Profile:
    """Answer the imports of the course and generation `name` from now on.

    Another `use` replaces the first.  Modules that are imported already stay with those who
    imported them.

    Args:
        name: one of `PROFILES`, as in "cs231n-2020".
        data_dir: where CIFAR-10 lies, looked at first.
        utils: answer ``utils`` too, under which some years of nndl keep their support code.
        shadow: answer also for packages that really exist.
        trust_pickles: let `load_pickle`, `load_models` and `load` of the networks unpickle files;
            only for files that you trust, since a pickle can run any program.
        package: the name under which a fork keeps the course's first package, as "cs682" for cs231n;
            its modules are answered too.

    Returns:
        The profile.

    Raises:
        OptionError: there is no profile `name`.

    >>> use('cs231n-2020')  # doctest: +SKIP
    """
    global _finder
    profile = get_profile(name)
    stop_using()
    wanted = set(profile.packages) | ({"utils"} if utils and profile.course == "nndl" else set())
    wanted |= set() if package is None else {package.partition(".")[0]}
    for top in sorted(wanted):
        place = real_package(top)
        if place is None:
            continue
        if not shadow:
            wanted.remove(top)
            warnings.warn(
                f"{top}: {place} is used, not Handgrad's; to put Handgrad's in front of it, "
                f"handgrad.courses.use({name!r}, shadow=True)",
                stacklevel=2,
            )
            continue
        _displaced.update(_imported(top))
    for module in _displaced:
        del sys.modules[module]
    settings.change(data_dir=data_dir, trust_pickles=trust_pickles)
    found = shims(profile)
    if package is not None:
        found = also_as(package, profile.packages[0], found)
    _finder = ShimFinder(
        profile, {name: shim for name, shim in found.items() if name.partition(".")[0] in wanted}
    )
    sys.meta_path.insert(0, _finder)
    importlib.invalidate_caches()
    return profile


def also_as(package: str, course: str, found: dict[str, Shim]) -> dict[str, Shim]:
    """Return the modules `found` and those of `course` under the name `package`, parents included."""
    parts = package.split(".")
    parents = [".".join(parts[: i + 1]) for i in range(len(parts) - 1)]
    again = {
        package + name.removeprefix(course): shim
        for name, shim in found.items()
        if name == course or name.startswith(course + ".")
    }
    return {name: Shim(found[course].file) for name in parents} | again | found


def stop_using() -> None:
    """Take the shims out of ``sys.modules`` and ``sys.meta_path``, and put back what they hid.

    >>> stop_using()  # doctest: +SKIP
    """
    global _finder
    if _finder is not None:
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not _finder]
        for package in _finder.packages:
            for module in _imported(package):
                del sys.modules[module]
    _finder = None
    sys.modules.update(_displaced)
    _displaced.clear()
    settings.change(data_dir=None, trust_pickles=False)


def in_use() -> Profile | None:
    """Return the profile of the last `use`, None if there is none.

    >>> in_use() is None
    True
    """
    return None if _finder is None else _finder.profile


def real_package(name: str) -> str | None:
    """Return where a package `name` that is not a shim lies, None if there is none."""
    module = sys.modules.get(name)
    if module is not None and not isinstance(getattr(module, "__loader__", None), ShimFinder):
        return str(getattr(module, "__file__", None) or name)
    spec = PathFinder.find_spec(name)
    if spec is None:
        return None
    if spec.origin is not None:
        return spec.origin
    for place in spec.submodule_search_locations or ():
        if any(Path(place).rglob("*.py")):
            return place
    return None


def _imported(package: str) -> dict[str, ModuleType]:
    return {
        name: module
        for name, module in sys.modules.items()
        if name == package or name.startswith(package + ".")
    }
