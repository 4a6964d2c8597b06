"""Losses of scores up to 1e30 are finite, with the right gradient; NaN and infinity are named."""

import math
from itertools import product

import numpy as np
import pytest

from handgrad import engines, layers
from handgrad.errors import NonFiniteError

ROWS = list(product((-1e30, -1e3, 0.0, 1e3, 1e30), repeat=3))
pytestmark = pytest.mark.goal(8, "tables of extreme scores (125 rows x 3 labels each)")


def softmax_of(row, label):
    """The loss and the gradient of one row, term by term."""
    top = max(row)
    shares = [math.exp(max(x - top, -745.0)) if x - top > -745 else 0.0 for x in row]
    total = math.fsum(shares)
    gradient = [share / total - (c == label) for c, share in enumerate(shares)]
    return math.log(total) + (top - row[label]), gradient


def svm_of(row, label):
    """The same for the hinge loss."""
    margins = [0.0 if c == label else max(0.0, x - row[label] + 1) for c, x in enumerate(row)]
    gradient = [float(m > 0) for m in margins]
    gradient[label] = -sum(gradient)
    return math.fsum(margins), gradient


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize(("name", "oracle"), [("softmax_loss", softmax_of), ("svm_loss", svm_of)])
def test_extreme_scores(name, oracle, engine, dtype):
    loss_of = getattr(layers, name)
    for row, label in product(ROWS, range(3)):
        x = np.array([row], dtype)
        loss, dx = loss_of(x, [label], engine=engine)
        expected, gradient = oracle([float(v) for v in x[0]], label)
        assert math.isfinite(loss)
        assert loss == pytest.approx(
            expected, rel=1e-6 if dtype == "float32" else 1e-14, abs=1e-300
        )
        np.testing.assert_allclose(dx[0], gradient, rtol=1e-6, atol=1e-7)
    x = np.array(ROWS, dtype)  # and all rows at once
    labels = np.arange(len(ROWS)) % 3
    loss, dx = loss_of(x, labels, engine=engine)
    each = [oracle([float(v) for v in r], y) for r, y in zip(x, labels, strict=True)]
    assert loss == pytest.approx(math.fsum(e[0] for e in each) / len(ROWS), rel=1e-5)
    np.testing.assert_allclose(dx * len(ROWS), [e[1] for e in each], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("name", ["softmax_loss", "svm_loss"])
def test_nan_and_infinity_are_named(name, engine, dtype):
    for value, place in product((np.nan, np.inf, -np.inf), product(range(4), range(3))):
        x = np.zeros((4, 3), dtype)
        x[place] = value
        match = rf"^{name}: x must be finite, got {value} at x\[{place[0]}, {place[1]}\]"
        with pytest.raises(NonFiniteError, match=match):
            getattr(layers, name)(x, [0, 1, 2, 0], engine=engine)
