"""Where two networks part: planted mistakes are found at their layer, right ports raise no alarm."""

import re

import numpy as np
import pytest

from handgrad import interop, nn
from handgrad.errors import OptionError, ShapeError
from handgrad.interop.describe import describe
from handgrad.interop.trace import trace

torch = pytest.importorskip("torch")
from interop.mistakes import LATER, MISTAKES  # noqa: E402
from interop.mistakes_last import LAST  # noqa: E402
from interop.mistakes_new import NEW  # noqa: E402
from interop.ports import Port, nets  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def models():
    return nets()


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize(
    ("table", "count"), [("first", 60), ("later", 20), ("new", 40), ("last", 20)]
)
def test_planted_mistakes(models, table, count):
    """The first differing layer in all, or the two that it lies between; the cause in nine of ten."""
    known = {name: describe(model) for name, model in models.items()}
    wrong_layer, no_cause = [], []
    mistakes = {"first": MISTAKES, "later": LATER, "new": NEW, "last": LAST}[table]
    for i, (name, (net, node, function, *pattern)) in enumerate(mistakes.items()):
        port = Port(known[net], np.random.default_rng(i), (node, function))
        found = interop.compare(models[net], port)
        assert not found.same, name
        before = next(n.inputs[0] for n in known[net].nodes if n.name == node)
        is_beside = found.mode == "train" and found.layer == before
        if found.layer != node and f"between {node} and" not in str(found.cause) and not is_beside:
            wrong_layer.append((name, found.layer))
        if not (found.cause and re.search(*pattern or ("",), found.cause)):
            no_cause.append((name, found.cause))
    assert len(mistakes) >= count
    assert not wrong_layer
    assert len(no_cause) <= len(mistakes) // 10, no_cause


def alarms(models, seeds):
    known = {name: describe(model) for name, model in models.items()}
    names = list(models)
    raised = []
    for i in seeds:
        name = names[i % len(names)]
        dtype = torch.float64 if i % 5 == 4 else torch.float32
        found = interop.compare(
            models[name], Port(known[name], np.random.default_rng(i), dtype=dtype)
        )
        if not found.same:
            raised.append((i, name, str(found)))
    return raised


def test_right_ports_of_other_styles_raise_no_alarm(models):
    assert not alarms(models, range(30))


@pytest.mark.long
def test_a_thousand_right_ports(models):
    assert not alarms(models, range(1000))


def test_engines_dtypes_and_files_are_compared(networks):
    for name in ("ConvNet batchnorm", "resnet8", "activations", "norms", "pools", "two inputs"):
        model, _ = networks[name]
        for other in ("vectorized", "auto", "float64"):
            found = interop.compare(model, other)
            assert found.same, (name, str(found))
            assert "no difference" in str(found)


def test_training_is_compared_step_by_step(models):
    port = Port(describe(models["rows"]))
    assert interop.compare(models["rows"], port, train=3).same
    assert interop.compare(models["residual"], "vectorized", train=2).same


def test_a_wrong_pair_of_ones_own_is_found():
    @nn.layer
    def cube(x):
        return x * x * x, x

    @cube.backward
    def cube_backward(dout, x):
        return 3 * x * dout  # should be x**2

    class Ours(nn.Model):
        def __init__(self, wrong):
            super().__init__(input_shape=(5,), rng=0)
            self.a, self.b = nn.Affine(4), nn.Affine(3)
            self.relu = cube() if wrong else nn.ReLU()

        def forward(self, x):
            return self.b(self.relu(self.a(x)))

    found = interop.compare(Ours(False), Ours(True))
    assert (found.layer, found.what, found.mode) == ("relu", "output", "test")


def test_a_folded_network_is_compared_in_test_mode_alone(models):
    from dataclasses import replace

    from handgrad.interop.network import folded
    from handgrad.interop.rebuild import model_of

    network = describe(models["plain"])
    found = interop.compare(models["plain"], model_of(folded(network)))
    assert found.same
    assert found.folded == ("batchnorm1",)
    assert "folded" in str(found)
    nodes = [
        replace(node, options={**node.options, "eps": 1e-2}) if node.op == "batchnorm" else node
        for node in network.nodes
    ]
    wrong = interop.compare(models["plain"], model_of(folded(replace(network, nodes=tuple(nodes)))))
    assert wrong.layer == "batchnorm1"
    assert "eps is 0.01" in wrong.cause


def test_wrong_arguments(models):
    model = models["rows"]
    with pytest.raises(OptionError, match="b must be a network"):
        interop.compare(model, 3)
    with pytest.raises(OptionError, match="dtype must be one of"):
        interop.compare(model, model, dtype="float16")
    with pytest.raises(ShapeError, match="X must have shape"):
        interop.compare(model, model, np.ones((3, 5)))
    broken = torch.nn.Linear(3, 5)
    found = interop.compare(model, broken)
    assert found.layer == "affine1"
    assert "ends with RuntimeError" in str(found)


def test_memory_before_it_is_written_is_no_value():
    """A port may fill an empty tensor; what lay in the memory was once compared, and gave a warning."""

    class Copies(torch.nn.Module):
        def forward(self, x):
            out = torch.empty(len(x), 6)
            out[:, :3], out[:, 3:] = x, torch.empty_like(x).copy_(2 * x)
            return torch.relu(out)

    seen = trace(Copies(), (np.ones((2, 3), np.float32),), np.ones((2, 6)), "test", None, None)
    assert [one.name for one in seen.values if "empty" in one.name] == []
    assert seen.values[-1].name == "relu"


def test_shares_of_dropout_are_compared():
    def net(p):
        parts = [
            nn.Affine(8),
            nn.ReLU(),
            nn.Dropout(p, rng=0),
            nn.Affine(4),
            nn.Dropout(0.5, rng=1),
        ]
        return nn.Sequential([*parts, nn.Affine(3)], input_shape=(6,), rng=0)

    assert interop.compare(net(0.8), net(0.8)).same
    found = interop.compare(net(0.8), net(0.3))
    assert (found.layer, found.cause) == ("dropout1", "it keeps 0.3 of its numbers, not 0.8")
    port = torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(8, 4),
        torch.nn.Dropout(0.5), torch.nn.Linear(4, 3),
    )  # fmt: skip
    mine = net(0.8)
    weights = iter(mine.params.values())
    for layer in port[::1]:
        if isinstance(layer, torch.nn.Linear):
            layer.weight.data = torch.tensor(next(weights).T.copy())
            layer.bias.data = torch.tensor(next(weights))
    assert interop.compare(mine, port).same
    port[2].p = 0.8  # the course's keep, taken for PyTorch's rate
    found = interop.compare(mine, port)
    assert found.layer == "dropout1"
    assert found.cause.endswith(
        "0.2 of its numbers, not 0.8, as if that were the share that is dropped"
    )
