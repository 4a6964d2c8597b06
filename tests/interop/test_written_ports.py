"""Ports that are written by hand: their mistakes are found at their layer and named, right ones are not."""

import re

import pytest

from handgrad import interop
from handgrad.interop.describe import describe

torch = pytest.importorskip("torch")
from interop.mistakes_fourth import FOURTH  # noqa: E402
from interop.mistakes_later import SECOND, THIRD  # noqa: E402
from interop.mistakes_written import REAL  # noqa: E402
from interop.written import PORTS, load, networks  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def models():
    return networks()


@pytest.mark.parametrize("name", PORTS)
def test_the_right_ports_raise_no_alarm(models, name):
    found = interop.compare(models[name], load(PORTS[name](), models[name]), train=2)
    assert found.same, str(found)


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize(("table", "count"), [(REAL, 80), (SECOND, 28), (THIRD, 26), (FOURTH, 41)])
def test_mistakes(models, table, count):
    """The first differing layer in all, the cause in nine of ten."""
    wrong_layer, no_cause = [], []
    for name, (net, node, change, pattern) in table.items():
        torch.manual_seed(0)
        port = load(PORTS[net](), models[net])
        change(port)
        found = interop.compare(models[net], port)
        assert not found.same, name
        before = {n.name: n.inputs[0] for n in describe(models[net]).nodes}[node]
        beside = found.mode == "train" and found.layer == before
        if found.layer != node and f"between {node} and" not in str(found.cause) and not beside:
            wrong_layer.append((name, found.layer))
        if not (found.cause and re.search(pattern, found.cause)):
            no_cause.append((name, found.cause))
    assert len(table) >= count
    assert not wrong_layer
    assert len(no_cause) <= len(table) // 10, no_cause
