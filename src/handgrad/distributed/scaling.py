"""A model of the speed on many ranks, on paper, from what can be measured on few.

With S shards on R ranks a step takes

    t(R) = t_own + max(t_wire - t_hide, t_wire / B) + 2 latency
    t_own  = t_shard ceil(S / R) + t_rest
    t_wire = 2 B (R - 1) t_message + 2 M (R - 1) / R / bandwidth
    t_hide = (1 - 1/B) t_shard 2/3

- t_shard: computing one shard, forward and backward, of which backward is about two thirds; t_rest: what each
  rank does once a step (the update, the draw, Python).
- M: bytes of the gradients; B: buckets that they are sent in; each is sent in two rounds of R - 1 messages,
  of which each keeps a rank busy for t_message.  Messages are under way together: the latency counts for the
  two rounds of the last bucket alone.
- Only the backward of the last own shard has anything to hide behind, and the last bucket nothing.

Strong scaling keeps the batch: S stays, and more ranks than shards cannot be used.  Weak scaling gives each
rank the same rows: S grows with R, and one rank computes S / R shards.

The efficiency is t(1) / (R t(R)) of strong, t(1) / t(R) of weak scaling.  The model leaves out that ranks are
not equally fast, that switches are shared, and estimates and checkpoints.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from handgrad.distributed.wire import BUCKET

MESSAGE = 10e-6  # over a network; between the ranks of one machine 4e-6
RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

_HOROVOD = "Horovod's documentation, benchmarks"
PUBLISHED = (
    ("Horovod, Inception V3 and ResNet-101", "512 GPUs, 25 Gbit/s RoCE", "90 %", _HOROVOD),
    ("Horovod, VGG-16", "512 GPUs, 25 Gbit/s RoCE", "68 %", _HOROVOD),
    ("PyTorch DDP", "256 GPUs", "near-linear", "S. Li et al. (2020), arXiv:2006.15704, abstract"),
)
"""What others have published: framework and network, size, efficiency, source."""


class Inputs(NamedTuple):
    """What the model is made of.

    Attributes:
        shard: seconds for a shard, forward and backward.
        rest: seconds of a step that do not depend on the shards.
        bytes: of the gradients.
        latency: seconds of a message, one way.
        bandwidth: bytes a second of a rank.
        shards: of a step on one rank.
        bucket: bytes of a bucket.
        message: seconds that sending and receiving a message keeps a rank busy.

    >>> inputs = Inputs(shard=0.02, rest=0.004, bytes=11_000_000, latency=30e-6, bandwidth=1.2e9)
    >>> round(efficiency(inputs, 4), 2)
    0.87
    """

    shard: float
    rest: float
    bytes: int
    latency: float
    bandwidth: float
    shards: int = 8
    bucket: int = BUCKET
    message: float = MESSAGE


def step_time(inputs: Inputs, ranks: int, weak: bool = False) -> float:
    """Return the seconds of a step on so many ranks."""
    shards = inputs.shards * (ranks if weak else 1)
    own = inputs.shard * ceil(shards / ranks) + inputs.rest
    if ranks == 1:
        return own
    buckets = max(1, ceil(inputs.bytes / inputs.bucket))
    wire = 2 * buckets * (ranks - 1) * inputs.message
    wire += 2 * inputs.bytes * (ranks - 1) / ranks / inputs.bandwidth
    hidden = (1 - 1 / buckets) * inputs.shard * 2 / 3
    return own + max(wire - hidden, wire / buckets) + 2 * inputs.latency


def efficiency(inputs: Inputs, ranks: int, weak: bool = False) -> float:
    """Return the share of the speed of `ranks` times one rank that they reach together.

    >>> free = Inputs(shard=0.1, rest=0.0, bytes=10**6, latency=0.0, bandwidth=1e30, message=0.0)
    >>> efficiency(free, 8), efficiency(free, 3)
    (1.0, 0.8888888888888888)
    """
    one = step_time(inputs, 1)
    return one / (step_time(inputs, ranks, weak) * (1 if weak else ranks))
