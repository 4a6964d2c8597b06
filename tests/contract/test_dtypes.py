"""The result's dtype is the promotion of the inputs'; other dtypes are refused by name."""

import itertools

import numpy as np
import pytest
from contract.cases import (
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
from handgrad.errors import DtypeError

CASES = representatives(3)
OTHER_DTYPES = ("float16", "bool", "object", "complex64", "longdouble", "U4")
if np.dtype("longdouble") == np.float64:  # Windows, and Apple's processors
    OTHER_DTYPES = tuple(dtype for dtype in OTHER_DTYPES if dtype != "longdouble")
SEVERAL = [case for case in CASES if len(case.arrays) > 1]


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("case", SEVERAL, ids=lambda case: case.id)
def test_mixed_precision_is_promoted(case, engine):
    """A float32 array among float64 ones counts as its float64 copy, and so does its gradient."""
    for position in range(len(case.arrays)):
        arrays = as_dtype(case, "float64")
        arrays[position] = arrays[position].astype("float32")
        mixed = run(case, arrays, engine)
        arrays[position] = arrays[position].astype("float64")
        assert_same(mixed, run(case, arrays, engine))
        assert mixed[0].dtype == np.float64


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_integers_count_as_float64(case, engine, rng):
    for dtype in ("int64", "uint8"):
        arrays = [rng.integers(1, 100, array.shape) for array in case.arrays.values()]
        got = run(case, [array.astype(dtype) for array in arrays], engine)
        assert_same(got, run(case, [array.astype("float64") for array in arrays], engine))
        assert got[0].dtype == np.float64


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("engine", ["naive", "vectorized"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_complex_numbers_with_zero_imaginary_part_are_the_real_ones(case, engine):
    expected = run(case, as_dtype(case, "float64"), engine)
    dout = random_like(case, expected[0])
    got = run(case, as_dtype(case, "complex128"), engine, dout)
    assert {result.dtype for result in got} == {np.dtype("complex128")}
    assert_close(got, expected, 1e-13)


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("case", representatives(3, PAIRS), ids=lambda case: case.id)
def test_dout_takes_the_dtype_of_the_forward_pass(case, engine):
    out, cache = case.forward(*as_dtype(case, "float32"), engine=engine)
    dout = random_like(case, out)
    expected = case.backward(dout, cache)
    assert_same(case.backward(dout.astype("float64"), cache), expected)
    assert {gradient.dtype for gradient in expected} == {np.dtype("float32")}
    for dtype in ("complex128", "float16", "bool", "object"):
        with pytest.raises(DtypeError, match=f"^{case.layer}_backward: {case.dout} "):
            case.backward(dout.astype("float64").astype(dtype), cache)


@pytest.mark.goal(34, "foreign dtypes x layers x engines refused by name")
@pytest.mark.parametrize("case", representatives(1, PAIRS), ids=lambda case: case.id)
def test_other_dtypes_are_refused_by_name(case, record_property):
    situations = list(itertools.product(engines.available(), OTHER_DTYPES))
    for engine, dtype in situations:
        for position, name in enumerate(case.arrays):
            arrays = as_dtype(case, "float64")
            arrays[position] = arrays[position].astype(dtype)
            match = f"^{case.layer}_forward: {name} must be float32"
            with told(engine, dtype), pytest.raises(DtypeError, match=match):
                case.forward(*arrays, engine=engine)
    record_property("checks", len(situations))
