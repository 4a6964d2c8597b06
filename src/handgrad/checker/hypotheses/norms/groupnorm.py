"""Mistakes of group normalisation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.norms import norm, norm_backward
from handgrad.checker.hypotheses.norms.norm import Parts, group_parts
from handgrad.checker.hypotheses.norms.statistics import STATISTICS, about
from handgrad.checker.records import Call, Config


def _interleaved(call: Call) -> Parts:
    """Groups of every G-th channel, not of neighbours."""
    parts = group_parts(call)
    N, G, width, H, W = parts.x.shape
    order = np.arange(G * width).reshape(width, G).T
    flat = parts.x.reshape(N, G * width, H, W)
    return parts._replace(x=flat[:, order])


def _of_interleaved(call: Call) -> dict[str, Any]:
    parts = _interleaved(call)
    xhat, _ = norm.xhat_of(parts)
    N, G, width, H, W = parts.x.shape
    back = np.swapaxes(xhat, 1, 2).reshape(N, G * width, H, W)
    gamma, beta = (np.reshape(call.arrays[key], (1, -1, 1, 1)) for key in ("gamma", "beta"))
    return {"out": gamma * back + beta}


def _as_size(call: Call) -> dict[str, Any]:
    """G is taken as the number of channels in a group."""
    G, param = call.options
    size = call.arrays["x"].shape[1] // G
    config = Config(call.config.name, call.arrays, (size, param))
    parts = group_parts(Call(config))
    return {"out": norm.scaled(parts, norm.xhat_of(parts)[0]).reshape(call.arrays["x"].shape)}


def _counted(count: Any) -> Any:
    """The backward divides by another number than the size of a group."""

    def dx(g: Any, xhat: Any, std: Any, parts: Parts) -> Any:
        m = count(*parts.x.shape)
        return (g - norm.total(g, parts) / m - xhat * norm.total(g * xhat, parts) / m) / std

    return norm.backward_of(group_parts, dx)


def _meant_over(axes: tuple[int, ...], first: bool, second: bool, own: bool) -> Any:
    """The sums of backward run over other axes: in the path of the mean, the variance, or both.

    own: whether they are divided by the number that they run over, not by the size of a group.
    """

    def dx(g: Any, xhat: Any, std: Any, parts: Parts) -> Any:
        length = np.prod([parts.x.shape[axis] for axis in axes]) if own else norm.size(parts)

        def meant(value: Any) -> Any:
            return value.sum(axes, keepdims=True) / length

        through_mean = (meant if first else partial(norm.mean, parts=parts))(g)
        of_xhat = (meant if second else partial(norm.mean, parts=parts))(g * xhat)
        return (g - through_mean - xhat * of_xhat) / std

    return norm.backward_of(group_parts, dx)


def _centred_over(axes: tuple[int, ...], own_spread: bool) -> Any:
    """The mean is taken over other axes; own_spread: the variance is the right one."""

    def value(parts: Parts) -> Any:
        centre = parts.x.mean(axes, keepdims=True)
        spread = parts.statistics()[1] if own_spread else about(parts, centre)
        return norm.scaled(parts, (parts.x - centre) / np.sqrt(spread + parts.eps))

    return norm.forward_of(group_parts, value)


def _of_groups(shape: Callable[[int], tuple[int, ...]]) -> Any:
    """dgamma and dbeta summed over the channels of a group too: one number for each group."""

    def predict(call: Call) -> dict[str, Any]:
        parts = group_parts(call)
        axes, groups = (0, 2, 3, 4), shape(parts.x.shape[1])
        found = {"dgamma": parts.dout * norm.xhat_of(parts)[0], "dbeta": parts.dout}
        return {key: value.sum(axes).reshape(groups) for key, value in found.items()}

    return predict


_OTHERS = (
    ((0, 2, 3, 4), "the batch too"),
    ((3, 4), "the places of one channel, not over the group"),
    ((1, 2, 3, 4), "all channels of the image, not over the group"),
    ((2,), "the channels of the group, not over its places"),
    ((0, 3, 4), "the batch and the places, not over the group"),
)


def _over(name: str, says: str, axes: tuple[int, ...]) -> Hypothesis:
    return Hypothesis(
        "wrong_axis", says, norm.forward_of(group_parts, norm.over(axes)), r"axis|mean"
    )


FORWARD = [
    *norm.forward(group_parts, STATISTICS),
    _over("places", "the channels of a group are normalised one by one, not together", (3, 4)),
    _over(
        "channels",
        "the statistics are taken over the channels of a group, not over its places",
        (2,),
    ),
    _over(
        "batch",
        "the groups are normalised over the batch too: each image has its own statistics",
        (0, 2, 3, 4),
    ),
    _over("only_batch", "the groups are normalised over the batch only", (0,)),
    _over(
        "channel_batch",
        "each channel is normalised over the batch, as batch normalisation does",
        (0, 3, 4),
    ),
    _over(
        "image",
        "the statistics are taken over the whole image, not over a group of channels",
        (1, 2, 3, 4),
    ),
    _over(
        "rows",
        "the statistics are taken over axis 0 of the rows (N G, ...): each row, which is one group of one "
        "image, has its own",
        (0, 1),
    ),
    _over("groups", "the statistics are taken over the groups, not within them", (1, 3, 4)),
    *[
        Hypothesis(
            "wrong_axis", f"the mean is taken over {words}", _centred_over(axes, own), r"axis|mean"
        )
        for axes, words in _OTHERS
        for own in (True, False)
    ],
    Hypothesis(
        "group_size",
        "G is taken as the number of channels in a group: it is the number of groups",
        _as_size,
        r"reshape",
    ),
    Hypothesis(
        "interleaved_groups",
        "a group holds every G-th channel: it must hold C/G neighbours",
        _of_interleaved,
        r"reshape",
    ),
]
BACKWARD = [
    *norm_backward.backward(group_parts),
    *[
        Hypothesis(
            "wrong_sum",
            "{key}: the sum runs over the channels of a group too: each channel has its own number",
            _of_groups(shape),
            r"\bd(gamma|beta)\s*=",
        )
        for shape in (
            lambda G: (1, G, 1, 1, 1),
            lambda G: (1, G, 1, 1),
            lambda G: (G,),
            lambda G: (1, G),
        )
    ],
    *[
        Hypothesis(
            "wrong_axis",
            f"{paths} of dx: the sum is taken over {words}",
            _meant_over(axes, *which, own),
            r"axis|sum|mean",
        )
        for axes, words in _OTHERS
        for own in (True, False)
        for paths, which in (
            ("both paths", (True, True)),
            ("the path through the mean", (True, False)),
            ("the path through the variance", (False, True)),
        )
    ],
    *[
        Hypothesis(
            "wrong_count",
            f"dx divides by {words}, not by the size of a group, C/G H W",
            _counted(count),
            r"[HWCGN]\s*\*|/",
        )
        for words, count in (
            ("H W", lambda N, G, width, H, W: H * W),
            ("C H W", lambda N, G, width, H, W: G * width * H * W),
            ("N H W", lambda N, G, width, H, W: N * H * W),
            ("G H W", lambda N, G, width, H, W: G * H * W),
            ("C/G", lambda N, G, width, H, W: width),
            ("N", lambda N, G, width, H, W: N),
        )
    ],
]
