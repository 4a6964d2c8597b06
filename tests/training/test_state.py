"""What a checkpoint is made of: arrays that keep their layout, differences, files."""

from pathlib import Path

import numpy as np
import pytest
from training.toys import StopAt, solver_of

from handgrad import engines
from handgrad.errors import CheckpointError
from handgrad.files import atomic_write
from handgrad.training import load_checkpoint, save_checkpoint
from handgrad.training.arrays import all_finite, copied
from handgrad.training.checkpoint import take_up
from handgrad.training.circumstances import differences

OPEN = Path("/proc/self/fd")  # what this process has open


def test_copies_keep_the_order_of_axes_in_memory():
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    copy = copied({"W1": array})["W1"]
    assert copy.flags.f_contiguous
    assert not np.shares_memory(copy, array)
    np.testing.assert_array_equal(copy, array)


@pytest.mark.parametrize(
    ("array", "finite"),
    [
        (np.array([1, 2]), True),
        (np.array([1e200, -1e200]), True),  # whose squares are not
        (np.array([1.0, np.nan]), False),
        (np.array([[1.0], [-np.inf]], np.float32), False),
        (np.array([1.0, complex(0, np.inf)]), False),
    ],
)
def test_finite_arrays(array, finite):
    assert all_finite(array) is finite


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_one_number_that_is_not_finite_is_found_anywhere(value, dtype, engine, rng):
    array = rng.standard_normal((3, 2**14 + 5)).astype(dtype)
    with engines.use(engine):
        assert all_finite(array)
        assert all_finite(array.T[::2])
        for place in [(0, 0), (0, 70), (1, 0), (2, -1)]:
            spoiled = array.copy()
            spoiled[place] = value
            assert not all_finite(spoiled)
            assert not all_finite(spoiled.T)


def test_differences_are_named_leaf_by_leaf():
    old = {"a": {"b": 1, "c": 2}, "d": {"e": 3}, "f": 4}
    new = {"a": {"b": 1, "c": 5}, "d": 6, "f": 4}
    assert differences(old, new) == ["a c was 2, is 5", "d was {'e': 3}, is 6"]
    assert differences(new, old) == ["a c was 5, is 2", "d was 6, is {'e': 3}"]
    assert differences(old, old) == []


@pytest.mark.skipif(not OPEN.exists(), reason="needs /proc")
def test_writing_leaves_no_file_open(tmp_path):
    atomic_write(tmp_path / "file", b"1")
    before = len(list(OPEN.iterdir()))
    for _ in range(5):
        atomic_write(tmp_path / "file", b"2")
    assert len(list(OPEN.iterdir())) == before


def square_history(state):
    history = state["history"]
    history["loss_history"] = history["loss_history"].reshape(1, -1)


def single_history(state):
    state["history"]["loss_history"] = state["history"]["loss_history"].astype(np.float32)


def other_shape(part):
    def change(state):
        state[part]["W1"] = state[part]["W1"][:1]

    return change


@pytest.mark.parametrize(
    "change",
    [square_history, single_history, other_shape("params"), other_shape("best_params")],
    ids=["history of two dimensions", "history of float32", "params", "best_params"],
)
def test_a_state_that_does_not_fit_is_refused_as_a_whole(change, tmp_path):
    trained = solver_of(callbacks=[StopAt(4)])
    trained.train()
    save_checkpoint(trained, tmp_path / "state.safetensors")
    checkpoint = load_checkpoint(tmp_path / "state.safetensors")
    assert checkpoint.state["best_params"]
    change(checkpoint.state)
    fresh = solver_of()
    before = {name: array.copy() for name, array in fresh.model.params.items()}
    with pytest.raises(CheckpointError, match=r"state\.safetensors does not hold what it should"):
        take_up(fresh, checkpoint)
    assert fresh.iteration == 0
    np.testing.assert_equal(fresh.model.params, before)
