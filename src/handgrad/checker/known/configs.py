"""The situations in which the courses' layers go wrong, small enough for loops in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checker.records import Call, Config

Options = tuple[Any, ...]


def seeded(*key: int) -> np.random.Generator:
    """Return the generator of one layer's configurations."""
    return np.random.default_rng([231, *key])


def away_from_zero(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Random numbers of both signs, none close to 0, where ReLU has its kink."""
    return rng.choice([-1.0, 1.0], shape) * (0.1 + rng.uniform(0, 2, shape))


def without_ties(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Random numbers of both signs, no two of which are close."""
    size = int(np.prod(shape))
    return (rng.permutation(size).reshape(shape) - size / 2 + 0.3) / np.sqrt(size)


def with_integers(config: Config, names: Sequence[str]) -> Config:
    """Return the configuration with integers in the arrays `names`.

    The courses pass whole numbers as b, gamma and beta, to forward only, and never as x.
    """
    arrays = {
        name: np.rint(3 * array).astype(np.int64) if name in names else array
        for name, array in config.arrays.items()
    }
    return replace(
        config,
        name=f"{config.name}, integer {', '.join(names)}",
        arrays=arrays,
        smooth=False,
        strict=frozenset({"*"} if "x" in names else {"d*"}),
        beyond=f"with integer {' and '.join(names)}",
    )


def affine() -> list[Config]:
    """Rows of any rank, square weights, one row, integers."""
    rng, configs = seeded(1), []
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
    rng = seeded(2)
    configs = [
        Config(f"x {shape}", {"x": away_from_zero(rng, shape)}, options)
        for shape in [(3, 4), (5,), (2, 3, 2, 2), (1, 6)]
    ]
    configs[1] = replace(  # no course has rows of nothing but their number
        configs[1], strict=frozenset("*"), beyond="with x of one axis"
    )
    sizes = np.geomspace(0.02, 20, 24) * np.tile([1.0, -1.0, -1.0, 1.0], 6)  # for other thresholds
    configs.append(Config("small and large x", {"x": sizes.reshape(4, 6)}, options))
    large = Config("large x", {"x": 30 * away_from_zero(rng, (3, 4))}, options, smooth=False)
    return [*configs, large, with_integers(configs[0], ["x"])]


def relu() -> list[Config]:
    """Also a point at the kink, where every gradient between 0 and dout is right."""
    x = np.array([[0.0, 1.0, -1.0], [2.0, 0.0, -0.5]])
    return [
        *elementwise(),
        Config(
            "x with zeros",
            {"x": x},
            tied=True,
            strict=frozenset("*"),
            beyond="at x of exactly 0",
        ),
    ]


def within_dout(config: Config, dout: Any, got: dict[str, Any], strict: bool = True) -> bool:
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


def prelu() -> list[Config]:
    """One slope, and one for each channel."""
    rng = seeded(13)
    return [
        Config(
            f"x {shape}, a {slopes}",
            {"x": away_from_zero(rng, shape), "a": rng.uniform(0.1, 0.5, slopes)},
        )
        for shape, slopes in [((3, 4), (1,)), ((3, 4), (4,)), ((2, 3, 2, 2), (3,)), ((5,), ())]
    ]


def maxout() -> list[Config]:
    """Two and three pieces."""
    rng = seeded(14)
    return [
        Config(f"x {shape}, {pieces} pieces", {"x": without_ties(rng, shape)}, (pieces,))
        for shape, pieces in [((3, 4), 2), ((2, 6), 3), ((2, 4, 2, 3), 2), ((3, 2), 1)]
    ]


def spatial_instancenorm() -> list[Config]:
    """Images of several sizes."""
    rng = seeded(15)
    return [
        Config(f"x {shape}", _images(rng, shape, (shape[1],)), (param,))
        for shape, param in [((2, 3, 2, 4), {}), ((1, 2, 3, 3), {"eps": 0.1}), ((3, 1, 2, 2), {})]
    ]


def batchnorm() -> list[Config]:
    """Train from nothing and from running statistics, test, one row, one constant column, a large mean."""
    rng, configs = seeded(5), []

    def add(
        name: str, N: int, D: int, param: dict[str, Any], x: Any = None, smooth: bool = True
    ) -> None:
        x = 2 * rng.standard_normal((N, D)) + 3 if x is None else x
        arrays = {"x": x, "gamma": rng.uniform(0.5, 2, D), "beta": rng.standard_normal(D)}
        traits = frozenset({f"mode is {param['mode']}", *([name] if not smooth else [])})
        strict = frozenset({"d*"} if param["mode"] == "test" else ())  # the skeletons cache nothing
        configs.append(Config(name, arrays, (param,), smooth=smooth, traits=traits, strict=strict))

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
    rng, configs = seeded(6), []
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
    rng, configs = seeded(7), []
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
        strict = frozenset({"d*"} if param["mode"] == "test" else ())
        configs.append(Config(name, _images(rng, shape, (C,)), (param,), strict=strict))
    return configs


def spatial_groupnorm() -> list[Config]:
    """One group, several, as many as channels; gamma as (1, C, 1, 1)."""
    rng = seeded(8)
    return [
        Config(f"x {shape}, G {G}{suffix}", _images(rng, shape, (1, shape[1], 1, 1)), (G, param))
        for shape, G, param, suffix in [
            ((2, 6, 2, 3), 2, {}, ""),
            ((3, 4, 2, 2), 4, {"mode": "train"}, ""),
            ((2, 4, 3, 2), 1, {}, ""),
            ((1, 6, 2, 2), 3, {"eps": 0.1}, ", eps 0.1"),
            ((3, 6, 1, 2), 2, {}, ""),
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
    rng = seeded(9)
    return [
        Config(
            f"{mode}, p {p}, x {shape}",
            {"x": away_from_zero(rng, shape)},
            ({"p": p, "mode": mode, "seed": 7},),
            traits=frozenset({f"mode is {mode}"}),
            **_beyond_matrices(shape),
        )
        for shape, mode, p in [
            ((4, 6), "train", 0.3),
            ((4, 6), "train", 0.75),
            ((2, 3, 4, 2), "train", 0.6),
            ((4, 6), "test", 0.3),
            ((3, 2, 2), "test", 0.75),
        ]
    ]


def _beyond_matrices(shape: tuple[int, ...]) -> dict[str, Any]:
    """The courses' networks drop units of matrices only."""
    if len(shape) == 2:
        return {}
    return {"strict": frozenset("*"), "beyond": f"with x of {len(shape)} dimensions"}


def loss(extreme: bool) -> list[Config]:
    """Labels at both ends, one row, two classes, extreme scores."""
    rng, configs = seeded(10), []
    for N, C in [(4, 3), (1, 5), (6, 2), (3, 4)]:
        y = rng.integers(0, C, N)
        y[0], y[-1] = C - 1, 0 if N > 1 else C - 1
        x = rng.standard_normal((N, C))
        configs.append(Config(f"x {(N, C)}", {"x": x}, (y,)))
    large = 100 * rng.standard_normal((4, 3))
    guarded: dict[str, Any] = {
        "strict": frozenset({"out", "loss"}),
        "beyond": "at scores of hundreds",
    }
    configs.append(
        Config(
            "large scores",
            {"x": large},
            (configs[0].options[0],),
            smooth=False,
            **guarded if extreme else {},  # log(p + 1e-60) is as good as log(p)
        )
    )
    if extreme:
        huge = np.array([[1000.0, 0.0, -1000.0], [-1e4, 1020.0, 0.0], [0.0, 0.0, 990.0]])
        apart = np.array([[1000.0, 0.0, -1000.0], [-1e4, 1e4, 0.0], [0.0, 0.0, 800.0]])
        trait = frozenset({"scores are large"})
        labels = np.array([0, 2, 1])
        configs.append(
            Config(
                "extreme scores",
                {"x": huge},
                (labels,),
                smooth=False,
                traits=trait,
                strict=frozenset(
                    "*"
                ),  # log(p) is infinite in the courses' own files, and so is 1 / p
                beyond="at scores of thousands",
            )
        )
        configs.append(
            Config(
                "rows far apart",
                {"x": apart},
                (labels,),
                smooth=False,
                strict=frozenset("*"),  # one maximum for all rows is as good, where they are alike
                beyond="where rows of scores differ by thousands",
            )
        )
        near, columns = 1000 + rng.standard_normal((3, 30)), np.array([29, 0, 2])
        near[2], near[2, 2] = 262.0, 1000.0  # exp(x - mean) overflows, exp(x - max) is not 0 yet
        configs.append(
            Config("scores near 1000", {"x": near}, (columns,), smooth=False, traits=trait)
        )
    return configs


def scored(call: Call) -> tuple[Any, Any, Any]:
    """Return scores, labels, and the weight of each row in the loss."""
    x = np.asarray(call.arrays["x"], float)
    return x, call.options[0], np.full(len(x), 1 / len(x))


def affine_like(norm: str) -> list[Config]:
    """affine - [norm] - relu; batch norm in test mode too."""
    rng, configs = seeded(11), []
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
    if norm == "bn":
        configs.append(tested(configs[0]))
    return configs


def tested(config: Config) -> Config:
    """Return a configuration of a sandwich with its batch norm in test mode."""
    rng, size = seeded(16), config.arrays["gamma"].size
    param = {
        "mode": "test",
        "running_mean": rng.standard_normal(size),
        "running_var": rng.uniform(0.05, 2, size),
    }
    options = tuple(param if "mode" in option else option for option in config.options)
    return replace(
        config,
        name=f"{config.name}, test",
        options=options,
        traits=config.traits | {"mode is test"},
        strict=frozenset({"d*"}),  # the skeletons cache nothing
    )
