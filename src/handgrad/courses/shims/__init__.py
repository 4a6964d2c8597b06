"""The modules of the courses, as tables of names: thin faces over the library.

Each course has a file with a function ``modules(profile)`` that returns its modules by full name;
the other files hold what the library does not have under that name or with that meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from handgrad.courses.profiles import Profile


@dataclass(frozen=True)
class Shim:
    """One module: what it star-imports, then its own names; `file` is what `inspect` shows."""

    file: str
    names: dict[str, Any] = field(default_factory=dict)
    stars: tuple[str, ...] = ()
    doc: str = ""


def shims(profile: Profile) -> dict[str, Shim]:
    """Return all modules of `profile` by full name."""
    return {package: Shim(__file__) for package in profile.packages}


def outside(module: str) -> str | None:
    """Return why `module` of a course is not there, if it is known and outside the library."""
    return None
