"""The ways in which the courses' models are built to be judged."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Scenario(NamedTuple):
    """One way to build a model: the library's arguments, the input's shape, and the strength of L2.

    strict: whether no course asks for it, so that only the strict contract judges it.
    """

    name: str
    arguments: dict[str, Any]
    shape: tuple[int, ...]
    reg: float = 0.0
    strict: bool = False


_FULL = {"input_dim": 15, "num_classes": 7, "weight_scale": 5e-2, "dtype": np.float64}
_CONV = {
    "input_dim": (2, 6, 8),
    "num_filters": 3,
    "filter_size": 3,
    "hidden_dim": 5,
    "num_classes": 4,
    "weight_scale": 5e-2,
    "dtype": np.float64,
}
SCENARIOS = {
    "TwoLayerNet": [
        Scenario(
            "plain",
            {"input_dim": 12, "hidden_dim": 40, "num_classes": 7, "weight_scale": 5e-2},
            (6, 12),
        ),
        Scenario(
            "images, reg 0.7",
            {"input_dim": 12, "hidden_dim": 40, "num_classes": 7, "weight_scale": 5e-2},
            (3, 3, 2, 2),
            0.7,
        ),
    ],
    "FullyConnectedNet": [
        Scenario("plain", {"hidden_dims": [20, 30], **_FULL}, (6, 15)),
        Scenario("reg 0.7", {"hidden_dims": [20, 30, 10], **_FULL}, (5, 15), 0.7),
        Scenario("one hidden layer", {"hidden_dims": [25], **_FULL}, (5, 15), 0.7),
        Scenario("no hidden layer", {"hidden_dims": [], **_FULL}, (4, 15), strict=True),
        Scenario(
            "batchnorm, reg 0.7",
            {"hidden_dims": [20, 30], "normalization": "batchnorm", **_FULL},
            (6, 15),
            0.7,
        ),
        Scenario(
            "layernorm, reg 0.7",
            {"hidden_dims": [20, 30], "normalization": "layernorm", **_FULL},
            (6, 15),
            0.7,
        ),
        Scenario(
            "dropout",
            {"hidden_dims": [20, 30], "dropout_keep_ratio": 0.75, "seed": 123, **_FULL},
            (6, 15),
            0.7,
        ),
        *[
            Scenario(
                f"{norm} and dropout",
                {
                    "hidden_dims": [20, 30],
                    "normalization": norm,
                    "dropout_keep_ratio": 0.75,
                    "seed": 123,
                    **_FULL,
                },
                (6, 15),
                0.7,
            )
            for norm in ("batchnorm", "layernorm")
        ],
    ],
    "ThreeLayerConvNet": [
        Scenario("plain", _CONV, (3, 2, 6, 8)),
        Scenario("reg 0.7", _CONV, (2, 2, 6, 8), 0.7),
        *[
            Scenario(
                f"filter_size {size}",
                {**_CONV, "filter_size": size, "input_dim": (2, 8, 6), "num_filters": 2},
                (2, 2, 8, 6),
            )
            for size in (1, 5, 7)
        ],
        Scenario(
            "odd image",
            {**_CONV, "input_dim": (2, 7, 5), "num_filters": 5},
            (2, 2, 7, 5),
            strict=True,
        ),
    ],
}
