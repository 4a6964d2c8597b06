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

from handgrad import nn
from handgrad.errors import OperationError, OptionError, shown
from handgrad.interop.extras import Pad, Permute, Reshape, Scale, Standardize
from handgrad.models.network import CourseDropout
from handgrad.models.norms import CourseBatchNorm, CourseLayerNorm
from handgrad.models.speed import scaled
from handgrad.nn.custom import CustomLayer

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

_SIMPLE: dict[type, str] = {
    nn.ReLU: "relu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh", nn.Softplus: "softplus",
    nn.LeakyReLU: "leaky_relu", nn.ELU: "elu", nn.GELU: "gelu", nn.PReLU: "prelu",
    nn.Maxout: "maxout", nn.Dropout: "dropout", nn.Flatten: "flatten", nn.Add: "add",
    nn.Concat: "concat", nn.MaxPool: "max_pool", nn.AvgPool: "avg_pool",
    nn.GlobalAvgPool: "global_avg_pool", nn.Upsample: "upsample", nn.Affine: "affine",
    nn.Conv2d: "conv", nn.ConvTranspose2d: "conv_transpose", nn.BatchNorm: "batchnorm",
    nn.GroupNorm: "groupnorm", nn.InstanceNorm: "instancenorm", nn.Whitening: "conv",
    CourseBatchNorm: "batchnorm", CourseDropout: "dropout",
    Pad: "pad", Permute: "permute", Scale: "scale", Standardize: "standardize", Reshape: "reshape",
    nn.Conv1d: "conv", nn.BatchNorm1d: "batchnorm", nn.MaxPool1d: "max_pool", nn.AvgPool1d: "avg_pool",
    nn.GlobalAvgPool1d: "global_avg_pool",
}  # fmt: skip

# operator -> its options that are attributes of the layer object, under the same name
_OPTIONS: dict[str, tuple[str, ...]] = {
    "leaky_relu": ("alpha",),
    "elu": ("alpha",),
    "gelu": ("approximate",),
    "maxout": ("pieces",),
    "conv_transpose": ("stride", "pad", "output_pad", "dilation", "groups"),
    "groupnorm": ("groups",),
    "max_pool": ("size", "stride", "pad", "ceil_mode"),
    "avg_pool": ("size", "stride", "pad", "ceil_mode", "count_include_pad"),
    "upsample": ("scale", "mode"),
    "scale": ("factor",),
    "pad": ("pads", "value"),
    "permute": ("order",),
    "reshape": ("to",),
    "batchnorm": ("momentum",),
}


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
    """How pixels become the numbers that a network sees, ``(pixels - mean) / std``, and what it tells apart.

    Attributes:
        mean, std: broadcast to (C, H, W); None where nothing is done.
        levels: the largest pixel value.
        class_names: may be empty.
        info: texts for the metadata of files, as the licence.
    """

    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    levels: int = 255
    class_names: tuple[str, ...] = ()
    info: Mapping[str, str] = field(default_factory=dict)


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


def describe(model: Any, images: Images | None = None) -> Network:
    """Return the neutral form of `model`, a network of `handgrad.nn` or a ready one.

    Raises OptionError if it is none or is not built, and OperationError that names, all at once, the
    layers that have no neutral form: pairs of one's own.
    """
    if isinstance(model, Network):
        return model if images is None else replace(model, images=images)
    if not isinstance(model, nn.Model):
        raise OptionError(
            f"interop: a network of handgrad.nn or handgrad.models is needed, got {shown(model)}"
        )
    network = _of_model(model)
    if network.dtype.kind == "c":
        raise OptionError(f"interop: {network.name} computes in complex numbers; use real ones")
    return network if images is None else replace(network, images=images)


# -- of layer objects ------------------------------------------------------------------------------


def _of_model(model: nn.Model) -> Network:
    model.check_params()  # which also says what to do where it is not built
    rows = model._input_shapes
    assert rows is not None
    graph, output = model._record([(1, *row) for row in rows], "test")
    names = {i: "x" if len(rows) == 1 else f"x{i + 1}" for i in range(len(rows))}
    inputs = {names[i]: row for i, row in enumerate(rows)}
    values = {f"{name}_image": _image(row) for name, row in inputs.items()} | dict(inputs)
    needed, wanted = [], {output.index}
    for call in reversed(graph.calls):
        if call.output in wanted:
            needed.append(call)
            wanted.update(call.inputs)
    own = model._in_call(model._own_state())  # layers with what the network keeps for them
    nodes, foreign = [], []
    made: dict[str, int] = {}
    for i, row in enumerate(rows):
        if len(row) == 2:  # sequences are images of one row
            name = f"{names[i]}_image"
            nodes.append(_reshaped(name, names[i], _image(row)))
            names[i] = name
    for call in reversed(needed):
        label = call.label
        if call.layer._root is None:  # made in forward, as Add: it may be called often
            made[label] = made.get(label, 0) + 1
            label = f"{label}{made[label]}"
        while label in names.values():
            label += "_"
        names[call.output] = label
        op = _operator(call.layer, call.shape)
        if op is None:
            foreign.append(f"{label}, {call.layer!r}")
            continue
        layer = own.get(id(call.layer), call.layer)
        if any(i not in names for i in call.inputs):
            continue  # a foreign one stands in front of it
        given = tuple(names[i] for i in call.inputs)
        if op == "reshape" and _image(call.shape[1:]) == _image(values[given[0]]):
            names[call.output] = given[0]
            continue
        arrays, params = _arrays(model, layer)
        options, shape = _options(op, layer), _image(call.shape[1:])
        if op == "standardize" and shape != call.shape[1:]:
            arrays = {role: a[:, None] if a.ndim == 2 else a for role, a in arrays.items()}
        if op == "permute" and len(options["order"]) == 2:
            options["order"] = {(0, 1): (0, 1, 2), (1, 0): (2, 1, 0)}[options["order"]]
        nodes.append(Node(label, op, given, options, arrays, params, shape))
        values[label] = shape
    if foreign:
        raise OperationError(
            f"interop: {type(model).__name__} holds layers that are this library's alone or your own, "
            f"and have no form elsewhere: {'; '.join(foreign)}. Use layers of handgrad.nn in their place"
        )
    if len(output.shape) == 3:
        name = f"{names[output.index]}_rows"
        nodes.append(_reshaped(name, names[output.index], output.shape[1:]))
        names[output.index] = name
    loss = {"name": model._loss.name, **model._loss.options}
    reg = float(model.reg)
    return Network(
        type(model).__name__, inputs, tuple(nodes), names[output.index], Images(), loss, reg,
        tuple(model.decayed),
    )  # fmt: skip


def _image(row: Shape) -> Shape:
    """The shape (C, 1, L) of a sequence (C, L); others stay."""
    return (row[0], 1, row[1]) if len(row) == 2 else row


def _reshaped(name: str, value: str, shape: Shape) -> Node:
    return Node(name, "reshape", (value,), {"to": shape}, {}, {}, shape)


def _operator(layer: nn.Layer, shape: Shape) -> str | None:
    if type(layer) in (nn.LayerNorm, CourseLayerNorm):
        return "layernorm" if len(shape) == 2 else "groupnorm"
    if isinstance(layer, CustomLayer) and layer.pair is scaled:
        return "scale"
    return _SIMPLE.get(type(layer))


def _options(op: str, layer: Any) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if isinstance(layer, CustomLayer):
        return {"factor": float({**layer.pair.defaults, **layer.given}["factor"])}
    if isinstance(layer, nn.Whitening):
        return {"stride": (1, 1), "pad": layer._pad, "dilation": (1, 1), "groups": 1}
    if isinstance(layer, nn.Conv2d):
        options |= layer.conv_param
    if isinstance(layer, nn.Conv1d):
        o = layer.conv1d_param
        return {"stride": (1, o["stride"]), "pad": (0, o["pad"]), "dilation": (1, o["dilation"]),
                "groups": o["groups"]}  # fmt: skip
    if isinstance(layer, nn.MaxPool1d | nn.AvgPool1d):
        options = {"size": (1, layer.size), "stride": (1, layer.stride), "pad": (0, layer.pad),
                   "ceil_mode": False}  # fmt: skip
        if isinstance(layer, nn.AvgPool1d):
            options["count_include_pad"] = layer.count_include_pad
        return options
    if op in ("batchnorm", "layernorm", "groupnorm", "instancenorm"):
        options["eps"] = layer.param.get("eps", 1e-5)
    if isinstance(layer, nn.LayerNorm) and op == "groupnorm":
        return {**options, "groups": getattr(layer, "groups", 1)}
    if isinstance(layer, nn.Dropout):
        options["p"] = layer.param["p"]
    return options | {name: getattr(layer, name) for name in _OPTIONS.get(op, ())}


def _arrays(model: nn.Model, layer: nn.Layer) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    (shapes, *_) = [*layer._shapes, ()]
    params = dict(zip(layer.weights(*shapes) if shapes else (), layer.parameters, strict=True))
    arrays = {role: np.asarray(model.params[name]) for role, name in params.items()}
    if isinstance(layer, nn.Conv1d):
        arrays["W"] = arrays["W"][:, :, None]
    if isinstance(layer, nn.Whitening):
        dtype = next(iter(model.params.values())).dtype if model.params else np.float32
        arrays["W"] = layer.buffers()["W"].astype(dtype)
    if isinstance(layer, nn.BatchNorm):
        (shape, *_) = list(layer._shapes)
        arrays |= _statistics(layer.buffers(), shape[0][0], arrays)
    if isinstance(layer, Standardize):
        arrays |= {"mean": layer.mean, "std": layer.std}
    return arrays, params


def _statistics(
    kept: Mapping[str, Any], channels: int, like: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The running statistics; before the first step those that the pair computes with."""
    dtype = next((a.dtype for a in like.values()), np.dtype(np.float32))
    zeros = np.zeros(channels, dtype)
    return {role: np.asarray(kept.get(f"running_{role}", zeros)) for role in ("mean", "var")}


# -- what writers ask for --------------------------------------------------------------------------


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

    for each output channel; only where nobody else looks at what is between the two.  The folded arrays
    are computed in float64, and are no parameters of the model any more.
    """
    uses = network.uses()
    by_name = {node.name: node for node in network.nodes}
    gone: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    for node in network.nodes:
        inputs = tuple(gone.get(name, name) for name in node.inputs)
        front = by_name.get(node.inputs[0])
        if (
            node.op == "batchnorm"
            and front is not None
            and front.op in ("conv", "affine", "conv_transpose")
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
    """Return factor and shift of a batch normalisation in test mode, in float64: ``factor x + shift``."""
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
