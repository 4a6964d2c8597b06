"""The fuzzers' targets on random bytes, and on damaged copies of what they read."""

import json
import random

import numpy as np
import pytest
from fuzzing import run, targets

from handgrad import engines
from handgrad.errors import DataError


def damaged(data, count, seed=0):
    """Copies of `data` with some bytes changed, cut off, or put in."""
    chance = random.Random(seed)
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(copy) + 1)
            how = chance.randrange(4)
            if how == 0:
                del copy[at : at + chance.randint(1, 9)]
            elif how == 1:
                copy[at:at] = chance.randbytes(chance.randint(1, 9))
            else:
                copy[at : at + 1] = chance.randbytes(1)
        yield bytes(copy)


def test_damaged_weights_are_refused(tmp_path):
    from safetensors.numpy import save

    good = save({"W1": np.ones((4, 3), np.float32), "b1": np.ones(3, np.float32)})
    for data in damaged(good, 150):
        targets.tensor_file(data)


def test_a_damaged_batch_is_refused():
    import pickle

    good = pickle.dumps({b"data": np.zeros((3, 3072), np.uint8), b"labels": [1, 2, 3]}, 2)
    for data in damaged(good, 1000):
        targets.cifar_batch(data)
    names = pickle.dumps({"label_names": ["cat"] * 10, "num_vis": 3072}, 2)
    for data in damaged(names, 1000):
        targets.cifar_batch(data)


def test_a_reader_that_raises_something_else_is_found(monkeypatch):
    monkeypatch.setattr(targets.pickled, "read_label_names", lambda *_: {}["no"])
    with pytest.raises(KeyError):
        targets.cifar_batch(b"")
    monkeypatch.setattr(targets.pickled, "read_label_names", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        targets.cifar_batch(b"")
    assert issubclass(DataError, targets.HandgradError)


@pytest.mark.skipif("native" not in engines.available(), reason="the native engine is not built")
def test_compiled_functions_take_or_refuse_any_arguments():
    assert len({call[0].__name__ for call in targets.right_calls()}) > 25
    chance = random.Random(0)
    taken = sum(targets.bindings(chance.randbytes(60)) for _ in range(3000))
    assert 300 < taken < 2700  # neither all refused at the door, nor all as they were


@pytest.mark.skipif("native" not in engines.available(), reason="the native engine is not built")
@pytest.mark.parametrize("shape", [(2, 0), (3, 2), (2, 3), (2,), (2, 2, 1)])
def test_groups_that_do_not_fit_are_refused(shape):
    """Zero groups ended the process by a division, others read behind the array."""
    from handgrad.engines.native import _kernels

    x = np.ones((2, 4, 3, 3), np.float32)
    ones = np.ones(4, np.float32)
    with pytest.raises(ValueError, match="does not fit"):
        _kernels.groupnorm_backward(x, x, np.ones(shape, np.float32), ones)
    with pytest.raises(ValueError, match="does not fit"):
        _kernels.groupnorm_backward(x, x, np.ones((2, 2), np.float32), ones[:3])


def test_processor_hours_are_added_up(tmp_path, monkeypatch):
    monkeypatch.setenv("HANDGRAD_GOALS", str(tmp_path / "goals.jsonl"))
    assert run.spent_before("cifar") == (0, 0)
    figure = "{} inputs by libFuzzer to the CIFAR-10 reader in {} processor hours: 0 crashes"
    lines = [
        {"test": "cifar", "passed": True, "figure": figure.format("1,500", "0.25")},
        {"test": "cifar", "passed": True, "figure": figure.format("12,500", "1.50")},
        {"test": "cifar", "passed": False, "figure": figure.format("99", "9.00")},
        {"test": "tensors", "passed": True, "figure": figure.format("7", "7.00")},
        {"test": "cifar", "passed": True, "figure": "96.1 % of the lines"},
    ]
    (tmp_path / "goals.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    assert run.spent_before("cifar") == (12_500, 1.5)
