"""The affine layer: the courses' figures, its promotion rules, and wrong calls."""

import numpy as np
import pytest

from handgrad.errors import CacheError, DtypeError, ShapeError
from handgrad.gradcheck import eval_numerical_gradient_array, rel_error
from handgrad.layers import affine_backward, affine_forward, relu_forward

ENGINES = ("naive", "vectorized")


@pytest.mark.parametrize("engine", ENGINES)
def test_forward_of_the_course(engine):
    """FullyConnectedNets, affine_forward: difference 9.7698e-10."""
    x = np.linspace(-0.1, 0.5, num=240).reshape(2, 4, 5, 6)
    w = np.linspace(-0.2, 0.3, num=360).reshape(120, 3)
    b = np.linspace(-0.3, 0.1, 3)
    out, _ = affine_forward(x, w, b, engine=engine)
    expected = [[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]]
    assert rel_error(out, expected) == pytest.approx(9.76985e-10, rel=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_backward_of_the_course(engine):
    """FullyConnectedNets, affine_backward, seed 231: 5.399e-11, 9.904e-11, 2.412e-11."""
    draw = np.random.RandomState(231).randn
    arrays = {"x": draw(10, 2, 3), "w": draw(6, 5), "b": draw(5)}
    dout = draw(10, 5)

    def f(_):
        return affine_forward(**arrays, engine=engine)[0]

    _, cache = affine_forward(**arrays, engine=engine)
    figures = 5.399100368651805e-11, 9.904211865398145e-11, 2.4122867568119087e-11
    gradients = affine_backward(dout, cache)
    for array, gradient, figure in zip(arrays.values(), gradients, figures, strict=True):
        numerical = eval_numerical_gradient_array(f, array, dout)
        assert rel_error(numerical, gradient) < 10 * figure


@pytest.mark.parametrize("engine", ENGINES)
def test_integers_count_as_float64(engine, rng):
    x = rng.integers(-3, 4, (3, 2, 2))
    w, b = rng.standard_normal((4, 2)), np.array([0, 128])
    out, cache = affine_forward(x, w, b, engine=engine)
    np.testing.assert_allclose(out, x.reshape(3, 4) @ w + b, rtol=1e-14)
    dout = rng.standard_normal((3, 2))
    dx, dw, db = affine_backward(dout, cache)
    assert {dx.dtype, dw.dtype, db.dtype} == {np.dtype(np.float64)}
    np.testing.assert_allclose(db, dout.sum(0), rtol=1e-14)  # not cut to whole numbers
    np.testing.assert_allclose(dx, (dout @ w.T).reshape(3, 2, 2), rtol=1e-14)


def test_backward_leaves_dout_and_cache_alone(rng):
    x, w, b = rng.standard_normal((3, 4)), rng.standard_normal((4, 2)), rng.standard_normal(2)
    dout = rng.standard_normal((3, 2))
    kept = dout.copy()
    _, cache = affine_forward(x, w, b)
    first = affine_backward(dout, cache)
    second = affine_backward(dout, cache)
    np.testing.assert_array_equal(dout, kept)
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)


X, W, B = np.ones((3, 4)), np.ones((4, 2)), np.ones(2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (X, np.ones((5, 2)), B),
            ShapeError,
            r"x must have D = 5 numbers a row.*got x \(3, 4\), 4",
        ),
        ((np.float64(1), W, B), ShapeError, r"x must have D = 4 numbers a row"),
        ((X, np.ones(4), B), ShapeError, r"w must have 2 dimensions \(D, M\), got 1"),
        ((X, W, np.ones(3)), ShapeError, r"b must have shape \(2,\).*got \(3,\)"),
        ((X, W, np.ones((1, 2))), ShapeError, r"b must have shape \(2,\).*got \(1, 2\)"),
        ((X.astype(np.float16), W, B), DtypeError, r"x must be float32.*got float16; convert"),
        ((X, W.astype(bool), B), DtypeError, r"w must be float32.*got bool"),
        ((X, W, np.array(["1", "2"])), DtypeError, r"b must be float32.*got <U1"),
        (([[1.0], [2.0, 3.0]], W, B), ShapeError, r"x is not a rectangular array"),
    ],
)
def test_wrong_calls_of_forward(arguments, error, message):
    with pytest.raises(error, match=r"^affine_forward: .*" + message.lstrip("^")):
        affine_forward(*arguments)


def test_wrong_calls_of_backward():
    _, cache = affine_forward(X, W, B)
    with pytest.raises(ShapeError, match=r"^affine_backward: dout .*\(3, 2\), got \(1, 2\)"):
        affine_backward(np.ones((1, 2)), cache)
    with pytest.raises(DtypeError, match=r"^affine_backward: dout is complex128"):
        affine_backward(np.ones((3, 2), complex), cache)
    _, other = relu_forward(X)
    with pytest.raises(CacheError, match=r"affine_forward returned, got the cache of relu_forward"):
        affine_backward(np.ones((3, 2)), other)
    with pytest.raises(CacheError, match=r"^affine_backward: cache must be the one"):
        affine_backward(np.ones((3, 2)), (X, W, B))
