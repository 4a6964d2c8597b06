"""Convolutions of bf16 images, by each of the kernels that this machine can run; bf16.py has the bounds."""

import numpy as np
import pytest
from engines.bf16 import EACH, KINDS, half, of_kind, wide, within
from engines.native import _kernels, native, setting, vectorized

# N, C, H, W, F, HH, WW, stride, pad, dilation; rows of 16 and 32 pixels are tiles as they lie in memory
SIZES = [
    (2, 3, 9, 8, 16, 3, 3, (1, 1), (1, 1), (1, 1)),
    (1, 32, 6, 16, 33, 3, 3, (1, 1), (1, 1), (1, 1)),
    (2, 64, 3, 32, 40, 1, 1, (1, 1), (0, 0), (1, 1)),
    (1, 33, 5, 33, 7, 3, 2, (1, 2), (1, 0), (1, 1)),
    (2, 5, 11, 10, 7, 5, 5, (2, 2), (2, 2), (1, 1)),
    (9, 40, 4, 4, 20, 3, 3, (1, 1), (1, 1), (1, 1)),
    (1, 3, 12, 12, 8, 7, 7, (3, 3), (3, 3), (1, 1)),
    (1, 1, 6, 5, 9, 3, 3, (1, 1), (0, 0), (1, 1)),
    (2, 6, 9, 17, 5, 3, 3, (2, 1), (2, 2), (2, 2)),
    (1, 2, 2, 2, 3, 2, 2, (3, 3), (0, 0), (1, 1)),
    (1, 2, 40, 20, 3, 1, 1, (1, 1), (0, 0), (1, 1)),
    (1, 4, 3, 3, 2, 1, 1, (1, 1), (2, 2), (1, 1)),
]


def images(rng, *shape):
    """Return bf16 images, channels last in memory."""
    return half(rng.standard_normal((shape[0], *shape[2:], shape[1]))).transpose(0, 3, 1, 2)


def drawn(rng, size):
    """Return x, w, b, dout and the options."""
    N, C, H, W, F, HH, WW, stride, pad, dilation = size
    w = rng.standard_normal((F, C, HH, WW)).astype(np.float32)
    b = rng.standard_normal(F).astype(np.float32)
    x = images(rng, N, C, H, W)
    out, _ = vectorized.conv_forward(wide(x), w.astype(np.float64), b, stride, pad, dilation)
    return x, w, b, images(rng, *out.shape), (stride, pad, dilation)


def reference(x, w, b, dout, options):
    """Return out, dx, dw, db in float64."""
    out, saved = vectorized.conv_forward(x, w, b, *options)
    return out, *vectorized.conv_backward(dout, saved)


def arrays(x, w, b, dout, options):
    return (
        _kernels.bf16_conv_forward(x, w, b, *options),
        *_kernels.bf16_conv_backward(dout, x, w, *options),
    )


@EACH
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products_of_windows(isa, kind, size, rng):
    """Outputs and gradients, where no other algorithm is asked; the weights that count are of bf16, too."""
    x, w, b, dout, options = drawn(rng, size)

    def call():
        with setting(exact=True):
            return arrays(x, w, b, dout, options)

    found = of_kind(isa, kind, call)
    numbers = wide(x), wide(half(w)), b.astype(np.float64), wide(dout)
    expected = reference(*numbers, options)
    sizes = reference(*map(np.abs, numbers), options)
    N, C, _, _, F, HH, WW, *_ = size
    pixels = N * dout.shape[2] * dout.shape[3]
    counts = C * HH * WW + 1, F * HH * WW, pixels, pixels
    for got, right, size_of, count, is_half in zip(
        found, expected, sizes, counts, (True, True, False, False), strict=True
    ):
        within(got, right, size_of, count, is_half)


@pytest.mark.parametrize("size", [*SIZES, (3, 16, 5, 7, 40, 1, 1, (1, 1), (0, 0), (1, 1))], ids=str)
def test_the_emulation_convolves_with_the_bits_of_the_processor(size, rng):
    """Whatever the vectors' width."""
    x, w, b, dout, options = drawn(rng, size)

    def call():
        with setting(exact=True):
            return arrays(x, w, b, dout, options)

    kinds = [
        (isa, kind)
        for isa, kind in KINDS
        if kind != "amx-model" and kind != "amx" and isa != "portable"
    ]
    found = [of_kind(isa, kind, call, (1,)) for isa, kind in kinds]
    for other in found[1:]:
        for one, another in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, another)


@pytest.mark.parametrize("tile", [2, 4, 8])
@pytest.mark.parametrize("size", [SIZES[0], SIZES[1], SIZES[5]], ids=str)
def test_winograd_reads_and_writes_bf16(tile, size, rng):
    """The bits of float32's algorithm on the same numbers, rounded once."""
    x, w, b, dout, options = drawn(rng, size)
    full = _kernels.bf16_widen(x), w, b, _kernels.bf16_widen(dout)
    _kernels.set_winograd_tile(tile)
    try:
        for threads in 1, 3:
            with setting(threads=threads):
                found = arrays(x, w, b, dout, options)
                out, saved = native.conv_forward(*full[:3], *options)
                expected = out, *native.conv_backward(full[3], saved)
            for got, right in zip(found[:2], expected[:2], strict=True):
                np.testing.assert_array_equal(got, half(right))
            np.testing.assert_array_equal(found[2], expected[2])
    finally:
        _kernels.set_winograd_tile(0)


@EACH
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("rectify", [True, False])
def test_pooling_at_once(isa, kind, exact, rectify, rng):
    """Two by two pooling behind a convolution, and its gradients: as one by one, also of odd sizes."""
    for size in SIZES[1], SIZES[3], SIZES[5]:
        x, w, b, _, options = drawn(rng, size)

        def call(x=x, w=w, b=b, options=options):
            with setting(exact=exact):
                _kernels.set_winograd_tile(0 if exact else 4)
                try:
                    images_ = _kernels.bf16_conv_forward(x, w, b, *options)
                    out, places = _kernels.bf16_conv_forward(
                        x, w, b, *options, pool=True, rectify=rectify
                    )
                    dout = half(np.random.default_rng(1).standard_normal(out.shape))
                    gradients = _kernels.bf16_conv_backward(dout, x, w, *options, places=places)
                    spread = unpooled(dout, places, images_.shape)
                    others = _kernels.bf16_conv_backward(spread, x, w, *options)
                finally:
                    _kernels.set_winograd_tile(0)
            return images_, out, places, dout, *gradients, *others

        images_, out, places, _, *gradients = of_kind(isa, kind, call)
        height, width = (n // 2 * 2 for n in images_.shape[2:])
        windows = wide(images_)[:, :, :height, :width]
        windows = windows.reshape(*windows.shape[:2], height // 2, 2, width // 2, 2)
        largest = windows.max((3, 5))
        np.testing.assert_array_equal(wide(out), np.maximum(largest, 0) if rectify else largest)
        assert np.all((places < 4) | (rectify & (largest <= 0)))
        for got, other in zip(gradients[:3], gradients[3:], strict=True):
            np.testing.assert_allclose(
                wide(got) if got.dtype == np.uint16 else got,
                wide(other) if other.dtype == np.uint16 else other,
                rtol=2e-2,
                atol=1e-5,
            )


def test_first_block_at_once(rng):
    """Few channels, pooling and ReLU: float32's kernel on pixels that are widened, rounded once."""
    x, w, b, _, options = drawn(rng, (2, 3, 9, 8, 64, 3, 3, (1, 1), (1, 1), (1, 1)))
    found, places = _kernels.bf16_conv_forward(x, w, b, *options, pool=True, rectify=True)
    out, kept = _kernels.conv_forward(
        _kernels.bf16_widen(x), w, b, *options[:2], pool=True, rectify=True
    )
    np.testing.assert_array_equal(found, half(out))
    np.testing.assert_array_equal(places.transpose(0, 2, 3, 1).ravel(), kept[0].ravel())


def unpooled(dout, places, shape):
    """Return the gradient of the images in front of a pooling, channels last in memory."""
    spread = np.zeros((shape[0], *shape[2:], shape[1]), np.uint16).transpose(0, 3, 1, 2)
    for k in range(4):
        part = spread[:, :, k // 2 : shape[2] // 2 * 2 : 2, k % 2 : shape[3] // 2 * 2 : 2]
        part[...] = np.where(places == k, dout, part)
    return spread


@EACH
def test_hostile_pixels_stay_where_they_belong(isa, kind, rng):
    """A NaN or an infinity in a pixel reaches the windows over it, and a NaN of dout the pixels under it."""
    for value, size in (
        (value, size) for value in (np.nan, np.inf, 3e38) for size in (SIZES[0], SIZES[1], SIZES[3])
    ):
        x, w, b, dout, options = drawn(rng, size)
        bad, worse = x.copy(order="K"), dout.copy(order="K")
        place = 0, 1, 2, 1
        bad[place], worse[place] = half([value])[0], half([value])[0]
        for exact in True, False:
            for given in ((bad, w, b, dout, options), (x, w, b, worse, options)):
                with setting(exact=exact):
                    found = of_kind(isa, kind, lambda given=given: arrays(*given), (1,))
                numbers = wide(given[0]), wide(half(w)), b.astype(np.float64), wide(given[3])
                with np.errstate(all="ignore"):
                    expected = reference(*numbers, options)
                for got, right in zip(found, expected, strict=True):
                    got = wide(got) if got.dtype == np.uint16 else got
                    limit = 3e37 if value == 3e38 else np.inf
                    harmless = np.isfinite(right) & (np.abs(right) < limit)
                    assert np.all(np.isfinite(got[harmless]))
                    assert not np.any(np.isfinite(got[~np.isfinite(right)]))


def test_groups_and_transposed_windows(rng):
    """Groups are computed by float32's kernels, of pixels that are widened; results are rounded once."""
    x, w = images(rng, 2, 6, 7, 5), rng.standard_normal((9, 2, 3, 3)).astype(np.float32)
    b = rng.standard_normal(9).astype(np.float32)
    options = (1, 1), (1, 1), (1, 1), 3
    dout = images(rng, 2, 9, 7, 5)
    found = arrays(x, w, b, dout, options)
    out, saved = native.conv_forward(_kernels.bf16_widen(x), w, b, *options)
    dx, dw, db = native.conv_backward(_kernels.bf16_widen(dout), saved)
    for got, right in zip(found, (half(out), half(dx), dw, db), strict=True):
        np.testing.assert_array_equal(got, right)


def test_no_images(rng):
    """A batch of nothing has outputs of nothing, and gradients of zero."""
    x, w = images(rng, 0, 3, 5, 5), rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    assert _kernels.bf16_conv_forward(x, w).shape == (0, 4, 3, 3)
    dx, dw, db = _kernels.bf16_conv_backward(images(rng, 0, 4, 3, 3), x, w)
    assert dx.shape == x.shape
    np.testing.assert_array_equal(dw, np.zeros_like(w))
    np.testing.assert_array_equal(db, np.zeros(4))
