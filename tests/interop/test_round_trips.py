"""Out to every target and back again: every ready network, and generated graphs.

Scores agree within rounding (float64: 1e-12), and the weights that come back are the same to the last bit.
"""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from interop.generated import graph
from interop.judge import agree, imported
from interop.nets import rows
from interop.steps import ours, same_numbers, torch_steps, without_chance
from interop.test_c import GCC, SANITIZED, compiled, outputs, program

from handgrad import interop
from handgrad.errors import OperationError
from handgrad.interop import c_int8, c_out
from handgrad.interop.describe import describe
from handgrad.interop.int8 import quantized
from handgrad.interop.int8_run import scores
from handgrad.interop.network import without_dropout
from handgrad.interop.numpy_out import more_of
from handgrad.interop.rebuild import model_of

COUNT = 300
NORMS = ("layernorm", "groupnorm", "instancenorm")  # rounding that depends on how floats are summed


def same_bits(ours, theirs, what):
    there = [a for node in theirs.nodes for a in node.arrays.values()]
    for node in ours.nodes:
        for role, a in node.arrays.items():
            if node.op == "standardize":
                continue
            kind = a.dtype if role not in ("mean", "var") else ours.dtype
            found = any(
                a.shape == b.shape and b.dtype == kind and np.array_equal(a, b) for b in there
            )
            assert found, (what, node.name, role)


def doubled(net):
    """The same network in float64."""
    again = model_of(describe(net), dtype="float64")
    again.dtype = np.float64
    return again


def as_attributes(network):
    """The network with its options as ONNX has them, in float32."""
    nodes = []
    for node in network.nodes:
        options = {
            k: float(np.float32(v)) if isinstance(v, float) else v for k, v in node.options.items()
        }
        nodes.append(replace(node, options=options))
    return replace(network, nodes=tuple(nodes))


def close(got, right, what):
    assert np.abs(got - right).max() <= 1e-12 * max(np.abs(right).max(), 1.0), what


def numpy_trip(net, X, folder, what):
    module = imported(interop.export(net, "numpy", folder / "net.py").files[0])
    agree(net, X, module.scores(X), what)
    twice = doubled(net)
    teaching = imported(interop.export(twice, "numpy", folder / "deep.py", train=True).files[0])
    wide = X.astype(np.float64)
    close(teaching.scores(wide), twice.loss(wide), what)
    if any(node.op == "dropout" for node in describe(net).nodes):
        return
    y = np.arange(len(X)) % net.num_classes
    loss, grads = twice.loss(wide, y)
    own_loss, own = teaching.loss_and_gradients(wide, y)
    assert own_loss == pytest.approx(loss, rel=1e-10), what
    largest = max(np.abs(g).max() for g in grads.values())
    for name, grad in grads.items():
        assert np.abs(own[name] - grad).max() <= 1e-9 * max(largest, 1.0), (what, name)


def onnx_trip(net, X, folder, what):
    runtime = pytest.importorskip("onnxruntime")
    from handgrad.interop.onnx_out import model_proto

    data = model_proto(describe(net)).SerializeToString()
    session = runtime.InferenceSession(data)
    agree(net, X, session.run(None, {session.get_inputs()[0].name: X})[0], what)
    again = interop.from_onnx(data)
    agree(net, X, again.loss(X), what)
    same_bits(without_dropout(describe(net)), describe(again), what)
    twice = doubled(model_of(as_attributes(describe(net))))
    wide = X.astype(np.float64)
    data = model_proto(describe(twice)).SerializeToString()
    for got in (reference_scores(net, data, wide), runtime_scores(runtime, data, wide)):
        if got is not None:
            close(got, twice.loss(wide), what)
            DEEP.add(
                what
            )  # the others have an operator that one has wrongly, and the other not at all
    same_bits(without_dropout(describe(twice)), describe(interop.from_onnx(data)), what)


DEEP = set()
"""The graphs whose ONNX file was computed in float64 by one of the two."""


def reference_scores(net, data, X):
    """What ONNX's own evaluator gives; None where it cannot, or is known to be wrong."""
    reference = pytest.importorskip("onnx.reference")
    network = describe(net)
    for node in network.nodes:
        if node.op == "avg_pool" and any(more_of(node, network.shapes[node.inputs[0]])):
            return None  # where a window reaches over the edge, it averages other numbers
        if node.op == "max_pool" and len({*node.options["pad"]}) > 1:
            return None  # it exchanges the two
    deep = reference.ReferenceEvaluator(data)
    try:
        return deep.run(None, {deep.input_names[0]: X})[0]
    except (NotImplementedError, ValueError):
        return None


def runtime_scores(runtime, data, X):
    """What onnxruntime gives; None where it has no operator of float64."""
    try:
        session = runtime.InferenceSession(data)
    except runtime.capi.onnxruntime_pybind11_state.NotImplemented:
        return None
    return session.run(None, {session.get_inputs()[0].name: X})[0]


def torch_trip(net, X, folder, what):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    module = imported(interop.export(net, "torch", folder / "t.py").files[0]).load()
    agree(net, X, module(torch.tensor(X)).detach().numpy(), what)
    again = interop.from_torch(module, X)
    same_bits(describe(net), describe(again), what)
    found = interop.compare(net, module, X)  # gradients, too
    assert found.same, (what, str(found))
    alone = without_chance(net)
    deep = imported(interop.export(alone, "torch", folder / "deep.py").files[0]).load()
    trained_alike(alone, X, lambda *args: torch_steps(deep, *args), what)


def trained_alike(net, X, steps, what):
    """The gradients of one step, and the weights after ten, each network for itself, in float64."""
    X, y = X.astype(np.float64), np.arange(len(X)) % net.num_classes
    theirs = steps(X, y, 10)
    mine = ours(net, X, y, 10)
    for kind, a, b in zip(("gradients", "weights after ten steps"), mine, theirs, strict=True):
        same_numbers(a, b, f"{what}, {kind}")


def mistaken_by_onednn(net):
    """Whether oneDNN 3.12, in PyTorch 2.13, computes a convolution of the network wrongly.

    It does for images of one channel whose channels are last (the strides are those of both layouts then),
    where the filters fit once into the width and the horizontal stride is above 1.
    """
    return any(
        node.op == "conv"
        and node.arrays["W"].shape[1] == 1
        and node.shape[2] == 1
        and node.options["stride"][1] > 1
        for node in describe(net).nodes
    )


def keras_trip(net, X, folder, what):
    torch = pytest.importorskip("torch")
    from handgrad.interop.optional import library

    keras = library("keras", "the tests")
    try:
        file = interop.export(net, "keras", folder / "k.keras").files[0]
    except OperationError:  # as a stride and a dilation at once
        return
    again = keras.saving.load_model(file, safe_mode=True)
    with torch.backends.mkldnn.flags(enabled=not mistaken_by_onednn(net)):
        scores = again(np.moveaxis(X, 1, -1) if X.ndim == 4 else X, training=False)
    agree(net, X, scores.detach().numpy(), what)
    back = interop.from_keras(file)
    agree(net, X, back.loss(X), what, slack=4)  # means at the edges are corrected by a constant
    same_bits(describe(net), describe(back), what)
    if not mistaken_by_onednn(net):
        found = interop.compare(
            net, again, X, train=10
        )  # on PyTorch, Keras has no products in float64
        assert found.same, (what, str(found))


TRIPS = {"numpy": numpy_trip, "onnx": onnx_trip, "torch": torch_trip, "keras": keras_trip}


def trip(target, seeds, folder):
    for seed in seeds:
        net = graph(seed)
        TRIPS[target](
            net, rows(net), folder, f"graph {seed}: {[n.op for n in describe(net).nodes]}"
        )


@pytest.mark.parametrize("target", ["numpy", "onnx", "torch"])
def test_some_generated_graphs(target, tmp_path):
    trip(target, range(8), tmp_path)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", TRIPS)
def test_generated_graphs(target, tmp_path):
    if target == "keras" and importlib.util.find_spec("keras") is None:
        pytest.skip("there is no keras")
    DEEP.clear()
    trip(target, range(COUNT), tmp_path)
    assert target != "onnx" or len(DEEP) >= 250


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", TRIPS)
def test_every_ready_network(target, networks, tmp_path):
    if target == "keras" and importlib.util.find_spec("keras") is None:
        pytest.skip("there is no keras")
    for name, (model, X) in networks.items():
        if not isinstance(X, tuple) and name not in ("transposed",):  # groups that Keras splits
            TRIPS[target](model_of(describe(model)), X, tmp_path, name)


@pytest.mark.long
@pytest.mark.skipif(not GCC, reason="there is no gcc")
def test_generated_graphs_in_c(tmp_path):
    """In float and int8, 50 to a program."""
    for start in range(0, COUNT, 50):
        nets = [graph(seed) for seed in range(start, start + 50)]
        headers, right = [], []
        for k, net in enumerate(nets):
            network, X = describe(net), rows(net)
            integer = quantized(network, X)
            headers.append((network, c_out.header(network, f"n{2 * k}")[0], 3))
            headers.append((integer.network, c_int8.header(integer, f"n{2 * k + 1}")[0], 3))
            right.append((net, X, scores(integer, X)))
        program(tmp_path, headers)
        binary = compiled(tmp_path, GCC[0], *SANITIZED)
        for k, (net, X, integers) in enumerate(right):
            what = f"graph {start + k}"
            agree(net, X, outputs(binary, 2 * k, X, 3), what)
            got = outputs(binary, 2 * k + 1, X, 3)
            if not any(node.op in NORMS for node in describe(net).nodes):
                np.testing.assert_array_equal(got, integers, what)
