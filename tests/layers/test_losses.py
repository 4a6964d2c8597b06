"""The losses: the courses' figures, formulas, complex step, extreme scores, and wrong calls."""

import array_api_strict as strict
import numpy as np
import pytest

from handgrad import engines
from handgrad.errors import DtypeError, LabelError, NonFiniteError, OptionError, ShapeError
from handgrad.gradcheck import eval_numerical_gradient, rel_error
from handgrad.layers import softmax_loss, svm_loss

ENGINES = ["naive", "vectorized"]
LOSSES = [softmax_loss, svm_loss]
SIZES = [(N, C) for N in (1, 2, 5, 8) for C in (1, 2, 3, 7)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("function", "value", "bound"),
    [(svm_loss, 8.999602749096233, 1.5e-9), (softmax_loss, 2.302545844500738, 1e-8)],
)
def test_course_figures(function, value, bound, engine):
    np.random.seed(231)
    x = 0.001 * np.random.randn(50, 10)
    y = np.random.randint(10, size=50)
    loss, dx = function(x, y, engine=engine)
    assert loss == pytest.approx(value, rel=1e-12)
    numerical = eval_numerical_gradient(
        lambda x: function(x, y, engine=engine)[0], x, verbose=False
    )
    assert rel_error(numerical, dx) < bound


def test_softmax_formula(rng):
    x = rng.standard_normal((6, 4))
    y = rng.integers(4, size=6)
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    loss, dx = softmax_loss(x, y)
    assert loss == pytest.approx(-np.log(p[np.arange(6), y]).mean(), rel=1e-14)
    np.testing.assert_allclose(dx, (p - np.eye(4)[y]) / 6, rtol=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
def test_svm_by_hand(engine):
    x = np.array([[3.0, 2.5, 1.0], [0.0, 4.0, 5.0]])
    loss, dx = svm_loss(x, [0, 1], engine=engine)
    assert loss == (0.5 + 2.0) / 2
    np.testing.assert_array_equal(dx, [[-0.5, 0.5, 0.0], [0.0, -0.5, 0.5]])
    loss, dx = svm_loss(np.array([[1.0, 0.0]]), [0], engine=engine)  # a margin of exactly 0
    assert loss == 0
    np.testing.assert_array_equal(dx, [[0.0, 0.0]])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("function", LOSSES)
def test_engines_and_libraries_agree(function, size, rng):
    x = 3 * rng.standard_normal(size)
    y = rng.integers(size[1], size=size[0])
    loss, dx = function(x, y, engine="naive")
    for got, dgot in (
        function(x, y),
        function(x, y.astype(np.uint8)),
        function(x, y.tolist()),
        function(strict.asarray(x), strict.asarray(y)),
        function(strict.asarray(x), y),
    ):
        assert float(got) == pytest.approx(loss, rel=1e-13, abs=1e-15)
        np.testing.assert_allclose(np.asarray(dgot), dx, rtol=1e-12, atol=1e-16)


def test_torch_tensors(rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((5, 4))
    y = rng.integers(4, size=5)
    for function in LOSSES:
        loss, dx = function(x, y)
        for labels in (torch.asarray(y), torch.asarray(y, dtype=torch.int32), y, y.tolist()):
            got, dgot = function(torch.asarray(x), labels)
            assert float(got) == pytest.approx(loss, rel=1e-13)
            np.testing.assert_allclose(dgot.numpy(), dx, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("function", LOSSES)
def test_gradient_against_complex_step(function, size, scale, engine, rng):
    x = scale * rng.standard_normal(size)
    y = rng.integers(size[1], size=size[0])
    _, dx = function(x, y, engine=engine)
    expected = np.zeros(size)
    for i in np.ndindex(size):
        step = x.astype(np.complex128)
        step[i] += 1e-30j
        loss, _ = function(step, y, engine=engine)
        expected[i] = loss.imag / 1e-30
    np.testing.assert_allclose(dx, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_scores_stay_finite(dtype, engine):
    x = np.array([[1e30, -1e30, 0.0], [-1e30, -1e30, 1e30]], dtype)
    loss, dx = softmax_loss(x, [0, 2], engine=engine)
    assert loss == 0
    np.testing.assert_array_equal(dx, np.zeros((2, 3)))
    loss, dx = softmax_loss(x, [1, 2], engine=engine)
    assert loss == pytest.approx(1e30, rel=1e-6)
    np.testing.assert_array_equal(dx, [[0.5, -0.5, 0], [0, 0, 0]])
    loss, dx = svm_loss(x, [1, 2], engine=engine)
    assert loss == pytest.approx(1.5e30, rel=1e-6)
    np.testing.assert_array_equal(dx, [[0.5, -1, 0.5], [0, 0, 0]])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("function", LOSSES)
def test_dtypes_and_inputs_unchanged(function, dtype, engine, rng):
    x = rng.standard_normal((4, 3)).astype(dtype)
    y = np.array([0, 2, 1, 1])
    before = x.copy(), y.copy()
    loss, dx = function(x, y, engine=engine)
    assert loss.dtype == dx.dtype == dtype
    assert loss.shape == ()
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])
    assert not np.shares_memory(dx, x)


def test_each_row_is_measured_on_its_own_scale():
    """A row far below another one must not vanish: all that counts is within a row."""
    x = np.array([[1e4, 1e4 + 1.0], [-1e4, -1e4 + 1.0], [0.0, 1.0]])
    for engine in engines.available():
        loss, dx = softmax_loss(x, [0, 0, 0], engine=engine)
        np.testing.assert_allclose(loss, np.log(1.0 + np.e), rtol=1e-12)
        np.testing.assert_allclose(dx, np.tile(dx[2], (3, 1)), rtol=1e-9)


# Wrong calls


X = np.zeros((3, 4))
Y = np.array([0, 1, 3])


@pytest.mark.parametrize("function", LOSSES)
@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (X, [0, 4, 1], LabelError, r"y must be in \[0, 4\).*\(3, 4\); got y\[1\] = 4"),
        (X, np.array([0, 4, 1]), LabelError, r"y must be in \[0, 4\).*got y\[1\] = 4"),
        (X, np.array([0, 1, -1]), LabelError, r"y must be in \[0, 4\).*got y\[2\] = -1"),
        (X, np.zeros(3), LabelError, r"y must hold integers in \[0, 4\), got float64"),
        (X, [0, 4, -1], LabelError, r"y must be in \[0, 4\).*got y\[1\] = 4"),
        (X, [0, 1, -1], LabelError, r"y must be in \[0, 4\).*got y\[2\] = -1"),
        (X, [0.0, 1.5, 1.0], LabelError, r"y must hold integers in \[0, 4\), got float64"),
        (X, [True, False, True], LabelError, "y must hold integers .* got bool"),
        (X, ["cat", "dog", "cat"], LabelError, "y must hold integers"),
        (X, [[0], [1, 2], [3]], ShapeError, "y is not a rectangular array"),
        (X, Y[:, None], ShapeError, r"y must have shape \(3,\).*got \(3, 1\); flatten it"),
        (X, np.zeros((3, 2), int), ShapeError, r"y must have shape \(3,\).*got \(3, 2\)$"),
        (X, Y[:1], ShapeError, r"y must have shape \(3,\).*got \(1,\)$"),
        (X, Y[:2], ShapeError, r"y must have shape \(3,\).*got \(2,\)$"),
        (X, 1, ShapeError, r"y must have shape \(3,\).*got \(\)"),
        (X[0], Y, ShapeError, r"x must have 2 dimensions \(N, C\), got 1"),
        (X[:0], Y[:0], ShapeError, r"x must have at least one row and one class.*\(0, 4\)"),
        (X[:, :0], Y, ShapeError, r"x must have at least one row and one class.*\(3, 0\)"),
        (X > 0, Y, DtypeError, "x must be float32, float64 or complex128"),
    ],
)
def test_refusals(function, x, y, error, message):
    with pytest.raises(error, match=f"^{function.__name__}: {message}"):
        function(x, y)


@pytest.mark.parametrize("function", LOSSES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_scores_are_named(function, value):
    x = np.zeros((3, 4))
    x[1, 2] = x[2, 0] = value
    with pytest.raises(
        NonFiniteError, match=rf"^{function.__name__}: x .*got {value} at x\[1, 2\]"
    ):
        function(x, Y)
    with pytest.raises(NonFiniteError, match=rf"^{function.__name__}: x .* at x\[1, 2\]"):
        function(strict.asarray(x), strict.asarray(Y))


def test_labels_of_another_library_are_checked_too():
    with pytest.raises(LabelError, match=r"softmax_loss: .*got y\[1\] = 9"):
        softmax_loss(strict.asarray(X), strict.asarray([0, 9, 1]))


@pytest.mark.parametrize("engine", ENGINES)
def test_label_smoothing_by_hand(engine):
    x = np.log([[1.0, 2.0, 5.0]])
    loss, dx = softmax_loss(x, [2], label_smoothing=0.3, engine=engine)
    p, q = np.array([0.125, 0.25, 0.625]), np.array([0.1, 0.1, 0.8])
    assert loss == pytest.approx(-(q * np.log(p)).sum(), rel=1e-14)
    np.testing.assert_allclose(dx, [p - q], rtol=1e-13)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, np.nan, "0.1", True, None])
def test_wrong_label_smoothings_are_refused(wrong):
    with pytest.raises(OptionError, match=r"^softmax_loss: label_smoothing must be"):
        softmax_loss(np.zeros((2, 3)), [0, 1], label_smoothing=wrong)
