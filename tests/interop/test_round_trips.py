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
from interop.test_c import GCC, SANITIZED, compiled, outputs, program

from handgrad import interop
from handgrad.errors import OperationError
from handgrad.interop import c_int8, c_out
from handgrad.interop.int8 import quantized
from handgrad.interop.int8_run import scores
from handgrad.interop.network import describe, without_dropout
from handgrad.interop.rebuild import model_of

COUNT = 300
NORMS = ("layernorm", "groupnorm", "instancenorm")  # rounding that depends on how floats are summed


def same_bits(ours, theirs, what):
    there = [a for node in theirs.nodes for a in node.arrays.values()]
    for node in ours.nodes:
        for role, a in node.arrays.items():
            if node.op != "standardize":
                found = any(
                    a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b)
                    for b in there
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
    if any(node.op == "gelu" for node in describe(net).nodes):
        return  # ONNX defines it with constants of float32
    reference = pytest.importorskip("onnx.reference")
    twice = doubled(model_of(as_attributes(describe(net))))
    wide = X.astype(np.float64)
    try:
        deep = reference.ReferenceEvaluator(model_proto(describe(twice)))
        (got,) = deep.run(None, {deep.input_names[0]: wide})
    except Exception:  # what the reference itself cannot
        return
    close(got, twice.loss(wide), what)


def torch_trip(net, X, folder, what):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    module = imported(interop.export(net, "torch", folder / "t.py").files[0]).load()
    agree(net, X, module(torch.tensor(X)).detach().numpy(), what)
    again = interop.from_torch(module, X)
    same_bits(describe(net), describe(again), what)
    found = interop.compare(net, module, X)  # gradients, too
    assert found.same, (what, str(found))


def keras_trip(net, X, folder, what):
    from handgrad.interop.optional import library

    if any(node.op == "conv" and node.arrays["W"].shape[1] == 1 for node in describe(net).nodes):
        return  # PyTorch 2.13 reads foreign memory in such convolutions of channels-last images
    pytest.importorskip("torch")
    keras = library("keras", "the tests")
    try:
        file = interop.export(net, "keras", folder / "k.keras").files[0]
    except OperationError:  # as a stride and a dilation at once
        return
    again = keras.saving.load_model(file, safe_mode=True)
    agree(
        net,
        X,
        again(np.moveaxis(X, 1, -1) if X.ndim == 4 else X, training=False).detach().numpy(),
        what,
    )
    back = interop.from_keras(file)
    agree(net, X, back.loss(X), what, slack=4)  # means at the edges are corrected by a constant
    same_bits(describe(net), describe(back), what)


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
    trip(target, range(COUNT if target != "keras" else 100), tmp_path)


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
