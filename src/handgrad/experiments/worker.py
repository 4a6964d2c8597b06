"""The process in which trials run, asked by `handgrad.processes.Process`."""

from __future__ import annotations

from typing import Any

from handgrad.experiments import get_study
from handgrad.processes import serve_parent


def answer(study: str, spec: dict[str, Any]) -> Any:
    """Return the record of one trial."""
    return get_study(study).run(spec)


if __name__ == "__main__":
    serve_parent(answer)
