"""Ports as they stand in strangers' repositories: one file a network, weights from a dictionary of arrays.

The networks of Handgrad are first; then their ports to PyTorch, in the words of three habits: functional
code over a dictionary of weights, modules that are filled by a loader, and code that came from TensorFlow.
`changed` puts a mistake into a port as an editor would: it replaces a piece of its source.
"""

from __future__ import annotations

import inspect
import textwrap

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn as tnn

from handgrad import nn


class Bottleneck(nn.Model):
    """One block of ResNet-50, with its stem and head."""

    def __init__(self):
        super().__init__(input_shape=(3, 20, 18), rng=21)
        conv = nn.Conv2d
        self.conv0, self.bn0 = conv(8, 7, stride=2, pad=3, bias=False), nn.BatchNorm()
        self.relu0, self.pool0 = nn.ReLU(), nn.MaxPool(3, 2, pad=1)
        self.conv1, self.bn1, self.relu1 = conv(6, 1, bias=False), nn.BatchNorm(), nn.ReLU()
        self.conv2, self.bn2 = conv(6, 3, stride=2, pad=1, groups=2, bias=False), nn.BatchNorm()
        self.relu2 = nn.ReLU()
        self.conv3, self.bn3 = conv(12, 1, bias=False), nn.BatchNorm()
        self.short, self.bn4 = conv(12, 1, stride=2, bias=False), nn.BatchNorm()
        self.relu3, self.gap, self.fc = nn.ReLU(), nn.GlobalAvgPool(), nn.Affine(6)

    def forward(self, x):
        x = self.pool0(self.relu0(self.bn0(self.conv0(x))))
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y)) + self.bn4(self.short(x))
        return self.fc(self.gap(self.relu3(y)))


class UNet(nn.Model):
    """One step down and up again, with the bridge between."""

    def __init__(self):
        super().__init__(input_shape=(2, 10, 12), rng=22)
        conv = nn.Conv2d
        self.enc, self.norm1, self.act1 = conv(6, 3, pad=1), nn.InstanceNorm(), nn.LeakyReLU(0.1)
        self.down, self.norm2, self.act2 = conv(6, 3, stride=2, pad=1), nn.GroupNorm(3), nn.GELU()
        self.up = nn.ConvTranspose2d(6, 2, stride=2)
        self.mix, self.act3 = conv(6, 3, pad=2, dilation=2), nn.PReLU()
        self.big, self.small = nn.Upsample(2, "bilinear"), nn.AvgPool(3, 2, pad=1)
        self.act4, self.gap, self.fc = nn.Softplus(), nn.GlobalAvgPool(), nn.Affine(4)

    def forward(self, x):
        x = self.act1(self.norm1(self.enc(x)))
        y = self.act2(self.norm2(self.down(x)))
        y = nn.concat(x, self.up(y))
        y = self.small(self.big(self.act3(self.mix(y))))
        return self.fc(self.gap(self.act4(y)))


class Mixer(nn.Model):
    """Rows: a residual block between two products."""

    def __init__(self):
        super().__init__(input_shape=(10,), rng=23)
        self.first, self.norm1, self.act1 = nn.Affine(10), nn.LayerNorm(), nn.GELU("tanh")
        self.second, self.norm2, self.act2 = nn.Affine(10), nn.BatchNorm(), nn.ELU()
        self.third, self.act3, self.drop = nn.Affine(10, bias=False), nn.Tanh(), nn.Dropout(0.75)
        self.last = nn.Affine(4)

    def forward(self, x):
        h = self.act1(self.norm1(self.first(x)))
        h = self.act2(self.norm2(self.second(h))) + x
        return self.last(self.drop(self.act3(self.third(h))))


def lenet():
    return nn.Sequential(
        [nn.Conv2d(6, 5, pad=2), nn.Tanh(), nn.AvgPool(2), nn.Conv2d(10, 3), nn.ReLU(),
         nn.MaxPool(3, 2, ceil_mode=True), nn.Flatten(), nn.Affine(12), nn.Sigmoid(), nn.Affine(12),
         nn.LayerNorm(), nn.ReLU(), nn.Affine(5)],
        input_shape=(1, 12, 16), rng=24)  # fmt: skip


def networks():
    """The networks by name, with weights and statistics as after some training."""
    found = {"bottleneck": Bottleneck(), "unet": UNet(), "mixer": Mixer(), "lenet": lenet()}
    rng = np.random.default_rng(31)
    for net in found.values():
        X = (0.3 + 1.2 * rng.standard_normal((16, *net._input_shapes[0]))).astype(np.float32)
        for _ in range(4):
            net.loss(X, rng.integers(0, 4, 16))
        for w in net.params.values():
            w += (0.12 * rng.standard_normal(w.shape)).astype(w.dtype)
    return found


# -- functional code over a dictionary of weights


def bottleneck(w):
    class Net(tnn.Module):
        def __init__(self):
            super().__init__()
            for name, value in w.items():
                t = torch.tensor(value)
                if name.endswith(("running_mean", "running_var")):
                    self.register_buffer(name.replace(".", "_"), t)
                else:
                    self.register_parameter(name.replace(".", "_"), tnn.Parameter(t))
            self.momentum = 0.1

        def bn(self, x, k):
            return F.batch_norm(
                x, getattr(self, f"bn{k}_running_mean"), getattr(self, f"bn{k}_running_var"),
                getattr(self, f"bn{k}_gamma"), getattr(self, f"bn{k}_beta"),
                training=self.training, momentum=self.momentum, eps=1e-5)  # fmt: skip

        def forward(self, x):
            x = F.conv2d(x, self.conv0_W, stride=2, padding=3)
            x = F.relu(self.bn(x, 0))
            x = F.max_pool2d(x, 3, 2, 1)
            shortcut = x
            x = F.conv2d(x, self.conv1_W)
            x = F.relu(self.bn(x, 1))
            x = F.conv2d(x, self.conv2_W, stride=2, padding=1, groups=2)
            x = F.relu(self.bn(x, 2))
            x = F.conv2d(x, self.conv3_W)
            x = self.bn(x, 3)
            shortcut = F.conv2d(shortcut, self.short_W, stride=2)
            shortcut = self.bn(shortcut, 4)
            x = F.relu(x + shortcut)
            x = x.mean(dim=[2, 3])
            return x @ self.fc_W + self.fc_b

    return Net()


# -- modules that a loader fills


def unet(w):
    class Net(tnn.Module):
        def __init__(self):
            super().__init__()
            self.enc = tnn.Sequential(
                tnn.Conv2d(2, 6, 3, padding=1), tnn.InstanceNorm2d(6, affine=True), tnn.LeakyReLU(0.1)
            )  # fmt: skip
            self.down = tnn.Sequential(
                tnn.Conv2d(6, 6, 3, stride=2, padding=1), tnn.GroupNorm(3, 6), tnn.GELU()
            )
            self.up = tnn.ConvTranspose2d(6, 6, 2, stride=2)
            self.mix = tnn.Sequential(tnn.Conv2d(12, 6, 3, padding=2, dilation=2), tnn.PReLU(6))
            self.big = tnn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            self.small = tnn.AvgPool2d(3, stride=2, padding=1)
            self.soft = tnn.Softplus()
            self.fc = tnn.Linear(6, 4)

        def forward(self, x):
            skip = self.enc(x)
            x = self.up(self.down(skip))
            x = torch.cat([skip, x], dim=1)
            x = self.mix(x)
            x = self.small(self.big(x))
            x = self.soft(x)
            x = x.flatten(2).mean(2)
            return self.fc(x)

    net = Net()
    state = net.state_dict()

    def put(name, value):
        assert state[name].shape == value.shape, name
        state[name].copy_(torch.as_tensor(value.copy()))

    put("enc.0.weight", w["enc.W"])
    put("enc.0.bias", w["enc.b"])
    put("enc.1.weight", w["norm1.gamma"])
    put("enc.1.bias", w["norm1.beta"])
    put("down.0.weight", w["down.W"])
    put("down.0.bias", w["down.b"])
    put("down.1.weight", w["norm2.gamma"])
    put("down.1.bias", w["norm2.beta"])
    put("up.weight", w["up.W"])
    put("up.bias", w["up.b"])
    put("mix.0.weight", w["mix.W"])
    put("mix.0.bias", w["mix.b"])
    put("mix.1.weight", w["act3.a"])
    put("fc.weight", w["fc.W"].T)
    put("fc.bias", w["fc.b"])
    return net


def mixer(w):
    class Net(tnn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.ln, self.fc2 = tnn.Linear(10, 10), tnn.LayerNorm(10), tnn.Linear(10, 10)
            self.bn, self.fc3 = tnn.BatchNorm1d(10, momentum=0.1), tnn.Linear(10, 10, bias=False)
            self.drop, self.out = tnn.Dropout(0.25), tnn.Linear(10, 4)

        def gelu(self, x):
            return 0.5 * x * (1 + torch.tanh(0.7978845608028654 * (x + 0.044715 * x**3)))

        def forward(self, x):
            h = self.gelu(self.ln(self.fc1(x)))
            h = F.elu(self.bn(self.fc2(h)))
            h = h + x
            h = torch.tanh(self.fc3(h))
            return self.out(self.drop(h))

    net = Net()
    names = {"fc1": "first", "fc2": "second", "fc3": "third", "out": "last"}
    with torch.no_grad():
        for theirs, ours in names.items():
            layer = getattr(net, theirs)
            layer.weight.copy_(torch.tensor(w[f"{ours}.W"].T))
            if layer.bias is not None:
                layer.bias.copy_(torch.tensor(w[f"{ours}.b"]))
        for layer, ours in ((net.ln, "norm1"), (net.bn, "norm2")):
            layer.weight.copy_(torch.tensor(w[f"{ours}.gamma"]))
            layer.bias.copy_(torch.tensor(w[f"{ours}.beta"]))
        net.bn.running_mean.copy_(torch.tensor(w["norm2.running_mean"]))
        net.bn.running_var.copy_(torch.tensor(w["norm2.running_var"]))
    return net


# -- code that came from TensorFlow: kernels as (height, width, in, out), channels last


def lenet_port(w):
    kernels = {k: torch.tensor(v) for k, v in w.items()}
    for name in ("conv1.W", "conv2.W"):
        kernels[name] = kernels[name].permute(2, 3, 1, 0).contiguous()

    class Net(tnn.Module):
        def __init__(self):
            super().__init__()
            self.w = tnn.ParameterDict(
                {name.replace(".", "_"): tnn.Parameter(v) for name, v in kernels.items()}
            )

        def conv2d(self, x, kernel, bias, padding):
            x = x.permute(0, 3, 1, 2)
            x = F.conv2d(x, kernel.permute(3, 2, 0, 1), padding=padding)
            return x.permute(0, 2, 3, 1) + bias

        def pool(self, x, f):
            return f(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

        def forward(self, x):
            w = self.w
            x = x.permute(0, 2, 3, 1)
            x = torch.tanh(self.conv2d(x, w["conv1_W"], w["conv1_b"], padding=2))
            x = self.pool(x, lambda z: F.avg_pool2d(z, 2))
            x = F.relu(self.conv2d(x, w["conv2_W"], w["conv2_b"], padding=0))
            x = self.pool(x, lambda z: F.max_pool2d(z, 3, 2, ceil_mode=True))
            x = x.permute(0, 3, 1, 2).reshape(x.shape[0], -1)
            x = torch.sigmoid(x @ w["affine1_W"] + w["affine1_b"])
            x = x @ w["affine2_W"] + w["affine2_b"]
            mu = x.mean(-1, keepdim=True)
            var = ((x - mu) ** 2).mean(-1, keepdim=True)
            x = (x - mu) / torch.sqrt(var + 1e-5) * w["layernorm1_gamma"] + w["layernorm1_beta"]
            return F.relu(x) @ w["affine3_W"] + w["affine3_b"]

    return Net()


PORTS = {"bottleneck": bottleneck, "unet": unet, "mixer": mixer, "lenet": lenet_port}


def arrays(net):
    """What a stranger has of a network: its arrays by name."""
    kept = {k: v for k, v in net.buffers().items() if not k.endswith("steps")}
    return {k: np.array(v) for k, v in {**net.params, **kept}.items()}


def changed(port, *edits):
    """The port with pieces of its source replaced: (old, new), each once."""
    source = textwrap.dedent(inspect.getsource(port))
    for old, new in edits:
        assert source.count(old) == 1, (port.__name__, old, source.count(old))
        source = source.replace(old, new)
    space = dict(port.__globals__)
    exec(compile(source, f"<{port.__name__}>", "exec"), space)
    return space[port.__name__]
