"""Networks and their ports to PyTorch written by hand, and tools that put a mistake into a port."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn as tnn

from handgrad import nn

# -- the networks of Handgrad


class Blocks(nn.Model):
    def __init__(self):
        super().__init__(input_shape=(3, 12, 12), rng=5)
        self.stem, self.gn, self.act0 = (
            nn.Conv2d(8, 3, pad=1, bias=False),
            nn.GroupNorm(4),
            nn.ReLU(),
        )
        self.a, self.bn_a, self.act1 = nn.Conv2d(8, 3, pad=1, bias=False), nn.BatchNorm(), nn.ReLU()
        self.b, self.bn_b, self.act2 = nn.Conv2d(8, 3, pad=1, bias=False), nn.BatchNorm(), nn.ReLU()
        self.c, self.bn_c, self.act3 = (
            nn.Conv2d(12, 3, stride=2, pad=1, bias=False),
            nn.BatchNorm(),
            nn.ReLU(),
        )
        self.d, self.bn_d = nn.Conv2d(12, 3, pad=1, bias=False), nn.BatchNorm()
        self.short, self.act4 = nn.Conv2d(12, 1, stride=2, bias=False), nn.ReLU()
        self.avg = nn.AvgPool(3, 2, pad=1, count_include_pad=False)
        self.up = nn.Upsample(2, "nearest")
        self.gap, self.fc = nn.GlobalAvgPool(), nn.Affine(7)

    def forward(self, x):
        x = self.act0(self.gn(self.stem(x)))
        y = self.act1(self.bn_a(self.a(x)))
        x = self.act2(self.bn_b(self.b(y)) + x)
        y = self.act3(self.bn_c(self.c(x)))
        x = self.act4(self.bn_d(self.d(y)) + self.short(x))
        z = self.up(self.avg(x))
        return self.fc(self.gap(nn.concat(x, z)))


def networks():
    c = nn.Conv2d
    lenet = nn.Sequential(
        [c(8, 3, stride=2, pad=1), nn.BatchNorm(), nn.ReLU(), c(6, 3, pad=1, groups=2), nn.BatchNorm(),
         nn.LeakyReLU(0.2), nn.MaxPool(3, 2, pad=1), nn.Flatten(), nn.Affine(16), nn.Tanh(), nn.Dropout(0.5),
         nn.Affine(16), nn.LayerNorm(), nn.GELU(), nn.Affine(4)],
        input_shape=(3, 12, 10), rng=1)  # fmt: skip
    decoder = nn.Sequential(
        [nn.ConvTranspose2d(6, 3, stride=2, pad=1, output_pad=1), nn.InstanceNorm(), nn.ELU(),
         c(6, 3, pad=2, dilation=2),
         nn.Softplus(), nn.Upsample(2, "bilinear"), c(5, 3, pad=1), nn.Sigmoid(),
         nn.AvgPool(2), nn.GlobalAvgPool(), nn.Affine(3)],
        input_shape=(6, 5, 6), rng=2)  # fmt: skip
    found = {"lenet": lenet, "blocks": Blocks(), "decoder": decoder}
    rng = np.random.default_rng(11)
    for net in found.values():
        X = (0.5 + 1.5 * rng.standard_normal((12, *net._input_shapes[0]))).astype(np.float32)
        for _ in range(3):
            net.loss(X, rng.integers(0, 3, 12))
        for w in net.params.values():
            w += (0.15 * rng.standard_normal(w.shape)).astype(w.dtype)
    return found


# -- the right ports


class TLenet(tnn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = tnn.Conv2d(3, 8, 3, 2, 1), tnn.BatchNorm2d(8, momentum=0.1)
        self.conv2, self.bn2 = tnn.Conv2d(8, 6, 3, 1, 1, groups=2), tnn.BatchNorm2d(6)
        self.act1, self.act2, self.act3, self.act4 = (
            tnn.ReLU(),
            tnn.LeakyReLU(0.2),
            tnn.Tanh(),
            tnn.GELU(),
        )
        self.pool, self.flat, self.drop = tnn.MaxPool2d(3, 2, 1), tnn.Flatten(), tnn.Dropout(0.5)
        self.fc1, self.fc2, self.ln, self.fc3 = (
            tnn.Linear(54, 16),
            tnn.Linear(16, 16),
            tnn.LayerNorm(16),
            tnn.Linear(16, 4),
        )

    def forward(self, x):
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.pool(self.act2(self.bn2(self.conv2(x))))
        x = self.drop(self.act3(self.fc1(self.flat(x))))
        return self.fc3(self.act4(self.ln(self.fc2(x))))


class TBlocks(tnn.Module):
    def __init__(self):
        super().__init__()
        c = lambda i, o, k=3, s=1: tnn.Conv2d(i, o, k, s, k // 2, bias=False)  # noqa: E731
        self.stem, self.gn = c(3, 8), tnn.GroupNorm(4, 8)
        self.a, self.bn_a, self.b, self.bn_b = (
            c(8, 8),
            tnn.BatchNorm2d(8),
            c(8, 8),
            tnn.BatchNorm2d(8),
        )
        self.c, self.bn_c, self.d, self.bn_d = (
            c(8, 12, 3, 2),
            tnn.BatchNorm2d(12),
            c(12, 12),
            tnn.BatchNorm2d(12),
        )
        self.short = c(8, 12, 1, 2)
        self.avg = tnn.AvgPool2d(3, 2, 1, count_include_pad=False)
        self.fc = tnn.Linear(24, 7)

    def one(self, x):
        y = F.relu(self.bn_a(self.a(x)))
        return F.relu(self.bn_b(self.b(y)) + x)

    def two(self, x):
        y = F.relu(self.bn_c(self.c(x)))
        return F.relu(self.bn_d(self.d(y)) + self.short(x))

    def start(self, x):
        return F.relu(self.gn(self.stem(x)))

    def up(self, x):
        return F.interpolate(x, scale_factor=2, mode="nearest")

    def join(self, x, z):
        return torch.cat([x, z], 1)

    def gap(self, x):
        return x.mean((2, 3))

    def forward(self, x):
        x = self.two(self.one(self.start(x)))
        return self.fc(self.gap(self.join(x, self.up(self.avg(x)))))


class TDecoder(tnn.Module):
    def __init__(self):
        super().__init__()
        self.up1 = tnn.ConvTranspose2d(6, 6, 3, 2, 1, output_padding=1)
        self.norm, self.elu = tnn.InstanceNorm2d(6, affine=True), tnn.ELU()
        self.conv2, self.soft = tnn.Conv2d(6, 6, 3, padding=2, dilation=2), tnn.Softplus()
        self.up2, self.conv3 = (
            tnn.Upsample(scale_factor=2, mode="bilinear"),
            tnn.Conv2d(6, 5, 3, padding=1),
        )
        self.sig, self.pool, self.fc = tnn.Sigmoid(), tnn.AvgPool2d(2), tnn.Linear(5, 3)

    def forward(self, x):
        x = self.soft(self.conv2(self.elu(self.norm(self.up1(x)))))
        x = self.pool(self.sig(self.conv3(self.up2(x))))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


PORTS = {"lenet": TLenet, "blocks": TBlocks, "decoder": TDecoder}


def load(module, net):
    """Copy weights and statistics over, in the order in which both have them."""
    params, left = dict(net.params), dict(net.buffers())
    tensors = list(module.named_parameters())
    assert len(tensors) == len(params), (len(tensors), list(params))
    layers = {}
    for name, w in params.items():
        layers.setdefault(name.rpartition(".")[0], {})[name.rpartition(".")[2]] = w
    kinds = (
        tnn.Conv2d,
        tnn.ConvTranspose2d,
        tnn.Linear,
        tnn.BatchNorm2d,
        tnn.GroupNorm,
        tnn.LayerNorm,
        tnn.InstanceNorm2d,
    )
    modules = [m for m in module.modules() if isinstance(m, kinds)]
    order = list(layers)
    if isinstance(module, TBlocks):
        named = {n: m for n, m in module.named_modules() if isinstance(m, kinds)}
        modules = [named[n] for n in order]
    elif isinstance(module, TLenet):
        modules = [
            module.conv1,
            module.bn1,
            module.conv2,
            module.bn2,
            module.fc1,
            module.fc2,
            module.ln,
            module.fc3,
        ]
    for name, m in zip(order, modules, strict=True):
        for role, w in layers[name].items():
            t = torch.tensor(np.asarray(w))
            if isinstance(m, tnn.Linear) and t.ndim == 2:
                t = t.t()
            target = m.bias if role in ("b", "beta", "bias") else m.weight
            assert target.shape == t.shape, (name, role, target.shape, t.shape)
            target.data.copy_(t)
        if isinstance(m, tnn.BatchNorm2d):
            for k, v in left.items():
                if k.startswith(name + "."):
                    if "mean" in k:
                        m.running_mean.copy_(torch.tensor(v))
                    if "var" in k:
                        m.running_var.copy_(torch.tensor(v))
    return module


class Scaled(torch.autograd.Function):
    """The identity, whose gradient is multiplied by k."""

    @staticmethod
    def forward(ctx, x, k):
        ctx.k = k
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        return ctx.k * g, None


class Fn(tnn.Module):
    def __init__(self, f, **inner):
        super().__init__()
        self.f = f
        for k, m in inner.items():
            setattr(self, k, m)

    def forward(self, *xs):
        return self.f(self, *xs)


def swap(name, f):
    """Put a function of (the old module, x) in the place of a module."""

    def change(m):
        setattr(m, name, Fn(lambda s, *xs: f(s.old, *xs), old=getattr(m, name)))

    return change


def instead(**methods):
    def change(m):
        for k, f in methods.items():
            setattr(m, k, f.__get__(m))

    return change


def data(name, f):
    def change(m):
        owner, _, role = name.rpartition(".")
        t = getattr(m.get_submodule(owner), role)
        t.data.copy_(f(t.data.clone()))

    return change


def attribute(name, **values):
    def change(m):
        for k, v in values.items():
            setattr(m.get_submodule(name), k, v)

    return change


def hook(name, f):
    def change(m):
        owner, _, role = name.rpartition(".")
        t = getattr(m.get_submodule(owner), role)
        t.register_hook(lambda g: f(g, t.detach()))

    return change


def exchanged(a, b):
    def change(m):
        for x, y in zip(
            m.get_submodule(a).parameters(), m.get_submodule(b).parameters(), strict=True
        ):
            x.data, y.data = y.data.clone(), x.data.clone()

    return change


def roles(name):
    def change(m):
        n = m.get_submodule(name)
        n.weight.data, n.bias.data = n.bias.data.clone(), n.weight.data.clone()

    return change


def conv_of(c, x, **o):
    k = {"stride": c.stride, "padding": c.padding, "dilation": c.dilation, "groups": c.groups, **o}
    return F.conv2d(x, k.pop("weight", c.weight), k.pop("bias", c.bias), **k)


def asymmetric(x, s):
    """Bilinear of TF 1: rows at i / s, without half pixels."""

    def lines(x, axis):
        size = x.shape[axis]
        place = torch.arange(size * s) / s
        low = place.floor().long()
        high = (low + 1).clamp(max=size - 1)
        part = (place - low).to(x.dtype)
        shape = [1] * 4
        shape[axis] = -1
        part = part.view(shape)
        return x.index_select(axis, low) * (1 - part) + x.index_select(axis, high) * part

    return lines(lines(x, 2), 3)


def training_batch_norm(old, x):
    return F.batch_norm(x, None, None, old.weight, old.bias, True, 0.1, old.eps)


def frozen_batch_norm(old, x):
    return F.batch_norm(
        x, old.running_mean, old.running_var, old.weight, old.bias, False, 0.1, old.eps
    )


def shuffle(x, g):
    n, c, h, w = x.shape
    return x.view(n, g, c // g, h, w).transpose(1, 2).reshape(n, c, h, w)
