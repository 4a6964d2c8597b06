"""The recorded layer calls of one ``forward``, and how they are computed, forward and backward.

Backward plays the calls in reverse.  Each takes the gradient of its output, and its own hand-written
backward gives those of its inputs; where a value was used more than once, they are summed:

    dvalue = sum over the calls that took the value of what their backward gives for it

Neighbours that form a sandwich of `handgrad.layers`, with nobody else looking at what is between
them, become one step, which an engine may compute in fewer passes over memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from handgrad import layers
from handgrad.engines.arrays import Array
from handgrad.errors import HandgradError, OperationError
from handgrad.nn.activations import GELU, ReLU
from handgrad.nn.joins import Flatten
from handgrad.nn.layer import Layer, PairLayer, learned_ones
from handgrad.nn.linear import Affine, Conv2d
from handgrad.nn.norms import BatchNorm, LayerNorm, Norm
from handgrad.nn.pools import MaxPool
from handgrad.nn.value import Value
from handgrad.nn.whitening import Whitening

if TYPE_CHECKING:
    from handgrad.nn.built import Built

Arrays = dict[str, Array]
Own = Mapping[int, Layer]
_NONE: Own = {}

Chain = tuple[type[Layer], ...]

# neighbouring layers -> the sandwich that computes them; an affine layer flattens by itself
_SANDWICHES: dict[Chain, str] = {
    (BatchNorm, GELU): "bn_gelu",
    (Conv2d, MaxPool): "conv_pool",
    (Whitening, ReLU): "conv_relu",
    (Conv2d, ReLU): "conv_relu",
    (Conv2d, ReLU, MaxPool): "conv_relu_pool",
    (Conv2d, BatchNorm, ReLU): "conv_bn_relu",
    (Conv2d, BatchNorm, ReLU, MaxPool): "conv_bn_relu_pool",
    (Affine, ReLU): "affine_relu",
    (Affine, BatchNorm, ReLU): "affine_bn_relu",
    (Affine, LayerNorm, ReLU): "affine_ln_relu",
}
_CHAINS: set[Chain] = {*_SANDWICHES, (Flatten, Affine)}
_CHAINS |= {(Flatten, *chain) for chain in _SANDWICHES if chain[0] is Affine}
_BEGINNINGS = {chain[:length] for chain in _CHAINS for length in range(1, len(chain) + 1)}


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


class Step(NamedTuple):
    """What is computed in one go: one layer, or a chain of layers that forms a sandwich.

    label: for messages and activations; frees: values that nobody looks at afterwards.
    """

    layers: tuple[Layer, ...]
    sandwich: str | None
    inputs: tuple[int, ...]
    output: int
    label: str
    needs_dx: bool
    frees: tuple[int, ...]


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
        self.steps = _steps(_needed(graph.calls, output.index), output.index, fuse)
        self._sums: dict[int, np.ndarray] | None = {} if keep else None

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
            arrays = [values[i] for i in step.inputs]
            try:
                out, cache = _forward(step, arrays, params, own, self.mode)
            except HandgradError as error:
                raise self._named(step, error) from error
            if caches is not None:
                caches.append(cache)
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
            values[step.output], _ = _forward(step, inputs, params, own, self.mode)
        return calls

    def backward(self, dscores: Array, caches: list[Any]) -> Arrays:
        """Go back through the steps; use up `caches`, and return the gradients of the parameters."""
        gradients: Arrays = {}
        douts: dict[int, Array] = {self.output: dscores}
        for step in reversed(self.steps):
            dout, cache = douts.pop(step.output, None), caches.pop()
            if dout is None:
                continue  # neither it nor anything in front of it learns
            try:
                dxs, dparams = _backward(step, dout, cache)
            except HandgradError as error:
                raise self._named(step, error) from error
            names = [name for layer in step.layers for name in layer.parameters]
            for name, gradient in zip(names, dparams, strict=True):
                known = gradients.get(name)
                gradients[name] = gradient if known is None else known + gradient
            if step.needs_dx:
                for i, dx in zip(step.inputs, dxs, strict=True):
                    douts[i] = dx if i not in douts else self._sum(i, douts[i], dx)
        return gradients

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

    def _named(self, step: Step, error: HandgradError) -> HandgradError:
        """Return `error` with the names of the network and the layer in front."""
        return type(error)(f"{self.model._name}, layer {step.label}: {error}")


def _forward(step: Step, xs: list[Array], params: Arrays, own: Own, mode: str) -> tuple[Array, Any]:
    if step.sandwich is None:
        layer = step.layers[-1]  # an affine layer flattens by itself
        layer = own.get(id(layer), layer)
        return layer.forward(xs, [params[name] for name in layer.parameters], mode)
    (x,) = xs
    arrays: list[tuple[Array, bool]] = []
    options: list[Any] = []
    for known in step.layers:
        layer = own.get(id(known), known)
        assert isinstance(layer, PairLayer)
        arrays += layer.arrays(x, [params[name] for name in layer.parameters])
        if isinstance(layer, LayerNorm):
            options.append(layer.param)  # behind an affine layer, whatever x is
        else:
            options += layer.options(x, mode)
    forward = getattr(layers, step.sandwich + "_forward")
    out, cache = forward(x, *(array for array, _ in arrays), *options)
    return out, ([learned for _, learned in arrays], cache)


def _backward(step: Step, dout: Array, cache: Any) -> tuple[Sequence[Array], Sequence[Array]]:
    if step.sandwich is None:
        layer = step.layers[-1]
        if step.needs_dx:
            return layer.backward(dout, cache)
        return (), layer.backward_of_parameters(dout, cache)
    learned, kept = cache
    backward = getattr(layers, step.sandwich + "_backward")
    dx, *own = backward(dout, kept, need_dx=step.needs_dx)
    return (dx,), learned_ones(own, learned)


def _needed(calls: list[Call], output: int) -> list[Call]:
    """Return the calls that value number `output` depends on."""
    wanted, needed = {output}, []
    for call in reversed(calls):
        if call.output in wanted:
            needed.append(call)
            wanted.update(call.inputs)
    return needed[::-1]


def _steps(calls: list[Call], output: int, fuse: bool) -> list[Step]:
    uses = Counter(i for call in calls for i in call.inputs)
    takers = {i: call for call in calls for i in call.inputs}  # the only one where uses is 1
    learns: set[int] = set()  # values that parameters have an influence on
    chains: list[list[Call]] = []
    done: set[int] = set()
    for call in calls:
        if call.output in done:
            continue
        chain = _chain(call, uses, takers) if fuse else [call]
        done.update(link.output for link in chain)
        chains.append(chain)
    last_use = {i: place for place, chain in enumerate(chains) for i in chain[0].inputs}
    steps = []
    for place, chain in enumerate(chains):
        first, last = chain[0], chain[-1]
        needs_dx = any(i in learns for i in first.inputs)
        if needs_dx or any(link.layer.parameters for link in chain):
            learns.add(last.output)
        types = _types(chain)
        main = next((link for link in chain if link.layer.parameters), last)
        steps.append(
            Step(
                tuple(link.layer for link in chain),
                _SANDWICHES.get(types[1:] if types[0] is Flatten else types),
                first.inputs,
                last.output,
                main.label,
                needs_dx,
                tuple(i for i in dict.fromkeys(first.inputs) if last_use[i] == place),
            )
        )
    return steps


def _chain(call: Call, uses: Counter[int], takers: dict[int, Call]) -> list[Call]:
    """Return the longest chain of `_CHAINS` that begins with `call`, or [call]."""
    chain, best = [call], 1
    if _leaves_out(call.layer):
        return chain
    while _types(chain) in _BEGINNINGS:
        if _types(chain) in _CHAINS:
            best = len(chain)
        end = chain[-1].output
        if uses[end] != 1 or end not in takers:
            break
        if _leaves_out(takers[end].layer):
            break
        chain.append(takers[end])
    return chain[:best]


def _leaves_out(layer: Layer) -> bool:
    """Return whether it has no gamma or no beta, which all sandwiches with a normalisation take."""
    return isinstance(layer, Norm) and not (layer.scale and layer.shift)


def _types(chain: list[Call]) -> Chain:
    """Return the classes of the layers; a subclass may compute something else, and is not fused."""
    return tuple(type(link.layer) for link in chain)
