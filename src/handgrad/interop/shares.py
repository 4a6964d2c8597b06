"""The shares that dropout keeps: drawn masks hide them, so they are compared as numbers."""

from __future__ import annotations

from typing import Any

from handgrad import nn
from handgrad.interop.comparison import Comparison
from handgrad.interop.describe import describe
from handgrad.interop.match import Found, fits, layouts
from handgrad.interop.network import Network
from handgrad.interop.trace import Trace, is_keras, is_torch


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


_THROUGH = ("relu", "leaky_relu", "prelu", "flatten", "dropout")
"""A mask with its factor passes these: in front of them or behind them is the same."""


def place_difference(network: Network, found: Found, trace: Trace) -> Comparison | None:
    """Return the first dropout of `network` that the other has at another place."""
    theirs = [seen for seen in trace.values if seen.name == "dropout"]
    mine = [node for node in network.nodes if node.op == "dropout"]
    if len(mine) != len(theirs):
        return None
    by_name, uses = {node.name: node for node in network.nodes}, network.uses()
    for node in mine:
        names, todo = set(), [node.name]
        while todo:
            name = todo.pop()
            if name in names:
                continue
            names.add(name)
            if name in by_name and by_name[name].op in _THROUGH:
                todo.append(by_name[name].inputs[0])
            todo += [n.name for n in uses.get(name, []) if n.op in _THROUGH]
        values = [found.values[name] for name in names]
        if any(
            fits(v, one)
            for one in values
            for s in theirs
            for _, v in layouts(s.value, one.value.shape)
        ):
            continue
        for other, value in found.values.items():
            shape = value.value.shape
            if any(fits(v, value) for s in theirs for _, v in layouts(s.value, shape)):
                cause = f"dropout stands behind {other}, not behind {node.inputs[0]}"
                return Comparison(
                    False,
                    node.name,
                    "the place of the dropout",
                    "train",
                    cause=cause,
                    layers=len(network.nodes),
                )
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
