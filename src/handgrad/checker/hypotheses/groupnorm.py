"""Mistakes of group normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.hypotheses import norm
from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.norm import Parts, group_parts
from handgrad.checker.records import Call


def _interleaved(call: Call) -> Parts:
    """Groups of every G-th channel, not of neighbours."""
    parts = group_parts(call)
    N, G, width, H, W = parts.x.shape
    order = np.arange(G * width).reshape(width, G).T
    flat = parts.x.reshape(N, G * width, H, W)
    return parts._replace(x=flat[:, order])


def _of_interleaved(call: Call) -> dict[str, Any]:
    parts = _interleaved(call)
    xhat, _ = norm.xhat_of(parts)
    N, G, width, H, W = parts.x.shape
    back = np.swapaxes(xhat, 1, 2).reshape(N, G * width, H, W)
    gamma, beta = (np.reshape(call.arrays[key], (1, -1, 1, 1)) for key in ("gamma", "beta"))
    return {"out": gamma * back + beta}


def _over(name: str, says: str, axes: tuple[int, ...]) -> Hypothesis:
    return Hypothesis(
        "wrong_axis", says, norm.forward_of(group_parts, norm.over(axes)), r"axis|mean"
    )


FORWARD = [
    *norm.forward(group_parts),
    _over("places", "the channels of a group are normalised one by one, not together", (3, 4)),
    _over("channels", "the statistics are taken over the channels of a group, not over its places", (2,)),
    _over("batch", "the groups are normalised over the batch too: each image has its own statistics", (0, 2, 3, 4)),
    _over("only_batch", "the groups are normalised over the batch only", (0,)),
    _over("channel_batch", "each channel is normalised over the batch, as batch normalisation does", (0, 3, 4)),
    _over("image", "the statistics are taken over the whole image, not over a group of channels", (1, 2, 3, 4)),
    _over("groups", "the statistics are taken over the groups, not within them", (1, 3, 4)),
    Hypothesis("interleaved_groups", "a group holds every G-th channel: it must hold C/G neighbours", _of_interleaved, r"reshape"),
]  # fmt: skip
BACKWARD = norm.backward(group_parts)
