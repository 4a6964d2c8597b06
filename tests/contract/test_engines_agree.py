"""All engines give one answer, on every row."""

import numpy as np
import pytest
from contract.cases import CASES, as_dtype, assert_close, assert_same, cases_of, run

from handgrad import engines

OTHERS = [name for name in engines.available() if name != "naive"]
TOLERANCE = {"float32": 1e-4, "float64": 1e-12}
DTYPES = [
    "float32",
    pytest.param(
        "float64", marks=pytest.mark.goal(3, "pairs equal to the naive engine within 1e-12")
    ),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_engines_agree_with_the_naive_one(case, engine, dtype):
    arrays = as_dtype(case, dtype)
    expected, got = run(case, arrays, "naive"), run(case, arrays, engine)
    assert {result.dtype for result in [*expected, *got]} == {np.dtype(dtype)}
    assert_close(got, expected, TOLERANCE[dtype])


EXACT = [case for layer in ("affine", "conv", "max_pool") for case in cases_of(layer)]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("case", EXACT, ids=lambda case: case.id)
def test_engines_are_bit_equal_on_whole_numbers(case, engine, dtype, rng):
    """Sums and products of small whole numbers are exact in any order; ties have one rule."""
    arrays = [rng.integers(-8, 9, array.shape).astype(dtype) for array in case.arrays.values()]
    out, _ = case.forward(*arrays, engine="naive")
    dout = rng.integers(-8, 9, out.shape).astype(dtype)
    assert_same(run(case, arrays, engine, dout), run(case, arrays, "naive", dout))
