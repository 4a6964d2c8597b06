"""Forty more porting mistakes, of kinds that the first list does not hold."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from interop.mistakes import norm_of, put, running
from interop.ports import affine_of, avg_pool, batchnorm, conv, linear, max_pool, wide


class Backward(torch.autograd.Function):
    """Hands x on, and its gradient through a function."""

    @staticmethod
    def forward(ctx, x, change):
        ctx.change = change
        return x * 1.0

    @staticmethod
    def backward(ctx, dout):
        return ctx.change(dout), None


def back(x, change):
    return Backward.apply(x, change)


def half(x, kind=torch.float16):
    return x.to(kind).to(x.dtype)


def detached_statistics(x, p, o):
    if not o["train"]:
        return batchnorm(x, p, o)
    axes = (0, *range(2, x.ndim))
    mean, var = x.mean(axes).detach(), x.var(axes, unbiased=False).detach()
    return affine_of((x - wide(mean, x)) / (wide(var, x) + o["eps"]).sqrt(), p)


def shifted_stride(x, p, o):
    wide_x = F.pad(x, (0, o["stride"][1] - 1, 0, o["stride"][0] - 1))[:, :, o["stride"][0] - 1 :]
    return conv(wide_x, p, o)


def pruned(p):
    W = p["W"].clone()
    W[1] = 0
    return put(p, W=W)


# name: (network, node, the wrong layer, a pattern of the cause)
NEW = {
    "weights of half precision": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x, put(p, W=half(p["W"])), o),
        "float16",
    ),
    "weights of bfloat16": (
        "rows",
        "affine2",
        lambda x, p, o: linear(x, put(p, W=half(p["W"], torch.bfloat16)), o),
        "bfloat16",
    ),
    "output of half precision": (
        "plain",
        "affine1",
        lambda x, p, o: half(linear(x, p, o)),
        "float16",
    ),
    "input of bfloat16": (
        "plain",
        "conv1",
        lambda x, p, o: conv(half(x, torch.bfloat16), p, o),
        "bfloat16",
    ),
    "rounded to integers": ("rows", "affine1", lambda x, p, o: linear(x, p, o).round(), "round"),
    "a filter pruned": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x, pruned(p), o),
        "filter|channel|output",
    ),
    "weights normalised": (
        "rows",
        "affine2",
        lambda x, p, o: linear(x, put(p, W=p["W"] / p["W"].norm(dim=0)), o),
        "norm",
    ),
    "weights of equal rate": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x, put(p, W=p["W"] * math.sqrt(2 / 36)), o),
        "W holds other numbers: it is multiplied",
    ),
    "weights divided by the largest singular value": (
        "rows",
        "affine2",
        lambda x, p, o: linear(x, put(p, W=p["W"] / torch.linalg.matrix_norm(p["W"], 2)), o),
        "W holds other numbers: it is multiplied",
    ),
    "output channels shuffled": (
        "norms",
        "conv1",
        lambda x, p, o: conv(x, p, o).unflatten(1, (2, 3)).transpose(1, 2).flatten(1, 2),
        "channels|order|interleaved",
    ),
    "weights reshaped, not transposed": (
        "plain",
        "affine2",
        lambda x, p, o: linear(x, put(p, W=p["W"].reshape(p["W"].shape[::-1]).t()), o),
        "reshaped",
    ),
    "filters reshaped from HWIO": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x, put(p, W=p["W"].permute(2, 3, 1, 0).reshape(p["W"].shape)), o),
        "HWIO",
    ),
    "bias of another layer": (
        "rows",
        "affine2",
        lambda x, p, o: linear(x, put(p, b=p["b"].flip(0)), o),
        "b holds other numbers: .* reverse",
    ),
    "buffers not loaded": (
        "plain",
        "batchnorm1",
        lambda x, p, o: batchnorm(
            x,
            put(p, mean=torch.zeros_like(p["mean"]), var=torch.ones_like(p["var"]))
            if not o["train"]
            else p,
            o,
        ),
        "not loaded|mean 0|start",
    ),
    "gamma of its size": (
        "plain",
        "batchnorm1",
        lambda x, p, o: batchnorm(x, put(p, gamma=p["gamma"] ** 2), o),
        "gamma",
    ),
    "only the variance is loaded": (
        "plain",
        "batchnorm1",
        lambda x, p, o: batchnorm(
            x, put(p, mean=torch.zeros_like(p["mean"])) if not o["train"] else p, o
        ),
        "mean",
    ),
    "layer norm without scale and shift": (
        "norms",
        "layernorm1",
        lambda x, p, o: norm_of(x, (1,), o["eps"]),
        "gamma and beta are missing",
    ),
    "one pixel to the right": ("plain", "conv2", shifted_stride, "pixel|shift|first"),
    "dilation of one axis": (
        "norms",
        "conv2",
        lambda x, p, o: conv(x, p, put(o, dilation=(2, 1), pad=(2, 1))),
        "dilation",
    ),
    "padding of minus one": (
        "plain",
        "conv1",
        lambda x, p, o: conv(F.pad(x, (1, 1, 1, 1), value=-1.0), p, put(o, pad=(0, 0))),
        "padded with -1|padding",
    ),
    "smallest of a window": ("plain", "max_pool1", lambda x, p, o: -max_pool(-x, p, o), "smallest"),
    "sum of a window": (
        "norms",
        "avg_pool1",
        lambda x, p, o: 9 * avg_pool(x, p, o),
        "multiplied by 9|sum",
    ),
    "root mean square of a window": (
        "norms",
        "avg_pool1",
        lambda x, p, o: avg_pool(x**2, p, o).sqrt(),
        "square",
    ),
    "nearest, exact": (
        "pools",
        "upsample1",
        lambda x, p, o: F.interpolate(x, scale_factor=2.0, mode="area"),
        "nearest",
    ),
    "rolled by a pixel": (
        "pools",
        "upsample2",
        lambda x, p, o: F.interpolate(x, scale_factor=(2.0, 3.0)).roll(1, 3),
        "rolled|shift",
    ),
    "relu in front of the bias": (
        "rows",
        "affine1",
        lambda x, p, o: F.relu(x @ p["W"]) + p["b"],
        "in front of the bias|ReLU",
    ),
    "exp in place of expm1": (
        "rows",
        "elu1",
        lambda x, p, o: torch.where(x > 0, x, o["alpha"] * torch.exp(x.clamp(max=0))),
        "1 is not subtracted|exp",
    ),
    "slopes of the positive side": (
        "pools",
        "prelu1",
        lambda x, p, o: x.clamp(max=0) + wide(p["a"], x) * x.clamp(min=0),
        "positive",
    ),
    "softplus of beta 2": ("pools", "softplus1", lambda x, p, o: F.softplus(x, beta=2), "beta"),
    "hard sigmoid": ("norms", "sigmoid1", lambda x, p, o: F.hardsigmoid(x), "hard sigmoid"),
    "LeCun's tanh": (
        "norms",
        "tanh1",
        lambda x, p, o: 1.7159 * torch.tanh(2 / 3 * x),
        "LeCun|1.7159",
    ),
    "residual scaled": (
        "residual",
        "add1",
        lambda x, y, p, o: (x + y) * math.sqrt(0.5),
        "multiplied by 0.707",
    ),
    "classes counted from one": (
        "plain",
        "affine2",
        lambda x, p, o: linear(x, p, o).roll(1, 1),
        "rolled|order",
    ),
    "scores centred": (
        "rows",
        "affine4",
        lambda x, p, o: (lambda s: s - s.mean(1, keepdim=True))(linear(x, p, o)),
        "centred",
    ),
    "gradient clipped": (
        "rows",
        "relu1",
        lambda x, p, o: F.relu(back(x, lambda d: d.clamp(-1e-3, 1e-3))),
        "cut off|clipped",
    ),
    "gradient reversed": ("plain", "relu2", lambda x, p, o: F.relu(back(x, lambda d: -d)), "sign"),
    "bias frozen": (
        "plain",
        "conv2",
        lambda x, p, o: conv(x, put(p, b=p["b"].detach()), o),
        "frozen|no gradient",
    ),
    "statistics detached": (
        "plain",
        "batchnorm1",
        detached_statistics,
        "statistics|constants|through",
    ),
    "weight decay in the gradient": (
        "rows",
        "affine2",
        lambda x, p, o: linear(
            x, put(p, W=back(p["W"], lambda d, W=p["W"]: d + 0.01 * W.detach())), o
        ),
        "decay|regularisation|times the weights",
    ),
    "gradient summed over the batch": (
        "rows",
        "affine2",
        lambda x, p, o: linear(x, put(p, W=back(p["W"], lambda d: d * 5)), o),
        "multiplied by 5",
    ),
    "running statistics where one row": (
        "norms",
        "batchnorm1",
        lambda x, p, o: running(x, p, o),
        "test mode",
    ),
}
