"""What the tests of the native engine share; without the compiled module they are skipped."""

from contextlib import contextmanager

import numpy as np
import pytest

from handgrad import engines

if "native" not in engines.available():
    pytest.skip("the native engine is not built here", allow_module_level=True)

import handgrad.layers  # noqa: F401, its files hold the vectorized engine's code
from handgrad.engines import native, vectorized
from handgrad.engines.native import _kernels, control

__all__ = ["_kernels", "control", "native", "setting", "vectorized"]


@contextmanager
def setting(*, threads=None, isa=None, exact=None):
    """Change the engine's settings inside the ``with`` block."""
    old = control.threads(), control.isa(), control.exact()
    control.set_threads(threads or old[0])
    control.set_isa(isa or old[1])
    control.set_exact(old[2] if exact is None else exact)
    try:
        yield
    finally:
        control.set_threads(old[0])
        control.set_isa(old[1])
        control.set_exact(old[2])


def difference(got, expected):
    """Return the largest error, relative to the largest expected number (at least 1)."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    if not expected.size:
        return 0.0
    return float(np.max(np.abs(got - expected)) / max(1.0, np.max(np.abs(expected))))


POOL = {"pool_height": 2, "pool_width": 2, "stride": 2}


def arguments(N, C, H, W, F, HH, WW, pad, seed=0, shift=0.5):
    """Return (x, w, b, gamma, beta), conv_param and dout of a convolution with a 2x2 pooling."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, C, H, W)) + shift
    w = rng.standard_normal((F, C, HH, WW))
    b, gamma, beta = rng.standard_normal((3, F))
    arrays = [array.astype(np.float32) for array in (x, w, b, gamma, beta)]
    OH, OW = H + 2 * pad[0] - HH + 1, W + 2 * pad[1] - WW + 1
    return arrays, {"pad": pad}, rng.standard_normal((N, F, OH // 2, OW // 2)).astype(np.float32)
