"""Cases of the activations and of dropout: shapes of 1 to 4 dimensions, crossed with the options."""

import numpy as np
from contract.case import Case

SHAPES = [
    (1,),
    (5,),
    (1, 1),
    (3, 4),
    (1, 6),
    (4, 2),
    (2, 3, 2),
    (1, 4, 3),
    (2, 2, 1, 3),
    (1, 3, 2, 2),
    (3, 1, 1, 1),
]
SCALES = [0.1, 1.0, 4.0]


def away_from_zero(rng, shape, scale=1.0):
    """Random numbers of both signs, none closer to 0 than scale / 20."""
    return scale * rng.choice([-1.0, 1.0], shape) * (0.05 + np.abs(rng.standard_normal(shape)))


def without_ties(rng, shape):
    """Random numbers, no two closer than 0.1."""
    size = int(np.prod(shape))
    return 0.1 * (rng.permutation(size).reshape(shape) - size / 2 + 0.3)


def elementwise_cases(rng, layer, options):
    return [
        Case(layer, f"{shape}-{scale:g}-{option}", {"x": away_from_zero(rng, shape, scale)}, option)
        for shape in SHAPES
        for scale in SCALES
        for option in options
    ]


def prelu_cases(rng):
    cases = []
    for shape in SHAPES:
        for scale in SCALES:
            slopes = [(), (1,)] if len(shape) == 1 else [(), (1,), shape[1:2]]
            cases += [
                Case(
                    "prelu",
                    f"{shape}-{scale:g}-a{a_shape}",
                    {"x": away_from_zero(rng, shape, scale), "a": rng.uniform(0.1, 0.5, a_shape)},
                )
                for a_shape in dict.fromkeys(slopes)
            ]
    return cases


def maxout_cases(rng):
    cases = []
    for N, C, *rest in [
        (1, 1),
        (3, 2),
        (2, 3),
        (1, 4),
        (2, 1, 3),
        (1, 2, 2),
        (2, 2, 2, 1),
        (1, 3, 1, 2),
    ]:
        for pieces in (1, 2, 3, 5):
            x = without_ties(rng, (N, C * pieces, *rest))
            cases.append(Case("maxout", f"{(N, C, *rest)}x{pieces}", {"x": x}, (pieces,)))
    return cases


def dropout_cases(rng):
    return [
        Case(
            "dropout",
            f"{shape}-{mode}-{p}",
            {"x": rng.standard_normal(shape)},
            ({"p": p, "mode": mode, "seed": 7},),
        )
        for shape in SHAPES
        for mode, p in [("train", 0.3), ("train", 0.75), ("train", 1), ("test", 0.5)]
    ]


_rng = np.random.default_rng(20)
CASES = [
    *elementwise_cases(_rng, "relu", [()]),
    *elementwise_cases(_rng, "leaky_relu", [(), (0.3,), (-0.2,)]),
    *prelu_cases(_rng),
    *elementwise_cases(_rng, "elu", [(), (0.5,), (2.0,)]),
    *elementwise_cases(_rng, "gelu", [(), ("tanh",)]),
    *elementwise_cases(_rng, "sigmoid", [()]),
    *elementwise_cases(_rng, "tanh", [()]),
    *maxout_cases(_rng),
    *dropout_cases(_rng),
    *elementwise_cases(_rng, "softplus", [()]),
]
