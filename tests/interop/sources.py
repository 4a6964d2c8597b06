"""Ports to NumPy as strangers write them, as sources that mistakes are put into; and their networks."""
# ruff: noqa: E501

from __future__ import annotations

import numpy as np
from interop.sources_more import Mob, Seq

from handgrad import nn


class Vgg(nn.Model):
    def __init__(self):
        super().__init__(input_shape=(3, 10, 12), rng=62)
        self.c1, self.b1, self.r1 = nn.Conv2d(8, 3, pad=1), nn.BatchNorm(), nn.ReLU()
        self.c2, self.r2, self.p1 = nn.Conv2d(8, 3, pad=1), nn.LeakyReLU(0.2), nn.MaxPool(2)
        self.c3, self.g3, self.r3 = nn.Conv2d(8, 3, stride=2, pad=1), nn.GroupNorm(4), nn.ReLU()
        self.flat, self.f1, self.l1, self.t1 = (
            nn.Flatten(),
            nn.Affine(12),
            nn.LayerNorm(),
            nn.Tanh(),
        )
        self.drop, self.f2 = nn.Dropout(0.5), nn.Affine(6)

    def forward(self, x):
        x = self.r1(self.b1(self.c1(x)))
        x = self.p1(self.r2(self.c2(x)) + x)
        x = self.r3(self.g3(self.c3(x)))
        x = self.t1(self.l1(self.f1(self.flat(x))))
        return self.f2(self.drop(x))


class Wave(nn.Model):
    def __init__(self):
        super().__init__(input_shape=(2, 24), rng=63)
        self.c1, self.b1, self.r1 = nn.Conv1d(6, 5, pad=2), nn.BatchNorm1d(), nn.ReLU()
        self.p1, self.c2, self.e2 = nn.MaxPool1d(2), nn.Conv1d(8, 3, pad=2, dilation=2), nn.ELU()
        self.c3, self.g3, self.p2 = nn.Conv1d(8, 3, pad=1, groups=2), nn.GELU(), nn.AvgPool1d(2)
        self.gap, self.f = nn.GlobalAvgPool1d(), nn.Affine(4)

    def forward(self, x):
        x = self.p1(self.r1(self.b1(self.c1(x))))
        x = self.e2(self.c2(x))
        x = self.p2(self.g3(self.c3(x)) + x)
        return self.f(self.gap(x))


class Dec(nn.Model):
    def __init__(self):
        super().__init__(input_shape=(4, 6, 5), rng=81)
        self.up1, self.n1, self.a1 = (
            nn.ConvTranspose2d(6, 3, stride=2, pad=1),
            nn.InstanceNorm(),
            nn.PReLU(),
        )
        self.c2, self.a2 = nn.Conv2d(6, (3, 3), pad=1, groups=3), nn.Softplus()
        self.up2, self.c3, self.a3 = (
            nn.Upsample(2, "nearest"),
            nn.Conv2d(4, 5, stride=2, pad=2),
            nn.Sigmoid(),
        )
        self.p, self.flat, self.f = nn.AvgPool(3, 2, pad=1), nn.Flatten(), nn.Affine(5)

    def forward(self, x):
        x = self.a1(self.n1(self.up1(x)))
        x = self.a2(self.c2(x))
        x = self.a3(self.c3(self.up2(x)))
        return self.f(self.flat(self.p(x)))


def networks():
    """The networks by name, with weights and statistics as after some training."""
    rows = nn.Sequential(
        [nn.Affine(16), nn.BatchNorm(), nn.ReLU(), nn.Affine(16), nn.Maxout(2), nn.LayerNorm(), nn.Affine(8),
         nn.ELU(0.7), nn.Affine(4)],
        input_shape=(9,), rng=82)  # fmt: skip
    form = nn.Sequential(
        [nn.Affine(10), nn.LayerNorm(), nn.Tanh(), nn.Affine(7), nn.LeakyReLU(0.1), nn.Affine(5)],
        input_shape=(6,), rng=3, dtype="float64")  # fmt: skip
    found = {"vgg": Vgg(), "wave": Wave(), "dec": Dec(), "rows": rows, "form": form}
    found |= {"mob": Mob(), "seq": Seq()}
    rng = np.random.default_rng(71)
    for net in found.values():
        X = (0.4 + 1.3 * rng.standard_normal((16, *net._input_shapes[0]))).astype(net.dtype)
        for _ in range(4):
            net.loss(X, rng.integers(0, 3, 16))
        for w in net.params.values():
            w += (0.13 * rng.standard_normal(w.shape)).astype(w.dtype)
    return found


def port(source, edits, net):
    """The port of a network, with the edits in its source."""
    for old, new in edits:
        assert old in source, old
        source = source.replace(old, new)
    names = {"__name__": "port"}
    exec(source, names)
    arrays = {**net.params, **net.buffers()}
    return names["make"]({name: np.array(a) for name, a in arrays.items()})


VGG = """
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
def make(w):
    EPS = 1e-5
    def conv2d(x, W, b, stride=1, pad=1):
        xp = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        win = sliding_window_view(xp, W.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
        return np.einsum('nchwij,fcij->nfhw', win, W) + b[None, :, None, None]
    def batchnorm(x, name):
        mu = w[name + '.running_mean'][:, None, None]
        var = w[name + '.running_var'][:, None, None]
        return (x - mu) / np.sqrt(var + EPS) * w[name + '.gamma'][:, None, None] + w[name + '.beta'][:, None, None]
    def groupnorm(x, name, G):
        N, C, H, W_ = x.shape
        g = x.reshape(N, G, C // G, H, W_)
        mu = g.mean(axis=(2, 3, 4), keepdims=True)
        var = g.var(axis=(2, 3, 4), keepdims=True)
        g = (g - mu) / np.sqrt(var + EPS)
        return g.reshape(N, C, H, W_) * w[name + '.gamma'].reshape(1, C, 1, 1) + w[name + '.beta'].reshape(1, C, 1, 1)
    def leaky(x, slope=0.2):
        return np.where(x > 0, x, slope * x)
    def pool(x):
        N, C, H, W_ = x.shape
        return x.reshape(N, C, H // 2, 2, W_ // 2, 2).max(axis=(3, 5))
    def layernorm(x, name):
        mu = x.mean(axis=1, keepdims=True)
        xc = x - mu
        sd = np.sqrt((xc ** 2).mean(axis=1, keepdims=True) + EPS)
        return w[name + '.gamma'] * xc / sd + w[name + '.beta']
    def forward(x):
        x = np.maximum(0, batchnorm(conv2d(x, w['c1.W'], w['c1.b']), 'b1'))
        y = leaky(conv2d(x, w['c2.W'], w['c2.b']))
        x = pool(y + x)
        x = np.maximum(0, groupnorm(conv2d(x, w['c3.W'], w['c3.b'], stride=2), 'g3', 4))
        h = x.reshape(len(x), -1) @ w['f1.W'] + w['f1.b']
        h = np.tanh(layernorm(h, 'l1'))
        return h @ w['f2.W'] + w['f2.b']
    return forward
"""

WAVE = """
import numpy as np
from scipy.special import erf
def make(w):
    def conv1d(x, W, b, pad=0, dil=1, groups=1):
        x = np.pad(x, ((0, 0), (0, 0), (pad, pad)))
        N, C, L = x.shape
        F, Cg, K = W.shape
        out_len = L - dil * (K - 1)
        out = np.zeros((N, F, out_len), x.dtype)
        per = F // groups
        for g in range(groups):
            for k in range(K):
                seg = x[:, g * Cg:(g + 1) * Cg, k * dil:k * dil + out_len]
                out[:, g * per:(g + 1) * per] += np.tensordot(W[g * per:(g + 1) * per, :, k], seg, axes=(1, 1)).transpose(1, 0, 2)
        return out + b[:, None]
    def bn(x):
        scale = w['b1.gamma'] / np.sqrt(w['b1.running_var'] + 1e-5)
        shift = w['b1.beta'] - w['b1.running_mean'] * scale
        return x * scale[:, None] + shift[:, None]
    def elu(x):
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
    def gelu(x):
        return x * 0.5 * (1 + erf(x / np.sqrt(2)))
    def maxpool(x):
        return np.maximum(x[:, :, 0::2], x[:, :, 1::2])
    def avgpool(x):
        return (x[:, :, 0::2] + x[:, :, 1::2]) / 2
    def forward(x):
        x = maxpool(np.maximum(bn(conv1d(x, w['c1.W'], w['c1.b'], 2)), 0))
        x = elu(conv1d(x, w['c2.W'], w['c2.b'], 2, 2))
        x = avgpool(gelu(conv1d(x, w['c3.W'], w['c3.b'], 1, 1, 2)) + x)
        return x.mean(axis=2).dot(w['f.W']) + w['f.b']
    return forward
"""

DEC = """
import numpy as np
class ConvT:
    def __init__(self, W, b, stride, pad): self.W, self.b, self.s, self.p = W, b, stride, pad
    def __call__(self, x):
        N, C, H, Wd = x.shape
        Cin, Cout, K, _ = self.W.shape
        out = np.zeros((N, Cout, (H - 1) * self.s + K, (Wd - 1) * self.s + K))
        for i in range(H):
            for j in range(Wd):
                out[:, :, i * self.s:i * self.s + K, j * self.s:j * self.s + K] += np.tensordot(x[:, :, i, j], self.W, axes=(1, 0))
        p = self.p
        out = out[:, :, p:out.shape[2] - p, p:out.shape[3] - p]
        return out + self.b.reshape(1, -1, 1, 1)
class InstanceNorm:
    def __init__(self, g, b, eps=1e-5): self.g, self.b, self.eps = g, b, eps
    def __call__(self, x):
        m = x.mean((2, 3), keepdims=True); v = x.var((2, 3), keepdims=True)
        return self.g[None, :, None, None] * (x - m) / np.sqrt(v + self.eps) + self.b[None, :, None, None]
def im2col(x, K, s, p):
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    N, C, H, W = x.shape
    oh, ow = (H - K) // s + 1, (W - K) // s + 1
    col = np.empty((N, oh, ow, C, K, K))
    for i in range(oh):
        for j in range(ow):
            col[:, i, j] = x[:, :, i * s:i * s + K, j * s:j * s + K]
    return col.reshape(N * oh * ow, -1), oh, ow
class Conv:
    def __init__(self, W, b, stride=1, pad=0): self.W, self.b, self.s, self.p = W, b, stride, pad
    def __call__(self, x):
        F = len(self.W)
        col, oh, ow = im2col(x, self.W.shape[2], self.s, self.p)
        out = col @ self.W.reshape(F, -1).T + self.b
        return out.reshape(len(x), oh, ow, F).transpose(0, 3, 1, 2)
class Net:
    def __init__(self, w):
        self.up1 = ConvT(w['up1.W'], w['up1.b'], 2, 1)
        self.n1 = InstanceNorm(w['n1.gamma'], w['n1.beta'])
        self.alpha = w['a1.a']
        self.c2 = [Conv(w['c2.W'][2 * g:2 * g + 2], w['c2.b'][2 * g:2 * g + 2], 1, 1) for g in range(3)]
        self.c3 = Conv(w['c3.W'], w['c3.b'], 2, 2)
        self.W, self.b = w['f.W'], w['f.b']
    def prelu(self, x):
        return np.maximum(x, 0) + self.alpha.reshape(-1, 1, 1) * np.minimum(x, 0)
    def pool(self, x):
        x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        oh, ow = (x.shape[2] - 3) // 2 + 1, (x.shape[3] - 3) // 2 + 1
        return np.stack([np.stack([x[:, :, 2 * i:2 * i + 3, 2 * j:2 * j + 3].mean((2, 3)) for j in range(ow)], -1) for i in range(oh)], -2)
    def __call__(self, x):
        h = self.prelu(self.n1(self.up1(x)))
        h = np.concatenate([c(h[:, 2 * g:2 * g + 2]) for g, c in enumerate(self.c2)], axis=1)
        h = np.log1p(np.exp(h))
        h = h.repeat(2, axis=2).repeat(2, axis=3)
        h = 1 / (1 + np.exp(-self.c3(h)))
        h = self.pool(h)
        return h.reshape(len(h), -1) @ self.W + self.b
def make(w): return Net(w)
"""

ROWS = """
import numpy as np
def make(w):
    names = list(w)
    def dense(x, name): return np.einsum('ni,ij->nj', x, w[name + '.W']) + w[name + '.b']
    def bn(x):
        g, b, m, v = (w['batchnorm1.' + k] for k in ('gamma', 'beta', 'running_mean', 'running_var'))
        return g * (x - m) * (v + 1e-5) ** -0.5 + b
    def maxout(x): return x.reshape(len(x), -1, 2).max(-1)
    def ln(x, eps=1e-5):
        d = x - np.mean(x, -1)[:, None]
        return d / np.sqrt(np.mean(d * d, -1)[:, None] + eps) * w['layernorm1.gamma'] + w['layernorm1.beta']
    def elu(x, alpha=0.7): return np.where(x >= 0, x, alpha * (np.exp(x) - 1))
    def forward(x):
        h = dense(x, 'affine1')
        h = bn(h)
        h[h < 0] = 0
        h = maxout(dense(h, 'affine2'))
        h = ln(h)
        h = elu(dense(h, 'affine3'))
        return dense(h, 'affine4')
    return forward
"""

FORM = """
import numpy as np
class M:
    def __init__(self, w): self.params = {k: np.array(v) for k, v in w.items()}; self.reg = 0.0
    def loss(self, X, y=None):
        p = self.params
        z1 = X @ p['affine1.W'] + p['affine1.b']
        mu = z1.mean(1, keepdims=True); var = z1.var(1, keepdims=True)
        inv = 1 / np.sqrt(var + 1e-5)
        xhat = (z1 - mu) * inv
        n1 = p['layernorm1.gamma'] * xhat + p['layernorm1.beta']
        h1 = np.tanh(n1)
        z2 = h1 @ p['affine2.W'] + p['affine2.b']
        h2 = np.where(z2 > 0, z2, 0.1 * z2)
        s = h2 @ p['affine3.W'] + p['affine3.b']
        if y is None: return s
        N = len(X)
        e = np.exp(s - s.max(1, keepdims=True)); P = e / e.sum(1, keepdims=True)
        loss = -np.mean(np.log(P[np.arange(N), y]))
        ds = P.copy(); ds[np.arange(N), y] -= 1; ds /= N
        g = {}
        g['affine3.W'] = h2.T @ ds; g['affine3.b'] = ds.sum(0)
        dh2 = ds @ p['affine3.W'].T
        dz2 = dh2 * np.where(z2 > 0, 1, 0.1)
        g['affine2.W'] = h1.T @ dz2; g['affine2.b'] = dz2.sum(0)
        dh1 = dz2 @ p['affine2.W'].T
        dn1 = dh1 * (1 - h1 ** 2)
        g['layernorm1.gamma'] = (dn1 * xhat).sum(0); g['layernorm1.beta'] = dn1.sum(0)
        dx = dn1 * p['layernorm1.gamma']
        dz1 = inv * (dx - dx.mean(1, keepdims=True) - xhat * (dx * xhat).mean(1, keepdims=True))
        g['affine1.W'] = X.T @ dz1; g['affine1.b'] = dz1.sum(0)
        return loss, g
def make(w): return M(w)
"""
