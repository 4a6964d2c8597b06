"""Batch normalisation and GELU in one call: equality with the pairs one by one, on every engine."""

import numpy as np
import pytest

from handgrad import engines, layers, nn
from handgrad.errors import CacheError, DtypeError, OptionError, ShapeError

SHAPES = [(5, 3), (40, 70), (2, 3, 4, 5), (3, 33, 7, 6), (9, 64, 16, 16)]
each_engine = pytest.mark.parametrize("engine", engines.available())


def drawn(shape, dtype=np.float64, form=None, mode="train"):
    rng = np.random.default_rng(sum(shape))
    C = shape[1]
    x, gamma, beta = (
        (3 * rng.standard_normal(s)).astype(dtype) for s in (shape, form or (C,), form or (C,))
    )
    moments = {"running_mean": rng.standard_normal(C), "running_var": rng.uniform(0.5, 2, C)}
    param = {"mode": mode, "eps": 1e-3, "momentum": 0.8, **moments}
    return (x, gamma, beta, param), rng.standard_normal(shape).astype(dtype)


def copied(arguments):
    *arrays, param = arguments
    return (
        *arrays,
        {key: np.copy(value) if key[:3] == "run" else value for key, value in param.items()},
    )


def one_by_one(x, gamma, beta, param, dout, approximate, engine):
    images = x.ndim == 4
    norm = layers.spatial_batchnorm_forward if images else layers.batchnorm_forward
    back = layers.spatial_batchnorm_backward if images else layers.batchnorm_backward_alt
    z, first = norm(x, gamma, beta, param, engine=engine)
    out, second = layers.gelu_forward(z, approximate, engine=engine)
    return [out, *back(layers.gelu_backward(dout, second), first)]


@each_engine
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize("shape", SHAPES)
def test_at_once_and_one_by_one_are_the_same(shape, mode, approximate, dtype, engine):
    if engine == "naive" and np.prod(shape) > 1000:
        shape = shape[:2] + (2, 3)[: len(shape) - 2]
    arguments, dout = drawn(shape, dtype, mode=mode)
    other = copied(arguments)
    out, cache = layers.bn_gelu_forward(*arguments, approximate, engine=engine)
    got = [out, *layers.bn_gelu_backward(dout, cache)]
    wanted = one_by_one(*other, dout, approximate, engine)
    for a, b in zip(got, wanted, strict=True):
        assert a.dtype == dtype
        assert np.any(a)
        np.testing.assert_array_equal(a, b)
    np.testing.assert_equal(arguments[3], other[3])
    assert len(cache.saved.parts) == (1 if engine == "native" else 2)


@each_engine
def test_scales_of_every_form(engine):
    form = (1, 3, 1, 1)
    arguments, dout = drawn((2, 3, 4, 5), form=form)
    _, cache = layers.bn_gelu_forward(*arguments, engine=engine)
    _, dgamma, dbeta = layers.bn_gelu_backward(dout, cache)
    assert dgamma.shape == dbeta.shape == form


@each_engine
def test_wrong_calls_are_refused(engine):
    (x, gamma, beta, param), dout = drawn((2, 3, 4, 5))

    def call(*arguments, **options):
        return layers.bn_gelu_forward(*arguments, engine=engine, **options)

    with pytest.raises(
        ShapeError, match=r"spatial_batchnorm_forward: gamma must have shape \(3,\)"
    ):
        call(x, gamma[:2], beta, param)
    with pytest.raises(ShapeError, match=r"^batchnorm_forward: beta must have shape \(3,\)"):
        call(x[..., 0, 0], gamma, beta[:2], param)
    with pytest.raises(ShapeError, match="bn_gelu_forward: x must"):
        call(gamma, gamma, beta, param)
    with pytest.raises(ShapeError, match="spatial_batchnorm_forward: x must have 4"):
        call(x[..., 0], gamma, beta, param)
    with pytest.raises(OptionError, match="bn_gelu_forward: approximate must be"):
        call(x, gamma, beta, param, approximate="erf")
    with pytest.raises(OptionError, match='Invalid forward batchnorm mode "no"'):
        call(x, gamma, beta, {"mode": "no"})
    with pytest.raises(DtypeError, match="bn_gelu_forward: gamma must be float32"):
        call(x, gamma.astype(np.float16), beta, param)
    _, cache = call(x, gamma, beta, param)
    with pytest.raises(ShapeError, match="bn_gelu_backward: dout must"):
        layers.bn_gelu_backward(dout[:1], cache)
    with pytest.raises(CacheError):
        layers.bn_gelu_backward(dout, layers.relu_forward(x)[1])


@pytest.mark.skipif("native" not in engines.available(), reason="the native engine is not built")
def test_where_numbers_are_not_finite(rng):
    (x, gamma, beta, param), dout = drawn((4, 3, 4, 5), np.float32, mode="test")
    x[0, 0, 0, :3] = np.inf, -np.inf, np.nan
    with np.errstate(invalid="ignore"):
        out, cache = layers.bn_gelu_forward(x, gamma, beta, param, engine="native")
        got = [out, *layers.bn_gelu_backward(dout, cache)]
        wanted = one_by_one(x, gamma, beta, param, dout, "none", "native")
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isnan(out[0, 0, 0, 2])


@pytest.mark.skipif("native" not in engines.available(), reason="the native engine is not built")
def test_backward_sees_no_later_change_of_the_vectors():
    (x, gamma, beta, param), dout = drawn((4, 3, 4, 5), mode="test")
    results = []
    for change in 0.0, 1.0:
        _, cache = layers.bn_gelu_forward(x, gamma, beta, param, engine="native")
        for vector in (gamma, beta, param["running_mean"], param["running_var"]):
            vector += change
        results.append(layers.bn_gelu_backward(dout, cache))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_networks_use_it():
    def made(fuse, **options):
        parts = [
            nn.Conv2d(4, 3, pad=1),
            nn.BatchNorm(**options),
            nn.GELU(),
            nn.Flatten(),
            nn.Affine(6),
        ]
        parts += [nn.BatchNorm(), nn.GELU("tanh"), nn.Affine(3)]
        return nn.Sequential(parts, (2, 6, 6), fuse=fuse, rng=0, dtype=np.float64)

    def steps(model):
        return [step.sandwich for step in model._recorded([(5, 2, 6, 6)], "train").steps]

    fused, plain = made(True), made(False)
    assert steps(fused) == [None, "bn_gelu", None, "bn_gelu", None]
    assert steps(made(True, scale=False)) == [None, None, None, None, "bn_gelu", None]
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((5, 2, 6, 6)), rng.integers(0, 3, 5)
    (loss, gradients), (other, others) = fused.loss(X, y), plain.loss(X, y)
    assert loss == other
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, others[name], err_msg=name)
    np.testing.assert_array_equal(fused.loss(X), plain.loss(X))
