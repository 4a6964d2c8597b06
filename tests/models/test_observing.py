"""Looking at a model: summary, activations, labels, running statistics."""

import numpy as np
import pytest

from handgrad import layers
from handgrad.errors import OptionError, ShapeError
from handgrad.models import ConvNet, FullyConnectedNet, TwoLayerNet

CONVS = [
    {"num_filters": 8, "filter_size": 3, "pool": False},
    {"num_filters": 16, "filter_size": (3, 5), "stride": 2},
]
OPTIONS = {"normalization": "batchnorm", "dropout_keep_ratio": 0.5}


def net(**options):
    return ConvNet((3, 11, 8), CONVS, [20], 5, dtype=np.float64, rng=1, **{**OPTIONS, **options})


def batch(n=7):
    rng = np.random.default_rng(9)
    return rng.standard_normal((n, 3, 11, 8)), rng.integers(5, size=n)


def test_summary():
    assert (
        net().summary()
        == """\
ConvNet
layer    computes                                    output  parameters
-----------------------------------------------------------------------
input                                            3 x 11 x 8
conv1    conv 3x3 - batchnorm - relu             8 x 11 x 8         240
conv2    conv 3x5 - batchnorm - relu - pool 2x2  16 x 3 x 2       1,968
affine3  affine - batchnorm - relu - dropout             20       1,980
affine4  affine                                           5         105
-----------------------------------------------------------------------
total                                                             4,293"""
    )


@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
def test_summary_tells_the_shapes_and_counts_that_are(normalization):
    model = net(normalization=normalization)
    outputs = model.activations(batch()[0])
    rows = [line.split() for line in model.summary().splitlines()[4:-2]]
    assert [row[0] for row in rows] == list(outputs)
    for row, out in zip(rows, outputs.values(), strict=True):
        shape = " x ".join(map(str, out.shape[1:]))
        assert f" {shape} " in " ".join(row)
    total = sum(w.size for w in model.params.values())
    assert f"{total:,}" == model.summary().split()[-1]


def test_activations_are_those_of_the_test_mode_scores():
    X, y = batch()
    model = net()
    model.loss(X, y)
    outputs = model.activations(X)
    assert list(outputs) == ["conv1", "conv2", "affine3", "affine4"]
    np.testing.assert_array_equal(outputs["affine4"], model.loss(X))
    W, b = model.params["W4"], model.params["b4"]
    np.testing.assert_allclose(outputs["affine3"] @ W + b, outputs["affine4"], rtol=1e-12)
    assert all((out >= 0).all() for name, out in outputs.items() if name != "affine4")


def test_layernorm_of_images_is_over_all_channels_and_places():
    X, _ = batch()
    model = net(normalization="layernorm")
    out, _ = layers.conv_forward(X, model.params["W1"], model.params["b1"], {"pad": 1})
    mean, var = (f(out, axis=(1, 2, 3), keepdims=True) for f in (np.mean, np.var))
    expected = np.maximum((out - mean) / np.sqrt(var + 1e-5), 0)
    np.testing.assert_allclose(model.activations(X)["conv1"], expected, rtol=1e-10, atol=1e-12)


def test_predict_gives_the_largest_score_in_any_batch_size():
    X, _ = batch(25)
    model = net()
    expected = np.argmax(model.loss(X), axis=1)
    for batch_size in (1, 4, 25, 100):
        labels = model.predict(X, batch_size=batch_size)
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(labels, expected)
    assert model.predict(X[:0]).shape == (0,)
    with pytest.raises(OptionError, match="ConvNet: batch_size"):
        model.predict(X, batch_size=0)


def test_buffers_carry_the_running_statistics():
    X, y = batch()
    trained = net()
    assert trained.buffers() == {}
    for _ in range(3):
        trained.loss(X, y)
    buffers = trained.buffers()
    kinds = ("running_mean", "running_var", "steps")
    assert list(buffers) == [f"{kind}{i}" for i in (1, 2, 3) for kind in kinds]
    assert buffers["running_mean2"].shape == (16,)
    fresh = net()
    assert not np.allclose(fresh.loss(X), trained.loss(X))
    fresh.load_buffers(buffers)
    np.testing.assert_array_equal(fresh.loss(X), trained.loss(X))
    fresh.buffers()["running_var1"][:] = 99.0  # copies: one does not move the other
    assert not (trained.buffers()["running_var1"] == 99.0).any()
    fresh.load_buffers({})
    assert fresh.buffers() == {}


def test_buffers_of_another_model_are_refused():
    with pytest.raises(OptionError, match='load_buffers: unrecognized "running_mean9"'):
        net().load_buffers({"running_mean9": np.zeros(8)})
    with pytest.raises(ShapeError, match="running_mean1 must have the shape of gamma1"):
        net().load_buffers({"running_mean1": np.zeros(9)})
    for model in (TwoLayerNet(), FullyConnectedNet([4], normalization="layernorm")):
        assert model.buffers() == {}
        with pytest.raises(OptionError, match="unrecognized"):
            model.load_buffers({"running_mean1": np.zeros(4)})


def test_skynets_networks():
    """The configurations of skynet's notebook for its AntConvNet."""
    one = {"num_filters": 32, "filter_size": 7, "stride": 1}
    first = ConvNet((3, 32, 32), [one], [50], normalization="batchnorm", dropout_keep_ratio=0.1)
    assert first.params["W2"].shape == (32 * 16 * 16, 50)
    second = ConvNet((3, 16, 16), [{"num_filters": 4, "filter_size": 3}], [10, 5])
    assert [second.params[f"W{i}"].shape for i in (2, 3, 4)] == [(256, 10), (10, 5), (5, 10)]
    four = [{"num_filters": f, "filter_size": 3} for f in (8, 8, 16, 16)]
    third = ConvNet((3, 32, 32), four, [16, 8], weight_scale=2e-2, reg=1e-3)
    assert third.params["W5"].shape == (16 * 2 * 2, 16)
    assert third.num_layers == 7
