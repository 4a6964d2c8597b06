"""What the readers of foreign graphs share: a network that grows node by node, and what has no counterpart.

A value of the foreign graph is a constant array, a value of the network, or unknown, where what makes it
has no counterpart here.  All that has none is collected, and named together at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from handgrad import nn
from handgrad.errors import HandgradError, OperationError
from handgrad.interop.network import OPERATORS, Images, Network, Node
from handgrad.interop.rebuild import layer_table

Shape = tuple[int, ...]


class Value(NamedTuple):
    """A value of the network: its name; shape, without N; view, the shape that the foreign graph sees."""

    name: str
    shape: Shape
    view: Shape


class Unknown(NamedTuple):
    """A value that something without a counterpart makes."""


class NoCounterpart(Exception):
    """Of one foreign operator; says why."""


class Growing:
    """A network while it is read."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.nodes: list[Node] = []
        self.inputs: dict[str, Shape] = {}
        self.problems: list[str] = []
        self.values: dict[str, Any] = {}
        self._names: set[str] = set()

    def input(self, name: str, shape: Shape) -> Value:
        """Add an input of the network."""
        plain = self.fresh(name)
        self.inputs[plain] = shape
        self.values[name] = Value(plain, shape, shape)
        return self.values[name]

    def fresh(self, wanted: str) -> str:
        """A name that is not taken yet, without characters that names of layers must not have."""
        plain = wanted.strip("/").replace("/", ".").replace(":", ".") or "node"
        name, count = plain, 1
        while name in self._names:
            count += 1
            name = f"{plain}_{count}"
        self._names.add(name)
        return name

    def add(
        self,
        op: str,
        inputs: Sequence[Value],
        options: Mapping[str, Any] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        name: str = "",
        source: str = "",
    ) -> Value:
        """Add a node; NoCounterpart where the layer of the operator does not take the inputs."""
        roles = [role for role in OPERATORS[op] if arrays and role in arrays]
        arrays = {role: arrays[role] for role in roles} if arrays else {}
        node = Node("node", op, tuple(v.name for v in inputs), dict(options or {}), arrays)
        try:
            layer: Any = nn.build_layer(layer_table(node))
            rows = [v.shape for v in inputs]
            expected = {role: w.shape for role, w in layer.weights(*rows).items()}
            shape = layer.shape(*rows)
        except HandgradError as error:
            raise NoCounterpart(str(error)) from None
        for role, wanted in expected.items():
            if arrays[role].shape != wanted:
                raise NoCounterpart(f"{role} has shape {arrays[role].shape}, not {wanted}")
        final = self.fresh(name or op)
        trained = {role: f"{final}.{role}" for role in expected}
        given = {role: params[role] for role in trained if role in params} if params else {}
        node = replace(node, name=final, shape=shape, params={**trained, **given}, source=source)
        self.nodes.append(node)
        return Value(final, shape, shape)

    def add_bias(self, value: Value, bias: np.ndarray, parameter: str = "") -> bool:
        """Give the last node, if `value` is its output and it takes one, a bias; else return False."""
        last = self.nodes[-1] if self.nodes else None
        if last is None or last.name != value.name or "b" in last.arrays:
            return False
        if last.op not in ("affine", "conv", "conv_transpose") or bias.size != last.shape[0]:
            return False
        tail = bias.shape[bias.ndim - 3 :] if last.op != "affine" and bias.ndim >= 3 else bias.shape
        if last.op != "affine" and (bias.ndim < 3 or tail[0] != bias.size):
            return False
        if last.op == "affine" and bias.shape[-1:] != (bias.size,):
            return False
        arrays = {**last.arrays, "b": bias.reshape(-1)}
        params = {**last.params, "b": parameter or f"{last.name}.b"}
        self.nodes[-1] = replace(last, arrays=arrays, params=params)
        return True

    def stand_in(self, name: str, shape: Any) -> Any:
        """A value in the place of one that has no counterpart, so that what follows it is judged as well.

        shape: without N; `Unknown` where it is none.  The network is refused in any case.
        """
        sizes = tuple(shape)
        if not sizes or not all(isinstance(n, int) and n > 0 for n in sizes):
            return Unknown()
        return Value(self.fresh(name), sizes, sizes)

    def problem(self, place: str, why: str) -> None:
        """Note what has no counterpart."""
        self.problems.append(f"{place}: {why}" if why else place)

    def network(self, name: str, output: Any, images: Images) -> Network:
        """The network that is read; OperationError with all that has no counterpart."""
        if self.problems:
            shown = self.problems[:40]
            more = len(self.problems) - len(shown)
            text = "; ".join(shown) + (f"; and {more} more" if more > 0 else "")
            raise OperationError(f"{self.where}: there is no counterpart here for {text}")
        if not isinstance(output, Value) or not self.nodes:
            raise OperationError(
                f"{self.where}: the network has no layers between its input and its output"
            )
        wanted, kept = {output.name}, []
        for node in reversed(self.nodes):
            if node.name in wanted:
                kept.append(node)
                wanted.update(node.inputs)
        unused = [name for name in self.inputs if name not in wanted]
        if unused:
            raise OperationError(f"{self.where}: nothing takes the inputs {', '.join(unused)}")
        return _without_copies(Network(name, self.inputs, tuple(kept[::-1]), output.name, images))


def _without_copies(network: Network) -> Network:
    """Leave out nodes that only rename a value."""
    same: dict[str, str] = {}
    nodes = []
    for node in network.nodes:
        inputs = tuple(same.get(name, name) for name in node.inputs)
        if node.op == "permute" and node.options["order"] == tuple(
            range(len(node.options["order"]))
        ):
            same[node.name] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    output = same.get(network.output, network.output)
    return _with_own_pads(replace(network, nodes=tuple(nodes), output=output))


def _with_own_pads(network: Network) -> Network:
    """Let a convolution pad by itself, where zeros of the same width stand on both sides in front of it."""
    uses = network.uses()
    pads = {
        node.name: node for node in network.nodes if node.op == "pad" and len(uses[node.name]) == 1
    }
    gone: set[str] = set()
    nodes = []
    for node in network.nodes:
        front = pads.get(node.inputs[0])
        if (
            front is not None
            and node.op == "conv"
            and not any(node.options["pad"])
            and not front.options["value"]
        ):
            top, bottom, left, right = front.options["pads"]
            if (top, left) == (bottom, right):
                gone.add(front.name)
                node = replace(
                    node, inputs=front.inputs, options={**node.options, "pad": (top, left)}
                )
        nodes.append(node)
    return replace(network, nodes=tuple(node for node in nodes if node.name not in gone))


def scaled(growing: Growing, x: Value, factor: np.ndarray, shift: np.ndarray, name: str) -> Value:
    """``factor x + shift`` with constants of at most the shape of a row."""
    if factor.size == 1 and not shift.any():
        return growing.add("scale", [x], {"factor": float(factor.reshape(-1)[0])}, name=name)
    if not factor.all():
        raise NoCounterpart("a constant factor of 0")
    std = 1 / factor.astype(np.float64)
    return standardized(growing, x, -shift * std, std, name)


def standardized(growing: Growing, x: Value, mean: np.ndarray, std: np.ndarray, name: str) -> Value:
    """``(x - mean) / std`` with constants of at most the shape of a row."""
    arrays = {}
    for role, array in (("mean", mean), ("std", std)):
        array = np.asarray(array, np.float64)
        while array.ndim > len(x.shape) and array.shape[0] == 1:
            array = array[0]
        if array.size > 10_000_000 or not np.isfinite(array).all():
            raise NoCounterpart("constants that are no finite numbers")
        arrays[role] = array
    return growing.add("standardize", [x], {}, arrays, name=name)


def pooled(
    growing: Growing,
    op: str,
    x: Value,
    size: Any,
    stride: Any,
    pads: Any,
    ceil_mode: bool,
    counts: bool,
    name: str,
) -> Value:
    """A pool; pads are top, left, bottom, right, and need not be equal for the largest."""
    top, left, bottom, right = pads
    options = {
        "size": tuple(size),
        "stride": tuple(stride),
        "pad": (top, left),
        "ceil_mode": ceil_mode,
    }
    if (top, left) != (bottom, right):
        if ceil_mode or op != "max_pool":
            raise NoCounterpart(f"padding that is not the same on both sides, {pads}")
        lowest = float(np.finfo(np.float32).min)
        x = growing.add(
            "pad", [x], {"pads": (top, bottom, left, right), "value": lowest}, name=f"{name}.pad"
        )
        options["pad"] = (0, 0)
    if op == "avg_pool":
        options["count_include_pad"] = counts
    return growing.add(op, [x], options, name=name)


def padded(growing: Growing, x: Value, pads: Any, name: str) -> tuple[Value, tuple[int, int]]:
    """Put zeros around images where the sides differ; return the pad that is left for the layer."""
    top, left, bottom, right = pads
    if min(pads) < 0:
        raise NoCounterpart(f"negative padding, {tuple(pads)}")
    if (top, left) == (bottom, right):
        return x, (top, left)
    wide = growing.add(
        "pad", [x], {"pads": (top, bottom, left, right), "value": 0.0}, name=f"{name}.pad"
    )
    return wide, (0, 0)


def same_pads(shape: Shape, reach: Sequence[int], stride: Sequence[int], upper: bool) -> list[int]:
    """Top, left, bottom, right of the padding that keeps ``ceil(size / stride)``."""
    sides = []
    for n, r, s in zip(shape[1:], reach, stride, strict=True):
        total = max((-(-n // s) - 1) * s + r - n, 0)
        small, large = total // 2, total - total // 2
        sides.append((small, large) if upper else (large, small))
    return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]]


def as_images(growing: Growing, x: Value, name: str) -> Value:
    """Return sequences (C, L) as images of one row (C, 1, L), which the foreign graph sees as sequences."""
    if is_sequence(x):
        return x
    if len(x.shape) != 2 or x.view != x.shape:
        raise NoCounterpart(f"on rows of {x.view}, where sequences (C, L) are needed")
    shape = (x.shape[0], 1, x.shape[1])
    return growing.add("reshape", [x], {"to": shape}, name=f"{name}.image")._replace(view=x.shape)


def as_pixels(growing: Growing, x: Value, name: str) -> Value:
    """Return a row of numbers that the foreign graph sees as images (C, 1, 1) as such; others as they are."""
    if len(x.shape) != 1 or x.view != (*x.shape, 1, 1):
        return x
    return growing.add("reshape", [x], {"to": x.view}, name=f"{name}.pixels")


def shuffled(growing: Growing, x: Value, order: Sequence[int], name: str) -> Value | None:
    """Return images whose channels, seen as (g, C / g, H, W), change these two axes; None for another order.

    It is the shuffle of ShuffleNet: (g, C / g, HW) is permuted to (C / g, g, HW).
    """
    if len(x.shape) != 3 or x.view[2:] != x.shape[1:] or list(order) != [1, 0, 2, 3]:
        return None
    g, k, H, W = x.view
    apart = growing.add(
        "reshape", [x._replace(view=x.shape)], {"to": (g, k, H * W)}, name=f"{name}.groups"
    )
    moved = growing.add("permute", [apart], {"order": (1, 0, 2)}, name=f"{name}.shuffled")
    return growing.add("reshape", [moved], {"to": x.shape}, name=name)._replace(view=(k, g, H, W))


def is_sequence(x: Value) -> bool:
    """Whether x are images of one row that the foreign graph sees as sequences."""
    return len(x.shape) == 3 and x.shape[1] == 1 and x.view == (x.shape[0], x.shape[2])


def as_seen(x: Value) -> Value:
    """Return images of one row as the sequences that the foreign graph sees."""
    return x._replace(view=(x.shape[0], x.shape[2]))
