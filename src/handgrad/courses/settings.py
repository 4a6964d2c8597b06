"""What `handgrad.courses.use` was told, for the shims that need it when they are called."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Settings:
    """data_dir: where to look for CIFAR-10 first; trust_pickles: whether files may be unpickled."""

    data_dir: Path | None = None
    trust_pickles: bool = False


current = Settings()


def change(*, data_dir: str | os.PathLike[str] | None, trust_pickles: bool) -> None:
    """Replace both settings."""
    current.data_dir = None if data_dir is None else Path(data_dir).expanduser()
    current.trust_pickles = trust_pickles
