"""Sandwiches: small shapes and all options, so that every layer meets every neighbour.

In train mode the gradient of b is zero but for rounding wherever batch normalisation follows: it takes
off any constant that b adds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from contract.case import Case

Shape = tuple[int, ...]

ROWS = [((3, 4), 2), ((4, 2, 2), 3), ((5, 3), 1), ((6, 2), 4), ((3, 1, 2, 2), 2)]

# x, filters (F, HH, WW), conv_param; each output is at least 2x2
CONVS: list[tuple[Shape, Shape, dict[str, Any]]] = [
    ((2, 2, 3, 3), (2, 2, 2), {"stride": 1, "pad": 0}),
    ((2, 1, 3, 4), (3, 3, 3), {"stride": 1, "pad": 1}),
    ((1, 2, 4, 4), (2, 1, 1), {"stride": 1, "pad": 0}),
    ((2, 1, 5, 4), (2, 2, 1), {"stride": 2, "pad": (1, 0)}),
    ((3, 1, 3, 3), (1, 2, 2), {"stride": (1, 2), "pad": (0, 1)}),
    ((2, 2, 3, 3), (2, 2, 2), {"pad": 1, "dilation": 2, "groups": 2}),
]
POOLS = [
    {"pool_height": 2, "pool_width": 2, "stride": 2},
    {"pool_height": 2, "pool_width": 2, "stride": 1},
    {"pool_height": 1, "pool_width": 2, "stride": 1},
]


def _norms(channels: int, seed: int) -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng([seed, channels])
    running = {
        "running_mean": rng.standard_normal(channels),
        "running_var": rng.uniform(0.5, 2, channels),
    }
    return {
        "train": {"mode": "train"},
        "train-eps": {"mode": "train", "eps": 0.5, "momentum": 0.5, **running},
        "test": {"mode": "test", **running},
        "test-eps": {"mode": "test", "eps": 0.5, **running},
    }


def _arrays(x: Shape, w: Shape, outputs: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([seed, *x, *w])
    arrays = {"x": x, "w": w, "b": (outputs,)}
    return {name: rng.standard_normal(shape) for name, shape in arrays.items()}


def _scales(shape: Shape, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([seed, *shape])
    return {name: rng.standard_normal(shape) for name in ("gamma", "beta")}


def _affine() -> list[Case]:
    cases = []
    for seed in range(6):
        for x, M in ROWS:
            name = f"{'x'.join(map(str, x))}-M{M}-seed{seed}"
            arrays = _arrays(x, (int(np.prod(x[1:])), M), M, seed)
            cases.append(Case("affine_relu", name, arrays))
            if M >= 2:
                normed = {**arrays, **_scales((M,), seed)}
                ln_param = {"eps": (0.5, 1.0)[seed % 2] if M == 2 else 1e-5}
                cases.append(Case("affine_ln_relu", name, normed, (ln_param,)))
    for seed in range(2):
        for x, M in ROWS:
            arrays = _arrays(x, (int(np.prod(x[1:])), M), M, 10 + seed) | _scales((M,), seed)
            for mode, param in _norms(M, seed).items():
                name = f"{'x'.join(map(str, x))}-M{M}-{mode}-seed{seed}"
                cases.append(Case("affine_bn_relu", name, arrays, (param,), mode[:4] == "test"))
    x, M = (3, 5), 3
    for seed in range(6, 12):
        normed = _arrays(x, (5, M), M, seed) | _scales((M,), seed)
        cases.append(Case("affine_ln_relu", f"3x5-M3-seed{seed}", normed, ({},)))
    return cases


def _conv() -> list[Case]:
    cases = []
    for number, (x, (F, HH, WW), conv) in enumerate(CONVS):
        w = (F, x[1] // conv.get("groups", 1), HH, WW)
        form = [(F,), (1, F, 1, 1)][number % 2]
        for seed in range(6):
            arrays = _arrays(x, w, F, seed)
            name = f"conv{number}-seed{seed}"
            cases.append(Case("conv_relu", name, arrays, (conv,)))
            pool = POOLS[seed % 3]
            cases.append(Case("conv_relu_pool", name, arrays, (conv, pool)))
            cases.append(Case("conv_pool", name, arrays, (conv, pool)))
        for seed in range(2):
            arrays = _arrays(x, w, F, 10 + seed) | _scales(form, seed)
            for place, (mode, param) in enumerate(_norms(F, seed).items()):
                name = f"conv{number}-{mode}-seed{seed}"
                empty = mode[:4] == "test"
                cases.append(Case("conv_bn_relu", name, arrays, (conv, param), empty))
                options = (conv, param, POOLS[(place + seed) % 3])
                cases.append(Case("conv_bn_relu_pool", name, arrays, options, empty))
    return cases


def _bn_gelu() -> list[Case]:
    cases = []
    for number, x in enumerate([(5, 3), (6, 2), (4, 2, 2, 3), (2, 3, 2, 2), (1, 2, 3, 3)]):
        form = (1, x[1], 1, 1) if number == 3 else (x[1],)
        for seed in range(2):
            drawn = np.random.default_rng([seed, *x]).standard_normal(x)
            arrays = {"x": drawn, **_scales(form, seed)}
            for place, (mode, param) in enumerate(_norms(x[1], seed).items()):
                name = f"{'x'.join(map(str, x))}-{mode}-seed{seed}"
                options = (param, ("none", "tanh")[(place + seed) % 2])
                cases.append(Case("bn_gelu", name, arrays, options, mode[:4] == "test"))
    return cases


def _relu_pool() -> list[Case]:
    cases = []
    for x in [(2, 2, 4, 4), (1, 3, 5, 4), (3, 1, 3, 6), (2, 1, 2, 3)]:
        for place, pool in enumerate([*POOLS, {**POOLS[0], "pad": (1, 0)}]):
            for seed in range(2):
                drawn = np.random.default_rng([seed, *x]).standard_normal(x)
                name = f"{'x'.join(map(str, x))}-pool{place}-seed{seed}"
                cases.append(Case("relu_pool", name, {"x": drawn}, (pool,)))
    return cases


CASES = [*_affine(), *_conv(), *_bn_gelu(), *_relu_pool()]
