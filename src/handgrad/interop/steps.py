"""Steps of training that two networks go side by side: each from the weights of network b."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad import nn
from handgrad.interop.match import match
from handgrad.interop.network import Network
from handgrad.interop.parameters import counterparts
from handgrad.interop.trace import trace

Array = np.ndarray


def loss_gradient(scores: Array) -> Array:
    """The gradient of a mean softmax loss, row i of class i counted round.

    For rows of one number it is that of half their mean square.
    """
    rows = scores.reshape(len(scores), -1).astype(np.float64)
    if rows.shape[1] == 1:
        return (scores / len(scores)).astype(np.float64)
    p = np.exp(rows - rows.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(p)), np.arange(len(p)) % p.shape[1]] -= 1
    return (p / len(p)).reshape(scores.shape)


def stepped(
    network: Network,
    judged: Any,
    xs: Sequence[Array],
    rate: float,
    dtype: Any,
    engine: Any,
) -> tuple[Network, Any]:
    """Move both by one step of SGD along b's gradients."""
    seen = trace(judged, xs, loss_gradient, "train", dtype, engine)
    found = match(network, seen, "train")
    moved = copy.deepcopy(judged)
    new = {
        name: seen.params[name] - rate * grad
        for name, grad in seen.grads.items()
        if grad is not None
    }
    nodes = []
    for node in network.nodes:
        arrays = dict(node.arrays)
        for role in node.params:
            hits = list(counterparts(node, role, np.asarray(arrays[role], np.float64), seen, found))
            for other, turn in hits[:1]:
                if other in new:
                    arrays[role] = turn(np.asarray(new[other], np.float64))
        nodes.append(replace(node, arrays=arrays))
    if isinstance(moved, nn.Model):
        for name, array in new.items():
            moved.params[name] = array.astype(moved.params[name].dtype)
        if seen.unit < 1e-10 and moved.dtype is not None:
            moved.dtype = np.float64
            moved.params = {name: np.asarray(w, np.float64) for name, w in moved.params.items()}
            for name, array in new.items():
                moved.params[name] = array
    else:
        import torch

        if seen.constants:
            moved.written_in_float32 = True  # so are its constants
        moved = moved.double() if seen.unit < 1e-10 else moved
        with torch.no_grad():
            for name, parameter in moved.named_parameters():
                if name in new:
                    parameter.copy_(torch.tensor(new[name]))
    return replace(network, nodes=tuple(nodes)), moved
