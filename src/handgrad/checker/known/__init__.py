"""The layers that the checker knows by the names that courses give them."""

from __future__ import annotations

from handgrad.checker.known.table import LAYERS, by_function

__all__ = ["LAYERS", "by_function"]
