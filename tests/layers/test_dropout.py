"""Dropout: the courses' figures and random stream, its statistics, its modes, and wrong calls."""

import numpy as np
import pytest

from handgrad.errors import OptionError, ShapeError
from handgrad.gradcheck import eval_numerical_gradient_array, rel_error
from handgrad.layers import dropout_backward, dropout_forward

ENGINES = ["naive", "vectorized"]


@pytest.fixture(autouse=True)
def _restore_global_stream():
    state = np.random.get_state()
    yield
    np.random.set_state(state)


# The courses' figures


@pytest.mark.parametrize(
    "figures",
    [
        [  # 2018 and later, where p is the probability of keeping
            (0.25, 10.014059116977283, 0.749784),
            (0.4, 9.977917658761159, 0.600796),
            (0.7, 9.987811912159426, 0.30074),
        ],
        [  # 2017, where 0.3, 0.6 and 0.75 are the probabilities of dropping
            (1 - 0.3, 9.990848162756775, 0.300672),
            (1 - 0.6, 9.977917658761159, 0.600796),
            (1 - 0.75, 9.991640741515118, 0.750232),
        ],
    ],
)
def test_forward_figures(figures):
    np.random.seed(231)
    x = np.random.randn(500, 500) + 10
    assert x.mean() == pytest.approx(10.000207878477502, rel=1e-14)
    for p, mean, zeros in figures:
        out, _ = dropout_forward(x, {"mode": "train", "p": p})
        out_test, _ = dropout_forward(x, {"mode": "test", "p": p})
        assert out.mean() == pytest.approx(mean, rel=1e-14)
        assert (out == 0).mean() == zeros
        np.testing.assert_array_equal(out_test, x)


@pytest.mark.parametrize(
    ("p", "figure"), [(0.2, 5.44560814873387e-11), (1 - 0.8, 1.8929028107279455e-11)]
)
def test_backward_figures(p, figure):
    np.random.seed(231)
    x = np.random.randn(10, 10) + 10
    dout = np.random.randn(*x.shape)
    param = {"mode": "train", "p": p, "seed": 123}
    _, cache = dropout_forward(x, param)
    numerical = eval_numerical_gradient_array(lambda x: dropout_forward(x, param)[0], x, dout)
    assert rel_error(dropout_backward(dout, cache), numerical) == pytest.approx(figure, rel=0.01)


# The random stream


@pytest.mark.parametrize("engine", ENGINES)
def test_mask_is_one_draw_of_the_global_stream(engine, rng):
    x = rng.standard_normal((3, 4, 2))
    dout = rng.standard_normal(x.shape)
    np.random.seed(5)
    mask = (np.random.rand(3, 4, 2) < 0.6) / 0.6
    following = np.random.rand()
    np.random.seed(5)
    out, cache = dropout_forward(x, {"p": 0.6, "mode": "train"}, engine=engine)
    assert np.random.rand() == following
    np.testing.assert_array_equal(out, x * mask)
    np.testing.assert_array_equal(dropout_backward(dout, cache), dout * mask)


def test_keeping_everything_still_draws(rng):
    x = rng.standard_normal((3, 4))
    np.random.seed(5)
    np.random.rand(3, 4)
    following = np.random.rand()
    np.random.seed(5)
    out, _ = dropout_forward(x, {"p": 1, "mode": "train"})
    assert np.random.rand() == following
    np.testing.assert_array_equal(out, x)


@pytest.mark.parametrize("seed", [0, 11])
@pytest.mark.parametrize("mode", ["train", "test"])
def test_seed_sets_the_global_stream_in_both_modes(mode, seed, rng):
    x = rng.standard_normal((4, 5))
    param = {"p": 0.5, "mode": mode, "seed": seed}
    first = dropout_forward(x, param)[0]
    following = np.random.rand()
    np.testing.assert_array_equal(dropout_forward(x, param)[0], first)
    assert np.random.rand() == following
    np.random.seed(seed)
    if mode == "train":
        np.random.rand(4, 5)
    assert np.random.rand() == following


def test_no_seed_goes_on_in_the_stream(rng):
    x = rng.standard_normal((20, 20))
    for param in ({"p": 0.5, "mode": "train"}, {"p": 0.5, "mode": "train", "seed": None}):
        np.random.seed(5)
        first, second = dropout_forward(x, param)[0], dropout_forward(x, param)[0]
        assert np.any(first != second)
        np.random.seed(5)
        np.testing.assert_array_equal(dropout_forward(x, param)[0], first)


@pytest.mark.parametrize("make_rng", [np.random.default_rng, np.random.RandomState])
def test_own_random_source(make_rng, rng):
    x = rng.standard_normal((6, 5))
    np.random.seed(5)
    following = np.random.rand()
    np.random.seed(5)
    out, _ = dropout_forward(x, {"p": 0.4, "mode": "train", "rng": make_rng(3)})
    assert np.random.rand() == following
    np.testing.assert_array_equal(out, x * ((make_rng(3).random((6, 5)) < 0.4) / 0.4))


# What it does


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_expectation_and_zero_fraction(p, rng):
    x = rng.standard_normal((500, 400)) + 5
    out, cache = dropout_forward(x, {"p": p, "mode": "train", "seed": 1})
    spread = np.sqrt((1 - p) / p * np.mean(x**2) / x.size)  # standard deviation of mean(out)
    assert abs(out.mean() - x.mean()) < 4 * spread
    assert abs((out == 0).mean() - (1 - p)) < 4 * np.sqrt(p * (1 - p) / x.size)
    dout = rng.standard_normal(x.shape)
    np.testing.assert_array_equal(dropout_backward(dout, cache) == 0, out == 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_test_mode_is_a_copy(engine, rng):
    x, dout = rng.standard_normal((2, 3, 4))
    out, cache = dropout_forward(x, {"p": 0.5, "mode": "test"}, engine=engine)
    dx = dropout_backward(dout, cache)
    np.testing.assert_array_equal(out, x)
    np.testing.assert_array_equal(dx, dout)
    assert not np.shares_memory(out, x)
    assert not np.shares_memory(dx, dout)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_dtypes(dtype, engine, rng):
    x = rng.standard_normal((4, 5)).astype(dtype)
    for mode in ("train", "test"):
        out, cache = dropout_forward(x, {"p": 0.3, "mode": mode, "seed": 2}, engine=engine)
        assert out.dtype == dtype
        assert dropout_backward(np.ones_like(out), cache).dtype == dtype


def test_the_dictionary_is_left_alone(rng):
    param = {"p": 0.5, "mode": "train", "seed": 3}
    before = dict(param)
    dropout_forward(rng.standard_normal((2, 2)), param)
    assert param == before


# Wrong calls


GOOD = {"p": 0.5, "mode": "train"}


@pytest.mark.parametrize(
    ("param", "message"),
    [
        ({**GOOD, "p": 0}, r"p \(the probability of keeping\) must be in \(0, 1\], got 0"),
        ({**GOOD, "p": 1.5}, r"must be in \(0, 1\], got 1.5"),
        ({**GOOD, "p": -0.1}, r"must be in \(0, 1\], got -0.1"),
        ({**GOOD, "p": np.nan}, r"must be in \(0, 1\], got nan"),
        ({**GOOD, "p": "half"}, r"must be a number, got 'half'"),
        ({**GOOD, "mode": "eval"}, "mode must be one of 'train', 'test'; got 'eval'"),
        ({"mode": "train"}, r"dropout_param lacks the key 'p'; it has \['mode'\]"),
        ({"p": 0.5}, "dropout_param lacks the key 'mode'"),
        (0.5, "dropout_param must be a dictionary, got float"),
        ({**GOOD, "seed": -1}, "seed -1 is no seed"),
        ({**GOOD, "seed": "x"}, "seed 'x' is no seed"),
        ({**GOOD, "rng": 3}, "rng must be a numpy.random.Generator or RandomState, got int"),
        ({**GOOD, "seed": 1, "rng": np.random.default_rng(1)}, "both seed and rng"),
    ],
)
def test_refusals(param, message):
    with pytest.raises(OptionError, match=f"^dropout_forward: .*{message}"):
        dropout_forward(np.ones((2, 3)), param)


def test_refuses_a_single_number():
    with pytest.raises(ShapeError, match="dropout_forward: x must have at least 1 dimensions"):
        dropout_forward(np.float64(1.0), GOOD)
