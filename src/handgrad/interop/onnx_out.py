"""A network as an ONNX file, in inference form, with a batch of any size.

Every operator of the neutral form becomes one or a few of ONNX.  The graph takes pixels, unless it is
bare, and gives scores (no softmax).  Weights keep their dtype and, where ONNX has their layout, bits.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

import handgrad
from handgrad.interop.columns import Columns
from handgrad.interop.network import Network, Node, without_dropout
from handgrad.interop.onnx_float64 import DOMAIN, GELUS, function
from handgrad.interop.optional import library

OPSET = 24
"""The newest that onnxruntime runs without calling it unfinished."""


class Writer:
    """Collects nodes and weights of a graph."""

    def __init__(self, dtype: np.dtype, taken: set[str]) -> None:
        self.taken = taken
        self.onnx = library("onnx", "export to ONNX")
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.weights: dict[str, np.ndarray] = {}
        self.functions: dict[str, Any] = {}
        self._count = 0

    def weight(self, name: str, array: np.ndarray) -> str:
        """Add an initializer; the same name is the same array."""
        self.weights[name] = array if array.dtype.kind == "i" else array.astype(self.dtype)
        return name

    def add(self, op: str, inputs: list[str], output: str = "", **options: Any) -> str:
        """Add a node; without a name for its output it gets one."""
        output = output or self.fresh(op)
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [output], name=output, **options))
        return output

    def call(self, name: str, inputs: list[str], output: str) -> None:
        """Add a call of one of the functions in float64, and the function itself once."""
        self.functions[name] = function(self.onnx, name, OPSET)
        self.add(name, inputs, output, domain=DOMAIN)

    def fresh(self, op: str) -> str:
        """A name that no value of the network has."""
        while True:
            self._count += 1
            name = f"{op.lower()}_{self._count}"
            if name not in self.taken:
                return name

    def role(self, node: Node, role: str, turned: np.ndarray | None = None) -> str:
        """Add the array of a role under the parameter's own name."""
        array = node.arrays[role] if turned is None else turned
        return self.weight(node.params.get(role, f"{node.name}.{role}"), array)


def model_proto(network: Network, *, bare: bool = False) -> Any:
    """Return the network as a ModelProto that `onnx.checker` accepts."""
    network = without_dropout(network)
    writer = Writer(network.dtype, {*network.shapes})
    onnx, helper = writer.onnx, writer.onnx.helper
    kind = helper.np_dtype_to_tensor_dtype(network.dtype)
    given = {name: name for name in network.inputs}
    shapes = dict(network.inputs)
    images = network.images
    if images.mean is not None and not bare:
        (name,) = network.inputs
        raw = given[name] = images.raw
        shapes[name] = images.raw_shape(shapes[name])
        x = raw if images.columns is None else _columns(writer, images.columns, raw)
        shift = writer.weight(f"{raw}.mean", np.asarray(images.mean))
        scale = writer.weight(f"{raw}.std", np.asarray(images.std))
        writer.add("Div", [writer.add("Sub", [x, shift]), scale], name)
    output = (
        "scores" if network.output == "scores" or "scores" not in writer.taken else network.output
    )
    for node in network.nodes:
        OPERATIONS[node.op](writer, node, output if node.name == network.output else node.name)
    if network.output in network.inputs:
        writer.add("Identity", [network.output], output)

    def value(name: str, shape: tuple[int, ...]) -> Any:
        return helper.make_tensor_value_info(name, kind, ["N", *shape])

    graph = helper.make_graph(
        writer.nodes,
        network.name,
        [value(given[name], shape) for name, shape in shapes.items()],
        [value(output, network.shapes[network.output])],
        [onnx.numpy_helper.from_array(array, name) for name, array in writer.weights.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[
            helper.make_opsetid("", OPSET),
            *([helper.make_opsetid(DOMAIN, 1)] if writer.functions else []),
        ],
        functions=list(writer.functions.values()),
        producer_name="handgrad",
        producer_version=handgrad.__version__,
    )
    own = [opset for opset in model.opset_import if not opset.domain]
    model.ir_version = helper.find_min_ir_version_for(own)
    helper.set_model_props(model, metadata(network, bare=bare))
    onnx.checker.check_model(model, full_check=True)
    return model


def metadata(network: Network, *, bare: bool = False) -> dict[str, str]:
    """Return what files say of a network beside its graph: classes, preprocessing, training, licence."""
    images = network.images
    found = {str(key): str(value) for key, value in images.info.items()}
    if images.class_names and not bare:
        found["class_names"] = json.dumps(list(images.class_names))
    if images.mean is not None and not bare and images.levels is not None:
        found["levels"] = str(images.levels)
    if images.columns is not None and not bare:
        found["columns"] = images.columns.to_json()
    return found


def _columns(writer: Writer, columns: Columns, raw: str) -> str:
    """Write what makes the D numbers of the K raw ones; return their name."""
    kind = writer.onnx.helper.np_dtype_to_tensor_dtype(writer.dtype)
    v = writer.add("Gather", [raw, writer.weight(f"{raw}.source", columns.source)], axis=1)
    missing = writer.add("IsNaN", [v])
    x = writer.add("Where", [missing, writer.weight(f"{raw}.fill", columns.fill), v])
    for role, marks in (("level", columns.is_level), ("gap", columns.gap)):
        if not marks.any():
            continue
        found = missing
        if role == "level":
            found = writer.add("Equal", [v, writer.weight(f"{raw}.level", columns.level)])
        where = writer.add("Cast", [writer.weight(f"{raw}.is_{role}", marks.astype(np.int64))],
                           to=writer.onnx.TensorProto.BOOL)  # fmt: skip
        x = writer.add("Where", [where, writer.add("Cast", [found], to=kind), x])
    return x


def _simple(op: str, **options: str) -> Callable[[Writer, Node, str], None]:
    def write(writer: Writer, node: Node, out: str) -> None:
        given = {theirs: node.options[ours] for theirs, ours in options.items()}
        writer.add(op, list(node.inputs), out, **given)

    return write


def _affine(writer: Writer, node: Node, out: str) -> None:
    (x,) = node.inputs
    flat = writer.add("Flatten", [x], axis=1)
    bias = [writer.role(node, "b")] if "b" in node.arrays else []
    writer.add("Gemm", [flat, writer.role(node, "W"), *bias], out)


def _conv(writer: Writer, node: Node, out: str) -> None:
    o = node.options
    more = {"output_padding": o["output_pad"]} if node.op == "conv_transpose" else {}
    bias = [writer.role(node, "b")] if "b" in node.arrays else []
    writer.add(
        "ConvTranspose" if more else "Conv",
        [*node.inputs, writer.role(node, "W"), *bias],
        out,
        kernel_shape=node.arrays["W"].shape[2:],
        strides=o["stride"],
        pads=[*o["pad"], *o["pad"]],
        dilations=o["dilation"],
        group=o["groups"],
        **more,
    )


def _vectors(writer: Writer, node: Node, count: int) -> list[str]:
    """The scale and shift, ones and zeros where they are left out."""
    names = []
    for role, value in (("gamma", 1.0), ("beta", 0.0)):
        array = node.arrays.get(role)
        name = f"{node.name}.{'ones' if value else 'zeros'}"
        names.append(
            writer.weight(name, np.full(count, value)) if array is None else writer.role(node, role)
        )
    return names


def _norm(writer: Writer, node: Node, out: str) -> None:
    epsilon = node.options["eps"]
    inputs = [*node.inputs, *_vectors(writer, node, node.shape[0])]
    # in what the statistics are computed; float32 unless told otherwise
    stash = {"stash_type": writer.onnx.TensorProto.DOUBLE} if writer.dtype == np.float64 else {}
    if node.op == "batchnorm":
        inputs += [
            writer.weight(f"{node.name}.{role}", node.arrays[role]) for role in ("mean", "var")
        ]
        options = {"momentum": node.options["momentum"]}
        writer.add("BatchNormalization", inputs, out, epsilon=epsilon, **options)
    elif node.op == "layernorm" and writer.dtype == np.float64:
        eps = writer.weight(f"{node.name}.eps", np.array(epsilon, np.float64))
        writer.call("LayerNorm", [*inputs, eps], out)
    elif node.op == "layernorm":
        writer.add("LayerNormalization", inputs, out, axis=-1, epsilon=epsilon)
    elif node.op == "groupnorm":
        groups = node.options["groups"]
        writer.add("GroupNormalization", inputs, out, num_groups=groups, epsilon=epsilon, **stash)
    else:
        writer.add("InstanceNormalization", inputs, out, epsilon=epsilon)


def _prelu(writer: Writer, node: Node, out: str) -> None:
    a = node.arrays["a"]
    wide = a.reshape(-1, *[1] * (len(node.shape) - 1)) if a.size > 1 else a.reshape(1)
    writer.add("PRelu", [*node.inputs, writer.role(node, "a", wide)], out)


def _gelu(writer: Writer, node: Node, out: str) -> None:
    kind = node.options["approximate"]
    if writer.dtype == np.float64:
        writer.call(GELUS[kind], list(node.inputs), out)
    else:
        writer.add("Gelu", list(node.inputs), out, approximate=kind)


def _maxout(writer: Writer, node: Node, out: str) -> None:
    shape = [0, node.shape[0], node.options["pieces"], *node.shape[1:]]
    target = writer.weight(f"{node.name}.shape", np.array(shape, np.int64))
    groups = writer.add("Reshape", [*node.inputs, target])
    axes = writer.weight(f"{node.name}.axes", np.array([2], np.int64))
    writer.add("ReduceMax", [groups, axes], out, keepdims=0)


def _pool(writer: Writer, node: Node, out: str) -> None:
    o = node.options
    options = {"kernel_shape": o["size"], "strides": o["stride"], "pads": [*o["pad"], *o["pad"]]}
    if o["ceil_mode"]:
        options["ceil_mode"] = 1
    if node.op == "avg_pool" and o["count_include_pad"]:
        options["count_include_pad"] = 1
    writer.add(
        "MaxPool" if node.op == "max_pool" else "AveragePool", [*node.inputs], out, **options
    )


def _global_avg_pool(writer: Writer, node: Node, out: str) -> None:
    writer.add("Flatten", [writer.add("GlobalAveragePool", list(node.inputs))], out, axis=1)


def _upsample(writer: Writer, node: Node, out: str) -> None:
    nearest = node.options["mode"] == "nearest"
    scales = writer.weight(f"{node.name}.scales", np.array([1, 1, *node.options["scale"]]))
    writer.weights[scales] = writer.weights[scales].astype(np.float32)
    options: dict[str, Any] = {"mode": "nearest" if nearest else "linear"}
    options["coordinate_transformation_mode"] = "asymmetric" if nearest else "half_pixel"
    if nearest:
        options["nearest_mode"] = "floor"
    writer.add("Resize", [*node.inputs, "", scales], out, **options)


def _scale(writer: Writer, node: Node, out: str) -> None:
    factor = writer.weight(f"{node.name}.factor", np.array(node.options["factor"], np.float64))
    writer.add("Mul", [*node.inputs, factor], out)


def _standardize(writer: Writer, node: Node, out: str) -> None:
    mean = writer.weight(f"{node.name}.mean", node.arrays["mean"])
    std = writer.weight(f"{node.name}.std", node.arrays["std"])
    writer.add("Div", [writer.add("Sub", [*node.inputs, mean]), std], out)


def _pad(writer: Writer, node: Node, out: str) -> None:
    top, bottom, left, right = node.options["pads"]
    widths = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    value = writer.weight(f"{node.name}.value", np.array(node.options["value"], np.float64))
    writer.add("Pad", [*node.inputs, writer.weight(f"{node.name}.pads", widths), value], out)


def _permute(writer: Writer, node: Node, out: str) -> None:
    writer.add("Transpose", [*node.inputs], out, perm=[0, *(i + 1 for i in node.options["order"])])


def _concat(writer: Writer, node: Node, out: str) -> None:
    writer.add("Concat", list(node.inputs), out, axis=1)


def _reshape(writer: Writer, node: Node, out: str) -> None:
    shape = writer.weight(f"{node.name}.shape", np.array([0, *node.options["to"]], np.int64))
    writer.add("Reshape", [*node.inputs, shape], out)


def _flatten(writer: Writer, node: Node, out: str) -> None:
    writer.add("Flatten", list(node.inputs), out, axis=1)


OPERATIONS: dict[str, Callable[[Writer, Node, str], None]] = {
    "affine": _affine,
    "conv": _conv,
    "conv_transpose": _conv,
    **dict.fromkeys(("batchnorm", "layernorm", "groupnorm", "instancenorm"), _norm),
    "prelu": _prelu,
    "standardize": _standardize,
    "relu": _simple("Relu"),
    "sigmoid": _simple("Sigmoid"),
    "tanh": _simple("Tanh"),
    "softplus": _simple("Softplus"),
    "leaky_relu": _simple("LeakyRelu", alpha="alpha"),
    "elu": _simple("Elu", alpha="alpha"),
    "gelu": _gelu,
    "maxout": _maxout,
    "flatten": _flatten,
    "reshape": _reshape,
    "add": _simple("Add"),
    "concat": _concat,
    "max_pool": _pool,
    "avg_pool": _pool,
    "global_avg_pool": _global_avg_pool,
    "upsample": _upsample,
    "scale": _scale,
    "pad": _pad,
    "permute": _permute,
}
