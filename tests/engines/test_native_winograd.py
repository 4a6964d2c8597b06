"""Winograd's algorithm with tiles of 2, of 4 and of 8, forward and backward, against float64 sums.

The error of an output is measured on its tile: in units of eps times what the largest numbers that
the tile reads could add up to.  Element by element no bound holds.
"""

from contextlib import contextmanager

import numpy as np
import pytest
from engines.native import _kernels, control, native, setting
from engines.toom_cook import PROMISED
from goals import record
from numpy.lib.stride_tricks import sliding_window_view

EPS = np.finfo(np.float32).eps
STRIDE = (1, 1)


@contextmanager
def tile(size):
    """Compute every 3 x 3 float32 convolution of stride 1 with tiles of this size."""
    _kernels.set_winograd_tile(size)
    try:
        yield
    finally:
        _kernels.set_winograd_tile(0)


def draw_normal(rng, shape):
    return rng.standard_normal(shape)


def draw_large_mean(rng, shape):
    return 1e4 + rng.standard_normal(shape)


def draw_wide_range(rng, shape):
    return rng.standard_normal(shape) * 10.0 ** rng.uniform(-6, 6, shape)


def draw_spikes(rng, shape):
    return rng.standard_normal(shape) * np.where(rng.random(shape) < 0.02, 1e5, 0.0)


def draw_cancelling(rng, shape):
    signs = np.where(np.indices(shape).sum(axis=0) % 2, 1.0, -1.0)
    return signs * (1 + 1e-4 * rng.random(shape))


def draw_tiny(rng, shape):
    return rng.standard_normal(shape) * 1e-25


def draw_subnormal(rng, shape):
    return rng.standard_normal(shape) * 1e-40


DRAWS = [
    draw_normal,
    draw_large_mean,
    draw_wide_range,
    draw_spikes,
    draw_cancelling,
    draw_tiny,
    draw_subnormal,
]


def padded(x, pad):
    """Return x with zeros around it; a negative pad crops."""
    top, left = pad
    out = np.pad(x, ((0, 0), (0, 0), (max(top, 0),) * 2, (max(left, 0),) * 2))
    return out[
        :,
        :,
        max(-top, 0) : out.shape[2] - max(-top, 0),
        max(-left, 0) : out.shape[3] - max(-left, 0),
    ]


def correlate(x, w, pad):
    windows = sliding_window_view(padded(x, pad), (3, 3), axis=(2, 3))
    return np.moveaxis(np.tensordot(windows, w, axes=([1, 4, 5], [1, 2, 3])), 3, 1)


def reference(x, w, b, dout, pad):
    """Return out, dx and dw, summed in float64."""
    x, w, b, dout = (a.astype(np.float64) for a in (x, w, b, dout))
    out = correlate(x, w, pad) + b[:, None, None]
    dx = correlate(dout, turned(w), (2 - pad[0], 2 - pad[1]))
    windows = sliding_window_view(padded(x, pad), (3, 3), axis=(2, 3))
    return out, dx, np.tensordot(dout, windows, axes=([0, 2, 3], [0, 2, 3]))


def turned(w):
    return w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]


def tiles_of(x, window, size, pad, counts):
    """Return the windows that the tiles of `size` read: (N, C, down, across, window, window)."""
    down, across = (-(-count // size) for count in counts)
    whole = np.abs(padded(x.astype(np.float64), pad))
    missing = [
        max(0, size * n + window - have)
        for n, have in zip((down, across), whole.shape[2:], strict=True)
    ]
    whole = np.pad(whole, ((0, 0), (0, 0), (0, missing[0]), (0, missing[1])))
    views = sliding_window_view(whole, (window, window), axis=(2, 3))
    return views[:, :, : size * down : size, : size * across : size]


def correlation_bound(x, w, size, pad, counts):
    largest = tiles_of(x, size + 2, size, pad, counts).max((4, 5))
    bound = np.moveaxis(np.tensordot(largest, np.abs(w).sum((2, 3)), axes=([1], [1])), 3, 1)
    return bound.repeat(size, 2).repeat(size, 3)[:, :, : counts[0], : counts[1]]


def weights_bound(x, dout, size, pad):
    largest = tiles_of(x, size + 2, size, pad, dout.shape[2:]).max((4, 5))
    totals = tiles_of(dout, size, size, (0, 0), dout.shape[2:]).sum((4, 5))
    return np.tensordot(totals, largest, axes=([0, 2, 3], [0, 2, 3]))[:, :, None, None]


def check(got, expected, bound, size):
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    # Below the smallest normal number a rounding is as large as it is there.
    scale = np.broadcast_to(bound, got.shape) + np.finfo(np.float32).tiny
    error = np.abs(got - expected)
    assert (error / (EPS * scale)).max(initial=0) <= PROMISED[size]
    assert np.linalg.norm(error) <= 1e-5 * np.linalg.norm(scale)


def problem(rng, shape, draw=draw_normal, draw_weights=draw_normal):
    """Return x, w, b, dout of a case (N, C, F, H, W, pad)."""
    N, C, F, H, W, pad = shape
    out = N, F, H + 2 * pad[0] - 2, W + 2 * pad[1] - 2
    arrays = (
        draw(rng, (N, C, H, W)),
        draw_weights(rng, (F, C, 3, 3)),
        draw(rng, (F,)),
        draw(rng, out),
    )
    return tuple(array.astype(np.float32) for array in arrays)


def run(x, w, b, dout, pad):
    out, saved = native.conv_forward(x, w, b, STRIDE, pad)
    dx, dw, _ = native.conv_backward(dout, saved)
    return out, dx, dw


def run_direct(*case):
    with setting(exact=True):
        return run(*case)


def check_all(case, pad, size):
    x, w, b, dout = case
    out, dx, dw = run(*case, pad)
    expected = reference(*case, pad)
    bound = correlation_bound(x, w, size, pad, out.shape[2:]) + np.abs(b)[:, None, None]
    check(out, expected[0], bound, size)
    back = 2 - pad[0], 2 - pad[1]
    check(dx, expected[1], correlation_bound(dout, turned(w), size, back, x.shape[2:]), size)
    check(dw, expected[2], weights_bound(x, dout, size, pad), size)


def generated(count):
    rng = np.random.default_rng(20)
    channels = [1, 2, 3, 8, 15, 16, 17, 31, 33, 40]
    for _ in range(count):
        pad = tuple(int(p) for p in rng.integers(0, 3, 2))
        H, W = (int(max(rng.integers(1, 14), 3 - 2 * p)) for p in pad)
        N = int(rng.choice([1, 1, 2, 5]))
        C, F = (int(c) for c in rng.choice(channels, 2))
        yield N, C, F, H, W, pad


@pytest.mark.thorough(keep=3)
@pytest.mark.parametrize("isa", control.isas())
@pytest.mark.parametrize("size", [2, 4, 8])
def test_generated_shapes_stay_within_the_bound_of_their_tiles(size, isa, rng):
    with setting(isa=isa), tile(size):
        for number, shape in enumerate(generated(140)):
            check_all(problem(rng, shape, DRAWS[number % len(DRAWS)]), shape[-1], size)


@pytest.mark.long
@pytest.mark.parametrize("size", [2, 4, 8])
def test_ten_thousand_generated_shapes_stay_within_the_bound_of_their_tiles(size, rng):
    with tile(size):
        for number, shape in enumerate(generated(10_000)):
            draw, draw_weights = DRAWS[number % 7], DRAWS[number // 7 % 7]
            check_all(problem(rng, shape, draw, draw_weights), shape[-1], size)
    record(
        5,
        f"10,000 cases of F({size}x{size}), forward, dx and dw, within {PROMISED[size]} eps of a tile",
    )


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("draw_weights", DRAWS, ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("size", [2, 4, 8])
def test_hostile_numbers_stay_within_the_bound_of_their_tiles(size, draw, draw_weights, rng):
    shape = 2, 24, 33, 11, 8, (1, 1)
    with tile(size):
        check_all(problem(rng, shape, draw, draw_weights), shape[-1], size)


LARGE = [  # many tiles; many filters; both; more inputs than are transformed at once
    (40, 24, 40, 17, 16, (1, 1)),
    (6, 70, 290, 9, 7, (1, 1)),
    (30, 20, 290, 9, 11, (1, 1)),
    (3, 250, 300, 60, 58, (1, 1)),
]


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("shape", LARGE, ids=str)
@pytest.mark.parametrize("size", [2, 4, 8])
def test_every_division_of_the_work(size, shape, rng):
    with tile(size):
        check_all(problem(rng, shape), shape[-1], size)


@pytest.mark.parametrize("shape", LARGE[:3], ids=str)
@pytest.mark.parametrize("size", [2, 4, 8])
def test_results_do_not_depend_on_the_number_of_threads(size, shape, rng):
    case = *problem(rng, shape), shape[-1]
    with tile(size):
        with setting(threads=1):
            expected = run(*case)
        for threads in (2, 3, 4, 8):
            with setting(threads=threads):
                for got, alone in zip(run(*case), expected, strict=True):
                    np.testing.assert_array_equal(got, alone)


@pytest.mark.goal(7, "convolutions of whole numbers, F(2x2) equal to direct and to the exact sums")
@pytest.mark.parametrize("isa", control.isas())
@pytest.mark.parametrize("shape", [*generated(12), (6, 70, 290, 9, 7, (1, 1))], ids=str)
def test_whole_numbers_are_exact_with_tiles_of_two(shape, isa, rng):
    case = (*(np.round(4 * a) for a in problem(rng, shape)), shape[-1])
    with setting(isa=isa):
        with tile(2):
            fast = run(*case)
        for got, direct, expected in zip(fast, run_direct(*case), reference(*case), strict=True):
            np.testing.assert_array_equal(got, expected)
            np.testing.assert_array_equal(got, direct)


def spoiled(case, which, value):
    arrays = [array.copy() for array in case]
    arrays[which][tuple(n // 2 for n in arrays[which].shape)] = value
    return arrays


@pytest.mark.goal(
    6, "inputs with one Inf, NaN or huge number, finite where the direct algorithm is"
)
@pytest.mark.parametrize("which", [0, 1, 3], ids=["x", "w", "dout"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38, -1e38, 1e37, 1e30])
@pytest.mark.parametrize("size", [2, 4, 8])
def test_finite_wherever_the_direct_algorithm_is_finite(size, value, which, rng):
    shape = 2, 17, 33, 9, 8, (1, 1)
    case = *spoiled(problem(rng, shape), which, value), shape[-1]
    with tile(size), np.errstate(all="ignore"):
        for got, direct in zip(run(*case), run_direct(*case), strict=True):
            finite = np.isfinite(direct)
            np.testing.assert_array_equal(np.isfinite(got), finite)
            if not finite.all():
                np.testing.assert_array_equal(got, direct)


@pytest.mark.parametrize("which", [0, 1, 3], ids=["x", "w", "dout"])
@pytest.mark.parametrize("size", [2, 4, 8])
def test_subnormal_numbers_give_what_the_direct_algorithm_gives(size, which, rng):
    shape = 2, 17, 33, 9, 8, (1, 1)
    scales = [1e30, 1e30, 0, 1e30]
    scales[which] = 1e-40
    case = problem(rng, shape)
    case = *((a * s).astype(np.float32) for a, s in zip(case, scales, strict=True)), shape[-1]
    touched = {0: (0, 2), 1: (0, 1), 3: (1, 2)}[which]
    with tile(size), np.errstate(all="ignore"):
        got, direct = run(*case), run_direct(*case)
        for result in touched:
            np.testing.assert_array_equal(got[result], direct[result])


def test_the_faster_algorithm_is_chosen(rng):
    def same(shape):
        case = *problem(rng, shape), shape[-1]
        return [np.array_equal(a, b) for a, b in zip(run(*case), run_direct(*case), strict=True)]

    assert same((4, 3, 64, 32, 32, (1, 1))) == [True] * 3
    assert same((2, 64, 64, 1, 1, (1, 1))) == [True] * 3
    assert same((8, 64, 64, 16, 16, (1, 1))) == [False] * 3
    for shape, sizes in {
        (8, 64, 64, 2, 2): [2, 2, 2],
        (8, 64, 64, 16, 16): [4, 4, 4],
        (128, 32, 32, 16, 16): [4, 4, 4],
        (128, 32, 128, 16, 16): [8, 8, 4],
        (32, 32, 256, 16, 16): [4, 4, 8],
    }.items():
        case = *problem(rng, (*shape, (1, 1))), (1, 1)
        for number, (got, size) in enumerate(zip(run(*case), sizes, strict=True)):
            with tile(size):
                np.testing.assert_array_equal(got, run(*case)[number])


@pytest.mark.parametrize("shape", LARGE[:2], ids=str)
def test_the_steady_state_allocates_nothing(shape, rng):
    case = *problem(rng, shape), shape[-1]
    with tile(4):
        for _ in range(2):
            run(*case)
        before = _kernels.buffer_statistics()
        for _ in range(3):
            run(*case)
        assert _kernels.buffer_statistics() == before
