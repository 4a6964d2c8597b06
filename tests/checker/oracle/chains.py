# ruff: noqa: E501
"""Layers and their sandwiches: chains of parts, each of which PyTorch computes too."""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from oracle.comparing import Seen, compare, fold, gradients, numeric, raised

# Layers: what PyTorch makes of each part of a chain.  `v` holds the arguments by name.


def _norm(h: torch.Tensor, v: dict[str, Any], after: dict[str, Any]) -> torch.Tensor:
    p = v["bn_param"]
    eps, m = p.get("eps", 1e-5), p.get("momentum", 0.9)
    if p["mode"] == "test":
        old = (torch.tensor(p["running_mean"]), torch.tensor(p["running_var"]))
        return F.batch_norm(h, *old, v["gamma"], v["beta"], False, eps=eps)
    axes = [0, *range(2, h.ndim)]
    for key, value in (("running_mean", h.mean(axes)), ("running_var", h.var(axes, correction=0))):
        after[key] = m * p.get(key, 0.0) + (1 - m) * value.detach().numpy()
    return F.batch_norm(h, None, None, v["gamma"], v["beta"], True, eps=eps)


def _group(h: torch.Tensor, v: dict[str, Any], _: Any) -> torch.Tensor:
    eps = v["gn_param"].get("eps", 1e-5)
    return F.group_norm(h, v["G"], v["gamma"].reshape(-1), v["beta"].reshape(-1), eps)


PARTS: dict[str, Callable[..., torch.Tensor]] = {
    "affine": lambda h, v, _: h.reshape(len(h), -1) @ v["w"] + v["b"],
    "relu": lambda h, v, _: F.relu(h),
    "bn": _norm,
    "ln": lambda h, v, _: F.layer_norm(
        h, h.shape[1:], v["gamma"], v["beta"], v["ln_param"].get("eps", 1e-5)
    ),
    "gn": _group,
    "conv": lambda h, v, _: F.conv2d(
        h, v["w"], v["b"], v["conv_param"]["stride"], v["conv_param"]["pad"]
    ),
    "pool": lambda h, v, _: F.max_pool2d(
        h,
        (v["pool_param"]["pool_height"], v["pool_param"]["pool_width"]),
        v["pool_param"]["stride"],
    ),
    "tanh": lambda h, v, _: torch.tanh(h),
}
WORDS = {
    "batchnorm": "bn", "batch": "bn", "layernorm": "ln", "spatial_batchnorm": "bn", "bn2d": "bn", "sbn": "bn",
    "spatial_bn": "bn", "spatial_groupnorm": "gn", "groupnorm": "gn", "max_pool": "pool", "maxpool": "pool",
}  # fmt: skip
ARGUMENTS = {
    "affine": ["w", "b"], "relu": [], "bn": ["gamma", "beta", "bn_param"], "ln": ["gamma", "beta", "ln_param"],
    "gn": ["gamma", "beta", "G", "gn_param"], "conv": ["w", "b", "conv_param"], "pool": ["pool_param"], "tanh": [],
}  # fmt: skip
CONV = [  # image, filters, stride, pad
    ((2, 3, 4, 4), (3, 3, 4, 4), 2, 1), ((2, 3, 6, 5), (4, 3, 3, 3), 1, 1), ((1, 2, 5, 7), (3, 2, 3, 3), 2, 0),
    ((2, 2, 6, 5), (2, 2, 2, 3), 1, 0), ((2, 3, 5, 5), (2, 3, 1, 1), 1, 0), ((2, 2, 7, 5), (3, 2, 5, 3), 2, 1),
    ((1, 1, 8, 5), (2, 1, 2, 2), 3, 0), ((2, 1, 8, 8), (3, 1, 7, 7), 1, 3),
]  # fmt: skip
SAME = [((2, 3, 6, 8), (4, 3, 3, 3), 1, 1), ((2, 2, 8, 8), (3, 2, 5, 5), 1, 2)]
POOL = [  # image, height, width, stride
    ((2, 3, 4, 6), 2, 2, 2), ((2, 2, 5, 7), 3, 3, 2), ((1, 2, 4, 5), 2, 2, 1), ((2, 2, 6, 6), 3, 2, 1),
    ((2, 2, 6, 7), 2, 3, 2), ((2, 2, 8, 5), 2, 2, 3), ((2, 2, 6, 9), 3, 3, 3),
]  # fmt: skip


def situations(parts: list[str], name: str, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """The arguments by name, for a chain of parts."""
    r = rng.standard_normal
    starts: list[dict[str, Any]] = []
    if parts[0] == "conv":
        for shape, filters, stride, pad in SAME if len(parts) > 1 and "pool" in parts else CONV:
            start = {"x": r(shape), "w": r(filters), "b": r(filters[0])}
            starts.append(start | {"conv_param": {"stride": stride, "pad": pad}})
    elif parts[0] == "affine":
        for shape, m in (((4, 2, 3, 2), 5), ((6, 4), 3), ((3, 5, 1), 1), ((1, 4), 6)):
            if len({"bn", "ln"} & {*parts}) == 0 or (shape[0] > 1 and m > 1):
                starts.append({"x": r(shape), "w": r((int(np.prod(shape[1:])), m)), "b": r(m)})
    elif parts[0] == "pool":
        square = [p for p in POOL if p[1] == p[2] == p[3]] if "_naive" not in name else POOL
        for shape, height, width, stride in square:
            pool = {"pool_height": height, "pool_width": width, "stride": stride}
            starts.append({"x": r(shape), "pool_param": pool})
    elif parts[0] in ("bn", "ln", "gn"):
        shapes: list[tuple[int, ...]] = [(6, 5), (4, 3), (9, 2)]
        if "spatial" in name or parts[0] == "gn":
            shapes = [(2, 6, 4, 5), (3, 4, 3, 2), (1, 6, 3, 3)]
        for shape in shapes:  # one channel is nearly constant: there epsilon counts
            small = np.where(np.arange(shape[1]) == 1, 1e-2, 2.0).reshape(
                -1, *[1] * (len(shape) - 2)
            )
            starts.append({"x": r(shape) * small + 3})
        if parts[0] == "ln":
            starts.append({"x": 1e-2 * r((4, 6)) - 1})
    else:
        starts = [{"x": r((4, 6))}, {"x": r((2, 3, 4, 4))}]
    extra: list[dict[str, Any]] = [{}]
    if "bn" in parts:
        extra = [
            {"bn_param": {"mode": "train"}},
            {"bn_param": {"mode": "train", "eps": 1e-2, "momentum": 0.7}},
        ]
        extra.append({"bn_param": {"mode": "train", "running_mean": 0.4, "running_var": 2.0}})
        extra.append({"bn_param": {"mode": "test", "running_mean": 0.4, "running_var": 2.0}})
    elif "ln" in parts:
        extra = [{"ln_param": {}}, {"ln_param": {"eps": 1e-2}}]
    elif "gn" in parts:
        extra = [{"G": g, "gn_param": {} if g != 2 else {"eps": 1e-2}} for g in (1, 2, 3, 6)]
    for start, more in itertools.product(starts, copy.deepcopy(extra)):
        v = copy.deepcopy(start | more)
        if "pool" in parts and len(parts) > 1:
            v["pool_param"] = {"pool_height": 2, "pool_width": 2, "stride": 2}
        norm = {"bn", "ln", "gn"} & {*parts}
        if norm:
            channels = len(v["b"]) if "b" in v else v["x"].shape[1]
            if norm == {"gn"} and channels % v["G"]:
                continue
            shape = (1, channels, 1, 1) if norm == {"gn"} else (channels,)
            v |= {"gamma": r(shape) + 2, "beta": r(shape)}
        for key in ("running_mean", "running_var"):
            if key in v.get("bn_param", {}):
                v["bn_param"][key] = v["bn_param"][key] + 0.3 * rng.random(channels)
        yield v


def chain_of(name: str) -> tuple[list[str], str] | None:
    """The parts and the direction of a function's name; None where the name is no chain."""
    stem, found, variant = name.partition("_forward")
    direction = "forward"
    if not found:
        stem, found, variant = name.partition("_backward")
        direction = "backward"
    if not found or variant not in (
        "",
        "_naive",
        "_fast",
        "_strides",
        "_im2col",
        "_reshape",
        "_alt",
        "_vectorized",
    ):
        return None
    if stem in WORDS or stem in PARTS:
        return [WORDS.get(stem, stem)], direction
    for long, short in (("max_pool", "pool"), ("spatial_batchnorm", "bn"), ("spatial_bn", "bn")):
        stem = stem.replace(long, short)
    parts = [WORDS.get(word, word) for word in stem.split("_")]
    return (
        (parts, direction) if all(part in PARTS for part in parts) and parts[0] != "relu" else None
    )


ALIASES = {
    "bn_params": "bn_param",
    "ln_params": "ln_param",
    "conv_params": "conv_param",
    "pool_params": "pool_param",
}


def ordered(function: Any, parts: list[str]) -> list[str] | None:
    """The arguments in the order of the function's signature; None where one is not known."""
    wanted = {"x", *itertools.chain(*(ARGUMENTS[part] for part in parts))}
    if len(parts) == 1:
        return ["x", *ARGUMENTS[parts[0]]]
    names = [n for n, p in inspect.signature(function).parameters.items() if p.default is p.empty]
    names = [ALIASES.get(n, n) for n in names]
    if "n_param" in names or "bn_param" in names:
        names = ["ln_param" if n in ("n_param", "bn_param") and "ln" in parts else n for n in names]
        names = ["bn_param" if n == "n_param" else n for n in names]
    return names if {*names} == wanted else None


def judge_chain(name: str, module: Any) -> dict[str, Any]:
    """Judge a forward or a backward of layers.

    Students call affine - bn - relu "affine_relu_bn" too: a sandwich that is right in that order is left open.
    """
    parts, direction = chain_of(name) or ([], "")
    verdict = _judged(name, module, parts, direction)
    norm = parts[-1] in ("bn", "ln") and parts[-2:-1] == ["relu"]
    if verdict["verdict"] == "wrong" and norm:
        other = _judged(name, module, [*parts[:-2], parts[-1], "relu"], direction)
        if other["verdict"] == "right":
            return other | {"verdict": "either", "why": "the norm stands before relu"}
    return verdict


def _judged(name: str, module: Any, parts: list[str], direction: str) -> dict[str, Any]:
    function, forward = getattr(module, name), name.replace("_backward", "_forward")
    options = [
        forward,
        forward.removesuffix("_alt"),
        *(n for n in vars(module) if n.startswith(forward.split("_forward")[0] + "_forward")),
    ]
    forward = getattr(module, next((n for n in options if hasattr(module, n)), ""), None)
    if forward is None:
        return {"verdict": "cannot run", "keys": [], "why": "no forward"}
    names = ordered(forward, parts)
    if names is None:
        return {"verdict": "not judged", "keys": [], "why": "arguments of its own"}
    seen: list[Seen] = []
    rng = np.random.default_rng(1)
    for v in situations(parts, name, rng):
        where = ", ".join(
            f"{k} {x.shape if isinstance(x, np.ndarray) else x}" for k, x in v.items() if k != "b"
        )
        tensors = {
            k: torch.tensor(x, requires_grad=True) if isinstance(x, np.ndarray) else x
            for k, x in v.items()
        }
        h, after = tensors["x"], {}
        for part in parts:
            h = PARTS[part](h, tensors, after)
        mine = copy.deepcopy(v)
        try:
            result = forward(*(mine[n] for n in names))
        except BaseException as error:
            if isinstance(error, TimeoutError | KeyboardInterrupt):
                raise
            got = raised(error, "out", where)
            if isinstance(error, AssertionError) and not _plain(v):
                got = got._replace(status="either")
            seen.append(
                got
                if direction == "forward"
                else Seen("cannot run", "", where, f"its forward: {got.why}")
            )
            continue
        out, cache = (
            result if isinstance(result, tuple | list) and len(result) == 2 else (result, None)
        )
        first = compare("out", out, h, where)
        if direction == "forward":
            seen.append(first)
            seen += [compare(k, mine["bn_param"].get(k), e, where) for k, e in after.items()]
            continue
        if v.get("bn_param", {}).get("mode") == "test":
            continue
        if first.status == "missing":
            seen.append(Seen("cannot run", "", where, "its forward is not written"))
            continue
        dout = rng.standard_normal(h.shape)
        arrays = [n for n in names if isinstance(v[n], np.ndarray)]
        expected = dict(
            zip(
                arrays,
                torch.autograd.grad(h, [tensors[n] for n in arrays], torch.tensor(dout)),
                strict=True,
            )
        )
        calls = gradients(function, dout, cache, expected, where, len(parts) > 1)
        if (
            first.status == "wrong"
            and any(s.status == "wrong" for s in calls)
            and np.shape(out) == dout.shape
        ):
            own = {
                n: numeric(lambda w: forward(*(w[n] for n in names))[0], v, n, dout) for n in arrays
            }
            again = gradients(
                function,
                dout,
                forward(*copy.deepcopy([v[n] for n in names]))[1],
                own,
                where,
                True,
                1e-6,
            )
            calls = again if not any(s.status == "wrong" for s in again) else calls
        seen += calls
    if (
        parts == ["pool"]
        and direction == "backward"
        and {s.status for s in seen} in ({"right"}, {"right", "cannot run"})
    ):
        seen += _ties(function, forward)
    verdict = fold(seen, [function])
    ran = [s for s in seen if s.status != "cannot run"]
    if verdict["verdict"] == "cannot run" and direction == "backward" and ran:
        return fold(ran, [function])
    return verdict


def _plain(v: dict[str, Any]) -> bool:
    """Whether windows are squares that tile the image: the courses' im2col asserts so."""
    pool = v.get("pool_param", {})
    if "pool_height" in pool and np.ndim(v["x"]) == 4:
        sides, stride, pad = (pool["pool_height"], pool["pool_width"]), pool["stride"], 0
    elif "conv_param" in v:
        sides, stride, pad = v["w"].shape[2:], v["conv_param"]["stride"], v["conv_param"]["pad"]
    else:
        return True
    tiled = all(
        (n + 2 * pad - s) % stride == 0 for n, s in zip(v["x"].shape[2:], sides, strict=True)
    )
    return tiled and sides[0] == sides[1]


def _ties(backward: Any, forward: Any) -> list[Seen]:
    """Of equal maxima, any share of dout is right, if the shares add up to it."""
    x = np.zeros((1, 2, 4, 4))
    x[0, 0, :2, 2:] = [[3, 1], [3, 0]]
    dout = np.arange(1.0, 9).reshape(1, 2, 2, 2)
    try:
        dx = backward(
            dout.copy(), forward(x.copy(), {"pool_height": 2, "pool_width": 2, "stride": 2})[1]
        )
    except Exception as error:
        return [raised(error, "dx", "equal maxima")]
    sums = np.asarray(dx).reshape(1, 2, 2, 2, 2, 2).sum(axis=(3, 5))
    return [compare("dx", sums, dout, "equal maxima: sums of the windows")]
