"""Affine: every rank of x, from one number to images, with one row and with one output."""

from __future__ import annotations

import numpy as np
from contract.case import Case


def _case(N: int, row: tuple[int, ...], M: int) -> Case:
    D = int(np.prod(row))
    rng = np.random.default_rng([N, D, M, len(row)])
    arrays = {
        "x": rng.standard_normal((N, *row)),
        "w": rng.standard_normal((D, M)),
        "b": rng.standard_normal(M),
    }
    return Case("affine", f"N{N}-row{'x'.join(map(str, row)) or 'scalar'}-M{M}", arrays)


CASES = [
    _case(N, row, M)
    for N in (1, 2, 3)
    for row in ((), (1,), (4,), (2, 3), (2, 1, 3), (1, 2, 2, 1))
    for M in (1, 3)
]
