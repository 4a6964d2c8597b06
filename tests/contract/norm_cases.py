"""Normalisation layers: modes, eps, given and missing running statistics, both shapes of gamma and beta.

Sets of two numbers come with a large eps only: with a small one their xhat is +-1 whatever x is, and dx
is a rounding error.  A set of one number gives out = beta and dx = 0 exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from contract.case import Case

Shape = tuple[int, ...]

MATRICES = [(1, 3), (3, 1), (4, 3), (5, 2), (7, 4)]
IMAGES = [(1, 2, 1, 3), (3, 1, 1, 1), (2, 3, 2, 2), (1, 4, 3, 2), (3, 2, 2, 1)]
OPTIONS: list[dict[str, Any]] = [{}, {"eps": 0.25}, {"eps": 1e-3}]


def _text(values: tuple[Any, ...]) -> str:
    return "x".join(map(str, values))


def _arrays(
    shape: Shape, seed: int, gamma: str = "flat", beta: str = "flat"
) -> dict[str, np.ndarray]:
    """Return x, gamma, beta; "flat" is (C,), "image" is (1, C, 1, 1)."""
    rng = np.random.default_rng([seed, *shape])
    C = shape[1]
    forms = {"flat": (C,), "image": (1, C, 1, 1)}
    return {
        "x": 3 * rng.standard_normal(shape) + 2,
        "gamma": rng.standard_normal(forms[gamma]),
        "beta": rng.standard_normal(forms[beta]),
    }


def _running(shape: Shape, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([seed, *shape])
    return {
        "running_mean": rng.standard_normal(shape[1]),
        "running_var": rng.uniform(0.5, 2, shape[1]),
    }


def _batchnorm(layer: str, shapes: list[Shape], forms: list[tuple[str, str]]) -> list[Case]:
    cases = []
    for seed, shape in enumerate(shapes):
        gamma, beta = forms[seed % len(forms)]
        for number, option in enumerate(OPTIONS):
            name = f"{_text(shape)}-{gamma}-{beta}-option{number}"
            arrays = _arrays(shape, seed, gamma, beta)
            train = {"mode": "train", "momentum": 0.7, **option}
            test = {"mode": "test", **option, **_running(shape, seed)}
            cases.append(Case(layer, f"train-{name}", arrays, (train,), empty_batch=False))
            cases.append(Case(layer, f"test-{name}", arrays, (test,)))
    shape = shapes[2]
    arrays = _arrays(shape, 99)
    train_again = {"mode": "train", **_running(shape, 99)}
    cases.append(Case(layer, "train-again", arrays, (train_again,), empty_batch=False))
    cases.append(Case(layer, "test-untrained", arrays, ({"mode": "test", "eps": 1.0},)))
    constant = {**arrays, "x": arrays["x"].copy()}
    constant["x"][:, 0] = 0.1
    cases.append(Case(layer, "constant", constant, ({"mode": "train"},), empty_batch=False))
    two = (2, 2) if len(shape) == 2 else (2, 2, 1, 1)
    pairs = ({"mode": "train", "eps": 1.0},)
    cases.append(Case(layer, "pairs", _arrays(two, 98), pairs, empty_batch=False))
    return cases


def _layernorm() -> list[Case]:
    shapes = [(1, 3), (3, 1), (1, 1), (2, 4), (4, 3), (3, 5), (2, 7), (6, 3), (1, 8), (5, 4)]
    cases = [
        Case("layernorm", f"{_text(shape)}-option{number}", _arrays(shape, seed), (option,))
        for seed, shape in enumerate(shapes)
        for number, option in enumerate(OPTIONS)
    ]
    arrays = _arrays((3, 4), 99)
    arrays["x"][1] = 0.1
    cases.append(Case("layernorm", "constant", arrays, ({"mode": "train"},)))
    cases.append(Case("layernorm", "pairs", _arrays((3, 2), 98), ({"eps": 1.0},)))
    return cases


def _groupnorm() -> list[Case]:
    forms = [("flat", "flat"), ("image", "image"), ("flat", "image"), ("image", "flat")]
    shapes = [(2, 4, 1, 3), (1, 6, 2, 2), (3, 4, 3, 1), (2, 2, 2, 2), (1, 3, 1, 3)]
    cases = []
    for seed, shape in enumerate(shapes):
        for G in [g for g in (1, 2, 3, 4, 6) if shape[1] % g == 0]:
            for number, option in enumerate(OPTIONS):
                gamma, beta = forms[(seed + G + number) % 4]
                name = f"{_text(shape)}-G{G}-{gamma}-{beta}-option{number}"
                arrays = _arrays(shape, seed, gamma, beta)
                cases.append(Case("spatial_groupnorm", name, arrays, (G, option)))
    return cases


def _instancenorm() -> list[Case]:
    forms = [("flat", "flat"), ("image", "image"), ("flat", "image"), ("image", "flat")]
    shapes = [(2, 3, 1, 3), (1, 2, 2, 2), (3, 1, 3, 1), (2, 2, 1, 1), (1, 1, 1, 1)]
    shapes += [(2, 1, 3, 2), (1, 4, 4, 1), (1, 2, 1, 5), (3, 2, 2, 2), (1, 3, 3, 1)]
    cases = []
    for seed, shape in enumerate(shapes):
        gamma, beta = forms[seed % 4]
        for number, option in enumerate(OPTIONS):
            name = f"{_text(shape)}-{gamma}-{beta}-option{number}"
            arrays = _arrays(shape, seed, gamma, beta)
            cases.append(Case("spatial_instancenorm", name, arrays, (option,)))
    return cases


CASES = [
    *_batchnorm("batchnorm", MATRICES, [("flat", "flat")]),
    *_batchnorm(
        "spatial_batchnorm", IMAGES, [("flat", "flat"), ("image", "image"), ("flat", "image")]
    ),
    *_layernorm(),
    *_groupnorm(),
    *_instancenorm(),
]
