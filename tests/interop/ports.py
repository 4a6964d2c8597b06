"""Ports of networks to PyTorch, as many people would write them: rightly in other styles, and with mistakes.

A `Port` runs the layers of a network one by one.  Each operator has several styles, all right; a mistake
takes
the place of one layer.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn as tnn

from handgrad import nn

# the styles


def unfolded(x, size, stride, pad, value=0.0):
    """The windows (N, C, window, rows, columns)."""
    x = F.pad(x, (pad[1], pad[1], pad[0], pad[0]), value=value)
    rows, columns = (1 + (n - k) // s for n, k, s in zip(x.shape[2:], size, stride, strict=True))
    parts = [
        x[
            :,
            :,
            i : i + (rows - 1) * stride[0] + 1 : stride[0],
            j : j + (columns - 1) * stride[1] + 1 : stride[1],
        ]
        for i in range(size[0])
        for j in range(size[1])
    ]
    return torch.stack(parts, 2)


def conv(x, p, o):
    return F.conv2d(x, p["W"], p.get("b"), o["stride"], o["pad"], o["dilation"], o["groups"])


def conv_unfold(x, p, o):
    if o["groups"] > 1 or o["dilation"] != (1, 1):
        return conv(x, p, o)
    view = unfolded(x, p["W"].shape[2:], o["stride"], o["pad"])
    out = torch.einsum("nckij,fck->nfij", view, p["W"].flatten(2))
    return out if "b" not in p else out + p["b"][:, None, None]


def conv_padded(x, p, o):
    x = F.pad(x, (o["pad"][1], o["pad"][1], o["pad"][0], o["pad"][0]))
    out = F.conv2d(x, p["W"], None, o["stride"], 0, o["dilation"], o["groups"])
    return out if "b" not in p else out + p["b"].view(1, -1, 1, 1)


def conv_last(x, p, o):
    """Channels last in between."""
    out = conv(x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), p, o)
    return out.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


def conv_groups(x, p, o):
    parts = zip(x.chunk(o["groups"], 1), p["W"].chunk(o["groups"], 0), strict=True)
    out = torch.cat(
        [F.conv2d(a, w, None, o["stride"], o["pad"], o["dilation"]) for a, w in parts], 1
    )
    return out if "b" not in p else out + p["b"][None, :, None, None]


def linear(x, p, o):
    return F.linear(x.flatten(1), p["W"].t(), p.get("b"))


def linear_matmul(x, p, o):
    out = x.reshape(len(x), -1) @ p["W"]
    return out if "b" not in p else out + p["b"]


def linear_conv(x, p, o):
    return F.conv2d(
        x.flatten(1)[:, :, None, None], p["W"].t()[:, :, None, None], p.get("b")
    ).flatten(1)


def linear_einsum(x, p, o):
    out = torch.einsum("nd,dm->nm", x.flatten(1), p["W"])
    return out if "b" not in p else p["b"] + out


def wide(v, x):
    return v.view(1, -1, *[1] * (x.ndim - 2))


def affine_of(xhat, p):
    out = xhat if "gamma" not in p else xhat * wide(p["gamma"], xhat)
    return out if "beta" not in p else out + wide(p["beta"], xhat)


def batchnorm(x, p, o):
    gamma, beta = p.get("gamma"), p.get("beta")
    if gamma is None and beta is not None:
        gamma = torch.ones_like(beta)
    return F.batch_norm(
        x, p["mean"], p["var"], gamma, beta, o["train"], 1 - o["momentum"], o["eps"]
    )


def batchnorm_by_hand(x, p, o):
    axes = (0, *range(2, x.ndim))
    mean, var = p["mean"], p["var"]
    if o["train"]:
        mean, var = x.mean(axes), x.var(axes, unbiased=False)
    return affine_of((x - wide(mean, x)) / torch.sqrt(wide(var, x) + o["eps"]), p)


def batchnorm_scaled(x, p, o):
    axes = (0, *range(2, x.ndim))
    mean, var = (x.mean(axes), x.var(axes, unbiased=False)) if o["train"] else (p["mean"], p["var"])
    scale = torch.rsqrt(var + o["eps"]) * p.get("gamma", 1.0)
    return x * wide(scale, x) + wide(p.get("beta", 0.0) - mean * scale, x)


def layernorm(x, p, o):
    return F.layer_norm(x, x.shape[1:], p.get("gamma"), p.get("beta"), o["eps"])


def layernorm_by_hand(x, p, o):
    mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
    return affine_of((x - mean) / (var + o["eps"]).sqrt(), p)


def groupnorm(x, p, o):
    return F.group_norm(x, o["groups"], p.get("gamma"), p.get("beta"), o["eps"])


def groupnorm_by_hand(x, p, o):
    parts = x.reshape(len(x), o["groups"], -1)
    mean, var = parts.mean(2, keepdim=True), parts.var(2, keepdim=True, unbiased=False)
    return affine_of(((parts - mean) * torch.rsqrt(var + o["eps"])).reshape(x.shape), p)


def instancenorm(x, p, o):
    return F.instance_norm(x, weight=p.get("gamma"), bias=p.get("beta"), eps=o["eps"])


def instancenorm_as_group(x, p, o):
    return F.group_norm(x, x.shape[1], p.get("gamma"), p.get("beta"), o["eps"])


def max_pool(x, p, o):
    return F.max_pool2d(x, o["size"], o["stride"], o["pad"], ceil_mode=o["ceil_mode"])


def max_pool_unfold(x, p, o):
    if o["ceil_mode"]:
        return max_pool(x, p, o)
    return unfolded(x, o["size"], o["stride"], o["pad"], -math.inf).amax(2)


def max_pool_padded(x, p, o):
    x = F.pad(x, (o["pad"][1], o["pad"][1], o["pad"][0], o["pad"][0]), value=-math.inf)
    return F.max_pool2d(x, o["size"], o["stride"], ceil_mode=o["ceil_mode"])


def avg_pool(x, p, o):
    return F.avg_pool2d(x, o["size"], o["stride"], o["pad"], o["ceil_mode"], o["count_include_pad"])


def avg_pool_conv(x, p, o):
    if o["ceil_mode"] or not o["count_include_pad"]:
        return avg_pool(x, p, o)
    kernel = torch.full((x.shape[1], 1, *o["size"]), 1 / math.prod(o["size"]), dtype=x.dtype)
    return F.conv2d(x, kernel, None, o["stride"], o["pad"], groups=x.shape[1])


def upsample(x, p, o):
    more = {"align_corners": False} if o["mode"] == "bilinear" else {}
    return F.interpolate(x, scale_factor=tuple(map(float, o["scale"])), mode=o["mode"], **more)


def upsample_repeat(x, p, o):
    if o["mode"] == "bilinear":
        return F.interpolate(
            x, size=[n * s for n, s in zip(x.shape[2:], o["scale"], strict=True)], mode="bilinear"
        )
    return x.repeat_interleave(o["scale"][0], 2).repeat_interleave(o["scale"][1], 3)


STYLES = {
    "conv": [conv, conv_unfold, conv_padded, conv_last, conv_groups],
    "affine": [linear, linear_matmul, linear_conv, linear_einsum],
    "batchnorm": [batchnorm, batchnorm_by_hand, batchnorm_scaled],
    "layernorm": [layernorm, layernorm_by_hand],
    "groupnorm": [groupnorm, groupnorm_by_hand],
    "instancenorm": [instancenorm, instancenorm_as_group],
    "max_pool": [max_pool, max_pool_unfold, max_pool_padded],
    "avg_pool": [avg_pool, avg_pool_conv],
    "upsample": [upsample, upsample_repeat],
    "relu": [
        lambda x, p, o: F.relu(x),
        lambda x, p, o: x.clamp(min=0),
        lambda x, p, o: torch.relu_(x),
        lambda x, p, o: x * (x > 0),
        lambda x, p, o: torch.maximum(x, torch.zeros_like(x)),
        lambda x, p, o: torch.where(x > 0, x, torch.zeros_like(x)),
    ],
    "sigmoid": [
        lambda x, p, o: torch.sigmoid(x),
        lambda x, p, o: 1 / (1 + torch.exp(-x)),
        lambda x, p, o: 0.5 * (1 + torch.tanh(x / 2)),
    ],
    "tanh": [lambda x, p, o: torch.tanh(x), lambda x, p, o: 2 * torch.sigmoid(2 * x) - 1],
    "softplus": [
        lambda x, p, o: F.softplus(x),
        lambda x, p, o: torch.logaddexp(x, torch.zeros_like(x)),
    ],
    "elu": [
        lambda x, p, o: F.elu(x, o["alpha"]),
        lambda x, p, o: torch.where(x > 0, x, o["alpha"] * torch.expm1(x.clamp(max=0))),
    ],
    "leaky_relu": [
        lambda x, p, o: F.leaky_relu(x, o["alpha"]),
        lambda x, p, o: torch.maximum(x, o["alpha"] * x),
    ],
    "gelu": [
        lambda x, p, o: F.gelu(x, approximate=o["approximate"]),
        lambda x, p, o: (
            F.gelu(x, approximate="tanh")
            if o["approximate"] == "tanh"
            else 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
        ),
    ],
    "prelu": [
        lambda x, p, o: F.prelu(x, p["a"]),
        lambda x, p, o: x.clamp(min=0) + wide(p["a"], x) * x.clamp(max=0),
    ],
    "maxout": [
        lambda x, p, o: x.unflatten(1, (-1, o["pieces"])).amax(2),
        lambda x, p, o: torch.stack([x[:, k :: o["pieces"]] for k in range(o["pieces"])]).amax(0),
    ],
    "dropout": [lambda x, p, o: x, lambda x, p, o: F.dropout(x, 1 - o["p"], training=False)],
    "flatten": [
        lambda x, p, o: x.flatten(1),
        lambda x, p, o: x.contiguous().view(len(x), -1),
        lambda x, p, o: x.reshape(x.shape[0], -1),
    ],
    "global_avg_pool": [
        lambda x, p, o: x.mean((2, 3)),
        lambda x, p, o: F.adaptive_avg_pool2d(x, 1).flatten(1),
        lambda x, p, o: x.sum((2, 3)) / (x.shape[2] * x.shape[3]),
        lambda x, p, o: x.flatten(2).mean(-1),
    ],
    "add": [
        lambda x, y, p, o: x + y,
        lambda x, y, p, o: torch.add(y, x),
        lambda x, y, p, o: torch.stack([x, y]).sum(0),
    ],
}


def joined(xs, style):
    if style == 0:
        return torch.cat(xs, 1)
    if style == 1:
        return torch.concatenate([*xs], dim=1)
    out = torch.empty(len(xs[0]), sum(x.shape[1] for x in xs), *xs[0].shape[2:], dtype=xs[0].dtype)
    start = 0
    for x in xs:
        out[:, start : start + x.shape[1]] = x
        start += x.shape[1]
    return out


class Port(tnn.Module):
    """The network in PyTorch; `styles` chooses by node, `mistake` is (node, function of x, p, o)."""

    def __init__(self, network, rng=None, mistake=None, dtype=torch.float32):
        super().__init__()
        self.network, self.mistake = network, mistake
        self.names = {}
        self.styles = {}
        known = {}
        for node in network.nodes:
            self.styles[node.name] = 0 if rng is None else int(rng.integers(1000))
            for role, array in node.arrays.items():
                key = node.params.get(role, f"{node.name}.{role}")
                if key not in known:
                    known[key] = key.replace(".", "_")
                    tensor = torch.tensor(array, dtype=dtype)
                    if role in ("mean", "var", "std"):
                        self.register_buffer(known[key], tensor)
                    else:
                        self.register_parameter(known[key], tnn.Parameter(tensor))
                self.names[node.name, role] = known[key]

    def forward(self, *xs):
        values = dict(zip(self.network.inputs, xs, strict=True))
        for node in self.network.nodes:
            given = [values[name] for name in node.inputs]
            p = {role: getattr(self, self.names[node.name, role]) for role in node.arrays}
            o = {**node.options, "train": self.training}
            if self.mistake and self.mistake[0] == node.name:
                values[node.name] = self.mistake[1](*given, p, o)
            elif node.op == "concat":
                values[node.name] = joined(given, self.styles[node.name] % 3)
            else:
                styles = STYLES[node.op]
                style = styles[self.styles[node.name] % len(styles)]
                if style is STYLES["relu"][2] and len(self.network.uses()[node.inputs[0]]) > 1:
                    style = styles[0]  # in place, it would change what others look at
                values[node.name] = style(*given, p, o)
        return values[self.network.output]


class Residual(nn.Model):
    def __init__(self, dtype=np.float32):
        super().__init__(input_shape=(4, 9, 8), rng=3, dtype=dtype)
        self.a, self.b = nn.Conv2d(6, 3, pad=1), nn.Conv2d(6, 3, pad=1, bias=False)
        self.norm, self.relu = nn.BatchNorm(), nn.ReLU()
        self.c = nn.Conv2d(4, 1)
        self.pool, self.scores = nn.GlobalAvgPool(), nn.Affine(5)

    def forward(self, x):
        x = self.relu(self.a(x))
        y = self.relu(self.norm(self.b(x)) + x)
        return self.scores(self.pool(nn.concat(self.c(y), y)))


def nets():
    """Networks to port, by name; together they have every operator of `STYLES`."""
    same = {"rng": 2}
    image, conv2d = (4, 11, 9), nn.Conv2d
    lists = {
        "plain": [
            conv2d(6, 3, pad=1),
            nn.BatchNorm(),
            nn.ReLU(),
            nn.MaxPool(2),
            conv2d(4, (3, 2), stride=(2, 1)),
            nn.ReLU(),
            nn.Flatten(),
            nn.Affine(12),
            nn.ReLU(),
            nn.Dropout(0.6),
            nn.Affine(5),
        ],
        "norms": [
            conv2d(6, 3, pad=1, groups=2),
            nn.GroupNorm(3),
            nn.GELU(),
            nn.AvgPool(3, 2, pad=1),
            conv2d(6, 3, pad=2, dilation=2),
            nn.InstanceNorm(),
            nn.LeakyReLU(0.1),
            nn.Affine(8),
            nn.LayerNorm(),
            nn.Tanh(),
            nn.Affine(8),
            nn.BatchNorm(),
            nn.Sigmoid(),
            nn.Affine(5),
        ],
        "pools": [
            conv2d(6, 3),
            nn.PReLU(),
            nn.MaxPool(3, 2, pad=1),
            nn.Upsample(2, "bilinear"),
            conv2d(6, 3),
            nn.ELU(),
            nn.AvgPool(3, 2, pad=1, count_include_pad=False),
            nn.Upsample((2, 3)),
            nn.MaxPool(2, ceil_mode=True),
            nn.Maxout(3),
            nn.GlobalAvgPool(),
            nn.Affine(6),
            nn.Softplus(),
            nn.Affine(5),
        ],
    }
    found = {name: nn.Sequential(parts, input_shape=image, **same) for name, parts in lists.items()}
    found["rows"] = nn.Sequential(
        [
            nn.Affine(8),
            nn.ReLU(),
            nn.Affine(8),
            nn.GELU("tanh"),
            nn.Affine(8, bias=False),
            nn.BatchNorm(),
            nn.ELU(0.7),
            nn.Affine(5),
        ],
        input_shape=(12,),
        **same,
    )
    found["residual"] = Residual()
    rng = np.random.default_rng(4)
    for model in found.values():
        shape = model._input_shapes[0]
        X = rng.standard_normal((8, *shape)).astype(np.float32)
        for _ in range(2):
            model.loss(X, rng.integers(0, 5, 8))
        for w in model.params.values():
            w += (0.2 * rng.standard_normal(w.shape)).astype(w.dtype)
        model.load_buffers({k: v for k, v in model.buffers().items() if not k.endswith("steps")})
    return found
