"""Winograd's algorithm: exact on what it promises, and never where direct alone is right.

The error of an output is measured on its tile: against eps times what the largest numbers of the
tile could add up to.  Element by element, no bound holds for it.
"""

import numpy as np
import pytest
from engines.native import control, native, setting

EPS = np.finfo(np.float32).eps
SIZES = [  # N, C, F, H, W, pad
    (2, 16, 32, 8, 8, 1),
    (1, 20, 37, 13, 9, 1),
    (2, 33, 16, 7, 11, 0),
    (1, 64, 48, 4, 4, 1),
    (3, 16, 16, 12, 6, 2),
]


def normal(rng, shape):
    return rng.standard_normal(shape)


def far_from_zero(rng, shape):
    return 1e3 + rng.standard_normal(shape)


def of_all_sizes(rng, shape):
    return rng.standard_normal(shape) * np.exp2(rng.integers(-20, 20, shape))


def cancelling(rng, shape):
    return np.where(np.indices(shape).sum(axis=0) % 2, 1.0, -1.0) * (1 + 1e-3 * rng.random(shape))


def one_large(rng, shape):
    x = rng.standard_normal(shape)
    x[..., 2, 2] *= 1e6
    return x


HOSTILE = [normal, far_from_zero, of_all_sizes, cancelling, one_large]


def exactly(function, *arguments):
    with setting(exact=True):
        return function(*arguments)


def windows(x, size, pad, count):
    """Return the largest |x| of each tile's window, by channel: (N, C, tiles down, tiles across)."""
    rows, columns = count
    down, across = -(-rows // 4), -(-columns // 4)
    padded = np.zeros((*x.shape[:2], 4 * down + size, 4 * across + size))
    low = max(0, pad)
    crop = max(0, -pad)
    source = np.abs(x)[:, :, crop:, crop:][:, :, : padded.shape[2] - low, : padded.shape[3] - low]
    padded[:, :, low : low + source.shape[2], low : low + source.shape[3]] = source
    return np.stack(
        [
            np.stack(
                [
                    padded[:, :, 4 * i : 4 * i + size, 4 * j : 4 * j + size].max((2, 3))
                    for j in range(across)
                ],
                -1,
            )
            for i in range(down)
        ],
        -2,
    )


def tile_errors(got, expected, x, w, pad):
    """Return the errors in units of eps times the tile's bound; w is (F, C, 3, 3) of a correlation."""
    tiles = windows(x, 6, pad, got.shape[2:])
    bound = np.einsum("ncij,fc->nfij", tiles, np.abs(w).sum((2, 3)))
    bound = bound.repeat(4, axis=2).repeat(4, axis=3)[:, :, : got.shape[2], : got.shape[3]]
    return np.abs(got - expected) / (EPS * np.maximum(bound, np.finfo(np.float32).tiny))


@pytest.mark.parametrize("isa", control.isas())
@pytest.mark.parametrize("draw", HOSTILE, ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_errors_stay_within_the_bound_of_the_tile(size, draw, isa, rng):
    N, C, F, H, W, pad = size
    options = (1, 1), (pad, pad)
    x = draw(rng, (N, C, H, W)).astype(np.float32)
    w, b = rng.standard_normal((F, C, 3, 3)).astype(np.float32), np.zeros(F, np.float32)
    with setting(isa=isa):
        out, saved = native.conv_forward(x, w, b, *options)
        dout = draw(rng, out.shape).astype(np.float32)
        dx, dw, _ = native.conv_backward(dout, saved)
    wide = [array.astype(np.float64) for array in (x, w, b)]
    expected, saved = native.conv_forward(*wide, *options)
    dx64, dw64, _ = native.conv_backward(dout.astype(np.float64), saved)
    assert tile_errors(out, expected, x, w, pad).max() <= 64
    turned = w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    assert tile_errors(dx, dx64, dout, turned, 2 - pad).max() <= 64
    inputs = windows(x, 6, pad, out.shape[2:])
    gradients = windows(dout, 4, 0, out.shape[2:])
    bound = 16 * np.einsum("ncij,nfij->fc", inputs, gradients)
    assert (np.abs(dw - dw64) / (EPS * bound[:, :, None, None])).max() <= 64


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_winograd_is_in_use_and_exact_turns_it_off(size, rng):
    N, C, F, H, W, pad = size
    x, w = (
        rng.standard_normal((N, C, H, W)).astype("f"),
        rng.standard_normal((F, C, 3, 3)).astype("f"),
    )
    arguments = x, w, np.zeros(F, "f"), (1, 1), (pad, pad)
    fast, exact = native.conv_forward(*arguments)[0], exactly(native.conv_forward, *arguments)[0]
    assert not np.array_equal(fast, exact)
    whole = np.round(x), np.round(w), *arguments[2:]
    expected = native.conv_forward(*(a.astype(float) for a in whole[:3]), *arguments[3:])[0]
    np.testing.assert_array_equal(exactly(native.conv_forward, *whole)[0], expected)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e37, 3e38])
def test_non_finite_and_huge_inputs_give_what_direct_gives(value, rng):
    x, w = (
        rng.standard_normal((2, 16, 9, 8)).astype("f"),
        rng.standard_normal((16, 16, 3, 3)).astype("f"),
    )
    arguments = x, w, np.zeros(16, "f"), (1, 1), (1, 1)
    x[1, 3, 4, 5] = value
    with np.errstate(all="ignore"):
        expected, saved = exactly(native.conv_forward, *arguments)
        out, _ = native.conv_forward(*arguments)
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(np.isfinite(out), finite)
        assert np.isfinite(out[0]).all()
        dout = rng.standard_normal(out.shape).astype("f")
        _, dw, _ = native.conv_backward(dout, saved)
        _, direct_dw, _ = exactly(native.conv_backward, dout, saved)
        np.testing.assert_array_equal(np.isfinite(dw), np.isfinite(direct_dw))
        dout[0, 2, 3, 3] = value
        dx, _, _ = native.conv_backward(dout, saved)
        direct_dx, _, _ = exactly(native.conv_backward, dout, saved)
        np.testing.assert_array_equal(np.isfinite(dx), np.isfinite(direct_dx))
