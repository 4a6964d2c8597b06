"""The normalisation layers: running statistics, sharp corners, precision, and PyTorch."""

import numpy as np
import pytest

from handgrad import engines, layers
from handgrad.layers import (
    batchnorm_backward,
    batchnorm_backward_alt,
    batchnorm_forward,
    layernorm_backward,
    layernorm_forward,
    spatial_batchnorm_forward,
    spatial_groupnorm_backward,
    spatial_groupnorm_forward,
    spatial_instancenorm_backward,
    spatial_instancenorm_forward,
)

ENGINES = ("naive", "vectorized")


# Running statistics


@pytest.mark.parametrize("engine", ENGINES)
def test_running_statistics(engine, rng):
    gamma, beta = rng.standard_normal(3), rng.standard_normal(3)
    bn_param = {"mode": "train", "momentum": 0.7}
    mean, var = np.zeros(3), np.zeros(3)
    for _ in range(3):
        x = rng.standard_normal((5, 3)) + 2
        mean, var = 0.7 * mean + 0.3 * x.mean(0), 0.7 * var + 0.3 * x.var(0)
        batchnorm_forward(x, gamma, beta, bn_param, engine=engine)
        np.testing.assert_allclose(bn_param["running_mean"], mean, rtol=1e-14)
        np.testing.assert_allclose(bn_param["running_var"], var, rtol=1e-14)
    assert set(bn_param) == {"mode", "momentum", "running_mean", "running_var"}


@pytest.mark.parametrize("engine", ENGINES)
def test_running_statistics_of_images_are_those_of_their_pixels(engine, rng):
    x = rng.standard_normal((2, 3, 4, 5)) + 2
    rows = x.transpose(0, 2, 3, 1).reshape(-1, 3)
    gamma, beta = rng.standard_normal(3), rng.standard_normal(3)
    images, matrix = {"mode": "train"}, {"mode": "train"}
    out, _ = spatial_batchnorm_forward(x, gamma, beta, images, engine=engine)
    out_rows, _ = batchnorm_forward(rows, gamma, beta, matrix, engine=engine)
    expected = out_rows.reshape(2, 4, 5, 3).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-14)
    for key in ("running_mean", "running_var"):
        np.testing.assert_allclose(images[key], matrix[key], rtol=1e-14)


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 1.7e308])
def test_by_given_moments_dx_does_not_depend_on_x(bad, engine):
    x, ones = np.ones((2, 1, 2, 2)), np.ones(1)
    x[0, 0, 0, 0] = bad
    given = {"mode": "test", "running_mean": np.zeros(1), "running_var": ones * 1e-4}
    with np.errstate(all="ignore"):
        out, cache = spatial_batchnorm_forward(x, ones, ones, given, engine=engine)
        dx, _, dbeta = layers.spatial_batchnorm_backward(np.ones_like(out), cache)
    np.testing.assert_allclose(dx, np.full(x.shape, 1 / np.sqrt(1.1e-4)), rtol=1e-12)
    assert dbeta == 8


def test_running_statistics_are_new_arrays(rng):
    x, ones = rng.standard_normal((4, 3)), np.ones(3)
    mean, var = rng.standard_normal(3), rng.uniform(1, 2, 3)
    given = mean.copy(), var.copy()
    bn_param = {"mode": "train", "running_mean": mean, "running_var": var}
    batchnorm_forward(x, ones, ones, bn_param)
    np.testing.assert_array_equal((mean, var), given)
    assert not np.shares_memory(bn_param["running_mean"], mean)
    assert not np.array_equal(bn_param["running_mean"], mean)


def test_running_statistics_take_the_dtype_of_the_call(rng):
    x = rng.standard_normal((4, 3)).astype(np.float32)
    gamma = beta = np.ones(3, np.float32)
    bn_param = {"mode": "train", "eps": np.float64(1e-5), "momentum": np.float64(0.9)}
    for given in ({}, {"running_mean": np.zeros(3), "running_var": np.ones(3)}):
        bn_param.update(given)
        out, _ = batchnorm_forward(x, gamma, beta, bn_param)
        assert out.dtype == np.float32
        assert bn_param["running_mean"].dtype == np.float32
        assert bn_param["running_var"].dtype == np.float32


@pytest.mark.parametrize("engine", ENGINES)
def test_test_mode_does_not_look_at_batch_mates(engine, rng):
    x, gamma, beta = rng.standard_normal((5, 3)), rng.standard_normal(3), rng.standard_normal(3)
    bn_param = {"mode": "test", "running_mean": rng.standard_normal(3), "running_var": np.ones(3)}
    out, _ = batchnorm_forward(x, gamma, beta, bn_param, engine=engine)
    alone, _ = batchnorm_forward(x[2:3], gamma, beta, bn_param, engine=engine)
    np.testing.assert_array_equal(out[2:3], alone)
    other = x.copy()
    other[3:] = 1e6
    changed, _ = batchnorm_forward(other, gamma, beta, bn_param, engine=engine)
    np.testing.assert_array_equal(out[:3], changed[:3])


def test_test_mode_leaves_bn_param_alone(rng):
    x, ones = rng.standard_normal((5, 3)), np.ones(3)
    mean, var = rng.standard_normal(3), rng.uniform(1, 2, 3)
    bn_param = {"mode": "test", "running_mean": mean, "running_var": var}
    batchnorm_forward(x, ones, ones, bn_param)
    assert bn_param["running_mean"] is mean
    assert bn_param["running_var"] is var
    bn_param = {"mode": "test"}
    batchnorm_forward(x, ones, ones, bn_param)
    assert bn_param == {"mode": "test"}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("backward", [batchnorm_backward, batchnorm_backward_alt])
def test_test_mode_gradients(engine, backward, rng):
    x, gamma, beta = rng.standard_normal((5, 3)), rng.standard_normal(3), rng.standard_normal(3)
    mean, var = rng.standard_normal(3), rng.uniform(1, 2, 3)
    bn_param = {"mode": "test", "running_mean": mean, "running_var": var, "eps": 0.1}
    dout = rng.standard_normal((5, 3))
    _, cache = batchnorm_forward(x, gamma, beta, bn_param, engine=engine)
    std = np.sqrt(var + 0.1)
    expected = dout * gamma / std, (dout * (x - mean) / std).sum(0), dout.sum(0)
    for got, wanted in zip(backward(dout, cache), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-13)


# Sharp corners


@pytest.mark.parametrize("engine", ENGINES)
def test_gamma_of_zero_has_its_gradient(engine, rng):
    """dgamma is a sum over xhat; it must not be had by dividing out - beta by gamma."""
    x, beta, dout = rng.standard_normal((5, 3)), rng.standard_normal(3), rng.standard_normal((5, 3))
    gamma = np.zeros(3)
    _, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"}, engine=engine)
    _, dgamma, _ = batchnorm_backward(dout, cache)
    xhat = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    np.testing.assert_allclose(dgamma, (dout * xhat).sum(0), rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_variance_is_finite(engine, dtype, rng):
    x = np.full((4, 3), 0.1, dtype)
    gamma, beta = np.ones(3, dtype), rng.standard_normal(3).astype(dtype)
    dout = rng.standard_normal((4, 3)).astype(dtype)
    tolerance = 1e-6 if dtype == np.float32 else 1e-13
    out, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"}, engine=engine)
    np.testing.assert_allclose(out, np.broadcast_to(beta, (4, 3)), atol=tolerance)
    dx, _, _ = batchnorm_backward_alt(dout, cache)
    np.testing.assert_allclose(dx, (dout - dout.mean(0)) / np.sqrt(1e-5), rtol=1e-4)
    out, cache = layernorm_forward(x, gamma, beta, {}, engine=engine)
    np.testing.assert_allclose(out, np.broadcast_to(beta, (4, 3)), atol=tolerance)
    dx, _, _ = layernorm_backward(dout, cache)
    expected = (dout - dout.mean(1, keepdims=True)) / np.sqrt(1e-5)
    np.testing.assert_allclose(dx, expected, rtol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("backward", [batchnorm_backward, batchnorm_backward_alt])
def test_a_batch_of_one_gives_beta(engine, backward, rng):
    x, gamma, beta = rng.standard_normal((1, 4)), rng.standard_normal(4), rng.standard_normal(4)
    out, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"}, engine=engine)
    np.testing.assert_array_equal(out, beta[None])
    dout = rng.standard_normal((1, 4))
    dx, dgamma, dbeta = backward(dout, cache)
    np.testing.assert_array_equal(dx, np.zeros((1, 4)))
    np.testing.assert_array_equal(dgamma, np.zeros(4))
    np.testing.assert_array_equal(dbeta, dout[0])


FLAT, IMAGE = (6,), (1, 6, 1, 1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("layer", "options"),
    [
        ("batchnorm", ({"mode": "train"},)),
        ("layernorm", ({},)),
        ("spatial_batchnorm", ({"mode": "train"},)),
        ("spatial_groupnorm", (3, {})),
        ("spatial_instancenorm", ({},)),
    ],
)
def test_float32_stays_accurate_where_the_mean_is_large(layer, options, engine, rng):
    """float32 numbers around 10,000 with a deviation of 1: within 2e-5 of the float64 answer."""
    shape = (300, 6) if "spatial" not in layer else (20, 6, 4, 5)
    shape = (6, 300) if layer == "layernorm" else shape
    arrays = [
        (1e4 + rng.standard_normal(shape)).astype(np.float32),
        rng.standard_normal(shape[1]).astype(np.float32),
        rng.standard_normal(shape[1]).astype(np.float32),
    ]
    dout = rng.standard_normal(shape).astype(np.float32)
    results = []
    for dtype in (np.float32, np.float64):
        forward = getattr(layers, f"{layer}_forward")
        out, cache = forward(*(a.astype(dtype) for a in arrays), *options, engine=engine)
        backward = getattr(layers, f"{layer}_backward")
        results.append([out, *backward(dout.astype(dtype), cache)])
    for single, double in zip(*results, strict=True):
        assert single.dtype == np.float32
        assert np.max(np.abs(single - double)) < 2e-5 * np.max(np.abs(double))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layer", ["batchnorm", "layernorm"])
def test_integers_count_as_float64(layer, engine, rng):
    forward, backward = (getattr(layers, f"{layer}_{way}") for way in ("forward", "backward"))
    dout, whole = rng.standard_normal((4, 3)), (np.asarray([3, 4, 5]), np.asarray([6, 7, 8]))
    for x in (rng.standard_normal((4, 3)), rng.integers(-9, 9, (4, 3))):
        out, cache = forward(x, *whole, {"mode": "train"}, engine=engine)
        floats = (array.astype(np.float64) for array in (x, *whole))
        expected, expected_cache = forward(*floats, {"mode": "train"}, engine=engine)
        np.testing.assert_array_equal(out, expected)
        for got, wanted in zip(backward(dout, cache), backward(dout, expected_cache), strict=True):
            assert got.dtype == np.float64
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("gamma_shape", [FLAT, IMAGE])
@pytest.mark.parametrize("beta_shape", [FLAT, IMAGE])
@pytest.mark.parametrize(
    ("layer", "options"),
    [
        ("spatial_batchnorm", ({"mode": "train"},)),
        ("spatial_batchnorm", ({"mode": "test"},)),
        ("spatial_groupnorm", (2, {})),
        ("spatial_instancenorm", ({},)),
    ],
)
def test_gradients_have_the_shapes_that_came(layer, options, gamma_shape, beta_shape, engine, rng):
    x, dout = rng.standard_normal((2, 6, 3, 2)), rng.standard_normal((2, 6, 3, 2))
    gamma, beta = rng.standard_normal(gamma_shape), rng.standard_normal(beta_shape)
    forward, backward = (getattr(layers, f"{layer}_{way}") for way in ("forward", "backward"))
    out, cache = forward(x, gamma, beta, *options, engine=engine)
    dx, dgamma, dbeta = backward(dout, cache)
    assert (dx.shape, dgamma.shape, dbeta.shape) == (x.shape, gamma_shape, beta_shape)
    flat, flat_cache = forward(x, gamma.ravel(), beta.ravel(), *options, engine=engine)
    np.testing.assert_array_equal(out, flat)
    _, dgamma_flat, dbeta_flat = backward(dout, flat_cache)
    np.testing.assert_array_equal(dgamma.ravel(), dgamma_flat)
    np.testing.assert_array_equal(dbeta.ravel(), dbeta_flat)


@pytest.mark.parametrize("engine", ENGINES)
def test_group_norm_lies_between_instance_and_layer_norm(engine, rng):
    x, dout = rng.standard_normal((3, 4, 2, 3)), rng.standard_normal((3, 4, 2, 3))
    gamma, beta = rng.standard_normal(4), rng.standard_normal(4)
    one, cache = spatial_groupnorm_forward(x, gamma, beta, 4, {}, engine=engine)
    two, two_cache = spatial_instancenorm_forward(x, gamma, beta, {}, engine=engine)
    np.testing.assert_array_equal(one, two)
    gradients = spatial_groupnorm_backward(dout, cache)
    for got, wanted in zip(gradients, spatial_instancenorm_backward(dout, two_cache), strict=True):
        np.testing.assert_array_equal(got, wanted)
    one, _ = spatial_groupnorm_forward(x, gamma, beta, 1, {}, engine=engine)
    rows = x.reshape(3, 24), np.repeat(gamma, 6), np.repeat(beta, 6)
    two, _ = layernorm_forward(*rows, {}, engine=engine)
    np.testing.assert_allclose(one.reshape(3, 24), two, rtol=0, atol=1e-14)


# PyTorch as an oracle


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def agrees_with_torch(torch, arrays, ours, theirs, dout, rng):
    """Compare output and gradients of (out, gradients) `ours` with PyTorch's autograd of `theirs`."""
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = theirs(*tensors)
    expected.backward(torch.tensor(dout))
    gradients = [tensor.grad.numpy() for tensor in tensors]
    for got, wanted in zip(ours, [expected.detach().numpy(), *gradients], strict=True):
        assert got.shape == wanted.shape
        assert np.max(np.abs(got - wanted)) <= 1e-12 * np.max(np.abs(wanted))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 2, 5)])
def test_batchnorm_is_pytorchs(torch, shape, mode, engine, rng):
    layer = "batchnorm" if len(shape) == 2 else "spatial_batchnorm"
    forward, backward = (getattr(layers, f"{layer}_{way}") for way in ("forward", "backward"))
    arrays = rng.standard_normal(shape), rng.standard_normal(4), rng.standard_normal(4)
    dout = rng.standard_normal(shape)
    mean, var = rng.standard_normal(4), rng.uniform(1, 2, 4)
    bn_param = {"mode": mode, "momentum": 0.8, "eps": 1e-3}
    bn_param |= {"running_mean": mean, "running_var": var}
    running = torch.tensor(mean), torch.tensor(var)

    def theirs(x, gamma, beta):
        return torch.nn.functional.batch_norm(
            x, *running, gamma, beta, training=mode == "train", momentum=1 - 0.8, eps=1e-3
        )

    out, cache = forward(*arrays, bn_param, engine=engine)
    agrees_with_torch(torch, arrays, [out, *backward(dout, cache)], theirs, dout, rng)
    m = arrays[0].size // 4
    unbiased = (bn_param["running_var"] - 0.8 * var) * m / (m - 1) + 0.8 * var
    if mode == "test":
        unbiased = bn_param["running_var"]
    np.testing.assert_allclose(bn_param["running_mean"], running[0].numpy(), rtol=1e-12)
    np.testing.assert_allclose(unbiased, running[1].numpy(), rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_layernorm_is_pytorchs(torch, engine, rng):
    arrays = rng.standard_normal((5, 6)), rng.standard_normal(6), rng.standard_normal(6)
    dout = rng.standard_normal((5, 6))
    out, cache = layernorm_forward(*arrays, {"eps": 1e-3}, engine=engine)
    ours = [out, *layernorm_backward(dout, cache)]

    def theirs(x, gamma, beta):
        return torch.nn.functional.layer_norm(x, (6,), gamma, beta, eps=1e-3)

    agrees_with_torch(torch, arrays, ours, theirs, dout, rng)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("G", [1, 2, 3, 6])
def test_groupnorm_is_pytorchs(torch, G, engine, rng):
    arrays = rng.standard_normal((3, 6, 2, 4)), rng.standard_normal(6), rng.standard_normal(6)
    dout = rng.standard_normal((3, 6, 2, 4))
    out, cache = spatial_groupnorm_forward(*arrays, G, {"eps": 1e-3}, engine=engine)
    ours = [out, *spatial_groupnorm_backward(dout, cache)]

    def theirs(x, gamma, beta):
        return torch.nn.functional.group_norm(x, G, gamma, beta, eps=1e-3)

    agrees_with_torch(torch, arrays, ours, theirs, dout, rng)
