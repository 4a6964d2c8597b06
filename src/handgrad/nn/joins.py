"""Layer objects that change shapes, and those that join several values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from handgrad import layers
from handgrad.engines.arrays import Array
from handgrad.errors import OperationError, ShapeError
from handgrad.nn.layer import Layer, PairLayer, numbers
from handgrad.nn.options import Shape
from handgrad.nn.value import Value


class Flatten(PairLayer):
    """Each image as one row of numbers (`flatten_forward`).

    >>> Flatten().shape((3, 32, 32))
    (3072,)
    """

    kind = pair_name = link = "flatten"

    def shape(self, *shapes: Shape) -> Shape:
        """(D,)."""
        return (numbers(shapes[0]),)


class Add(PairLayer):
    """The sum of two values of one shape (`add_forward`); ``a + b`` in a network's forward.

    >>> Add().shape((10,), (10,))
    (10,)
    """

    kind = pair_name = "add"
    count = 2
    takes = "two values"

    def __call__(self, *values: Value) -> Value:
        """Record the sum of the two values."""
        if len(values) != 2:
            raise OperationError(f"Add() must be called with two values, got {len(values)}")
        return super().__call__(*values)

    def shape(self, *shapes: Shape) -> Shape:
        """That of both."""
        a, b = shapes
        if a != b:
            raise ShapeError(f"Add(): both values must have one shape, got rows of {a} and {b}")
        return a

    def backward(self, dout: Array, cache: Any) -> tuple[Sequence[Array], Sequence[Array]]:
        """Both gradients are dout; a network writes into none, so it is not copied."""
        return (dout, dout), ()


class Concat(Layer):
    """The channels of two or more values, one behind the other (`concat_forward`).

    >>> Concat().shape((3, 32, 32), (5, 32, 32))
    (8, 32, 32)
    """

    kind = "concat"
    takes = "two or more values"

    def __call__(self, *values: Any) -> Value:
        """Record the concatenation of the values, given one by one or as a list."""
        if len(values) == 1 and isinstance(values[0], list | tuple):
            (values,) = values
        if len(values) < 2:
            raise OperationError(f"Concat() must be called with two or more, got {len(values)}")
        return super().__call__(*values)

    def shape(self, *shapes: Shape) -> Shape:
        """(sum of C, ...)."""
        if any(not shape or shape[1:] != shapes[0][1:] for shape in shapes):
            raise ShapeError(
                "Concat(): the values must agree in all sizes but that of the channels, got rows of "
                + " and ".join(map(str, shapes))
            )
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def forward(self, xs: Sequence[Array], params: Sequence[Array], mode: str) -> tuple[Array, Any]:
        """Concatenate two at a time."""
        out, caches = xs[0], []
        for x in xs[1:]:
            out, cache = layers.concat_forward(out, x)
            caches.append(cache)
        return out, caches

    def backward(self, dout: Array, cache: Any) -> tuple[Sequence[Array], Sequence[Array]]:
        """Cut off what each concatenation has added."""
        parts: list[Array] = []
        for kept in reversed(cache):
            dout, last = layers.concat_backward(dout, kept)
            parts.append(last)
        return (dout, *reversed(parts)), ()


def add(a: Value, b: Value) -> Value:
    """Record the sum of two values in a network's forward; the same as ``a + b``.

    >>> # in a network's forward: x = add(self.conv(x), x)
    """
    return Add()(a, b)


Value.joined = staticmethod(add)


def concat(*values: Any) -> Value:
    """Record the concatenation of values along their channels, in a network's forward.

    >>> # in a network's forward: x = concat(x, self.conv(x))
    """
    return Concat()(*values)
