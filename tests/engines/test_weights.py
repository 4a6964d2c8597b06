"""The penalty of a model's weights, and update rules of any memory, in every engine."""

import numpy as np
import pytest

from handgrad import engines
from handgrad.engines.weights import with_penalty
from handgrad.optim import RULES


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


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_weights_between_other_fields_of_records(rule, engine, rng):
    """Their addresses are no multiples of their size."""
    w, dw = rng.standard_normal((2, 5, 4))

    def spread(array):
        records = np.zeros(array.shape, dtype=[("number", "f8"), ("count", "i4")])
        records["number"] = array
        assert not records["number"].flags.aligned
        return records["number"]

    with engines.use(engine):
        wanted, _ = rule(w.copy(), dw, {})
        assert np.array_equal(rule(spread(w), dw, {})[0], wanted)
        assert np.array_equal(rule(w.copy(), spread(dw), {})[0], wanted)
        grad, loss = with_penalty(spread(w), spread(dw), 0.3)
        np.testing.assert_allclose(grad, dw + 0.3 * w, rtol=1e-15, atol=1e-15)
        assert loss == pytest.approx(0.15 * np.sum(w * w))
