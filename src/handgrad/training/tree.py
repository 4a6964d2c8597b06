"""One fixed tree in which the numbers of shards are summed, whoever computes them.

The tree over S shards splits at the largest power of two below S::

    8 shards:  ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7))
    6 shards:  ((0 + 1) + (2 + 3)) + (4 + 5)

Floating-point sums depend on their order.  With one tree the result is the same to the last bit, whether
one process adds all shards or each of several adds those of its own, and somebody their sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TypeVar

Node = tuple[int, int]
Number = TypeVar("Number")


def split(low: int, high: int) -> int:
    """Return where the tree over the shards low to high - 1 splits.

    >>> split(0, 8), split(0, 6), split(4, 7)
    (4, 4, 6)
    """
    return low + (1 << ((high - low - 1).bit_length() - 1))


def nodes_of(shards: int, first: int, last: int) -> list[Node]:
    """Return the largest nodes of the tree that the shards first to last - 1 alone make up.

    >>> nodes_of(8, 0, 4), nodes_of(8, 3, 6)
    ([(0, 4)], [(3, 4), (4, 6)])
    """

    def within(low: int, high: int) -> list[Node]:
        if high <= first or low >= last:
            return []
        if first <= low and high <= last:
            return [(low, high)]
        middle = split(low, high)
        return within(low, middle) + within(middle, high)

    return within(0, shards)


def total(
    shards: int,
    parts: Mapping[Node, Number],
    add: Callable[[Number, Number], Number],
    first: int = 0,
) -> Number:
    """Return the sum of a node, the shards first to shards - 1, from those of others, as in the tree.

    >>> total(3, {(0, 2): "ab", (2, 3): "c"}, lambda x, y: f"({x}+{y})")
    '(ab+c)'
    """

    def of(low: int, high: int) -> Number:
        if (low, high) in parts:
            return parts[low, high]
        middle = split(low, high)
        return add(of(low, middle), of(middle, high))

    return of(first, shards)


def share_out(shards: int, ranks: int) -> list[range]:
    """Return the shards of each rank: neighbours, as many as those of any other one, or one more.

    >>> share_out(8, 3)
    [range(0, 3), range(3, 6), range(6, 8)]
    """
    each, more = divmod(shards, ranks)
    starts = [rank * each + min(rank, more) for rank in range(ranks + 1)]
    return [range(start, end) for start, end in pairwise(starts)]
