"""Looking for the mistake that explains a difference: what it would give must be among the other's values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from handgrad.interop import bounds
from handgrad.interop.bounds import Value
from handgrad.interop.causes import causes
from handgrad.interop.evidence import Evidence
from handgrad.interop.match import Found, candidates, fits, layouts
from handgrad.interop.network import POINTWISE, Network, Node
from handgrad.interop.parameters import turns
from handgrad.interop.relations import relation, unbiased
from handgrad.interop.solved import solved
from handgrad.interop.trace import Trace


class Search(Evidence):
    """Looks among the other's values for what a mistake would give."""

    def __init__(self, network: Network, seen: Trace, found: Found, mode: str) -> None:
        super().__init__(network, seen, found, mode)
        self.explains: Callable[[Node, Value], bool] = self.all_follows
        self._first_output: str | None = None

    def cause(self, node: Node) -> str | None:
        """The words for the mistake at `node`, None where no known one fits."""
        for explains in (self.all_follows, self.next_follows):
            self.explains = explains
            looks = (
                self.turned_round, self.known, self.exchanged, self.changed_arrays, self.not_loaded,
                self.between, self.moved, self.normalised, self.output,
            )  # fmt: skip
            for look in looks:
                words = look(node)
                if words:
                    return words
        words = self.shares(node) or self.solved(node) or self.seen_alone(node)
        for explains in (self.all_follows, self.next_follows):
            self.explains = explains
            words = words or self.between(node, True)
        return words or self.shape(node)

    def known_cause(self, node: Node) -> str | None:
        """The words for a mistake of the table at `node` alone, None where none fits."""
        for explains in (self.all_follows, self.next_follows):
            self.explains = explains
            words = self.known(node)
            if words:
                return words
        return None

    def known(self, node: Node) -> str | None:
        """One of the list of mistakes, if what follows from it is there as well."""
        for words, out in causes(node, self.inputs(node), self.seen.unit, self.mode):
            if out is not None and self.is_there(node, out) and self.explains(node, out):
                return words
        return None

    def seen_alone(self, node: Node) -> str | None:
        """One of the list of mistakes, though nothing that follows from it is there."""
        for words, out in causes(node, self.inputs(node), self.seen.unit, self.mode):
            if out is not None and self.is_there(node, out):
                return words
        return self._first_output

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
        if node.op in ("flatten", "dropout"):
            return None
        xs = self.inputs(node)
        for i, (own, x) in enumerate(zip(node.inputs, xs, strict=True)):
            for name, value in self.found.values.items():
                if (
                    name == own
                    or name not in self.found.place
                    or value.value.shape != x.value.shape
                ):
                    continue
                out = self.forward(node, [*xs[:i], value, *xs[i + 1 :]])
                if np.array_equal(out.value, value.value):
                    continue  # it is there in any case
                if self.is_there(node, out):
                    which = "its input" if len(xs) == 1 else "one of its inputs"
                    return f"{which} is {name}, not {own}"
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

    def changed_arrays(self, node: Node) -> str | None:
        """The weights are changed on the way, or hold other numbers."""
        for role, array in node.arrays.items():
            mine = Value(np.asarray(array, np.float64), 4 * self.seen.unit * np.abs(array))
            for value in self.of_size(array.size):
                for turn in turns(node, role, array.shape):
                    other = turn(np.asarray(value, np.float64))
                    if other is None or fits(other, mine) or not np.isfinite(other).all():
                        continue
                    changed = replace(node, arrays={**node.arrays, role: other})
                    try:
                        out = self.forward(changed, self.inputs(node))
                    except Exception:  # such numbers are none that the layer takes
                        continue
                    if self.is_there(node, out) and self.explains(node, out):
                        words = relation(other, mine, self.seen.unit)
                        if role == "var":
                            words = unbiased(other, mine.value) or words
                        return f"{role} holds other numbers" + (f": {words}" if words else "")
        return None

    def not_loaded(self, node: Node) -> str | None:
        """All arrays of the layer are others, side by side in one module of the other network."""
        if len(node.params) < 2:
            return None
        for prefix in dict.fromkeys(name.rpartition(".")[0] for name in self.seen.params):
            own = [
                np.asarray(a, np.float64)
                for name, a in self.seen.params.items()
                if name.rpartition(".")[0] == prefix
            ]
            arrays = {}
            for role, array in node.arrays.items():
                made = (turn(a) for a in own for turn in turns(node, role, array.shape))
                arrays[role] = next((a for a in made if a is not None), array)
            if any(np.allclose(arrays[r], node.arrays[r], rtol=1e-5) for r in node.params):
                continue
            if self.is_there(node, self.forward(replace(node, arrays=arrays), self.inputs(node))):
                return f"its weights are others altogether, in {prefix}: not loaded, or trained further"
        return None

    def between(self, node: Node, unknown: bool = False) -> str | None:
        """Something is done to a value between the layer that gives it and `node`; `unknown`: anything."""
        xs = self.inputs(node)
        taken = {*self.found.place.values()}
        for i, (name, x) in enumerate(zip(node.inputs, xs, strict=True)):
            start = self.found.place.get(name, 0)
            for k, seen in enumerate(self.seen.values):
                if k <= start or k in taken:
                    continue
                for _, value in layouts(seen.value, x.value.shape):
                    if fits(value, x) or not np.isfinite(value).all():
                        continue
                    out = self.forward(node, [*xs[:i], Value.exact(value), *xs[i + 1 :]])
                    if self.is_there(node, out) and self.explains(node, out):
                        words = self._at_once(name, value, x) or relation(value, x, self.seen.unit)
                        if words is None and unknown:
                            words = "another operation stands there"
                        if words is not None:
                            return f"between {name} and {node.name}: {words}"
        return None

    def _at_once(self, name: str, value: np.ndarray, x: Value) -> str | None:
        """What the layer `name` does twice, or not at all, so that its output x is `value`."""
        node = next((node for node in self.network.nodes if node.name == name), None)
        error = 8 * x.error + 8 * self.seen.unit * (np.abs(x.value) + np.abs(value))
        if node is not None and "b" in node.arrays:
            b = np.asarray(node.arrays["b"]).reshape((1, -1) + (1,) * (x.value.ndim - 2))
            if fits(value, Value(x.value + b, error)):
                return f"the bias of {name} is added twice"
        if node is not None and node.op == "avg_pool":
            window = int(np.prod(node.options["size"]))
            if fits(value, Value(window * x.value, window * error)):
                return f"the windows of {name} are summed, not averaged"
        return None

    def normalised(self, node: Node) -> str | None:
        """An eps of another size, of a normalisation."""
        return self.solved(node) if node.op in bounds.NORMS else None

    def solved(self, node: Node) -> str | None:
        """An option of another size than any in the list, or another function of each number."""
        if len(node.inputs) != 1:
            return None
        (x,), right = self.inputs(node), self.found.done[node.name].out.value
        first = None
        for other in candidates(self.seen, self.found, node):
            for _, value in layouts(other.value, right.shape):
                words = solved(node, x, value, right, self.mode, self.forward)
                if words and self.all_follows(node, Value.exact(value)):
                    return words
                first = first or words
        return first

    def shape(self, node: Node) -> str | None:
        """Images of another size come out."""
        out = self.found.done[node.name].out.value
        others = candidates(self.seen, self.found, node)
        for other in sorted(others, key=lambda one: one.value.size != out.size)[:1]:
            shape = other.value.shape
            if len(shape) == out.ndim == 4 and shape[:2] == out.shape[:2] and shape != out.shape:
                return f"its output has the shape {shape}, not {out.shape}"
        return None

    def output(self, node: Node) -> str | None:
        """What the other has in the place of the output follows from it."""
        out = self.found.done[node.name].out
        first = None
        for other in candidates(self.seen, self.found, node):
            for _, value in layouts(other.value, out.value.shape):
                words = relation(value, out, self.seen.unit)
                if words is None or not np.isfinite(value).all():
                    continue
                if self.explains(node, Value(value, out.error)):
                    function = self.solved(node) if " of its " in words else None
                    return self._untouched(node, value, out) or function or words
                if " of its " not in words:
                    first = first or words
        self._first_output = first
        return None

    def _untouched(self, node: Node, value: np.ndarray, out: Value) -> str | None:
        """Where an activation lets its input through as it is."""
        bad = np.abs(value - out.value) > 4 * out.error
        if node.op not in POINTWISE or not bad.any():
            return None
        x = self.inputs(node)[0].value[bad]
        if not fits(value[bad], Value(x, 4 * out.error[bad] + 8 * self.seen.unit * np.abs(x))):
            return None
        return (
            f"the input comes through as it is, of the numbers from {x.min():.3g} to {x.max():.3g}"
        )

    def _turned_sum(self, node: Node) -> str | None:
        """The activation behind a sum stands in front of it."""
        (after,) = self.uses[node.name] if len(self.uses[node.name]) == 1 else (node,)
        if after.op not in POINTWISE or after.arrays:
            return None
        one, two = self.inputs(node)
        first, second = (self.forward(after, [x]) for x in (one, two))
        for a, b in ((first, two), (one, second), (first, second)):
            out = self.forward(node, [a, b])
            if self.is_there(after, out) and self.explains(after, out):
                return f"{after.name} stands in front of the sum, not behind it"
        return None

    def _behind_sum(self, node: Node) -> str | None:
        """The activation in front of a sum stands behind it."""
        uses = self.uses[node.name]
        if node.op not in POINTWISE or node.arrays or len(uses) != 1 or uses[0].op != "add":
            return None
        xs = [
            self.inputs(node)[0] if name == node.name else self.found.values[name]
            for name in uses[0].inputs
        ]
        total = self.forward(uses[0], xs)
        out = self.forward(node, [total])
        if (
            self.is_there(uses[0], total)
            and self.is_there(uses[0], out)
            and self.explains(uses[0], out)
        ):
            return f"{node.name} stands behind the sum {uses[0].name}, not in front of it"
        return None

    def turned_round(self, node: Node) -> str | None:
        """The layer behind this one stands in front of it."""
        if node.op == "add":
            return self._turned_sum(node)
        words = self._behind_sum(node)
        if words:
            return words
        for after in self.uses[node.name]:
            if len(self.uses[node.name]) > 1 or {len(node.inputs), len(after.inputs)} != {1}:
                continue
            try:
                out = self.forward(node, [self.forward(after, self.inputs(node))])
            except Exception:  # it takes other shapes
                continue
            if self.is_there(after, out) and self.explains(after, out):
                return f"{after.name} stands in front of {node.name}, not behind it"
        return None

    def shares(self, node: Node) -> str | None:
        """Two other numbers than 1 and 1 multiply the values of a sum."""
        if node.op != "add":
            return None
        out = self.found.done[node.name].out
        parts = np.stack([x.value.reshape(-1) for x in self.inputs(node)], axis=1)
        for other in candidates(self.seen, self.found, node):
            for _, value in layouts(other.value, out.value.shape):
                (a, b), *_ = np.linalg.lstsq(parts, value.reshape(-1), rcond=None)
                sizes = np.abs(parts).sum(axis=1).reshape(out.value.shape)
                made = Value((parts @ [a, b]).reshape(out.value.shape), 32 * self.seen.unit * sizes)
                if fits(value, made) and max(abs(a), abs(b)) > 1e-3:
                    return f"the values are multiplied by {a:.4g} and {b:.4g} before they are added"
        return None
