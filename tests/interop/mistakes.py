"""Porting mistakes: where each is planted, and a word that the cause must hold."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from interop.ports import affine_of, avg_pool, batchnorm, conv, groupnorm, linear, max_pool, wide


def put(o, **changes):
    return {**o, **changes}


def norm_of(x, axes, eps, unbiased=False):
    return (x - x.mean(axes, keepdim=True)) / (
        x.var(axes, keepdim=True, unbiased=unbiased) + eps
    ).sqrt()


def padded_by(x, left, right, top, bottom, p, o, mode="constant"):
    return conv(F.pad(x, (left, right, top, bottom), mode=mode), p, put(o, pad=(0, 0)))


def stats_of_batch(x, p, o):
    return affine_of(norm_of(x, (0, *range(2, x.ndim)), o["eps"]), p)


def running(x, p, o, mean=None, var=None, eps=None, outside=None):
    mean, var = (
        wide(p["mean"] if mean is None else mean, x),
        wide(p["var"] if var is None else var, x),
    )
    std = (var + o["eps"]).sqrt() if outside is None else var.sqrt() + outside
    return affine_of((x - mean) / std, p)


class Half(torch.autograd.Function):
    """A backward by hand that forgets a factor."""

    @staticmethod
    def forward(ctx, x):
        return x * 1.0

    @staticmethod
    def backward(ctx, dout):
        return dout * 0.5


class Through(torch.autograd.Function):
    """A ReLU that hands the gradient on everywhere."""

    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, dout):
        return dout


# (network, node, the wrong layer, a pattern of the cause)
MISTAKES = {
    "pad above left": ("plain", "conv1", lambda x, p, o: padded_by(x, 2, 0, 2, 0, p, o), "padding"),
    "pad below right": (
        "plain",
        "conv1",
        lambda x, p, o: padded_by(x, 0, 2, 0, 2, p, o),
        "padding",
    ),
    "pad reflected": (
        "plain",
        "conv1",
        lambda x, p, o: padded_by(x, 1, 1, 1, 1, p, o, "reflect"),
        "reflected",
    ),
    "pad replicated": (
        "plain",
        "conv1",
        lambda x, p, o: padded_by(x, 1, 1, 1, 1, p, o, "replicate"),
        "repeated",
    ),
    "pad circular": (
        "plain",
        "conv1",
        lambda x, p, o: padded_by(x, 1, 1, 1, 1, p, o, "circular"),
        "wrapped",
    ),
    "pad missing": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x, p, put(o, pad=(0, 0))),
        "padding is 0",
    ),
    "pad too large": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x, p, put(o, pad=(2, 2))),
        "padding is 2",
    ),
    "stride exchanged": (
        "plain",
        "conv2",
        lambda x, p, o: conv(x, p, put(o, stride=(1, 2))),
        "stride",
    ),
    "stride 1": (
        "plain",
        "conv2",
        lambda x, p, o: conv(x, p, put(o, stride=(1, 1))),
        "stride is 1",
    ),
    "filters flipped": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x, put(p, W=p["W"].flip(2, 3)), o),
        "flipped",
    ),
    "filters transposed": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x, put(p, W=p["W"].transpose(2, 3)), o),
        "transposed",
    ),
    "channels of filters": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x, put(p, W=p["W"].flip(1)), o),
        "reverse",
    ),
    "conv without bias": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x, {"W": p["W"]}, o),
        "bias is missing",
    ),
    "conv bias twice": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x, put(p, b=2 * p["b"]), o),
        "twice",
    ),
    "in and out exchanged": (
        "residual",
        "b",
        lambda x, p, o: conv(x, put(p, W=p["W"].transpose(0, 1)), o),
        "transposed",
    ),
    "dilation missing": (
        "norms",
        "conv2",
        lambda x, p, o: conv(x, p, put(o, dilation=(1, 1))),
        "dilation",
    ),
    "groups interleaved": (
        "norms",
        "conv1",
        lambda x, p, o: conv(x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2), p, o),
        "interleaved",
    ),
    "batchnorm eps 1e-3": (
        "plain",
        "batchnorm1",
        lambda x, p, o: batchnorm(x, p, put(o, eps=1e-3)),
        "eps is 0.001",
    ),
    "batchnorm eps 1e-6": (
        "plain",
        "batchnorm1",
        lambda x, p, o: batchnorm(x, p, put(o, eps=1e-6)),
        "eps is 1e-06",
    ),
    "batchnorm eps outside": (
        "plain",
        "batchnorm1",
        lambda x, p, o: (
            running(x, p, o, outside=o["eps"]) if not o["train"] else batchnorm(x, p, o)
        ),
        "standard deviation",
    ),
    "batch statistics in test": ("plain", "batchnorm1", stats_of_batch, "batch"),
    "running statistics in training": (
        "plain",
        "batchnorm1",
        lambda x, p, o: running(x, p, o),
        "test mode",
    ),
    "unbiased variance": (
        "rows",
        "batchnorm1",
        lambda x, p, o: (
            batchnorm(x, p, o) if not o["train"] else affine_of(norm_of(x, (0,), o["eps"], True), p)
        ),
        "unbiased",
    ),
    "momentum the other way": (
        "plain",
        "batchnorm1",
        lambda x, p, o: batchnorm(x, p, put(o, momentum=1 - o["momentum"])),
        "momentum",
    ),
    "momentum 0.99": (
        "plain",
        "batchnorm1",
        lambda x, p, o: batchnorm(x, p, put(o, momentum=0.99)),
        "momentum is 0.99",
    ),
    "gamma missing": (
        "plain",
        "batchnorm1",
        lambda x, p, o: batchnorm(x, put(p, gamma=torch.ones_like(p["gamma"])), o),
        "gamma is missing",
    ),
    "beta missing": (
        "plain",
        "batchnorm1",
        lambda x, p, o: batchnorm(x, put(p, beta=None), o),
        "beta is missing",
    ),
    "gamma and beta exchanged": (
        "plain",
        "batchnorm1",
        lambda x, p, o: batchnorm(x, put(p, gamma=p["beta"], beta=p["gamma"]), o),
        "exchanged",
    ),
    "variance as deviation": (
        "plain",
        "batchnorm1",
        lambda x, p, o: (
            batchnorm(x, p, o)
            if o["train"]
            else affine_of((x - wide(p["mean"], x)) / (wide(p["var"], x) + o["eps"]), p)
        ),
        "variance",
    ),
    "mean not subtracted": (
        "plain",
        "batchnorm1",
        lambda x, p, o: (
            batchnorm(x, p, o)
            if o["train"]
            else affine_of(x / (wide(p["var"], x) + o["eps"]).sqrt(), p)
        ),
        "mean",
    ),
    "batchnorm by image": (
        "plain",
        "batchnorm1",
        lambda x, p, o: affine_of(norm_of(x, (2, 3), o["eps"]), p),
        "statistics",
    ),
    "layernorm over batch": (
        "norms",
        "layernorm1",
        lambda x, p, o: affine_of(norm_of(x, (0,), o["eps"]), p),
        "batch",
    ),
    "layernorm unbiased": (
        "norms",
        "layernorm1",
        lambda x, p, o: affine_of(norm_of(x, (1,), o["eps"], True), p),
        "unbiased",
    ),
    "layernorm eps": (
        "norms",
        "layernorm1",
        lambda x, p, o: affine_of(norm_of(x, (1,), 1e-12), p),
        "eps is 1e-12",
    ),
    "rms norm": (
        "norms",
        "layernorm1",
        lambda x, p, o: affine_of(x / ((x**2).mean(1, keepdim=True) + o["eps"]).sqrt(), p),
        "root mean square",
    ),
    "groupnorm with 2 groups": (
        "norms",
        "groupnorm1",
        lambda x, p, o: groupnorm(x, p, put(o, groups=2)),
        "2 groups",
    ),
    "groupnorm as instance norm": (
        "norms",
        "groupnorm1",
        lambda x, p, o: groupnorm(x, p, put(o, groups=6)),
        "6 groups",
    ),
    "groupnorm as layer norm": (
        "norms",
        "groupnorm1",
        lambda x, p, o: groupnorm(x, p, put(o, groups=1)),
        "1 groups",
    ),
    "instancenorm over batch": (
        "norms",
        "instancenorm1",
        lambda x, p, o: affine_of(norm_of(x, (0, 2, 3), o["eps"]), p),
        "batch",
    ),
    "NHWC flatten": ("plain", "flatten1", lambda x, p, o: x.permute(0, 2, 3, 1).flatten(1), "NHWC"),
    "flatten of columns": (
        "plain",
        "flatten1",
        lambda x, p, o: x.transpose(2, 3).flatten(1),
        "NCWH",
    ),
    "weights transposed": (
        "rows",
        "affine2",
        lambda x, p, o: linear(x, put(p, W=p["W"].t()), o),
        "transposed",
    ),
    "weights reversed": (
        "plain",
        "affine1",
        lambda x, p, o: linear(x, put(p, W=p["W"].flip(0)), o),
        "reverse",
    ),
    "affine without bias": (
        "plain",
        "affine2",
        lambda x, p, o: linear(x, {"W": p["W"]}, o),
        "bias is missing",
    ),
    "bias subtracted": (
        "plain",
        "affine2",
        lambda x, p, o: linear(x, put(p, b=-p["b"]), o),
        "bias is subtracted",
    ),
    "max pool floor": (
        "pools",
        "max_pool2",
        lambda x, p, o: max_pool(x, p, put(o, ceil_mode=False)),
        "ceil_mode",
    ),
    "zero padded max pool": (
        "pools",
        "max_pool1",
        lambda x, p, o: max_pool(F.pad(x, (1, 1, 1, 1)), p, put(o, pad=(0, 0))),
        "zeros",
    ),
    "max pool stride": (
        "pools",
        "max_pool1",
        lambda x, p, o: max_pool(x, p, put(o, stride=(3, 3))),
        "stride is 3",
    ),
    "max pool window": (
        "pools",
        "max_pool1",
        lambda x, p, o: max_pool(x, p, put(o, size=(2, 2))),
        "window is 2",
    ),
    "max pool one-sided": (
        "pools",
        "max_pool1",
        lambda x, p, o: max_pool(F.pad(x, (0, 1, 0, 1), value=-math.inf), p, put(o, pad=(0, 0))),
        "padding",
    ),
    "mean for max": (
        "plain",
        "max_pool1",
        lambda x, p, o: F.avg_pool2d(x, 2),
        "mean of each window",
    ),
    "max for mean": ("norms", "avg_pool1", lambda x, p, o: F.max_pool2d(x, 3, 2, 1), "largest"),
    "count_include_pad": (
        "norms",
        "avg_pool1",
        lambda x, p, o: avg_pool(x, p, put(o, count_include_pad=False)),
        "count_include_pad",
    ),
    "count_include_pad the other": (
        "pools",
        "avg_pool1",
        lambda x, p, o: avg_pool(x, p, put(o, count_include_pad=True)),
        "count_include_pad",
    ),
    "align_corners": (
        "pools",
        "upsample1",
        lambda x, p, o: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
        "align_corners",
    ),
    "nearest for bilinear": (
        "pools",
        "upsample1",
        lambda x, p, o: F.interpolate(x, scale_factor=2),
        "nearest",
    ),
    "scale exchanged": (
        "pools",
        "upsample2",
        lambda x, p, o: F.interpolate(x, scale_factor=(3.0, 2.0)),
        "scale",
    ),
    "leaky slope": ("norms", "leaky_relu1", lambda x, p, o: F.leaky_relu(x, 0.01), "alpha is 0.01"),
    "relu for leaky": ("norms", "leaky_relu1", lambda x, p, o: F.relu(x), "ReLU"),
    "relu missing": ("plain", "relu1", lambda x, p, o: x, "missing"),
    "silu for relu": ("plain", "relu2", lambda x, p, o: F.silu(x), "SiLU"),
    "gelu tanh": ("norms", "gelu1", lambda x, p, o: F.gelu(x, approximate="tanh"), "approximate"),
    "gelu quick": ("norms", "gelu1", lambda x, p, o: x * torch.sigmoid(1.702 * x), "quick"),
    "elu alpha": ("rows", "elu1", lambda x, p, o: F.elu(x), "alpha is 1"),
    "prelu one slope": ("pools", "prelu1", lambda x, p, o: F.prelu(x, p["a"][:1]), "one slope"),
    "maxout apart": (
        "pools",
        "maxout1",
        lambda x, p, o: x.unflatten(1, (o["pieces"], -1)).amax(1),
        "apart",
    ),
    "softmax at the end": (
        "plain",
        "affine2",
        lambda x, p, o: linear(x, p, o).softmax(1),
        "softmax",
    ),
    "dropout not inverted": ("plain", "dropout1", lambda x, p, o: x * o["p"], "not inverted"),
    "shortcut missing": ("residual", "add1", lambda x, y, p, o: x, "shortcut"),
    "relu before the sum": (
        "residual",
        "add1",
        lambda x, y, p, o: F.relu(x) + y,
        "ReLU stands in front",
    ),
    "concat the other way": (
        "residual",
        "concat1",
        lambda x, y, p, o: torch.cat([y, x], 1),
        "another order",
    ),
    "sum for mean": ("residual", "pool", lambda x, p, o: x.sum((2, 3)), "summed"),
    "max for global mean": ("residual", "pool", lambda x, p, o: x.amax((2, 3)), "largest"),
    "detached": ("plain", "relu2", lambda x, p, o: F.relu(x.detach()), "no gradient|detached"),
    "backward with a factor": (
        "rows",
        "relu1",
        lambda x, p, o: F.relu(Half.apply(x)),
        "multiplied by 0.5",
    ),
    "relu without its mask": (
        "rows",
        "relu1",
        lambda x, p, o: Through.apply(x),
        "where none should|as if the activation were not there",
    ),
    "frozen weights": (
        "plain",
        "conv2",
        lambda x, p, o: conv(x, put(p, W=p["W"].detach()), o),
        "frozen",
    ),
}

# planted after the causes were written: (network, node, the wrong layer)
LATER = {
    "padding of 3": ("plain", "conv1", lambda x, p, o: conv(x, p, put(o, pad=(3, 3)))),
    "filters turned": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x, put(p, W=p["W"].rot90(1, (2, 3))), o),
    ),
    "half a bias": ("plain", "conv1", lambda x, p, o: conv(x, put(p, b=p["b"] / 2), o)),
    "mirrored": ("plain", "conv1", lambda x, p, o: conv(x.flip(3), p, o)),
    "eps 1e-4": ("plain", "batchnorm1", lambda x, p, o: batchnorm(x, p, put(o, eps=1e-4))),
    "norm behind the relu": ("plain", "batchnorm1", lambda x, p, o: batchnorm(F.relu(x), p, o)),
    "pool of 3": ("plain", "max_pool1", lambda x, p, o: F.max_pool2d(x, 3, 2, 1)),
    "shifted relu": ("plain", "relu1", lambda x, p, o: F.relu(x - 0.1)),
    "mish": ("plain", "relu2", lambda x, p, o: F.mish(x)),
    "flatten NWHC": ("plain", "flatten1", lambda x, p, o: x.permute(0, 3, 2, 1).flatten(1)),
    "temperature": ("plain", "affine2", lambda x, p, o: linear(x, p, o) / 10),
    "slope 0.3": ("norms", "leaky_relu1", lambda x, p, o: F.leaky_relu(x, 0.3)),
    "no padding": ("norms", "avg_pool1", lambda x, p, o: F.avg_pool2d(x, 3, 2, 0)),
    "bicubic": (
        "pools",
        "upsample1",
        lambda x, p, o: F.interpolate(x, scale_factor=2, mode="bicubic"),
    ),
    "half a branch": ("residual", "add1", lambda x, y, p, o: x + 0.5 * y),
    "product": ("residual", "add1", lambda x, y, p, o: x * y),
    "median": ("residual", "pool", lambda x, p, o: x.flatten(2).median(2).values),
    "sizes of slopes": ("pools", "prelu1", lambda x, p, o: F.prelu(x, p["a"].abs())),
    "some detached": (
        "rows",
        "gelu1",
        lambda x, p, o: torch.where(
            x > 1, F.gelu(x, approximate="tanh").detach(), F.gelu(x, approximate="tanh")
        ),
    ),
    "variance held up": (
        "plain",
        "batchnorm1",
        lambda x, p, o: batchnorm(x, p if o["train"] else put(p, var=p["var"].clamp(min=2.0)), o),
    ),
}
