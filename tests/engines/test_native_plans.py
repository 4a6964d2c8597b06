"""Plans as the kernels see them: memory, threads, hostile numbers, and lists of operations that fit nothing.

The bits are those of `tests/nn/test_compiled.py`; both run under the sanitizers.
"""

import gc
import threading

import numpy as np
import pytest
from engines.native import _kernels, setting
from nn import own_layers as own
from nn.test_compiled import NETWORKS, _by_hand, _data, _state

from handgrad import nn, optim
from handgrad.errors import HandgradError
from handgrad.nn.compiled.memory import Memory

IMAGES = "ConvNet"
ROWS = "fully connected"


PRECISIONS = pytest.mark.parametrize("precision", ["float32", "bf16"])


def _started(name, rule="adam", steps=2, batch=9, precision="float32"):
    """Return a network, its compiled steps, and rows, after the first steps."""
    model = NETWORKS[name]()
    X, y = _data(model, np.float32)
    made = model.compile((batch, *X.shape[1:]), rule, {"learning_rate": 1e-2}, precision=precision)
    np.random.seed(0)  # of dropout
    made.run(X, y, steps=steps, rng=0)
    assert made.why is None
    return model, made, X, y


class Native:
    """The native plan, whose runs may take so many seconds; keeps what they were given."""

    def __init__(self, steps, seconds):
        self.plan, self.seconds = steps._plan._native, seconds
        self.given, self.done = [], []
        steps._plan._native = self

    def run(self, *arguments):
        *given, _, moves, calls = arguments
        self.given.append((*given, self.seconds, moves, calls))
        found = self.plan.run(*self.given[-1])
        self.done.append(found[0])
        return found


@pytest.mark.thorough(keep=4)
@PRECISIONS
@pytest.mark.parametrize("name", [IMAGES, ROWS, "concat", "transposed convolution, maxout"])
def test_steps_ask_the_system_for_no_memory(name, precision):
    _, steps, X, y = _started(name, precision=precision)
    native = Native(steps, 1e9)
    calls = []
    with setting(threads=1):  # of several it depends on who meets whom
        for _ in range(6):
            steps.run(X, y, steps=5, rng=0)
            native.given.clear()
            gc.collect()
            calls.append(_kernels.buffer_statistics()[2])
    assert len(set(calls[3:])) == 1


@PRECISIONS
@pytest.mark.parametrize("name", [IMAGES, ROWS])
def test_memory_that_runs_out_leaves_all_as_it_was(name, precision):
    model, steps, X, y = _started(name, precision=precision)
    Native(steps, 0.0)  # a call for each step: what ends in the second one takes back the first
    rows = np.random.default_rng(4).integers(0, len(X), (3, 9))
    before = {key: array.copy() for key, array in _state(model, steps.configs).items()}
    failed = 0
    for tries, count in enumerate(range(0, 4000, 7), start=1):
        _kernels.trim_buffers()
        np.random.seed(1)
        _kernels.fail_allocation_after(count)
        try:
            steps.run(X, y, rows=rows)
        except MemoryError:
            failed += 1
        finally:
            _kernels.fail_allocation_after(-1)
        after = _state(model, steps.configs)
        kept = [key for key in before if key != "scores"]
        if not all(np.array_equal(after[key], before[key], equal_nan=True) for key in kept):
            break
        assert failed == tries, "a run that was not cut short changed nothing"
    assert failed > 3
    other, again, *_ = _started(name, precision=precision)
    np.random.seed(1)
    again.run(X, y, rows=rows)
    expected = _state(other, again.configs)
    for key, array in _state(model, steps.configs).items():
        assert array.tobytes() == expected[key].tobytes(), key


@PRECISIONS
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38, 1e-45])
@pytest.mark.parametrize("name", [IMAGES, ROWS, "softplus, maxout", "concat"])
def test_hostile_numbers(name, value, precision):
    """The steps are those of single ones, to the bit, or refused, and then nothing has changed."""
    by_hand, compiled = NETWORKS[name](), NETWORKS[name]()
    X, y = _data(by_hand, np.float32)
    rows = np.random.default_rng(3).integers(0, len(X) - 1, (5, 9))
    steps = compiled.compile((9, *X.shape[1:]), "sgd_momentum", precision=precision)
    np.random.seed(2)
    losses = steps.run(X, y, rows=rows[:2])
    X[-1].flat[2] = value
    rows[3, 4] = len(X) - 1
    before = {key: array.copy() for key, array in _state(compiled, steps.configs).items()}
    try:
        losses += steps.run(X, y, rows=rows[2:])
    except HandgradError:
        for key, array in _state(compiled, steps.configs).items():
            assert key == "scores" or array.tobytes() == before[key].tobytes(), key
        return
    np.random.seed(2)
    with np.errstate(all="ignore"):
        expected, configs = _by_hand(by_hand, "sgd_momentum", {}, X, y, rows, precision=precision)
    assert losses == expected
    for key, array in _state(by_hand, configs).items():
        assert _state(compiled, steps.configs)[key].tobytes() == array.tobytes(), key


@PRECISIONS
def test_plans_of_several_threads(precision):
    """Each thread trains a network of its own; all have the bits of one that is alone."""
    found = {}

    def train(place):
        rng = np.random.default_rng(5)
        model, steps, X, y = _started("conv, batch norm, pool", precision=precision)
        for _ in range(4):
            steps.run(X, y, rows=rng.integers(0, len(X), (3, 9)))
        found[place] = [w.tobytes() for w in model.params.values()]

    with setting(threads=2):
        train("alone")
        threads = [threading.Thread(target=train, args=(place,)) for place in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 5
    assert all(one == found["alone"] for one in found.values())


def test_one_plan_in_two_threads():
    """Its runs are done one after the other, or refused; none sees the other's numbers."""
    _, steps, X, y = _started("wide", "sgd")
    native = Native(steps, 1e9)
    steps.run(X, y, steps=20, rng=1)
    expected = [array.tobytes() for array in native.plan.run(*native.given[0])[4]]
    results, refused = [], []

    def again():
        for _ in range(30):
            try:
                results.append([array.tobytes() for array in native.plan.run(*native.given[0])[4]])
            except RuntimeError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=again) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) + len(refused) == 90
    assert results
    assert all(one == expected for one in results)
    assert all("another thread" in text for text in refused)


@PRECISIONS
def test_a_run_that_is_cut_short_by_its_time_goes_on(precision):
    """No step begins long after the time that a run has, and what it did is what longer runs do."""
    model, steps, X, y = _started("wide", "adam", precision=precision)
    rows = np.random.default_rng(6).integers(0, len(X), (40, 9))
    native = Native(steps, 0.0)
    losses = steps.run(X, y, rows=rows)
    assert native.done == [1] * 40
    other, whole, *_ = _started("wide", "adam", precision=precision)
    assert whole.run(X, y, rows=rows) == losses
    for key, w in other.params.items():
        assert model.params[key].tobytes() == w.tobytes(), key


@PRECISIONS
def test_lists_of_operations_that_fit_nothing_are_refused(precision):
    """Whatever sizes and slots a list names: it is refused, or reads and writes its own slots alone."""
    _, steps, X, y = _started(IMAGES, precision=precision)
    made = []
    memory_of = Memory.places

    def places(self):
        made.append(self)
        return memory_of(self)

    Memory.places = places
    try:
        steps._plan = None
        steps.run(X, y, steps=1, rng=0)
    finally:
        Memory.places = memory_of
    memory = made[-1]
    offsets, arena = memory.places()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        ops = [
            (name, list(slots), list(sizes), list(numbers))
            for name, slots, sizes, numbers in memory.ops
        ]
        _, slots, sizes, _ = ops[rng.integers(len(ops))]
        list_of = sizes if sizes and rng.random() < 0.6 else slots
        if not list_of:
            continue
        wrong = [-1, 0, 1, 3, 7, 2**20, 2**31, 2**62, -(2**62), len(memory.sizes)]
        list_of[rng.integers(len(list_of))] = int(rng.choice(wrong))
        if rng.random() < 0.2:
            del list_of[rng.integers(len(list_of)) :]
        try:
            _kernels.plan32(
                memory.sizes, offsets, arena, memory.carried, memory.given, memory.results, memory.shapes,
                memory.constants, 9, steps._plan._columns["width"], 1, ops, memory.is_half,
            )  # fmt: skip
        except (ValueError, MemoryError):
            refused += 1
    assert refused > 150


def test_functions_that_a_plan_calls():
    """Too few are refused; what one raises comes out; False gives the step up."""
    model = nn.Sequential([nn.Affine(4), own.swish(), nn.Affine(3)], input_shape=(6,), rng=0)
    steps = model.compile((9, 6), "sgd")
    X, y = np.ones((20, 6), np.float32), np.zeros(20, int)
    steps.run(X, y, steps=2, rng=0)
    native = Native(steps, 0.0)
    steps.run(X, y, steps=1, rng=0)
    *given, calls = native.given[0]
    assert len(calls) == 2

    def fails(arrays):
        raise KeyError("of a layer")

    with pytest.raises(ValueError, match="calls more functions"):
        native.plan.run(*given, calls[:1])
    with pytest.raises(KeyError, match="of a layer"):
        native.plan.run(*given, [fails, calls[1]])
    with pytest.raises(RuntimeError):
        native.plan.run(*given, [lambda arrays: "no number", calls[1]])
    done, is_finite, *_ = native.plan.run(*given, [lambda arrays: False, calls[1]])
    assert (done, is_finite) == (0, False)
    shapes = []
    native.plan.run(*given, [lambda arrays: shapes.extend(a.shape for a in arrays)] * 2)
    assert shapes == [(36,)] * 4


def test_rules_are_all_in_plans():
    """But muon, whose step is made of products: see `docs/training.md`."""
    from handgrad.nn.compiled.rules import RULES

    assert {*optim.RULES} - {*RULES} == {"muon"}
