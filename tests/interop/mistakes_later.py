"""More mistakes of real ports, after what people report in public, in modules written by hand.

Each row: network, node at which it lies, what is done to the right module, a pattern of the cause.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from interop.written import Scaled, attribute, conv_of, data, hook, instead, swap

L, B, D = "lenet", "blocks", "decoder"


def grouped(n, x, G=4):
    y = x.permute(0, 2, 3, 1).reshape(len(x), G, -1)
    y = (y - y.mean(2, keepdim=True)) / (y.var(2, unbiased=False, keepdim=True) + n.eps).sqrt()
    y = y.reshape(len(x), x.shape[2], x.shape[3], -1).permute(0, 3, 1, 2)
    return y * n.weight[:, None, None] + n.bias[:, None, None]


def standardised(w):
    return (w - w.mean((1, 2, 3), keepdim=True)) / w.std((1, 2, 3), keepdim=True, unbiased=False)


def layer_norm_over(n, x, axes):
    return (
        n.weight
        * (x - x.mean(axes, keepdim=True))
        / (x.var(axes, keepdim=True, unbiased=False) + n.eps).sqrt()
        + n.bias
    )


SECOND = {
    "means of BGR subtracted": (
        L,
        "conv1",
        swap(
            "conv1",
            lambda c, x: c(x - torch.tensor([0.485, 0.456, 0.406]).to(x.dtype).view(1, 3, 1, 1)),
        ),
        "added|subtracted",
    ),
    "slope of the wrong sign": (
        L,
        "leaky_relu1",
        swap("act2", lambda a, x: F.leaky_relu(x, -0.2)),
        "alpha|slope|-0.2",
    ),
    "guarded tanh": (L, "tanh1", swap("act3", lambda a, x: torch.tanh(x.clamp(-1, 1))), "cut|clip"),
    "layer norm over the batch, too": (
        L,
        "layernorm1",
        swap("ln", lambda n, x: layer_norm_over(n, x, (0, 1))),
        "whole batch|batch",
    ),
    "gamma from 0": (
        L,
        "layernorm1",
        swap("ln", lambda n, x: F.layer_norm(x, (16,), 1 + n.weight, n.bias)),
        "1 \\+ gamma|from 0",
    ),
    "erf without the root of 2": (
        L,
        "gelu1",
        swap("act4", lambda a, x: 0.5 * x * (1 + torch.erf(x))),
        "function|erf|root",
    ),
    "bias along the rows": (
        L,
        "conv2",
        swap("conv2", lambda c, x: conv_of(c, x, bias=None) + c.bias.view(1, 1, -1, 1)),
        "bias|rows",
    ),
    "groups of channels last": (B, "gn", swap("gn", grouped), "group|NHWC|pixels|interleaved"),
    "sum by the root of 2": (
        B,
        "add1",
        instead(one=lambda m, x: F.relu((m.bn_b(m.b(F.relu(m.bn_a(m.a(x))))) + x) / math.sqrt(2))),
        "0.707|multiplied",
    ),
    "branch lost": (
        B,
        "add1",
        instead(one=lambda m, x: F.relu(x + x)),
        "shortcut|twice|one of the",
    ),
    "shortcut of odd pixels": (
        B,
        "short",
        swap("short", lambda c, x: c(x[:, :, 1:, 1:])),
        "start|later",
    ),
    "ceil mode": (B, "avg", lambda m: setattr(m.avg, "ceil_mode", True), "ceil_mode"),
    "reshaped kernel": (
        L,
        "affine3",
        data("fc3.weight", lambda w: w.t().reshape(4, 16)),
        "reshaped",
    ),
    "largest logit subtracted": (
        L,
        "affine3",
        swap("fc3", lambda f, x: f(x) - f(x).amax(1, keepdim=True)),
        "largest|subtracted|added",
    ),
    "output padding above": (
        D,
        "conv_transpose1",
        swap(
            "up1",
            lambda c, x: F.conv_transpose2d(F.pad(x, (0, 0, 0, 0)), c.weight, c.bias, 2, 1)[
                :, :, [0, *range(9)]
            ][..., [0, *range(11)]],
        ),
        "side|padding|crop|edge|row",
    ),
    "straight-through": (
        L,
        "tanh1",
        swap("act3", lambda a, x: torch.tanh(x).detach() + x - x.detach()),
        "not there|activation|straight",
    ),
    "gamma frozen": (L, "batchnorm1", lambda m: m.bn1.weight.requires_grad_(False), "frozen"),
    "shortcut detached": (
        B,
        "add1",
        instead(one=lambda m, x: F.relu(m.bn_b(m.b(F.relu(m.bn_a(m.a(x))))) + x.detach())),
        "gradient|detached|shortcut",
    ),
    "weight standardisation": (
        L,
        "conv2",
        swap("conv2", lambda c, x: conv_of(c, x, weight=standardised(c.weight))),
        "standardised|other numbers",
    ),
    "weight norm": (
        D,
        "conv2",
        swap(
            "conv3",
            lambda c, x: conv_of(
                c, x, weight=c.weight / c.weight.flatten(1).norm(dim=1)[:, None, None, None]
            ),
        ),
        "length 1|normalised",
    ),
    "equalised learning rate": (
        D,
        "conv1",
        swap("conv2", lambda c, x: conv_of(c, x, weight=c.weight * math.sqrt(2 / 54))),
        "multiplied by 0.19",
    ),
    "layer not loaded": (
        L,
        "conv2",
        lambda m: m.conv2.reset_parameters(),
        "other numbers|not loaded",
    ),
    "stale bias": (
        B,
        "fc",
        data("fc.bias", lambda b: torch.linspace(-1, 1, 7)),
        "b holds other numbers|bias",
    ),
    "rows and columns": (
        B,
        "stem",
        swap("stem", lambda c, x: c(x.transpose(2, 3))),
        "rows and columns",
    ),
    "pixels clipped": (L, "conv1", swap("conv1", lambda c, x: c(x.clamp(0, 1))), "cut off"),
    "cosine head": (
        B,
        "fc",
        swap("fc", lambda f, x: F.linear(F.normalize(x), f.weight, f.bias)),
        "length 1",
    ),
    "input in whole numbers": (
        L,
        "conv1",
        swap("conv1", lambda c, x: c((x * 255).round() / 255)),
        "rounded|quantised|255",
    ),
    "pool by slices": (
        D,
        "avg_pool1",
        swap("pool", lambda p, x: x[:, :, ::2, ::2]),
        "first|slice|taken|window",
    ),
}

THIRD = {
    "even filters of TF 1's SAME": (
        L,
        "conv2",
        swap("conv2", lambda c, x: conv_of(c, F.pad(x, (0, 2, 0, 2)), padding=0)),
        "below|far|other way",
    ),
    "wrap-around edges": (
        B,
        "a",
        swap("a", lambda c, x: F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), c.weight)),
        "wrapped",
    ),
    "input scaled to -1..1": (
        B,
        "stem",
        swap("stem", lambda c, x: c(2 * x - 1)),
        "multiplied by 2",
    ),
    "deviations of ImageNet": (
        B,
        "stem",
        swap(
            "stem",
            lambda c, x: c(x / torch.tensor([0.229, 0.224, 0.225]).to(x.dtype).view(1, 3, 1, 1)),
        ),
        "multiplied",
    ),
    "filters permuted": (
        B,
        "d",
        data("d.weight", lambda w: w[torch.tensor([3, 1, 0, 2, 7, 5, 6, 4, 11, 9, 10, 8])]),
        "order",
    ),
    "gamma doubled": (
        B,
        "bn_c",
        data("bn_c.weight", lambda w: 2 * w),
        "gamma.*multiplied by 2|multiplied by 2",
    ),
    "beta negated": (B, "bn_c", data("bn_c.bias", lambda w: -w), "beta.*sign|sign"),
    "running mean of another layer": (
        B,
        "bn_a",
        data("bn_a.running_mean", lambda w: w.flip(0)),
        "mean.*(reverse|order)",
    ),
    "eps of fused kernels": (B, "bn_d", attribute("bn_d", eps=1e-4), "eps is 0.0001"),
    "momentum of 0.01": (B, "bn_d", attribute("bn_d", momentum=0.01), "momentum"),
    "group norm over pixels alone": (
        B,
        "gn",
        swap("gn", lambda n, x: F.instance_norm(x, weight=n.weight, bias=n.bias)),
        "8 groups|each channel",
    ),
    "average pool of 2": (B, "avg", swap("avg", lambda p, x: F.avg_pool2d(x, 2, 2)), "window is 2"),
    "max in place of average": (
        B,
        "avg",
        swap("avg", lambda p, x: F.max_pool2d(x, 3, 2, 1)),
        "largest",
    ),
    "weights in the order of Theano": (
        L,
        "affine1",
        data("fc1.weight", lambda w: w.view(16, 6, 3, 3).flip(2, 3).reshape(16, 54)),
        "order|flipped|reverse|other numbers",
    ),
    "tanh of GELU's cubic": (
        L,
        "gelu1",
        swap("act4", lambda a, x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * x))),
        "function|cube",
    ),
    "mish": (L, "gelu1", swap("act4", lambda a, x: F.mish(x)), "Mish"),
    "relu in place of tanh": (L, "tanh1", swap("act3", lambda a, x: F.relu(x)), "ReLU"),
    "gradient through a scaled trunk": (
        L,
        "flatten1",
        swap("flat", lambda f, x: f(Scaled.apply(x, 0.1))),
        "multiplied by 0.1",
    ),
    "gradient with noise": (
        L,
        "affine2",
        hook("fc2.weight", lambda g, w: g + 1e-3 * torch.sign(g)),
        "differ|added|sign|noise",
    ),
    "norm of gradients clipped": (
        L,
        "affine1",
        hook("fc1.weight", lambda g, w: g / g.norm()),
        "multiplied|length",
    ),
    "frozen batch norm's affine": (B, "bn_c", lambda m: m.bn_c.requires_grad_(False), "frozen"),
    "second layer frozen": (D, "conv1", lambda m: m.conv2.weight.requires_grad_(False), "frozen"),
    "deconvolution as upsampling": (
        D,
        "conv_transpose1",
        swap(
            "up1",
            lambda c, x: F.conv2d(
                F.interpolate(x, scale_factor=2),
                c.weight.transpose(0, 1).flip(2, 3),
                c.bias,
                padding=1,
            ),
        ),
        ".",
    ),
    "instance norm of eps 1e-3": (
        D,
        "instancenorm1",
        swap("norm", lambda n, x: F.instance_norm(x, weight=n.weight, bias=n.bias, eps=1e-3)),
        "eps is 0.001",
    ),
    "softplus of beta 2": (D, "softplus1", attribute("soft", beta=2), "beta 2"),
    "upsampling behind the filter": (
        D,
        "upsample1",
        instead(
            forward=lambda m, x: m.fc(
                F.adaptive_avg_pool2d(
                    m.pool(m.sig(m.up2(m.conv3(m.soft(m.conv2(m.elu(m.norm(m.up1(x))))))))), 1
                ).flatten(1)
            )
        ),
        "front|order|input",
    ),
}
