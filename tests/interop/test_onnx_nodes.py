"""ONNX's own node tests of our operators, in and out again; and its package's models of others."""

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import helper, numpy_helper  # noqa: E402
from reference.onnx_cases import cases  # noqa: E402

from handgrad.errors import HandgradError, OperationError  # noqa: E402
from handgrad.interop import from_onnx  # noqa: E402
from handgrad.interop.describe import describe  # noqa: E402
from handgrad.interop.onnx_out import model_proto  # noqa: E402

# update rules and losses are no layers of a graph
OTHERS = {"Adagrad", "Adam", "Momentum", "SoftmaxCrossEntropyLoss"}


def model_of(case):
    """The node as a file whose weights are inside, as those of trained networks are."""
    names = [f"i{k}" if a is not None else "" for k, a in enumerate(case.inputs)]
    x = np.asarray(case.inputs[0])
    node = helper.make_node(case.op, names, ["y"], **case.settings)
    weights = [
        numpy_helper.from_array(np.asarray(a), names[k])
        for k, a in enumerate(case.inputs)
        if k and a is not None
    ]
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    given = [helper.make_tensor_value_info("i0", kind, ["N", *x.shape[1:]])]
    out = [helper.make_tensor_value_info("y", kind, None)]
    graph = helper.make_graph([node], "g", given, out, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)])


@pytest.mark.thorough
def test_node_cases_in_and_out_again():
    reference = pytest.importorskip("onnx.reference")
    found, refused = Counter(), {}
    for case in cases():
        if case.op in OTHERS:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                net = from_onnx(model_of(case).SerializeToString())
        except HandgradError as error:
            refused[case.name] = str(error)
            found[case.op, "refused"] += 1
            continue
        x, right = np.asarray(case.inputs[0]), np.asarray(case.outputs[0])
        net.dtype = x.dtype.type
        tolerance = {"rtol": 1e-3 if "ceil" in case.name else 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(
            net.loss(x).reshape(right.shape), right, **tolerance, err_msg=case.name
        )
        session = reference.ReferenceEvaluator(model_proto(describe(net)))
        try:
            (again,) = session.run(None, {session.input_names[0]: x})
        except (ValueError, IndexError, NotImplementedError):  # of the reference itself
            found[case.op, "in"] += 1
            continue
        np.testing.assert_allclose(
            again.reshape(right.shape), right, **tolerance, err_msg=case.name
        )
        found[case.op, "both"] += 1
    both = sum(n for (_, way), n in found.items() if way == "both")
    assert both >= 55, (both, found)
    for name, text in refused.items():
        assert "no counterpart" in text or "no layers" in text or "input_shape" in text, (
            name,
            text,
        )


DATA = Path(onnx.__file__).parent / "backend/test/data"


def arrays(paths):
    return [
        numpy_helper.to_array(onnx.TensorProto.FromString(p.read_bytes())) for p in sorted(paths)
    ]


@pytest.mark.parametrize("kind", ["pytorch-converted", "pytorch-operator"])
def test_files_that_pytorch_wrote(kind):
    """Each is right, or refused by name."""
    folders = sorted((DATA / kind).glob("*/model.onnx"))
    if not folders:
        pytest.skip("the onnx package has no such files")
    right = 0
    for file in folders:
        data = file.parent / "test_data_set_0"
        xs, expected = arrays(data.glob("input_*.pb")), arrays(data.glob("output_*.pb"))[0]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                net = from_onnx(file)
            net.dtype = xs[0].dtype.type
            got = net.loss(tuple(xs) if len(xs) > 1 else xs[0])
        except HandgradError:
            continue
        np.testing.assert_allclose(
            got.reshape(expected.shape), expected, 1e-4, 1e-5, err_msg=file.parent.name
        )
        right += 1
    assert right >= {"pytorch-converted": 35, "pytorch-operator": 7}[kind]


LIGHT = {
    "resnet50": 175, "squeezenet": 65, "inception_v2": 374, "densenet121": 668,
    "bvlc_alexnet": "LRN", "inception_v1": "LRN", "zfnet512": "LRN", "shufflenet": 202,
}  # fmt: skip


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*softmax at the end")
@pytest.mark.parametrize("name", LIGHT)
def test_the_zoos_architectures(name):
    file = DATA / "light" / f"light_{name}.onnx"
    if not file.exists():
        pytest.skip("the onnx package has no such file")
    expected = LIGHT[name]
    if isinstance(expected, str):
        with pytest.raises(OperationError, match=expected):
            from_onnx(file)
        return
    net = from_onnx(file)
    assert len(net.layers) == expected
    (right,) = arrays([file.with_name(f"light_{name}_output_0.pb")])
    scores = net.loss(np.ones((1, *net._input_shapes[0]), np.float32))
    assert scores.size == right.size
