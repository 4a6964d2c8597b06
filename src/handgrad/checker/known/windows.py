"""Situations in which layers with windows go wrong: convolutions, pools, and their sandwiches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checker.known.configs import (
    Options,
    seeded,
    tested,
    with_integers,
    without_ties,
)
from handgrad.checker.records import Config

# name: x (N, C, H, W), F, (HH, WW), stride, pad
CONV = [
    ("3x3, pad 1", (2, 2, 4, 5), 3, (3, 3), 1, 1),
    ("pad 0", (2, 3, 4, 4), 2, (2, 2), 1, 0),
    ("stride 2, pad 1", (2, 2, 5, 7), 3, (3, 3), 2, 1),
    ("stride 3 over 2x2", (1, 2, 5, 8), 2, (2, 2), 3, 0),
    ("more filters than images", (1, 1, 4, 4), 4, (3, 3), 1, 1),
    ("fewer filters than images", (3, 2, 3, 3), 1, (2, 2), 1, 0),
    ("2x3 kernel, stride 2", (2, 2, 4, 5), 2, (2, 3), 2, 0),
    ("pad 2", (1, 2, 3, 3), 2, (3, 3), 1, 2),
    ("1x1 kernel", (2, 3, 3, 2), 2, (1, 1), 1, 0),
    ("kernel of the image's size", (2, 2, 3, 4), 2, (3, 4), 1, 0),
    ("3x2 kernel", (1, 2, 5, 4), 2, (3, 2), 1, 0),
    ("5x5 kernel, pad 2", (1, 2, 4, 3), 2, (5, 5), 1, 2),
    ("7x7 kernel, pad 3, stride 2", (1, 1, 5, 7), 1, (7, 7), 2, 3),
]


def conv_traits(kernel: tuple[int, int], stride: int, pad: int) -> set[str]:
    """Return the words for what is special about a window."""
    traits = {"pad is 0"} if pad == 0 else {"pad > 0"}
    traits |= (
        {"windows overlap (stride < kernel)"}
        if stride < max(kernel)
        else {"windows do not overlap"}
    )
    traits |= {"stride > 1"} if stride > 1 else set()
    traits |= {"the kernel is not square"} if kernel[0] != kernel[1] else set()
    return traits


def conv_like(extra: str = "", options: Options = (), rows: Sequence[Any] = CONV) -> list[Config]:
    """Convolutions; `extra`: "bn" adds gamma and beta; options: those behind conv_param."""
    rng, configs = seeded(3), []
    for name, shape, F, kernel, stride, pad in rows:
        arrays = {
            "x": rng.standard_normal(shape),
            "w": rng.standard_normal((F, shape[1], *kernel)),
            "b": rng.standard_normal(F),
        }
        if extra:
            arrays |= {"gamma": rng.uniform(0.5, 1.5, F), "beta": rng.standard_normal(F)}
        traits = conv_traits(kernel, stride, pad) if isinstance(stride, int) else set()
        traits |= {"there are more filters than images"} if shape[0] < F else set()
        traits |= {"the batch has one image"} if shape[0] == 1 else set()
        param = {"stride": stride, "pad": pad}
        configs.append(Config(name, arrays, (param, *options), traits=frozenset(traits)))
    return configs


# name: x, F, kernel, (vertical, horizontal) stride and pad; beyond the courses
UNEQUAL = [
    ("stride (2, 1), pad (0, 1)", (2, 2, 5, 4), 2, (3, 2), (2, 1), (0, 1)),
    ("stride (1, 3), pad (2, 0)", (1, 2, 3, 8), 3, (2, 2), (1, 3), (2, 0)),
]


def conv() -> list[Config]:
    """Convolutions, and integers; strides and pads as pairs, for code that takes them."""
    configs = conv_like()
    unequal = [_optional(config) for config in conv_like(rows=UNEQUAL)]
    whole = [with_integers(configs[0], ["b"]), with_integers(configs[1], ["x"])]
    return [*configs, *whole, *unequal]


def _optional(config: Config) -> Config:
    return replace(
        config,
        optional=True,
        traits=frozenset({"stride and pad are pairs"}),
        strict=frozenset("*"),
        beyond="with strides and pads as pairs",
    )


# name: x (N, C, H, W), (height, width), stride
POOL = [
    ("2x2, stride 2", (2, 3, 4, 6), (2, 2), 2),
    ("3x3, stride 1", (2, 2, 5, 4), (3, 3), 1),
    ("3x3, stride 2", (1, 2, 7, 5), (3, 3), 2),
    ("2x2, stride 3", (2, 2, 5, 8), (2, 2), 3),
    ("2x3 window, stride 1", (2, 1, 4, 4), (2, 3), 1),
    ("1x2 window, stride 2", (1, 2, 3, 4), (1, 2), 2),
    ("window of the image's size", (3, 2, 3, 3), (3, 3), 1),
    ("3x2 window, stride 1", (1, 2, 5, 4), (3, 2), 1),
    ("4x2 window, stride 2", (1, 1, 6, 4), (4, 2), 2),
]


def _pool_param(window: tuple[int, int], stride: Any) -> dict[str, Any]:
    return {"pool_height": window[0], "pool_width": window[1], "stride": stride}


def max_pool() -> list[Config]:
    """Pools that overlap, that leave gaps, that see only negative numbers, that have ties."""
    rng, configs = seeded(4), []
    for name, shape, window, stride in POOL:
        traits = (
            {"windows overlap (stride < window)"}
            if stride < max(window)
            else {"windows do not overlap"}
        )
        traits |= {"stride > window"} if stride > max(window) else set()
        traits |= {"the window is not square"} if window[0] != window[1] else set()
        traits |= {"the window is taller than wide"} if window[0] > window[1] else set()
        arrays = {"x": without_ties(rng, shape)}
        options = (_pool_param(window, stride),)
        configs.append(Config(name, arrays, options, traits=frozenset(traits)))
    first = configs[0]
    negative = {"x": first.arrays["x"] - 10.0}
    trait = frozenset({"all numbers are negative"})
    configs.append(Config("negative x", negative, first.options, traits=trait))
    ties = rng.integers(0, 2, (2, 2, 4, 4)).astype(float)
    ties[0, 0, :2, :2] = 1.0
    trait = frozenset({"a window has several maxima"})
    tied = Config("2x2 with ties", {"x": ties}, first.options, tied=True, traits=trait)
    whole = {"x": rng.permutation(first.arrays["x"].size).reshape(first.arrays["x"].shape) - 40}
    integers = replace(
        first,
        name="integer x",
        arrays=whole,
        smooth=False,
        strict=frozenset("*"),
        beyond="with integer x",
    )
    unequal = [
        _optional(
            Config(
                f"3x2, stride {stride}",
                {"x": without_ties(rng, (2, 2, 5, 6))},
                (_pool_param((3, 2), stride),),
            )
        )
        for stride in ((1, 2), (2, 1))
    ]
    return [*configs, tied, integers, *unequal]


def shares_of_maxima(config: Config, dout: Any, got: dict[str, Any], strict: bool = True) -> bool:
    """Whether each window hands exactly its dout to its maxima (windows that do not overlap).

    Not strict: to one place of the window: with the row of one maximum and the column of another it is none,
    which no numbers of a course show.
    """
    x, dx = config.arrays["x"], np.asarray(got["dx"])
    if dx.shape != x.shape:
        return False
    N, C, H, W = x.shape
    blocks = (N, C, H // 2, 2, W // 2, 2)
    xs, dxs = x.reshape(blocks), dx.reshape(blocks)
    largest = xs.max(axis=(3, 5), keepdims=True)
    share = dxs / np.asarray(dout)[:, :, :, None, :, None]
    whole = np.allclose(share.sum(axis=(3, 5)), 1)
    to_maxima = not strict or np.all(share[xs < largest] == 0)
    return bool(whole and np.all(share >= 0) and to_maxima)


def avg_pool() -> list[Config]:
    """The pools without their ties."""
    return [config for config in max_pool() if not config.tied]


def global_avg_pool() -> list[Config]:
    """Images of several sizes."""
    rng = seeded(12)
    shapes = [(2, 3, 3, 4), (1, 2, 5, 2), (3, 1, 1, 4)]
    return [Config(f"x {shape}", {"x": rng.standard_normal(shape)}) for shape in shapes]


_SANDWICH = [
    ("3x3, pad 1", (2, 2, 4, 6), 3, (3, 3), 1, 1),
    ("stride 1, pad 0", (3, 2, 4, 4), 2, (3, 3), 1, 0),
    ("stride 2, pad 1", (2, 1, 7, 7), 2, (3, 3), 2, 1),
    ("one image", (1, 2, 4, 4), 1, (3, 3), 1, 1),
]


def conv_sandwich(norm: str = "", pool: bool = False) -> list[Config]:
    """conv - [norm] - relu - [pool]."""
    options: Options = ({"mode": "train"},) if norm else ()
    options += (_pool_param((2, 2), 2),) if pool else ()
    configs = conv_like(norm, options, _SANDWICH)
    if not norm:
        return configs
    first, second, *others = configs
    wide = tuple(one | {"eps": 0.1} if "mode" in one else one for one in second.options)
    second = replace(second, name=f"{second.name}, eps 0.1", options=wide)
    return [first, second, *others, tested(first)]
