"""Direct float32 convolutions against float64 sums, and whole numbers, which every engine adds exactly.

A sum of n products, in any order, is off by at most gamma_n = n u / (1 - n u) times the sum of the
products' sizes, with u = eps / 2 (Higham, Accuracy and Stability of Numerical Algorithms, 3.1).
"""

import numpy as np
import pytest
from engines.native import control, difference, native, setting, vectorized
from goals import record

from handgrad import engines

EPS = float(np.finfo(np.float32).eps)


def normal(rng, shape):
    return rng.standard_normal(shape)


def spread(rng, shape):
    return rng.standard_normal(shape) * 10.0 ** rng.uniform(-4, 4, shape)


def far_from_zero(rng, shape):
    return 1e3 + rng.standard_normal(shape)


def whole(rng, shape):
    return rng.integers(-8, 9, shape).astype(np.float64)


def problem(rng, draw, most=33):
    """Return x, w, b and dout of a convolution of any kind, and its (stride, pad)."""
    N, (C, F) = int(rng.integers(1, 4)), rng.integers(1, most + 1, 2)
    window, stride, pad = rng.integers(1, 6, 2), rng.integers(1, 4, 2), rng.integers(0, 3, 2)
    image = np.maximum(1, window - 2 * pad) + rng.integers(0, 8, 2)
    out = 1 + (image + 2 * pad - window) // stride
    shapes = (N, C, *image), (F, C, *window), (F,), (N, F, *out)
    options = tuple(stride.tolist()), tuple(pad.tolist())
    return [draw(rng, shape).astype(np.float32) for shape in shapes], options


def passes(engine, arrays, options):
    """Return out, dx, dw and db."""
    *inputs, dout = arrays
    out, saved = engine.conv_forward(*inputs, *options)
    return [out, *engine.conv_backward(dout, saved)]


def ratios(rng):
    """Return the errors of all results of a convolution, in eps times the sum of sizes; check gamma_n."""
    arrays, options = problem(rng, [normal, spread, far_from_zero][rng.integers(3)])
    wide = [array.astype(np.float64) for array in arrays]
    got, exact = passes(native, arrays, options), passes(vectorized, wide, options)
    sizes = passes(vectorized, [np.abs(array) for array in wide], options)
    F, C, HH, WW = arrays[1].shape
    places = arrays[3].size // F
    found = []
    for result, right, size, n in zip(
        got, exact, sizes, (C * HH * WW + 1, F * HH * WW, places, places), strict=True
    ):
        assert result.dtype == np.float32
        error = np.abs(result - right)
        gamma = n * EPS / 2 / (1 - n * EPS / 2)
        assert (error <= gamma * (1 + 1e-6) * size).all()
        found.append((error[size > 0] / (EPS * size[size > 0])).ravel())
    return np.concatenate(found)


def check_ratios(rng, cases):
    """Check that at most one in a thousand errors is above 4 eps."""
    count = above = 0
    for _ in range(cases):
        found = ratios(rng)
        count += found.size
        above += int((found > 4).sum())
    assert count > 100 * cases
    assert above <= 1e-3 * count
    share = f"{above / count:.1e} of {count:,} errors above 4 eps"
    return f"{cases:,} direct float32 convolutions within gamma_n; {share}"


@pytest.mark.parametrize("isa", control.isas())
def test_direct_convolutions_stay_within_the_bound_of_their_roundings(isa, rng):
    with setting(isa=isa, exact=True):
        check_ratios(rng, 200)


# N, C, H, W; F, window; stride, pad: images of whole tiles of channels, read where they are or in padded
# bands; several images in a piece; bands of rows; more filters than a panel; blocks of the depth
SIZES = (
    (3, 16, 5, 6, 16, (1, 1), 1, 0), (2, 24, 9, 11, 40, (1, 1), 2, 0), (40, 8, 3, 3, 9, (3, 3), 1, 0),
    (9, 32, 4, 4, 33, (3, 3), 2, 1), (1, 48, 40, 37, 20, (3, 3), 2, 1), (2, 64, 14, 13, 70, (5, 5), 1, 2),
    (1, 20, 33, 30, 12, (5, 3), 1, 1), (1, 200, 6, 6, 65, (3, 3), 1, 1), (33, 3, 9, 9, 17, (7, 7), 2, 3),
    (1, 3, 70, 300, 31, (3, 3), 1, 1), (5, 1, 28, 28, 64, (5, 5), 1, 2), (1, 16, 1, 1, 16, (3, 3), 3, 4),
)  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("isa", control.isas())
def test_direct_convolutions_of_all_layouts_of_work(isa, size, rng):
    N, C, H, W, F, window, stride, pad = size
    out = [1 + (n + 2 * pad - w) // stride for n, w in zip((H, W), window, strict=True)]
    shapes = (N, C, H, W), (F, C, *window), (F,), (N, F, *out)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    # NaN behind the images' memory: what is read too much must not count
    memory = np.full(N * H * W * C + 64, np.nan)
    arrays[0] = memory[: N * H * W * C].reshape(N, H, W, C).transpose(0, 3, 1, 2)
    arrays[0][...] = rng.standard_normal(arrays[0].shape)
    options = (stride, stride), (pad, pad)
    expected = passes(vectorized, arrays, options)
    with setting(isa=isa, threads=1, exact=True):
        alone = passes(native, arrays, options)
    with setting(isa=isa, threads=3, exact=True):
        results = passes(native, arrays, options)
    for got, first, right in zip(results, alone, expected, strict=True):
        assert difference(got, right) <= 1e-12
        np.testing.assert_array_equal(got, first)


@pytest.mark.long
def test_ten_thousand_direct_convolutions_stay_within_the_bound_of_their_roundings(rng):
    with setting(exact=True):
        record(4, check_ratios(rng, 10_000))


@pytest.mark.long
def test_two_thousand_float64_convolutions_are_pytorchs(rng):
    torch = pytest.importorskip("torch")
    for _ in range(2000):
        arrays, (stride, pad) = problem(rng, normal)
        arrays = [array.astype(np.float64) for array in arrays]
        tensors = [torch.from_numpy(array).requires_grad_() for array in arrays[:3]]
        out = torch.nn.functional.conv2d(*tensors, stride=stride, padding=pad)
        expected = [out, *torch.autograd.grad(out, tensors, torch.from_numpy(arrays[3]))]
        for got, right in zip(passes(native, arrays, (stride, pad)), expected, strict=True):
            assert difference(got, right.detach().numpy()) <= 1e-10
    record(4, "2,000 float64 convolutions equal to PyTorch's within 1e-10")


def whole_results(rng, engine, dtype):
    """Return what an engine makes of whole numbers: convolution, affine layer, pooling, ReLU."""
    arrays, options = problem(rng, whole, most=6)
    results = passes(engine, [array.astype(dtype) for array in arrays], options)
    x, w, b, dout = (whole(rng, s).astype(dtype) for s in ((3, 20), (20, 35), (35,), (3, 35)))
    out, saved = engine.affine_forward(x, w, b)
    results += [out, *engine.affine_backward(dout, saved)]
    images, dout = whole(rng, (2, 3, 6, 7)).astype(dtype), whole(rng, (2, 3, 3, 3)).astype(dtype)
    for layer in "max_pool", "avg_pool":
        out, saved = getattr(engine, layer + "_forward")(images, (2, 2), (2, 2))
        results += [out, getattr(engine, layer + "_backward")(dout, saved)]
    out, saved = engine.relu_forward(images)
    return [*results, out, engine.relu_backward(images, saved)]


@pytest.mark.goal(7, "times 12 cases of whole numbers the same in every engine, all layers")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("isa", control.isas())
def test_whole_numbers_are_the_same_in_every_engine(isa, dtype):
    with setting(isa=isa):
        for seed in range(12):  # 12 lattice cases for each instruction set and dtype
            expected = whole_results(np.random.default_rng(seed), engines.get("naive"), dtype)
            for engine in vectorized, native:
                results = whole_results(np.random.default_rng(seed), engine, dtype)
                for got, right in zip(results, expected, strict=True):
                    np.testing.assert_array_equal(got, right)
