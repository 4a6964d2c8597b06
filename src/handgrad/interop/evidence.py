"""What the other network's values say of an output: is it there, and is there what follows from it?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handgrad.interop import bounds
from handgrad.interop.bounds import Value
from handgrad.interop.match import Found, candidates, fits, layouts
from handgrad.interop.network import Network, Node
from handgrad.interop.trace import Trace


class Evidence:
    """The values of both networks.

    Attributes:
        network, found: of one.
        seen: of the other.
        mode: of computing.
        uses: who takes an output.
    """

    def __init__(self, network: Network, seen: Trace, found: Found, mode: str) -> None:
        self.network, self.seen, self.found, self.mode = network, seen, found, mode
        self.uses = network.uses()

    def inputs(self, node: Node) -> list[Value]:
        """What goes into `node`."""
        return [self.found.values[name] for name in node.inputs]

    def forward(self, node: Node, xs: Sequence[Value]) -> Value:
        """What `node` gives for `xs`."""
        return bounds.forward(node, xs, self.seen.unit, self.mode).out

    def is_there(self, node: Node, out: Value) -> bool:
        """Whether the other has `out` in the place of `node`; a value of another layer needs a witness."""
        if not np.isfinite(out.value).all():
            return False
        wide = Value(out.value, 4 * out.error)
        if any(np.array_equal(out.value, x.value) for x in self.inputs(node)):
            return self.is_confirmed(node, out)  # what goes in is there in any case
        for other in candidates(self.seen, self.found, node):
            if any(fits(value, wide) for _, value in layouts(other.value, out.value.shape)):
                return True
        shape = self.found.done[node.name].out.value.shape
        taken = any(
            fits(value, wide)
            for i in {*self.found.place.values()}
            for _, value in layouts(self.seen.values[i].value, out.value.shape)
        )
        return taken and out.value.shape == shape and self.is_confirmed(node, out)

    def is_confirmed(self, node: Node, out: Value) -> bool:
        """Whether a layer that takes `out` in place of the node's output gives something the other has."""
        for after in self.uses[node.name]:
            later = self._behind(node, out, after)
            if later is None:
                continue
            wide = Value(later.value, 4 * later.error)
            known = self.found.values.values()
            if any(v.value.shape == later.value.shape and fits(v.value, wide) for v in known):
                continue  # it is there in any case
            for other in candidates(self.seen, self.found, after):
                if any(fits(value, wide) for _, value in layouts(other.value, later.value.shape)):
                    return True
        return False

    def _behind(self, node: Node, out: Value, after: Node) -> Value | None:
        """What `after` gives for `out` in place of the output of `node`; None for another shape."""
        xs = [out if name == node.name else self.found.values[name] for name in after.inputs]
        try:
            return self.forward(after, xs)
        except Exception:  # shapes that the mistake changes
            return None

    def next_follows(self, node: Node, out: Value) -> bool:
        """Whether the next output that follows from `out` is there, or no other than the right one."""
        if node.name == self.network.output:
            scores = self.seen.scores
            wide = Value(out.value, 4 * out.error)
            return scores.size == out.value.size and fits(scores.reshape(out.value.shape), wide)
        if self.is_confirmed(node, out):
            return True
        for after in self.uses[node.name]:
            later, right = self._behind(node, out, after), self.found.values[after.name]
            if later is None:
                continue
            wide = Value(later.value, 4 * later.error)
            if later.value.shape == right.value.shape and fits(right.value, wide):
                return True
        return False

    def all_follows(self, node: Node, out: Value) -> bool:
        """Whether the scores are those that follow from `out` in the place of the node's output."""
        values, later = dict(self.found.values), {node.name}
        values[node.name] = out
        for after in self.network.nodes:
            if later.isdisjoint(after.inputs):
                continue
            try:
                values[after.name] = self.forward(after, [values[name] for name in after.inputs])
            except Exception:  # shapes that the mistake changes
                return False
            later.add(after.name)
        last, scores = values[self.network.output], self.seen.scores
        right = self.found.done[self.network.output].out
        if scores.size != last.value.size or self.network.output not in later:
            return False
        scores = scores.reshape(last.value.shape)
        size = float(np.sqrt((scores**2).mean()))
        if float(last.error.max(initial=0)) > 1e-2 * size:
            return False  # rounding is blown up on the way: they say nothing
        return fits(scores, last) and not fits(scores, right)

    def of_size(self, size: int) -> list[np.ndarray]:
        """Values of the other's that may be an array, and its parameters."""
        found = [seen.value for seen in self.seen.values if seen.value.size == size]
        kept = [*self.seen.params.values(), *self.seen.buffers.values()]
        return [*(a for a in kept if a.size == size), *found][:60]
