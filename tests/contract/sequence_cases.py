"""Rows of the contract table for convolution and pools of sequences."""

from __future__ import annotations

import numpy as np
from contract.case import Case

# x (N, C, L), F, LL, conv1d_param
CONV = [
    ((2, 2, 7), 3, 3, {"pad": 1}),
    ((1, 1, 1), 1, 1, {}),
    ((2, 3, 5), 2, 5, {}),
    ((1, 2, 9), 2, 4, {"stride": 2}),
    ((3, 2, 8), 4, 3, {"stride": 3, "pad": 2}),
    ((2, 4, 6), 4, 3, {"groups": 2, "pad": 1}),
    ((2, 3, 9), 3, 3, {"groups": 3, "dilation": 2}),
    ((1, 2, 10), 2, 3, {"dilation": 3, "pad": 3}),
    ((2, 1, 12), 5, 7, {"stride": 2, "pad": 3}),
    ((4, 3, 3), 2, 2, {"pad": 1, "stride": 2}),
    ((1, 5, 16), 3, 5, {"pad": 2}),
]
# x (N, C, L), pool1d_param
POOL = [
    ((2, 2, 6), {"pool_length": 2}),
    ((1, 1, 1), {"pool_length": 1}),
    ((2, 3, 7), {"pool_length": 3, "stride": 2}),
    ((1, 2, 9), {"pool_length": 4, "stride": 1}),
    ((3, 2, 8), {"pool_length": 3, "pad": 1}),
    ((2, 2, 10), {"pool_length": 4, "pad": 2, "stride": 3}),
    ((2, 1, 7), {"pool_length": 2, "ceil_mode": True}),
    ((1, 3, 11), {"pool_length": 5, "stride": 3, "pad": 1, "ceil_mode": True}),
    ((4, 2, 5), {"pool_length": 5}),
    ((2, 2, 12), {"pool_length": 2, "stride": 4}),
    ((1, 4, 6), {"pool_length": 3, "stride": 1, "pad": 1}),
]


def _conv(seed: int) -> list[Case]:
    cases = []
    for i, ((N, C, L), F, LL, param) in enumerate(CONV):
        rng = np.random.default_rng([seed, i])
        w = rng.standard_normal((F, C // param.get("groups", 1), LL))
        arrays = {"x": rng.standard_normal((N, C, L)), "w": w, "b": rng.standard_normal(F)}
        cases.append(Case("conv1d", f"{i}-seed{seed}", arrays, (param,)))
    return cases


def _pool(layer: str, seed: int) -> list[Case]:
    cases = []
    for i, (shape, param) in enumerate(POOL):
        rng = np.random.default_rng([seed, i])
        # distinct numbers, so that no maximum is shared
        x = (rng.permutation(int(np.prod(shape))).reshape(shape) - 3.0) / 4
        if layer == "avg_pool1d" and i % 2:
            param = {**param, "count_include_pad": False}
        cases.append(Case(layer, f"{i}-seed{seed}", {"x": x}, (param,)))
    return cases


CASES = [
    case
    for seed in range(3)
    for case in (*_conv(seed), *_pool("max_pool1d", seed), *_pool("avg_pool1d", seed))
]
