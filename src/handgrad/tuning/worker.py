"""The process that computes trials, asked by `handgrad.processes.Process`."""

from __future__ import annotations

from typing import Any

from handgrad.processes import serve_parent
from handgrad.tuning.settings import Settings
from handgrad.tuning.trials import Searcher

_KEPT: dict[str, Searcher] = {}


def answer(settings: dict[str, Any]) -> dict[str, Any]:
    """Compute one trial; see `Searcher.compute_next`."""
    key = repr(settings)
    if key not in _KEPT:
        _KEPT.clear()
        _KEPT[key] = Searcher(Settings(**settings))
    return _KEPT[key].compute_next()


if __name__ == "__main__":
    serve_parent(answer)
