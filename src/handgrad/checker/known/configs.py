"""The situations in which the courses' layers go wrong, small enough for loops in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checker.records import Config

Options = tuple[Any, ...]


def _rng(*key: int) -> np.random.Generator:
    return np.random.default_rng([231, *key])


def away_from_zero(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Random numbers of both signs, none close to 0, where ReLU has its kink."""
    return rng.choice([-1.0, 1.0], shape) * (0.1 + rng.uniform(0, 2, shape))


def without_ties(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Random numbers of both signs, no two of which are close."""
    size = int(np.prod(shape))
    return (rng.permutation(size).reshape(shape) - size / 2 + 0.3) / np.sqrt(size)


def with_integers(config: Config, names: Sequence[str]) -> Config:
    """Return the configuration with integers in the arrays `names`."""
    arrays = {
        name: np.rint(3 * array).astype(np.int64) if name in names else array
        for name, array in config.arrays.items()
    }
    return replace(
        config, name=f"{config.name}, integer {', '.join(names)}", arrays=arrays, smooth=False
    )


def affine() -> list[Config]:
    """Rows of any rank; square weights; one row; integers."""
    rng, configs = _rng(1), []
    for N, row, M in [
        (3, (4,), 2),
        (2, (2, 3), 4),
        (1, (5,), 3),
        (4, (2, 1, 3), 2),
        (3, (3,), 3),
        (2, (4,), 1),
    ]:
        D = int(np.prod(row))
        arrays = {
            "x": rng.standard_normal((N, *row)),
            "w": rng.standard_normal((D, M)),
            "b": rng.standard_normal(M),
        }
        traits = {"x has more than two dimensions"} if len(row) > 1 else set()
        traits |= {"the batch has one row"} if N == 1 else set()
        configs.append(Config(f"x {(N, *row)}, w {(D, M)}", arrays, traits=frozenset(traits)))
    return [*configs, with_integers(configs[0], ["b"]), with_integers(configs[0], ["x"])]


def elementwise(options: Options = ()) -> list[Config]:
    """Every rank, and integers."""
    rng = _rng(2)
    configs = [
        Config(f"x {shape}", {"x": away_from_zero(rng, shape)}, options)
        for shape in [(3, 4), (5,), (2, 3, 2, 2), (1, 6)]
    ]
    large = Config("large x", {"x": 30 * away_from_zero(rng, (3, 4))}, options, smooth=False)
    return [*configs, large, with_integers(configs[0], ["x"])]


def relu() -> list[Config]:
    """Also a point at the kink, where every gradient between 0 and dout is right."""
    x = np.array([[0.0, 1.0, -1.0], [2.0, 0.0, -0.5]])
    return [*elementwise(), Config("x with zeros", {"x": x}, tied=True)]


def within_dout(config: Config, dout: Any, got: dict[str, Any]) -> bool:
    """Whether dx is right where x is not 0, and between 0 and dout where it is."""
    x, dx = config.arrays["x"], np.asarray(got["dx"])
    if dx.shape != x.shape:
        return False
    share = dx / dout
    return bool(
        np.all(np.isclose(share[x > 0], 1))
        and np.all(share[x < 0] == 0)
        and np.all((share >= 0) & (share <= 1))
    )


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
    rng, configs = _rng(3), []
    for name, shape, F, kernel, stride, pad in rows:
        arrays = {
            "x": rng.standard_normal(shape),
            "w": rng.standard_normal((F, shape[1], *kernel)),
            "b": rng.standard_normal(F),
        }
        if extra:
            arrays |= {"gamma": rng.uniform(0.5, 1.5, F), "beta": rng.standard_normal(F)}
        traits = conv_traits(kernel, stride, pad)
        traits |= {"there are more filters than images"} if shape[0] < F else set()
        traits |= {"the batch has one image"} if shape[0] == 1 else set()
        param = {"stride": stride, "pad": pad}
        configs.append(Config(name, arrays, (param, *options), traits=frozenset(traits)))
    return configs


def conv() -> list[Config]:
    """Convolutions, and integers."""
    configs = conv_like()
    return [*configs, with_integers(configs[0], ["b"]), with_integers(configs[1], ["x"])]


# name: x (N, C, H, W), (height, width), stride
POOL = [
    ("2x2, stride 2", (2, 3, 4, 6), (2, 2), 2),
    ("3x3, stride 1", (2, 2, 5, 4), (3, 3), 1),
    ("3x3, stride 2", (1, 2, 7, 5), (3, 3), 2),
    ("2x2, stride 3", (2, 2, 5, 8), (2, 2), 3),
    ("2x3 window, stride 1", (2, 1, 4, 4), (2, 3), 1),
    ("1x2 window, stride 2", (1, 2, 3, 4), (1, 2), 2),
    ("window of the image's size", (3, 2, 3, 3), (3, 3), 1),
]


def _pool_param(window: tuple[int, int], stride: int) -> dict[str, int]:
    return {"pool_height": window[0], "pool_width": window[1], "stride": stride}


def max_pool() -> list[Config]:
    """Pools that overlap, that leave gaps, that see only negative numbers, that have ties."""
    rng, configs = _rng(4), []
    for name, shape, window, stride in POOL:
        traits = (
            {"windows overlap (stride < window)"}
            if stride < max(window)
            else {"windows do not overlap"}
        )
        traits |= {"stride > window"} if stride > max(window) else set()
        traits |= {"the window is not square"} if window[0] != window[1] else set()
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
    return [*configs, tied, replace(first, name="integer x", arrays=whole, smooth=False)]


def shares_of_maxima(config: Config, dout: Any, got: dict[str, Any]) -> bool:
    """Whether each window hands exactly its dout to its maxima (windows that do not overlap)."""
    x, dx = config.arrays["x"], np.asarray(got["dx"])
    if dx.shape != x.shape:
        return False
    N, C, H, W = x.shape
    blocks = (N, C, H // 2, 2, W // 2, 2)
    xs, dxs = x.reshape(blocks), dx.reshape(blocks)
    largest = xs.max(axis=(3, 5), keepdims=True)
    share = dxs / np.asarray(dout)[:, :, :, None, :, None]
    whole = np.allclose(share.sum(axis=(3, 5)), 1)
    return bool(whole and np.all(share >= 0) and np.all(share[xs < largest] == 0))


def avg_pool() -> list[Config]:
    """The pools without their ties."""
    return [config for config in max_pool() if not config.tied]


def global_avg_pool() -> list[Config]:
    """Images of several sizes."""
    rng = _rng(12)
    shapes = [(2, 3, 3, 4), (1, 2, 5, 2), (3, 1, 1, 4)]
    return [Config(f"x {shape}", {"x": rng.standard_normal(shape)}) for shape in shapes]


def prelu() -> list[Config]:
    """One slope, and one for each channel."""
    rng = _rng(13)
    return [
        Config(
            f"x {shape}, a {slopes}",
            {"x": away_from_zero(rng, shape), "a": rng.uniform(0.1, 0.5, slopes)},
        )
        for shape, slopes in [((3, 4), (1,)), ((3, 4), (4,)), ((2, 3, 2, 2), (3,)), ((5,), ())]
    ]


def maxout() -> list[Config]:
    """Two and three pieces."""
    rng = _rng(14)
    return [
        Config(f"x {shape}, {pieces} pieces", {"x": without_ties(rng, shape)}, (pieces,))
        for shape, pieces in [((3, 4), 2), ((2, 6), 3), ((2, 4, 2, 3), 2), ((3, 2), 1)]
    ]


def spatial_instancenorm() -> list[Config]:
    """Images of several sizes."""
    rng = _rng(15)
    return [
        Config(f"x {shape}", _images(rng, shape, (shape[1],)), (param,))
        for shape, param in [((2, 3, 2, 4), {}), ((1, 2, 3, 3), {"eps": 0.1}), ((3, 1, 2, 2), {})]
    ]


def batchnorm() -> list[Config]:
    """Train from nothing and from running statistics, test, one row, one constant column, a large mean."""
    rng, configs = _rng(5), []

    def add(
        name: str, N: int, D: int, param: dict[str, Any], x: Any = None, smooth: bool = True
    ) -> None:
        x = 2 * rng.standard_normal((N, D)) + 3 if x is None else x
        arrays = {"x": x, "gamma": rng.uniform(0.5, 2, D), "beta": rng.standard_normal(D)}
        traits = frozenset({f"mode is {param['mode']}", *([name] if not smooth else [])})
        configs.append(Config(name, arrays, (param,), smooth=smooth, traits=traits))

    def running(D: int) -> dict[str, np.ndarray]:
        return {"running_mean": rng.standard_normal(D), "running_var": rng.uniform(0.5, 2, D)}

    add("train", 5, 3, {"mode": "train"})
    add("train with running statistics", 4, 6, {"mode": "train", **running(6)})
    add(
        "train, eps 0.1, momentum 0.7",
        3,
        2,
        {"mode": "train", "eps": 0.1, "momentum": 0.7, **running(2)},
    )
    add("train, square", 4, 4, {"mode": "train"})
    add("test", 5, 3, {"mode": "test", **running(3)})
    add("test, eps 0.1", 2, 4, {"mode": "test", "eps": 0.1, **running(4)})
    add("large mean", 4, 3, {"mode": "train"}, rng.standard_normal((4, 3)) + 1e3, False)
    constant = rng.standard_normal((4, 3))
    constant[:, 1] = 2.0
    add("a constant column", 4, 3, {"mode": "train"}, constant, False)
    add("a batch of one row", 1, 3, {"mode": "train"}, rng.standard_normal((1, 3)), False)
    return [*configs, with_integers(configs[0], ["gamma", "beta"])]


def layernorm() -> list[Config]:
    """Rows longer and shorter than the batch; an empty dictionary; integers."""
    rng, configs = _rng(6), []
    for name, N, D, param in [
        ("4x6", 4, 6, {}),
        ("6x3", 6, 3, {"mode": "train"}),
        ("eps 0.1", 3, 5, {"eps": 0.1}),
        ("square", 4, 4, {}),
        ("a batch of one row", 1, 5, {}),
    ]:
        arrays = {
            "x": 2 * rng.standard_normal((N, D)) + 3,
            "gamma": rng.uniform(0.5, 2, D),
            "beta": rng.standard_normal(D),
        }
        configs.append(Config(name, arrays, (param,)))
    return [*configs, with_integers(configs[0], ["gamma", "beta"])]


def spatial_batchnorm() -> list[Config]:
    """As batchnorm, with images."""
    rng, configs = _rng(7), []
    running = {"running_mean": None, "running_var": None}
    rows: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
        ("train", (3, 2, 2, 4), {}),
        (
            "train with running statistics",
            (2, 4, 3, 2),
            running,
        ),
        ("train, eps 0.1, momentum 0.7", (2, 3, 2, 2), {"eps": 0.1, "momentum": 0.7}),
        ("test", (2, 3, 3, 2), {"mode": "test", **running}),
        ("one image", (1, 3, 2, 4), {}),
    ]
    for name, shape, extra in rows:
        C = shape[1]
        param: dict[str, Any] = {"mode": "train", **extra}
        if "running_mean" in param:
            param |= {"running_mean": rng.standard_normal(C), "running_var": rng.uniform(0.5, 2, C)}
        configs.append(Config(name, _images(rng, shape, (C,)), (param,)))
    return configs


def spatial_groupnorm() -> list[Config]:
    """One group, several, as many as channels; gamma as (1, C, 1, 1)."""
    rng = _rng(8)
    return [
        Config(f"x {shape}, G {G}{suffix}", _images(rng, shape, (1, shape[1], 1, 1)), (G, param))
        for shape, G, param, suffix in [
            ((2, 6, 2, 3), 2, {}, ""),
            ((3, 4, 2, 2), 4, {"mode": "train"}, ""),
            ((2, 4, 3, 2), 1, {}, ""),
            ((1, 6, 2, 2), 3, {"eps": 0.1}, ", eps 0.1"),
        ]
    ]


def _images(
    rng: np.random.Generator, shape: tuple[int, ...], gamma: tuple[int, ...]
) -> dict[str, np.ndarray]:
    return {
        "x": 2 * rng.standard_normal(shape) + 3,
        "gamma": rng.uniform(0.5, 2, gamma),
        "beta": rng.standard_normal(gamma),
    }


def dropout() -> list[Config]:
    """Train and test; what a mask must be is left to the expectations."""
    rng = _rng(9)
    return [
        Config(
            f"{mode}, p {p}, x {shape}",
            {"x": away_from_zero(rng, shape)},
            ({"p": p, "mode": mode, "seed": 7},),
            traits=frozenset({f"mode is {mode}"}),
        )
        for shape, mode, p in [
            ((4, 6), "train", 0.3),
            ((4, 6), "train", 0.75),
            ((2, 3, 4, 2), "train", 0.6),
            ((4, 6), "test", 0.3),
            ((3, 2, 2), "test", 0.75),
        ]
    ]


def loss(extreme: bool) -> list[Config]:
    """Labels at both ends, one row, two classes, extreme scores."""
    rng, configs = _rng(10), []
    for N, C in [(4, 3), (1, 5), (6, 2), (3, 4)]:
        y = rng.integers(0, C, N)
        y[0], y[-1] = C - 1, 0 if N > 1 else C - 1
        x = rng.standard_normal((N, C))
        configs.append(Config(f"x {(N, C)}", {"x": x}, (y,)))
    large = 100 * rng.standard_normal((4, 3))
    configs.append(Config("large scores", {"x": large}, (configs[0].options[0],), smooth=False))
    if extreme:
        huge = np.array([[1000.0, 0.0, -1000.0], [-1e4, 1e4, 0.0], [0.0, 0.0, 800.0]])
        trait = frozenset({"scores are large"})
        configs.append(
            Config(
                "extreme scores", {"x": huge}, (np.array([0, 2, 1]),), smooth=False, traits=trait
            )
        )
    return configs


def affine_like(norm: str) -> list[Config]:
    """affine - [norm] - relu."""
    rng, configs = _rng(11), []
    for N, row, M, param in [(4, (5,), 3, {}), (5, (2, 3), 4, {"eps": 0.1}), (3, (3,), 3, {})]:
        D = int(np.prod(row))
        arrays = {
            "x": rng.standard_normal((N, *row)),
            "w": rng.standard_normal((D, M)),
            "b": rng.standard_normal(M),
        }
        options: Options = ()
        if norm:
            arrays |= {"gamma": rng.uniform(0.5, 1.5, M), "beta": rng.standard_normal(M)}
            options = ({"mode": "train", **param} if norm == "bn" else param,)
        configs.append(Config(f"x {(N, *row)}, w {(D, M)}", arrays, options))
    return configs


_SANDWICH = [
    ("3x3, pad 1", (2, 2, 4, 6), 3, (3, 3), 1, 1),
    ("stride 1, pad 0", (3, 2, 4, 4), 2, (3, 3), 1, 0),
    ("stride 2, pad 1", (2, 1, 7, 7), 2, (3, 3), 2, 1),
]


def conv_sandwich(norm: str = "", pool: bool = False) -> list[Config]:
    """conv - [norm] - relu - [pool]."""
    options: Options = ({"mode": "train"},) if norm else ()
    options += (_pool_param((2, 2), 2),) if pool else ()
    return conv_like(norm, options, _SANDWICH)
