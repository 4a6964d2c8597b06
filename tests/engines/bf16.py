"""What the tests of bf16 share: the kernels that this machine can run, and the bound of a result.

The bounds.  A product of two bf16 numbers has 16 digits and is exact in float32.  A sum of n of them is
rounded at most n + 1 times on the way of each term, by u = 2^-24, whatever the order; so it is off by at most

    gamma(n + 1) sum |a b|,   gamma(m) = m u / (1 - m u),

Higham, "Accuracy and Stability of Numerical Algorithms", section 4.2.  A bias and a number that is added to
count as terms.  Numbers below 2^-126 are zeros for the processor: a factor makes its term vanish, and each of
the 2 n + 2 operations may lose that much.  A result of bf16 is rounded once more, by 2^-8 of it or half of
the smallest number.
"""

import numpy as np
import pytest
from engines.native import _kernels, control, setting

__all__ = ["EACH", "KINDS", "TINY", "half", "of_kind", "wide", "within"]

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
