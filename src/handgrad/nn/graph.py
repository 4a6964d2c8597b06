"""The recorded layer calls of one ``forward``, and how they are computed, forward and backward.

Backward plays the calls in reverse.  Each call takes the gradient of its output, and its own hand-written
backward returns the gradients of its inputs.  A value may be the input of several calls; its gradient is
the sum of the gradients that these calls return for it:

    dvalue = sum of dinput over all calls whose input is the value

Neighbours that form a chain of `handgrad.layers.chain`, with no other layer reading the values
between them, become one step, which an engine may compute in fewer passes over memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from handgrad import layers
from handgrad.engines.arrays import Array
from handgrad.errors import HandgradError, OperationError
from handgrad.layers import chain
from handgrad.nn.layer import Layer, PairLayer, learned_ones
from handgrad.nn.leaving import Take
from handgrad.nn.norms import Norm
from handgrad.nn.value import Value

if TYPE_CHECKING:
    from handgrad.nn.built import Built

Arrays = dict[str, Array]
Own = Mapping[int, Layer]
_NONE: Own = {}

_ALONE = ("affine", "conv", "bn", "relu", "gelu", "pool")  # what a single layer is a chain of


class Call(NamedTuple):
    """A recorded call: values number `inputs` go into `layer`, value number `output` comes out."""

    layer: Layer
    inputs: tuple[int, ...]
    output: int
    shape: tuple[int, ...]
    label: str


class Graph:
    """The calls of one run of ``model.forward`` in the order in which they were made."""

    def __init__(self, model: Built, mode: str, shapes: Sequence[tuple[int, ...]]) -> None:
        """Begin with the inputs of the network, of `shapes` (N, ...)."""
        self.model = model
        self.mode = mode
        self.calls: list[Call] = []
        self.inputs = [Value(self, i, tuple(shape)) for i, shape in enumerate(shapes)]
        self._uses: Counter[int] = Counter()

    def add(self, layer: Layer, values: Sequence[Value]) -> Value:
        """Record a call of `layer`; return its output."""
        for value in values:
            if value.graph is not self:
                raise OperationError(
                    f"{self.model._name}.forward: {layer!r} was given a value of another call of "
                    "forward; values must not be kept from call to call"
                )
        label, shape = self.model._admit(layer, tuple(value.shape[1:] for value in values))
        self._uses[id(layer)] += 1
        if self._uses[id(layer)] > 1 and layer._root is not None:
            label = f"{label}#{self._uses[id(layer)]}"
        output = Value(self, len(self.inputs) + len(self.calls), (values[0].shape[0], *shape))
        inputs = tuple(value.index for value in values)
        self.calls.append(Call(layer, inputs, output.index, output.shape, label))
        return output

    def shape_of(self, value: int) -> tuple[int, ...]:
        """Return the shape of value number `value`."""
        inputs = len(self.inputs)
        return self.inputs[value].shape if value < inputs else self.calls[value - inputs].shape


class Step(NamedTuple):
    """What is computed in one go: one layer, or a chain of layers.

    Attributes:
        chain: its name, None where the layer calls its own pair.
        plain: for each layer of a chain the options of its pair, where they are fixed and all its
            arrays are parameters, else None.
        options: those of all, where all are.
        names: of all parameters.
        label: for messages and activations.
        frees: values that are not looked at afterwards.
    """

    layers: tuple[Layer, ...]
    chain: str | None
    plain: tuple[tuple[Any, ...] | None, ...]
    options: tuple[Any, ...] | None
    names: tuple[str, ...]
    inputs: tuple[int, ...]
    output: int
    label: str
    needs_dx: bool
    frees: tuple[int, ...]

    @property
    def sandwich(self) -> str | None:
        """The name of a chain of several pairs."""
        return self.chain if self.chain in chain.CHAINS else None


class Plan:
    """The steps that compute a graph, in a fixed order.

    The plan of a compiled network is kept, and the sums of gradients have their own memory in it,
    which every step of training uses again.
    """

    def __init__(self, graph: Graph, output: Value, fuse: bool, keep: bool = False) -> None:
        """Plan for the calls that `output` depends on; `keep` memory for sums from call to call."""
        self.model, self.mode = graph.model, graph.mode
        self.output = output.index
        self.shapes = tuple(value.shape for value in graph.inputs)
        self.steps = _steps(graph, output.index, fuse)
        self._sums: dict[int, np.ndarray] | None = {} if keep else None
        # of the first training step, for `handgrad.nn.compiled.calls`: how outputs (by value) and gradients
        # (by value and that of the input) lie in memory, see `order_of`; and what no plan takes, and why
        self.orders: dict[Any, bool | None] = {}
        self.alone: dict[Any, str] = {}

    def forward(
        self,
        xs: Sequence[Array],
        params: Arrays,
        caches: list[Any] | None = None,
        outputs: Arrays | None = None,
        own: Own = _NONE,
    ) -> Array:
        """Compute the scores; collect caches, and outputs by label, where asked to.

        own: for layers that keep buffers those of this call, by the layer's id (`Layer.in_call`).
        """
        values: dict[int, Array] = dict(enumerate(xs))
        for step in self.steps:
            try:
                out, cache = forward_of(step, values, params, own, self.mode)
            except HandgradError as error:
                named = self.model._of_layer(step.label, error)
                if named is error:
                    raise
                raise named from error
            except Exception as error:
                self._note_layer(step, error)
                raise
            if caches is not None:
                caches.append(cache)
                if step.output not in self.orders:
                    self.orders[step.output] = order_of(out)
            if outputs is not None:
                outputs[step.label] = out
            values[step.output] = out
            for i in step.frees:
                del values[i]
        return values[self.output]

    def trace(
        self, xs: Sequence[Array], params: Arrays, own: Own
    ) -> list[tuple[str, Layer, list[Array], list[Array]]]:
        """Compute the steps, each of one layer; return each one's name, layer, inputs, parameters."""
        values: dict[int, Array] = dict(enumerate(xs))
        calls = []
        for step in self.steps:
            layer = step.layers[-1]
            inputs = [values[i] for i in step.inputs]
            calls.append((step.label, layer, inputs, [params[name] for name in layer.parameters]))
            values[step.output], _ = forward_of(step, values, params, own, self.mode)
        return calls

    def backward(self, dscores: Array, caches: list[Any], take: Take | None = None) -> Arrays:
        """Go back through the steps; use up `caches`, and return the gradients of the parameters.

        `take` is handed each of them as soon as it is complete.
        """
        gradients: Arrays = {}
        uses = Counter(name for step in self.steps for name in step.names) if take else None
        douts: dict[int, Array] = {self.output: dscores}
        for step in reversed(self.steps):
            dout, cache = douts.pop(step.output, None), caches.pop()
            if dout is None:  # neither it nor anything in front of it learns
                if take and uses:
                    _hand_over(take, uses, step.names, gradients)
                continue
            try:
                dxs, dparams = backward_of(step, dout, cache)
            except HandgradError as error:
                named = self.model._of_layer(step.label, error)
                if named is error:
                    raise
                raise named from error
            except Exception as error:
                self._note_layer(step, error)
                raise
            for name, gradient in zip(step.names, dparams, strict=True):
                known = gradients.get(name)
                gradients[name] = gradient if known is None else known + gradient
            if take and uses:
                _hand_over(take, uses, step.names, gradients)
            if step.needs_dx:
                for i, dx in zip(step.inputs, dxs, strict=True):
                    if (step.output, i) not in self.orders:
                        self.orders[step.output, i] = order_of(dx)
                    douts[i] = dx if i not in douts else self._sum(i, douts[i], dx)
        return gradients

    def _note_layer(self, step: Step, error: Exception) -> None:
        """Let an error of Python's own say which layer it comes from."""
        error.add_note(f"{self.model._name}: in the layer {step.label}, {step.layers[-1]!r}")

    def _sum(self, value: int, a: Array, b: Array) -> Array:
        """Return a + b, in a compiled network in memory that is used again."""
        if self._sums is None or not isinstance(a, np.ndarray):
            return layers.add_forward(a, b)[0]
        known = self._sums.get(value)
        if known is None or known is a or known.shape != a.shape or known.dtype != a.dtype:
            # the first sum of a value; a third gradient is added to the sum of the first two
            total = layers.add_forward(a, b)[0] if known is not a else np.add(a, b, out=a)
            self._sums[value] = total
            return total
        return np.add(a, b, out=known)


def order_of(array: Any) -> bool | None:
    """Return whether an array is channels-last in memory; False in rows order, None in any other."""
    if type(array) is not np.ndarray:
        return None
    if array.flags.c_contiguous:
        return False
    axes = (0, *range(2, array.ndim), 1) if array.ndim > 2 else (0, 1)[: array.ndim]
    return True if array.transpose(axes).flags.c_contiguous else None


def _hand_over(take: Take, uses: Counter[str], names: Sequence[str], gradients: Arrays) -> None:
    """Hand over the gradients of `names` that no step in front of this one adds to."""
    for name in names:
        uses[name] -= 1
        if uses[name] == 0 and name in gradients:
            take(name, gradients[name])


def forward_of(
    step: Step, values: Mapping[int, Array], params: Arrays, own: Own, mode: str
) -> tuple[Array, Any]:
    """Compute a step; return its output and what `backward_of` needs."""
    if step.chain is None:
        layer = step.layers[-1]
        layer = own.get(id(layer), layer)
        xs = [values[i] for i in step.inputs]
        return layer.forward(xs, [params[name] for name in layer.parameters], mode)
    x = values[step.inputs[0]]
    if step.options is not None:
        arrays = [x, *map(params.__getitem__, step.names)]
        return chain.forward(step.chain, arrays, step.options)
    arrays = [x]
    options: list[Any] = []
    learned: list[bool] = []
    for known, plain in zip(step.layers, step.plain, strict=True):
        if plain is not None:
            options += plain
            for name in known.parameters:
                arrays.append(params[name])
                learned.append(True)
            continue
        layer = own.get(id(known), known)
        assert isinstance(layer, PairLayer)
        for array, is_own in layer.arrays(x, [params[name] for name in layer.parameters]):
            arrays.append(array)
            learned.append(is_own)
        options += layer.options(x, mode)
    out, cache = chain.forward(step.chain, arrays, options)
    return out, (learned, cache)


def backward_of(step: Step, dout: Array, cache: Any) -> tuple[Sequence[Array], Sequence[Array]]:
    """Return the gradients of a step's inputs, and those of its parameters."""
    if step.chain is None:
        layer = step.layers[-1]
        if step.needs_dx:
            return layer.backward(dout, cache)
        return (), layer.backward_of_parameters(dout, cache)
    if step.options is not None:
        dx, *own = chain.backward(step.chain, dout, cache, step.needs_dx)
        return (dx,), own
    learned, kept = cache
    dx, *own = chain.backward(step.chain, dout, kept, step.needs_dx)
    return (dx,), own if all(learned) else learned_ones(own, learned)


def _needed(calls: list[Call], output: int) -> list[Call]:
    """Return the calls that value number `output` depends on."""
    wanted, needed = {output}, []
    for call in reversed(calls):
        if call.output in wanted:
            needed.append(call)
            wanted.update(call.inputs)
    return needed[::-1]


def _steps(graph: Graph, output: int, fuse: bool) -> list[Step]:
    calls = _needed(graph.calls, output)
    uses = Counter(i for call in calls for i in call.inputs)
    takers = {i: call for call in calls for i in call.inputs}  # the only one where uses is 1
    learns: set[int] = set()  # values that parameters have an influence on
    chains: list[tuple[list[Call], str | None]] = []
    done: set[int] = set()
    for call in calls:
        if call.output not in done:
            linked, name = _chain(call, uses, takers, fuse)
            done.update(link.output for link in linked)
            chains.append((linked, name))
    last_use = {i: place for place, (linked, _) in enumerate(chains) for i in linked[0].inputs}
    steps = []
    for place, (linked, name) in enumerate(chains):
        first, last = linked[0], linked[-1]
        needs_dx = any(i in learns for i in first.inputs)
        if needs_dx or any(link.layer.parameters for link in linked):
            learns.add(last.output)
        main = next((link for link in linked if link.layer.parameters), last)
        plain = tuple(_plain(graph, link) if name else None for link in linked)
        fixed = [options for options in plain if options is not None]
        steps.append(
            Step(
                tuple(link.layer for link in linked),
                name,
                plain,
                tuple(sum(fixed, ())) if len(fixed) == len(plain) else None,
                tuple(name for link in linked for name in link.layer.parameters),
                first.inputs,
                last.output,
                main.label,
                needs_dx,
                tuple(i for i in dict.fromkeys(first.inputs) if last_use[i] == place),
            )
        )
    return steps


def _chain(
    call: Call, uses: Counter[int], takers: dict[int, Call], fuse: bool
) -> tuple[list[Call], str | None]:
    """Return the longest chain that begins with `call`, and its name; [call] and None where it is in none."""
    linked, end = [call], call
    while fuse and _link(end) and not _leaves_out(end.layer) and uses[end.output] == 1:
        end = takers[end.output]
        linked.append(end)
    parts = [_link(link) for link in linked if not _leaves_out(link.layer)]
    flattens = int(parts[:2] == ["flatten", "affine"])  # an affine layer flattens by itself
    name = chain.longest(parts[flattens:]) or _link(linked[flattens])
    if name not in chain.CHAINS and name not in _ALONE:
        return [call], None
    return linked[: flattens + 1 + name.count("_")], name


def _link(call: Call) -> str:
    """Return what a layer is called in chains; a subclass may compute something else, and is in none."""
    link: str = vars(type(call.layer)).get("link", "")
    return link


def _leaves_out(layer: Layer) -> bool:
    """Return whether it has no gamma or no beta, which all chains with a normalisation take."""
    return isinstance(layer, Norm) and not (layer.scale and layer.shift)


def _plain(graph: Graph, call: Call) -> tuple[Any, ...] | None:
    """Return the options of a layer in a chain, or None where they, or its arrays, are made for each call."""
    layer, place = call.layer, call.inputs[0]
    assert isinstance(layer, PairLayer)
    if layer.keeps or len(layer.parameters) != len(chain.arrays_of(layer.link)):
        return None
    return layer.options(Value(graph, place, graph.shape_of(place)), graph.mode)
