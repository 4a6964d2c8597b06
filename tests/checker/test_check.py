"""Evidence and verdicts: pairs of one's own, kinks, contracts, and what cannot be tested."""

import time
import warnings

import numpy as np
import pytest

import handgrad
from handgrad.checker import RIGHT, UNTESTED, WRONG, check, undisturbed
from handgrad.checker.records import Raised, difference, same
from handgrad.checker.slopes import CENTRAL, COMPLEX, Slope
from handgrad.errors import OptionError
from handgrad.testing import assert_layer

X = np.linspace(-1.1, 1.3, 6).reshape(3, 2)


def cube_forward(x):
    return x**3, x


def cube_backward(dout, x):
    return 3 * x**2 * dout


def names(report, function):
    return [cause.name for cause in report[function].causes]


def test_a_pair_of_ones_own():
    report = check(cube_forward, cube_backward, {"x": X})
    assert report.exit_code == 0
    assert report["cube_backward"].method == COMPLEX
    assert report["cube_backward"].errors["dx"] < 1e-12


@pytest.mark.parametrize(
    ("backward", "name"),
    [
        (lambda dout, x: -3 * x**2 * dout, "sign"),
        (lambda dout, x: 6 * x**2 * dout, "factor_2"),
        (lambda dout, x: 1.5 * x**2 * dout, "factor_half"),
        (lambda dout, x: 0 * x, "zero"),
        (lambda dout, x: 3 * x**2 * dout / len(x), "over_batch"),
        (lambda dout, x: 3 * x * dout, "unexplained"),
        (lambda dout, x: (3 * x**2 * dout).ravel(), "shape"),
        (lambda dout, x: (3 * x**2 * dout).sum(axis=0), "extra_sum"),
        (lambda dout, x: dout[5], "raises"),
        (lambda dout, x: (dout, dout), "missing"),
        (lambda dout, x: None, "no_array"),
        (lambda dout, x: np.full(x.shape, np.nan), "unexplained"),
    ],
)
def test_wrong_gradients_of_ones_own_pair(backward, name):
    backward.__name__ = "mine"
    report = check(
        cube_forward,
        backward,
        [
            X,
        ],
    )
    assert report.exit_code == 1
    assert report["cube_forward"].verdict == RIGHT
    assert name in names(report, "mine")


def test_central_differences_where_complex_numbers_are_not_taken():
    def forward(x):
        return np.abs(x) ** 3, x

    def backward(dout, x):
        return 3 * x * np.abs(x) * dout

    report = check(forward, backward, [X])
    assert report["backward"].verdict == RIGHT
    assert report["backward"].method == CENTRAL
    wrong = check(forward, lambda dout, x: 3.001 * x * np.abs(x) * dout, [X])
    assert wrong.exit_code == 1


def test_points_at_kinks_are_moved():
    x = np.array([0.0, 1.0, -1.0, 0.0])
    report = check(lambda x: (np.maximum(x, 0), x), lambda dout, x: dout * (x > 0), [x])
    assert report.exit_code == 0
    assert report.verdicts[1].verdict == RIGHT


def test_what_jumps_everywhere_is_not_testable():
    rng = np.random.default_rng(0)  # not NumPy's global stream: cannot be held fixed

    def forward(x):
        return x * rng.uniform(size=x.shape), x

    report = check(forward, lambda dout, x: dout, [X])
    assert report.verdicts[1].verdict == UNTESTED
    assert "kink" in report.verdicts[1].reason
    assert "not_repeatable" in names(report, "forward")


def test_global_randomness_is_held_fixed_and_given_back():
    np.random.seed(4)
    state = np.random.get_state()[1].copy()

    def forward(x):
        mask = np.random.rand(*x.shape) < 0.5
        return x * mask, mask

    assert check(forward, lambda dout, mask: dout * mask, [X]).exit_code == 0
    assert np.array_equal(np.random.get_state()[1], state)


def test_contracts():
    kept = {}

    def changes_input(x):
        x *= 2
        return x / 2, x / 2

    def remembers(x):
        kept["x"] = x
        return x**2, None

    def changes_cache(dout, x):
        x *= 3
        return x * x / 3 * dout

    def changes_dout(dout, x):
        dout *= 3
        return x**2 * dout

    verdict = check(changes_input, lambda d, c: d, [X])["changes_input"]
    assert verdict.verdict == RIGHT
    assert "in place" in verdict.cautions[0]
    strictly = check(changes_input, lambda d, c: d, [X], strict=True)
    assert "input_changed" in names(strictly, "changes_input")
    report = check(remembers, lambda dout, cache: 2 * kept["x"] * dout, [X])
    assert "hidden_state" in names(report, "<lambda>")
    for backward, name in ((changes_cache, "cache_changed"), (changes_dout, "dout_changed")):
        verdict = check(cube_forward, backward, [X])[backward.__name__]
        assert verdict.verdict == RIGHT
        assert "in place" in verdict.cautions[0]
        assert name in names(check(cube_forward, backward, [X], strict=True), backward.__name__)


def test_state_kept_by_forward():
    kept = {"largest": 0.0}

    def forward(x):
        kept["largest"] = max(kept["largest"], float(np.max(x.real)))
        return x * kept["largest"], None

    report = check(forward, lambda dout, _: dout * kept["largest"], [X])
    assert "hidden_state" in names(report, "forward")


def test_the_complex_step_is_not_trusted_where_the_code_takes_absolute_values():
    def forward(x):
        return x * np.abs(x) + 0j * x, x  # complex in, complex out, and not analytic

    def real_forward(x):
        out, cache = forward(x)
        return (out if np.iscomplexobj(x) else out.real), cache

    report = check(real_forward, lambda dout, x: 2 * np.abs(x) * dout, [X])
    assert report.verdicts[1].verdict == RIGHT
    assert report.verdicts[1].method == CENTRAL


def test_nothing_is_broadcast():
    def forward(x, b):
        return x + b, None

    report = check(forward, lambda dout, _: (dout, dout), {"x": X, "b": np.ones(2)})
    assert report.verdicts[1].verdict == WRONG
    assert "shape" in report.verdicts[1].causes[0].worst


def test_known_layers_by_name_and_by_layer():
    from handgrad.layers import relu_backward, relu_forward

    assert check(relu_forward, relu_backward).exit_code == 0
    other = lambda x: relu_forward(x)  # noqa: E731
    assert check(other, relu_backward, layer="relu").exit_code == 0
    with pytest.raises(OptionError, match="inputs"):
        check(other, relu_backward)
    assert handgrad.check is check


def test_a_wrong_forward_does_not_make_a_right_backward_wrong():
    from handgrad.layers import affine_backward, affine_forward

    def forward(x, w, b):
        _, cache = affine_forward(x, w, b)
        return x.reshape(len(x), -1) @ w, cache

    report = check(forward, affine_backward, layer="affine")
    assert names(report, "forward") == ["bias_missing"]
    assert report["affine_backward"].verdict == RIGHT


def test_the_guilty_line_is_named():
    report = check(_affine_forward, _affine_backward, layer="affine")
    (cause,) = report["_affine_backward"].causes
    first = _affine_backward.__code__.co_firstlineno
    assert cause.line == first + 2
    assert cause.worst.startswith("worst at dw[")


def _affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w + b, (x, w)


def _affine_backward(dout, cache):
    x, w = cache
    dw = x.reshape(len(x), -1).T @ dout * 2
    return (dout @ w.T).reshape(x.shape), dw, dout.sum(axis=0)


_affine_backward.__doc__ = None


def test_dropout_of_the_older_courses():
    def forward(x, param):
        np.random.seed(param.get("seed"))
        mask = (np.random.rand(*x.shape) >= param["p"]) / (1 - param["p"])
        return (x * mask, mask) if param["mode"] == "train" else (x, np.ones_like(x))

    def backward(dout, mask):
        return dout * mask

    assert names(check(forward, backward, layer="dropout"), "forward") == ["p_swapped"]
    assert check(forward, backward, layer="dropout", drops=True).exit_code == 0


def test_objects_with_forward_and_backward():
    class Square:
        def forward(self, x):
            self.x = x
            return x**2

        def backward(self, dout):
            return self.factor * self.x * dout

        factor = 2

    layer = Square()
    assert check(layer, inputs=[X]).exit_code == 0
    layer.factor = 4
    assert names(check(layer, inputs=[X]), "Square.backward") == ["factor_2"]


def test_functions_of_torch():
    torch = pytest.importorskip("torch")

    class Square(torch.autograd.Function):
        factor = 2.0

        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(context, dout):
            (x,) = context.saved_tensors
            return Square.factor * x * dout

    assert check(Square, inputs=[X]).exit_code == 0
    Square.factor = -2.0
    assert names(check(Square, inputs=[X]), "Square.backward") == ["sign"]


def test_functions_of_jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)

    @jax.custom_vjp
    def square(x):
        return x**2

    square.defvjp(lambda x: (x**2, x), lambda x, dout: (3 * x * dout,))
    assert check(square, inputs=[X]).exit_code == 1


def test_assert_layer():
    assert_layer(cube_forward, cube_backward, [X])
    with pytest.raises(AssertionError, match="wrong sign"):
        assert_layer(cube_forward, lambda dout, x: -3 * x**2 * dout, [X])


def test_slopes_agree_with_mathematics(rng):
    x, dout = rng.standard_normal(5), rng.standard_normal(5)
    exact = dout * np.cos(x)
    for forward, method in (
        (lambda arrays: np.sin(arrays["x"]), COMPLEX),
        (lambda arrays: np.sin(np.array(arrays["x"], float)), CENTRAL),
    ):

        def guarded(arrays, forward=forward):
            return undisturbed.run(forward, arrays)

        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            slope = Slope(guarded, {"x": x}, dout, rng)
            assert slope.method == method
            got, error = slope.gradient("x", x)
        assert np.max(np.abs(got - exact)) < (1e-14 if method == COMPLEX else 1e-9)
        assert error < 1e-8


def test_differences():
    assert difference([1.0, 2.0], [1.0, 2.0]).error == 0
    assert difference([1.0, np.nan], [1.0, 2.0]).error == np.inf
    far = difference([[0.0, 5.0]], [[0.0, 4.0]])
    assert (far.error, far.where, far.expected, far.got) == (0.25, (0, 1), 4.0, 5.0)
    assert not same(np.ones((1, 3)), np.ones(3), None, 1.0)
    assert not same(Raised("ValueError", ""), np.ones(3), None, 1.0)


def test_one_layer_is_checked_in_less_than_two_seconds():
    from checker import solution

    start = time.process_time()
    check(solution.conv_forward_naive, solution.conv_backward_naive)
    assert time.process_time() - start < 2


def test_a_cache_that_is_an_array_of_arrays_is_compared():
    one = np.empty(2, object)
    one[:] = [np.ones(2), np.ones(3)]
    other = one.copy()
    assert undisturbed.changed(one, other) is None
    other[1] = np.zeros(3)
    assert undisturbed.changed(one, other) == "[1]"
    assert undisturbed.changed(one, np.ones(2)) == "[0]"
    assert undisturbed.changed(one, np.ones(3)) == ""
