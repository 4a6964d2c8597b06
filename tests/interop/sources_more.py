"""More of `sources`: a block of MobileNet and a network of sequences, and the same in other words."""
# ruff: noqa: E501

from __future__ import annotations

from handgrad import nn


class Mob(nn.Model):
    def __init__(self):
        super().__init__(input_shape=(3, 12, 10), rng=101)
        self.stem, self.bs, self.rs = (
            nn.Conv2d(8, 3, stride=2, pad=1, bias=False),
            nn.BatchNorm(),
            nn.ReLU(),
        )
        self.dw, self.b1, self.r1 = (
            nn.Conv2d(8, 3, pad=1, groups=8, bias=False),
            nn.BatchNorm(),
            nn.ReLU(),
        )
        self.pw, self.b2 = nn.Conv2d(8, 1, bias=False), nn.BatchNorm()
        self.c3, self.g3, self.a3 = nn.Conv2d(12, 3, pad=1), nn.GroupNorm(3), nn.GELU()
        self.flat, self.fc1, self.act, self.fc2 = (
            nn.Flatten(),
            nn.Affine(10),
            nn.Softplus(),
            nn.Affine(4),
        )

    def forward(self, x):
        x = self.rs(self.bs(self.stem(x)))
        y = self.r1(self.b1(self.dw(x)))
        x = self.b2(self.pw(y)) + x
        x = self.a3(self.g3(self.c3(x)))
        return self.fc2(self.act(self.fc1(self.flat(x))))


class Seq(nn.Model):
    def __init__(self):
        super().__init__(input_shape=(4, 20), rng=102)
        self.c1, self.l1 = nn.Conv1d(6, 3, pad=1), nn.LeakyReLU(0.15)
        self.c2, self.b2, self.t2 = nn.Conv1d(6, 3, stride=2, pad=1), nn.BatchNorm1d(), nn.Tanh()
        self.p, self.flat, self.f1, self.ln, self.e, self.f2 = (
            nn.MaxPool1d(2),
            nn.Flatten(),
            nn.Affine(9),
            nn.LayerNorm(),
            nn.ELU(),
            nn.Affine(3),
        )

    def forward(self, x):
        x = self.l1(self.c1(x))
        x = self.t2(self.b2(self.c2(x)))
        x = self.flat(self.p(x))
        return self.f2(self.e(self.ln(self.f1(x))))


MOB = """
import numpy as np
from scipy.signal import correlate
f32 = np.float32
class Layer:
    def __init__(self, **kw): self.__dict__.update(kw)
class Conv(Layer):
    def __call__(self, x):
        out = []
        xp = np.pad(x, [(0, 0), (0, 0), (self.pad,) * 2, (self.pad,) * 2])
        for image in xp:
            maps = []
            for f in range(len(self.w)):
                maps.append(sum(correlate(image[c], self.w[f, c], mode='valid', method='direct') for c in range(len(image))))
            out.append(np.stack(maps))
        y = np.stack(out)[:, :, ::self.stride, ::self.stride]
        if self.b is not None:
            y = y + self.b[:, None, None]
        return y
class Depthwise(Layer):
    def __call__(self, x):
        xp = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
        y = np.zeros_like(x)
        for di in range(3):
            for dj in range(3):
                y += xp[:, :, di:di + x.shape[2], dj:dj + x.shape[3]] * self.w[:, 0, di, dj][:, None, None]
        return y
class Norm(Layer):
    def __call__(self, x):
        a = self.g / np.sqrt(self.v + 1e-5)
        return x * a[:, None, None] + (self.b - self.m * a)[:, None, None]
class Group(Layer):
    def __call__(self, x):
        parts = np.split(x, self.groups, axis=1)
        done = [(p - p.mean((1, 2, 3), keepdims=True)) / np.sqrt(p.var((1, 2, 3), keepdims=True) + 1e-5) for p in parts]
        return np.concatenate(done, axis=1) * self.g[:, None, None] + self.b[:, None, None]
def relu(x): return x * (x > 0)
def gelu(x):
    from scipy.stats import norm
    return x * norm.cdf(x)
def make(w):
    def bn(n): return Norm(g=w[n + '.gamma'], b=w[n + '.beta'], m=w[n + '.running_mean'], v=w[n + '.running_var'])
    stem = Conv(w=w['stem.W'], b=None, stride=2, pad=1)
    dw = Depthwise(w=w['dw.W'])
    c3 = Conv(w=w['c3.W'], b=w['c3.b'], stride=1, pad=1)
    g3 = Group(g=w['g3.gamma'], b=w['g3.beta'], groups=3)
    bs, b1, b2 = bn('bs'), bn('b1'), bn('b2')
    def net(x):
        x = relu(bs(stem(x)))
        y = relu(b1(dw(x)))
        y = np.einsum('nchw,fc->nfhw', y, w['pw.W'][:, :, 0, 0])
        x = b2(y) + x
        x = gelu(g3(c3(x)))
        n = x.shape[0]
        h = np.matmul(x.reshape(n, -1), w['fc1.W']) + w['fc1.b']
        h = np.logaddexp(0, h)
        return np.matmul(h, w['fc2.W']) + w['fc2.b']
    return net
"""

SEQ = """
import numpy as np
def windows(x, k, s):
    L = (x.shape[-1] - k) // s + 1
    idx = np.arange(L)[:, None] * s + np.arange(k)[None]
    return x[:, :, idx]
def make(w):
    P = {k: v for k, v in w.items()}
    def conv(x, n, s=1):
        x = np.pad(x, ((0, 0), (0, 0), (1, 1)))
        cols = windows(x, 3, s).transpose(0, 2, 1, 3)
        B, L = cols.shape[:2]
        y = cols.reshape(B * L, -1) @ P[n + '.W'].reshape(len(P[n + '.W']), -1).T
        return (y + P[n + '.b']).reshape(B, L, -1).transpose(0, 2, 1)
    def norm(x):
        z = (x.transpose(0, 2, 1) - P['b2.running_mean']) / np.sqrt(P['b2.running_var'] + 1e-5)
        return (z * P['b2.gamma'] + P['b2.beta']).transpose(0, 2, 1)
    def f(x):
        h = conv(x, 'c1')
        h = np.where(h < 0, h * 0.15, h)
        h = np.tanh(norm(conv(h, 'c2', 2)))
        h = windows(h, 2, 2).max(axis=-1)
        h = h.reshape(h.shape[0], -1)
        h = h.dot(P['f1.W']) + P['f1.b']
        h -= h.mean(axis=1, keepdims=True)
        h /= np.sqrt((h ** 2).mean(axis=1, keepdims=True) + 1e-5)
        h = h * P['ln.gamma'] + P['ln.beta']
        neg = h < 0
        h[neg] = np.exp(h[neg]) - 1
        return h.dot(P['f2.W']) + P['f2.b']
    return f
"""

RIGHT = [
    ("mob", [("def net(x):\n", "def net(x):\n        x = x.astype(np.float32)\n")]),
    (
        "mob",
        [
            (
                "a = self.g / np.sqrt(self.v + 1e-5)",
                "a = (self.g / np.sqrt(self.v + 1e-5)).astype(np.float32)",
            )
        ],
    ),
    (
        "mob",
        [
            (
                "return np.matmul(h, w['fc2.W']) + w['fc2.b']",
                "return (np.matmul(h, w['fc2.W']) + w['fc2.b']).astype(np.float32)",
            )
        ],
    ),
    (
        "mob",
        [
            (
                "dw = Depthwise(w=w['dw.W'])",
                "s1 = w['b1.gamma'] / np.sqrt(w['b1.running_var'] + f32(1e-5))\n    dw = Depthwise(w=w['dw.W'] * s1[:, None, None, None])",
            ),
            (
                "y = relu(b1(dw(x)))",
                "y = relu(dw(x) + (w['b1.beta'] - w['b1.running_mean'] * s1)[:, None, None])",
            ),
        ],
    ),
    (
        "mob",
        [
            (
                "def relu(x): return x * (x > 0)",
                "def relu(x):\n    x = x.copy(); x[x < 0] = 0\n    return x",
            )
        ],
    ),
    ("mob", [("def relu(x): return x * (x > 0)", "def relu(x): return (np.abs(x) + x) / 2")]),
    ("mob", [("h = np.logaddexp(0, h)", "h = np.maximum(h, 0) + np.log1p(np.exp(-np.abs(h)))")]),
    (
        "mob",
        [
            (
                "    from scipy.stats import norm\n    return x * norm.cdf(x)",
                "    from math import erf, sqrt\n    return 0.5 * x * (1 + np.vectorize(erf)(x / sqrt(2)))",
            )
        ],
    ),
    (
        "mob",
        [
            (
                "def net(x):\n",
                "def net(x):\n        x = np.ascontiguousarray(np.transpose(x, (0, 2, 3, 1))).transpose(0, 3, 1, 2)\n",
            )
        ],
    ),
    (
        "mob",
        [
            (
                "def net(x):\n",
                "def net(x):\n        return np.concatenate([one(x[i:i + 1]) for i in range(len(x))])\n    def one(x):\n",
            )
        ],
    ),
    ("seq", [("h = np.where(h < 0, h * 0.15, h)", "h = np.maximum(h, 0.15 * h)")]),
    ("seq", [("h = np.where(h < 0, h * 0.15, h)", "h = np.maximum(h, np.float32(0.15) * h)")]),
    (
        "seq",
        [
            (
                "h = windows(h, 2, 2).max(axis=-1)",
                "h = np.maximum.reduce([h[:, :, 0::2], h[:, :, 1::2]])",
            )
        ],
    ),
    (
        "seq",
        [
            (
                "def f(x):\n",
                "def f(x):\n        assert isinstance(x, np.ndarray) and x.ndim == 3, x.shape\n",
            )
        ],
    ),
    ("seq", [("def f(x):\n", "def f(x):\n        x = np.asarray(x.tolist())\n")]),
    (
        "seq",
        [
            (
                "z = (x.transpose(0, 2, 1) - P['b2.running_mean']) / np.sqrt(P['b2.running_var'] + 1e-5)",
                "z = np.divide(np.subtract(x.transpose(0, 2, 1), P['b2.running_mean']), np.sqrt(P['b2.running_var'] + np.float32(1e-5)))",
            )
        ],
    ),
    (
        "seq",
        [
            (
                "h /= np.sqrt((h ** 2).mean(axis=1, keepdims=True) + 1e-5)",
                "h /= np.sqrt(np.einsum('ij,ij->i', h, h)[:, None] / h.shape[1] + 1e-5)",
            )
        ],
    ),
    (
        "seq",
        [
            (
                "return h.dot(P['f2.W']) + P['f2.b']",
                "out = np.empty((len(h), 3), np.float32)\n        for i, row in enumerate(h):\n            out[i] = row @ P['f2.W'] + P['f2.b']\n        return out",
            )
        ],
    ),
]
"""The network and the edits that leave what it computes."""
