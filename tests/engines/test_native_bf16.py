"""Numbers and products of bf16, by each of the kernels that this machine can run; bf16.py has the bounds."""

import numpy as np
import pytest
from engines.bf16 import EACH, KINDS, TINY, half, of_kind, wide, within
from engines.native import _kernels, setting

SHAPES = [
    (1, 1, 1),
    (3, 5, 7),
    (8, 2, 32),
    (9, 64, 33),
    (130, 300, 65),
    (17, 0, 5),
    (64, 531, 10),
    (33, 96, 40),
]


# ---- numbers -------------------------------------------------------------------------------------


@EACH
def test_numbers_are_rounded_to_the_nearest(isa, kind):
    """All numbers of 16 bits come back; between two of them the nearest is taken, of equals the even one."""
    every = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    with setting(isa=isa):
        full = _kernels.bf16_widen(every)
        numbers = ~np.isnan(full)
        np.testing.assert_array_equal(full.view(np.uint32), every.astype(np.uint32) << 16)
        np.testing.assert_array_equal(half(full)[numbers], every[numbers])
        assert np.all(np.isnan(_kernels.bf16_widen(half(full)[~numbers])))
        finite = np.flatnonzero(np.isfinite(full) & ((every & 0x7FFF) < 0x7F7F))
        low = every[finite]
        bits = low.astype(np.uint32) << 16
        for more, up in (
            (0x7FFF, 0 * low),
            (0x8000, low & 1),
            (0x8001, 0 * low + 1),
            (0xFFFF, 0 * low + 1),
        ):
            between = (bits + np.uint32(more)).view(np.float32)
            np.testing.assert_array_equal(half(between), low + up)


@EACH
def test_edges_of_the_numbers(isa, kind):
    """Infinities stay; what is half a digit above the largest is infinite; a NaN stays one, and is quiet."""
    with setting(isa=isa):
        given = np.array(
            [0x7F7F7FFF, 0x7F7F8000, 0x7F800000, 0xFF800000, 0x80000000] * 7, np.uint32
        )
        np.testing.assert_array_equal(
            half(given.view(np.float32)), [0x7F7F, 0x7F80, 0x7F80, 0xFF80, 0x8000] * 7
        )
        signalling = np.array([0x7F800001, 0xFF800001, 0x7FFFFFFF, 0x7FC00000] * 9, np.uint32)
        found = half(signalling.view(np.float32))
        assert np.all(found & 0x7FC0 == 0x7FC0)
        np.testing.assert_array_equal(found >> 15, signalling >> 31)


# ---- products ------------------------------------------------------------------------------------


def matrices(rng, rows, depth, columns, kinds):
    """Return a and b as the kernels take them: plain or transposed, bf16 or float32."""
    a, b = rng.standard_normal((rows, depth)), rng.standard_normal((depth, columns))
    a, b = (m.T.copy().T if turned else m for m, turned in zip((a, b), kinds[:2], strict=True))
    return [
        (m.astype(np.float32) if full else np.asarray(half(m)).reshape(m.shape))
        if not turned
        else (m.T.astype(np.float32) if full else half(m.T)).T
        for m, turned, full in zip((a, b), kinds[:2], kinds[2:], strict=True)
    ]


def numbers(m):
    """Return a factor as the numbers that count, in float64."""
    return wide(half(m) if m.dtype == np.float32 else m)


@EACH
@pytest.mark.parametrize("kinds", [(0, 0, 0, 1), (1, 0, 0, 0), (0, 1, 0, 1), (1, 1, 1, 0)])
def test_products_of_all_sizes(isa, kind, kinds, rng):
    """Plain and transposed factors of either kind; bias, addition and ReLU; float32 and bf16."""
    for rows, depth, columns in SHAPES:
        a, b = matrices(rng, rows, depth, columns, kinds)
        bias = rng.standard_normal(columns).astype(np.float32)
        more = half(rng.standard_normal((rows, columns)))
        exact, sizes = numbers(a) @ numbers(b), np.abs(numbers(a)) @ np.abs(numbers(b))

        def call(a=a, b=b, bias=bias, more=more):
            return (
                _kernels.bf16_product(a, b),
                _kernels.bf16_product(a, b, bias, True),
                _kernels.bf16_product(a, b, more=_kernels.bf16_widen(more)),
                _kernels.bf16_product(a, b, bias, False, more, full=False),
            )

        plain, rectified, added, halves = of_kind(isa, kind, call)
        within(plain, exact, sizes, depth, False)
        within(rectified, np.maximum(exact + bias, 0), sizes + np.abs(bias), depth + 1, False)
        within(added, exact + wide(more), sizes + np.abs(wide(more)), depth + 1, False)
        both = np.abs(bias) + np.abs(wide(more))
        within(halves, exact + bias + wide(more), sizes + both, depth + 2, True)


def test_the_emulation_has_the_bits_of_the_processor(rng):
    """Also of sums that cancel, of subnormal numbers and sums, of infinities and of NaN."""
    kinds = [
        (isa, kind)
        for isa, kind in KINDS
        if kind in ("avx512-bf16", "emulated") and isa != "portable"
    ]
    a = rng.standard_normal((60, 70)) * 2.0 ** rng.integers(-70, 60, (60, 70))
    a[20:40] = rng.standard_normal((20, 70)) * 2.0 ** rng.integers(-130, -122, (20, 70))
    b = rng.standard_normal((70, 50)) * 2.0 ** rng.integers(-3, 3, (70, 50))
    a[3, 5], a[4, 6], b[7, 8], b[9, 9] = np.nan, np.inf, -np.inf, 1e-40
    a, b = half(a), half(b)
    for numbers_of in wide(a), wide(b):
        assert np.any((np.abs(numbers_of) < TINY) & (numbers_of != 0))
    found = [of_kind(isa, kind, lambda: (_kernels.bf16_product(a, b),))[0] for isa, kind in kinds]
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@EACH
def test_products_of_hostile_numbers(isa, kind, rng):
    """A NaN or an infinity reaches the sums that it is a term of, and no others."""
    for at in (0, 5, 36):
        for value in (np.nan, np.inf):
            a, b = rng.standard_normal((9, 37)), np.abs(rng.standard_normal((37, 35))) + 1
            a[4, at] = value
            got = of_kind(isa, kind, lambda a=a, b=b: (_kernels.bf16_product(half(a), half(b)),))[0]
            rest = np.delete(got, 4, 0)
            assert np.all(np.isfinite(rest))
            assert np.all(np.isnan(got[4]) if np.isnan(value) else np.isposinf(got[4]))
    huge = half(np.full((3, 64), 3e38))
    got = of_kind(isa, kind, lambda: (_kernels.bf16_product(huge, huge.T.copy()),))[0]
    assert np.all(np.isposinf(got))
    tiny = half(np.full((3, 64), 1e-39))
    got = of_kind(isa, kind, lambda: (_kernels.bf16_product(tiny, huge.T.copy()),))[0]
    np.testing.assert_array_equal(got, 0)  # what is subnormal counts as zero
