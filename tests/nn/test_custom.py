"""Layers of one's own: made objects of, used, judged by the checker, and refused."""

import numpy as np
import pytest
from nn.nets import batch, check_gradients

import handgrad
from handgrad import nn
from handgrad.errors import OperationError, OptionError, ShapeError


@nn.layer(a=lambda shape: np.ones(shape[:1]), input_shape=(5,))
def scale(x, a, power=2):
    """Each column times a power of its own scale."""
    return x * a**power, (x, a, power)


@scale.backward
def scale_backward(dout, cache):
    x, a, power = cache
    return dout * a**power, (dout * x).sum(axis=0) * power * a ** (power - 1)


@nn.layer
def product(x, y):
    return x * y, (x, y)


@product.backward
def product_backward(dout, cache):
    x, y = cache
    return dout * y, dout * x


@nn.layer
def wrong(x):
    return x**2, x


@wrong.backward
def wrong_backward(dout, x):
    return x * dout


@nn.layer
def halved(x, mode):
    return (x / 2, None) if mode == "train" else (x, None)


@halved.backward
def halved_backward(dout, cache):
    return dout / 2


class Gated(nn.Model):
    def __init__(self, **options):
        super().__init__((3,), **options)
        self.value, self.gate, self.sigmoid = nn.Affine(5), nn.Affine(5), nn.Sigmoid()
        self.scale, self.half, self.scores = scale(power=3), halved(), nn.Affine(4)

    def forward(self, x):
        gated = product()(self.value(x), self.sigmoid(self.gate(x)))
        return self.scores(self.half(self.scale(gated)))


def test_gradients():
    check_gradients(Gated)


def test_a_parameter_starts_as_it_should_and_has_a_name():
    net = Gated(rng=0)
    np.testing.assert_array_equal(net.params["scale.a"], np.ones(5))
    assert net.params["scale.a"].dtype == np.float32
    assert ["scale", "scale(power=3)", "5", "5"] in [
        line.split() for line in net.summary().splitlines()
    ]


def test_the_mode_is_told():
    net = nn.Sequential([halved(), nn.Affine(4)], (3,), rng=0, dtype=np.float64)
    X, y = batch(net)
    scores = net.loss(X)
    other = nn.Sequential([nn.Affine(4)], (3,), rng=0, dtype=np.float64)
    np.testing.assert_array_equal(scores, other.loss(X))
    assert net.loss(X, y)[0] == other.loss(X / 2, y)[0]


@pytest.mark.parametrize(("pair", "is_right"), [(scale, True), (product, True), (wrong, False)])
def test_the_checker_judges_it(pair, is_right):
    assert bool(handgrad.check(pair)) is is_right


def test_the_checker_finds_it_in_a_file(tmp_path):
    from handgrad.checker.discover import check_path

    path = tmp_path / "mine.py"
    path.write_text(
        "from handgrad import nn\n"
        "@nn.layer\ndef cube(x):\n    return x**3, x\n"
        "@cube.backward\ndef cube_backward(dout, x):\n    return 2 * x**2 * dout\n"
    )
    report = check_path(str(path))
    assert [(v.function, v.verdict) for v in report.verdicts] == [
        ("cube", "right"), ("cube_backward", "WRONG"),
    ]  # fmt: skip
    path.write_text(path.read_text().replace("2 * x**2", "3 * x**2"))
    assert check_path(str(path))


def test_it_is_made_again_from_its_table():
    net = nn.Sequential([nn.Affine(5), scale(power=3, name="s"), nn.Affine(2)], (4,), rng=0)
    table = net.config()
    assert table["layers"][1] == {"layer": f"{__name__}:scale", "power": 3, "name": "s"}
    again = nn.build_layer(table["layers"][1])
    assert again.given == {"power": 3}

    @nn.layer
    def local(x):
        return x, None

    local.backward(lambda dout, cache: dout)
    with pytest.raises(OptionError, match=r"local.* made inside a function cannot be imported"):
        nn.Sequential([local()], (3,)).config()


def use(pair, shape=(3,), **options):
    net = nn.Sequential([nn.Affine(3), pair(**options), nn.Affine(2)], shape, rng=0)
    return net.loss(np.ones((2, *shape)), np.array([0, 1]))


def pair(forward, backward=None, **starts):
    made = nn.layer(**starts)(forward)
    if backward is not None:
        made.backward(backward)
    return made


def test_a_pair_without_backward_is_refused():
    @nn.layer
    def alone(x):
        return x, None

    with pytest.raises(
        OperationError, match="alone has no backward, and nothing is differentiated"
    ):
        alone()


# fmt: off
WRONG = [
    ("no cache", pair(lambda x: x, lambda dout, c: dout), OperationError,
     r"must return \(out, cache\), got ndarray"),
    ("no array", pair(lambda x: (3, None), lambda dout, c: dout), ShapeError, "an array with the 2 rows"),
    ("fewer rows", pair(lambda x: (x[:1], None), lambda dout, c: dout), ShapeError, "with the 2 rows"),
    ("a gradient too few", pair(lambda x, a: (x * a, a), lambda dout, a: dout * a, a=2.0), OperationError,
     "must return 2 gradients, those of x, a; got 1"),
    ("a gradient that would broadcast", pair(lambda x: (x, None), lambda dout, c: dout[:1]), ShapeError,
     r"the gradient of x in its shape \(2, 3\), got \(1, 3\)"),
]
# fmt: on


@pytest.mark.parametrize(
    ("made", "error", "says"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_wrong_pairs_are_refused(made, error, says):
    with pytest.raises(error, match=says):
        use(made)


def test_wrong_arguments_are_refused():
    with pytest.raises(OptionError, match='unrecognized "size"; known are power'):
        scale(size=3)
    with pytest.raises(OptionError, match="forward must name its arguments"):
        nn.layer(lambda *xs: (xs[0], None))
    with pytest.raises(OptionError, match='parameters of forward: unrecognized "b"'):
        nn.layer(b=1.0)(lambda x: (x, None))
    with pytest.raises(OptionError, match="forward must take an input"):
        nn.layer(a=1.0)(lambda a: (a, None))
    with pytest.raises(OptionError, match="the input x must stand in front of the parameter a"):
        nn.layer(a=1.0)(lambda a, x: (a * x, None))
    with pytest.raises(OperationError, match=r"must be called with 2 values \(x, y\), got 1"):
        nn.Sequential([product()], (3,))
    with pytest.raises(OptionError, match=r"layers\[0\] must be a layer .*; write scale\(\)"):
        nn.Sequential([scale])
