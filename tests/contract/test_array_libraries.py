"""The vectorized engine gives NumPy's answers for arrays of other libraries, in their library.

On a machine with a GPU, arrays there are tried too: PyTorch's ("cuda") and CuPy's.
"""

import importlib.util

import numpy as np
import pytest
from contract.cases import as_dtype, assert_close, random_like, representatives, run
from gpus import GPUS

TOLERANCE = {"float32": 1e-4, "float64": 1e-12}
LIBRARIES = ["array_api_strict", "torch", *GPUS]
if GPUS and importlib.util.find_spec("cupy"):
    LIBRARIES.append("cupy")


def ways(library):
    """Return the functions that turn NumPy's arrays into those of `library`, and back."""
    if library in GPUS:
        torch = pytest.importorskip("torch")
        return lambda array: torch.asarray(array, device=library), lambda got: got.cpu().numpy()
    xp = pytest.importorskip(library)
    return xp.asarray, xp.asnumpy if library == "cupy" else np.asarray


def foreign_options(foreign, options):
    """Return `options` with the arrays in them (running statistics) made `foreign`."""
    return tuple(
        {
            key: foreign(value) if isinstance(value, np.ndarray) else value
            for key, value in option.items()
        }
        if isinstance(option, dict)
        else option
        for option in options
    )


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", representatives(6), ids=lambda case: case.id)
def test_arrays_of_other_libraries(case, library, dtype):
    foreign, back = ways(library)
    arrays = as_dtype(case, dtype)
    expected = run(case, arrays, "vectorized")
    dout = foreign(random_like(case, expected[0]))
    there = case._replace(options=foreign_options(foreign, case.options))
    got = run(there, [foreign(array) for array in arrays], None, dout)
    for result in got:
        assert type(result) is type(dout)
        assert result.dtype == dout.dtype
        assert result.device == dout.device
    assert_close([back(result) for result in got], expected, TOLERANCE[dtype])
