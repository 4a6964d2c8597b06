"""The process in which trials run, asked by `handgrad.processes.Process`."""

from __future__ import annotations

import os
import sys
from threading import Thread
from time import sleep
from typing import Any

from handgrad.experiments import get_study
from handgrad.processes import serve


def answer(study: str, spec: dict[str, Any]) -> Any:
    """Return the record of one trial."""
    return get_study(study).run(spec)


def end_with(parent: int) -> None:
    """End this process when `parent` is no longer the one above it, as after kill -9."""
    while os.getppid() == parent:
        sleep(1)
    os._exit(1)


if __name__ == "__main__":
    Thread(target=end_with, args=[int(sys.argv[1])], daemon=True).start()
    # what libraries print must not get between the answers
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(answer, sys.stdin, channel)
