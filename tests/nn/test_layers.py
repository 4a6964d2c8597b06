"""Every layer object: its gradients, shapes, names, table of configuration and errors."""

import numpy as np
import pytest
from nn.nets import batch, check_gradients, shifted

from handgrad import layers, nn
from handgrad.errors import HandgradError, OperationError, OptionError, ShapeError
from handgrad.layers import chain

IMAGES, ROWS, SEQUENCES = (2, 5, 4), (6,), (4, 9)

# name -> (layers in front of the scores, shape of the input)
CASES = {
    "Affine": ([nn.Affine, (5,)], IMAGES),
    "Affine, no bias": ([nn.Affine, (5,), {"bias": False}], ROWS),
    "Conv2d": ([nn.Conv2d, (3, 3), {"pad": 1}], IMAGES),
    "Conv2d, strided": ([nn.Conv2d, (3, (3, 2)), {"stride": (2, 1), "pad": (0, 1)}], IMAGES),
    "Conv2d, no bias": ([nn.Conv2d, (2, 3), {"pad": "same", "bias": False}], IMAGES),
    "Conv2d, groups": ([nn.Conv2d, (4, 3), {"pad": "same", "dilation": 2, "groups": 2}], IMAGES),
    "ConvTranspose2d": (
        [nn.ConvTranspose2d, (4, (3, 2)), {"stride": 2, "pad": 1, "output_pad": 1, "groups": 2}],
        IMAGES,
    ),
    "Upsample": ([nn.Upsample], IMAGES),
    "Upsample, bilinear": ([nn.Upsample, ((3, 2), "bilinear")], IMAGES),
    "ReLU": ([nn.ReLU], IMAGES),
    "LeakyReLU": ([nn.LeakyReLU, (0.2,)], ROWS),
    "PReLU": ([nn.PReLU], IMAGES),
    "PReLU, shared": ([nn.PReLU, (0.1,), {"shared": True}], ROWS),
    "ELU": ([nn.ELU, (0.7,)], ROWS),
    "GELU": ([nn.GELU], IMAGES),
    "GELU, tanh": ([nn.GELU, ("tanh",)], ROWS),
    "Sigmoid": ([nn.Sigmoid], ROWS),
    "Softplus": ([nn.Softplus], IMAGES),
    "Tanh": ([nn.Tanh], IMAGES),
    "Maxout": ([nn.Maxout, (2,)], IMAGES),
    "Dropout": ([nn.Dropout, (0.6,), {"seed": 5}], IMAGES),
    "MaxPool": ([nn.MaxPool, (2,)], IMAGES),
    "MaxPool, overlapping": ([nn.MaxPool, ((3, 2), 1)], IMAGES),
    "AvgPool": ([nn.AvgPool, (2,), {"stride": 1}], IMAGES),
    "GlobalAvgPool": ([nn.GlobalAvgPool], IMAGES),
    "Flatten": ([nn.Flatten], IMAGES),
    "BatchNorm of rows": ([nn.BatchNorm], ROWS),
    "BatchNorm of images": ([nn.BatchNorm, (), {"eps": 0.1, "momentum": 0.5}], IMAGES),
    "BatchNorm, no scale": ([nn.BatchNorm, (), {"scale": False}], IMAGES),
    "BatchNorm, no shift": ([nn.BatchNorm, (), {"shift": False}], ROWS),
    "LayerNorm of rows": ([nn.LayerNorm], ROWS),
    "LayerNorm of images": ([nn.LayerNorm, (), {"eps": 0.1}], IMAGES),
    "GroupNorm": ([nn.GroupNorm, (2,)], (4, 3, 3)),
    "InstanceNorm": ([nn.InstanceNorm], IMAGES),
    "Conv1d": ([nn.Conv1d, (4, 3), {"pad": "same", "dilation": 2, "groups": 2}], SEQUENCES),
    "Conv1d, no bias": ([nn.Conv1d, (3, 4), {"stride": 2, "bias": False}], SEQUENCES),
    "MaxPool1d": ([nn.MaxPool1d, (3, 2), {"pad": 1}], SEQUENCES),
    "AvgPool1d": ([nn.AvgPool1d, (2,), {"count_include_pad": False}], SEQUENCES),
    "GlobalAvgPool1d": ([nn.GlobalAvgPool1d], SEQUENCES),
    "BatchNorm1d": ([nn.BatchNorm1d, (), {"eps": 0.1}], SEQUENCES),
    "Whitening": ([nn.Whitening, (3, 4)], IMAGES),
}
every_layer = pytest.mark.parametrize(("layer", "shape"), CASES.values(), ids=CASES)


def made(layer):
    cls, *rest = layer
    arguments = rest[0] if rest else ()
    return cls(*arguments, **(rest[1] if len(rest) > 1 else {}))


def network(layer, shape, **options):
    """The layer between two with parameters, so that its dx is looked at too."""
    fronts = {1: lambda: nn.Affine(*shape), 2: lambda: nn.Conv1d(shape[0], 1)}
    front = fronts.get(len(shape), lambda: nn.Conv2d(shape[0], 1))()
    return nn.Sequential([front, made(layer), nn.Affine(4)], shape, **options)


def test_every_layer_object_has_a_case():
    assert {case[0].__name__ for case, _ in CASES.values()} == set(nn.LAYERS) - {"Add", "Concat"}


def test_every_pair_has_a_layer_object():
    used = {cls.pair_name for cls in nn.LAYERS.values() if hasattr(cls, "pair_name")} - {""}
    used |= {"batchnorm", "spatial_batchnorm", "layernorm", "concat"}
    pairs = {name.removesuffix("_forward") for name in layers.__all__ if name.endswith("_forward")}
    # over sequences; the courses' networks of assignment 3 call them as functions
    sequences = {"rnn_step", "rnn", "lstm_step", "lstm", "temporal_affine", "word_embedding"}
    assert pairs - set(chain.CHAINS) - sequences == used


@every_layer
def test_gradients_by_complex_step(layer, shape):
    check_gradients(lambda **options: network(layer, shape, **options))


@every_layer
def test_the_shape_said_is_the_shape_that_comes(layer, shape):
    model = network(layer, shape, dtype=np.float64, rng=0, fuse=False)
    plan = model._recorded([(5, *shape)], "train")
    outputs = {}
    plan.forward([batch(model)[0]], model.params, [], outputs)
    said = {call.label: call.shape for call in model._record([(5, *shape)], "train")[0].calls}
    assert {label: out.shape for label, out in outputs.items()} == {
        label: said[label] for label in outputs
    }


@every_layer
def test_a_layer_is_made_again_from_its_table(layer, shape):
    one = made(layer)
    two = nn.build_layer(one.config())
    assert type(two) is type(one)
    assert repr(two) == repr(one)
    assert two.config() == one.config()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@every_layer
def test_the_dtype_is_kept(layer, shape, dtype):
    model = network(layer, shape, dtype=dtype, rng=0)
    X, y = batch(model)
    loss, grads = model.loss(X, y)
    assert isinstance(loss, float)
    assert {dw.dtype for dw in grads.values()} == {np.dtype(dtype)}
    assert model.loss(X).dtype == dtype


@every_layer
def test_a_training_step_changes_no_input_and_gives_the_same_again(layer, shape):
    model = shifted(network(layer, shape, dtype=np.float64, rng=0))
    X, y = batch(model)
    kept, params = X.copy(), {name: w.copy() for name, w in model.params.items()}
    first, second = model.loss(X, y), model.loss(X, y)
    assert first[0] == second[0]
    for name in first[1]:
        np.testing.assert_array_equal(first[1][name], second[1][name])
        np.testing.assert_array_equal(model.params[name], params[name])
    np.testing.assert_array_equal(X, kept)


def test_init():
    def of(init, own=None):
        net = nn.Sequential([nn.Affine(400, init=own)], (300,), init=init, rng=1, dtype=None)
        return net.params["affine1.W"]

    for init, std in (("kaiming", (2 / 300) ** 0.5), ("xavier", (1 / 300) ** 0.5), (0.3, 0.3)):
        assert np.std(of(init)) == pytest.approx(std, rel=0.02)
    assert np.std(of("kaiming", 0.5)) == pytest.approx(0.5, rel=0.02)
    np.testing.assert_array_equal(of(lambda shape, rng: np.full(shape, 7)), 7.0)
    conv = nn.Sequential([nn.Conv2d(64, 5), nn.Affine(2)], (8, 6, 6), rng=0, dtype=None)
    assert np.std(conv.params["conv1.W"]) == pytest.approx((2 / 200) ** 0.5, rel=0.02)
    assert not conv.params["conv1.b"].any()


def test_draws_are_those_of_the_courses():
    """NumPy's global stream, one draw for each W in the order of the layers."""
    np.random.seed(231)
    net = nn.Sequential([nn.Affine(3), nn.ReLU(), nn.Affine(2)], (4,), init=0.1, dtype=None)
    np.random.seed(231)
    np.testing.assert_array_equal(net.params["affine1.W"], 0.1 * np.random.randn(4, 3))
    np.testing.assert_array_equal(net.params["affine2.W"], 0.1 * np.random.randn(3, 2))


def test_dropout_draws_from_its_own_stream_or_from_numpys():
    model = nn.Sequential([nn.Dropout(0.5, rng=3), nn.Affine(2)], (50,), rng=0)
    X, y = np.ones((4, 50)), np.zeros(4, int)
    state = np.random.get_state()[1].copy()
    assert model.loss(X, y)[0] != model.loss(X, y)[0]
    assert (np.random.get_state()[1] == state).all()
    assert set(model.streams()) == {"dropout1"}
    other = nn.Sequential([nn.Dropout(0.5), nn.Affine(2)], (50,), rng=0)
    np.random.seed(1)
    first = other.loss(X, y)[0]
    np.random.seed(1)
    assert other.loss(X, y)[0] == first
    assert not other.streams()
    np.testing.assert_array_equal(other.loss(X), other.loss(X))


# fmt: off
WRONG = [
    ("a width of text", lambda: nn.Affine("10"), OptionError, "Affine: width must be an integer .*'10'"),
    ("no filters", lambda: nn.Conv2d(0, 3), OptionError, "Conv2d: num_filters must be at least 1, got 0"),
    ("a pad of text", lambda: nn.Conv2d(4, 3, pad="valid"), OptionError, "or 'same'; got 'valid'"),
    ("a stride of 0", lambda: nn.Conv2d(4, 3, stride=0), OptionError, "Conv2d: stride must be at least 1"),
    ("a bias of 1", lambda: nn.Conv2d(4, 3, bias=1), OptionError, "bias must be true or false, got 1"),
    ("an unknown init", lambda: nn.Affine(3, init="he"), OptionError, "'xavier', 'kaiming'; got 'he'"),
    ("keeping nothing", lambda: nn.Dropout(0), OptionError, r"Dropout: p must be in \(0, 1\], got 0"),
    ("seed and rng", lambda: nn.Dropout(0.5, seed=1, rng=2), OptionError, "seed or rng, not both"),
    ("a momentum of 2", lambda: nn.BatchNorm(momentum=2), OptionError, r"momentum must be in \[0, 1\]"),
    ("an eps of 0", lambda: nn.LayerNorm(eps=0), OptionError, "LayerNorm: eps must be"),
    ("another gate", lambda: nn.GELU("erf"), OptionError, "approximate must be one of 'none', 'tanh'"),
    ("a name that is none", lambda: nn.ReLU(name=3), OptionError, "ReLU: name must be a text"),
    ("an array", lambda: nn.ReLU()(np.ones(3)), OperationError,
     r"ReLU\(\) takes the values .* got ndarray; for arrays call the pair itself"),
    ("nothing", lambda: nn.ReLU()(), OperationError, "must be called with one value, got nothing"),
    ("rows for a convolution", lambda: nn.Sequential([nn.Conv2d(3, 3)], (5,)), ShapeError,
     r"Sequential, layer conv1: Conv2d\(3, 3\) takes images \(N, C, H, W\), got \(N, 5\)"),
    ("a window too large", lambda: nn.Sequential([nn.Conv2d(3, 7)], (3, 5, 5)), ShapeError,
     r"layer conv1: Conv2d\(3, 7\): its window \(7, 7\) is larger than the image of 5 x 5"),
    ("groups that do not divide", lambda: nn.Sequential([nn.GroupNorm(2)], (3, 4, 4)), OptionError,
     r"layer groupnorm1: GroupNorm\(2\): its groups must divide the 3 channels"),
    ("pieces that do not divide", lambda: nn.Sequential([nn.Maxout(2)], (3, 4, 4)), ShapeError,
     "takes a multiple of 2 channels, got rows of"),
    ("a matrix to normalise", lambda: nn.Sequential([nn.BatchNorm()], (3, 4)), ShapeError,
     r"BatchNorm\(\) takes rows \(N, D\) or images"),
    ("a class for a layer", lambda: nn.Sequential([nn.ReLU]), OptionError,
     r"layers\[0\] must be a layer or a model, got .*; write ReLU\(...\)"),
    ("a layer for layers", lambda: nn.Sequential(nn.ReLU()), OptionError, "layers must be a list"),
    ("no layers", lambda: nn.Sequential([]), OptionError, "at least one layer"),
    ("one name twice", lambda: nn.Sequential([nn.ReLU(name="a"), nn.Tanh(name="a")]), OptionError,
     "two layers have the name a"),
    ("an unknown layer", lambda: nn.build_layer({"layer": "Conv9"}), OptionError,
     "layer must be one of ReLU, .*got 'Conv9'"),
    ("no layer at all", lambda: nn.build_layer({"width": 3}), OptionError, "lacks the key 'layer'"),
    ("an unknown option", lambda: nn.build_layer({"layer": "Affine", "size": 3}), OptionError,
     'Affine: unrecognized "size"; known are'),
    ("no width", lambda: nn.build_layer({"layer": "Affine"}), OptionError, "Affine: lacks width"),
    ("a class that is no layer", lambda: nn.build_layer({"layer": "os:system"}), OptionError,
     "os:system is no layer"),
    ("init of another shape",
     lambda: nn.Sequential([nn.Affine(3, init=lambda shape, rng: np.ones(3))], (4,)), ShapeError,
     r"affine1.W: init\(shape, rng\) must return an array of shape \(4, 3\), got \(3,\)"),
]
# fmt: on


@pytest.mark.parametrize(
    ("call", "error", "says"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_wrong_calls_are_refused(call, error, says):
    with pytest.raises(error, match=says) as caught:
        call()
    assert isinstance(caught.value, HandgradError)
