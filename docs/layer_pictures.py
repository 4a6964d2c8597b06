"""What a layer does, as a picture: one function for each kind of layer, all computed by the layer itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "handgrad"  # the same file at every build
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from handgrad import layers  # noqa: E402
from handgrad.data import make_shapes  # noqa: E402

PHOTOS = ("filters", "smaller", "larger")
"""Kinds that show pictures: in the dark their frame is drawn anew."""
DARK = {"figure.facecolor": "#131416", "savefig.facecolor": "#131416", "text.color": "#cfd0d0",
        "axes.titlecolor": "#cfd0d0", "axes.edgecolor": "#cfd0d0", "axes.labelcolor": "#cfd0d0",
        "xtick.color": "#cfd0d0", "ytick.color": "#cfd0d0"}  # fmt: skip
"""Settings of Matplotlib for the page's dark."""


def _pair(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return getattr(layers, f"{name}_forward"), getattr(layers, f"{name}_backward")


def _picture() -> np.ndarray:
    """One generated picture in grey, (1, 1, H, W), between 0 and 1."""
    images, _ = make_shapes(12, seed=3)
    return images[5:6].mean(axis=1, keepdims=True) / 255


def curve(name: str) -> Figure:
    """An activation and its derivative."""
    forward, backward = _pair(name)
    x = np.linspace(-4, 4, 321).reshape(-1, 1)
    extra = {"leaky_relu": (0.1,), "prelu": (np.array([0.25]),)}.get(name, ())
    out, cache = forward(x, *extra)
    dx = backward(np.ones_like(out), cache)
    dx = dx[0] if isinstance(dx, tuple) else dx
    figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
    axes.plot(x, out, label="out")
    axes.plot(x, dx, label="dx for dout = 1")
    axes.set(title=f"{name}: output and gradient", xlabel="x", ylabel="value")
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)
    return figure


def maxout(name: str) -> Figure:
    """The largest of three lines."""
    x = np.linspace(-2, 2, 201)
    pieces = np.stack([-x - 0.5, 0.2 * x, 1.5 * x - 1], axis=1)
    out, _ = layers.maxout_forward(pieces, 3)
    figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
    axes.plot(x, pieces, lw=1, ls="--", label=["piece 0", "piece 1", "piece 2"])
    axes.plot(x, out, lw=3, alpha=0.5, color="black", label="out")
    axes.set(title="maxout of three pieces", xlabel="input of the linear pieces", ylabel="value")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def lines(name: str) -> Figure:
    """Points before and behind an affine layer."""
    t = np.linspace(0, 2 * np.pi, 60)
    x = np.stack([np.cos(t), np.sin(t)], axis=1)
    out, _ = layers.affine_forward(x, np.array([[1.5, 0.5], [-0.3, 0.8]]), np.array([0.5, 0.2]))
    figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
    axes.scatter(*x.T, c=t, cmap="hsv", s=14, marker="o", label="x: a circle")
    axes.scatter(*out.T, c=t, cmap="hsv", s=14, marker="^", label="out: an ellipse, moved by b")
    axes.set(
        title="affine: points before and behind",
        xlabel="first number",
        ylabel="second number",
        aspect="equal",
    )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def norm(name: str) -> Figure:
    """Histograms before and behind a normalisation."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 3)) * (0.5, 2, 1) + (-2, 1, 4)
    param: dict[str, Any] = {"mode": "train"} if name == "batchnorm" else {}
    out, _ = _pair(name)[0](x, np.ones(3), np.zeros(3), param)
    figure, places = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained", sharey=True)
    for axes, values, title in zip(
        places, (x, out), ("x", "out, with gamma 1 and beta 0"), strict=True
    ):
        axes.hist(
            values,
            bins=40,
            histtype="stepfilled",
            alpha=0.6,
            label=[f"column {k}" for k in range(3)],
        )
        axes.set(title=title, xlabel="value")
    places[0].set_ylabel("rows")
    places[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(f"{name}: three columns of 400 rows")
    return figure


def norm_images(name: str) -> Figure:
    """Which numbers share a mean: images, channels and places, in one colour each."""
    N, C, H, W = 3, 4, 4, 4
    groups = np.zeros((N, C), int)
    for n, c in np.ndindex(N, C):
        groups[n, c] = {"spatial_batchnorm": c, "spatial_groupnorm": 2 * n + c // 2}.get(
            name, C * n + c
        )
    figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
    axes.imshow(groups, cmap="tab20", vmin=0, vmax=19)
    for (n, c), group in np.ndenumerate(groups):
        axes.text(c, n, f"mean {group}", ha="center", va="center")
    axes.set(
        title=f"{name}: which {H} x {W} images share a mean",
        xlabel="channel",
        ylabel="image of the batch",
        xticks=range(C),
        yticks=range(N),
    )
    return figure


def dropout(name: str) -> Figure:
    """Three masks."""
    figure, places = plt.subplots(1, 3, figsize=(7, 2.6), layout="constrained")
    for axes, p in zip(places, (0.9, 0.5, 0.2), strict=True):
        out, _ = layers.dropout_forward(np.ones((16, 16)), {"mode": "train", "p": p, "seed": 1})
        shown = axes.imshow(out, cmap="Blues", vmin=0, vmax=5)
        axes.set(title=f"p = {p}\nkept: {1 / p:.2f}", xticks=[], yticks=[])
    figure.colorbar(shown, ax=places, label="out for x = 1")
    return figure


def _show(name: str, pictures: list[tuple[str, np.ndarray]]) -> Figure:
    figure, places = plt.subplots(1, len(pictures), figsize=(7, 2.6), layout="constrained")
    for axes, (title, image) in zip(places, pictures, strict=True):
        axes.imshow(image, cmap="gray")
        axes.set_title(f"{title}\n{image.shape[0]} x {image.shape[1]} pixels", fontsize=9)
        axes.set(xticks=[], yticks=[])
    return figure


def filters(name: str) -> Figure:
    """A picture, and what three filters make of it."""
    x = _picture()
    edge = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    w = np.stack([np.ones((3, 3)) / 9, edge, edge.T])[:, None]
    out, _ = layers.conv_forward(x, w, np.zeros(3), {"pad": 1})
    return _show(
        name,
        [
            ("x", x[0, 0]),
            ("blur", out[0, 0]),
            ("upright edges", out[0, 1]),
            ("level edges", out[0, 2]),
        ],
    )


def smaller(name: str) -> Figure:
    """A picture and its pools; and where a gradient of one goes."""
    x = _picture()
    forward, backward = _pair(name)
    out, cache = forward(x, {"pool_height": 4, "pool_width": 4, "stride": 4})
    return _show(
        name,
        [
            ("x", x[0, 0]),
            ("out, 4 x 4 windows", out[0, 0]),
            ("dx for dout = 1", backward(np.ones_like(out), cache)[0, 0]),
        ],
    )


def larger(name: str) -> Figure:
    """A small picture made larger."""
    x = _picture()[:, :, ::2, ::2]
    if name == "upsample":
        made = [
            (f"out, {mode}", layers.upsample_forward(x, {"scale": 3, "mode": mode})[0])
            for mode in ("nearest", "bilinear")
        ]
    else:
        tent = np.outer([0.25, 0.75, 0.75, 0.25], [0.25, 0.75, 0.75, 0.25])[None, None]
        filters = (("block", np.ones((1, 1, 2, 2)), 0), ("tent", tent, 1))
        made = []
        for title, w, pad in filters:
            out, _ = layers.conv_transpose_forward(x, w, np.zeros(1), {"stride": 2, "pad": pad})
            made.append((f"out, {title} filter", out))
    return _show(name, [("x", x[0, 0]), *((title, out[0, 0]) for title, out in made)])


def signal(name: str) -> Figure:
    """A noisy signal before and behind a layer for sequences."""
    rng = np.random.default_rng(0)
    t = np.arange(120)
    x = (np.sign(np.sin(t / 10)) + 0.3 * rng.standard_normal(120)).reshape(1, 1, -1)
    if name == "conv1d":
        out = layers.conv1d_forward(x, np.ones((1, 1, 9)) / 9, np.zeros(1), {"pad": 4})[0]
        step, title = 1, "a filter of nine equal weights"
    else:
        out = _pair(name)[0](x, {"pool_length": 4, "stride": 4})[0]
        step, title = 4, "windows of 4"
    figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
    axes.plot(t, x[0, 0], lw=1, alpha=0.6, label="x")
    axes.plot(np.arange(out.shape[2]) * step + (step - 1) / 2, out[0, 0], lw=2, label="out")
    axes.set(title=f"{name}: {title}", xlabel="place in the sequence", ylabel="value")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def class_loss(name: str) -> Figure:
    """The loss of one row of three scores, while the right one moves."""
    s = np.linspace(-4, 6, 201)
    loss = getattr(layers, name)
    found = [loss(np.array([[value, 0.0, 1.0]]), np.array([0])) for value in s]
    return _loss(
        name,
        s,
        [f[0] for f in found],
        [f[1][0, 0] for f in found],
        "score of the right class (others: 0, 1)",
    )


def number_loss(name: str) -> Figure:
    """The loss of one number against one target."""
    target = {"binary_cross_entropy_loss": 1.0, "poisson_loss": 2.0}.get(name, 0.0)
    s = np.linspace(-3, 3, 201)
    loss = getattr(layers, name)
    extra = {"quantile": 0.9} if name == "quantile_loss" else {}
    found = [loss(np.array([[value]]), np.array([[target]]), **extra) for value in s]
    return _loss(
        name, s, [f[0] for f in found], [f[1][0, 0] for f in found], f"x, for the target {target:g}"
    )


def _loss(name: str, s: np.ndarray, losses: list[float], slopes: list[float], what: str) -> Figure:
    figure, axes = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
    axes.plot(s, losses, label="loss")
    axes.plot(s, slopes, label="dx")
    axes.set(title=f"{name}: value and gradient", xlabel=what, ylabel="value")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    axes.grid(alpha=0.3)
    return figure


def states(name: str) -> Figure:
    """The states of a recurrent layer that is given one pulse."""
    rng = np.random.default_rng(4)
    x = np.zeros((1, 30, 1))
    x[0, 3] = 2
    H = 5
    gates = 4 if name == "lstm" else 1
    b = np.zeros(gates * H)
    if name == "lstm":
        b[H : 2 * H] = 2  # the forget gates begin open
    h, _ = _pair(name)[0](
        x,
        np.zeros((1, H)),
        rng.standard_normal((1, gates * H)),
        rng.standard_normal((H, gates * H)) / 3,
        b,
    )
    figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
    axes.plot(h[0], label=[f"unit {k}" for k in range(H)])
    axes.axvline(3, color="grey", ls=":", label="the pulse")
    axes.set(title=f"{name}: states after one pulse", xlabel="step", ylabel="h")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
