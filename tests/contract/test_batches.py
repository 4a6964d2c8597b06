"""Batches of none and of one."""

import numpy as np
import pytest
from contract.cases import CASES, PAIRS, as_dtype, assert_close, representatives, run

from handgrad import engines
from handgrad.errors import HandgradError

pytestmark = pytest.mark.goal(34, "empty batches and batches of one x layers x engines")

DTYPES = ("float32", "float64")
BATCHED = [case for case in CASES if case.batched]
WITH_EMPTY = [case for case in BATCHED if case.empty_batch]
WITHOUT_EMPTY = [case for case in BATCHED if not case.empty_batch and case.layer in PAIRS]
OF_ONE = [case for case in representatives(4, PAIRS) if case.batched]


def rows(case, dtype, count):
    arrays = as_dtype(case, dtype)
    return [array[:count] if i < case.batched else array for i, array in enumerate(arrays)]


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("case", WITH_EMPTY[::5], ids=lambda case: case.id)
def test_an_empty_batch_gives_an_empty_output_and_zero_gradients(case, engine, dtype):
    arrays = rows(case, dtype, 0)
    out, *gradients = run(case, arrays, engine)
    whole, _ = case.forward(engine=engine)
    assert out.shape == (0, *whole.shape[1:])
    for gradient, array in zip(gradients, arrays, strict=True):
        assert gradient.shape == array.shape
        assert not gradient.any()
    assert {result.dtype for result in (out, *gradients)} == {np.dtype(dtype)}


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("case", WITHOUT_EMPTY[::5], ids=lambda case: case.id)
def test_an_empty_batch_without_meaning_is_refused(case, engine):
    with pytest.raises(HandgradError, match=r"^\w+_forward: x must have at least one number"):
        case.forward(*rows(case, "float64", 0), engine=engine)


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("case", OF_ONE, ids=lambda case: case.id)
def test_a_batch_of_one(case, engine, dtype):
    arrays = rows(case, dtype, 1)
    results = run(case, arrays, engine)
    assert {result.dtype for result in results} == {np.dtype(dtype)}
    assert all(np.isfinite(result).all() for result in results)
    assert results[0].shape[0] == 1
    assert_close(results, run(case, arrays, "naive"), 5e3 * np.finfo(dtype).eps)
