"""ONNX files with operators that have no counterpart here: ONNX Runtime computes them for `compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from handgrad.errors import OperationError
from handgrad.interop.onnx_in import ALIKE, array_of, parsed
from handgrad.interop.optional import library
from handgrad.interop.trace import Seen, Trace

Array = np.ndarray
_MOST = 50_000_000  # numbers that one value may have
_NODES = 5_000
_ALIKE = (*ALIKE, "GroupNormalization", "Identity", "Cast")


class OnnxFile:
    """A file whose values are seen, in test mode alone.

    Args:
        path: of the file.
        why: the error that says what has no counterpart; it is raised where the file cannot be computed.
    """

    def __init__(self, path: Any, why: OperationError) -> None:
        self.why = why
        self.where, self.model = parsed(path)
        graph = self.model.graph
        onnx = library("onnx", "compare")
        self.arrays = {t.name: array_of(onnx, t, self.where) for t in graph.initializer}
        last = next((n for n in graph.node if n.output[0] == graph.output[0].name), None)
        if last is not None and last.op_type == "Softmax" and len(graph.output) == 1:
            graph.node.remove(last)  # as `from_onnx` does
            graph.output[0].name = last.input[0]

    def trace(self, xs: Sequence[Array]) -> Trace:
        """What it computes on `xs`, value by value, as far as it goes."""
        graph = self.model.graph
        inputs = [value.name for value in graph.input if value.name not in self.arrays]
        if len(inputs) != len(xs) or len(graph.node) > _NODES:
            raise self.why
        wide = any(a.dtype == np.float64 for a in self.arrays.values())
        given = [x.astype(np.float64 if wide else np.float32) for x in xs]
        values: dict[str, Array] = {**self.arrays, **dict(zip(inputs, given, strict=True))}
        seen, broken = [Seen(name, values[name]) for name in inputs], ""
        for node in graph.node:
            try:
                values.update(self._made(node, values))
            except OperationError:
                raise
            except Exception as error:  # the runtime's errors are no common family
                broken = f"{node.name or node.op_type}: {' '.join(str(error).split())[:200]}"
                break
            used = tuple(name for name in node.input if name in self.arrays)
            found = [values[name] for name in node.output if name in values]
            seen += [
                Seen(node.name, a, params=used) for a in found if a.dtype.kind == "f" and a.ndim
            ]
        scores = values.get(graph.output[0].name, np.zeros(0, np.float32))
        unit = float(np.finfo(np.float64 if wide else np.float32).eps) / 2
        params = {name: a for name, a in self.arrays.items() if a.dtype.kind == "f"}
        return Trace(self.where, seen, scores, unit, params, broken=broken)

    def _made(self, node: Any, values: Mapping[str, Array]) -> dict[str, Array]:
        """What one node gives, in a session of its own, after a look at how large that becomes."""
        onnx, runtime = library("onnx", "compare"), library("onnxruntime", "compare")
        names = list(dict.fromkeys(name for name in node.input if name))
        if any(name not in values for name in names):
            raise ValueError("one of its inputs is not there")
        if any(
            a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
            for a in node.attribute
        ):
            raise self.why
        types = onnx.helper.np_dtype_to_tensor_dtype
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        model.ClearField("graph")
        graph = model.graph
        graph.name = "one"
        graph.node.append(node)
        for name in names:
            a = values[name]
            if name in self.arrays:
                graph.initializer.append(onnx.numpy_helper.from_array(a, name))
            else:
                graph.input.append(
                    onnx.helper.make_tensor_value_info(name, types(a.dtype), a.shape)
                )
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.output if name)
        self._check_sizes(onnx, model, [values[name] for name in names])
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = runtime.InferenceSession(model.SerializeToString(), options)
        fed = {name: values[name] for name in names if name not in self.arrays}
        return dict(zip([n for n in node.output if n], session.run(None, fed), strict=True))

    def _check_sizes(self, onnx: Any, model: Any, given: Sequence[Array]) -> None:
        """Refuse a node whose outputs are too large, or of a size that is not known before."""
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        for value in inferred.output:
            dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
            known = value.type.tensor_type.HasField("shape") and all(dims)
            if not known and model.graph.node[0].op_type in _ALIKE:
                shapes = [a.shape for a in given]
                known, dims = True, [max((prod(shape) for shape in shapes), default=0)]
            if not known or prod(dims) > _MOST:
                raise ValueError("how large its output becomes is not known before")
