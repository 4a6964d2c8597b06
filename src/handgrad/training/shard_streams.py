"""The random streams of a shard: from the number that was drawn for the step, and the shard's own.

Whichever process computes a shard, its dropout and its augmentation draw the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from handgrad.training.circumstances import get_state, set_state, streams


@contextmanager
def drawing(solver: Any, seed: int, shard: int, place: int = 0) -> Iterator[None]:
    """Let all random streams of a training be those of one shard inside of the ``with`` block.

    place: of a layer, where the shards go through the network side by side; else 0.
    """
    own = {id(stream): stream for stream in streams(solver).values() if stream is not None}
    before = [(stream, get_state(stream)) for stream in own.values()]
    try:
        for number, (stream, _) in enumerate(before):
            set_state(stream, _state(stream, np.random.SeedSequence([seed, shard, number, place])))
        yield
    finally:
        for stream, state in before:
            set_state(stream, state)


def _state(stream: Any, seeds: np.random.SeedSequence) -> dict[str, Any]:
    """Return where a stream like `stream` begins with these seeds."""
    is_old = isinstance(stream, np.random.RandomState)
    bits = stream._bit_generator if is_old else stream.bit_generator
    state: dict[str, Any] = type(bits)(seeds).state
    return {**state, "has_gauss": 0, "gauss": 0.0} if is_old else state


def augmenting(seed: int, shard: int) -> np.random.Generator:
    """Return the stream that the augmentation of one shard draws from."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, shard, 1 << 16])))
