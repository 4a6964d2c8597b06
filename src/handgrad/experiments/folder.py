"""What a study leaves behind: ``trials/*.json``, ``results.json`` and ``figure.png`` in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import handgrad
from handgrad.errors import DataError
from handgrad.experiments.shown import FOLDER as SHOWN
from handgrad.experiments.study import Trial
from handgrad.files import atomic_write, remove_partial_files


class StudyFolder:
    """The folder of one study; it is made when something is first written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, trial: Trial) -> dict[str, Any] | None:
        """Return the finished `trial`, or None if it is not there or was of another specification."""
        try:
            finished = json.loads(self._file(trial).read_text(encoding="utf-8"))
            if finished["spec"] == trial.spec and finished["version"] == handgrad.__version__:
                return {**finished, "name": trial.name, "label": trial.label}
        except (OSError, ValueError, LookupError, TypeError):
            pass  # missing or damaged: it is computed anew
        return None

    def save(self, trial: Trial, record: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Write the finished `trial`, and return it."""
        finished = {
            "name": trial.name,
            "label": trial.label,
            "spec": trial.spec,
            "record": record,
            "seconds": seconds,
            "version": handgrad.__version__,
        }
        file = self._file(trial)
        file.parent.mkdir(parents=True, exist_ok=True)
        remove_partial_files(file.parent)
        atomic_write(file, (json.dumps(finished) + "\n").encode())
        return finished

    def finish(self, results: Mapping[str, Any], figure: bytes) -> None:
        """Write what the trials came to."""
        self.path.mkdir(parents=True, exist_ok=True)
        atomic_write(self.path / "results.json", (json.dumps(results, indent=1) + "\n").encode())
        atomic_write(self.path / "figure.png", figure)

    def shown(self, trial: Trial) -> Path:
        """Return the folder in which `trial` can be watched."""
        return (self.path / SHOWN / _safe(trial.label)).resolve()

    def _file(self, trial: Trial) -> Path:
        return self.path / "trials" / f"{_safe(trial.label)}.json"


def _safe(label: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "_" for c in label)


def read_results(path: Path) -> dict[str, Any]:
    """Return the content of a ``results.json``; DataError if it is none."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        for key in ("study", "title", "sentences", "trials", "provenance"):
            results[key]
    except FileNotFoundError:
        raise DataError(f"experiment: there is no {path}") from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"experiment: {path} holds no results of a study: {error!r}") from None
    return results
