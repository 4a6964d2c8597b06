"""The penalty of a model's weights, in every engine."""

import numpy as np
import pytest

from handgrad import engines
from handgrad.engines.weights import with_penalty


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0,), (7,), (16, 3, 3, 3), (130, 257), (1, 2**17 + 5)])
def test_the_penalty_of_weights(shape, dtype, engine, rng):
    w, dw = rng.standard_normal((2, *shape)).astype(dtype)
    w, dw = np.asfortranarray(w), np.ascontiguousarray(dw)
    with engines.use(engine):
        grad, loss = with_penalty(w, dw, 0.3)
    eps = float(np.finfo(dtype).eps)
    assert grad.dtype == dtype
    np.testing.assert_allclose(grad, dw + 0.3 * w, rtol=0, atol=8 * eps)
    assert loss == pytest.approx(0.15 * np.sum(w.astype(np.float64) ** 2), rel=16 * eps)
