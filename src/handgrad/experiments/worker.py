"""The process in which trials run: ``python -m handgrad.experiments.worker``, asked by `Process`."""

from __future__ import annotations

import os
import sys
from typing import Any

from handgrad.processes import serve


def answer(study: str, spec: dict[str, Any]) -> Any:
    """Return the record of one trial."""
    from handgrad.experiments import get_study

    return get_study(study).run(spec)


if __name__ == "__main__":
    # what libraries print must not get between the answers
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(answer, sys.stdin, channel)
