"""The process in which trials run, asked by `handgrad.processes.Process`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handgrad.experiments import get_study
from handgrad.experiments.shown import shown_in
from handgrad.processes import serve_parent


def answer(study: str, spec: dict[str, Any], shown: str | None = None) -> Any:
    """Return the record of one trial; `shown` is the folder in which it can be watched."""
    with shown_in(None if shown is None else Path(shown)):
        return get_study(study).run(spec)


if __name__ == "__main__":
    serve_parent(answer)
