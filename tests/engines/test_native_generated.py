"""Generated sizes, strides and pads: float64 equals the vectorized engine, in every instruction set."""

import numpy as np
import pytest
from engines.native import control, difference, native, setting, vectorized

from handgrad import layers
from handgrad.engines.pairs import FUNCTIONS

TOLERANCE = 1e-12


def memory(rng, x):
    """Return x in one of the memory layouts that a caller may come with."""
    kind = rng.integers(5)
    if kind == 0:
        return x
    if kind == 1 and x.ndim == 4:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if kind == 2:
        return np.asfortranarray(x)
    if kind == 3:
        return np.flip(np.ascontiguousarray(np.flip(x, -1)), -1)
    x = x.copy()
    x.flags.writeable = False
    return x


def pair(rng, layer, arrays, options=()):
    """Return the largest difference of forward and all gradients from the vectorized engine."""
    arrays = [memory(rng, array) for array in arrays]
    copies = [array.copy() for array in arrays]
    results = []
    for engine in native, vectorized:
        out, saved = getattr(engine, layer + "_forward")(*arrays, *options)
        dout = np.random.default_rng(0).standard_normal(out.shape)
        gradients = getattr(engine, layer + "_backward")(memory(rng, dout), saved)
        results.append([out, *(gradients if isinstance(gradients, tuple) else (gradients,))])
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    return max(map(difference, *results))


def sizes(rng, low, high, count):
    return tuple(int(size) for size in rng.integers(low, high + 1, count))


def conv(rng):
    N, C, F = sizes(rng, 1, 4, 1)[0], *sizes(rng, 1, 40, 2)
    (HH, WW), stride, pad = sizes(rng, 1, 5, 2), sizes(rng, 1, 4, 2), sizes(rng, 0, 4, 2)
    H, W = (
        max(1, size - 2 * p) + int(rng.integers(12)) for size, p in zip((HH, WW), pad, strict=True)
    )
    x, w = rng.standard_normal((N, C, H, W)), rng.standard_normal((F, C, HH, WW))
    return pair(rng, "conv", (x, w, rng.standard_normal(F)), (stride, pad))


def grouped(rng, layer):
    """Convolutions, and their transposes, in groups and with holes in the window."""
    groups, C, F = sizes(rng, 1, 4, 3)
    window, stride, dilation = (sizes(rng, 1, 3, 2) for _ in range(3))
    pad = tuple(
        int(rng.integers(d * (k - 1) // 2 + 1)) for k, d in zip(window, dilation, strict=True)
    )
    H, W = (d * (k - 1) + 1 + int(rng.integers(7)) for k, d in zip(window, dilation, strict=True))
    x = rng.standard_normal((*sizes(rng, 1, 3, 1), groups * C, H, W))
    if layer == "conv":
        shape, count, options = (groups * F, C, *window), groups * F, (stride, pad)
    else:
        output_pad = tuple(int(rng.integers(s)) for s in stride)
        shape, count = (groups * C, F, *window), groups * F
        options = stride, pad, output_pad
    arrays = x, rng.standard_normal(shape), rng.standard_normal(count)
    return pair(rng, layer, arrays, (*options, dilation, groups))


def pool(rng, layer):
    window, stride = sizes(rng, 1, 4, 2), sizes(rng, 1, 4, 2)
    H, W = (size + int(rng.integers(9)) for size in window)
    x = rng.standard_normal((*sizes(rng, 1, 4, 1), *sizes(rng, 1, 40, 1), H, W))
    return pair(rng, layer, (x,), (window, stride))


def affine(rng):
    N, D, M = sizes(rng, 1, 90, 3)
    return pair(rng, "affine", [rng.standard_normal(shape) for shape in ((N, D), (D, M), (M,))])


def norm(rng):
    C = int(rng.integers(1, 40))
    x = rng.standard_normal((int(rng.integers(2, 20)), C, *sizes(rng, 1, 6, 2 * rng.integers(2))))
    return pair(rng, "batchnorm", (x, *rng.standard_normal((2, C))), (1e-5,))


def groups(rng):
    count, each = sizes(rng, 1, 5, 2)
    x = rng.standard_normal((int(rng.integers(1, 9)), count * each, *sizes(rng, 2, 6, 2)))
    return pair(rng, "groupnorm", (x, *rng.standard_normal((2, count * each))), (count, 1e-5))


def given_moments(rng):
    C = int(rng.integers(1, 40))
    x = rng.standard_normal((int(rng.integers(1, 20)), C, *sizes(rng, 1, 6, 2 * rng.integers(2))))
    gamma, beta, mean = rng.standard_normal((3, C))
    return pair(rng, "batchnorm_test", (x, gamma, beta, mean, 0.1 + rng.random(C)), (1e-5,))


def batchnorm_alt(rng):
    """Hold both backwards of batch normalisation of the native engine against each other's twin."""
    x = rng.standard_normal((int(rng.integers(2, 20)), *sizes(rng, 1, 40, 1)))
    gamma, beta = rng.standard_normal((2, x.shape[1]))
    dout = rng.standard_normal(x.shape)
    results = [
        engine.batchnorm_backward_alt(dout, engine.batchnorm_forward(x, gamma, beta, 1e-5)[1])
        for engine in (native, vectorized)
    ]
    return max(map(difference, *results))


def join(rng, layer):
    N, C, more, *image = sizes(rng, 1, 9, 3 + int(rng.integers(3)))
    shapes = (N, C, *image), (N, C if layer == "add" else more, *image)
    return pair(rng, layer, [rng.standard_normal(shape) for shape in shapes])


def upsample(rng):
    x = rng.standard_normal(sizes(rng, 1, 7, 4))
    return pair(rng, "upsample", (x,), (sizes(rng, 1, 4, 2), bool(rng.integers(2))))


def any_shape(rng):
    return sizes(rng, 1, 12, int(rng.integers(1, 5)))


def elementwise(layer, *options):
    def compare(rng):
        x = 3 * rng.standard_normal(any_shape(rng))
        return pair(rng, layer, (x,), [option(rng) for option in options])

    return compare


def prelu(rng):
    x = rng.standard_normal(sizes(rng, 1, 12, int(rng.integers(2, 5))))
    return pair(rng, "prelu", (x, rng.standard_normal(x.shape[1] if rng.integers(2) else 1)))


def maxout(rng):
    N, count, pieces = sizes(rng, 1, 9, 3)
    x = rng.standard_normal((N, count * pieces, *sizes(rng, 1, 5, 2 * rng.integers(2))))
    return pair(rng, "maxout", (x,), (pieces,))


def dropout(rng):
    x = rng.standard_normal(any_shape(rng))
    mask = (rng.random(x.shape) < 0.7) / 0.7 if rng.integers(4) else None
    return pair(rng, "dropout", (x,), (mask,))


def loss(name):
    def compare(rng):
        N, C = sizes(rng, 1, 60, 2)
        x, y = 5 * rng.standard_normal((N, C)), rng.integers(C, size=N)
        results = [getattr(engine, name)(memory(rng, x), y) for engine in (native, vectorized)]
        return max(map(difference, *results))

    return compare


def weighted(name, targets):
    """A loss of targets, drawn by `targets`, and of the weights of its rows."""

    def compare(rng):
        x, weights = 5 * rng.standard_normal(sizes(rng, 1, 60, 2)), rng.random(60)
        y = targets(rng, x.shape)
        results = [
            getattr(engine, name)(memory(rng, x), y, weights[: len(x)])
            for engine in (native, vectorized)
        ]
        return max(map(difference, *results))

    return compare


def reals(rng, shape):
    return rng.standard_normal(shape)


def zeros_and_ones(rng, shape):
    return rng.integers(2, size=shape).astype(float)


def sandwich(name):
    """Compare a sandwich, fused and composed, in the memory layouts of its arrays."""

    def compare(rng):
        images = name.startswith("conv")
        N, C, F = sizes(rng, 2, 5, 1)[0], *sizes(rng, 1, 24, 2)
        size, stride, pad = int(rng.integers(1, 4)), int(rng.integers(1, 3)), int(rng.integers(2))
        H, W = (size + 1 + stride + int(n) for n in rng.integers(9, size=2))
        shapes = [(N, C, H, W), (F, C, size, size)] if images else [(N, C), (C, F)]
        shapes += [(F,)] * (3 if "_bn" in name else 1)
        arrays = [memory(rng, rng.standard_normal(shape)) for shape in shapes]
        conv_param = {"stride": stride, "pad": pad}
        pool_param = {"pool_height": 2, "pool_width": 2, "stride": int(rng.integers(1, 3))}
        mode = "train" if rng.integers(4) else "test"
        moments = rng.standard_normal(F), 0.1 + rng.random(F)
        results = []
        for engine in "native", "vectorized":
            bn_param = {"mode": mode, "running_mean": moments[0], "running_var": moments[1]}
            params = [dict(conv_param)] * images + [bn_param] * ("_bn" in name)
            params += [pool_param] * name.endswith("pool")
            out, cache = getattr(layers, name + "_forward")(*arrays, *params, engine=engine)
            dout = np.random.default_rng(0).standard_normal(out.shape)
            gradients = getattr(layers, name + "_backward")(memory(rng, dout), cache)
            results.append([out, bn_param["running_mean"], bn_param["running_var"], *gradients])
        return max(map(difference, *results))

    return compare


def number(low, high):
    return lambda rng: float(rng.uniform(low, high))


def embedding(rng):
    words = rng.integers(0, 7, sizes(rng, 1, 6, 2))
    return pair(rng, "word_embedding", [rng.standard_normal((7, 5))], (words,))


KINDS = {
    "word_embedding": embedding,
    "add": lambda rng: join(rng, "add"),
    "affine": affine,
    "affine_bn_relu": sandwich("affine_bn_relu"),
    "affine_relu": sandwich("affine_relu"),
    "avg_pool": lambda rng: pool(rng, "avg_pool"),
    "batchnorm": norm,
    "batchnorm_alt": batchnorm_alt,
    "batchnorm_test": given_moments,
    "concat": lambda rng: join(rng, "concat"),
    "conv": conv,
    "conv_bn_relu": sandwich("conv_bn_relu"),
    "conv_bn_relu_pool": sandwich("conv_bn_relu_pool"),
    "conv_grouped": lambda rng: grouped(rng, "conv"),
    "conv_pool": sandwich("conv_pool"),
    "conv_relu": sandwich("conv_relu"),
    "conv_relu_pool": sandwich("conv_relu_pool"),
    "conv_transpose": lambda rng: grouped(rng, "conv_transpose"),
    "dropout": dropout,
    "elu": elementwise("elu", number(0.1, 2)),
    "flatten": elementwise("flatten"),
    "gelu": elementwise("gelu", lambda rng: ("none", "tanh")[rng.integers(2)]),
    "global_avg_pool": lambda rng: pair(
        rng, "global_avg_pool", (rng.standard_normal(sizes(rng, 1, 9, 4)),)
    ),
    "groupnorm": groups,
    "leaky_relu": elementwise("leaky_relu", number(0, 1)),
    "max_pool": lambda rng: pool(rng, "max_pool"),
    "maxout": maxout,
    "prelu": prelu,
    "relu": elementwise("relu"),
    "sigmoid": elementwise("sigmoid"),
    "softplus": elementwise("softplus"),
    "softmax_loss": loss("softmax_loss"),
    "svm_loss": loss("svm_loss"),
    "absolute_loss": weighted("absolute_loss", reals),
    "binary_cross_entropy_loss": weighted("binary_cross_entropy_loss", zeros_and_ones),
    "focal_loss": weighted("focal_loss", lambda rng, shape: rng.integers(shape[1], size=shape[0])),
    "huber_loss": weighted("huber_loss", reals),
    "mse_loss": weighted("mse_loss", reals),
    "poisson_loss": weighted("poisson_loss", zeros_and_ones),
    "quantile_loss": weighted("quantile_loss", reals),
    "tanh": elementwise("tanh"),
    "upsample": upsample,
}


def test_every_layer_of_the_engine_has_its_kind():
    compared = {f"{kind}_forward" for kind in KINDS} | {f"{kind}_backward" for kind in KINDS}
    assert compared | set(KINDS) | {"batchnorm_backward_alt"} >= FUNCTIONS


@pytest.mark.parametrize("isa", control.isas())
@pytest.mark.parametrize("kind", KINDS)
def test_float64_equals_the_vectorized_engine(kind, isa):
    rng = np.random.default_rng(list(kind.encode()))
    with setting(isa=isa):
        for _ in range(40):
            assert KINDS[kind](rng) <= TOLERANCE


@pytest.mark.long
@pytest.mark.goal(3, "layers x 2,000 sizes: native equal to vectorized within 1e-12, float64")
@pytest.mark.parametrize("kind", KINDS)
def test_float64_equals_the_vectorized_engine_in_thousands(kind):
    rng = np.random.default_rng([1, *kind.encode()])
    assert max(KINDS[kind](rng) for _ in range(2000)) <= TOLERANCE


@pytest.mark.parametrize("isa", control.isas())
def test_large_products_use_every_part_of_the_plan(isa, rng):
    """Several blocks of rows and depth, split sums, and the few-channels backward."""
    with setting(isa=isa):
        assert (
            pair(rng, "affine", [rng.standard_normal(s) for s in ((150, 700), (700, 130), (130,))])
            < 1e-12
        )
        assert (
            pair(rng, "affine", [rng.standard_normal(s) for s in ((5000, 9), (9, 64), (64,))])
            < 1e-12
        )
        x, w = rng.standard_normal((9, 3, 33, 31)), rng.standard_normal((32, 3, 3, 3))
        assert pair(rng, "conv", (x, w, rng.standard_normal(32)), ((1, 1), (1, 1))) < 1e-12
        assert (
            pair(rng, "max_pool", (rng.standard_normal((2, 5, 40, 40)),), ((17, 16), (3, 2)))
            < 1e-12
        )


@pytest.mark.parametrize("isa", control.isas())
@pytest.mark.parametrize("shape", [(5000, 19), (40, 33, 9, 8)], ids=str)
def test_the_variance_survives_a_mean_far_from_zero(shape, isa, rng):
    """The mean of the squares less the square of the mean would lose every digit here."""
    x = (1e4 + rng.standard_normal(shape)).astype(np.float32)
    axes = (0, *range(2, x.ndim))
    ones = np.ones(shape[1], np.float32)
    with setting(isa=isa):
        _, saved = native.batchnorm_forward(x, ones, ones, 1e-5)
    wide = x.astype(np.float64)
    assert difference(saved.mean, wide.mean(axes)) < 1e-6
    assert difference(saved.var, wide.var(axes)) < 1e-5
