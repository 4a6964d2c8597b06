"""The process that computes for the lab: forward and backward passes of runs that are looked at.

It has one thread and a low priority, so that trainings go before it.  The server
kills it where an answer takes too long, and starts another one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.lab import building, looking, through, trying
from handgrad.lab.opened import Runs
from handgrad.lab.priority import WORKER, give_way
from handgrad.processes import serve


def main() -> None:
    """Answer the questions on standard input until there are no more."""
    give_way(WORKER)
    runs = Runs()
    answers, sys.stdout = sys.stdout, sys.stderr  # a user's layer may print
    sys.path.insert(0, str(Path.cwd()))

    def answer(what: str, folder: str = "", **question: Any) -> Any:
        with np.errstate(all="ignore"):
            if what == "check":
                return building.check(**question)
            run = runs.open(folder)
            if what == "network":
                return looking.network(run, **question)
            if what == "layer":
                given = question.pop("given", None)
                pixels = None if given is None else trying.pixels_of(run, given)
                return looking.layer(run, **question, pixels=pixels)
            if what == "through":
                return through.through(run, **question)
            if what == "rows":
                return looking.shown_rows(run, **question)
            if what == "predictions":
                return looking.predictions(run, **question)
            if what == "try":
                return trying.answer(run, **question)
            if what == "plane":
                return trying.plane(run, **question)
            raise ValueError(f"unknown question: {what}")

    serve(answer, sys.stdin, answers)


if __name__ == "__main__":
    main()
