"""The steps of a network as operations of a plan, forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from handgrad import engines
from handgrad.layers import chain
from handgrad.nn.activations import Dropout
from handgrad.nn.compiled import layers as lowered
from handgrad.nn.compiled import others, sequences
from handgrad.nn.compiled.calls import Calls
from handgrad.nn.compiled.layers import CURVES, Array, Lowered, Moments, Part
from handgrad.nn.compiled.memory import NONE, Memory, NotCovered, Ref
from handgrad.nn.compiled.scored import lower_scores
from handgrad.nn.custom import CustomLayer
from handgrad.nn.graph import Plan, Step
from handgrad.nn.joins import Add, Concat
from handgrad.nn.layer import Layer, PairLayer
from handgrad.nn.linear import Linear
from handgrad.nn.norms import BatchNorm, Norm
from handgrad.nn.pools import AvgPool, Upsample
from handgrad.nn.whitening import Whitening

_RUNNING = ("running_mean", "running_var", "momentum")
_METHODS = ("forward", "backward", "backward_of_parameters")


class Norming(NamedTuple):
    """A batch normalisation of the network, and the slots of its moments in a step."""

    layer: BatchNorm
    moments: Moments


class Network:
    """The operations of a network for batches of one shape.

    Attributes:
        norms: its batch normalisations in the order of their steps.
        filters: the layers that keep theirs as buffers, and their shapes.
        streams: where each dropout draws from.
        settings: what the layers' options were, for `same_settings`.
    """

    def __init__(
        self,
        plan: Plan,
        memory: Memory,
        own: Mapping[int, Layer],
        x: Ref,
        weights: Mapping[str, int],
        gradients: Mapping[str, int] | None,
        calls: Calls | None = None,
    ) -> None:
        """Add the operations of the forward, in the mode of `plan`.

        Args:
            plan: the steps.
            memory: what the operations are added to.
            own: for layers that keep buffers those of a call that computes nothing.
            x: the batch.
            weights, gradients: the slots of the parameters and of their gradients, by name; None where
                no backward follows.
            calls: takes the steps that are no operations; None where there must be none.
        """
        self.plan, self.memory = plan, memory
        self._own, self._calls = dict(own), calls
        self._weights, self._gradients = weights, gradients
        self._mode = plan.mode
        self._learned: set[str] = set()  # parameters whose gradient is there already
        self._shapes = {name: w.shape for name, w in plan.model._params.items()}
        self.norms: list[Norming] = []
        self.streams: list[Any] = []
        self.filters: list[tuple[Whitening, tuple[int, ...]]] = []
        self.settings = settings_of(plan, own)
        self._backwards: list[tuple[Step, Callable[[Ref], list[Ref]]]] = []
        values = {0: x}
        for step in plan.steps:
            values[step.output] = self._forward(step, values)
        self.scores = values[plan.output]

    def backward(self, dscores: Ref) -> None:
        """Add the operations of the backward; the gradients are in their slots after them."""
        douts = {self.plan.output: dscores}
        for step, back in reversed(self._backwards):
            dout = douts.pop(step.output, None)
            if dout is None:
                continue
            dxs = back(dout)
            if not step.needs_dx:
                continue
            for i, dx in zip(step.inputs, dxs, strict=True):
                known = douts.get(i)
                douts[i] = dx if known is None else self._sum(known, dx)
        assert self._gradients is not None
        missing = [name for name in self._gradients if name not in self._learned]
        if missing:
            raise NotCovered(f"the parameter {missing[0]}, which has no influence on the loss")

    def _sum(self, a: Ref, b: Ref) -> Ref:
        b = self.memory.dense(b, a.last)
        out = a._replace(slot=self.memory.stored(a.numbers))
        self.memory.op("sum", [a.slot, b.slot, out.slot], [a.numbers])
        return out

    def _forward(self, step: Step, values: Mapping[int, Ref]) -> Ref:
        """Add a step by operations, or else by a call."""
        parts: list[list[Any]] = [self.norms, self.streams, self.filters, self._backwards]
        mark, learned = self.memory.mark(), set(self._learned)
        counts = [len(part) for part in parts]
        try:
            return self._lowered(step, values)
        except NotCovered:
            if self._calls is None or not learned.isdisjoint(step.names):
                raise
        self.memory.back(mark)
        for part, count in zip(parts, counts, strict=True):
            del part[count:]
        return self._called(step, values, learned, self._calls)

    def _called(
        self, step: Step, values: Mapping[int, Ref], learned: set[str], calls: Calls
    ) -> Ref:
        assert self._gradients is not None
        weights = {name: (self._weights[name], self._shapes[name]) for name in step.names}
        xs = [values[i] for i in step.inputs]
        out, back = calls.layer(step, xs, weights, self._gradients)
        self._learned = learned | {*step.names}
        if step.needs_dx or step.names:
            self._backwards.append((step, back))
        return out

    def _lowered(self, step: Step, values: Mapping[int, Ref]) -> Ref:
        if step.chain is not None:
            out, back = self._chain(step, values[step.inputs[0]])
        elif type(step.layers[-1]) is Add:
            return self._add(step, self._inputs(step, values))
        elif type(step.layers[-1]) is Concat:
            return self._concat(step, self._inputs(step, values))
        else:
            out, back = self._layer(step, self._inputs(step, values)[0])
        if not step.needs_dx and not any(layer.parameters for layer in step.layers):
            return out

        def backward(dout: Ref) -> list[Ref]:
            dx = back(dout, step.needs_dx)
            return [] if dx is None else [dx]

        self._backwards.append((step, backward))
        return out

    def _inputs(self, step: Step, values: Mapping[int, Ref]) -> list[Ref]:
        return [self.memory.as_stored(values[i]) for i in step.inputs]

    def _add(self, step: Step, inputs: Sequence[Ref]) -> Ref:
        a, b = inputs
        self._backwards.append((step, lambda dout: [dout, dout]))
        return self._sum(a, b)

    def _concat(self, step: Step, inputs: Sequence[Ref]) -> Ref:
        """Two at a time, as the layer does it."""
        out, *rest = inputs
        joined = []
        for more in rest:
            out, sizes = others.concat(self.memory, out, more)
            joined.append(sizes)

        def backward(dout: Ref) -> list[Ref]:
            parts: list[Ref] = []
            for sizes in reversed(joined):
                dout, last = others.split(self.memory, dout, sizes)
                parts.insert(0, last)
            return [dout, *parts]

        self._backwards.append((step, backward))
        return out

    # -- chains ------------------------------------------------------------------------------------

    def _chain(self, step: Step, x: Ref) -> Lowered:
        assert step.chain is not None
        like = np.empty(x.shape, self.memory.dtype)
        groups: list[tuple[Array, ...]] = []
        options: list[Any] = []
        norm: BatchNorm | None = None
        for known, plain in zip(step.layers, step.plain, strict=True):
            assert isinstance(known, PairLayer)
            if known.pair_name == "flatten":
                continue
            layer = self._own.get(id(known), known)
            assert isinstance(layer, PairLayer)
            norm = known if isinstance(known, BatchNorm) else norm
            groups.append(self._filters(known, layer) or self._arrays(known))
            if len(groups[-1]) != len(chain.arrays_of(known.link)):
                raise NotCovered(f"arrays of {known._label} that are no parameters")
            options += layer.options(like, self._mode) if plain is None else plain
        flat = [np.empty(a.shape, self.memory.dtype) for group in groups for a in group]
        found = chain.planned(step.chain, "native", [like, *flat], options)
        if found.forms:
            raise NotCovered("scales of another shape than (C,)")
        first, backs, moments, memory = 0, [], list[Moments](), self.memory
        for names in found.parts:
            end = first + len(names)
            part = Part(names, found.options[first:end], tuple(groups[first:end]))
            part = part._replace(takes_pool=_takes_pool(part, x, memory.dtype))
            if not lowered.is_stem(part):
                x = memory.as_stored(x)
            lower = lower_scores if memory.is_half and memory.for_scores else lowered.lower
            x, back = lower(part, memory, x, step.needs_dx or first > 0, moments)
            backs.append((back, first > 0))
            first = end
        if norm is not None and moments:
            self.norms.append(Norming(norm, moments[0]))

        def backward(dout: Ref, need_dx: bool) -> Ref | None:
            dx: Ref | None = dout
            for back, is_later in reversed(backs):
                assert dx is not None
                dx = back(dx, need_dx or is_later)
            return dx

        return x, backward

    def _arrays(self, layer: PairLayer) -> tuple[Array, ...]:
        """Return the arrays of a layer's pair, with constants for what is left out."""
        params = [self._param(name) for name in layer.parameters]
        if isinstance(layer, Linear) and not layer.bias:
            params.append(self._constant(layer.outputs, 0.0))
        if isinstance(layer, Norm) and not (layer.scale and layer.shift):
            channels = next(iter(layer._shapes))[0][0]
            if not layer.scale:
                params.insert(0, self._constant(channels, 1.0))
            if not layer.shift:
                params.append(self._constant(channels, 0.0))
        return tuple(params)

    def _filters(self, known: PairLayer, layer: PairLayer) -> tuple[Array, ...]:
        """Return the arrays of a convolution whose filters are not learned; () of another layer."""
        if type(known) is not Whitening or self._gradients is None:
            return ()
        shape = layer.buffers()["W"].shape
        filters = Array(self.memory.give(prod(shape)), shape, NONE)
        self.filters.append((known, shape))
        return filters, self._constant(shape[0], 0.0)

    def _param(self, name: str) -> Array:
        if self._gradients is None:
            return Array(self._weights[name], self._shapes[name], NONE)
        if name in self._learned:
            raise NotCovered(f"the layer of {name}, which is used twice")
        self._learned.add(name)
        return Array(self._weights[name], self._shapes[name], self._gradients[name])

    def _constant(self, count: int, number: float) -> Array:
        return Array(self.memory.constant(count, number), (count,), self.memory.value(count))

    # -- layers that are in no chain -----------------------------------------------------------------

    def _layer(self, step: Step, x: Ref) -> Lowered:
        known, memory = step.layers[-1], self.memory
        if isinstance(known, CustomLayer) and known.pair.factor is not None:
            return others.scale(memory, x, known.pair.factor(known.given))
        if type(known) in sequences.KINDS:
            return self._sequence(known, x)
        if not isinstance(known, PairLayer) or _is_changed(type(known)):
            raise NotCovered(f"the layer {known!r}")
        layer = self._own.get(id(known), known)
        assert isinstance(layer, PairLayer)
        like = np.empty(x.shape, memory.dtype)
        pair, options = layer.pair(like), layer.options(like, self._mode)
        if isinstance(known, BatchNorm):  # without gamma or beta
            moments: list[Moments] = []
            part = Part(
                ("batchnorm",), ((float(options[0].get("eps", 1e-5)),),), (self._arrays(known),)
            )
            made = lowered.lower(part, memory, x, True, moments)
            self.norms.append(Norming(known, moments[0]))
            return made
        if pair == "leaky_relu":
            return lowered.relu(memory, x, float(options[0]))
        if pair in CURVES:
            return lowered.curve(memory, x, CURVES[pair], *(float(alpha) for alpha in options))
        if pair == "softplus":
            return others.softplus(memory, x)
        if pair == "maxout":
            return others.maxout(memory, x, *options)
        if pair == "conv_transpose":
            return others.conv_transpose(memory, x, self._arrays(known), *_windows_of(known))
        if pair == "flatten":
            return lowered.flatten(memory, x)
        if pair == "global_avg_pool":
            out, back = lowered.mean_pool(memory, x, x.shape[2:], (1, 1))
            return out._replace(shape=x.shape[:2], last=False), back
        if type(known) is Upsample:
            return others.upsample(memory, x, known.scale, known.mode == "bilinear")
        if type(known) is AvgPool and known.pad == (0, 0) and not known.ceil_mode:
            return lowered.mean_pool(memory, x, known.size, known.stride)
        if pair == "dropout":
            return self._dropout(known, options[0], x)
        if pair in ("layernorm", "spatial_groupnorm", "spatial_instancenorm"):
            groups = {"layernorm": 1, "spatial_instancenorm": x.shape[1]}.get(pair, options[0])
            eps = float(options[-1].get("eps", 1e-5))
            return lowered.group_norm(memory, x, self._arrays(known), groups, eps)
        raise NotCovered(f"the layer {known!r}")

    def _sequence(self, known: Any, x: Ref) -> Lowered:
        """Lower a layer of sequences."""
        moments: list[Moments] = []
        layer, eps = self._own.get(id(known), known), 0.0
        if isinstance(layer, BatchNorm):
            eps = float(layer.param.get("eps", 1e-5))
        made = sequences.lower_sequence(
            known, self.memory, x, self._arrays(known), eps, self._mode == "train", moments
        )
        self.norms += [Norming(known, found) for found in moments]
        return made

    def _dropout(self, layer: Layer, param: dict[str, Any], x: Ref) -> Lowered:
        if type(layer).stream is not Dropout.stream or param.get("seed") is not None:
            raise NotCovered(f"the layer {layer!r}, whose seed makes the same mask each time")
        if self._mode == "test":
            return x, lowered.no_backward
        self.streams.append(param.get("rng"))
        return others.dropout(self.memory, x, float(param["p"]), len(self.streams) - 1)


def _takes_pool(part: Part, x: Ref, dtype: np.dtype) -> bool:
    """Whether a convolution and the pooling behind it are one call (`native/fused.py`)."""
    names = part.names
    if names[0] != "conv" or names[-1] != "max_pool":
        return False
    if part.options[-1][:2] != ((2, 2), (2, 2)):
        return False
    w, like = np.empty(part.arrays[0][0].shape, dtype), np.empty(x.shape, dtype)
    plans = engines.get("native").plans
    found: bool = plans.takes_pool(like, w, part.options[0], len(names) > 2, len(names) == 4)
    return found


def _windows_of(layer: Any) -> tuple[Any, ...]:
    """Return the options of a transposed convolution."""
    return layer.stride, layer.pad, layer.output_pad, layer.dilation, layer.groups


def _is_changed(cls: type[PairLayer]) -> bool:
    """Whether a class computes by something else than its pair."""
    return any(
        getattr(cls, name) not in (getattr(PairLayer, name), getattr(Linear, name, None))
        for name in _METHODS
    )


def settings_of(plan: Plan, own: Mapping[int, Layer]) -> list[str]:
    """Return the options of the layers that may change from call to call, as texts."""
    found = []
    for step in plan.steps:
        for known, plain in zip(step.layers, step.plain, strict=True):
            layer = own.get(id(known), known)
            if plain is not None or not isinstance(layer, PairLayer) or isinstance(layer, Linear):
                continue
            if isinstance(layer, BatchNorm):
                options: Any = {
                    k: v for k, v in layer.param.items() if k not in (*_RUNNING, "mode")
                }
            else:
                options = layer.options(np.empty((1, 1)), "train")
            found.append(f"{known._label} {options!r}")
    return found
