"""The gradient checkers, checked: known derivatives, planted errors, and the course behaviour."""

import random

import numpy as np
import pytest

from handgrad import gradcheck, layers
from handgrad.errors import DtypeError, HandgradError, OperationError, ShapeError


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def cube(x):
    return np.sum(x**3)


class Blob:
    def __init__(self, vals):
        self.vals = vals
        self.diffs = np.zeros_like(vals)


# rel_error


def test_rel_error_is_the_courses():
    assert gradcheck.rel_error(np.array([1.0, 3.0]), np.array([1.0, 1.0])) == 0.5
    assert gradcheck.rel_error(np.array([1e-10]), np.array([0.0])) == 1e-2  # the floor of 1e-8
    assert gradcheck.rel_error(np.zeros((0, 3)), np.zeros((0, 3))) == 0.0
    assert np.isnan(gradcheck.rel_error(np.array([np.nan]), np.array([0.0])))


@pytest.mark.parametrize("other", [(1, 3), (3,), (2, 1), (), (3, 2)])
def test_rel_error_refuses_unequal_shapes(other):
    with pytest.raises(ShapeError, match="one shape"):
        gradcheck.rel_error(np.zeros((2, 3)), np.zeros(other))


# central differences


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 1, 3), (0, 3)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("f8", 1e-8), ("f4", 0.2)])
def test_eval_numerical_gradient(rng, shape, dtype, tolerance):
    x = np.asarray(rng.uniform(0.5, 2, shape), dtype)
    before = x.copy()
    gradient = gradcheck.eval_numerical_gradient(cube, x, verbose=False)
    assert gradient.shape == x.shape
    assert gradient.dtype == x.dtype
    np.testing.assert_allclose(gradient, 3 * x**2, rtol=tolerance)
    np.testing.assert_array_equal(x, before)


def test_eval_numerical_gradient_takes_views_and_leaves_their_base(rng):
    base = rng.uniform(0.5, 2, (6, 4))
    before = base.copy()
    x = base[::-2].T
    gradient = gradcheck.eval_numerical_gradient(cube, x, False)
    np.testing.assert_allclose(gradient, 3 * x**2, rtol=1e-8)
    np.testing.assert_array_equal(base, before)


def test_eval_numerical_gradient_prints_each_derivative_when_verbose(capsys):
    gradcheck.eval_numerical_gradient(lambda x: 2.0 * x.sum(), np.zeros((1, 2)), h=0.5)
    assert capsys.readouterr().out == "(0, 0) 2.0\n(0, 1) 2.0\n"
    gradcheck.eval_numerical_gradient(cube, np.zeros((1, 2)), verbose=False)
    assert capsys.readouterr().out == ""


def test_functions_that_ignore_their_argument(rng):
    """The notebooks' lambdas read the array they closed over: x must change in place."""
    x, dout = rng.uniform(0.5, 2, (3, 2)), rng.standard_normal((3, 2))
    scalar = gradcheck.eval_numerical_gradient(lambda _: cube(x), x, verbose=False)
    np.testing.assert_allclose(scalar, 3 * x**2, rtol=1e-8)
    array = gradcheck.eval_numerical_gradient_array(lambda _: x**3, x, dout)
    np.testing.assert_allclose(array, 3 * x**2 * dout, rtol=1e-8)


def test_eval_numerical_gradient_array_contracts_with_the_upstream_gradient(rng):
    x, w = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
    dout = rng.standard_normal((3, 2))
    dw = gradcheck.eval_numerical_gradient_array(lambda w: x @ w, w, dout)
    assert gradcheck.rel_error(dw, x.T @ dout) < 1e-8
    loss = gradcheck.eval_numerical_gradient_array(lambda w: np.sum(x @ w), w, 2.0)
    assert gradcheck.rel_error(loss, 2 * x.T @ np.ones((3, 2))) < 1e-8


def test_eval_numerical_gradient_array_when_f_reuses_its_output(rng):
    x, dout, buffer = rng.uniform(0.5, 2, 4), rng.standard_normal(4), np.empty(4)
    gradient = gradcheck.eval_numerical_gradient_array(
        lambda x: np.multiply(x, x, out=buffer), x, dout
    )
    assert gradcheck.rel_error(gradient, 2 * x * dout) < 1e-8


def test_an_upstream_gradient_is_never_broadcast():
    with pytest.raises(ShapeError, match=r"\(2, 3\), got \(3,\)"):
        gradcheck.eval_numerical_gradient_array(np.sin, np.zeros((2, 3)), np.ones(3))


def test_blobs_and_net(rng):
    x, w, out = Blob(rng.standard_normal((3, 4))), Blob(rng.standard_normal((4, 2))), Blob(None)
    out.diffs = rng.standard_normal((3, 2))
    before = x.vals.copy(), w.vals.copy()

    def forward(x, w, out):
        out.vals = x.vals @ w.vals

    class Net:
        def forward(self):
            forward(x, w, out)

    for dx, dw in (
        gradcheck.eval_numerical_gradient_blobs(forward, (x, w), out),
        gradcheck.eval_numerical_gradient_net(Net(), (x, w), out),
    ):
        assert gradcheck.rel_error(dx, out.diffs @ w.vals.T) < 1e-8
        assert gradcheck.rel_error(dw, x.vals.T @ out.diffs) < 1e-8
    np.testing.assert_array_equal(x.vals, before[0])
    np.testing.assert_array_equal(w.vals, before[1])


def test_grad_check_sparse_prints_a_few_positions_drawn_with_python_random(rng, capsys):
    x = rng.uniform(0.5, 2, (5, 4))
    before = x.copy()
    random.seed(3)
    gradcheck.grad_check_sparse(cube, x, 3 * x**2, num_checks=4)
    lines = capsys.readouterr().out.splitlines()
    random.seed(3)
    positions = [(random.randrange(5), random.randrange(4)) for _ in range(4)]
    assert len(lines) == 4
    for line, position in zip(lines, positions, strict=True):
        assert f"analytic: {3 * x[position] ** 2:f}, relative error: " in line
        assert float(line.split()[-1]) < 1e-8
    np.testing.assert_array_equal(x, before)
    gradcheck.grad_check_sparse(lambda x: 1.0, np.zeros(2), np.zeros(2), 1)  # 0/0 is no error
    assert capsys.readouterr().out.endswith("relative error: 0.000000e+00\n")


def test_grad_check_sparse_refuses_a_gradient_of_another_shape(rng):
    with pytest.raises(ShapeError, match="analytic_grad"):
        gradcheck.grad_check_sparse(cube, np.zeros((2, 3)), np.zeros((3, 2)))


FUNCTIONS = {
    "scalar": lambda f, x: gradcheck.eval_numerical_gradient(f, x, verbose=False),
    "array": lambda f, x: gradcheck.eval_numerical_gradient_array(f, x, 1.0),
    "sparse": lambda f, x: gradcheck.grad_check_sparse(f, x, x),
    "blobs": lambda f, x: gradcheck.eval_numerical_gradient_blobs(
        lambda a, out: f(a.vals), (Blob(x),), Blob(np.zeros(()))
    ),
}


@pytest.mark.parametrize("check", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("good_calls", [0, 1, 2])
def test_x_is_restored_when_f_raises(check, good_calls):
    x = np.array([0.1, 0.2, 0.3])  # none survives + h - h unchanged
    before, calls = x.copy(), []

    def fails(x):
        calls.append(1)
        if len(calls) > good_calls:
            raise ZeroDivisionError
        return np.array(0.0)

    with pytest.raises(ZeroDivisionError):
        check(fails, x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("check", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("x", [np.arange(3), [1.0, 2.0], np.array([True])], ids=repr)
def test_integers_would_lose_the_step(check, x):
    with pytest.raises(DtypeError, match="must be a NumPy array of floats"):
        check(lambda x: 0.0, x)


# complex step


def smooth(x, w):
    return np.exp(x) @ w / (1 + w * w).sum()


def test_complex_step_is_exact_where_central_differences_are_not(rng):
    x, dout = rng.uniform(0.5, 2, (2, 3)), rng.standard_normal((2, 3))
    exact = np.exp(x) / (1 + x) * dout - np.exp(x) / (1 + x) ** 2 * dout

    def function(x):
        return np.exp(x) / (1 + x)

    (gradient,) = gradcheck.complex_step_gradients(function, [x], dout)
    assert np.max(np.abs(gradient - exact)) < 1e-15
    central = gradcheck.eval_numerical_gradient_array(function, x, dout)
    assert 1e-13 < np.max(np.abs(central - exact)) < 1e-8


def test_jacobians_have_the_shape_of_output_and_input(rng):
    x, w = rng.standard_normal((2, 3)), rng.standard_normal((3, 4))
    dx, dw = gradcheck.complex_step_jacobians(lambda x, w: (x @ w, "cache"), [x, w])
    assert dx.shape == (2, 4, 2, 3)
    assert dw.shape == (2, 4, 3, 4)
    np.testing.assert_array_equal(dx, np.einsum("nm,dk->nkmd", np.eye(2), w))
    np.testing.assert_array_equal(dw, np.einsum("nd,km->nkdm", x, np.eye(4)))


def test_complex_step_leaves_its_arrays(rng):
    arrays = [rng.standard_normal((2, 3)), rng.standard_normal((3, 4))]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    gradcheck.complex_step_gradients(smooth, arrays, np.ones((2, 4)))
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_complex_step_refuses_another_upstream_shape(rng):
    with pytest.raises(ShapeError, match=r"\(2, 4\), got \(4,\)"):
        gradcheck.complex_step_gradients(smooth, [np.ones((2, 3)), np.ones((3, 4))], np.ones(4))


def affine_arrays(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)


@pytest.mark.parametrize("rows", [4, 40])  # with and without the unit vectors
def test_check_pair_passes_a_right_pair(rng, rows):
    x, w, b = affine_arrays(rng)
    x = rng.standard_normal((rows, 3))
    report = gradcheck.check_pair(layers.affine_forward, layers.affine_backward, (x, w, b))
    assert len(report) == 3
    assert all(difference.error < 1e-14 for difference in report)


PLANTED = {
    "zeros": (lambda dx, dw, db: (dx * 0, dw, db), 0),
    "factor": (lambda dx, dw, db: (dx, dw / 4, db), 1),
    "sign": (lambda dx, dw, db: (dx, dw, -db), 2),
    "one number": (lambda dx, dw, db: (dx, dw + 1e-9 * (np.arange(6).reshape(3, 2) == 3), db), 1),
    "nan": (lambda dx, dw, db: (dx, dw, db * np.nan), 2),
}


@pytest.mark.parametrize("rows", [4, 40])
@pytest.mark.parametrize("name", PLANTED)
def test_check_pair_finds_planted_errors(rng, name, rows):
    plant, position = PLANTED[name]
    x, w, b = affine_arrays(rng)
    x = rng.standard_normal((rows, 3))
    report = gradcheck.check_pair(
        layers.affine_forward,
        lambda dout, cache: plant(*layers.affine_backward(dout, cache)),
        (x, w, b),
    )
    assert [difference.error > 1e-11 for difference in report] == [
        index == position for index in range(3)
    ]


def softsign(x):
    return x / (1 + np.abs(x)), x


def test_check_pair_of_a_forward_that_is_not_analytic(rng):
    x = rng.standard_normal((3, 4))
    (right,) = gradcheck.check_pair(softsign, lambda dout, x: dout / (1 + np.abs(x)) ** 2, [x])
    assert right.error < 1e-10
    assert right.method == "differences"
    (wrong,) = gradcheck.check_pair(softsign, lambda dout, x: dout / (1 + np.abs(x)), [x])
    assert wrong.error > 0.01


def test_a_complex_step_at_a_kink_is_one_side_of_it():
    for x in (np.array([0.0, 1.0]), np.array([0.0, -1.0])):
        jacobian = gradcheck.complex_step_jacobians(
            lambda x: np.where(np.real(x) > 0, x, 0 * x), [x]
        )[0]
        assert np.array_equal(jacobian, np.diag(x > 0).astype(float))


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1, 1e8, 1e150])
def test_complex_steps_of_small_and_large_numbers_are_believed(rng, scale):
    x = scale * (1 + rng.random(5))
    jacobian = gradcheck.complex_step_jacobians(lambda x: np.cumsum(x) * 3, [x])[0]
    assert np.allclose(jacobian, 3 * np.tri(5), rtol=1e-12)


@pytest.mark.parametrize("part", [np.abs, np.real, np.conj])
def test_complex_step_refuses_what_is_not_analytic(rng, part):
    with pytest.raises(OperationError, match=r"not analytic in arrays\[1\]"):
        gradcheck.complex_step_jacobians(
            lambda x, y: x**2 * part(y) ** 3, [rng.random(3), -rng.random(3)]
        )


def test_check_pair_says_where_and_what(rng):
    def backward(dout, cache):
        dx, dw, db = layers.affine_backward(dout, cache)
        dw[2, 1] += 7
        return dx, dw, db

    _, dw, _ = gradcheck.check_pair(layers.affine_forward, backward, affine_arrays(rng), trials=1)
    assert dw.where == (2, 1)
    assert dw.got - dw.expected == pytest.approx(7)
    assert dw.error == pytest.approx(7 / dw.scale)
    assert dw.error > 0.1


def test_check_pair_finds_a_backward_that_reads_its_upstream_gradient_twice(rng):
    (dx,) = gradcheck.check_pair(
        lambda x: (np.sin(x), x), lambda dout, x: dout * dout * np.cos(x), [rng.uniform(0, 1, 50)]
    )
    assert dx.error > 0.1


def test_check_pair_reports_an_error_where_the_gradient_is_zero():
    (dx,) = gradcheck.check_pair(lambda x: (x * 0, x), lambda dout, x: dout * 1e-9, [np.ones(3)])
    assert dx.error == np.inf
    (dx,) = gradcheck.check_pair(lambda x: (x * 0, x), lambda dout, x: dout * 0, [np.ones(3)])
    assert dx.error == 0


@pytest.mark.parametrize(
    "backward",
    [
        lambda dout, cache: dout.sum(axis=0),
        lambda dout, cache: (dout, dout),
        lambda dout, cache: dout[None],
        lambda dout, cache: (),
    ],
)
def test_check_pair_compares_shapes_before_numbers(backward):
    with pytest.raises(HandgradError, match=r"shapes \[\(2, 3\)\]"):
        gradcheck.check_pair(lambda x: (x + 0, None), backward, [np.ones((2, 3))])


READ_ONLY = np.ones(3)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("x", "f", "pattern"),
    [
        (READ_ONLY, np.sum, r"it is read-only; pass x\.copy"),
        (np.lib.stride_tricks.as_strided(np.ones(1), (3,), (0,)), np.sum, "share memory"),
        (np.ma.masked_equal(np.ones(3), 2), np.sum, "plain NumPy array, got a masked one"),
        (np.ones(3), lambda x: 1j * x.sum(), "real numbers at a real x, got complex128"),
        (
            np.full(3, 1000, np.float32),
            np.sum,
            r"step h = 1e-05 is lost beside x\[\d\] = 1000 in float32",
        ),
    ],
)
def test_numerical_gradients_say_what_they_cannot_measure(x, f, pattern):
    for call in (
        lambda: gradcheck.eval_numerical_gradient(f, x, verbose=False),
        lambda: gradcheck.eval_numerical_gradient_array(f, x, 1.0),
        lambda: gradcheck.grad_check_sparse(f, x, np.ones(3)),
    ):
        with pytest.raises(DtypeError, match=pattern):
            call()
        np.testing.assert_array_equal(x, np.full(3, x[0]))


def test_numerical_gradients_of_complex_x_and_of_large_steps():
    x = np.full(2, 1 + 1j)
    found = gradcheck.eval_numerical_gradient(lambda x: (x**2).sum(), x, verbose=False)
    np.testing.assert_allclose(found, 2 * x, rtol=1e-9)
    x = np.full(2, 1000, np.float32)
    found = gradcheck.eval_numerical_gradient(lambda x: x.sum(dtype=float), x, verbose=False, h=1.0)
    np.testing.assert_array_equal(found, np.ones(2))
