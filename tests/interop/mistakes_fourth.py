"""Mistakes of ports that were written without a look at what names them.

Each row: network, node at which it lies, what is done to the right module, a pattern of the cause.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from interop.written import Scaled, attribute, conv_of, data, hook, instead, swap

L, B, D = "lenet", "blocks", "decoder"


def scaled_tanh(a, x):
    return 1.7159 * torch.tanh(2 * x / 3)


def std_plus_eps(n, x):
    """The layer normalisation of The Annotated Transformer."""
    return n.weight * (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-6) + n.bias


def root_mean_square(n, x):
    return n.weight * x / (x.pow(2).mean(1, keepdim=True) + n.eps).sqrt() + n.bias


def relu_in_place(m, x):
    y = F.relu(m.bn_a(m.a(x)))
    return F.relu(m.bn_b(m.b(y)) + F.relu(x - 0.5))


FOURTH = {
    "image turned by the reader": (
        L,
        "conv1",
        swap("conv1", lambda c, x: c(x.flip(3))),
        "flip|revers|mirror",
    ),
    "rows and columns of the image exchanged": (
        B,
        "stem",
        swap("stem", lambda c, x: c(x.transpose(2, 3)).transpose(2, 3)),
        "rows and columns",
    ),
    "half-precision weights": (
        L,
        "conv2",
        data("conv2.weight", lambda w: w.half().float()),
        "float16|half|rounded",
    ),
    "bfloat16 weights": (
        L,
        "affine1",
        data("fc1.weight", lambda w: w.bfloat16().float()),
        "bfloat16|rounded",
    ),
    "pruned weights": (
        L,
        "affine2",
        data("fc2.weight", lambda w: w * (w.abs() > 0.15)),
        "zero|other numbers",
    ),
    "scaled hyperbolic tangent of LeCun": (L, "tanh1", swap("act3", scaled_tanh), "function|1.7"),
    "hard tanh": (L, "tanh1", swap("act3", lambda a, x: F.hardtanh(x)), "hard|function|cut"),
    "quick GELU": (
        L,
        "gelu1",
        swap("act4", lambda a, x: x * torch.sigmoid(1.702 * x)),
        "1.702|function|quick",
    ),
    "SELU": (D, "elu1", swap("elu", lambda a, x: F.selu(x)), "SELU|function"),
    "CELU of alpha a half": (D, "elu1", swap("elu", lambda a, x: F.elu(x, 0.5)), "alpha"),
    "norm by standard deviation plus eps": (
        L,
        "layernorm1",
        swap("ln", std_plus_eps),
        "n - 1|unbiased|standard deviation|eps",
    ),
    "root mean square norm": (
        L,
        "layernorm1",
        swap("ln", root_mean_square),
        "mean is not|root mean square|mean",
    ),
    "norm without weights": (
        L,
        "layernorm1",
        swap("ln", lambda n, x: F.layer_norm(x, (16,))),
        "gamma|beta|without",
    ),
    "standard deviations loaded as variances": (
        B,
        "bn_c",
        data("bn_c.running_var", lambda v: v.sqrt()),
        "root|power|standard deviation",
    ),
    "gamma stored less one": (
        B,
        "bn_a",
        data("bn_a.weight", lambda w: w - 1),
        "gamma.*(1|added|subtracted)",
    ),
    "the statistics start anew": (
        B,
        "bn_b",
        lambda m: m.bn_b.reset_running_stats(),
        "statistics|mean|0 and 1|start",
    ),
    "relu changes the short cut": (
        B,
        "add1",
        instead(one=relu_in_place),
        "act0|relu|ReLU|function|input",
    ),
    "no relu behind the sum": (
        B,
        "act2",
        instead(one=lambda m, x: m.bn_b(m.b(F.relu(m.bn_a(m.a(x))))) + x),
        "missing|left out|comes through|identity|no ",
    ),
    "relu in front of the sum": (
        B,
        "add1",
        instead(one=lambda m, x: F.relu(m.bn_b(m.b(F.relu(m.bn_a(m.a(x)))))) + x),
        "front|before",
    ),
    "short cut by pooling": (
        B,
        "short",
        swap("short", lambda c, x: F.conv2d(F.avg_pool2d(x, 2), c.weight)),
        "pool|mean|average",
    ),
    "short cut of the odd pixels": (
        B,
        "short",
        swap("short", lambda c, x: F.conv2d(x[:, :, 1::2, 1::2], c.weight)),
        "later|start",
    ),
    "sum in place of the mean": (
        B,
        "gap",
        instead(gap=lambda m, x: x.sum((2, 3))),
        "multiplied|sum",
    ),
    "largest in place of the mean": (
        B,
        "gap",
        instead(gap=lambda m, x: x.amax((2, 3))),
        "largest|max",
    ),
    "mean of the first axis alone": (
        B,
        "gap",
        instead(gap=lambda m, x: x.mean(2)[:, :, 0]),
        "columns alone",
    ),
    "joined the other way round": (
        B,
        "concat1",
        instead(join=lambda m, x, z: torch.cat([z, x], 1)),
        "order|other way|revers",
    ),
    "logarithms of probabilities": (
        L,
        "affine3",
        swap("fc3", lambda f, x: F.log_softmax(f(x), 1)),
        "log",
    ),
    "probabilities for scores": (
        D,
        "affine1",
        swap("fc", lambda f, x: F.softmax(f(x), 1)),
        "softmax|probabilit",
    ),
    "scores cut off": (
        D,
        "affine1",
        swap("fc", lambda f, x: f(x).clamp(-0.1, 0.1)),
        "cut|clip|clamp|bounded",
    ),
    "sigmoid of HardNet": (
        D,
        "sigmoid1",
        swap("sig", lambda a, x: F.relu6(x + 3) / 6),
        "hard|function",
    ),
    "weights normalised": (
        D,
        "conv1",
        data("conv2.weight", lambda w: w / w.flatten(1).norm(dim=1).view(-1, 1, 1, 1)),
        "norm|length|multiplied|scaled",
    ),
    "every filter turned by half a turn": (
        D,
        "conv2",
        data("conv3.weight", lambda w: w.flip(2, 3)),
        "flipped",
    ),
    "padding before the stride of the last filter": (
        D,
        "conv2",
        swap("conv3", lambda c, x: F.conv2d(F.pad(x, (2, 0, 2, 0)), c.weight, c.bias)),
        "other way|above|padding",
    ),
    "gradient of the second filter twice": (
        D,
        "conv2",
        hook("conv3.weight", lambda g, w: 2 * g),
        "multiplied by 2",
    ),
    "decay inside the gradient": (
        L,
        "affine2",
        hook("fc2.weight", lambda g, w: g + 0.01 * w),
        "decay|0.01|weight|penalty",
    ),
    "gradient stops at the pool": (
        L,
        "max_pool1",
        swap("pool", lambda p, x: p(x.detach())),
        "no gradient|detach|stops|zero",
    ),
    "gradient straight through": (
        L,
        "leaky_relu1",
        swap("act2", lambda a, x: x + (a(x) - x).detach()),
        "as it is|straight|identity|slope",
    ),
    "gradient turned round": (
        L,
        "flatten1",
        swap("flat", lambda f, x: f(Scaled.apply(x, -1.0))),
        "sign",
    ),
    "leak trained on": (L, "leaky_relu1", attribute("act2", negative_slope=0.25), "alpha is 0.25"),
    "groups exchanged": (
        L,
        "conv2",
        swap(
            "conv2",
            lambda c, x: F.conv2d(
                torch.cat([x[:, 4:], x[:, :4]], 1), c.weight, c.bias, c.stride, c.padding, groups=2
            ),
        ),
        "rolled by 4",
    ),
    "a bias of zeros": (
        D,
        "conv1",
        swap("conv2", lambda c, x: conv_of(c, x, bias=0 * c.bias)),
        "bias is missing",
    ),
    "temperature of root two": (
        L,
        "affine3",
        swap("fc3", lambda f, x: f(x) / math.sqrt(2)),
        "multiplied by 0.707|divided",
    ),
}
