"""The priority of the lab's processes: behind every training."""

from __future__ import annotations

import os
from contextlib import suppress


def give_way() -> None:
    """Take the lowest priority: compute only where nobody else wants to."""
    with suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        return
    with suppress(AttributeError, OSError):
        os.nice(19)
