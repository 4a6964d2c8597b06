"""Layers of your own: a forward and a backward function made into a layer object.

::

    @nn.layer(a=lambda shape: np.ones(shape[:1]))     # a parameter and how it starts
    def scale(x, a, power=1):                         # input, parameter, option
        return x * a**power, (x, a, power)

    @scale.backward
    def scale_backward(dout, cache):
        x, a, power = cache
        return dout * a**power, (dout * x).sum(axis=0) * power * a ** (power - 1)

    net = nn.Sequential([nn.Affine(5), scale(), nn.Affine(3)], input_shape=(4,))
    handgrad.check(scale)           # or on the command line: handgrad check file.py
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from handgrad.engines.arrays import Array
from handgrad.errors import (
    OperationError,
    OptionError,
    ShapeError,
    check_callable,
    check_known,
    shown,
)
from handgrad.nn.configured import import_path, plain, shown_call
from handgrad.nn.layer import Layer, Weight
from handgrad.nn.options import Shape, as_row_shape


class CustomPair:
    """A forward and a backward function; calling it makes a layer object.

    Attributes:
        forward: the forward function.
        backward: the decorator that gives the pair its backward function.
        factor: for a pair that only multiplies by a number, options of a layer -> this number; else None.

    >>> from handgrad.nn import layer
    >>> double = layer(lambda x: (2 * x, None))
    >>> type(double).__name__
    'CustomPair'
    """

    def __init__(
        self, forward: Callable[..., Any], starts: dict[str, Any], input_shape: Any
    ) -> None:
        """See `layer`."""
        check_callable("layer", "forward", forward)
        try:
            inspect.signature(forward)
        except (TypeError, ValueError):
            raise OptionError(
                f"layer: forward must be a function of Python, got {shown(forward)}"
            ) from None
        self.__name__ = getattr(forward, "__name__", "layer")
        self.__qualname__ = getattr(forward, "__qualname__", self.__name__)
        self.__module__ = getattr(forward, "__module__", "") or ""
        self.factor: Callable[[dict[str, Any]], float] | None = None
        self.__doc__ = forward.__doc__
        self.forward = forward
        self.starts = starts
        self.input_shape = as_row_shape(self.__name__, input_shape)
        self._backward: Callable[..., Any] | None = None
        self.inputs, self.defaults = self._read_signature()

    def _read_signature(self) -> tuple[list[str], dict[str, Any]]:
        """Sort forward's arguments: inputs, then parameters, then options (with a default)."""
        inputs: list[str] = []
        defaults: dict[str, Any] = {}
        seen: list[str] = []
        for p in inspect.signature(self.forward).parameters.values():
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                raise OptionError(
                    f"layer {self.__name__}: forward must name its arguments, has {p}"
                )
            if p.name in self.starts:
                seen.append(p.name)
            elif p.default is not p.empty or p.name == "mode":
                defaults[p.name] = p.default
            elif seen:
                raise OptionError(
                    f"layer {self.__name__}: the input {p.name} must stand in front of the "
                    f"parameter {seen[0]}"
                )
            else:
                inputs.append(p.name)
        check_known(f"layer {self.__name__}: parameters of forward", self.starts, seen)
        if not inputs:
            raise OptionError(f"layer {self.__name__}: forward must take an input, as in f(x)")
        return inputs, defaults

    def backward(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Take `function(dout, cache)`: it returns a gradient for each input and parameter."""
        self._backward = function
        options = tuple(self._fixed("test").values())
        function.__handgrad_pair__ = (self.forward, self.examples, options)  # type: ignore[attr-defined]
        return function

    def __call__(self, *, name: str | None = None, **options: Any) -> CustomLayer:
        """Make a layer object; `options` in the place of forward's defaults."""
        if self._backward is None:
            raise OperationError(
                f"layer {self.__name__} has no backward, and nothing is differentiated automatically; "
                f"write `@{self.__name__}.backward` above `def {self.__name__}_backward(dout, cache)`"
            )
        known = [key for key in self.defaults if key != "mode"]
        check_known(f"layer {self.__name__}", options, known)
        layer: CustomLayer = CustomLayer(self, options, name)
        return layer

    def __repr__(self) -> str:
        return f"<layer {self.__name__}>"

    @property
    def __handgrad_layer__(self) -> tuple[Any, Any, Any, Any]:
        """Forward, backward, inputs and options: what the checker judges."""
        return self.forward, self._backward, self.examples, tuple(self._fixed("test").values())

    def _fixed(self, mode: str) -> dict[str, Any]:
        return {key: mode if key == "mode" else value for key, value in self.defaults.items()}

    def examples(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw inputs of `input_shape`, and parameters near their start, to check the pair with."""
        shape = self.input_shape
        arrays = {name: rng.standard_normal((4, *shape)) for name in self.inputs}
        for name in self.starts:
            start = self.start(name, shape)
            arrays[name] = start + 0.1 * rng.standard_normal(start.shape)
        return arrays

    def start(self, name: str, *shapes: Shape) -> np.ndarray:
        """Return how the parameter `name` starts for inputs of `shapes` without N."""
        value = self.starts[name]
        return np.array(value(*shapes) if callable(value) else value, np.float64)


def layer(
    forward: Callable[..., Any] | None = None, /, *, input_shape: Any = (6,), **starts: Any
) -> Any:
    """Make a layer of a forward function; its ``.backward`` then takes the backward function.

    Args:
        forward: ``forward(x, ..., parameters..., options=...)`` returns (out, cache).  Arguments
            without a default are inputs, those with one are options; one called mode is told 'train'
            or 'test'.
        input_shape: the shape of a row for which ``handgrad check`` tries the pair.
        starts: for each argument that is a parameter how it starts: an array or number, or a
            function of the input's shape (without N).

    Returns:
        A `CustomPair`; calling it makes layer objects.

    Raises:
        OptionError: the arguments of forward are not as above.

    >>> @layer
    ... def cube(x):
    ...     return x**3, x
    >>> @cube.backward
    ... def cube_backward(dout, x):
    ...     return 3 * x**2 * dout
    >>> cube()
    cube()
    """
    if forward is None:
        return lambda function: CustomPair(function, starts, input_shape)
    return CustomPair(forward, starts, input_shape)


class CustomLayer(Layer):
    """A layer object of a `CustomPair`."""

    def __init__(self, pair: CustomPair, options: dict[str, Any], name: str | None = None) -> None:
        """Use `pair` with `options`; made by calling the pair."""
        super().__init__(name)
        self.pair = pair
        self.given = options
        self.kind = pair.__name__  # type: ignore[misc]
        self.takes = f"{len(pair.inputs)} value{'s' if len(pair.inputs) > 1 else ''}"  # type: ignore[misc]

    def __repr__(self) -> str:
        return shown_call(self.pair.__name__, self.given)

    def weights(self, *shapes: Shape) -> dict[str, Weight]:
        """The parameters, as they start."""
        starts = {name: self.pair.start(name, *shapes) for name in self.pair.starts}
        return {name: Weight(start.shape, init=_always(start)) for name, start in starts.items()}

    def shape(self, *shapes: Shape) -> Shape:
        """The shape of the output for two rows."""
        if len(shapes) != len(self.pair.inputs):
            raise OperationError(
                f"{self!r} must be called with {self.takes} ({', '.join(self.pair.inputs)}), "
                f"got {len(shapes)}"
            )
        rng = np.random.default_rng(0)
        xs = [rng.uniform(0.25, 1.0, (2, *shape)) for shape in shapes]
        starts = [self.pair.start(name, *shapes) for name in self.pair.starts]
        with np.errstate(all="ignore"):
            out, _ = self.forward(xs, starts, "test")
        return tuple(out.shape[1:])

    def forward(self, xs: Sequence[Array], params: Sequence[Array], mode: str) -> tuple[Array, Any]:
        """Call the forward function, and look at what it returns."""
        options = {**self.pair._fixed(mode), **self.given}
        result = self.pair.forward(*xs, *params, **options)
        if not isinstance(result, tuple) or len(result) != 2:
            raise OperationError(
                f"{self!r}: forward must return (out, cache), got {type(result).__name__}"
            )
        out, cache = result
        if not hasattr(out, "shape") or len(out.shape) < 1 or out.shape[0] != xs[0].shape[0]:
            got = tuple(out.shape) if hasattr(out, "shape") else type(out).__name__
            raise ShapeError(
                f"{self!r}: forward must return an array with the {xs[0].shape[0]} rows of its "
                f"input, got {got}"
            )
        inputs = [tuple(array.shape) for array in (*xs, *params)]
        return out, (tuple(out.shape), inputs, cache)

    def backward(self, dout: Array, cache: Any) -> tuple[Sequence[Array], Sequence[Array]]:
        """Call the backward function, and look at what it returns."""
        shape, inputs, kept = cache
        assert self.pair._backward is not None
        if tuple(dout.shape) != shape:
            raise ShapeError(
                f"{self!r}: dout must have the output's shape {shape}, got {dout.shape}"
            )
        gradients = self.pair._backward(dout, kept)
        if not isinstance(gradients, tuple | list):
            gradients = (gradients,)
        names = [*self.pair.inputs, *self.pair.starts]
        if len(gradients) != len(names):
            raise OperationError(
                f"{self!r}: backward must return {len(names)} gradients, those of "
                f"{', '.join(names)}; got {len(gradients)}"
            )
        for name, gradient, expected in zip(names, gradients, inputs, strict=True):
            got = tuple(getattr(gradient, "shape", ()))
            if got != expected:
                raise ShapeError(
                    f"{self!r}: backward must return the gradient of {name} in its shape "
                    f"{expected}, got {got}"
                )
        count = len(self.pair.inputs)
        return gradients[:count], gradients[count:]

    def config(self) -> dict[str, Any]:
        """Return a table that `handgrad.nn.build_layer` makes this layer from again."""
        named = {} if self.name is None else {"name": self.name}
        return {"layer": import_path(self.pair), **plain(repr(self), self.given), **named}


def _always(start: np.ndarray) -> Callable[[Shape, Any], np.ndarray]:
    return lambda shape, rng: start
