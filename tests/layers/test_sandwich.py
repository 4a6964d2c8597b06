"""Sandwiches: the courses' figures, equality with the pairs one by one, and what they pass on."""

import numpy as np
import pytest

from handgrad import engines, layers
from handgrad.errors import CacheError, DtypeError, OptionError, ShapeError
from handgrad.gradcheck import eval_numerical_gradient_array, rel_error
from handgrad.layers import chain

ENGINES = ("naive", "vectorized")

CONV = {"stride": 1, "pad": 1}
POOL = {"pool_height": 2, "pool_width": 2, "stride": 2}

# of each part of a name the layer, with the names of its arguments behind x
PARTS = {
    "affine": ("affine", "w", "b"), "conv": ("conv", "w", "b", "conv"), "relu": ("relu",),
    "ln": ("layernorm", "gamma", "beta", "ln"), "pool": ("max_pool", "pool"),
    "gelu": ("gelu", "approximate"),
}  # fmt: skip


def layers_of(sandwich):
    norm = "batchnorm" if sandwich.startswith("affine") else "spatial_batchnorm"
    parts = {**PARTS, "bn": (norm, "gamma", "beta", "bn")}
    return [parts[part] for part in sandwich.split("_")]


SANDWICHES = {
    name: layers_of(name) for name in chain.CHAINS if name != "bn_gelu"
}  # test_bn_gelu.py
NORMED = [name for name in SANDWICHES if "_bn_" in name]
ARRAYS, OPTIONS = ("w", "b", "gamma", "beta"), ("conv", "bn", "ln", "pool", "approximate")


def arguments(sandwich, rng, **options):
    """Return x and the arguments behind it, by name and in order, for `sandwich`."""
    images = not sandwich.startswith("affine")
    values = {
        "x": rng.standard_normal((2, 3, 6, 4) if images else (4, 3, 2)),
        "w": rng.standard_normal((5, 3, 3, 3) if images else (6, 5)),
        "b": rng.standard_normal(5),
        "gamma": rng.standard_normal(5),
        "beta": rng.standard_normal(5),
    }
    values |= {"conv": CONV, "bn": {"mode": "train"}, "ln": {}, "pool": POOL, "approximate": "tanh"}
    values |= options
    used = {name for step in SANDWICHES[sandwich] for name in step[1:]}
    return {"x": values["x"], **{name: values[name] for name in ARRAYS + OPTIONS if name in used}}


def pair(name):
    return getattr(layers, f"{name}_forward"), getattr(layers, f"{name}_backward")


def one_by_one(sandwich, values, dout_like, engine):
    """Return out, dout and the gradients, by calling the pairs themselves."""
    out, caches = values["x"], []
    for layer, *names in SANDWICHES[sandwich]:
        out, cache = pair(layer)[0](out, *(values[name] for name in names), engine=engine)
        caches.append(cache)
    dout = dx = dout_like(out.shape)
    gradients = []
    for (layer, *_), cache in reversed(list(zip(SANDWICHES[sandwich], caches, strict=True))):
        backward = pair(layer)[1] if layer != "batchnorm" else layers.batchnorm_backward_alt
        result = backward(dx, cache)
        dx, *own = result if isinstance(result, tuple) else (result,)
        gradients = [*own, *gradients]
    return out, dout, [dx, *gradients]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize("sandwich", SANDWICHES)
def test_a_sandwich_is_its_pairs(sandwich, mode, engine, rng):
    values = arguments(sandwich, rng, bn={"mode": mode, "eps": 0.1})
    composed = {**values, **({"bn": dict(values["bn"])} if "bn" in values else {})}
    expected, dout, gradients = one_by_one(sandwich, values, rng.standard_normal, engine)
    forward, backward = pair(sandwich)
    out, cache = forward(*composed.values(), engine=engine)
    np.testing.assert_array_equal(out, expected)
    for got, wanted in zip(backward(dout, cache), gradients, strict=True):
        assert np.any(got)
        np.testing.assert_array_equal(got, wanted)
    if "bn" in values:  # both dictionaries were mutated in the same way
        np.testing.assert_equal(composed["bn"], values["bn"])


@pytest.mark.parametrize("sandwich", NORMED)
def test_bn_param_receives_the_running_statistics(sandwich, rng):
    values = arguments(sandwich, rng)
    pair(sandwich)[0](*values.values())
    assert set(values["bn"]) == {"mode", "running_mean", "running_var"}
    assert values["bn"]["running_mean"].shape == (5,)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("sandwich", NORMED)
def test_without_bn_param_there_is_no_normalisation(sandwich, engine, rng):
    values = arguments(sandwich, rng, gamma=None, beta=None, bn=None)
    plain = sandwich.replace("_bn", "")  # a chain, with a function of its name or without
    arrays = [values[key] for key in ("x", "w", "b")]
    options = [values[key] for key in OPTIONS if key in values and key != "bn"]
    forward, backward = pair(sandwich)
    out, cache = forward(*values.values(), engine=engine)
    expected, expected_cache = chain.forward(plain, arrays, options, engine)
    np.testing.assert_array_equal(out, expected)
    dout = rng.standard_normal(out.shape)
    *gradients, dgamma, dbeta = backward(dout, cache)
    assert dgamma is None
    assert dbeta is None
    for got, wanted in zip(gradients, chain.backward(plain, dout, expected_cache), strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("sandwich", SANDWICHES)
def test_one_dtype_from_end_to_end(sandwich, rng):
    """The result's dtype follows all arrays of the call, not those of its first layer alone."""
    values = arguments(sandwich, rng)
    *others, last = (name for name in values if name in ("x", *ARRAYS))
    for name in others:
        values[name] = values[name].astype(np.float32)
    for dtype in (np.float64, np.float32):
        values[last] = values[last].astype(dtype)
        out, cache = pair(sandwich)[0](*values.values())
        gradients = pair(sandwich)[1](np.ones(out.shape), cache)
        assert {array.dtype for array in (out, *gradients)} == {np.dtype(dtype)}
    values[last] = values[last].astype(np.float16)
    with pytest.raises(DtypeError, match=f"^{sandwich}_forward: {last} must be float32"):
        pair(sandwich)[0](*values.values())


@pytest.mark.parametrize("sandwich", SANDWICHES)
def test_the_engine_that_is_asked_for_makes_every_layer(sandwich, rng, monkeypatch):
    made = []
    select = engines.select
    monkeypatch.setattr(engines, "select", lambda *a: made.append(select(*a)[0]) or select(*a))
    _, cache = pair(sandwich)[0](*arguments(sandwich, rng).values(), engine="naive")
    assert made == ["naive"]
    assert cache.engine == "naive"
    assert len(cache.saved.parts) == len(cache.saved.kept) == len(SANDWICHES[sandwich])
    modules = {type(saved).__module__ for saved in cache.saved.kept if hasattr(saved, "_fields")}
    assert all(module.startswith("handgrad.engines.naive") for module in modules)


def test_gradients_of_affine_relu_of_the_course():
    """FullyConnectedNets, seed 231: dx up to 6.75e-11, dw 8.162e-11, db 7.827e-12."""
    draw = np.random.RandomState(231).randn
    arrays, dout = (draw(2, 3, 4), draw(12, 10), draw(10)), draw(2, 10)
    errors = gradient_errors("affine_relu", arrays, (), dout)
    assert all(np.less(errors, (5e-10, 5e-10, 5e-11))), errors


@pytest.mark.parametrize(
    ("sandwich", "size", "options", "bounds"),
    [
        ("conv_relu_pool", 16, (CONV, POOL), (4e-8, 6e-8, 8e-9)),
        ("conv_relu", 8, (CONV,), (2e-8, 2e-9, 8e-10)),
    ],
)
def test_gradients_of_conv_sandwiches_of_the_course(sandwich, size, options, bounds):
    """ConvolutionalNetworks, seed 231: four times the larger of the two figures seen there."""
    draw = np.random.RandomState(231).randn
    arrays, dout = (draw(2, 3, size, size), draw(3, 3, 3, 3), draw(3)), draw(2, 3, 8, 8)
    errors = gradient_errors(sandwich, arrays, options, dout)
    assert all(np.less(errors, bounds)), errors


def gradient_errors(sandwich, arrays, options, dout):
    forward, backward = pair(sandwich)
    _, cache = forward(*arrays, *options)
    return [
        rel_error(
            eval_numerical_gradient_array(lambda _: forward(*arrays, *options)[0], array, dout),
            gradient,
        )
        for array, gradient in zip(arrays, backward(dout, cache), strict=True)
    ]


@pytest.mark.parametrize("sandwich", SANDWICHES)
def test_wrong_calls(sandwich, rng):
    forward, backward = pair(sandwich)
    values = arguments(sandwich, rng)
    out, cache = forward(*values.values())
    with pytest.raises(ShapeError, match=rf"^{sandwich}_backward: dout must have the output's"):
        backward(np.ones(out.shape[1:]), cache)
    other = "conv_relu" if sandwich != "conv_relu" else "affine_relu"
    with pytest.raises(CacheError, match=rf"^{other}_backward: .*the cache of {sandwich}_forward"):
        pair(other)[1](out, cache)
    if "b" in values:
        with pytest.raises(ShapeError, match=r"^(affine|conv)_forward: b must have shape \(5,\)"):
            forward(*{**values, "b": np.ones(6)}.values())
    if "gamma" in values:
        with pytest.raises(ShapeError, match=r"norm_forward: gamma must have shape \(5,\)"):
            forward(*{**values, "gamma": np.ones(6)}.values())
    if "bn" in values:
        with pytest.raises(OptionError, match='Invalid forward batchnorm mode "no"'):
            forward(*{**values, "bn": {"mode": "no"}}.values())


@pytest.mark.skipif("native" not in engines.available(), reason="the native engine is not built")
@pytest.mark.parametrize("sandwich", [name for name in SANDWICHES if "_ln_" not in name])
def test_the_native_engine_computes_a_chain_in_one_call(sandwich, rng):
    _, cache = pair(sandwich)[0](*arguments(sandwich, rng).values(), engine="native")
    (names,) = cache.saved.parts
    assert names == tuple(layer.removeprefix("spatial_") for layer, *_ in SANDWICHES[sandwich])


@pytest.mark.skipif("native" not in engines.available(), reason="the native engine is not built")
def test_a_pool_with_padding_is_a_call_of_its_own(rng):
    pool = {**POOL, "pad": 1}
    values = arguments("conv_bn_relu_pool", rng, pool=pool)
    out, cache = layers.conv_bn_relu_pool_forward(*values.values(), engine="native")
    assert cache.saved.parts == (("conv", "batchnorm", "relu"), ("max_pool",))
    values["bn"] = {"mode": "train"}
    wanted, _ = layers.conv_bn_relu_pool_forward(*values.values(), engine="vectorized")
    np.testing.assert_allclose(out, wanted, rtol=1e-12)


@pytest.mark.skipif("native" not in engines.available(), reason="the native engine is not built")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(5, 7, 3), (100, 100, 100), (300, 40, 70), (1, 600, 300)])
def test_affine_relu_in_one_call_gives_the_bits_of_two(size, dtype, rng):
    N, D, M = size
    x, w, b, dout = (rng.standard_normal(s).astype(dtype) for s in ((N, D), (D, M), M, (N, M)))
    x[0, 0] = np.nan  # passes the rectifier, but its gradient does not
    w[:, 0], b[0] = 0, 0  # at the kink
    with engines.use("native"):
        hidden, affine = layers.affine_forward(x, w, b)
        right, relu = layers.relu_forward(hidden)
        rights = layers.affine_backward(layers.relu_backward(dout, relu), affine)
        out, cache = layers.affine_relu_forward(x, w, b)
        for need_dx in True, False:
            dx, dw, db = layers.affine_relu_backward(dout, cache, need_dx=need_dx)
            for got, expected in zip((out, dw, db), (right, *rights[1:]), strict=True):
                np.testing.assert_array_equal(got, expected)
            assert need_dx or dx is None
            assert not need_dx or np.array_equal(dx, rights[0], equal_nan=True)


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("sandwich", [name for name in SANDWICHES if name.endswith("_pool")])
def test_a_pool_that_does_not_fit_is_refused(sandwich, engine, rng):
    pool = {"pool_height": 7, "pool_width": 2, "stride": 2}
    values = arguments(sandwich, rng, pool=pool)
    with pytest.raises(ShapeError, match=r"^max_pool_forward: the window is larger"):
        pair(sandwich)[0](*values.values(), engine=engine)
