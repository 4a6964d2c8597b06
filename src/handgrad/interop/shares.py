"""The shares that dropout keeps: drawn masks hide them, so they are compared as numbers."""

from __future__ import annotations

from typing import Any

from handgrad import nn
from handgrad.interop.comparison import Comparison
from handgrad.interop.describe import describe
from handgrad.interop.network import Network
from handgrad.interop.trace import is_keras, is_torch


def share_difference(network: Network, other: Any) -> Comparison | None:
    """Return the first dropout of `network` that keeps another share than the one of `other` in its place.

    Layers are taken in the order in which the other network lists them.  Where it has another number of
    them, as a network that calls a function has, nothing is said.
    """
    mine = [node for node in network.nodes if node.op == "dropout"]
    theirs = _shares(other)
    if len(mine) != len(theirs):
        return None
    kept = [float(node.options["p"]) for node in mine]
    if max(map(_off, sorted(kept), sorted(theirs)), default=0.0) < 1e-6:
        return None  # a network may list its layers in another order than it calls them
    for node, share in zip(mine, theirs, strict=True):
        p = float(node.options["p"])
        if _off(p, share) < 1e-6:
            continue
        turned = ", as if that were the share that is dropped" if _off(p, 1 - share) < 1e-6 else ""
        return Comparison(
            False, node.name, "the share that is kept", "train", _off(p, share),
            cause=f"it keeps {share:.6g} of its numbers, not {p:.6g}{turned}", layers=len(network.nodes),
        )  # fmt: skip
    return None


def _off(a: float, b: float) -> float:
    return abs(a - b)


def _shares(other: Any) -> list[float]:
    """What each dropout of `other` keeps; its rate is what PyTorch and Keras drop."""
    if is_keras(other):
        layers = [layer for layer in other._flatten_layers() if type(layer).__name__ == "Dropout"]
        return [1 - float(layer.rate) for layer in layers]
    if is_torch(other):
        names = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d")
        return [1 - float(m.p) for m in other.modules() if type(m).__name__ in names]
    if isinstance(other, nn.Model):
        return [float(n.options["p"]) for n in describe(other).nodes if n.op == "dropout"]
    return []
