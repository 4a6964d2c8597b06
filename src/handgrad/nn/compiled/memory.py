"""The buffers of a plan, and the list of operations that read and write them.

An operation is a name of `native/plan/`, the slots of its arrays, sizes and numbers.  A slot that only
operations use has a place in the plan's own memory: two of them share it where the last operation of one
comes before the first of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

Op = tuple[str, list[int], list[int], list[float]]
NONE = -1  # the slot of an argument that is left out
_ALIGNMENT = 64
_HALF = 2  # bytes of a bf16 number


class NotCovered(Exception):
    """A network, or a part of its step, that no plan computes; the text says what."""


class Ref(NamedTuple):
    """An array of a plan: its slot, its shape, and whether its memory is channels-last."""

    slot: int
    shape: tuple[int, ...]
    last: bool = False

    @property
    def numbers(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)


class Memory:
    """Slots and operations of a plan for arrays of `dtype`.

    Values of layers and their gradients are stored in the plan's memory, in bf16 where `is_half`.  for_scores
    says that no backward follows.

    Attributes:
        sizes: of the slots in bytes.
        carried: the pairs (slot before a step, slot after it, whether what was before the last step is
            kept).
        given, results: slots that a run binds.
        shapes: of the results.
        constants: (slot, count, number).
    """

    def __init__(self, dtype: np.dtype, is_half: bool = False, for_scores: bool = False) -> None:
        self.dtype, self.is_half, self.for_scores = dtype, is_half, for_scores
        self.ops: list[Op] = []
        self.sizes: list[int] = []
        self.carried: list[tuple[int, int, bool]] = []
        self.given: list[int] = []
        self.results: list[int] = []
        self.shapes: list[list[int]] = []
        self.constants: list[tuple[int, int, float]] = []
        self._bound: set[int] = set()
        self._full: set[int] = set()  # slots of arrays of `dtype`
        self._stored: dict[int, int] = {}  # what they are stored as, by their slots
        self._constant: dict[tuple[int, float], int] = {}

    def value(self, count: int, itemsize: int | None = None) -> int:
        """Return a new slot for `count` numbers, in the plan's own memory."""
        self.sizes.append(count * (self.dtype.itemsize if itemsize is None else itemsize))
        return len(self.sizes) - 1

    def stored(self, count: int) -> int:
        """Return a new slot for `count` values of a layer, or their gradients."""
        return self.value(count, _HALF if self.is_half else None)

    def array(self, shape: Sequence[int], last: bool = False) -> Ref:
        """Return a new array of values of a layer, or their gradients."""
        return Ref(self.stored(prod(shape)), tuple(shape), last)

    def full(self, shape: Sequence[int]) -> Ref:
        """Return a new array of `dtype`: a batch, or scores, targets and gradients at the loss."""
        out = Ref(self.value(prod(shape)), tuple(shape))
        self._full.add(out.slot)
        return out

    def as_stored(self, x: Ref) -> Ref:
        """Return x as values of a layer are stored."""
        if not self.is_half or x.slot not in self._full:
            return x
        if x.slot not in self._stored:
            self._stored[x.slot] = self.stored(x.numbers)
            self.op("store", [x.slot, self._stored[x.slot]], [x.numbers])
        return x._replace(slot=self._stored[x.slot])

    def as_full(self, x: Ref) -> Ref:
        """Return x as an array of `dtype`."""
        if not self.is_half or x.slot in self._full:
            return x
        out = self.full(x.shape)._replace(last=x.last)
        self.op("copy", [x.slot, out.slot], [x.numbers])
        return out

    def mark(self) -> tuple[Any, ...]:
        """Return what `back` takes to take back all that is added from here on."""
        return len(self.ops), len(self.given), dict(self._stored)

    def back(self, mark: tuple[Any, ...]) -> None:
        """Take back operations and given arrays; slots that nothing uses need no memory."""
        ops, given, self._stored = mark
        del self.ops[ops:], self.given[given:]

    def bound(self, count: int) -> int:
        """Return a new slot that a run says the place of."""
        slot = self.value(count)
        self._bound.add(slot)
        return slot

    def carry(self, count: int, alternates: bool = False) -> tuple[int, int]:
        """Return the slots, before and after a step, of what is carried from step to step."""
        pair = self.bound(count), self.bound(count)
        self.carried.append((*pair, alternates))
        return pair

    def give(self, count: int) -> int:
        """Return the slot of an array that a run only reads."""
        self.given.append(self.bound(count))
        return self.given[-1]

    def result(self, shape: Sequence[int]) -> int:
        """Return the slot of an array that a run makes and returns."""
        self.results.append(self.bound(prod(shape)))
        self.shapes.append(list(shape))
        return self.results[-1]

    def constant(self, count: int, number: float) -> int:
        """Return a slot with `count` times `number`."""
        key = count, number
        if key not in self._constant:
            self._constant[key] = self.value(count)
            self.constants.append((self._constant[key], count, number))
        return self._constant[key]

    def op(
        self,
        name: str,
        slots: Sequence[int],
        sizes: Sequence[int] = (),
        numbers: Sequence[float] = (),
    ) -> None:
        """Add an operation."""
        whole = [int(size) for size in sizes]
        self.ops.append((name, list(slots), whole, [float(x) for x in numbers]))

    def dense(self, x: Ref, last: bool) -> Ref:
        """Return x in the order of memory that is wanted, with a copy where it has the other one."""
        N, C, *image = x.shape
        if x.last == last or len(x.shape) < 3 or C == 1 or prod(image) == 1:
            return x._replace(last=last)
        is_full = x.slot in self._full
        out = (self.full(x.shape) if is_full else self.array(x.shape))._replace(last=last)
        sizes = [N, C, image[0], prod(image[1:]), last]
        self.op("reorder_full" if is_full else "reorder", [x.slot, out.slot], sizes)
        return out

    def join_batch(self) -> None:
        """Let the batch be stored as it is read where nothing else is done with it."""
        batch = self.ops[0][1][0]
        takers = [op for op in self.ops[1:] if batch in op[1]]
        if [op[0] for op in takers] == ["store"]:
            self.ops.remove(takers[0])
            self.ops[0] = ("batch_stored", [takers[0][1][1]], *self.ops[0][2:])

    def places(self) -> tuple[list[int], int]:
        """Return where the slots lie in the plan's memory, -1 for bound ones, and how large it is."""
        spans: dict[int, tuple[int, int]] = {}
        for at, (_, slots, _, _) in enumerate(self.ops):
            for slot in slots:
                if slot != NONE and slot not in self._bound:
                    spans[slot] = (spans.get(slot, (at, at))[0], at)
        for slot, _, _ in self.constants:
            spans[slot] = (0, len(self.ops))
        offsets = [NONE] * len(self.sizes)
        placed: list[tuple[int, int, tuple[int, int]]] = []  # first byte, end, span
        for slot in sorted(spans, key=lambda slot: -self.sizes[slot]):
            first, last = spans[slot]
            size = -(-max(self.sizes[slot], 1) // _ALIGNMENT) * _ALIGNMENT
            start = 0
            for low, high, (begin, end) in sorted(placed):
                if begin <= last and first <= end and low < start + size and start < high:
                    start = high
            offsets[slot] = start
            placed.append((start, start + size, spans[slot]))
        for slot in range(len(self.sizes)):  # that no operation uses
            if slot not in spans and slot not in self._bound:
                self.sizes[slot], offsets[slot] = 0, 0
        return offsets, max((end for _, end, _ in placed), default=0)
