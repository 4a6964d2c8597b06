"""A network from an ONNX file.

Only the file itself is read, as data: external files, functions and subgraphs are refused by name, and the
arrays must be as large as they say.
"""

from __future__ import annotations

import json
import warnings
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.errors import MALFORMED, DataError, HandgradError, OptionError, as_path, shown
from handgrad.interop import onnx_float64, onnx_gelu
from handgrad.interop.network import Images, Network
from handgrad.interop.onnx_graph import Graph
from handgrad.interop.onnx_ops import FUNCTIONS, OPERATORS
from handgrad.interop.optional import library
from handgrad.interop.reader import Growing, NoCounterpart, Shape, Unknown, Value
from handgrad.interop.rebuild import GraphModel, check_options, model_of

_LARGEST = 2 << 30  # bytes that a protocol buffer may have
_FLOATS = (1, 10, 11, 16)  # float32, float16, float64, bfloat16


def from_onnx(path: Any, *, input_shape: Any = None, **options: Any) -> GraphModel:
    """Read an ONNX file as a network that trains on.

    Args:
        path: the file, or its bytes.
        input_shape: of one row, where the file leaves it open.
        **options: those of `handgrad.nn.Model`, as reg and loss.

    Returns:
        A `GraphModel` with the weights; its ``images`` hold class names, and the preprocessing of files that
        `export` wrote.  Dropout is active in training.  A softmax at the end is left out, since the losses
        take scores; a warning says so.

    Raises:
        DataError: the file is missing, damaged, or refers to other files.
        OperationError: operators that have no counterpart, all of them with their places.
        OptionError: the shape of the input is not known, or onnx is missing.

    >>> model = from_onnx('model.onnx')  # doctest: +SKIP
    """
    check_options("from_onnx", options)
    return model_of(network_of(path, input_shape), **options)


def network_of(path: Any, input_shape: Any = None) -> Network:
    """Return the neutral form of an ONNX file, see `from_onnx`."""
    onnx = library("onnx", "from_onnx")
    where, model = parsed(path)
    try:
        return _network(onnx, model, where, input_shape)
    except HandgradError:
        raise
    except MALFORMED as error:
        raise DataError(
            f"{where} does not hold what it should: {' '.join(repr(error).split())[:200]}"
        ) from None


def parsed(path: Any) -> tuple[str, Any]:
    """Return what the file is called, and its message; nothing of it is looked at yet."""
    where, data = _read(path)
    model = library("onnx", "from_onnx").ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # the decoder's errors are no common family
        raise DataError(
            f"{where} is no ONNX file, or damaged: {' '.join(str(error).split())[:200]}"
        ) from None
    return where, model


def _read(path: Any) -> tuple[str, bytes]:
    if isinstance(path, bytes | bytearray):
        return "from_onnx: the bytes", bytes(path)
    if not isinstance(path, str | PathLike):
        raise OptionError(f"from_onnx: path must be a file or bytes, got {shown(path)}")
    file: Path = as_path("from_onnx", "path", path)
    try:
        if file.stat().st_size > _LARGEST:
            raise DataError(f"{file} is larger than an ONNX file can be")
        return str(file), file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from None


def _network(onnx: Any, model: Any, where: str, input_shape: Any) -> Network:
    graph = model.graph
    if not graph.node:
        raise DataError(f"{where} holds no nodes: it is no ONNX file, or an empty one")
    if model.producer_name == "handgrad" and any(p.key == "columns" for p in model.metadata_props):
        _without_columns(onnx, graph)
    growing = Growing(where)
    constants = {t.name: array_of(onnx, t, where) for t in graph.initializer}
    if graph.sparse_initializer:
        growing.problem("sparse initializers", "")
    growing.values |= constants
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
    context = Graph(onnx, growing, opset, lambda tensor: array_of(onnx, tensor, where))
    foreign = [f.name for f in model.functions if not onnx_float64.is_own(onnx, f, opset)]
    if foreign:
        names = ", ".join(foreign)[:200]
        growing.problem(f"the functions {names}", "export with them inlined")
    fixed = {
        value.type.tensor_type.shape.dim[0].dim_value
        for value in graph.input
        if value.name not in constants and value.type.tensor_type.shape.dim
    }
    context.batch = (fixed.pop() if len(fixed) == 1 else 0) or 1
    context.shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim][1:]
        for value in graph.value_info
    }
    context.gelus = onnx_gelu.find(graph, constants, context.array)
    _inputs(graph, constants, growing, where, input_shape)
    _walk(graph, context, growing, where)
    images = _metadata(model)
    if len(graph.output) != 1:
        growing.problem(f"{len(graph.output)} outputs", "a network has one, its scores")
        return growing.network("", None, images)
    output = growing.values.get(graph.output[0].name)
    if isinstance(output, Value):
        output = _without_softmax(growing, output, context, where)
    if isinstance(output, Value) and len(output.view) != len(output.shape):
        output = output._replace(view=output.shape)
    network = growing.network(graph.name or "Network", output, images)
    return _prepared(network) if model.producer_name == "handgrad" else network


def array_of(onnx: Any, tensor: Any, where: str) -> np.ndarray:
    """The array of a tensor, after looking at what it says of itself."""
    name = tensor.name or "a constant"
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise DataError(
            f"{where}: the weights {name} are in another file ({_location(tensor)}), which is not "
            "read; save the model with its weights inside"
        )
    dims = list(tensor.dims)
    if any(d < 0 for d in dims) or prod(dims) > _LARGEST:
        raise DataError(f"{where}: {name} says that it has the shape {dims}")
    try:
        array = onnx.numpy_helper.to_array(tensor)
    except Exception as error:  # of many kinds
        raise DataError(
            f"{where}: {name} is damaged: {' '.join(str(error).split())[:120]}"
        ) from None
    if tensor.data_type in (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16):
        array = array.astype(np.float32)
    return np.array(array)


def _location(tensor: Any) -> str:
    return next(
        (entry.value for entry in tensor.external_data if entry.key == "location"), "unknown"
    )[:200]


def _inputs(graph: Any, constants: Any, growing: Growing, where: str, input_shape: Any) -> None:
    given = [value for value in graph.input if value.name not in constants]
    from handgrad.nn.fit import input_shapes

    wanted = input_shapes("from_onnx", input_shape)
    if wanted is not None and len(wanted) != len(given):
        raise OptionError(
            f"from_onnx: input_shape must be of {len(given)} inputs, got {len(wanted)}"
        )
    for i, value in enumerate(given):
        tensor = value.type.tensor_type
        if tensor.elem_type not in _FLOATS:
            growing.problem(f"the input {value.name}", "it holds no floating-point numbers")
            growing.values[value.name] = Unknown()
            continue
        given_shape: Any = [d.dim_value or d.dim_param or "?" for d in tensor.shape.dim]
        shape = given_shape[1:]
        if wanted is None and tensor.HasField("shape") and not shape:
            raise OptionError(
                f"{where}: the input {value.name} has the shape ({', '.join(map(str, given_shape))}), "
                "without an axis for the rows and one for their numbers; export the network with inputs "
                "(N, ...), of any N, or pass input_shape, the sizes behind N"
            )
        if wanted is not None:
            shape = list(wanted[i])
        elif not tensor.HasField("shape"):
            shape = ["?"]
        if not shape or not all(isinstance(n, int) and 0 < n < 1 << 31 for n in shape):
            raise OptionError(
                f"{where}: the input {value.name} has the shape (N, {', '.join(map(str, shape))}); pass "
                "input_shape, the sizes behind N"
            )
        growing.input(value.name, tuple(shape))


def _walk(graph: Any, context: Graph, growing: Growing, where: str) -> None:
    """Go through the nodes, each when its inputs are there."""
    made = {name for node in graph.node for name in node.output}
    waiting = list(graph.node)
    while waiting:
        later = []
        for node in waiting:
            if all(not name or name in growing.values for name in node.input):
                _translate(node, context, growing)
            else:
                later.append(node)
        if len(later) == len(waiting):
            lacking = sorted(
                {n for node in later for n in node.input if n and n not in growing.values}
            )
            missing = [name for name in lacking if name not in made]
            if missing:
                raise DataError(f"{where}: nothing makes the values {', '.join(missing[:10])}")
            raise DataError(
                f"{where}: the graph has a cycle, through {', '.join(_place(n) for n in later[:5])}"
            )
        waiting = later


def _place(node: Any) -> str:
    name = node.name or (node.output[0] if node.output else "")
    return f"{name} ({node.op_type})"


def _translate(node: Any, context: Graph, growing: Growing) -> None:
    given = [growing.values[name] if name else None for name in node.input]
    for name in node.output:
        growing.values[name] = Unknown()
    if node.output and node.output[0] in context.gelus.inner:
        return  # a part of a GELU
    if node.output and node.output[0] in context.gelus.made:
        source, kind = context.gelus.made[node.output[0]]
        x = growing.values[source]
        if isinstance(x, Value):
            out = growing.add("gelu", [x], {"approximate": kind}, name=node.output[0])
            growing.values[node.output[0]] = out._replace(view=x.view)
        return
    if not node.output:
        return
    function = OPERATORS.get(node.op_type)
    if node.domain == onnx_float64.DOMAIN:
        function = FUNCTIONS.get(node.op_type)
    elif node.domain not in ("", "ai.onnx"):
        growing.problem(_place(node), f"it is of the domain {node.domain}")
        _stand_in(node, context, growing, given)
        return
    try:
        if function is None:
            raise NoCounterpart("")
        if not any(isinstance(value, Unknown) for value in given):
            growing.values[node.output[0]] = function(context, node, given)
            return
    except NoCounterpart as error:
        growing.problem(_place(node), str(error))
    _stand_in(node, context, growing, given)


ALIKE = (
    "Abs", "Add", "BatchNormalization", "Celu", "Clip", "Cos", "CumSum", "Div", "Dropout", "Elu", "Erf",
    "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Hardmax", "InstanceNormalization", "LRN",
    "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "LpNormalization", "Max", "Mean",
    "MeanVarianceNormalization", "Min", "Mish", "Mod", "Mul", "Neg", "PRelu", "Pow", "Reciprocal",
    "Relu", "RMSNormalization", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Softmax",
    "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu",
)  # fmt: skip  # operators whose output is as large as the largest of their inputs


def _stand_in(node: Any, context: Graph, growing: Growing, given: list[Any]) -> None:
    """Put values in the place of what has no counterpart, by the file's shapes or those that go in."""
    for i, name in enumerate(node.output):
        shape: Any = context.shapes.get(name)
        values = [value.view for value in given if isinstance(value, Value)]
        is_alike = values and not any(isinstance(value, Unknown) for value in given)
        if shape is None and i == 0 and is_alike and node.op_type in ALIKE:
            try:
                shape = np.broadcast_shapes(*values)
            except ValueError:
                continue
        growing.values[name] = growing.stand_in(name, shape or ())


def _without_softmax(growing: Growing, output: Value, context: Graph, where: str) -> Value:
    if output.name not in context.softmaxes:
        return output
    warnings.warn(
        f"{where}: the softmax at the end is left out; the losses take the scores in front of it",
        stacklevel=5,
    )
    return context.softmaxes[output.name]


def _metadata(model: Any) -> Images:
    known = {p.key: p.value for p in model.metadata_props}
    names: Any = []
    levels = 255
    try:
        names = json.loads(known.pop("class_names", "[]"))
        levels = int(known.pop("levels", "255"))
    except (ValueError, RecursionError):
        names = []
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        names = []
    return Images(None, None, levels, tuple(names), known)


def _without_columns(onnx: Any, graph: Any) -> None:
    """Let a file that `export` wrote of a table begin behind what it makes of the columns."""
    sizes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    last = next((node for node in graph.node if "columns.std" in node.input), None)
    if last is None or len(graph.input) != 1 or len(sizes["columns.std"]) != 1:
        return
    above: list[Any] = []
    waiting = [last]
    while waiting:
        node = waiting.pop()
        if all(node is not other for other in above):
            above.append(node)
            waiting += [makers[name] for name in node.input if name in makers]
    kept = [node for node in graph.node if all(node is not other for other in above)]
    kind = graph.input[0].type.tensor_type.elem_type
    rows = onnx.helper.make_tensor_value_info(last.output[0], kind, ["N", *sizes["columns.std"]])
    del graph.node[:], graph.input[:]
    graph.node.extend(kept)
    graph.input.append(rows)


def _prepared(network: Network) -> Network:
    """Let the preprocessing of a file that `export` wrote be that of the images again."""
    from dataclasses import replace

    first, (raw, *others) = network.nodes[0], network.inputs
    if (
        others
        or raw not in ("pixels", "rows")
        or first.op != "standardize"
        or first.inputs != (raw,)
        or len(network.uses()[raw]) > 1
    ):
        return network
    levels = network.images.levels if raw == "pixels" else None
    mean, std = first.arrays["mean"], first.arrays["std"]
    images = replace(network.images, mean=mean, std=std, levels=levels)
    nodes = [
        replace(node, inputs=tuple("x" if name == first.name else name for name in node.inputs))
        for node in network.nodes[1:]
    ]
    shape: Shape = network.inputs[raw]
    return replace(network, inputs={"x": shape}, nodes=tuple(nodes), images=images)
