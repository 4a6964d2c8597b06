"""Where random streams stand before a step, kept so cheaply that every step can be taken back.

NumPy reads the state of its Mersenne Twister, that of the global stream, in 23 us; a copy of the memory
that it lies in takes less than one.  A RandomState also keeps every other normal number for later, in a
field without a name; where it lies is looked up once, in a stream made for it.  Where any of this does
not come out as it should, NumPy is asked after all.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from handgrad.training.circumstances import get_state, set_state

_TWISTER_BYTES = 4 * 624 + 4  # the numbers of a Mersenne Twister, and the place in them
_SPARE_BYTES = 16  # of a RandomState: whether it keeps a normal number (4 bytes, 4 unused), and it


def position_of(stream: Any) -> Callable[[], None]:
    """Return a function that brings `stream` back to where it is now; it may be called repeatedly."""
    generator = getattr(stream, "_bit_generator", None)
    if type(stream) is np.random.RandomState:
        spare_at = _place_of_spare()
    else:
        generator, spare_at = getattr(stream, "bit_generator", None), 0
    if spare_at is None or type(generator) is not np.random.MT19937:
        state = get_state(stream)
        return lambda: set_state(stream, state)
    twister = generator.ctypes.state_address
    numbers = ctypes.string_at(twister, _TWISTER_BYTES)
    spare = ctypes.string_at(id(stream) + spare_at, _SPARE_BYTES) if spare_at else b""

    def go_back() -> None:
        ctypes.memmove(twister, numbers, _TWISTER_BYTES)
        if spare_at:
            ctypes.memmove(id(stream) + spare_at, spare, _SPARE_BYTES)

    return go_back


@cache
def _place_of_spare() -> int | None:
    """Return where in a RandomState the normal number kept for later lies; None if that is not clear."""
    stream = np.random.RandomState(0)
    memory = type(stream).__basicsize__
    state = stream.get_state(legacy=False)
    found = []
    for has, number in ((1, 1.2345678901234567e-77), (0, -9.8765432109876543e77)):
        state["has_gauss"], state["gauss"] = has, number
        stream.set_state(state)
        wanted = struct.pack("i4xd", has, number)
        raw = ctypes.string_at(id(stream), memory)
        # the four bytes between are not NumPy's
        found.append(
            [
                i
                for i in range(memory - len(wanted) + 1)
                if raw[i : i + 4] == wanted[:4] and raw[i + 8 : i + 16] == wanted[8:]
            ]
        )
    same = len(found[0]) == 1 and found[0] == found[1]
    return found[0][0] if same and _twister_is_as_thought() else None


def _twister_is_as_thought() -> bool:
    """Return whether a Mersenne Twister's memory is its numbers, then its place in them."""
    generator = np.random.MT19937(5)
    np.random.Generator(generator).random(3)
    state: Any = generator.state["state"]
    raw = ctypes.string_at(generator.ctypes.state_address, _TWISTER_BYTES)
    return raw == struct.pack("624Ii", *state["key"].tolist(), state["pos"])
