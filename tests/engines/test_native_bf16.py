"""Numbers, products and convolutions of bf16, by each of the kernels that this machine can run.

The bounds.  A product of two bf16 numbers has 16 digits and is exact in float32.  A sum of n of them is rounded at most
n + 1 times on the way of each term, by u = 2^-24, whatever the order; so it is off by at most

    gamma(n + 1) sum |a b|,   gamma(m) = m u / (1 - m u),

Higham, "Accuracy and Stability of Numerical Algorithms", section 4.2.  A bias and a number that is added to count as
terms.  Numbers below 2^-126 are zeros for the processor: a factor makes its term vanish, and each of the 2 n + 2
operations may lose that much.  A result of bf16 is rounded once more, by 2^-8 of it or half of the smallest number.
"""

import numpy as np
import pytest
from engines.native import _kernels, control, setting

UNIT, TINY, HALF_UNIT, HALF_TINY = 2.0**-24, 2.0**-126, 2.0**-8, 2.0**-134
KINDS = [
    (isa, kind)
    for isa in control.isas()
    for kind in (
        ["emulated", "amx-model", *(set(control.bf16s()) - {"emulated", "amx-model"})]
        if isa == control.isas()[0] == control.isa()
        else ["emulated"]
    )
]
KINDS.sort()
EACH = pytest.mark.parametrize(("isa", "kind"), KINDS)
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


def half(x):
    """Return the bf16 numbers nearest to x, as uint16."""
    return _kernels.bf16_round(np.asarray(x, np.float32))


def wide(x):
    """Return bf16 numbers as float64."""
    return _kernels.bf16_widen(x).astype(np.float64)


def of_kind(isa, kind, call, threads=(1, 3)):
    """Return what the call returns with the kernels, with any number of threads."""
    found = []
    for count in threads:
        with setting(isa=isa, threads=count):
            control.set_bf16(kind)
            found.append(call())
    for other in found[1:]:
        for one, another in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, another)
    return found[0]


def gamma(count):
    return count * UNIT / (1 - count * UNIT)


def within(got, expected, sizes, count, is_half):
    """Check results against sums of `count` terms, whose sizes have these sums."""
    limit = gamma(count + 1) * sizes + (2 * count + 2) * TINY
    if is_half:
        limit = limit + HALF_UNIT * (np.abs(expected) + limit) + HALF_TINY
    assert np.all(np.abs((wide(got) if is_half else got) - expected) <= limit)


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
