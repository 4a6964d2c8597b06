"""Float64 in ONNX files, and GELUs that others write as several operators."""

from math import pi, sqrt

import numpy as np
import pytest

from handgrad import interop, nn
from handgrad.errors import OperationError
from handgrad.interop.describe import describe
from handgrad.interop.onnx_out import model_proto

onnx = pytest.importorskip("onnx")
from onnx import helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

X = 3 * np.random.default_rng(0).standard_normal((40, 6))


def network():
    parts = [
        nn.Affine(7), nn.GELU(), nn.LayerNorm(eps=0.1), nn.Affine(5), nn.GELU("tanh"),
        nn.LayerNorm(scale=False), nn.Affine(3),
    ]  # fmt: skip
    return nn.Sequential(parts, input_shape=(6,), rng=0, dtype="float64")


def test_gelu_and_layernorm_have_all_digits_of_float64():
    net = network()
    right = net.loss(X)
    data = model_proto(describe(net)).SerializeToString()
    reference = ReferenceEvaluator(data)
    np.testing.assert_allclose(reference.run(None, {"x": X})[0], right, rtol=0, atol=1e-12)
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(data)
    np.testing.assert_allclose(session.run(None, {"x": X})[0], right, rtol=0, atol=1e-12)
    again = interop.from_onnx(data)
    np.testing.assert_array_equal(again.loss(X), right)


def test_a_function_of_that_name_with_another_body_is_refused():
    model = model_proto(describe(network()))
    for node in model.functions[0].node:
        if node.op_type == "Neg":
            node.op_type = "Abs"
    with pytest.raises(OperationError, match="the functions Gelu"):
        interop.from_onnx(model.SerializeToString())


def number(name, value):
    return numpy_helper.from_array(np.array(value, np.float32), name)


def node(op, *names):
    return helper.make_node(op, names[:-1], names[-1:])


ERF = [node("Div", "x", "root", "t"), node("Erf", "t", "e"), node("Add", "e", "one", "f")]
CUBE = [node("Pow", "x", "three", "c"), node("Mul", "c", "cubic", "d"), node("Add", "x", "d", "s"),
        node("Mul", "s", "tanh_root", "t"), node("Tanh", "t", "e"), node("Add", "one", "e", "f")]  # fmt: skip
FORMS = {
    "PyTorch": ("none", [*ERF, node("Mul", "x", "f", "g"), node("Mul", "g", "half", "y")]),
    "the half first": ("none", [*ERF, node("Mul", "x", "half", "h"), node("Mul", "h", "f", "y")]),
    "the half on the gate": ("none", [*ERF, node("Mul", "half", "f", "h"), node("Mul", "h", "x", "y")]),
    "with a tanh": ("tanh", [*CUBE, node("Mul", "x", "f", "g"), node("Mul", "g", "half", "y")]),
}  # fmt: skip


def file(nodes, **changed):
    numbers = {"root": sqrt(2), "one": 1.0, "half": 0.5, "three": 3.0}
    numbers |= {"cubic": 0.044715, "tanh_root": sqrt(2 / pi)}
    weights = [number(name, value) for name, value in {**numbers, **changed}.items()]
    weights.append(numpy_helper.from_array(np.eye(6, dtype=np.float32)[:, :3], "W"))
    nodes = [*nodes, node("MatMul", "y", "W", "out")]
    given = [helper.make_tensor_value_info("x", 1, ["N", 6])]
    out = [helper.make_tensor_value_info("out", 1, ["N", 3])]
    graph = helper.make_graph(nodes, "g", given, out, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize("name", FORMS)
def test_a_gelu_of_several_operators_is_one_layer(name):
    kind, nodes = FORMS[name]
    model = file(nodes)
    net = interop.from_onnx(model.SerializeToString())
    found = [(n.op, n.options) for n in describe(net).nodes]
    assert found == [("gelu", {"approximate": kind}), ("affine", {})]
    x = X.astype(np.float32)
    right = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_allclose(net.loss(x), right, rtol=1e-5, atol=1e-6)


def test_what_is_almost_a_gelu_is_none():
    with pytest.raises(OperationError, match="Erf"):
        interop.from_onnx(file(FORMS["PyTorch"][1], half=0.501).SerializeToString())
    front, end = FORMS["PyTorch"][1][:-1], node("Mul", "g", "half", "z")
    used_twice = file([*front, end, node("Add", "z", "e", "y")]).SerializeToString()
    with pytest.raises(OperationError, match="Erf"):
        interop.from_onnx(used_twice)
