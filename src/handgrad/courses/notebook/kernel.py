"""What the runner does inside the kernel before the first cell; its only caller is the runner."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from handgrad import courses
from handgrad.courses.notebook import stubs, student
from handgrad.courses.notebook.python2 import old_div, old_idiv

SEED: Final = 231


def prepare(
    shell: Any,
    course: str,
    data_dir: str | None,
    answers: dict[str, tuple[str, Sequence[str]]],
    package: str | None = None,
    python2: bool = False,
) -> None:
    """Answer the course's imports in this process, and put the stand-ins in place.

    Cells that were converted from Python 2 find the two divisions that they call.

    The global random streams are seeded, so that two runs of a notebook that seeds nothing agree.
    """
    random.seed(SEED)
    np.random.seed(SEED)
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    courses.use(course, data_dir=data_dir, utils=True, shadow=True, package=package)
    stubs.install()
    stubs.quiet_shell(shell)
    if python2:
        shell.push({"old_div": old_div, "old_idiv": old_idiv})
    if answers:
        student.install(answers)
