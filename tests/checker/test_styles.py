"""Pairs in the many styles in which people write them, right and wrong."""

import os
import time

import numpy as np
import pytest
from checker.needs import needs_a_copy

from handgrad.checker import RIGHT, UNTESTED, WRONG, check, check_path
from handgrad.checker.apart import apart
from handgrad.errors import OptionError

RNG = np.random.default_rng(0)
X, W = RNG.standard_normal((4, 3)), RNG.standard_normal((3, 2))
LABELS = np.array([0, 2, 1, 1])


def linear(x, w):
    return x @ w, (x, w)


def entropy(x, y):
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(y)), y]).mean(), (p, y)


def entropy_backward(dout, cache):
    p, y = cache
    dx = p.copy()
    dx[np.arange(len(y)), y] -= 1
    return dout * dx / len(y)


def double(x):
    return 2 * x, None


def double_backward(dout, cache):
    return 2 * dout


@pytest.mark.parametrize("prefix", ["d", ""])
def test_gradients_as_a_dictionary(prefix):
    def backward(dout, cache):
        x, w = cache
        return {f"{prefix}w": x.T @ dout, f"{prefix}x": dout @ w.T}

    assert check(linear, backward, {"x": X, "w": W}).exit_code == 0
    assert check(linear, lambda d, c: {"dx": d @ c[1].T}, {"x": X, "w": W}).exit_code == 1
    assert (
        check(linear, lambda d, c: {"dx": d @ c[1].T, "dw": c[0].T @ d * 2}, [X, W]).exit_code == 1
    )


@pytest.mark.parametrize(
    "backward", [entropy_backward, lambda d, c: (entropy_backward(d, c), None)]
)
def test_labels_among_the_inputs_have_no_gradient(backward):
    assert check(entropy, backward, {"x": X, "y": LABELS}).exit_code == 0
    assert check(entropy, backward, [X], options=(LABELS,)).exit_code == 0
    assert check(entropy, lambda d, c: -entropy_backward(d, c), [X, LABELS]).exit_code == 1


def test_whole_numbers_that_have_a_gradient():
    def backward(dout, cache):
        return dout, dout.sum(axis=0)

    assert check(lambda x, b: (x + b, None), backward, [X, np.array([0, 1, 2])]).exit_code == 0


def test_one_array_needs_no_list():
    assert check(double, double_backward, X).exit_code == 0
    assert check(double, double_backward, [1.0, 2.0]).exit_code == 0


def test_without_a_backward_nothing_is_right():
    with pytest.raises(OptionError, match="backward"):
        check(double, inputs=[X])


class Kept:
    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dout):
        return 2 * self.x * dout


class Handed:
    def forward(self, x):
        return x * x, x

    def backward(self, dout, cache):
        return 2 * cache * dout


class Static:
    @staticmethod
    def forward(x):
        return x * x, x

    @staticmethod
    def backward(dout, cache):
        return 2 * cache * dout


@pytest.mark.parametrize("thing", [Kept, Kept(), Handed, Handed(), Static, Static()])
def test_classes_and_objects(thing):
    report = check(thing, inputs=[X])
    assert [verdict.verdict for verdict in report.verdicts] == [RIGHT, RIGHT], str(report)


def test_a_class_that_needs_arguments():
    class Scaled:
        def __init__(self, factor):
            self.factor = factor

        forward = backward = lambda self, x: self.factor * x

    with pytest.raises(OptionError, match="give an object"):
        check(Scaled, inputs=[X])
    assert check(Scaled(3.0), inputs=[X]).exit_code == 0


def test_described_classes_and_lambdas_are_found_in_a_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nfrom handgrad.checker import check_with\n"
        "relu_forward = lambda x: (x * (x > 0), x)\nrelu_backward = lambda dout, x: dout\n"
        "@check_with({'x': np.linspace(-1, 1, 6)})\nclass Square:\n"
        "    def forward(self, x):\n        self.x = x\n        return x**2\n"
        "    def backward(self, dout):\n        return 4 * self.x * dout\n"
    )
    report = check_path(str(tmp_path))
    assert report["relu_forward"].verdict == report["Square.forward"].verdict == RIGHT
    assert report["relu_backward"].causes[0].name == "relu_mask_lost"
    assert report["Square.backward"].causes[0].name == "factor_2"


def test_a_small_gradient_is_compared_on_its_own_scale():
    def backward(dout, x):
        return 2.01 * x * dout

    assert check(lambda x: (x**2, x), backward, [1e-6 * X]).exit_code == 1


def test_nothing_comes_of_an_empty_array():
    assert check(double, double_backward, [np.zeros((0, 3))]).verdicts[1].verdict == UNTESTED


def test_a_threshold_other_than_zero():
    for limit in (0.25, 0.05, 5.0):
        report = check(lambda x, t=limit: (x * (x > t), x), lambda d, x: d * (x > 0), layer="relu")
        assert report.verdicts[0].verdict == WRONG


def test_what_is_refused_is_not_wrong():
    from checker import solution

    def square_only(x, w, b, conv_param):
        if w.shape[2] != w.shape[3]:
            raise NotImplementedError("square kernels only")
        return solution.conv_forward_naive(x, w, b, conv_param)

    report = check(square_only, solution.conv_backward_naive, layer="conv")
    assert report.exit_code == 0
    assert any("square kernels" in note for note in report.verdicts[0].notes)


def test_strides_and_pads_as_pairs_are_tried_where_they_are_taken():
    from handgrad import layers

    def swapped(x, w, b, conv_param):
        param = {k: v[::-1] if isinstance(v, tuple) else v for k, v in conv_param.items()}
        return layers.conv_forward(x, w, b, param)

    report = check(swapped, layers.conv_backward, layer="conv", strict=True)
    assert report.verdicts[0].verdict == WRONG
    assert "(stride (" in report.verdicts[0].causes[0].worst


def test_torch_backward_that_changes_its_dout():
    torch = pytest.importorskip("torch")

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(context, dout):
            (x,) = context.saved_tensors
            return dout.mul_(2) * x

    assert "dout_changed" in [
        c.name for c in check(Square, inputs=[X], strict=True).verdicts[1].causes
    ]


def test_torch_functions_as_known_layers():
    torch = pytest.importorskip("torch")

    class Relu(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(context, dout):
            (x,) = context.saved_tensors
            return dout * (x > 0)

    assert check(Relu, layer="relu").exit_code == 0


def swish(x):
    s = 1 / (1 + np.exp(-x))
    return x * s, (x, s)


def swish_backward(dout, cache):
    x, s = cache
    return dout * (s + x * s * s)


@needs_a_copy
def test_the_edit_that_makes_it_right_is_named():
    (cause,) = check(swish, swish_backward, [X]).verdicts[1].causes
    assert cause.name == "repair"
    assert "`return dout * (s + x * s * (1 - s))`" in cause.says
    assert cause.line == swish_backward.__code__.co_firstlineno + 2


def test_no_edit_makes_everything_else_right():
    (cause,) = check(swish, lambda dout, cache: dout * np.sin(cache[0]), [X]).verdicts[1].causes
    assert cause.name == "unexplained"


@needs_a_copy
def test_what_runs_apart_may_crash_or_hang():
    assert apart(lambda: [1, "a"], 5, 5) == [1, "a"]
    assert apart(lambda: 1 / 0, 5, 5) is None
    assert apart(lambda: os.abort(), 5, 5) is None
    start = time.monotonic()
    assert apart(lambda: time.sleep(60), 5, 0.2) is None
    assert time.monotonic() - start < 30
