"""Paths on the command line."""

from __future__ import annotations

import sys
from os import PathLike
from pathlib import Path
from typing import Any

import click


class PathType(click.Path):
    """A path, handed on as a Path.

    Unlike click's own type it refuses the empty text, which Python takes for the current folder
    (and which a variable that is not set leaves in a script), and texts that are no paths.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(
        self,
        value: str | PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return `value` as a Path."""
        if not str(value) or "\0" in str(value):
            self.fail(f"{str(value)!r} is no path", param, ctx)
        return super().convert(value, param, ctx)


def look_here_too() -> None:
    """Let networks of one's own, ``--model module:Class``, be imported from the current folder.

    It comes last, so that no file there stands in for an installed module.
    """
    if "" not in sys.path:
        sys.path.append("")
