"""Networks that a class connects: gradients, names, blocks, compiled plans, and what is refused."""

import copy

import numpy as np
import pytest
from nn.nets import (
    NETS_OF_ALL,
    Block,
    Nested,
    Residual,
    Shared,
    TwoInputs,
    batch,
    check_gradients,
    shifted,
)

from handgrad import engines, layers, nn
from handgrad.errors import DtypeError, OperationError, OptionError, ShapeError
from handgrad.models import ConvNet
from handgrad.nn import model as model_module

every_net = pytest.mark.parametrize("net", NETS_OF_ALL)
DOUBLE = {"dtype": np.float64, "rng": 0}


@every_net
def test_gradients_by_complex_step(net):
    check_gradients(net, reg=0.2)


@pytest.mark.parametrize("loss", ["svm", "own"])
def test_gradients_of_other_losses(loss):
    def squares(scores, y):
        return 0.5 * (scores * scores).sum(), scores

    check_gradients(Shared, loss=squares if loss == "own" else loss)


def test_labels_are_smoothed():
    check_gradients(Shared, label_smoothing=0.2)
    model = Shared(label_smoothing=0.2, **DOUBLE)
    X, y = batch(model)
    expected, _ = layers.softmax_loss(model.loss(X), y, label_smoothing=0.2)
    assert model.loss(X, y)[0] == expected


@pytest.mark.parametrize("engine", engines.available())
@every_net
def test_engines_agree(net, engine):
    model = shifted(net(**DOUBLE))
    X, y = batch(model)
    expected = model.loss(X, y)
    with engines.use(engine):
        loss, grads = shifted(net(**DOUBLE)).loss(X, y)
    assert loss == pytest.approx(expected[0], rel=1e-12)
    for name, dw in grads.items():
        scale = max(np.abs(w).max() for w in expected[1].values())
        np.testing.assert_allclose(dw, expected[1][name], rtol=0, atol=1e-12 * scale)


# fused, compiled and plain


def same(a, b):
    assert a[0] == b[0]
    assert list(a[1]) == list(b[1])
    for name in a[1]:
        np.testing.assert_array_equal(a[1][name], b[1][name], err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@every_net
def test_compiled_gives_the_same_bits(net, dtype):
    free, fixed = (shifted(net(dtype=dtype, rng=0)) for _ in range(2))
    X, y = batch(free)
    fixed.compile([x.shape for x in X] if isinstance(X, tuple) else X.shape)
    for _ in range(3):
        same(fixed.loss(X, y), free.loss(X, y))
        np.testing.assert_array_equal(fixed.loss(X), free.loss(X))
        for model in (free, fixed):
            for w in model.params.values():
                w *= 0.9
    for name, value in free.buffers().items():
        np.testing.assert_array_equal(fixed.buffers()[name], value)
    fewer = tuple(x[:3] for x in X) if isinstance(X, tuple) else X[:3]
    same(fixed.loss(fewer, y[:3]), free.loss(fewer, y[:3]))
    fixed.compile(None)
    same(fixed.loss(X, y), free.loss(X, y))


def test_the_gradients_of_a_compiled_network_are_kept_by_the_next_step():
    model = shifted(Shared(**DOUBLE))
    X, y = batch(model)
    model.compile(X.shape)
    _, grads = model.loss(X, y)
    kept = {name: dw.copy() for name, dw in grads.items()}
    scores = model.loss(X)
    again = scores.copy()
    model.loss(-X, y)
    model.loss(-X)
    np.testing.assert_array_equal(scores, again)
    for name, dw in grads.items():
        np.testing.assert_array_equal(dw, kept[name])


def test_a_compiled_network_does_not_call_forward_again():
    calls = []

    class Counting(Shared):
        def forward(self, x):
            calls.append(self.training)
            return super().forward(x)

    model = Counting(**DOUBLE)
    X, y = batch(model)
    model.compile(X.shape)
    calls.clear()
    model.loss(X, y)
    model.loss(X)
    assert calls == []
    model.loss(X[:2])
    assert calls == [False]


LIST = [
    lambda: nn.Conv2d(3, 3, pad=1), nn.BatchNorm, nn.ReLU, nn.MaxPool,
    lambda: nn.Conv2d(4, 3, pad=1), nn.ReLU, nn.Flatten, lambda: nn.Affine(6), nn.BatchNorm, nn.ReLU,
    lambda: nn.Affine(5), nn.LayerNorm, nn.ReLU, lambda: nn.Affine(5), nn.ReLU, lambda: nn.Affine(4),
]  # fmt: skip


@pytest.mark.parametrize("engine", engines.available())
def test_fused_and_plain_agree(engine):
    fused, plain = (
        shifted(nn.Sequential([make() for make in LIST], (2, 6, 6), fuse=fuse, **DOUBLE))
        for fuse in (True, False)
    )
    names = [step.sandwich for step in fused._recorded([(5, 2, 6, 6)], "train").steps]
    assert names == ["conv_bn_relu_pool", "conv_relu", "affine_bn_relu", "affine_ln_relu",
                     "affine_relu", None]  # fmt: skip
    assert all(s.sandwich is None for s in plain._recorded([(5, 2, 6, 6)], "train").steps)
    X, y = batch(fused)
    with engines.use(engine):
        (loss, grads), (other, others) = fused.loss(X, y), plain.loss(X, y)
        np.testing.assert_allclose(fused.loss(X), plain.loss(X), rtol=1e-12)
    assert loss == pytest.approx(other, rel=1e-14)
    scale = max(np.abs(dw).max() for dw in others.values())
    for name, dw in grads.items():
        np.testing.assert_allclose(dw, others[name], rtol=0, atol=1e-13 * scale, err_msg=name)
    for name, value in fused.buffers().items():
        np.testing.assert_allclose(plain.buffers()[name], value, rtol=1e-13)


def test_what_somebody_else_looks_at_is_not_fused():
    class Looks(nn.Model):
        def __init__(self):
            super().__init__((2, 4, 4), **DOUBLE)
            self.conv, self.relu, self.out = nn.Conv2d(2, 3, pad=1), nn.ReLU(), nn.Affine(4)

        def forward(self, x):
            conv = self.conv(x)
            return self.out(self.relu(conv) + conv)

    class LooksFirst(Looks):
        def forward(self, x):
            conv = self.conv(x)
            tanh = nn.Tanh()(conv)
            return self.out(self.relu(conv) + tanh)

    class Last(nn.Model):
        """The output of the network is looked at by its caller."""

        def __init__(self):
            super().__init__((3,), **DOUBLE)
            self.out, self.relu = nn.Affine(4), nn.ReLU()

        def forward(self, x):
            out = self.out(x)
            self.relu(out)
            return out

    for net, count in ((Looks, 4), (LooksFirst, 5)):
        steps = net()._recorded([(2, 2, 4, 4)], "train").steps
        assert [step.sandwich for step in steps] == [None] * count
    assert [step.sandwich for step in Last()._recorded([(2, 3)], "train").steps] == [None]


@pytest.mark.parametrize("left_out", ["scale", "shift"])
def test_norms_without_gamma_or_beta_are_not_fused(left_out):
    def make(**options):
        norm = nn.BatchNorm(**{left_out: False})
        parts = [nn.Conv2d(3, 2, bias=False), norm, nn.ReLU(), nn.Affine(4)]
        return nn.Sequential(parts, (2, 4, 3), **options)

    check_gradients(make)


def test_a_subclass_of_a_layer_is_not_fused():
    class Twice(nn.ReLU):
        def forward(self, xs, params, mode):
            out, cache = super().forward(xs, params, mode)
            return 2 * out, cache

        def backward(self, dout, cache):
            return super().backward(2 * dout, cache)

    check_gradients(lambda **o: nn.Sequential([nn.Affine(5), Twice(), nn.Affine(4)], (3,), **o))


def test_sequential_is_convnet_to_the_last_bit():
    conv = {"num_filters": 4, "filter_size": 3}
    known = ConvNet((3, 8, 8), [conv, conv], [6], 5, "batchnorm", dropout_keep_ratio=0.5, reg=0.1,
                    rng=0)  # fmt: skip
    parts = []
    for _ in range(2):
        parts += [nn.Conv2d(4, 3, pad=1), nn.BatchNorm(), nn.ReLU(), nn.MaxPool(2)]
    parts += [nn.Affine(6), nn.BatchNorm(), nn.ReLU(), nn.Dropout(0.5), nn.Affine(5)]
    model = nn.Sequential(parts, (3, 8, 8), reg=0.1, rng=0)
    assert len(model.params) == len(known.params)
    for a, b in zip(model.params.values(), known.params.values(), strict=True):
        np.testing.assert_array_equal(a, b)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((7, 3, 8, 8)).astype("f4"), rng.integers(5, size=7)
    np.random.seed(1)
    loss, grads = model.loss(X, y)
    np.random.seed(1)
    expected, others = known.loss(X, y)
    assert loss == expected
    for a, b in zip(grads.values(), others.values(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.loss(X), known.loss(X))
    np.testing.assert_array_equal(model.predict(X, 3), known.predict(X))
    for a, b in zip(model.buffers().values(), known.buffers().values(), strict=True):
        np.testing.assert_array_equal(a, b)


# names, shapes, blocks


def test_names_are_the_attributes():
    assert list(Residual(**DOUBLE).params) == [
        "stem.W", "stem.b", "convs.0.W", "norms.0.gamma", "norms.0.beta", "convs.1.W", "convs.1.b",
        "norms.1.gamma", "norms.1.beta", "shortcut.W", "shortcut.b", "scores.W", "scores.b",
    ]  # fmt: skip
    assert [name for name in Nested(**DOUBLE).params if name.endswith("W")] == [
        "blocks.a.inner.affine1.W", "blocks.b.inner.affine1.W", "scores.W",
    ]  # fmt: skip
    named = nn.Sequential([nn.Affine(3, name="in"), nn.Affine(2)], (4,), rng=0)
    assert list(named.params) == ["in.W", "in.b", "affine1.W", "affine1.b"]


def test_a_network_without_input_shape_is_built_by_its_first_loss():
    net = nn.Sequential([nn.Affine(3), nn.ReLU(), nn.Affine(2)], rng=0)
    for what in ("params", "num_classes"):
        with pytest.raises(OptionError, match=f"{what} is not known yet: pass input_shape"):
            getattr(net, what)
    with pytest.raises(OptionError, match=r"summary\(\) is not known yet"):
        net.summary()
    net.loss(np.ones((2, 4)))
    known = nn.Sequential([nn.Affine(3), nn.ReLU(), nn.Affine(2)], (4,), rng=0)
    for name, w in net.params.items():
        np.testing.assert_array_equal(w, known.params[name])


def test_params_are_live():
    net = Shared(**DOUBLE)
    X, y = batch(net)
    before = net.loss(X, y)[0]
    net.params["again.W"] += 0.1
    middle = net.loss(X, y)[0]
    net.params["again.W"] = net.params["again.W"] - 0.1
    assert middle != before
    assert net.loss(X, y)[0] == pytest.approx(before, rel=1e-12)
    net.params = {name: 0 * w for name, w in net.params.items()}
    assert net.loss(X, y)[0] == pytest.approx(np.log(4))
    del net.params["again.W"]
    with pytest.raises(OptionError, match=r"params lacks 'again.W'; it holds first.W"):
        net.loss(X, y)


@every_net
def test_networks_can_be_copied(net):
    for options in (DOUBLE, {"dtype": np.float64}):
        model = net(**options)
        same(copy.deepcopy(model).loss(*batch(model)), model.loss(*batch(model)))
    copy.deepcopy(nn.Sequential([nn.Affine(2)]))  # not built yet


def test_a_copy_is_a_network_of_its_own():
    net = Residual(**DOUBLE)
    X, y = batch(net)
    net.loss(X, y)
    other = copy.deepcopy(net)
    same(other.loss(X, y), net.loss(X, y))
    other.params["stem.W"] += 1
    other.loss(X, y)
    assert not np.array_equal(other.params["stem.W"], net.params["stem.W"])
    fresh = Residual(**DOUBLE)
    fresh.load_buffers(net.buffers())
    np.testing.assert_array_equal(fresh.loss(X), net.loss(X))


def test_statistics_are_kept_by_name():
    net = Residual(**DOUBLE)
    assert net.buffers() == {}
    net.loss(*batch(net))
    assert set(net.buffers()) == {
        f"norms.{i}.{what}" for i in (0, 1) for what in ("running_mean", "running_var", "steps")
    }
    with pytest.raises(OptionError, match='load_buffers: unrecognized "bn"'):
        net.load_buffers({"bn.running_mean": np.zeros(3)})
    with pytest.raises(
        ShapeError, match=r"norms.0.running_mean must have shape \(3,\).* got \(2,\)"
    ):
        net.load_buffers({"norms.0.running_mean": np.zeros(2)})
    net.load_buffers({})
    assert net.buffers() == {}


def test_the_summary_shows_layers_shapes_and_parameters():
    lines = [line.split() for line in Shared(**DOUBLE).summary().splitlines()]
    assert ["first", "Affine(6)", "6", "36"] in lines
    assert ["again#2", "Affine(6)", "6", "the", "same"] in lines
    assert lines[-1] == ["total", str(36 + 42 + 76)]


def test_activations_are_named_by_layer():
    net = Residual(**DOUBLE)
    X, _ = batch(net)
    outputs = net.activations(X)
    assert next(iter(outputs)) == "stem"
    np.testing.assert_array_equal(outputs["scores"], net.loss(X))
    plain, _ = layers.conv_relu_forward(
        X, net.params["stem.W"], net.params["stem.b"], {"stride": 1, "pad": 1}
    )
    np.testing.assert_array_equal(outputs["stem"], plain)


def test_training_can_be_seen_in_forward():
    class Seen(nn.Model):
        def __init__(self):
            super().__init__((3,), rng=0)
            self.out = nn.Affine(2)
            self.block = Part()

        def forward(self, x):
            seen.append(self.training)
            return self.block(self.out(x))

    class Part(nn.Model):
        def forward(self, x):
            seen.append(self.training)
            return x

    seen = []
    net = Seen()
    seen.clear()
    net.loss(np.ones((1, 3)))
    net.loss(np.ones((1, 3)), [0])
    assert seen == [False, False, True, True]


def test_parameters_that_a_step_does_not_reach_have_zero_gradients():
    class Skips(nn.Model):
        def __init__(self):
            super().__init__((3,), **DOUBLE)
            self.used, self.unused = nn.Affine(2), nn.Affine(2)

        def forward(self, x):
            self.unused(x)
            return self.used(x)

    _, grads = Skips().loss(np.ones((1, 3)), [0])
    assert not grads["unused.W"].any()
    assert grads["used.W"].any()


# what is refused


def of_forward(function, shape=(3,)):
    class Net(nn.Model):
        def __init__(self):
            super().__init__(shape, rng=0)
            self.one, self.two = nn.Affine(3), nn.Affine(3)

        def forward(self, x):
            return function(self, x)

    return Net()


kept = []
# fmt: off
FORWARDS = [
    ("a product", lambda n, x: n.one(x) * n.two(x), r"Net.forward: `\*` has no pair; .*@nn.layer"),
    ("a number added", lambda n, x: n.one(n.two(x)) + 1, "the addition of int has no pair"),
    ("added to a number", lambda n, x: 1 + n.one(n.two(x)), "the addition of something that is no value"),
    ("a ufunc", lambda n, x: np.exp(n.one(n.two(x))), "numpy.exp has no pair"),
    ("an array times a value", lambda n, x: np.ones(3) * n.one(n.two(x)), "numpy.multiply has no pair"),
    ("a function of NumPy", lambda n, x: np.sum(n.one(n.two(x))), "numpy.sum has no pair"),
    ("as an array", lambda n, x: np.asarray(n.one(n.two(x))), "the use as an array has no pair"),
    ("a method", lambda n, x: n.one(n.two(x)).reshape(3), r"\.reshape has no pair"),
    ("an index", lambda n, x: n.one(n.two(x))[0], r"`\[...\]` has no pair"),
    ("a branch on a value", lambda n, x: n.one(x) if x > 0 else n.two(x), "`>` has no pair"),
    ("the truth of a value", lambda n, x: n.one(x) if n.two(x) else x, "the truth of a value has no pair"),
    ("an array handed on", lambda n, x: n.one(np.ones((2, 3))), "takes the values .* got ndarray"),
    ("no value returned", lambda n, x: (n.one(x), n.two(x)), "must return the value .* got tuple"),
    ("a value of before", lambda n, x: kept.append(x) or n.one(n.two(x) + n.one(kept[0])),
     "a value of another call of forward"),
    ("one value for a sum", lambda n, x: nn.Add()(n.one(n.two(x))), r"Add\(\) must be called with two"),
    ("one value joined", lambda n, x: nn.concat(n.one(n.two(x))), "two or more, got 1"),
]
# fmt: on


@pytest.mark.parametrize(
    ("function", "says"), [row[1:] for row in FORWARDS], ids=[row[0] for row in FORWARDS]
)
def test_only_layers_are_recorded(function, says):
    kept.clear()
    with pytest.raises(OperationError, match=says):
        of_forward(function)


def test_layers_are_made_in_the_constructor():
    with pytest.raises(OptionError, match=r"Net: Affine\(3\) is no part of this network; make"):
        of_forward(lambda net, x: nn.Affine(3)(net.one(net.two(x))))
    assert of_forward(lambda net, x: nn.ReLU()(net.one(net.two(x)))).params


def test_a_layer_that_is_never_called_is_refused():
    with pytest.raises(OptionError, match="Net: forward never calls two; use every layer"):
        of_forward(lambda net, x: net.one(x))


def test_a_layer_belongs_to_one_network():
    layer = nn.Affine(2)
    nn.Sequential([layer], (3,), rng=0)
    with pytest.raises(OptionError, match=r"affine1, Affine\(2\), belongs to another network"):
        nn.Sequential([layer], (3,), rng=0)
    whole = nn.Sequential([nn.Affine(2)], (3,), rng=0)
    with pytest.raises(OptionError, match=r"sequential1, .* belongs to another network"):
        nn.Sequential([whole], (3,), rng=0)
    block = Block()
    nn.Sequential([block], (5,), rng=0)
    with pytest.raises(OptionError, match="params is not known yet: it is a block of another"):
        _ = block.params


def test_sums_and_concatenations_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"layer add: Add\(\): both .* rows of \(4,\) and \(3,\)"):
        of_forward(lambda net, x: x + net.one(net.two(x)), shape=(4,))
    conv = nn.Conv2d(2, 1)

    class Net(nn.Model):
        def __init__(self):
            super().__init__((2, 4, 4), rng=0)
            self.conv, self.pool = conv, nn.MaxPool(2)

        def forward(self, x):
            return nn.concat(self.conv(x), self.pool(x))

    with pytest.raises(ShapeError, match=r"layer concat: Concat\(\): the values must agree"):
        Net()


def test_one_layer_for_two_shapes_is_refused():
    with pytest.raises(
        ShapeError, match=r"layer one: .* was built for inputs of \(5,\).* got \(3,\)"
    ):
        of_forward(lambda net, x: net.two(net.one(net.one(x))), shape=(5,))


def test_a_constructor_that_forgets_its_base_is_refused():
    class Forgets(nn.Model):
        def __init__(self):
            pass

    with pytest.raises(OptionError, match=r"Forgets.__init__ must call super\(\).__init__\(\)"):
        Forgets()


def test_inputs_that_do_not_fit_are_refused():
    net = Residual(**DOUBLE)
    with pytest.raises(
        ShapeError, match=r"Residual: X must have shape \(N, 2, 5, 4\); got \(N, 2, 4, 4\)"
    ):
        net.loss(np.ones((3, 2, 4, 4)))
    with pytest.raises(DtypeError, match="must hold real numbers, got complex128; its imaginary"):
        net.loss(np.ones((3, 2, 5, 4), complex))
    with pytest.raises(ShapeError, match="X must be one array, got 2"):
        net.loss((np.ones((3, 2, 5, 4)),) * 2)
    two = TwoInputs(**DOUBLE)
    with pytest.raises(ShapeError, match="X must be a tuple of 2 arrays, got 1"):
        two.loss(np.ones((3, 2, 4, 4)))
    with pytest.raises(ShapeError, match="the inputs must have as many rows"):
        two.loss((np.ones((3, 2, 4, 4)), np.ones((2, 3))))
    with pytest.raises(ShapeError, match=r"compile: batch_shape must be \(N, ...\)"):
        net.compile(5)
    with pytest.raises(ShapeError, match="X must have shape"):
        net.compile((5, 3, 5, 4))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"reg": -1}, "Residual: reg must be a finite number of at least 0, got -1"),
        ({"dtype": "int8"}, "dtype must be one of float32"),
        ({"init": "he"}, "init .* must be one of"),
        ({"loss": "hinge"}, "loss .* must be one of 'softmax', 'svm', .*; got 'hinge'"),
        ({"label_smoothing": 2}, r"label_smoothing must be in \[0, 1\], got 2"),
        ({"label_smoothing": 0.1, "loss": "svm"}, "is for the softmax loss, not for 'svm'"),
        ({"rng": "x"}, "rng .* must be an integer"),
        ({"fuse": 1}, "fuse must be true or false"),
        ({"device": "gpu"}, "Residual: device must be 'cpu', 'cuda'"),
    ],
)
def test_wrong_options_are_refused(options, says):
    with pytest.raises((OptionError, DtypeError, ValueError), match=says):
        Residual(**options)


def test_an_error_of_a_pair_names_the_layer():
    net = nn.Sequential([nn.Affine(3), nn.BatchNorm()], input_shape=(4,))
    with pytest.raises(ShapeError, match=r"^Sequential, layer batchnorm1: batchnorm_forward: x"):
        net.loss(np.ones((0, 4)), np.zeros(0, int))


class Switched(nn.Model):
    """Takes another way when told to."""

    def __init__(self):
        super().__init__((4,), dtype=np.float64, rng=0)
        self.first, self.last = nn.Affine(5), nn.Affine(3)
        self.relu, self.sigmoid = nn.ReLU(), nn.Sigmoid()
        self.bent = True

    def forward(self, x):
        x = self.first(x)
        first, second = (self.relu, self.sigmoid) if self.bent else (self.sigmoid, self.relu)
        return self.last(second(first(x)) + x)


def test_forward_may_take_another_way_from_call_to_call():
    X, y = np.random.default_rng(0).standard_normal((6, 4)), np.arange(6) % 3
    net, other = Switched(), Switched()
    other.bent = False
    bent, straight = net.loss(X, y)[0], other.loss(X, y)[0]
    assert bent != straight
    for wanted in (True, False, False, True):
        net.bent = wanted
        assert net.loss(X, y)[0] == (bent if wanted else straight)
        assert np.array_equal(net.loss(X), (net if wanted else other).loss(X))


def test_the_plan_of_equal_calls_is_kept_and_fusing_asks_for_another(monkeypatch):
    made = []
    real = model_module.Plan
    monkeypatch.setattr(model_module, "Plan", lambda *a, **k: made.append(a) or real(*a, **k))
    X, y = np.random.default_rng(0).standard_normal((6, 4)), np.arange(6) % 3
    for net in (Switched(), nn.Sequential([nn.Affine(5), nn.ReLU(), nn.Affine(3)], (4,), rng=0)):
        made.clear()
        for _ in range(3):
            net.loss(X, y)
            assert net.training
            net.loss(X)
            assert not net.training
        assert len(made) == 2
        net._fuse = False
        net.loss(X, y)
        net.loss(X[:2], y[:2])
        assert len(made) == 4


def test_a_network_tells_the_layer_of_a_parameter():
    ready = ConvNet((1, 8, 8), [{"num_filters": 2, "filter_size": 3}], [3], 4, rng=0)
    assert [ready.layer_of(name) for name in ("W1", "b2", "W3", "W9")] == [
        "conv1",
        "affine2",
        "affine3",
        "W9",
    ]
    net = Switched()
    assert [net.layer_of(name) for name in net.params] == ["first", "first", "last", "last"]
