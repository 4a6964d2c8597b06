"""The parts of a network in 8-bit integers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from handgrad.interop.network import Network, Node

DIGITS = 8
"""Binary ones that a sum of two values has more than the output."""


class Scale(NamedTuple):
    """Of a value: ``scale (q - zero)``."""

    scale: float
    zero: int


class Step(NamedTuple):
    """A node, with what it computes with: whole numbers, and arrays of them (or floats)."""

    node: Node
    numbers: dict[str, Any]
    arrays: dict[str, np.ndarray]


class Quantized(NamedTuple):
    """A network in integers.

    network: its nodes; the last is a "scores" or "dequantize".  scales: of each value.  first: factor,
    shift and how many numbers share them, for each input.
    """

    network: Network
    steps: tuple[Step, ...]
    scales: dict[str, Scale]
    first: dict[str, tuple[np.ndarray, np.ndarray, int]]


def rounded(value: Any) -> np.ndarray:
    """Return the nearest integer, halves away from zero."""
    return np.trunc(value + np.copysign(0.5, value))
