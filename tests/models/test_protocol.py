"""What the Solver and the notebooks rely on: names, draws, live parameters, dtypes, modes, copies."""

import copy
import pickle

import numpy as np
import pytest

from handgrad.models import (
    MODELS,
    ConvNet,
    FullyConnectedNet,
    Network,
    ThreeLayerConvNet,
    TwoLayerNet,
    build,
)

IMAGE = (3, 9, 7)
CONVS = [{"num_filters": 4, "filter_size": 3}, {"num_filters": 5, "filter_size": 5, "pool": False}]
SMALL = {
    "TwoLayerNet": {"input_dim": 189, "hidden_dim": 6},
    "FullyConnectedNet": {"input_dim": 189, "hidden_dims": [6, 5]},
    "ThreeLayerConvNet": {
        "input_dim": IMAGE,
        "num_filters": 4,
        "filter_size": 3,
        "hidden_dim": 6,
    },
    "ConvNet": {"input_dim": IMAGE, "conv_params": CONVS, "hidden_dims": [6]},
}
every_model = pytest.mark.parametrize("name", SMALL)


def small(name, **options):
    return build(name, **{**SMALL[name], **options})


def batch(n=6, dtype=np.float64):
    rng = np.random.default_rng(8)
    return rng.standard_normal((n, *IMAGE)).astype(dtype), rng.integers(10, size=n)


def test_every_model_has_a_small_one_here():
    """Networks of layer objects have theirs in test_ready.py."""
    assert set(SMALL) == {
        name
        for name, made in MODELS.items()
        if isinstance(made, type) and issubclass(made, Network)
    }


@every_model
def test_scores_loss_and_gradients(name):
    X, y = batch()
    kept = X.copy()
    net = small(name)
    scores = net.loss(X)
    loss, grads = net.loss(X, y)
    assert scores.shape == (6, 10)
    assert isinstance(loss, float)
    assert list(grads) == list(net.params)
    assert all(grads[key].shape == w.shape for key, w in net.params.items())
    np.testing.assert_array_equal(X, kept)


@every_model
def test_the_first_loss_is_the_logarithm_of_the_number_of_classes(name):
    X, y = batch()
    net = small(name, weight_scale=1e-3)
    assert net.loss(X, y)[0] == pytest.approx(np.log(10), abs=1e-2)
    weights = [w for key, w in net.params.items() if key.startswith("W")]
    before = net.loss(X, y)[0]
    net.reg = 0.7
    risen = 0.35 * sum(np.sum(np.square(w, dtype=np.float64)) for w in weights)
    assert net.loss(X, y)[0] - before == pytest.approx(risen, rel=1e-5)


def drawn(shapes, scale):
    return [scale * np.random.randn(*shape) for shape in shapes]


@pytest.mark.parametrize(
    ("make", "shapes", "dtype"),
    [
        (lambda: TwoLayerNet(12, 5, 3, 0.1), [(12, 5), (5, 3)], np.float64),
        (
            lambda: FullyConnectedNet([5, 4], 12, 3, weight_scale=0.1, normalization="batchnorm"),
            [(12, 5), (5, 4), (4, 3)],
            np.float32,
        ),
        (
            lambda: ThreeLayerConvNet((2, 6, 4), 3, 5, 7, 4, 0.1),
            [(3, 2, 5, 5), (3 * 3 * 2, 7), (7, 4)],
            np.float32,
        ),
        (
            lambda: ConvNet(IMAGE, CONVS, [6], 4, "layernorm", weight_scale=0.1),
            [(4, 3, 3, 3), (5, 4, 5, 5), (5 * 4 * 3, 6), (6, 4)],
            np.float32,
        ),
    ],
)
def test_weights_are_drawn_in_layer_order_from_the_global_stream(make, shapes, dtype):
    np.random.seed(231)
    expected = drawn(shapes, 0.1)
    after = np.random.randn()
    np.random.seed(231)
    net = make()
    assert np.random.randn() == after
    for i, W in enumerate(expected, start=1):
        np.testing.assert_array_equal(net.params[f"W{i}"], W.astype(dtype))
        assert net.params[f"W{i}"].dtype == net.params[f"b{i}"].dtype == dtype
        assert not net.params[f"b{i}"].any()
        if net.normalization and i < len(expected):
            assert (net.params[f"gamma{i}"] == 1).all()
            assert not net.params[f"beta{i}"].any()
    assert f"gamma{len(expected)}" not in net.params


@every_model
def test_rng_takes_a_generator_a_random_state_or_a_seed(name):
    state = np.random.get_state()[1].copy()
    first, second = small(name, rng=5), small(name, rng=np.random.default_rng(5))
    third = small(name, rng=np.random.RandomState(5))
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    np.testing.assert_array_equal(first.params["W1"], second.params["W1"])
    np.random.seed(5)
    np.testing.assert_array_equal(third.params["W1"], small(name).params["W1"])


@every_model
def test_what_is_cast(name):
    """FullyConnectedNet and ConvNet cast X, ThreeLayerConvNet only parameters, TwoLayerNet nothing."""
    X, _ = batch()
    dtypes = {"ThreeLayerConvNet": (np.float32, np.float64), "TwoLayerNet": (np.float64,) * 2}
    params, scores = dtypes.get(name, (np.float32, np.float32))
    net = small(name)
    assert {w.dtype for w in net.params.values()} == {np.dtype(params)}
    assert net.loss(X).dtype == scores
    assert net.loss(X.astype(np.float32)).dtype == params
    assert net.loss(np.ones((2, *IMAGE), np.uint8)).dtype == scores


@every_model
def test_float32_gradients_agree_with_float64(name):
    X, y = batch(dtype=np.float32)
    net = small(name, rng=1, weight_scale=0.1)
    net.params = {key: w.astype(np.float32) for key, w in net.params.items()}
    grads = net.loss(X, y)[1]
    assert {dw.dtype for dw in grads.values()} == {np.dtype(np.float32)}
    net.params = {key: w.astype(np.float64) for key, w in net.params.items()}
    net.dtype = None if name == "TwoLayerNet" else np.float64
    for key, expected in net.loss(X, y)[1].items():
        scale = np.max(np.abs(expected))
        np.testing.assert_allclose(grads[key], expected, rtol=1e-4, atol=1e-5 * scale)


@every_model
def test_parameters_may_be_replaced_with_another_dtype(name):
    X, y = batch()
    net = small(name, rng=0)
    net.params["W1"] = net.params["W1"].astype(np.float64) + 0.1
    before = net.loss(X, y)[0]
    net.params["W1"][0] += 0.1
    assert net.loss(X, y)[0] != before
    net.params = {key: np.zeros_like(w) for key, w in net.params.items()}
    assert net.loss(X, y)[0] == pytest.approx(np.log(10), rel=1e-6)


@every_model
def test_copies_are_independent_and_pickles_equal(name):
    X, y = batch()
    options = {"normalization": "batchnorm"} if name in ("FullyConnectedNet", "ConvNet") else {}
    net = small(name, **options)
    net.loss(X, y)
    expected, loss = net.loss(X), net.loss(X, y)[0]
    twin, stored = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
    for other in (twin, stored):
        assert other.loss(X, y)[0] == loss
    np.testing.assert_array_equal(copy.copy(net).loss(X), net.loss(X))
    twin.params["W1"] += 1
    twin.loss(X, y)
    assert net.loss(X, y)[0] == loss
    assert not np.array_equal(expected, twin.loss(X))


MODES = [
    {"normalization": "batchnorm"},
    {"normalization": "layernorm"},
    {"dropout_keep_ratio": 0.5},
    {"normalization": "batchnorm", "dropout_keep_ratio": 0.5},
]


@pytest.mark.parametrize("options", MODES)
@pytest.mark.parametrize("name", ["FullyConnectedNet", "ConvNet"])
def test_scores_do_not_depend_on_batch_mates(name, options):
    X, y = batch()
    net = small(name, dtype=np.float64, weight_scale=0.3, **options)
    for _ in range(3):
        net.loss(X, y)
    buffers = {key: value.copy() for key, value in net.buffers().items()}
    together = net.loss(X)
    alone = np.concatenate([net.loss(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(alone, together, rtol=1e-12)
    for key, value in net.buffers().items():
        np.testing.assert_array_equal(value, buffers[key])
    # and the mode goes back to training
    assert net.loss(X, y)[0] == net.loss(X, y)[0] or options.get("dropout_keep_ratio")
    net.loss(X + 1, y)
    assert not buffers or not np.array_equal(
        net.buffers()["running_mean1"], buffers["running_mean1"]
    )


@pytest.mark.parametrize("name", ["FullyConnectedNet", "ConvNet"])
def test_attributes(name):
    plain = small(name)
    assert (plain.normalization, plain.use_dropout, plain.bn_params) == (None, False, [])
    assert (plain.dropout_param, plain.reg, plain.dtype) == ({}, 0.0, np.float32)
    assert plain.num_layers == (3 if name == "FullyConnectedNet" else 4)
    hidden = plain.num_layers - 1
    net = small(name, normalization="batchnorm", dropout_keep_ratio=0.5, seed=7, reg=0.1)
    assert net.bn_params == [{"mode": "train"}] * hidden
    assert net.dropout_param == {"mode": "train", "p": 0.5, "seed": 7}
    assert net.use_dropout
    net.loss(batch()[0])
    assert net.dropout_param["mode"] == "test"
    assert small(name, normalization="layernorm").bn_params == [{}] * hidden


def test_dropout_acts_in_training_only_and_on_hidden_affine_layers():
    X, y = batch()
    net = small("ConvNet", dropout_keep_ratio=0.5, weight_scale=0.3)
    assert len({net.loss(X, y)[0] for _ in range(5)}) == 5
    np.testing.assert_array_equal(net.loss(X), net.loss(X))
    no_hidden = small("ConvNet", dropout_keep_ratio=0.5, hidden_dims=[], weight_scale=0.3)
    assert no_hidden.loss(X, y)[0] == no_hidden.loss(X, y)[0]


def test_arguments_are_not_changed():
    convs = [{"num_filters": 2, "filter_size": 3}]
    hidden = [4]
    ConvNet((1, 6, 6), convs, hidden)
    FullyConnectedNet(hidden, 6)
    assert convs == [{"num_filters": 2, "filter_size": 3}]
    assert hidden == [4]
    ConvNet(), ConvNet()
    assert ConvNet.__init__.__defaults__[1] == ({"num_filters": 32, "filter_size": 3},)


def test_three_layer_conv_net_is_a_conv_net():
    """One machine: the same parameters in both give the same loss and gradients."""
    X, y = batch()
    first = small("ThreeLayerConvNet", rng=2, reg=0.1, dtype=np.float64, weight_scale=0.1)
    second = ConvNet(IMAGE, CONVS[:1], [6], rng=2, reg=0.1, dtype=np.float64, weight_scale=0.1)
    loss, grads = first.loss(X, y)
    other, others = second.loss(X, y)
    assert loss == other
    for key, dw in grads.items():
        np.testing.assert_array_equal(dw, others[key])


@pytest.mark.parametrize(("rule", "gain"), [("xavier", 1.0), ("kaiming", 2.0)])
def test_weight_scale_by_name(rule, gain):
    net = ConvNet(
        (4, 8, 8), [{"num_filters": 200, "filter_size": (3, 5)}], [300], weight_scale=rule
    )
    for key, fan_in in (("W1", 60), ("W2", 200 * 16), ("W3", 300)):
        assert net.params[key].std() == pytest.approx(np.sqrt(gain / fan_in), rel=0.05)
