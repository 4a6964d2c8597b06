"""Twenty mistakes that were planted last; nothing was tuned to them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from interop.mistakes import put
from interop.mistakes_new import back
from interop.ports import affine_of, avg_pool, batchnorm, conv, groupnorm, linear

LAST = {
    "kernel of even size": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x, put(p, W=F.pad(p["W"], (0, 1, 0, 1))), o),
    ),
    "input in 0..255": ("plain", "conv1", lambda x, p, o: conv(x * 255, p, o)),
    "first two channels exchanged": (
        "plain",
        "conv1",
        lambda x, p, o: conv(x[:, [1, 0, 2, 3]], p, o),
    ),
    "bias scaled by a learning-rate factor": (
        "rows",
        "affine1",
        lambda x, p, o: linear(x, put(p, b=p["b"] * 0.1), o),
    ),
    "weights of int8": (
        "rows",
        "affine2",
        lambda x, p, o: linear(
            x, put(p, W=(p["W"] / p["W"].abs().max() * 127).round() * p["W"].abs().max() / 127), o
        ),
    ),
    "half of the rows dropped": (
        "rows",
        "affine3",
        lambda x, p, o: linear(x, put(p, W=torch.cat([p["W"][:4], 0 * p["W"][4:]])), o),
    ),
    "double eps": (
        "norms",
        "layernorm1",
        lambda x, p, o: affine_of(
            (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 2e-5).sqrt(),
            p,
        ),
    ),
    "gamma of a neighbour": (
        "norms",
        "groupnorm1",
        lambda x, p, o: groupnorm(x, put(p, gamma=p["gamma"].roll(1)), o),
    ),
    "norm by the largest": (
        "norms",
        "instancenorm1",
        lambda x, p, o: affine_of(x / x.abs().amax((2, 3), keepdim=True), p),
    ),
    "running mean added": (
        "plain",
        "batchnorm1",
        lambda x, p, o: batchnorm(x, p if o["train"] else put(p, mean=-p["mean"]), o),
    ),
    "pool of rows alone": ("plain", "max_pool1", lambda x, p, o: F.max_pool2d(x, (2, 1), (2, 1))),
    "stochastic depth scale": ("residual", "add1", lambda x, y, p, o: 0.8 * x + y),
    "wrong branch joined": ("residual", "concat1", lambda x, y, p, o: torch.cat([x, y.flip(1)], 1)),
    "pool before padding": (
        "norms",
        "avg_pool1",
        lambda x, p, o: avg_pool(x, p, put(o, stride=(1, 1)))[:, :, ::2, 1::2],
    ),
    "bilinear of corners cut": (
        "pools",
        "upsample1",
        lambda x, p, o: F.interpolate(x.flip(2), scale_factor=2.0, mode="bilinear").flip(3),
    ),
    "cut off relu": ("rows", "relu1", lambda x, p, o: F.relu(x).clamp(max=1.0)),
    "gelu of the wrong constant": (
        "rows",
        "gelu1",
        lambda x, p, o: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.44715 * x**3))),
    ),
    "scores by temperature of rows": (
        "plain",
        "affine2",
        lambda x, p, o: F.normalize(linear(x, p, o), dim=1),
    ),
    "gradient by rows": (
        "rows",
        "affine2",
        lambda x, p, o: linear(
            back(x, lambda d: d / d.norm(dim=1, keepdim=True).clamp(min=1e-9)), p, o
        ),
    ),
    "gradient with noise-free dropout": (
        "plain",
        "relu2",
        lambda x, p, o: F.relu(
            back(x, lambda d: d * (torch.arange(d.shape[1]) % 2)[None, :, None, None])
        ),
    ),
}
