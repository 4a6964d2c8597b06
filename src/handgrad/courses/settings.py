"""What `handgrad.courses.use` was told, for the shims that need it when they are called."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Settings:
    """data_dir: where to look for CIFAR-10 first; allow_pickle: whether files may be unpickled."""

    data_dir: Path | None = None
    allow_pickle: bool = False


current = Settings()


def change(*, data_dir: str | os.PathLike[str] | None, allow_pickle: bool) -> None:
    """Replace both settings."""
    current.data_dir = None if data_dir is None else Path(data_dir).expanduser()
    current.allow_pickle = allow_pickle
