"""Small batches through a loaded run: the quick way says what the long way does, and knows its limits."""

import copy
import itertools
import warnings

import numpy as np
import pytest
from training.small_runs import TARGETS, X

import handgrad
from handgrad import engines
from handgrad.data import from_arrays
from handgrad.errors import DataError, NonFiniteError, ShapeError
from handgrad.training import train

pytestmark = pytest.mark.skipif(
    "native" not in engines.available(), reason="the short way is native"
)
RAW = X * 3 + 7
IMAGES = np.random.default_rng(2).integers(0, 256, (60, 1, 8, 8), np.uint8)
DATA = {
    **{task: (RAW, y) for task, y in TARGETS.items()},
    "double": (RAW.astype(float), TARGETS["classification"]),
    "images": (IMAGES, np.arange(60) % 3),
}


@pytest.fixture(scope="module", params=list(DATA))
def loaded(request, tmp_path_factory):
    place = tmp_path_factory.mktemp(request.param)
    options = {"dtype": "float64"} if request.param == "double" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = from_arrays(*DATA[request.param], **options)
        run = train(dataset, place, {"training.epochs": 1})
    return handgrad.load(run.folder), DATA[request.param][0]


def long_way(run, rows):
    """What run.outputs gives without plans: the same arithmetic by the layers' functions and NumPy."""
    before = run._quick
    run._quick = type(before)(run.model, run.description, "naive")
    try:
        return run.outputs(rows)
    finally:
        run._quick = before


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_both_ways_give_the_same(loaded, dtype):
    run, rows = loaded
    rows = np.abs(rows).astype(dtype)
    for count in (1, 3, 32, 33):
        found = run.outputs(rows[:count])
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, long_way(run, rows[:count]), rtol=1e-12)
        np.testing.assert_array_equal(found, run.outputs(np.asfortranarray(rows[:count])))
    assert set(run._quick._plans) == {(n, *rows.shape[1:]) for n in (1, 3, 32)}


@pytest.mark.parametrize("dtype", [">f8", ">f4", ">i8", "f2", "i2", "u4"])
def test_other_dtypes_go_the_long_way(loaded, dtype):
    run, rows = loaded
    rows = np.abs(rows[:3]).astype(dtype)
    run.outputs(rows.astype(np.float64))  # the plan is there
    np.testing.assert_array_equal(run.outputs(rows), run.outputs(rows.astype(np.float64)))


def test_a_row_alone_says_what_it_says_among_others(loaded):
    run, rows = loaded
    singly = np.concatenate([run.outputs(rows[i : i + 1]) for i in range(40)])
    np.testing.assert_allclose(singly, run.outputs(rows[:40]), rtol=1e-4, atol=1e-7)
    assert (
        np.array_equal(run.predict(rows[:1]), run.predict(rows[:40])[:1])
        or run.task == "regression"
    )


def test_what_changes_in_the_network_is_seen(loaded):
    run, rows = loaded
    run, x = copy.deepcopy(run), rows[:1]
    first = run.outputs(x)
    name = next(reversed(run.model.params))
    w = run.model.params[name]
    run.model.params[name] = w + 1 + np.arange(w.shape[-1], dtype=w.dtype)
    second = run.outputs(x)
    run.model.params[next(iter(run.model.params))][...] *= 1.5  # in place
    third = run.outputs(x)
    buffers = {
        key: 2 * value + 1 for key, value in run.model.buffers().items() if "steps" not in key
    }
    run.model.load_buffers({**run.model.buffers(), **buffers})
    fourth = run.outputs(x)
    run.model.params = {key: 0 * w for key, w in run.model.params.items()}
    fifth = run.outputs(x)
    everything = [first, second, third, fourth, fifth] if buffers else [first, second, third, fifth]
    for one, two in itertools.pairwise(everything):
        assert not np.array_equal(one, two)
    np.testing.assert_allclose(fifth, long_way(run, x), rtol=1e-12)


def test_other_options_of_a_normalisation_are_seen(loaded):
    run, rows = loaded
    run, x = copy.deepcopy(run), rows[:1]
    params = getattr(run.model, "bn_params", [])
    if not params:
        pytest.skip("a network without batch normalisation")
    before = run.outputs(x)
    params[0]["eps"] = 0.7
    after = run.outputs(x)
    assert not np.array_equal(before, after)
    np.testing.assert_allclose(after, long_way(run, x), rtol=1e-12)


def test_inside_of_fixed_the_network_is_as_it_was(loaded):
    run, rows = loaded
    run, x = copy.deepcopy(run), rows[:1]
    before = run.outputs(x)
    with run.model.fixed({key: 0 * w for key, w in run.model.params.items()}, run.model.buffers()):
        other = run.outputs(x)
    assert not np.array_equal(before, other)
    np.testing.assert_array_equal(before, run.outputs(x))


def test_errors_are_those_of_the_long_way(loaded):
    run, rows = loaded
    run.outputs(rows[:1])  # the plan is there
    with pytest.raises((NonFiniteError, DataError), match="NaN"):
        run.outputs(np.full(rows[:1].shape, np.nan))
    with pytest.raises(ShapeError):
        run.outputs(np.ones((1, 77)))
    if rows.dtype == np.uint8:
        for wrong in (-3.0, 0.5, 256):
            with pytest.raises(DataError):
                run.outputs(np.full(rows[:1].shape, wrong))
        with pytest.warns(UserWarning, match="nearly black"):
            run.outputs(np.ones_like(rows[:1]))


def test_another_network_or_views_go_their_own_way(loaded):
    run, rows = loaded
    other = copy.deepcopy(run)
    other.model = copy.deepcopy(run.model)
    other.model.params = {key: 0 * w for key, w in run.model.params.items()}
    assert not np.array_equal(run.outputs(rows[:1]), other.outputs(rows[:1]))
    if rows.ndim == 4:
        other = copy.deepcopy(run)
        other.look_at("flip")
        assert not np.array_equal(run.outputs(rows[:1]), other.outputs(rows[:1]))
