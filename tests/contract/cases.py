"""The contract table, and what its checks share.

The rows come from the files ``*_cases.py`` beside this one.  Numbers are compared normwise: the
largest difference of two arrays, on the scale of the largest number of the expected one.  Where an
array is zero but for rounding (the gradient of a bias in front of batchnorm), that scale would be
rounding noise; it is then the largest number of all results of the call.
"""

import importlib
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from handgrad import layers

CASES = [
    case
    for path in sorted(Path(__file__).parent.glob("*_cases.py"))
    for case in importlib.import_module(f"contract.{path.stem}").CASES
]
PAIRS = sorted(
    name.removesuffix("_forward") for name in layers.__all__ if name.endswith("_forward")
)
LOSSES = sorted(name for name in layers.__all__ if name.endswith("_loss"))
ROW_LOSSES = [name for name in LOSSES if not name.startswith("temporal_")]  # called with (x, y)
LABEL_LOSSES = ["focal_loss", "softmax_loss", "svm_loss"]  # y are numbers of classes
TARGET_LOSSES = [name for name in ROW_LOSSES if name not in LABEL_LOSSES]  # y is shaped like x


def cases_of(layer):
    return [case for case in CASES if case.layer == layer]


def representatives(count, names=(*PAIRS, *LOSSES)):
    """Return at most `count` cases of each layer, spread over its rows."""
    chosen = []
    for name in names:
        rows = cases_of(name)
        chosen += rows[:: -(-len(rows) // count) or 1]
    return chosen


@contextmanager
def told(*words):
    """Say in which of the situations that one test tries an error came up."""
    try:
        yield
    except Exception as error:
        error.add_note("in " + ", ".join(words))
        raise


def random_like(case, out):
    """Return a random upstream gradient for `out`, the same in every run."""
    seed = zlib.crc32(case.id.encode())
    return np.random.default_rng(seed).standard_normal(out.shape).astype(out.dtype)


def as_dtype(case, dtype):
    """Return the case's arrays, C-contiguous, in `dtype`."""
    return [np.ascontiguousarray(array, dtype) for array in case.arrays.values()]


def run(case, arrays, engine, dout=None):
    """Return [out, *gradients] of `case` for `arrays`."""
    out, cache = case.forward(*arrays, engine=engine)
    return [out, *case.backward(random_like(case, out) if dout is None else dout, cache)]


def scales(results):
    """Return the scale on which to compare each array: see the head of this file."""
    sizes = [float(np.max(np.abs(result), initial=0.0)) for result in results]
    noise = 1e4 * np.finfo(results[0].dtype).eps * max(sizes)
    return [size if size > noise else max(sizes) for size in sizes]


def assert_close(got, expected, tolerance):
    """Compare two lists of results, normwise."""
    assert len(got) == len(expected)
    for position, (a, b, scale) in enumerate(zip(got, expected, scales(expected), strict=True)):
        assert a.shape == b.shape, f"result {position}: shape {a.shape}, expected {b.shape}"
        error = np.max(np.abs(a - b), initial=0.0)
        assert error <= tolerance * scale, f"result {position}: off by {error / scale:.3g} relative"


def assert_same(got, expected):
    """Compare two lists of results bit for bit (but for the sign of zero)."""
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, strict=True)
