"""The gradients of a model of the courses' form: its loss, its parameters' gradients, its weight decay."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.interop.bounds import Done, Value
from handgrad.interop.causes_back import from_above
from handgrad.interop.comparison import Comparison
from handgrad.interop.differences import backward_difference
from handgrad.interop.gradients import gradients
from handgrad.interop.match import BOTH, Found
from handgrad.interop.network import Network
from handgrad.interop.parameters import counterparts
from handgrad.interop.steps import loss_gradient
from handgrad.interop.trace import Trace

Array = np.ndarray


def compare_gradients(
    network: Network,
    theirs: Any,
    name: str,
    xs: Sequence[Array],
    done: dict[str, Done],
    unit: float,
) -> Comparison:
    """Compare the loss and the parameters' gradients, in training mode; the decay by itself."""
    thing = copy.deepcopy(theirs)
    if hasattr(thing, "reg"):
        thing.reg = 0.0
    scores = done[network.output].out
    flat = scores.value.reshape(len(scores.value), -1)
    y = np.arange(len(flat)) % flat.shape[1]
    with np.errstate(all="ignore"):
        loss, grads = thing.loss(*xs, y)
    wanted = _softmax_loss(flat, y)
    explained = BOTH * (2 * float(scores.error.max()) + 64 * unit * (1 + float(np.abs(flat).max())))
    off = abs(float(loss) - wanted)
    if off > explained:
        factors: dict[str, float] = {"summed over the rows, not averaged": len(flat)}
        factors |= {"divided by the classes, too": 1 / flat.shape[1]}
        words = [t for t, f in factors.items() if abs(float(loss) - f * wanted) <= f * explained]
        cause = f"the loss is {words[0]}" if words else None
        what = "the softmax loss, without regularisation"
        return Comparison(
            False, network.output, what, "train", off, explained, cause, len(network.nodes)
        )
    inputs = {name: Value.exact(x) for name, x in zip(network.inputs, xs, strict=True)}
    found = Found({**inputs, **{node: one.out for node, one in done.items()}}, done=done)
    trace = Trace(name, [], scores.value, unit, learns=True)
    trace.params = {name: np.asarray(w) for name, w in thing.params.items()}
    trace.grads = {name: np.asarray(g) for name, g in grads.items()}
    wrong = gradients(network, trace, found, loss_gradient(scores.value), "train")
    if wrong is None:
        known = _decay(network, theirs, trace.grads, float(loss), xs, y)
        return known or Comparison(True, layers=len(network.nodes))
    result = replace(backward_difference(wrong, network), mode="train")
    said = result.cause or ""
    if not said or said.startswith("it is multiplied by") or " of its " in said:
        own = _in_own_layout(network, trace, found)
        above = from_above(network, found, loss_gradient(scores.value), own, "train")
        if above is not None:
            result = replace(result, layer=above[0].name, cause=above[1])
    return result


def _in_own_layout(network: Network, trace: Trace, found: Found) -> dict[str, Array]:
    """The other's gradients by this network's names, where there is no doubt which is which."""
    kept: dict[str, Array] = {}
    for node in network.nodes:
        for role, name in node.params.items():
            hits = list(
                counterparts(node, role, np.asarray(node.arrays[role], np.float64), trace, found)
            )
            if len(hits) == 1:
                grad = trace.grads.get(hits[0][0])
                turned = None if grad is None else hits[0][1](grad)
                if turned is not None:
                    kept[name] = turned
    return kept


def _decay(
    network: Network,
    theirs: Any,
    bare: Mapping[str, Array | None],
    loss: float,
    xs: Sequence[Array],
    y: Array,
) -> Comparison | None:
    """Compare what the object's `reg` adds to its gradients with what it adds to its loss.

    A loss with ``k / 2 * sum(W ** 2)`` has the gradient ``k W``; which weights it has is a matter of taste.
    """
    if not getattr(theirs, "reg", 0.0):
        return None
    with np.errstate(all="ignore"):
        whole, grads = copy.deepcopy(theirs).loss(*xs, y)
    added = float(whole) - loss
    shares, sizes = {}, {}
    for name, w in theirs.params.items():
        w = np.asarray(w, np.float64)
        more = np.asarray(grads[name], np.float64) - np.asarray(bare[name], np.float64)
        size = float((w**2).sum())
        shares[name], sizes[name] = float((more * w).sum()) / max(size, 1e-300), size
        if not np.allclose(more, shares[name] * w, rtol=1e-3, atol=1e-5 * (1 + np.abs(w).max())):
            return None  # another rule than L2, as of L1
    total = sum(0.5 * shares[name] * sizes[name] for name in shares)
    slack = 1e-3 * max(abs(total), abs(added)) + 1e-6 * abs(loss)
    if abs(total - added) <= slack:
        return None
    usual = float(np.median([k for k in shares.values() if k] or [0.0]))
    odd = [name for name, k in shares.items() if k and abs(k - usual) > 1e-3 * abs(usual)]
    first = (odd or [name for name, k in shares.items() if k] or [*shares])[-1]
    layer = next(
        (n.name for n in reversed(network.nodes) if first in n.params.values()), network.output
    )
    how = f"{total / added:.4g} times" if added else "not"
    cause = f"the weight decay (L2 regularisation) of the gradients is {how} the derivative of the loss's"
    return Comparison(
        False,
        layer,
        "the gradient of W",
        "train",
        abs(total - added),
        slack,
        cause,
        len(network.nodes),
    )


def _softmax_loss(scores: Array, y: Array) -> float:
    top = scores.max(axis=1)
    sums = np.exp(scores - top[:, None]).sum(axis=1)
    return float((np.log(sums) + top - scores[np.arange(len(scores)), y]).mean())
