"""The library of hypotheses: what people get wrong, and what the numbers then are."""

from __future__ import annotations

import importlib

from handgrad.checker.hypotheses import generic
from handgrad.checker.hypotheses.hypothesis import Hypothesis


def of(family: str, side: str) -> list[Hypothesis]:
    """Return the hypotheses of a family of layers, then those of all; side: "forward", "backward"."""
    own: list[Hypothesis] = []
    if family:
        module = importlib.import_module(f"handgrad.checker.hypotheses.{family}")
        own = module.FORWARD if side == "forward" else module.BACKWARD
    return own + (generic.FORWARD if side == "forward" else generic.BACKWARD)
