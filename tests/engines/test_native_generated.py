"""Generated sizes, strides and pads: float64 equals the vectorized engine, in every instruction set."""

import numpy as np
import pytest
from engines.native import control, difference, native, setting, vectorized

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


KINDS = {
    "affine": affine,
    "avg_pool": lambda rng: pool(rng, "avg_pool"),
    "batchnorm": norm,
    "conv": conv,
    "groupnorm": groups,
    "max_pool": lambda rng: pool(rng, "max_pool"),
}


@pytest.mark.parametrize("isa", control.isas())
@pytest.mark.parametrize("kind", KINDS)
def test_float64_equals_the_vectorized_engine(kind, isa):
    rng = np.random.default_rng(list(kind.encode()))
    with setting(isa=isa):
        for _ in range(40):
            assert KINDS[kind](rng) <= TOLERANCE


@pytest.mark.long
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
