"""Looking for the mistake that explains a difference: what it would give must be among the other's values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from handgrad.interop import bounds
from handgrad.interop.bounds import Value
from handgrad.interop.causes import causes
from handgrad.interop.match import Found, candidates, fits, layouts
from handgrad.interop.network import Network, Node
from handgrad.interop.trace import Trace


class Search:
    """Looks among the other's values for what a mistake would give."""

    def __init__(self, network: Network, seen: Trace, found: Found, mode: str) -> None:
        self.network, self.seen, self.found, self.mode = network, seen, found, mode
        self.uses = network.uses()

    def cause(self, node: Node) -> str | None:
        """The words for the mistake at `node`, None where no known one fits."""
        return self.known(node) or self.exchanged(node) or self.moved(node) or self.ratio(node)

    def inputs(self, node: Node) -> list[Value]:
        """What goes into `node`."""
        return [self.found.values[name] for name in node.inputs]

    def forward(self, node: Node, xs: Sequence[Value]) -> Value:
        """What `node` gives for `xs`."""
        return bounds.forward(node, xs, self.seen.unit, self.mode).out

    def known(self, node: Node) -> str | None:
        """One of the list of mistakes."""
        for words, out in causes(node, self.inputs(node), self.seen.unit, self.mode):
            if out is not None and self.is_there(node, out):
                return words
        return None

    def exchanged(self, node: Node) -> str | None:
        """The weights of another layer of the same form."""
        for other in self.network.nodes:
            forms = [{r: a.shape for r, a in n.arrays.items()} for n in (node, other)]
            if (
                other.name == node.name
                or other.op != node.op
                or forms[0] != forms[1]
                or not forms[0]
            ):
                continue
            if self.is_there(
                node, self.forward(replace(node, arrays=other.arrays), self.inputs(node))
            ):
                return f"it has the weights of {other.name}"
        return None

    def moved(self, node: Node) -> str | None:
        """Another value goes in."""
        if len(node.inputs) != 1 or node.op in ("flatten", "dropout"):
            return None
        (x,) = self.inputs(node)
        for name, value in self.found.values.items():
            if name == node.inputs[0] or name not in self.found.place:
                continue
            if value.value.shape == x.value.shape and self.is_there(
                node, self.forward(node, [value])
            ):
                return f"its input is {name}, not {node.inputs[0]}"
        return None

    def of_input(self, node: Node, front: Node) -> str | None:
        """A mistake in the layer in front, whose right output is there as well."""
        for words, out in causes(front, self.inputs(front), self.seen.unit, self.mode):
            if out is not None and out.value.shape == self.found.values[front.name].value.shape:
                xs = [
                    out if name == front.name else self.found.values[name] for name in node.inputs
                ]
                if self.is_there(node, self.forward(node, xs)):
                    return words
        return None

    def is_there(self, node: Node, out: Value) -> bool:
        """Whether the other has `out` in the place of `node`; a value of another layer needs a witness."""
        if not np.isfinite(out.value).all():
            return False
        wide = Value(out.value, 4 * out.error)
        if any(np.array_equal(out.value, x.value) for x in self.inputs(node)):
            return self._is_confirmed(node, out)  # what goes in is there in any case
        for other in candidates(self.seen, self.found, node):
            if any(fits(value, wide) for _, value in layouts(other.value, out.value.shape)):
                return True
        shape = self.found.done[node.name].out.value.shape
        taken = any(
            fits(value, wide)
            for i in {*self.found.place.values()}
            for _, value in layouts(self.seen.values[i].value, out.value.shape)
        )
        return taken and out.value.shape == shape and self._is_confirmed(node, out)

    def _is_confirmed(self, node: Node, out: Value) -> bool:
        """Whether a layer that takes `out` in place of the node's output gives something the other has."""
        for after in self.uses[node.name]:
            xs = [out if name == node.name else self.found.values[name] for name in after.inputs]
            later = self.forward(after, xs)
            wide = Value(later.value, 4 * later.error)
            known = self.found.values.values()
            if any(v.value.shape == later.value.shape and fits(v.value, wide) for v in known):
                continue  # it is there in any case
            for other in candidates(self.seen, self.found, after):
                if any(fits(value, wide) for _, value in layouts(other.value, later.value.shape)):
                    return True
        return False

    def ratio(self, node: Node) -> str | None:
        """One number multiplies, or is added to, all."""
        out = self.found.done[node.name].out
        if node.op == "add":
            return self.shares(node, out)
        for other in candidates(self.seen, self.found, node):
            for _, value in layouts(other.value, out.value.shape):
                size = float((out.value**2).sum())
                factor = float((value * out.value).sum()) / size if size else 0.0
                error = 8 * out.error + 16 * self.seen.unit * np.abs(out.value)
                if abs(factor) > 1e-6 and fits(value / factor, Value(out.value, error)):
                    return f"it is multiplied by {factor:.6g}"
                shift = float((value - out.value).mean())
                if fits(value - shift, Value(out.value, 8 * out.error + 1e-7 * abs(shift))):
                    return f"{shift:.6g} is added"
        return None

    def shares(self, node: Node, out: Value) -> str | None:
        """Two other numbers than 1 and 1 multiply the values of a sum."""
        parts = np.stack([x.value.reshape(-1) for x in self.inputs(node)], axis=1)
        for other in candidates(self.seen, self.found, node):
            for _, value in layouts(other.value, out.value.shape):
                (a, b), *_ = np.linalg.lstsq(parts, value.reshape(-1), rcond=None)
                sizes = np.abs(parts).sum(axis=1).reshape(out.value.shape)
                made = Value((parts @ [a, b]).reshape(out.value.shape), 32 * self.seen.unit * sizes)
                if fits(value, made) and max(abs(a), abs(b)) > 1e-3:
                    return f"the values are multiplied by {a:.4g} and {b:.4g} before they are added"
        return None
