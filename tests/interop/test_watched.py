"""Functions of NumPy whose arrays are watched: what is seen, and mistakes found at their layers and named."""

import re
import sys

import numpy as np
import pytest
from interop.mistakes_eighth import EIGHTH
from interop.mistakes_watched import SOURCES, WATCHED
from interop.mistakes_watched_later import BACKWARD, LATER
from interop.sources import VGG, networks, port
from interop.sources_more import RIGHT

from handgrad import interop
from handgrad.interop.describe import describe
from handgrad.interop.watched import watch

x = np.linspace(-1, 1, 12).reshape(3, 4)


@pytest.fixture(scope="module")
def nets():
    return networks()


def seen_of(function, *sizes):
    return [one.value for one in watch(function, [x], {*sizes})[0]]


def holds(seen, array):
    return any(a.shape == array.shape and np.allclose(a, array, 1e-12) for a in seen)


def test_arrays_on_the_way_are_seen_wherever_they_are_made():
    W = np.arange(20.0).reshape(4, 5)

    def by_loops(a):
        out = np.zeros((3, 5))
        for i in range(3):
            for j in range(5):
                out[i, j] = sum(a[i, k] * W[k, j] for k in range(4))
        return out

    def function(a):
        h = by_loops(a)
        h += 1
        h[h < 0] = 0
        return np.tanh(h @ W.T).sum(1)

    seen = seen_of(function, 15, 12)
    h = x @ W
    for wanted in (h, h + 1, np.maximum(h + 1, 0), np.maximum(h + 1, 0) @ W.T):
        assert holds(seen, wanted)
    assert np.array_equal(seen[0], x)


def test_watching_changes_nothing():
    def tracer(*args):
        return None

    given, weights = x.copy(), {"W": np.ones((4, 4))}

    def function(a):
        assert isinstance(a, np.ndarray)
        a = a.copy()
        np.multiply(a, 2, out=a)
        a += 1
        return a.dot(weights["W"]).max(axis=1, keepdims=True)

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        seen, broken = watch(function, [given], {12})
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert (broken, type(weights["W"])) == ("", np.ndarray)
    assert np.array_equal(given, x)
    assert holds([one.value for one in seen], 2 * x + 1)
    np.testing.assert_array_equal(seen[-1].value, function(x))


def test_an_error_of_the_function_is_told_with_what_came_before(nets):
    seen, broken = watch(lambda a: np.tanh(a) @ a, [x], {12})
    assert broken.startswith("ValueError: matmul")
    assert holds([one.value for one in seen], np.tanh(x))
    *_, edits, pattern = WATCHED["c3 stride by averaging"]
    found = interop.compare(nets["vgg"], port(VGG, edits, nets["vgg"]))
    assert (found.layer, found.broken[:10]) == ("c3", "ValueError")
    assert re.search(pattern, found.cause)


@pytest.mark.parametrize("name", SOURCES)
def test_the_right_ports_raise_no_alarm(nets, name):
    found = interop.compare(nets[name], port(SOURCES[name], [], nets[name]))
    assert found.same, str(found)


@pytest.mark.thorough(keep=3)
@pytest.mark.parametrize("case", range(len(RIGHT)))
def test_the_same_in_other_words_raises_no_alarm(nets, case):
    name, edits = RIGHT[case]
    found = interop.compare(nets[name], port(SOURCES[name], edits, nets[name]))
    assert found.same, str(found)


def judged(nets, table):
    wrong_layer, no_cause = [], []
    for name, (net, layers, edits, pattern) in table.items():
        found = interop.compare(nets[net], port(SOURCES[net], edits, nets[net]))
        assert not found.same, name
        places = layers.split("|")
        if found.layer not in places and not any(f"{p} and" in str(found.cause) for p in places):
            wrong_layer.append((name, found.layer, found.cause))
        elif not re.search(pattern, str(found.cause)):
            no_cause.append((name, found.cause))
    return wrong_layer, no_cause


@pytest.mark.thorough(keep=1)
@pytest.mark.parametrize(
    ("table", "count"), [(BACKWARD, 10), (WATCHED, 37), (LATER, 28), (EIGHTH, 28)]
)
def test_mistakes(nets, table, count):
    """The first differing layer in all, the cause in nine of ten."""
    wrong_layer, no_cause = judged(nets, table)
    assert len(table) == count
    assert not wrong_layer
    assert len(no_cause) <= count // 10, no_cause


def test_layers_that_are_never_seen_are_not_named(nets):
    """The layer is that of the scores where nothing on the way is of NumPy."""
    net = nets["form"]
    found = interop.compare(net, lambda rows: np.zeros((len(rows), 5)) + 0 * rows.sum())
    assert not found.same
    assert found.layer == describe(net).output
