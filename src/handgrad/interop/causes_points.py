"""Mistakes at activations, dropout, preprocessing, and any layer; see `handgrad.interop.causes`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from handgrad.interop.bounds import Value
from handgrad.interop.causes_norms import Tried, tried
from handgrad.interop.network import Node
from handgrad.layers import gelu_forward


def standardize(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    """Yield mistakes at the preprocessing."""
    x, mean, std = xs[0].value, node.arrays["mean"], node.arrays["std"]
    for words, value in (
        ("the mean is not subtracted", x / std),
        ("nothing is divided by the deviation", x - mean),
        ("the variance stands for the deviation", (x - mean) / std**2),
        ("the pixels were divided by 255 before", (x / 255 - mean) / std),
        ("the mean is divided, too, and subtracted last", x / std - mean),
    ):
        yield words, tried("", value, right, u)[1]


def dropout(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    """Yield mistakes at dropout in test mode."""
    x, p = xs[0].value, node.options["p"]
    for words, factor in (
        (
            "in test mode the values are multiplied by the share that is kept: dropout is not inverted",
            p,
        ),
        ("in test mode the values are multiplied by the share that is dropped", 1 - p),
        ("in test mode the values are divided by the share that is kept", 1 / p),
    ):
        yield words, tried("", x * factor, right, u)[1]


def activations(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    """Yield mistakes at activations."""
    x = xs[0]

    def other(op: str, **options: Any) -> Value:
        return same(Node(node.name, op, node.inputs, options, {}, {}, node.shape))

    alpha = node.options.get("alpha")
    if alpha is not None:
        turned = np.where(x.value > 0, x.value, -alpha * x.value)
        words = f"the slope has the other sign: {-alpha:g}, not {alpha:g}"
        if node.op == "leaky_relu":
            yield words, tried("", turned, right, u)[1]
        for value in (0.01, 0.1, 0.2, 0.25, 0.3, 0.5, 1.0, 1 / 3, 1.6733):
            if value != alpha:
                yield f"alpha is {value:g}, not {alpha:g}", option(alpha=value)
    if node.op == "gelu":
        kind = "none" if node.options["approximate"] == "tanh" else "tanh"
        yield (
            f"approximate is {kind!r}, not {node.options['approximate']!r}",
            option(approximate=kind),
        )
        yield from _gelus(x.value, right, u)
    if node.op == "prelu":
        yield "the slopes are in reverse order", arrays(a=node.arrays["a"][::-1])
        yield "the slopes are negated", arrays(a=-node.arrays["a"])
        a = np.asarray(node.arrays["a"], np.float64)
        for one in (a[:1], a.mean(keepdims=True), np.array([0.25]), np.array([0.01])):
            yield f"one slope stands for all channels: {one[0]:.4g}", arrays(a=one)
        a = a.reshape((1, -1) + (1,) * (x.value.ndim - 2)) if a.size > 1 else a
        turned = np.where(x.value > 0, a * x.value, x.value)
        yield "the slopes are those of the positive side", tried("", turned, right, u)[1]
        both = np.where(x.value > 0, x.value, np.abs(a) * x.value)
        yield "the slopes are taken without their signs", tried("", both, right, u)[1]
    table: dict[str, Value] = {
        "the activation is missing": x,
        "it is a ReLU": other("relu"),
        "it is a sigmoid": other("sigmoid"),
        "it is a tanh": other("tanh"),
        "it is a softplus": other("softplus"),
        "it is a GELU": other("gelu", approximate="none"),
        "it is a GELU of the tanh form": other("gelu", approximate="tanh"),
        **{
            f"it is a leaky ReLU of slope {a:g}": other("leaky_relu", alpha=a)
            for a in (0.01, 0.1, 0.2, 0.25, 0.3)
        },
        **{
            f"it is an ELU of alpha {a:g}": other("elu", alpha=a)
            for a in {1.0: 0, 0.5: 0, alpha or 1.0: 0}
        },
    }
    v = x.value
    plain = {
        "it is a SiLU (x times its sigmoid)": v * other("sigmoid").value,
        "it is a ReLU6, cut off at 6": np.clip(v, 0, 6),
        "it is a hard sigmoid": np.clip(v / 6 + 0.5, 0, 1),
        "it is a hard tanh": np.clip(v, -1, 1),
        "it is a hard swish": v * np.clip(v / 6 + 0.5, 0, 1),
        "the negative side is kept, not the positive one": np.minimum(v, 0),
        "the size is taken": np.abs(v),
        "it is a SELU": 1.0507009873554805
        * np.where(v > 0, v, 1.6732632423543772 * np.expm1(np.minimum(v, 0))),
        "1 is not subtracted from the exponential": np.where(
            v > 0, v, node.options.get("alpha", 1.0) * np.exp(np.minimum(v, 0))
        ),
        "it is the tanh of LeCun, 1.7159 tanh(2x / 3)": 1.7159 * np.tanh(2 * v / 3),
        "it is a hard tanh of the sigmoid's form, (x / 4 + 1/2) cut off": np.clip(
            v / 4 + 0.5, 0, 1
        ),
        "it is a sigmoid of x / 5 + 1/2, cut off (the hard sigmoid of Keras 2)": np.clip(
            v / 5 + 0.5, 0, 1
        ),
        "it is a CELU": np.where(v > 0, v, np.expm1(np.minimum(v, 0))),
        "it is the square of a ReLU": np.maximum(v, 0) ** 2,
        "it is a log-sigmoid": -np.logaddexp(-v, 0),
        "it is a tanhshrink": v - np.tanh(v),
        "it is a soft shrink by 0.5": np.sign(v) * np.maximum(np.abs(v) - 0.5, 0),
        "it is a hard shrink by 0.5": np.where(np.abs(v) > 0.5, v, 0),
        "it is an arcus tangent": np.arctan(v),
        "it is a sine": np.sin(v),
        "it is a step": (v > 0).astype(float),
        **{
            f"it is a softplus of beta {b:g}": np.logaddexp(b * v, 0) / b
            for b in (2.0, 0.5, 5.0, 10.0)
        },
        **{f"it is a sigmoid of {b:g} x": 1 / (1 + np.exp(-b * v)) for b in (2.0, 0.5, -1.0)},
        **{f"it is a tanh of {b:g} x": np.tanh(b * v) for b in (2.0, 0.5)},
        **{f"it is a swish of beta {b:g}": v / (1 + np.exp(-b * v)) for b in (2.0, 0.5, 1.5)},
        "it is a Mish": v * np.tanh(np.logaddexp(v, 0)),
        "it is a softsign": v / (1 + np.abs(v)),
        "the quick form x sigmoid(1.702 x) stands for the GELU": v / (1 + np.exp(-1.702 * v)),
    }
    for words, out in table.items():
        yield words, out
    for words, value in plain.items():
        yield words, tried("", value, right, u)[1]


def _gelus(x: np.ndarray, right: Value, u: float) -> Iterator[Tried]:
    """The tanh form with a slip of the pen: ``x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))``."""
    root = np.sqrt(2 / np.pi)
    for words, inner in (
        (
            "the constant of its tanh form is 2 / pi, without the root",
            2 / np.pi * (x + 0.044715 * x**3),
        ),
        (
            "the constant of its tanh form is sqrt(2) / pi",
            np.sqrt(2) / np.pi * (x + 0.044715 * x**3),
        ),
        ("the constant of its tanh form is sqrt(pi / 2)", 1 / root * (x + 0.044715 * x**3)),
        ("the constant of its tanh form is left out", x + 0.044715 * x**3),
        ("the cube of its tanh form is left out", root * x),
        ("the cube of its tanh form is a square", root * (x + 0.044715 * x**2)),
        ("the constant of its cube is 0.44715", root * (x + 0.44715 * x**3)),
        ("the constant of its cube is 0.0044715", root * (x + 0.0044715 * x**3)),
        ("the constant of its cube is 0.044", root * (x + 0.044 * x**3)),
        ("the cube of its tanh form is not multiplied by the root", root * x + 0.044715 * x**3),
    ):
        yield words, tried("", 0.5 * x * (1 + np.tanh(inner)), right, u)[1]
    for words, part in (  # x / 2 (1 + erf(c x)) is gelu(t x) / t with t = c sqrt(2)
        ("x is not divided by the root of 2 in its erf", np.sqrt(2)),
        ("x is divided by 2, not by its root, in its erf", np.sqrt(0.5)),
    ):
        exact = gelu_forward(part * x, "none")[0] / part
        yield words, tried("", exact, right, u)[1]


def anywhere(
    node: Node, xs: Any, same: Any, option: Any, arrays: Any, right: Value, u: float, mode: str
) -> Iterator[Tried]:
    """Yield mistakes at any layer."""
    out = right.value
    e = np.exp(out - out.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    for words, value in (
        ("a softmax follows, which is missing behind the scores of the other", p),
        (
            "a log softmax follows, which is missing behind the scores of the other",
            np.log(np.maximum(p, 1e-300)),
        ),
        ("a sigmoid follows", 1 / (1 + np.exp(-np.clip(out, -500, 500)))),
        ("a ReLU follows", np.maximum(out, 0)),
        ("its sign is the other", -out),
    ):
        yield words, tried("", value, right, u)[1]
    if len(xs) == 1 and xs[0].value.shape == out.shape:
        yield "the layer is missing", xs[0]
    if out.ndim == 4:
        yield (
            "rows and columns of the image are exchanged",
            tried("", out.swapaxes(2, 3), right, u)[1],
        )
        yield "the channels are in reverse order", tried("", out[:, ::-1], right, u)[1]
    if xs[0].value.ndim == 4:
        x = xs[0]
        for words, turned in (
            (
                "the channels of the input are in reverse order (RGB and BGR)",
                [a[:, ::-1] for a in x],
            ),
            ("rows and columns of the input are exchanged", [a.swapaxes(2, 3) for a in x]),
            ("the input is upside down", [a[:, :, ::-1] for a in x]),
            ("the input is mirrored", [a[:, :, :, ::-1] for a in x]),
            ("the input is divided by 255", [a / 255 for a in x]),
            ("the input is multiplied by 255", [a * 255 for a in x]),
        ):
            try:
                yield words, same(node, [Value(*turned), *xs[1:]])
            except Exception:
                continue
