"""The courses' studies, done from the page: a process for each, whose trials can be watched as runs."""

from __future__ import annotations

import base64
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from handgrad.errors import DataError, HandgradError
from handgrad.experiments import Setting, get_study
from handgrad.experiments.folder import StudyFolder, read_results
from handgrad.experiments.shown import FOLDER as SHOWN
from handgrad.experiments.trials import run_studies

FOLDER = "studies"  # in the folder of runs
_LARGEST_FIGURE = 4 << 20  # bytes


def place_of(root: Path, name: str) -> Path:
    """Return the folder of a study under the folder of runs `root`; OptionError for an unknown one."""
    return root / FOLDER / get_study(name).dataset / name


def outcome(root: Path, name: str) -> dict[str, Any]:
    """Return what a study came to: sentences, figure (PNG in base64), runs; done says whether it is over."""
    folder = place_of(root, name)
    runs = sorted(p.name for p in (folder / SHOWN).glob("*") if (p / "config.toml").is_file())
    prefix = (folder / SHOWN).relative_to(root).as_posix()
    found: dict[str, Any] = {"done": False, "runs": [f"{prefix}/{run}" for run in runs]}
    try:
        results = read_results(folder / "results.json")
        figure = (folder / "figure.png").read_bytes()[:_LARGEST_FIGURE]
    except (DataError, OSError):
        return found
    return {
        **found,
        "done": True,
        "sentences": [str(sentence) for sentence in results["sentences"]],
        "figure": base64.b64encode(figure).decode(),
        "provenance": {str(k): str(v) for k, v in results["provenance"].items()},
    }


def main(arguments: list[str]) -> int:
    """Do the study ``NAME`` with so many seeds, and put it under the folder ``OUT``: NAME OUT SEEDS."""
    name, out, seeds = arguments[0], Path(arguments[1]), int(arguments[2])

    def tell(study: Any, trial: dict[str, Any], done: int, of: int) -> None:
        _say({"done": done, "of": of, "trial": str(trial["label"])})

    try:
        study = get_study(name)
        setting = Setting(study.dataset, seeds=min(seeds, study.seeds))
        folder = StudyFolder(place_of(out.parent, name))
        trials = study.trials(setting)
        left = [trial for trial in trials if folder.load(trial) is None]
        _say({"done": len(trials) - len(left), "of": len(trials)})
        running = run_studies([study], {name: setting}, out, tell=tell, live=True)
        with closing(running):
            for _ in running:
                pass
    except HandgradError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
