"""From what was found to what is said: the first layer that differs, by how much, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad.interop.bounds import Value
from handgrad.interop.comparison import Comparison
from handgrad.interop.gradients import Difference
from handgrad.interop.match import BOTH, Found, candidates, fits, holds, layouts
from handgrad.interop.network import Network
from handgrad.interop.relations import relation
from handgrad.interop.search import Search
from handgrad.interop.trace import Trace


def forward_difference(network: Network, seen: Trace, found: Found, mode: str) -> Comparison:
    """Say what the first layer is that was not found, how far it is off, and why."""
    by_name = {node.name: node for node in network.nodes}
    node = by_name[found.off[0]]
    search = Search(network, seen, found, mode)
    others = candidates(seen, found, node)
    words = None
    front = by_name.get(node.inputs[0])
    if front is not None and front.op in ("dropout", "flatten"):
        words = search.of_input(node, front)
    after = by_name[found.off[1]] if len(found.off) > 1 else node
    if words is None and after.op == "batchnorm" and after.inputs[0] == node.name:
        # folded into this layer, it is what all of the channels are multiplied by
        words = None if holds(seen, after) else search.known_cause(after)
        if words:
            node, front = after, None
    cause = words or search.cause(node)
    if cause is None:
        # a branch that the other network lacks is none of its layers: what joins it is
        for join in (by_name[name] for name in found.off[1:] if len(by_name[name].inputs) > 1):
            cause = search.known(join)
            if cause:
                node, others = join, candidates(seen, found, join)
                break
    off, explained = _size(found.done[node.name].out, others)
    if words and front is not None:
        node = front
    if cause and cause.startswith("the input is flattened") and front is not None:
        node = front if front.op == "flatten" else node
    if cause is None and after.inputs[0] == node.name:
        # one step of the other network: the mistake may be in either
        words = search.known(after)
        node, cause = (after, words) if words else (node, None)
    return Comparison(False, node.name, "output", mode, off, explained, cause, len(network.nodes))


def _size(out: Value, others: Sequence[Any]) -> tuple[float, float]:
    """How far the first of the other's values in question is off."""
    for other in others:
        for _, value in layouts(other.value, out.value.shape):
            difference = np.abs(value - out.value)
            with np.errstate(all="ignore"):
                worst = np.argmax(difference - BOTH * out.error)
            return float(difference.reshape(-1)[worst]), float(BOTH * out.error.reshape(-1)[worst])
    return 0.0, 0.0


def backward_difference(wrong: Difference, network: Network) -> Comparison:
    """Say how far a gradient is off, and why."""
    mine, other = wrong.mine, wrong.other
    cause = None
    off = explained = 0.0
    if other is None:
        cause = "no gradient comes back: it is detached, or frozen (requires_grad is False)"
        off = float(np.abs(mine.value).max())
    else:
        difference = np.abs(other - mine.value)
        worst = np.argmax(difference - BOTH * mine.error)
        off, explained = (
            float(difference.reshape(-1)[worst]),
            float(BOTH * mine.error.reshape(-1)[worst]),
        )
        cause = _of_gradient(wrong, other)
    return Comparison(
        False, wrong.node.name, wrong.what, "train", off, explained, cause, len(network.nodes)
    )


def _of_gradient(wrong: Difference, other: np.ndarray) -> str | None:
    mine = wrong.mine
    if not other.any():
        return "no gradient comes back: it is detached, or frozen (requires_grad is False)"
    for words, value in wrong.others:
        if fits(other, Value(value, 8 * mine.error)):
            return words
    role = wrong.what.removeprefix("the gradient of ")
    if role in wrong.node.arrays and not wrong.what.startswith("the gradient of its"):
        w = np.asarray(wrong.node.arrays[role], np.float64)
        decay = float(((other - mine.value) * w).sum() / max(float((w**2).sum()), 1e-300))
        error = 8 * mine.error + 1e-6 * np.abs(decay * w)
        if decay and fits(other, Value(mine.value + decay * w, error)):
            return f"{decay:.4g} times the weights are added: L2 regularisation (weight decay)"
    found = relation(other, mine, 1e-9)
    if found and " 0, which should not be" in found:
        found += ": some gradient stops on the way"
    elif found and "should be 0" in found:
        found += ": a gradient comes through where none should"
    return found
