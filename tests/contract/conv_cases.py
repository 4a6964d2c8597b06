"""Rows of the contract table for convolution and pooling: sizes, strides and pads of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
from contract.case import Case

# name: x (N, C, H, W), F, kernel (HH, WW), conv_param
CONV: dict[str, tuple[tuple[int, ...], int, tuple[int, int], dict[str, Any]]] = {
    "same-3x3": ((2, 2, 4, 5), 2, (3, 3), {"stride": 1, "pad": 1}),
    "same-5x5": ((1, 2, 5, 5), 2, (5, 5), {"stride": 1, "pad": 2}),
    "defaults": ((2, 2, 4, 4), 2, (3, 3), {}),
    "default-stride": ((1, 2, 3, 4), 2, (3, 3), {"pad": 1}),
    "default-pad": ((1, 2, 5, 4), 2, (3, 2), {"stride": 2}),
    "pad-0": ((2, 3, 4, 3), 2, (2, 2), {"stride": 1, "pad": 0}),
    "stride-2": ((2, 2, 5, 5), 2, (3, 3), {"stride": 2, "pad": 1}),
    "stride-2-pad-0": ((1, 2, 5, 7), 2, (3, 3), {"stride": 2, "pad": 0}),
    "stride-3": ((1, 2, 7, 7), 2, (3, 3), {"stride": 3, "pad": 1}),
    "stride-over-kernel": ((1, 2, 7, 8), 2, (2, 2), {"stride": 3, "pad": 0}),
    "stride-over-kernel-pad": ((1, 2, 5, 5), 2, (2, 2), {"stride": 3, "pad": 1}),
    "stride-over-image": ((1, 2, 4, 4), 2, (2, 2), {"stride": 9, "pad": 1}),
    "floor-rows": ((1, 2, 6, 5), 2, (3, 3), {"stride": 2, "pad": 0}),
    "floor-columns": ((1, 2, 5, 6), 2, (3, 3), {"stride": 2, "pad": 0}),
    "floor-pad": ((1, 1, 6, 6), 2, (3, 3), {"stride": 2, "pad": 1}),
    "floor-stride-3": ((1, 1, 8, 9), 2, (2, 2), {"stride": 3, "pad": 0}),
    "wide-kernel": ((1, 2, 3, 6), 2, (1, 4), {"stride": 1, "pad": 0}),
    "tall-kernel": ((1, 2, 6, 3), 2, (4, 1), {"stride": 1, "pad": 0}),
    "kernel-2x3-same-pad": ((2, 2, 4, 4), 2, (2, 3), {"stride": 1, "pad": 1}),
    "stride-pair": ((1, 2, 5, 6), 2, (3, 3), {"stride": (1, 2), "pad": 1}),
    "stride-list": ((1, 2, 6, 5), 2, (2, 2), {"stride": [3, 1], "pad": 0}),
    "pad-pair": ((1, 2, 4, 4), 2, (3, 3), {"stride": 1, "pad": (0, 2)}),
    "pad-rows-only": ((1, 2, 3, 5), 2, (3, 2), {"stride": 1, "pad": (1, 0)}),
    "all-pairs": ((2, 2, 5, 4), 3, (3, 2), {"stride": (2, 3), "pad": (2, 1)}),
    "pad-over-half": ((1, 2, 3, 3), 2, (3, 3), {"stride": 1, "pad": 2}),
    "pad-over-kernel": ((1, 1, 3, 2), 2, (2, 2), {"stride": 1, "pad": 3}),
    "pad-1x1-kernel": ((1, 2, 3, 3), 2, (1, 1), {"stride": 1, "pad": 1}),
    "pointwise": ((2, 3, 3, 4), 4, (1, 1), {"stride": 1, "pad": 0}),
    "pointwise-stride-2": ((2, 3, 5, 4), 2, (1, 1), {"stride": 2, "pad": 0}),
    "kernel-is-image": ((2, 2, 3, 4), 3, (3, 4), {"stride": 1, "pad": 0}),
    "kernel-is-padded-image": ((1, 2, 2, 2), 3, (4, 4), {"stride": 1, "pad": 1}),
    "kernel-over-image": ((1, 1, 2, 3), 2, (5, 4), {"stride": 1, "pad": 2}),
    "one-pixel": ((2, 2, 1, 1), 2, (1, 1), {"stride": 1, "pad": 0}),
    "one-pixel-3x3": ((1, 2, 1, 1), 2, (3, 3), {"stride": 1, "pad": 1}),
    "one-channel": ((2, 1, 4, 4), 2, (3, 3), {"stride": 1, "pad": 1}),
    "one-filter": ((2, 3, 4, 4), 1, (3, 3), {"stride": 1, "pad": 1}),
    "one-of-all": ((1, 1, 3, 3), 1, (3, 3), {"stride": 1, "pad": 0}),
    "many-channels": ((1, 7, 3, 3), 5, (2, 2), {"stride": 1, "pad": 0}),
    "float-stride-and-pad": ((1, 2, 5, 5), 2, (3, 3), {"stride": 2.0, "pad": 1.0}),
    "dilation-2": ((2, 2, 6, 5), 2, (3, 3), {"pad": 2, "dilation": 2}),
    "dilation-2-pad-0": ((1, 2, 6, 7), 3, (3, 2), {"dilation": 2}),
    "dilation-3-stride-2": ((1, 2, 8, 9), 2, (3, 3), {"stride": 2, "pad": 3, "dilation": 3}),
    "dilation-2-stride-2": ((2, 2, 7, 6), 2, (3, 3), {"stride": 2, "pad": 2, "dilation": 2}),
    "dilation-2-stride-3": ((1, 2, 8, 7), 2, (2, 3), {"stride": 3, "pad": 1, "dilation": 2}),
    "dilation-pair": ((1, 2, 6, 6), 2, (3, 2), {"pad": (1, 2), "dilation": (2, 3)}),
    "dilation-list-rows": ((1, 1, 7, 4), 2, (3, 3), {"pad": 1, "dilation": [3, 1]}),
    "dilation-over-image": ((1, 2, 3, 3), 2, (3, 3), {"pad": 4, "dilation": 4}),
    "dilation-of-one-pixel": ((1, 2, 3, 4), 2, (1, 1), {"dilation": 5}),
    "groups-2": ((2, 4, 4, 5), 6, (3, 3), {"pad": 1, "groups": 2}),
    "groups-2-stride-2": ((2, 4, 5, 6), 2, (3, 3), {"stride": 2, "pad": 1, "groups": 2}),
    "groups-2-narrowing": ((1, 6, 4, 4), 2, (2, 3), {"groups": 2}),
    "groups-3-pointwise": ((2, 6, 3, 4), 3, (1, 1), {"groups": 3}),
    "groups-2-dilation-2": ((1, 4, 6, 6), 4, (3, 3), {"pad": 2, "dilation": 2, "groups": 2}),
    "groups-of-4": ((2, 8, 4, 3), 8, (3, 3), {"pad": 1, "groups": 2}),
    "groups-one": ((1, 2, 4, 4), 2, (3, 3), {"pad": 1, "groups": 1, "dilation": 1}),
    "groups-uneven": ((2, 6, 4, 4), 9, (3, 2), {"stride": (1, 2), "groups": 3}),
    "groups-float": ((1, 4, 3, 3), 2, (2, 2), {"groups": 2.0, "dilation": 1.0}),
    "depthwise-3x3": ((2, 5, 5, 4), 5, (3, 3), {"pad": 1, "groups": 5}),
    "depthwise-17": ((1, 17, 3, 3), 17, (3, 2), {"pad": 1, "groups": 17}),
    "depthwise-16": ((1, 16, 1, 10), 16, (3, 3), {"pad": 1, "groups": 16}),
    "depthwise-5x5": ((1, 3, 6, 7), 3, (5, 5), {"pad": 2, "groups": 3}),
    "depthwise-stride-2": ((2, 4, 6, 7), 4, (3, 3), {"stride": 2, "pad": 1, "groups": 4}),
    "depthwise-stride-3": ((1, 3, 8, 7), 3, (2, 2), {"stride": (3, 2), "pad": 1, "groups": 3}),
    "depthwise-dilation-2": ((1, 3, 6, 6), 3, (3, 3), {"pad": 2, "dilation": 2, "groups": 3}),
    "depthwise-all": (
        (1, 4, 9, 8), 4, (3, 2), {"stride": (2, 3), "pad": (3, 1), "dilation": (2, 3), "groups": 4}
    ),
    "depthwise-twice": ((2, 3, 4, 4), 6, (3, 3), {"pad": 1, "groups": 3}),
    "depthwise-one-pixel": ((2, 3, 1, 1), 3, (3, 3), {"pad": 1, "groups": 3}),
    "depthwise-row": ((1, 4, 1, 11), 4, (1, 5), {"groups": 4}),
}  # fmt: skip

# name: x (N, C, H, W), F, kernel (HH, WW), conv_param
TRANSPOSE: dict[str, tuple[tuple[int, ...], int, tuple[int, int], dict[str, Any]]] = {
    "defaults": ((2, 2, 3, 4), 3, (3, 3), {}),
    "twice-2x2": ((2, 3, 3, 3), 2, (2, 2), {"stride": 2}),
    "twice-4x4": ((1, 2, 3, 4), 2, (4, 4), {"stride": 2, "pad": 1}),
    "twice-3x3": ((1, 2, 4, 3), 2, (3, 3), {"stride": 2, "pad": 1, "output_pad": 1}),
    "same": ((2, 2, 4, 4), 3, (3, 3), {"pad": 1}),
    "stride-1-pad-2": ((1, 2, 5, 4), 2, (3, 3), {"pad": 2}),
    "stride-2": ((2, 2, 3, 3), 2, (3, 3), {"stride": 2}),
    "stride-2-pad-1": ((1, 2, 3, 3), 2, (3, 3), {"stride": 2, "pad": 1}),
    "stride-3": ((1, 2, 3, 2), 2, (3, 3), {"stride": 3}),
    "stride-3-output-pad-2": ((1, 2, 3, 2), 2, (3, 3), {"stride": 3, "pad": 1, "output_pad": 2}),
    "stride-over-kernel": ((1, 2, 3, 3), 2, (2, 2), {"stride": 3}),
    "stride-over-kernel-pad": ((1, 2, 3, 3), 2, (2, 1), {"stride": 3, "pad": 1, "output_pad": 1}),
    "stride-pair": ((1, 2, 3, 4), 2, (3, 2), {"stride": (1, 2), "pad": (1, 0)}),
    "output-pad-pair": ((1, 2, 2, 3), 2, (2, 3), {"stride": (2, 3), "output_pad": (1, 2)}),
    "output-pad-rows": (
        (1, 1, 3, 3),
        2,
        (3, 3),
        {"stride": [2, 1], "pad": 1, "output_pad": [1, 0]},
    ),
    "floats": ((1, 2, 3, 3), 2, (3, 3), {"stride": 2.0, "pad": 1.0, "output_pad": 1.0}),
    "wide-kernel": ((1, 2, 3, 4), 2, (1, 4), {"stride": (1, 2), "pad": (0, 1)}),
    "tall-kernel": ((1, 2, 4, 3), 2, (4, 1), {"stride": (2, 1)}),
    "pointwise": ((2, 3, 3, 4), 4, (1, 1), {}),
    "pointwise-stride-2": ((1, 3, 3, 2), 2, (1, 1), {"stride": 2, "output_pad": 1}),
    "large-kernel": ((1, 2, 2, 2), 2, (5, 5), {"stride": 2, "pad": 2}),
    "one-pixel": ((2, 3, 1, 1), 2, (4, 4), {}),
    "one-pixel-left": ((1, 2, 1, 1), 2, (3, 3), {"pad": 1}),
    "one-channel": ((2, 1, 3, 3), 2, (3, 3), {"stride": 2, "pad": 1}),
    "one-filter": ((2, 3, 3, 3), 1, (3, 3), {"stride": 2, "pad": 1}),
    "one-of-all": ((1, 1, 2, 2), 1, (2, 2), {}),
    "many-channels": ((1, 7, 2, 2), 5, (3, 3), {"stride": 2, "pad": 1}),
    "dilation-2": ((1, 2, 4, 3), 2, (3, 3), {"dilation": 2, "pad": 1}),
    "dilation-2-stride-2": ((1, 2, 3, 3), 2, (3, 2), {"stride": 2, "dilation": 2, "output_pad": 1}),
    "dilation-pair": ((1, 2, 3, 4), 2, (3, 2), {"stride": 3, "dilation": (2, 3), "pad": 1}),
    "groups-2": ((2, 4, 3, 3), 6, (3, 3), {"stride": 2, "pad": 1, "groups": 2}),
    "groups-of-4": ((1, 8, 3, 3), 8, (2, 2), {"stride": 2, "groups": 2}),
    "groups-all": ((1, 4, 3, 3), 2, (3, 3), {"stride": 2, "dilation": 2, "pad": 1, "groups": 2}),
    "depthwise": ((2, 5, 3, 4), 5, (4, 4), {"stride": 2, "pad": 1, "groups": 5}),
    "depthwise-17": ((1, 17, 2, 3), 17, (3, 2), {"pad": 1, "groups": 17}),
}

# name: x (N, C, H, W), scale; each in both modes
UPSAMPLE: dict[str, tuple[tuple[int, ...], Any]] = {
    "2": ((2, 3, 3, 4), 2),
    "3": ((1, 2, 3, 3), 3),
    "4": ((1, 2, 4, 2), 4),
    "5": ((1, 1, 2, 3), 5),
    "1": ((1, 2, 3, 4), 1),
    "pair": ((1, 2, 3, 3), (2, 3)),
    "list": ((1, 2, 3, 3), [3, 1]),
    "rows": ((1, 2, 4, 1), (2, 1)),
    "columns": ((1, 2, 1, 4), (1, 4)),
    "float": ((1, 2, 2, 3), 2.0),
    "one-pixel": ((2, 2, 1, 1), 3),
    "one-row": ((1, 2, 1, 5), 2),
    "one-column": ((1, 2, 5, 1), 2),
    "one-channel": ((3, 1, 2, 2), 2),
    "one-of-all": ((1, 1, 1, 1), 2),
    "many-channels": ((1, 19, 2, 3), 2),
    "many-images": ((5, 1, 3, 2), 2),
}

# name: x (N, C, H, W), pool_height, pool_width, stride (None: left out)
POOL: dict[str, tuple[tuple[int, ...], int, int, Any]] = {
    "2x2": ((2, 3, 4, 4), 2, 2, 2),
    "3x3": ((2, 2, 6, 6), 3, 3, 3),
    "default-stride": ((1, 2, 4, 6), 2, 3, None),
    "overlap-2x2": ((2, 2, 4, 4), 2, 2, 1),
    "overlap-3x3": ((1, 2, 5, 5), 3, 3, 1),
    "overlap-3x3-stride-2": ((2, 2, 7, 5), 3, 3, 2),
    "overlap-4x4-stride-3": ((1, 1, 7, 7), 4, 4, 3),
    "overlap-rows": ((1, 2, 5, 4), 3, 2, (1, 2)),
    "overlap-columns": ((1, 2, 4, 5), 2, 3, (2, 1)),
    "stride-over-window": ((2, 2, 5, 5), 2, 2, 3),
    "stride-over-window-1x1": ((1, 2, 5, 5), 1, 1, 2),
    "stride-over-window-rows": ((1, 2, 7, 4), 2, 2, (5, 1)),
    "stride-over-image": ((1, 2, 3, 3), 2, 2, 8),
    "floor-both": ((2, 2, 5, 5), 2, 2, 2),
    "floor-rows": ((1, 2, 5, 4), 2, 2, 2),
    "floor-columns": ((1, 2, 4, 7), 2, 2, 2),
    "floor-3x3": ((1, 2, 5, 8), 3, 3, 3),
    "floor-overlap": ((1, 2, 6, 6), 3, 3, 2),
    "wide": ((1, 2, 3, 8), 1, 4, 1),
    "tall": ((1, 2, 8, 3), 4, 1, 1),
    "row": ((2, 1, 1, 6), 1, 2, (1, 2)),
    "column": ((2, 1, 6, 1), 3, 1, (3, 1)),
    "stride-pair": ((1, 2, 6, 6), 2, 2, (1, 3)),
    "stride-list": ((1, 2, 6, 5), 3, 2, [2, 3]),
    "float-stride": ((1, 2, 4, 4), 2, 2, 2.0),
    "float-window": ((1, 2, 4, 4), 2.0, 2.0, 2),
    "window-1x1": ((2, 2, 3, 3), 1, 1, 1),
    "window-is-image": ((2, 3, 4, 3), 4, 3, 1),
    "one-pixel": ((2, 3, 1, 1), 1, 1, 1),
    "one-image": ((1, 3, 4, 4), 2, 2, 2),
    "one-channel": ((3, 1, 4, 4), 2, 2, 2),
    "one-of-all": ((1, 1, 2, 2), 2, 2, 2),
    "many-channels": ((1, 9, 4, 2), 2, 2, 2),
    "large-window": ((1, 1, 6, 7), 5, 6, 1),
}

GLOBAL: list[tuple[int, ...]] = [
    *((N, C, H, W) for N in (1, 3) for C in (1, 4) for H in (1, 2, 5) for W in (1, 3)),
    (2, 2, 4, 4),
    (2, 2, 7, 3),
    (1, 3, 8, 1),
    (1, 3, 1, 8),
    (5, 1, 2, 2),
    (1, 9, 2, 2),
    (2, 3, 5, 6),
    (4, 2, 3, 2),
]


def _conv_cases() -> list[Case]:
    rng = np.random.default_rng(231)
    return [
        Case(
            "conv",
            name,
            {
                "x": rng.standard_normal(x),
                "w": rng.standard_normal((F, x[1] // int(conv_param.get("groups", 1)), *kernel)),
                "b": rng.standard_normal(F),
            },
            (conv_param,),
        )
        for name, (x, F, kernel, conv_param) in CONV.items()
    ]


def _transpose_cases() -> list[Case]:
    rng = np.random.default_rng(231)
    return [
        Case(
            "conv_transpose",
            name,
            {
                "x": rng.standard_normal(x),
                "w": rng.standard_normal((x[1], F // int(conv_param.get("groups", 1)), *kernel)),
                "b": rng.standard_normal(F),
            },
            (conv_param,),
        )
        for name, (x, F, kernel, conv_param) in TRANSPOSE.items()
    ]


def _upsample_cases() -> list[Case]:
    rng = np.random.default_rng(231)
    return [
        Case(
            "upsample",
            f"{mode}-{name}",
            {"x": rng.standard_normal(shape)},
            ({"scale": scale, "mode": mode},),
        )
        for mode in ("nearest", "bilinear")
        for name, (shape, scale) in UPSAMPLE.items()
    ]


# name: x (N, C, H, W), pool_height, pool_width, the other keys of pool_param
BORDERED: dict[str, tuple[tuple[int, ...], int, int, dict[str, Any]]] = {
    "pad": ((2, 2, 4, 5), 2, 2, {"stride": 2, "pad": 1}),
    "pad-3x3-stride-2": ((2, 3, 7, 6), 3, 3, {"stride": 2, "pad": 1}),
    "pad-default-stride": ((1, 2, 4, 7), 3, 3, {"pad": 1}),
    "pad-pair": ((1, 2, 5, 4), 2, 3, {"stride": 1, "pad": (0, 1)}),
    "pad-list": ((1, 2, 5, 4), 4, 2, {"stride": [3, 1], "pad": [2, 0]}),
    "pad-float": ((1, 2, 4, 4), 2, 2, {"pad": 1.0}),
    "pad-over-image": ((1, 2, 2, 1), 4, 6, {"stride": 1, "pad": (2, 3)}),
    "pad-one-pixel": ((2, 1, 1, 1), 2, 2, {"stride": 1, "pad": 1}),
    "ceil": ((2, 2, 5, 5), 2, 2, {"stride": 2, "ceil_mode": True}),
    "ceil-without-rest": ((2, 2, 4, 4), 2, 2, {"stride": 2, "ceil_mode": True}),
    "ceil-rows": ((1, 2, 7, 4), 3, 2, {"stride": (3, 2), "ceil_mode": True}),
    "ceil-window-over-image": ((1, 2, 2, 2), 3, 3, {"stride": 2, "ceil_mode": True}),
    "ceil-stride-over-window": ((1, 2, 6, 5), 2, 1, {"stride": (3, 4), "ceil_mode": True}),
    "ceil-drops-a-window": ((1, 2, 3, 5), 2, 2, {"stride": 3, "pad": 1, "ceil_mode": True}),
    "ceil-pad": ((2, 2, 6, 7), 3, 3, {"stride": 2, "pad": 1, "ceil_mode": True}),
    "no-ceil": ((1, 2, 5, 5), 2, 2, {"stride": 2, "pad": 0, "ceil_mode": False}),
}


def _bordered_cases(layer: str, **more: Any) -> list[Case]:
    rng = np.random.default_rng(231)
    cases = []
    for name, (shape, height, width, options) in BORDERED.items():
        x = rng.permutation(np.linspace(-1.0, 1.0, int(np.prod(shape)) + 1)[1:]).reshape(shape)
        pool_param = {"pool_height": height, "pool_width": width, **options, **more}
        cases.append(Case(layer, "-".join([name, *more]), {"x": x}, (pool_param,)))
    return cases


def _pool_cases(layer: str) -> list[Case]:
    rng = np.random.default_rng(231)
    cases = []
    for name, (shape, height, width, stride) in POOL.items():
        size = int(np.prod(shape))
        x = rng.permutation(np.linspace(-1.0, 1.0, size + 1)[1:]).reshape(shape)  # no ties
        pool_param = {"pool_height": height, "pool_width": width}
        if stride is not None:
            pool_param["stride"] = stride
        cases.append(Case(layer, name, {"x": x}, (pool_param,)))
    return cases


def _global_cases() -> list[Case]:
    rng = np.random.default_rng(231)
    return [
        Case("global_avg_pool", "x".join(map(str, shape)), {"x": rng.standard_normal(shape)})
        for shape in GLOBAL
    ]


CASES = [
    *_conv_cases(),
    *_transpose_cases(),
    *_upsample_cases(),
    *_pool_cases("max_pool"),
    *_pool_cases("avg_pool"),
    *_bordered_cases("max_pool"),
    *_bordered_cases("avg_pool"),
    *_bordered_cases("avg_pool", count_include_pad=False),
    *_global_cases(),
]
