"""Mistakes of real ports, after what people report in public, in modules written by hand.

Each row: network, node at which it lies, what is done to the right module, a pattern of the cause.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from interop.written import (
    Scaled,
    asymmetric,
    attribute,
    conv_of,
    data,
    exchanged,
    frozen_batch_norm,
    hook,
    instead,
    roles,
    shuffle,
    swap,
    training_batch_norm,
)

L, B, D = "lenet", "blocks", "decoder"
REAL = {
    # from TensorFlow and Keras
    "SAME of stride 2": (
        L,
        "conv1",
        swap("conv1", lambda c, x: conv_of(c, F.pad(x, (0, 1, 0, 1)), padding=0)),
        "below and on the right|start",
    ),
    "HWIO read as OIWH": (
        L,
        "conv1",
        data("conv1.weight", lambda w: w.transpose(2, 3)),
        "rows and columns of the filters",
    ),
    "BGR": (L, "conv1", swap("conv1", lambda c, x: c(x.flip(1))), "BGR|reverse"),
    "strict=False lost the bias": (
        L,
        "conv1",
        data("conv1.bias", torch.zeros_like),
        "bias is missing|bias",
    ),
    "true convolution": (L, "conv1", data("conv1.weight", lambda w: w.flip(2, 3)), "flipped"),
    "ToTensor and / 255": (L, "conv1", swap("conv1", lambda c, x: c(x / 255)), "255"),
    "normalised twice": (
        L,
        "conv1",
        swap("conv1", lambda c, x: c((x - 0.5) / 0.5)),
        "multiplied by 2, and -1 is added",
    ),
    "Keras' eps": (L, "batchnorm1", attribute("bn1", eps=1e-3), "eps is 0.001"),
    "Keras' momentum": (L, "batchnorm1", attribute("bn1", momentum=0.99), "momentum"),
    "cumulative average": (L, "batchnorm2", attribute("bn2", momentum=None), "momentum|average"),
    "std in place of var": (L, "batchnorm1", data("bn1.running_var", torch.sqrt), "deviation|root"),
    "var corrected twice": (
        L,
        "batchnorm2",
        data("bn2.running_var", lambda v: v * 360 / 359),
        "unbiased|variance",
    ),
    "gamma and beta exchanged": (L, "batchnorm1", roles("bn1"), "exchanged"),
    "statistics not loaded": (L, "batchnorm2", lambda m: m.bn2.reset_running_stats(), "not loaded"),
    "eval forgotten": (L, "batchnorm1", swap("bn1", training_batch_norm), "batch|training mode"),
    "frozen batch norm": (
        L,
        "batchnorm2",
        swap("bn2", frozen_batch_norm),
        "running|test mode|frozen",
    ),
    "norm behind the activation": (
        L,
        "batchnorm2",
        lambda m: (
            swap("bn2", lambda b, x: b(F.leaky_relu(x, 0.2)))(m),
            swap("act2", lambda a, x: x)(m),
        ),
        "ReLU|order|activation",
    ),
    "default slope": (L, "leaky_relu1", attribute("act2", negative_slope=0.01), "0.01"),
    "Keras 2's slope": (L, "leaky_relu1", attribute("act2", negative_slope=0.3), "0.3"),
    "relu6": (L, "relu1", swap("act1", lambda a, x: F.relu6(x)), "ReLU6|6"),
    "channels shuffled": (
        L,
        "conv2",
        swap("conv2", lambda c, x: c(shuffle(x, 2))),
        "interleaved|shuffle",
    ),
    "groups exchanged": (L, "conv2", data("conv2.weight", lambda w: w.roll(3, 0)), "rolled by 3"),
    "zero padded pool": (
        L,
        "max_pool1",
        swap("pool", lambda p, x: F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2)),
        "zero",
    ),
    "SAME pool": (
        L,
        "max_pool1",
        swap(
            "pool",
            lambda p, x: (
                F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-math.inf), 3, 2)[:, :, :3, :3]
                if x.shape[3] % 2 == 0
                else F.max_pool2d(F.pad(x, (1, 1, 0, 1), value=-math.inf), 3, 2)
            ),
        ),
        "below|padding|start",
    ),
    "mean pool": (L, "max_pool1", swap("pool", lambda p, x: F.avg_pool2d(x, 3, 2, 1)), "mean"),
    "NHWC flatten": (
        L,
        "flatten1",
        swap("flat", lambda f, x: x.permute(0, 2, 3, 1).reshape(len(x), -1)),
        "NHWC",
    ),
    "dense rows of NHWC": (
        L,
        "affine1",
        data("fc1.weight", lambda w: w.view(16, 6, 9).transpose(1, 2).reshape(16, 54)),
        "NHWC",
    ),
    "square kernel not transposed": (
        L,
        "affine2",
        data("fc2.weight", lambda w: w.t()),
        "transposed",
    ),
    "hard tanh": (L, "tanh1", swap("act3", lambda a, x: F.hardtanh(x)), "hard tanh"),
    "sigmoid for tanh": (L, "tanh1", swap("act3", lambda a, x: torch.sigmoid(x)), "sigmoid"),
    "dropout always on": (
        L,
        "dropout1",
        swap("drop", lambda d, x: F.dropout(x, 0.5)),
        "dropout|random|training mode",
    ),
    "dropout by keep_prob not inverted": (
        L,
        "dropout1",
        swap("drop", lambda d, x: x * 0.5 if not d.training else d(x)),
        "inverted|multiplied|kept",
    ),
    "layer norm of The Annotated Transformer": (
        L,
        "layernorm1",
        swap(
            "ln",
            lambda n, x: (
                n.weight * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + n.eps)
                + n.bias
            ),
        ),
        "unbiased|deviation",
    ),
    "BERT's eps": (L, "layernorm1", attribute("ln", eps=1e-12), "eps is 1e-12"),
    "Flax's eps": (L, "layernorm1", attribute("ln", eps=1e-6), "eps is 1e-06"),
    "layer norm without affine": (
        L,
        "layernorm1",
        lambda m: (data("ln.weight", torch.ones_like)(m), data("ln.bias", torch.zeros_like)(m)),
        "gamma and beta",
    ),
    "JAX's gelu": (L, "gelu1", attribute("act4", approximate="tanh"), "tanh"),
    "quick gelu": (
        L,
        "gelu1",
        swap("act4", lambda a, x: x * torch.sigmoid(1.702 * x)),
        "quick|1.702",
    ),
    "silu": (L, "gelu1", swap("act4", lambda a, x: F.silu(x)), "SiLU|swish"),
    "log softmax inside": (
        L,
        "affine3",
        swap("fc3", lambda f, x: f(x).log_softmax(1)),
        "log softmax",
    ),
    "logits scaled": (
        L,
        "affine3",
        swap("fc3", lambda f, x: f(x) / math.sqrt(16)),
        "0.25|scaled|multiplied|factor",
    ),
    "activation at the end": (L, "affine3", swap("fc3", lambda f, x: F.relu(f(x))), "ReLU"),
    "bias twice": (L, "affine2", swap("fc2", lambda f, x: f(x) + f.bias), "twice"),
    "layers exchanged while loading": (B, "a", exchanged("a", "b"), "another|exchanged|weights of"),
    "half precision weights": (
        L,
        "affine1",
        data("fc1.weight", lambda w: w.half().float()),
        "float16|half|precision",
    ),
    "bfloat16 weights": (
        L,
        "conv2",
        data("conv2.weight", lambda w: w.bfloat16().float()),
        "bfloat16|precision",
    ),
    # gradients
    "detached backbone": (
        L,
        "flatten1",
        swap("flat", lambda f, x: f(x.detach())),
        "detached|no gradient",
    ),
    "frozen first layer": (
        L,
        "conv1",
        lambda m: m.conv1.requires_grad_(False),
        "frozen|no gradient",
    ),
    "gradient clipped": (
        L,
        "affine2",
        hook("fc2.weight", lambda g, w: g.clamp(-1e-3, 1e-3)),
        "clip|cut",
    ),
    "weight decay in the gradient": (
        L,
        "affine3",
        hook("fc3.weight", lambda g, w: g + 0.01 * w),
        "decay",
    ),
    "gradient reversal": (
        L,
        "tanh1",
        swap("act3", lambda a, x: torch.tanh(Scaled.apply(x, -1.0))),
        "-1|sign|negat",
    ),
    "learning rate of a layer": (
        L,
        "affine1",
        hook("fc1.bias", lambda g, w: 2 * g),
        "multiplied by 2|twice|factor",
    ),
    # residual networks
    "8 groups": (B, "gn", attribute("gn", num_groups=8), "8 groups|groups"),
    "group norm's eps": (B, "gn", attribute("gn", eps=1e-3), "eps is 0.001"),
    "no activation behind the sum": (
        B,
        "act2",
        instead(one=lambda m, x: m.bn_b(m.b(F.relu(m.bn_a(m.a(x))))) + x),
        "missing",
    ),
    "no shortcut": (
        B,
        "add1",
        instead(one=lambda m, x: F.relu(m.bn_b(m.b(F.relu(m.bn_a(m.a(x))))))),
        "shortcut|missing",
    ),
    "activation before the sum": (
        B,
        "add1",
        instead(one=lambda m, x: F.relu(m.bn_b(m.b(F.relu(m.bn_a(m.a(x)))))) + x),
        "ReLU|activation",
    ),
    "shortcut from the wrong place": (
        B,
        "add1",
        instead(one=lambda m, x: F.relu(m.bn_b(m.b(F.relu(m.bn_a(m.a(x))))) + m.a(x))),
        "another|shortcut|branch",
    ),
    "stride in the second convolution": (
        B,
        "c",
        lambda m: (attribute("c", stride=(1, 1))(m), attribute("d", stride=(2, 2))(m)),
        "stride is 1",
    ),
    "pooled shortcut": (
        B,
        "short",
        swap("short", lambda c, x: F.conv2d(F.avg_pool2d(x, 2), c.weight)),
        "mean|pool|averag",
    ),
    "one batch norm for two": (
        B,
        "bn_b",
        instead(one=lambda m, x: F.relu(m.bn_a(m.b(F.relu(m.bn_a(m.a(x))))) + x)),
        "another|bn_a|shared",
    ),
    "padding counts": (B, "avg", attribute("avg", count_include_pad=True), "count_include_pad"),
    "concat exchanged": (B, "concat1", instead(join=lambda m, x, z: torch.cat([z, x], 1)), "order"),
    "nearest for bilinear": (
        D,
        "upsample1",
        swap("up2", lambda u, x: F.interpolate(x, scale_factor=2)),
        "nearest",
    ),
    "global maximum": (B, "gap", instead(gap=lambda m, x: x.amax((2, 3))), "largest"),
    "classes in another order": (
        B,
        "fc",
        lambda m: [
            data("fc.weight", lambda w: w.roll(1, 0))(m),
            data("fc.bias", lambda w: w.roll(1, 0))(m),
        ],
        "order|rolled|shifted|class",
    ),
    # decoders
    "transposed kernel flipped": (
        D,
        "conv_transpose1",
        data("up1.weight", lambda w: w.flip(2, 3)),
        "flipped",
    ),
    "IOHW for OIHW": (
        D,
        "conv_transpose1",
        data("up1.weight", lambda w: w.transpose(0, 1)),
        "input and output channels",
    ),
    "cropped at the other side": (
        D,
        "conv_transpose1",
        swap("up1", lambda c, x: F.conv_transpose2d(x, c.weight, c.bias, 2, 0)[:, :, :-1, :-1]),
        "crop|side|shift|padding",
    ),
    "instance norm's default": (
        D,
        "instancenorm1",
        lambda m: [data("norm.weight", torch.ones_like)(m), data("norm.bias", torch.zeros_like)(m)],
        "gamma and beta",
    ),
    "instance norm as batch norm": (
        D,
        "instancenorm1",
        swap("norm", lambda n, x: F.batch_norm(x, None, None, n.weight, n.bias, True)),
        "batch",
    ),
    "SELU": (D, "elu1", swap("elu", lambda a, x: F.selu(x)), "SELU"),
    "dilation forgotten": (
        D,
        "conv1",
        swap("conv2", lambda c, x: conv_of(c, x, dilation=1, padding=1)),
        "dilation is 1",
    ),
    "reflected edges": (
        D,
        "conv2",
        swap("conv3", lambda c, x: conv_of(c, F.pad(x, (1, 1, 1, 1), mode="reflect"), padding=0)),
        "reflect",
    ),
    "align_corners": (D, "upsample1", attribute("up2", align_corners=True), "align_corners"),
    "bilinear of TF 1": (
        D,
        "upsample1",
        swap("up2", lambda u, x: asymmetric(x, 2)),
        "half|asymmetric|align",
    ),
    "bicubic": (
        D,
        "upsample1",
        swap("up2", lambda u, x: F.interpolate(x, scale_factor=2, mode="bicubic")),
        "bicubic",
    ),
    "threshold of softplus": (
        D,
        "softplus1",
        attribute("soft", threshold=0.5),
        "comes through as it is",
    ),
    "output missing its sigmoid": (D, "sigmoid1", swap("sig", lambda s, x: x), "missing"),
    "sum pool": (D, "avg_pool1", swap("pool", lambda p, x: 4 * p(x)), "sum"),
}
