"""Muon's step in one native call, beside the formula in NumPy."""

import numpy as np
import pytest
from engines.native import _kernels, control, setting

from handgrad import engines
from handgrad.engines.native import updates
from handgrad.optim import muon
from handgrad.optim.muon import COEFFICIENTS

each_isa = pytest.mark.parametrize("isa", control.isas())
SHAPES = [
    (1, 1),
    (1, 40),
    (3, 3),
    (8, 8),
    (17, 31),
    (32, 24, 3, 3),
    (33, 300),
    (70, 129),
    (129, 130),
]
SETTINGS = {"learning_rate": 0.3, "momentum": 0.6}


def arrays(shape, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for _ in range(3)]


def steps(w, dw, v, engine, **config):
    """Two steps, the second from the velocity that the first left."""
    config = SETTINGS | config | {"velocity": v}
    with engines.use(engine):
        w, config = muon(w, dw, config)
        return muon(w, dw[::-1].copy(), config)


@pytest.mark.thorough(keep=4)
@each_isa
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [0.0, 1.5])
@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_it_is_the_formula(shape, radius, rounds, isa, monkeypatch):
    made = []
    monkeypatch.setattr(
        _kernels, "muon", lambda *all_, call=_kernels.muon: made.append(1) or call(*all_)
    )
    for dtype, allowed in (np.float64, 1e-12), (np.float32, 2e-5):
        given = arrays(shape, dtype)
        with setting(isa=isa):
            got, state = steps(*given, "native", radius=radius, rounds=rounds)
        exact = [array.astype(np.float64) for array in given]
        wanted, expected = steps(*exact, "vectorized", radius=radius, rounds=rounds)
        assert got.dtype == state["velocity"].dtype == dtype
        np.testing.assert_allclose(got, wanted, atol=allowed * max(1.0, np.abs(wanted).max()))
        np.testing.assert_allclose(state["velocity"], expected["velocity"], rtol=1e-6, atol=allowed)
    assert len(made) == 4


def test_threads_and_memory_order_change_no_bit():
    w, dw, v = arrays((100, 300), np.float32)
    first, state = steps(w, dw, v, "native", radius=1.0)
    for threads in 1, 3:
        with setting(threads=threads):
            got, other = steps(
                *(np.asfortranarray(array) for array in (w, dw, v)), "native", radius=1.0
            )
        np.testing.assert_array_equal(got, first)
        np.testing.assert_array_equal(other["velocity"], state["velocity"])


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_that_came_in_is_written_to(shape):
    given = arrays(shape, np.float32)
    copies = [array.copy() for array in given]
    updates.muon(*given, 0.1, 0.6, 1.0, 3, COEFFICIENTS)
    for array, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("size", [0.0, 1e-19, 1e-15, 1e13, 1e19, np.nan, np.inf])
@pytest.mark.parametrize("which", ["w", "dw"])
@pytest.mark.parametrize("radius", [0.0, 1.0])
def test_what_leaves_the_range_takes_the_long_way(size, which, radius):
    w, dw, v = arrays((5, 8), np.float32)
    with np.errstate(all="ignore"):
        if which == "w":
            w *= size
        else:
            dw *= size
            v *= size
        taken = updates.muon(w, dw, v, 0.1, 0.6, radius, 3, COEFFICIENTS) is not None
        assert taken == (which == "w" and radius == 0)
        got, _ = steps(w, dw, v, "native", radius=radius)
        wanted, _ = steps(w, dw, v, "vectorized", radius=radius)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_tall_weights_take_the_long_way():
    given = arrays((8, 5))
    assert updates.muon(*given, 0.1, 0.6, 1.0, 3, COEFFICIENTS) is None
    got, _ = steps(*given, "native")
    wanted, _ = steps(*given, "vectorized")
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_shapes_that_differ_are_refused():
    w, dw, v = arrays((4, 6))
    with pytest.raises(ValueError, match="shapes differ"):
        _kernels.muon(w, dw[:, :5], v, 0.1, 0.6, 1.0, 3, COEFFICIENTS)
    with pytest.raises(ValueError, match="more rows"):
        _kernels.muon(w.T, dw.T, v.T, 0.1, 0.6, 1.0, 3, COEFFICIENTS)
    with pytest.raises(ValueError, match="no round"):
        _kernels.muon(w, dw, v, 0.1, 0.6, 1.0, 0, COEFFICIENTS)
