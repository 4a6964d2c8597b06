"""What the translators of ONNX's operators know of a graph, and how they look at their inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.interop.onnx_gelu import Gelus
from handgrad.interop.reader import Growing, NoCounterpart, Value

Made = Any  # a Value or an array


class Graph:
    """What the functions know of the graph."""

    def __init__(
        self, onnx: Any, growing: Growing, opset: int, array: Callable[[Any], np.ndarray]
    ) -> None:
        self.onnx, self.growing, self.opset, self.array = onnx, growing, opset, array
        self.filled = 0  # numbers that the file has filled arrays with, without holding them
        self.gelus = Gelus({}, set())
        self.shapes: dict[str, list[int]] = {}  # what the file says of values, without N
        self.batch = 1  # the number of rows of a file that was exported for just as many
        self.softmaxes: dict[str, Value] = {}  # name of a softmax's output -> its input

    def options(self, node: Any, **defaults: Any) -> dict[str, Any]:
        """The attributes of a node; NoCounterpart for one that is not read."""
        found = dict(defaults)
        for attribute in node.attribute:
            if attribute.name not in defaults:
                raise NoCounterpart(f"the attribute {attribute.name}")
            value = self.onnx.helper.get_attribute_value(attribute)
            if isinstance(value, bytes):
                value = value.decode("utf-8", "replace")
            default = defaults[attribute.name]
            if isinstance(default, int) and not isinstance(value, int):
                raise NoCounterpart(f"the attribute {attribute.name} of a wrong kind")
            if isinstance(default, list | tuple) and not isinstance(value, list | tuple):
                raise NoCounterpart(f"the attribute {attribute.name} of a wrong kind")
            found[attribute.name] = (
                list(value)
                if isinstance(default, list | tuple)
                or (
                    default is None
                    and (not isinstance(value, int | float | str) and hasattr(value, "__len__"))
                )
                else value
            )
        return found

    def name(self, node: Any, weight: str = "") -> str:
        """The name of the layer: that of its weights without their role, or of the node's output."""
        prefix, _, role = weight.rpartition(".")
        if prefix and role in ("W", "weight", "kernel", "gamma", "a"):
            return prefix
        return str(node.output[0])


def image_of(x: Any) -> Value:
    """Return x, a value that holds images."""
    if not isinstance(x, Value):
        raise NoCounterpart("a constant in the place of the images")
    if len(x.shape) != 3 or x.view != x.shape:
        raise NoCounterpart(f"rows of the shape {x.view}, where images (C, H, W) are needed")
    return x


def value_of(x: Any) -> Value:
    """Return x, a value of the network."""
    if not isinstance(x, Value):
        raise NoCounterpart("a constant in the place of a value")
    return x


def constant_of(x: Any, what: str) -> np.ndarray:
    """Return x, an array."""
    if not isinstance(x, np.ndarray):
        raise NoCounterpart(f"{what} that the graph computes")
    return x


def floats_of(x: Any, what: str) -> np.ndarray:
    """Return x, an array of finite floats."""
    array = constant_of(x, what)
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise NoCounterpart(f"{what} that are no finite numbers")
    return array


def input_of(given: list[Any], place: int) -> Any:
    """Return the input at `place`, None where it is left out."""
    return given[place] if len(given) > place else None


def params_of(node: Any, **places: int) -> dict[str, str]:
    """The names of the weights, by role."""
    return {
        role: node.input[i] for role, i in places.items() if len(node.input) > i and node.input[i]
    }


def decimal_of(value: float) -> float:
    """The number that was meant where it was written as a float32."""
    return float(str(np.float32(value)))
