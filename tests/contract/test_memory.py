"""What an array looks like in memory changes no answer, and no call changes its arguments."""

import copy
import itertools

import numpy as np
import pytest
from contract.cases import (
    CASES,
    PAIRS,
    as_dtype,
    assert_close,
    assert_same,
    random_like,
    representatives,
    run,
    told,
)

from handgrad import engines

DTYPES = ("float32", "float64")


def channels_last(array):
    axis = min(1, array.ndim - 1)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, axis, -1)), -1, axis)


def strided(array):
    """Every second number of each axis of an array that is NaN elsewhere."""
    base = np.full([2 * size for size in array.shape], np.nan, array.dtype)
    view = base[(slice(None, None, 2),) * array.ndim]
    view[...] = array
    return view


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def misaligned(array):
    view = np.frombuffer(bytearray(array.nbytes + 1), array.dtype, offset=1).reshape(array.shape)
    view[...] = array
    return view


# name -> (how to make it, whether the same code then meets the same memory: bit-equal answers)
LAYOUTS = {
    "read-only": (read_only, True),
    "big-endian": (lambda array: array.astype(array.dtype.newbyteorder(">")), True),
    "misaligned": (misaligned, True),
    "Fortran order": (np.asfortranarray, False),
    "negative strides": (lambda array: np.flip(np.flip(array).copy()), False),
    "channels last": (channels_last, False),
    "strided": (strided, False),
}


@pytest.mark.thorough(keep=4)
@pytest.mark.goal(34, "layouts x dtypes x engines x layers equal their contiguous copy")
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("case", representatives(4), ids=lambda case: case.id)
def test_layouts_give_the_answer_of_contiguous_arrays(case, engine, record_property):
    for dtype in DTYPES:
        arrays = as_dtype(case, dtype)
        expected = run(case, arrays, engine)
        for layout, (make, bit_equal) in LAYOUTS.items():
            with told(dtype, layout):
                dout = random_like(case, expected[0])
                dout = make(dout) if dout.ndim else dout
                got = run(case, [make(array) for array in arrays], engine, dout)
                if bit_equal:
                    assert_same(got, expected)
                else:
                    assert {result.dtype for result in got} == {np.dtype(dtype)}
                    assert_close(got, expected, 100 * np.finfo(dtype).eps)
    record_property("checks", len(DTYPES) * len(LAYOUTS))


def snapshot(value):
    """Return `value` as something that compares equal only if no bit of it has changed."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.strides, value.tobytes()
    if isinstance(value, dict):
        return {key: snapshot(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [snapshot(item) for item in value]
    return value


def without_running_statistics(option):
    """Drop what batchnorm in train mode writes into its dictionary by contract."""
    if isinstance(option, dict) and option.get("mode") == "train":
        return {key: value for key, value in option.items() if not key.startswith("running_")}
    return option


@pytest.mark.thorough(keep=4)
@pytest.mark.goal(34, "calls leave their arguments as they were")
@pytest.mark.parametrize(
    "case", [case for case in CASES if case.layer in PAIRS], ids=lambda case: case.id
)
def test_no_call_changes_its_arguments(case, record_property):
    situations = list(itertools.product(engines.available(), DTYPES))
    for engine, dtype in situations:
        with told(engine, dtype):
            arrays, options = as_dtype(case, dtype), copy.deepcopy(case.options)
            before = kept(arrays, options)
            out, cache = case.call(arrays, options, engine)
            dout = random_like(case, out)
            held = snapshot([out, dout, cache.saved])
            first = case.backward(dout, cache)
            second = case.backward(dout, cache)
            assert kept(arrays, options) == before
            assert snapshot([out, dout, cache.saved]) == held
            assert_same(second, first)
    record_property("checks", len(situations))


def kept(arrays, options):
    """What a call may not change of its arguments."""
    return snapshot(arrays), snapshot([without_running_statistics(o) for o in options])


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("case", representatives(4, PAIRS), ids=lambda case: case.id)
def test_results_do_not_share_memory_with_arguments(case, engine):
    """What a caller then adds to a result in place must not reach an input or the cache."""
    arrays = as_dtype(case, "float64")
    out, cache = case.forward(*arrays, engine=engine)
    dout = random_like(case, out)
    expected = [gradient.copy() for gradient in case.backward(dout, cache)]
    for gradient in case.backward(dout, cache):
        gradient += 1.0
    assert_same(dout, random_like(case, out))
    assert_same(case.backward(dout, cache), expected)
    assert_same(arrays, as_dtype(case, "float64"))
    assert not any(np.shares_memory(out, array) for array in arrays)
