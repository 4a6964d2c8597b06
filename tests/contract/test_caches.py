"""A cache says what it holds, in short, and a copy of it is as good."""

import copy
import pickle
import re

import numpy as np
import pytest
from contract.cases import PAIRS, as_dtype, assert_same, random_like, representatives

from handgrad import engines, layers


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("case", representatives(2, PAIRS), ids=lambda case: case.id)
def test_a_cache_shows_dtypes_and_shapes_in_place_of_numbers(case, engine):
    _, cache = case.forward(engine=engine)
    text = repr(cache)
    assert text.startswith(f"Cache(layer='{case.layer}', engine='{engine}', shape=")
    assert f"like=float64{[0, *cache.shape[1:]]}" in text
    assert "array(" not in text
    assert len(text) < 3000
    if engine == "vectorized":  # the fields of what the layer's file saves have names
        assert re.search(r"saved=(None|\w*Saved\()", text)


def test_a_cache_of_many_steps_and_large_arrays_stays_short():
    rng = np.random.default_rng(0)
    x, h = rng.standard_normal((2, 200, 3)), np.zeros((2, 4))
    weights = [rng.standard_normal(shape) for shape in ((3, 4), (4, 4), (4,))]
    for engine in engines.available():
        _, cache = layers.rnn_forward(x[:, :20], h, *weights, engine=engine)
        assert "and 16 more" in repr(cache)
        _, cache = layers.affine_forward(
            np.ones((500, 300)), np.ones((300, 2)), np.ones(2), engine=engine
        )
        assert "float64[500, 300]" in repr(cache)
        assert len(repr(cache)) < 200


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("case", representatives(2, PAIRS), ids=lambda case: case.id)
def test_a_copy_of_a_cache_gives_the_same_gradients(case, engine, copied):
    out, cache = case.forward(*as_dtype(case, "float32"), engine=engine)
    dout = random_like(case, out)
    assert_same(case.backward(dout, copied(cache)), case.backward(dout, cache))
