"""The priority of the lab's processes: behind every training."""

from __future__ import annotations

import os
from contextlib import suppress

SERVER = 5  # answers pages, and takes little time
WORKER = 19  # computes: on a core that a training uses it gets a seventieth of the time


def give_way(by: int) -> None:
    """Take a lower priority, where the system knows such a thing."""
    with suppress(AttributeError, OSError):
        os.nice(by)
