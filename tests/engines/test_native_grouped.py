"""Grouped and depthwise kernels of every instruction set, beside the vectorized engine."""

import numpy as np
import pytest
from engines.native import _kernels, control, difference, native, setting, vectorized

# C, F, groups: depthwise with whole vectors, with a rest, and with less than one; groups of 2 to 16
# channels; of more; more outputs than inputs, and fewer; sizes that no vector holds whole
CHANNELS = [
    (32, 32, 32), (41, 41, 41), (3, 3, 3), (100, 100, 100),
    (32, 32, 16), (20, 20, 5), (48, 48, 6), (64, 64, 4), (40, 40, 5), (24, 24, 8),
    (8, 16, 8), (12, 24, 6), (16, 8, 8), (9, 15, 3), (66, 66, 2), (4, 12, 2), (20, 28, 4),
]  # fmt: skip
# H, W, HH, WW, stride, pad, dilation
WINDOWS = [
    (9, 23, 3, 3, (1, 1), (1, 1), (1, 1)),
    (10, 12, 3, 3, (2, 2), (1, 1), (1, 1)),
    (8, 19, 5, 5, (1, 1), (2, 2), (1, 1)),
    (11, 13, 3, 4, (1, 2), (4, 3), (3, 2)),
    (7, 9, 2, 2, (3, 3), (0, 1), (1, 1)),
    (3, 2, 3, 3, (1, 1), (1, 1), (1, 1)),
    (6, 6, 1, 1, (1, 1), (0, 0), (1, 1)),
]
EPS = {np.float32: 2e-6, np.float64: 4e-15}


def results(engine, arrays, window, groups, dout=None):
    stride, pad, dilation = window[4:]
    out, saved = engine.conv_forward(*arrays, stride, pad, dilation, groups)
    dout = np.random.default_rng(3).standard_normal(out.shape).astype(out.dtype)
    return out, *engine.conv_backward(dout, saved)


@pytest.mark.parametrize("isa", control.isas())
@pytest.mark.parametrize("channels", CHANNELS, ids=str)
def test_kernels_beside_the_vectorized_engine(channels, isa, rng):
    C, F, groups = channels
    with setting(isa=isa):
        for dtype, tolerance in EPS.items():
            for H, W, HH, WW, *window in WINDOWS:
                shapes = (2, C, H, W), (F, C // groups, HH, WW), (F,)
                arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
                window = (H, W, HH, WW, *window)
                got = results(native, arrays, window, groups)
                expected = results(vectorized, arrays, window, groups)
                terms = HH * WW * C // groups, HH * WW * F // groups, 2 * H * W, 2 * H * W
                for a, b, count in zip(got, expected, terms, strict=True):
                    assert difference(a, b) <= tolerance * max(4, np.sqrt(count))


@pytest.mark.parametrize("channels", [(32, 32, 32), (20, 20, 5), (66, 66, 2)], ids=str)
def test_threads_do_not_change_a_bit(channels, rng):
    C, F, groups = channels
    shapes = (3, C, 9, 11), (F, C // groups, 3, 3), (F,)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    seen = []
    for threads in (1, 2, 5):
        with setting(threads=threads):
            seen.append(results(native, arrays, WINDOWS[0], groups))
    for other in seen[1:]:
        for a, b in zip(seen[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_gradients_that_nobody_needs_are_left_out(rng):
    arrays = [rng.standard_normal(shape) for shape in ((1, 4, 5, 5), (4, 1, 3, 3), (4,))]
    out, saved = native.conv_forward(*arrays, (1, 1), (1, 1), (1, 1), 4)
    dx, dw, db = _kernels.conv_backward(out, *saved, False, False)
    assert dx is None
    np.testing.assert_array_equal(dw, native.conv_backward(out, saved)[1])
    np.testing.assert_array_equal(db, np.zeros(4))


def test_wrong_sizes_are_refused_by_the_kernels_themselves(rng):
    x, w, b = np.zeros((2, 6, 5, 5)), np.zeros((4, 3, 3, 3)), np.zeros(4)
    one, none = (1, 1), (0, 0)
    with pytest.raises(ValueError, match="fit"):
        _kernels.conv_forward(x, w, b, one, none, one, 3)
    with pytest.raises(ValueError, match="fit"):
        _kernels.conv_forward(x, w, b[:3], one, none, one, 2)
    with pytest.raises(ValueError, match="window"):
        _kernels.conv_forward(x, w, b, one, none, (3, 1), 2)
    with pytest.raises(ValueError, match="fit"):
        _kernels.conv_backward(x, x, w, one, none, one, 2, True, True)
    with pytest.raises(ValueError, match="fit"):
        _kernels.conv_transpose_forward(x, w, b, one, none, one, 1, (7, 7))
    with pytest.raises(ValueError, match="fit"):
        _kernels.upsample_backward(x, (2, 6, 5, 5), (2, 2), False)
