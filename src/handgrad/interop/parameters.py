"""Parameters of the other network that hold the numbers of one's own, in whichever layout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from handgrad.interop.match import Found
from handgrad.interop.network import Node
from handgrad.interop.trace import Trace

Array = np.ndarray


def counterparts(
    node: Node, role: str, array: Array, trace: Trace, found: Found | None = None
) -> Iterator[tuple[str, Any]]:
    """Yield the other's parameters that hold the numbers of `array`, and what turns them into its form."""
    seen = None if found is None else found.seen.get(node.name)
    asked = seen.params if seen is not None and seen.params else tuple(trace.params)
    for names in (asked, tuple(trace.params)):
        hits = []
        for name in names:
            other = trace.params.get(name)
            if other is None or other.size != array.size:
                continue
            for turn in turns(node, role, array.shape):
                turned = turn(np.asarray(other, np.float64))
                if turned is not None and np.allclose(
                    turned, array, rtol=4 * trace.unit, atol=1e-300
                ):
                    hits.append((name, turn))
                    break
        if hits:
            yield from hits
            return


def turns(node: Node, role: str, shape: tuple[int, ...]) -> list[Any]:
    """The layouts in which other libraries keep a parameter, as functions into ours."""

    def turned(order: tuple[int, ...]) -> Any:
        def turn(a: Array) -> Array | None:
            if a.ndim != len(order):
                return None
            found = a.transpose(order)
            return found if found.shape == shape else None

        return turn

    def same(a: Array) -> Array | None:
        return a.reshape(shape) if a.size == int(np.prod(shape)) and a.ndim <= max(len(shape), 1) + 3 and (
            a.shape == shape or role != "W") else None  # fmt: skip

    if role != "W":
        return [same]
    if len(shape) == 4 and shape[2] == 1:  # of sequences
        return [same, *(_with_row(turn, shape) for turn in (lambda a: a, lambda a: a.transpose(2, 1, 0))),
                *_filter_turns(turned)]  # fmt: skip
    if len(shape) == 2:
        found = [same, turned((1, 0))]
        for c in (k for k in range(2, shape[0]) if shape[0] % k == 0):
            found += [_by_channels(c, shape), _by_channels(c, shape, True)]
        return [*found, _as_filters(shape)]
    return [same, *_filter_turns(turned)]


def _filter_turns(turned: Any) -> list[Any]:
    return [turned(order) for order in ((3, 2, 0, 1), (1, 0, 2, 3), (0, 3, 1, 2), (3, 0, 1, 2))]


def _with_row(turn: Any, shape: tuple[int, ...]) -> Any:
    """Filters of sequences (F, C, LL), or in Keras' order (LL, C, F), as those of images of one row."""

    def turned(a: Array) -> Array | None:
        if a.ndim != 3:
            return None
        found: Array = turn(a)
        return found.reshape(shape) if (*found.shape[:2], 1, found.shape[2]) == shape else None

    return turned


def _as_filters(shape: tuple[int, ...]) -> Any:
    """Affine weights that the other has as filters (M, C, H, W) of one window."""

    def turn(a: Array) -> Array | None:
        if a.ndim != 4 or a.size != int(np.prod(shape)):
            return None
        return a.reshape(len(a), -1).T if len(a) == shape[1] else None

    return turn


def _by_channels(c: int, shape: tuple[int, ...], transposed: bool = False) -> Any:
    """Affine weights whose rows are in NHWC order, for c channels."""

    def turn(a: Array) -> Array | None:
        if a.ndim != 2:
            return None
        a = a.T if transposed else a
        if a.shape != shape:
            return None
        return a.reshape(shape[0] // c, c, -1).transpose(1, 0, 2).reshape(shape)

    return turn
