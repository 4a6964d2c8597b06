"""A network in the neutral form on which every writer and reader of this room stands.

`describe` makes a `Network` of a model: its layer calls in order, without fusion, as they are in
test mode.  Each `Node` has an operator of `OPERATORS`, the names of the values that go in, options in
plain numbers, and its arrays by their role.  The value that comes out has the node's name.

    for node in network.nodes:
        values[node.name] = operator(node)(*(values[name] for name in node.inputs))
    scores = values[network.output]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from handgrad.interop.columns import Columns

Shape = tuple[int, ...]

OPERATORS: dict[str, tuple[str, ...]] = {
    "affine": ("W", "b"),
    "conv": ("W", "b"),
    "conv_transpose": ("W", "b"),
    "batchnorm": ("gamma", "beta", "mean", "var"),
    "layernorm": ("gamma", "beta"),
    "groupnorm": ("gamma", "beta"),
    "instancenorm": ("gamma", "beta"),
    "prelu": ("a",),
    "standardize": ("mean", "std"),
    **dict.fromkeys(
        ("relu", "sigmoid", "tanh", "softplus", "leaky_relu", "elu", "gelu", "maxout", "dropout",
         "flatten", "add", "concat", "max_pool", "avg_pool", "global_avg_pool", "upsample",
         "scale", "pad", "permute", "reshape"), ()),
}  # fmt: skip
"""Operator -> the roles of its arrays, in the order of the pair."""

POINTWISE = ("relu", "sigmoid", "tanh", "softplus", "leaky_relu", "elu", "gelu", "scale")
"""Operators that change each number for itself, by one function for all."""


@dataclass(frozen=True)
class Node:
    """One call of an operator.

    Attributes:
        name: of the node and of its output, as "stem.conv"; a second call of a layer is "conv#2".
        op: one of `OPERATORS`.
        inputs: names of the values that go in.
        options: plain numbers and texts, those of the layer object.
        arrays: role -> array, those of `OPERATORS` that the layer has.
        params: role -> the name of the model's parameter, for the arrays that are trained.
        shape: of the output, without N.
        source: where it comes from in a foreign graph, for messages.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    shape: Shape = ()
    source: str = ""


@dataclass(frozen=True)
class Images:
    """How raw rows become the numbers that a network sees, ``(rows - mean) / std``, and what it tells apart.

    Attributes:
        mean, std: broadcast to a row, as (C, H, W); None where nothing is done.
        levels: the largest pixel value; None where the rows are no pixels.
        columns: of a table, how its columns become the D numbers that are centred and scaled.
        unit: of a regression, mean and deviation (T,) of the targets, in whose unit an exported file answers.
        class_names: may be empty.
        info: texts for the metadata of files, as the licence.
    """

    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    levels: int | None = 255
    class_names: tuple[str, ...] = ()
    info: Mapping[str, str] = field(default_factory=dict)
    columns: Columns | None = None
    unit: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def raw(self) -> str:
        """What the raw rows are called: pixels, rows or columns."""
        return "columns" if self.columns else "rows" if self.levels is None else "pixels"

    @property
    def said(self) -> str:
        """The same with the range of pixels."""
        return self.raw if self.levels is None else f"pixels in 0..{self.levels}"

    def raw_shape(self, shape: Shape) -> Shape:
        """The shape of a raw row, where the network sees rows of `shape`."""
        return (len(self.columns.fields),) if self.columns else shape


@dataclass(frozen=True)
class Network:
    """A whole network: `nodes` in the order in which they are computed.

    Attributes:
        name: of the model's class.
        inputs: name -> shape without N.
        nodes: see `Node`.
        output: name of the value that holds the scores.
        images: preprocessing and class names.
        loss: name and options of what it is trained with; the name is None for one's own function.
        reg, decayed: strength of the L2 regularisation, and the parameters that it counts.
    """

    name: str
    inputs: Mapping[str, Shape]
    nodes: tuple[Node, ...]
    output: str
    images: Images = Images()
    loss: Mapping[str, Any] = field(default_factory=lambda: {"name": "softmax"})
    reg: float = 0.0
    decayed: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every value, without N."""
        return {**self.inputs, **{node.name: node.shape for node in self.nodes}}

    @property
    def dtype(self) -> np.dtype:
        """That of the weights; float32 where there are none."""
        found = [
            a.dtype
            for node in self.nodes
            for a in node.arrays.values()
            if a.dtype.kind in "fc" and node.op != "standardize"
        ]
        return np.result_type(*found) if found else np.dtype(np.float32)

    def uses(self) -> dict[str, list[Node]]:
        """The nodes that take each value."""
        found: dict[str, list[Node]] = {name: [] for name in self.shapes}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return found

    def parameters(self) -> dict[str, np.ndarray]:
        """The trained arrays by the model's names."""
        return {
            name: node.arrays[role] for node in self.nodes for role, name in node.params.items()
        }


def without_dropout(network: Network) -> Network:
    """Return the network without what does nothing in test mode."""
    same: dict[str, str] = {}
    nodes = []
    for node in network.nodes:
        inputs = tuple(same.get(name, name) for name in node.inputs)
        if node.op == "dropout":
            same[node.name] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    return replace(network, nodes=tuple(nodes), output=same.get(network.output, network.output))


def folded(network: Network) -> Network:
    """Return the network with each batch normalisation folded into the convolution or affine layer in front.

        W' = W gamma / sqrt(var + eps)        b' = (b - mean) gamma / sqrt(var + eps) + beta

    for each output channel, and likewise the unit of a regression's targets behind an affine layer; only
    where no other layer reads the values between the two.  The folded arrays are computed in float64, and are
    no parameters of the model any more.
    """
    uses = network.uses()
    by_name = {node.name: node for node in network.nodes}
    gone: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    for node in network.nodes:
        inputs = tuple(gone.get(name, name) for name in node.inputs)
        front = by_name.get(node.inputs[0])
        fronts = {
            "batchnorm": ("conv", "affine", "conv_transpose"),
            "standardize": ("affine",),
        }
        if (
            front is not None
            and front.op in fronts.get(node.op, ())
            and len(uses[front.name]) == 1
            and front.name != network.output
        ):
            gone[node.name] = front.name
            nodes[front.name] = _fold(nodes[front.name], node)
        else:
            nodes[node.name] = replace(node, inputs=inputs)
    output = gone.get(network.output, network.output)
    return replace(network, nodes=tuple(nodes.values()), output=output)


def _fold(front: Node, norm: Node) -> Node:
    factor, shift = scale_and_shift(norm)
    W = front.arrays["W"]
    axis = {"affine": 1, "conv": 0, "conv_transpose": 1}[front.op]
    groups = front.options.get("groups", 1)
    wide = [1] * W.ndim
    wide[axis] = -1
    if front.op == "conv_transpose" and groups > 1:  # (C, F / groups, ...): by group of rows
        by_group = factor.reshape(groups, 1, -1, 1, 1)
        new = (W.reshape(groups, -1, *W.shape[1:]).astype(np.float64) * by_group).reshape(W.shape)
    else:
        new = W.astype(np.float64) * factor.reshape(wide)
    b = front.arrays.get("b", np.zeros(len(factor))).astype(np.float64) * factor + shift
    arrays = {"W": new.astype(W.dtype), "b": b.astype(W.dtype)}
    return replace(front, arrays=arrays, params={})


def scale_and_shift(norm: Node) -> tuple[np.ndarray, np.ndarray]:
    """Return factor and shift of a normalisation in test mode, in float64: ``factor x + shift``."""
    if norm.op == "standardize":
        mean, std = (
            np.broadcast_to(np.asarray(norm.arrays[role], np.float64), norm.shape)
            for role in ("mean", "std")
        )
        return 1 / std, -mean / std
    mean, var = (norm.arrays[role].astype(np.float64) for role in ("mean", "var"))
    gamma = norm.arrays.get("gamma", np.ones(len(mean))).astype(np.float64)
    beta = norm.arrays.get("beta", np.zeros(len(mean))).astype(np.float64)
    factor = gamma / np.sqrt(var + norm.options["eps"])
    return factor, beta - mean * factor


def size(shape: Shape) -> int:
    """How many numbers a row of `shape` has."""
    return prod(shape)


def identifiers(names: Iterator[str] | list[str]) -> dict[str, str]:
    """Return for each name a different one that is an identifier in Python and C."""
    found: dict[str, str] = {}
    for name in names:
        plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in name).strip("_") or "v"
        plain = plain if not plain[0].isdigit() else f"v{plain}"
        while plain in found.values() or plain in _TAKEN:
            plain += "_"
        found[name] = plain
    return found


_TAKEN = {
    *OPERATORS,
    "gelu_tanh",
    "image_pad",
    "prepared",
    "train",
    "padded",
    "windows",
    "spread",
    "shares",
    "math",
    "int",
    "float",
    "for",
    "if",
    "in",
    "is",
    "or",
    "and",
    "not",
    "class",
    "return",
    "def",
    "self",
    "out",
    "p",
    "np",
    "images",
    "scores",
    "do",
    "while",
    "double",
    "static",
    "const",
    "torch",
    "nn",
    "F",
}


def in_unit(network: Network) -> Network | None:
    """Return the network of a regression with outputs in the targets' unit, ``std out + mean``; else None."""
    if network.images.unit is None:
        return None
    mean, std = network.images.unit
    shape = network.shapes[network.output]
    arrays = {"mean": -mean / std, "std": 1 / std}
    arrays = {
        role: np.broadcast_to(array.astype(network.dtype), shape) for role, array in arrays.items()
    }
    name = "unit" if "unit" not in network.shapes else "unit_of_targets"
    node = Node(name, "standardize", (network.output,), {}, arrays, {}, shape)
    return replace(network, nodes=(*network.nodes, node), output=name)


def with_pixels(network: Network) -> Network | None:
    """Return the network with its preprocessing in front, so that it takes pixels; None where it has none.

    Mean and deviation are those in float32, as files hold them.
    """
    mean, std = network.images.mean, network.images.std
    if mean is None or std is None or len(network.inputs) != 1 or network.images.columns:
        return None
    ((name, shape),) = network.inputs.items()
    kept = {"mean": mean, "std": std}
    arrays = {role: np.broadcast_to(np.float32(a), shape) for role, a in kept.items()}
    first = Node(name, "standardize", ("pixels",), {}, arrays, {}, shape)
    return replace(network, inputs={"pixels": shape}, nodes=(first, *network.nodes))
