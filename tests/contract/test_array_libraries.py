"""The vectorized engine gives NumPy's answers for arrays of other libraries, in their library."""

import numpy as np
import pytest
from contract.cases import as_dtype, assert_close, random_like, representatives, run

TOLERANCE = {"float32": 1e-4, "float64": 1e-12}


def foreign_options(xp, options):
    """Return `options` with the arrays in them (running statistics) as arrays of `xp`."""
    return tuple(
        {
            key: xp.asarray(value) if isinstance(value, np.ndarray) else value
            for key, value in option.items()
        }
        if isinstance(option, dict)
        else option
        for option in options
    )


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("library", ["array_api_strict", "torch"])
@pytest.mark.parametrize("case", representatives(6), ids=lambda case: case.id)
def test_arrays_of_other_libraries(case, library, dtype):
    xp = pytest.importorskip(library)
    arrays = as_dtype(case, dtype)
    expected = run(case, arrays, "vectorized")
    dout = xp.asarray(random_like(case, expected[0]))
    foreign = case._replace(options=foreign_options(xp, case.options))
    got = run(foreign, [xp.asarray(array) for array in arrays], None, dout)
    for result in got:
        assert type(result) is type(dout)
        assert result.dtype == dout.dtype
    assert_close([np.asarray(result) for result in got], expected, TOLERANCE[dtype])
