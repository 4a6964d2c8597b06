"""The process of a training that the lab started: it goes on when the lab and the page are gone."""

from __future__ import annotations

import sys
from pathlib import Path

from handgrad.errors import HandgradError
from handgrad.lab.feed import Feed
from handgrad.report import write_report
from handgrad.training.config import RunConfig
from handgrad.training.run import resume_run, start_run


def main(arguments: list[str]) -> int:
    """Train ``--config FILE FOLDER`` into a new folder, or go on with ``--resume FOLDER``."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        if arguments[0] == "--resume":
            run = resume_run(Path(arguments[1]))
        else:
            run = start_run(RunConfig.from_toml(arguments[1]), Path(arguments[2]))
        run.train([Feed(run)])
        if run.is_finished:
            run.evaluate()
            write_report(run.folder)
    except HandgradError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
