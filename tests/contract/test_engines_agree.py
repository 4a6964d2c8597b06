"""All engines give one answer, on every row."""

import numpy as np
import pytest
from contract.cases import CASES, as_dtype, assert_close, assert_same, cases_of, run, told

from handgrad import engines

OTHERS = [name for name in engines.available() if name != "naive"]
TOLERANCE = {"float32": 1e-4, "float64": 1e-12}
DTYPES = [
    "float32",
    pytest.param(
        "float64", marks=pytest.mark.goal(3, "pairs equal to the naive engine within 1e-12")
    ),
]


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_engines_agree_with_the_naive_one(case, dtype, record_property):
    arrays = as_dtype(case, dtype)
    expected = run(case, arrays, "naive")
    assert {result.dtype for result in expected} == {np.dtype(dtype)}
    for engine in OTHERS:
        with told(engine):
            got = run(case, arrays, engine)
            assert {result.dtype for result in got} == {np.dtype(dtype)}
            assert_close(got, expected, TOLERANCE[dtype])
    record_property("checks", len(OTHERS))


EXACT = [case for layer in ("affine", "conv", "max_pool") for case in cases_of(layer)]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", EXACT, ids=lambda case: case.id)
def test_engines_are_bit_equal_on_whole_numbers(case, dtype, rng):
    """Sums and products of small whole numbers are exact in any order; ties have one rule."""
    arrays = [rng.integers(-8, 9, array.shape).astype(dtype) for array in case.arrays.values()]
    out, _ = case.forward(*arrays, engine="naive")
    dout = rng.integers(-8, 9, out.shape).astype(dtype)
    expected = run(case, arrays, "naive", dout)
    for engine in OTHERS:
        with told(engine):
            assert_same(run(case, arrays, engine, dout), expected)
