"""Ports in strangers' styles: right ones raise no alarm, edited ones are found at their layer and named."""

import re

import numpy as np
import pytest

from handgrad import interop
from handgrad.interop.describe import describe
from handgrad.interop.onnx_out import model_proto
from handgrad.interop.widened import widened

torch = pytest.importorskip("torch")
from interop import mistakes_seventh, mistakes_sixth, sixth  # noqa: E402
from interop import strangers_more as more  # noqa: E402
from interop.mistakes_fifth import FIFTH  # noqa: E402
from interop.strangers import PORTS, arrays, changed, networks  # noqa: E402

torch.set_num_threads(1)
GELU = "0.7978845608028654 * (x + 0.044715 * x**3)"
LN = "x = (x - mu) / torch.sqrt(var + 1e-5)"
HABITS = {
    "constants of 10 digits": ("mixer", [("0.7978845608028654", "0.7978845608")]),
    "constants of 8 digits": ("mixer", [("0.7978845608028654", "0.79788456")]),
    "the root of 2 in 8 digits": (
        "unet",
        [
            (
                "skip = self.enc(x)",
                "g = lambda z: 0.5 * z * (1 + torch.erf(z * 0.70710678))\n            skip = self.enc(x)",
            ),
            ("x = self.up(self.down(skip))", "x = self.up(g(self.down[:2](skip)))"),
        ],
    ),
    "the input is cast": (
        "mixer",
        [("h = self.gelu(", "x = x.float()\n            h = self.gelu(")],
    ),
    "a norm in float32": (
        "lenet",
        [
            (
                "mu = x.mean(-1, keepdim=True)",
                "kind = x.dtype\n            x = x.to(torch.float32)\n"
                "            mu = x.mean(-1, keepdim=True)",
            ),
            (LN, "x = ((x - mu) / torch.sqrt(var + 1e-5)).to(kind)"),
        ],
    ),
    "a slope that is a tensor": (
        "unet",
        [
            ("tnn.LeakyReLU(0.1)", "tnn.PReLU(1)"),
            (
                'put("enc.1.bias", w["norm1.beta"])',
                'put("enc.1.bias", w["norm1.beta"])\n    net.enc[2].weight.data.fill_(0.1)\n'
                "    net.enc[2].weight.requires_grad_(False)",
            ),
        ],
    ),
    "means by a kernel in a buffer": (
        "unet",
        [
            (
                "self.fc = tnn.Linear(6, 4)",
                "self.fc = tnn.Linear(6, 4)\n"
                '            self.register_buffer("k", torch.ones(6, 1, 3, 3) / 9)',
            ),
            (
                "x = self.small(self.big(x))",
                "x = F.conv2d(self.big(x), self.k, None, 2, 1, groups=6)",
            ),
        ],
    ),
    "means by a kernel that stays in float32": (
        "unet",
        [
            (
                "self.fc = tnn.Linear(6, 4)",
                "self.fc = tnn.Linear(6, 4)\n            self.k = torch.ones(6, 1, 3, 3) / 9",
            ),
            (
                "x = self.small(self.big(x))",
                "x = F.conv2d(self.big(x), self.k, None, 2, 1, groups=6)",
            ),
        ],
    ),
    "scores and features": (
        "mixer",
        [("return self.out(self.drop(h))", "return self.out(self.drop(h)), h")],
    ),
    "a mapping": (
        "mixer",
        [("return self.out(self.drop(h))", 'return {"h": h, "logits": self.out(self.drop(h))}')],
    ),
}


@pytest.fixture(scope="module")
def nets():
    return networks()


@pytest.mark.parametrize("name", PORTS)
def test_the_right_ports(nets, name):
    found = interop.compare(nets[name], PORTS[name](arrays(nets[name])), train=2)
    assert found.same, str(found)


@pytest.mark.parametrize("habit", HABITS)
def test_habits_are_no_mistakes(nets, habit):
    name, edits = HABITS[habit]
    found = interop.compare(nets[name], changed(PORTS[name], *edits)(arrays(nets[name])), train=1)
    assert found.same, str(found)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_other_precisions_and_forms(nets):
    def port():
        return PORTS["unet"](arrays(nets["unet"]))

    for other in (port().double(), port().bfloat16(), torch.fx.symbolic_trace(port())):
        assert interop.compare(nets["unet"], other).same
    in_bytes = port().double()
    in_bytes.enc[2].negative_slope = float(np.float32(0.1))
    assert interop.compare(nets["unet"], in_bytes).layer == "act1"  # written for float64
    found = interop.compare(nets["unet"], torch.jit.script(port()))
    assert found.same
    assert "scores were compared alone" in str(found)
    wrong = port()
    wrong.enc[2].negative_slope = 0.3
    found = interop.compare(nets["unet"], torch.jit.script(wrong))
    assert (found.layer, found.cause) == ("act1", "alpha is 0.3, not 0.1")


def test_a_function_has_no_training_mode(nets):
    w = {name: torch.tensor(a) for name, a in arrays(nets["mixer"]).items()}
    F = torch.nn.functional

    def port(x, keep=1.0):
        h = F.layer_norm(x @ w["first.W"] + w["first.b"], (10,), w["norm1.gamma"], w["norm1.beta"])
        h = F.gelu(h, approximate="tanh") @ w["second.W"] + w["second.b"]
        mean, var = w["norm2.running_mean"], w["norm2.running_var"]
        h = F.elu(F.batch_norm(h, mean, var, w["norm2.gamma"], w["norm2.beta"])) + keep * x
        return torch.tanh(h @ w["third.W"]) @ w["last.W"] + w["last.b"]

    found = interop.compare(nets["mixer"], port)
    assert found.same, str(found)
    assert "no training mode" in str(found)
    assert interop.compare(nets["mixer"], lambda x: port(x, 0.5)).layer == "add1"


def judged(nets, ports, table):
    """The names of the rows whose layer, and whose cause, is not the right one."""
    wrong_layer, no_cause = [], []
    for name, (net, node, edits, pattern) in table.items():
        torch.manual_seed(0)
        port = (
            edits(ports[net]) if callable(edits) else changed(ports[net], *edits)(arrays(nets[net]))
        )
        found = interop.compare(nets[net], port)
        wanted = (node,) if isinstance(node, str) else node
        before = {n.name: n.inputs[0] for n in describe(nets[net]).nodes}
        beside = found.mode == "train" and found.layer in [before[one] for one in wanted]
        between = any(f"between {one} and" in str(found.cause) for one in wanted)
        if found.same or not (found.layer in wanted or between or beside):
            wrong_layer.append((name, found.layer))
        if not (found.cause and re.search(pattern, found.cause)):
            no_cause.append((name, found.cause))
    return wrong_layer, no_cause


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("part", range(4))
def test_mistakes_in_pytorch(nets, part):
    table = dict(list(FIFTH.items())[part::4])
    wrong_layer, no_cause = judged(nets, PORTS, table)
    assert not wrong_layer
    assert len(no_cause) <= max(1, len(table) // 10), no_cause


@pytest.mark.parametrize("name", more.NUMPY)
def test_the_right_functions_of_numpy(nets, name):
    found = interop.compare(nets[name], more.NUMPY[name](arrays(nets[name])))
    assert found.same, str(found)
    rounded = changed(
        more.NUMPY[name], *([("np.sqrt(2.0 / np.pi)", "0.79788456")] if name == "mixer" else [])
    )
    assert interop.compare(nets[name], rounded(arrays(nets[name]))).same


@pytest.mark.thorough
def test_mistakes_in_numpy(nets):
    wrong_layer, no_cause = judged(nets, more.NUMPY, more.IN_NUMPY)
    assert not wrong_layer
    assert len(no_cause) <= len(more.IN_NUMPY) // 10, no_cause


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", more.KERAS)
def test_the_right_models_of_keras(nets, keras, name):
    found = interop.compare(nets[name], more.KERAS[name](arrays(nets[name])), train=2)
    assert found.same, str(found)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.thorough(keep=2)
@pytest.mark.parametrize("part", range(2))
def test_mistakes_in_keras(nets, keras, part):
    table = dict(list(more.IN_KERAS.items())[part::2])
    wrong_layer, no_cause = judged(nets, more.KERAS, table)
    assert not wrong_layer
    assert len(no_cause) <= max(1, len(table) // 10), no_cause


def in_files(nets, table, folder):
    """The rows of `table` with edits that write an ONNX file."""
    onnx = pytest.importorskip("onnx")
    files = {name: model_proto(describe(net)) for name, net in nets.items()}

    def writes(net, edit):
        def written(_):
            model = onnx.ModelProto()
            model.CopyFrom(files[net])
            edit(model.graph)
            onnx.save(model, folder / "theirs.onnx")
            return folder / "theirs.onnx"

        return written

    return {k: (net, node, writes(net, edit), p) for k, (net, node, edit, p) in table.items()}


def test_mistakes_in_onnx_files(nets, tmp_path):
    pytest.importorskip("onnx")
    from interop.strangers_onnx import IN_ONNX

    table = in_files(nets, IN_ONNX, tmp_path)
    wrong_layer, no_cause = judged(nets, dict.fromkeys(nets), table)
    assert not wrong_layer
    assert len(no_cause) <= max(1, len(table) // 10), no_cause


def test_widening_reaches_what_a_function_uses():
    class Layer:
        def __init__(self):
            self.parts = {"w": np.float32([2.0, 3.0])}

        def run(self, x):
            return x * np.sqrt(self.parts["w"])

    layer, names = Layer(), [np.float32(0.1)]

    def inner(x):
        return x + names[0]

    for thing in (layer.run, lambda x: layer.run(inner(x)), inner):
        got = widened(thing)(1 / 3)
        assert got.dtype == np.float64
        assert not np.array_equal(np.float32(got), got)
    assert layer.parts["w"].dtype == np.float32
    assert widened(np.tanh) is np.tanh
    once = [1.0]
    assert widened(once) is once


# -- the sixth and the seventh set ------------------------------------------------------------------


@pytest.fixture(scope="module")
def newer():
    return sixth.networks()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("party", ["NUMPY", "KERAS", "TORCH"])
def test_the_right_ports_of_the_sixth_set(newer, request, party):
    if party == "KERAS":
        request.getfixturevalue("keras")
    for name, port in getattr(sixth, party).items():
        found = interop.compare(newer[name], port(arrays(newer[name])), train=1)
        assert found.same, (name, str(found))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("party", ["NUMPY", "ONNX", "KERAS", "TORCH"])
@pytest.mark.parametrize("part", [mistakes_sixth, mistakes_seventh])
def test_mistakes_of_the_sixth_and_seventh_set(newer, request, tmp_path, party, part):
    if party == "KERAS":
        request.getfixturevalue("keras")
    table = getattr(part, f"IN_{party}")
    if party == "ONNX":
        table = in_files(newer, table, tmp_path)
    wrong_layer, no_cause = judged(newer, getattr(sixth, party, dict.fromkeys(newer)), table)
    assert not wrong_layer
    assert len(no_cause) <= max(1, len(table) // 10), no_cause
