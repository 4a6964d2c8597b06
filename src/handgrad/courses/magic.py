"""In a live notebook: ``%load_ext handgrad``, then ``%course cs231n-2020`` as its first lines."""

from __future__ import annotations

import shlex
from typing import Any

from handgrad.courses.finder import in_use, stop_using, use
from handgrad.courses.profiles import PROFILES
from handgrad.errors import HandgradError, OptionError

_VALUES = {"--data-dir": "data_dir", "--package": "package"}
_FLAGS = {"--utils": "utils", "--shadow": "shadow", "--trust-pickles": "trust_pickles"}


def course(line: str) -> None:
    """``%course NAME [--data-dir DIR] [--package NAME] [--utils] [--shadow] [--trust-pickles]``: see `use`.

    ``%course`` alone says which course is in use, and which there are.
    """
    try:
        name, options = parse(line)
        if name is None:
            used = in_use()
            _say(f"in use: {used.name if used else 'none'}; courses: {', '.join(PROFILES)}")
            return
        profile = use(name, **options)
    except HandgradError as error:
        _say(f"handgrad: {error}")
        return
    packages = " and ".join(profile.packages)
    _say(f"{profile.name}: {packages} are answered by Handgrad ({profile.description})")


def parse(line: str) -> tuple[str | None, dict[str, Any]]:
    """Return the name and the options of `use` in the text behind ``%course``."""
    name: str | None = None
    options: dict[str, Any] = {}
    words = iter(shlex.split(line))
    for word in words:
        if word in _VALUES:
            options[_VALUES[word]] = next(words, None)
        elif word in _FLAGS:
            options[_FLAGS[word]] = True
        elif name is None and not word.startswith("-"):
            name = word
        else:
            known = ", ".join(["--data-dir DIR", "--package NAME", *_FLAGS])
            raise OptionError(f"%course: unknown word {word!r}; known are one course, {known}")
    return name, options


def load_ipython_extension(shell: Any) -> None:
    """Add ``%course`` to IPython; called by ``%load_ext handgrad``."""
    shell.register_magic_function(course, magic_kind="line", magic_name="course")


def unload_ipython_extension(shell: Any) -> None:
    """Take the course's packages away again; called by ``%unload_ext handgrad``."""
    stop_using()


def _say(line: str) -> None:
    print(line)  # noqa: T201
