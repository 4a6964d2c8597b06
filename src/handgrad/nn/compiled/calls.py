"""What Python computes in the middle of a plan: layers and losses that are no operations of it.

A layer that is written in Python, or one of the library's that no operation computes, is given copies of the
plan's arrays, ordered in memory as a step without a plan has them; its results are copied back.  So are the
scores for a loss.  What they return must have the plan's dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from handgrad.errors import HandgradError
from handgrad.nn.compiled.memory import Memory, NotCovered, Ref
from handgrad.nn.compiled.parts import Feed, Steps
from handgrad.nn.fit import own_loss
from handgrad.nn.graph import Plan, Step, backward_of, forward_of, order_of
from handgrad.nn.layer import Layer

Function = Callable[[list[np.ndarray]], Any]


class Raised(Exception):
    """What a layer or a loss has raised in the middle of a plan."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Calls:
    """The functions that a plan calls.

    Attributes:
        functions: they by number.
        shown: what Python computes, for the header of a run.
        layers: the layers among it.
    """

    def __init__(self, plan: Plan, memory: Memory) -> None:
        """Begin with none; `plan` knows how a step without a plan orders its arrays."""
        self.functions: list[Function] = []
        self.shown: list[str] = []
        self.layers: list[Layer] = []
        self._plan, self._memory = plan, memory
        self._assumed: dict[Any, bool] = {}  # whether results are channels-last
        self._caches: dict[int, Any] = {}
        self._own: Mapping[int, Layer] = {}
        self._feed: Feed | None = None
        self._steps: Steps | None = None
        self._step = 0
        self._before: list[Callable[[], None]] = []  # what puts back what a run changes

    # -- making the plan -----------------------------------------------------------------------------

    def layer(
        self,
        step: Step,
        xs: Sequence[Ref],
        weights: Mapping[str, tuple[int, tuple[int, ...]]],
        gradients: Mapping[str, int],
    ) -> tuple[Ref, Callable[[Ref], list[Ref]]]:
        """Add the call of a step's forward; the backward that is returned adds its own.

        weights: slot and shape of each parameter; gradients: the slots of theirs.
        """
        if step.output in self._plan.alone:
            raise NotCovered(self._plan.alone[step.output])
        memory, known = self._memory, step.layers[-1]
        is_first = not self.layers
        self.shown.append(repr(known))
        self.layers += step.layers
        given = [memory.as_full(x) for x in xs]
        arrays = [Ref(*weights[name]) for name in step.names]
        shape = xs[0].shape
        for layer in step.layers:
            rows = tuple(x.shape[1:] for x in xs) if layer is step.layers[0] else (shape[1:],)
            shape = (shape[0], *(layer._shapes.get(rows) or layer.shape(*rows)))
        out = memory.full(shape)._replace(last=self._order(step.output, shape, xs[0].last))
        self._add(self._forward(step, given, arrays, out), [*given, *arrays, out])

        def backward(dout: Ref) -> list[Ref]:
            dout = memory.as_full(dout)
            dxs = []
            for i, x in zip(step.inputs, xs, strict=True) if step.needs_dx else ():
                order = self._order((step.output, i), x.shape, x.last)
                dxs.append(memory.full(x.shape)._replace(last=order))
            own = [Ref(gradients[name], weights[name][1]) for name in step.names]
            self._add(self._backward(step, dout, dxs, own, is_first), [dout, *dxs, *own])
            return [memory.as_stored(dx) for dx in dxs]

        return out, backward

    def loss(self, loss: Any, scores: Ref) -> Ref:
        """Add the call of a network's loss; return the gradient of the scores."""
        if "loss" in self._plan.alone:
            raise NotCovered(self._plan.alone["loss"])
        dscores = self._memory.full(scores.shape)
        name = "own" if loss.name is None else loss.name
        self.shown.append(f"the {name} loss")
        self._add(self._loss(loss, scores, dscores), [scores, dscores])
        return dscores

    def is_as_seen(self) -> bool:
        """Whether the results are ordered as steps without a plan have shown since."""
        seen = self._plan.orders
        return all(seen.get(key, order) == order for key, order in self._assumed.items())

    def _add(self, function: Function, arrays: Sequence[Ref]) -> None:
        number = len(self.functions)
        self.functions.append(function)
        slots, counts = [x.slot for x in arrays], [x.numbers for x in arrays]
        self._memory.op("call", slots, [number, *counts])

    def _order(self, key: Any, shape: Sequence[int], guess: bool) -> bool:
        found = self._plan.orders.get(key, guess and len(shape) > 2)
        self._assumed[key] = bool(found)
        return bool(found)

    # -- running it ----------------------------------------------------------------------------------

    def begin(
        self, own: Mapping[int, Layer], feed: Feed, steps: Steps, streams: Sequence[Any]
    ) -> None:
        """Begin a run.

        own: the layers with buffers of this call; streams: what dropout draws from.
        """
        self._own, self._feed, self._steps, self._step = own, feed, steps, 0
        self._caches.clear()
        if self.functions:
            layers = {id(layer): layer for layer in self.layers}.values()
            self._before = [_attributes(layer) for layer in layers]
            self._before += [_position(stream) for stream in streams]
            self._before.append(partial(np.random.set_state, np.random.get_state()))

    def take_back(self) -> None:
        """Put back what the last run has changed beside arrays: attributes of layers, and random streams."""
        for put_back in self._before:
            put_back()

    def end(self) -> None:
        """Let go of what a run has kept."""
        self._own, self._feed, self._steps = {}, None, None
        self._caches.clear()

    def _forward(self, step: Step, xs: Sequence[Ref], weights: Sequence[Ref], out: Ref) -> Function:
        read = [_reader(x) for x in xs]
        write, count, names = _writer(out), len(xs), step.names
        shapes = [w.shape for w in weights]

        def function(arrays: list[np.ndarray]) -> bool | None:
            values = {i: r(a) for i, r, a in zip(step.inputs, read, arrays, strict=False)}
            flat = arrays[count:-1]
            params = {
                name: w.reshape(shape).copy()
                for name, w, shape in zip(names, flat, shapes, strict=True)
            }
            result, self._caches[step.output] = self._tried(
                step, lambda: forward_of(step, values, params, self._own, "train")
            )
            self._check(step, "output", result, out, step.output)
            for name, w in zip(names, flat, strict=True):
                if not np.array_equal(params[name].ravel(), w, equal_nan=True):
                    raise self._left(step.output, f"the layer {step.label}, which changes {name}")
            write(result, arrays[-1])
            for layer in step.layers:
                if layer.keeps:
                    kept = self._own.get(id(layer), layer).buffers().values()
                    if not all(np.isfinite(array).all() for array in kept):
                        return False
            return None

        return function

    def _backward(
        self, step: Step, dout: Ref, dxs: Sequence[Ref], gradients: Sequence[Ref], is_first: bool
    ) -> Function:
        read, write, count = _reader(dout), [_writer(dx) for dx in dxs], 1 + len(dxs)

        def function(arrays: list[np.ndarray]) -> None:
            upstream, cache = read(arrays[0]), self._caches.pop(step.output)
            found, own = self._tried(step, lambda: backward_of(step, upstream, cache))
            for i, dx, ref, to, flat in zip(
                step.inputs, found if dxs else (), dxs, write, arrays[1:], strict=False
            ):
                key = None if is_first else (step.output, i)
                self._check(step, "gradient", dx, ref, key)
                to(dx, flat)
            for dw, ref, flat in zip(own, gradients, arrays[count:], strict=True):
                dw = np.asarray(dw) if isinstance(dw, np.generic) else dw
                self._check(step, "gradient of a parameter", dw, ref, None)
                flat[...] = dw.ravel()

        return function

    def _loss(self, loss: Any, scores: Ref, dscores: Ref) -> Function:
        model = self._plan.model

        def function(arrays: list[np.ndarray]) -> float:
            assert self._feed is not None
            assert self._steps is not None
            given = arrays[0].reshape(scores.shape).copy()
            y = self._feed.y[self._steps.rows[self._step]]
            y = y if self._feed.y_dtype is None else y.astype(self._feed.y_dtype)
            weights = self._steps.weights
            try:
                if weights is None:
                    made = loss.func(given, y, **loss.options)
                else:
                    made = loss(given, y, sample_weight=weights[self._step])
                value, found = own_loss(model._name, made, given)
                number = float(value.item() if hasattr(value, "item") else value)
            except Exception as error:
                raise Raised(error) from error
            self._step += 1
            if type(found) is not np.ndarray or found.dtype != arrays[1].dtype:
                raise self._left("loss", "the loss, whose gradient has another dtype")
            if not found.flags.c_contiguous:
                raise self._left("loss", "the loss, whose gradient is not in rows order")
            if not np.array_equal(given.ravel(), arrays[0], equal_nan=True):
                raise self._left("loss", "the loss, which changes the scores")
            arrays[1][...] = found.ravel()
            return number

        return function

    def _tried(self, step: Step, compute: Callable[[], Any]) -> Any:
        try:
            return compute()
        except HandgradError as error:
            named = self._plan.model._of_layer(step.label, error)
            raise Raised(named) from error
        except Exception as error:
            raise Raised(error) from error

    def _check(self, step: Step, what: str, found: Any, wanted: Ref, key: Any) -> None:
        """Raise NotCovered unless `found` is as a plan takes it; key: of its order, None where any is."""
        text = f"the layer {step.label}, whose {what}"
        if type(found) is not np.ndarray or found.dtype != self._memory.dtype:
            of = found.dtype if hasattr(found, "dtype") else type(found).__name__
            raise self._left(step.output, f"{text} is {of}")
        if found.shape != wanted.shape:
            raise self._left(step.output, f"{text} has the shape {found.shape}")
        if key is None or self._memory.is_half:
            return
        order = order_of(found)
        if order is None or (order != wanted.last and not _is_both(found)):
            raise self._left(step.output, f"{text} lies in memory in another order")

    def _left(self, key: Any, text: str) -> NotCovered:
        """Note that no plan takes a step, or the loss; return what says so."""
        self._plan.alone[key] = text
        return NotCovered(text)


def _attributes(layer: Layer) -> Callable[[], None]:
    """Return what gives a layer back its attributes: numbers, arrays and random streams as they are now."""
    known = dict(vars(layer))
    arrays = {key: x.copy() for key, x in known.items() if isinstance(x, np.ndarray)}
    own = [x.bit_generator for x in known.values() if isinstance(x, np.random.Generator)]
    streams = [_position(stream) for stream in own]
    streams += [
        partial(x.set_state, x.get_state())
        for x in known.values()
        if isinstance(x, np.random.RandomState)
    ]

    def put_back() -> None:
        vars(layer).clear()
        vars(layer).update(known | {key: x.copy() for key, x in arrays.items()})
        for stream in streams:
            stream()

    return put_back


def _position(stream: Any) -> Callable[[], None]:
    """Return what puts a bit generator back to where it stands."""
    return partial(setattr, stream, "state", stream.state)


def _is_both(array: np.ndarray) -> bool:
    """Whether channels-last and rows order are the same."""
    return array.shape[1] == 1 or array[0, 0].size == 1


def _shape_and_axes(x: Ref) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the shape as it lies in memory, and the axes that make that of x of it."""
    if not x.last or len(x.shape) < 3:
        return x.shape, None
    N, C, *image = x.shape
    return (N, *image, C), (0, len(x.shape) - 1, *range(1, len(x.shape) - 1))


def _reader(x: Ref) -> Callable[[np.ndarray], np.ndarray]:
    """Return what copies x out of a plan's memory."""
    shape, axes = _shape_and_axes(x)
    if axes is None:
        return lambda flat: flat.reshape(shape).copy()
    return lambda flat: flat.reshape(shape).copy().transpose(axes)


def _writer(x: Ref) -> Callable[[np.ndarray, np.ndarray], None]:
    """Return what copies an array into the place of x."""
    shape, axes = _shape_and_axes(x)

    def write(array: np.ndarray, flat: np.ndarray) -> None:
        place = flat.reshape(shape)
        place = place if axes is None else place.transpose(axes)
        place[...] = array

    return write
