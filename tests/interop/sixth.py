"""Three more networks and their ports to NumPy, Keras and PyTorch, as a porter writes them.

`wide` has what networks for images have, `block` a residual block, `dense` is a network of rows whose port
is a class in the courses' form, with gradients of its own.
"""

from __future__ import annotations

import numpy as np

from handgrad import nn


class Wide(nn.Model):
    def __init__(self):
        super().__init__(input_shape=(3, 13, 10), rng=41)
        conv = nn.Conv2d
        self.stem, self.bn0, self.leaky = (
            conv(8, 3, stride=2, pad=1, bias=False),
            nn.BatchNorm(),
            nn.LeakyReLU(0.2),
        )
        self.depth, self.point = conv(8, 3, pad=1, groups=8), conv(12, 1)
        self.gn, self.gelu, self.avg = nn.GroupNorm(4), nn.GELU(), nn.AvgPool(3, 2, pad=1)
        self.up, self.dil, self.tanh = (
            nn.Upsample(2, "bilinear"),
            conv(6, 3, pad=2, dilation=2),
            nn.Tanh(),
        )
        self.pool, self.flat = nn.MaxPool(2), nn.Flatten()
        self.fc1, self.bn1, self.relu = nn.Affine(10), nn.BatchNorm(), nn.ReLU()
        self.drop, self.fc2 = nn.Dropout(0.8), nn.Affine(4)

    def forward(self, x):
        x = self.leaky(self.bn0(self.stem(x)))
        x = self.avg(self.gelu(self.gn(self.point(self.depth(x)))))
        x = self.pool(self.tanh(self.dil(self.up(x))))
        return self.fc2(self.drop(self.relu(self.bn1(self.fc1(self.flat(x))))))


class Block(nn.Model):
    def __init__(self):
        super().__init__(input_shape=(4, 9, 8), rng=42)
        conv = nn.Conv2d
        self.a, self.bn_a, self.act_a = (
            conv(6, 3, stride=2, pad=1, bias=False),
            nn.BatchNorm(),
            nn.PReLU(),
        )
        self.b, self.bn_b = conv(6, 3, pad=1, bias=False), nn.BatchNorm()
        self.short, self.bn_s, self.act = (
            conv(6, 1, stride=2, bias=False),
            nn.BatchNorm(),
            nn.ReLU(),
        )
        self.gap, self.fc1, self.ln, self.elu = (
            nn.GlobalAvgPool(),
            nn.Affine(6),
            nn.LayerNorm(),
            nn.ELU(),
        )
        self.fc2 = nn.Affine(6)
        self.out = nn.Affine(5)

    def forward(self, x):
        y = self.bn_b(self.b(self.act_a(self.bn_a(self.a(x)))))
        x = self.gap(self.act(y + self.bn_s(self.short(x))))
        h = self.elu(self.ln(self.fc1(x)))
        return self.out(self.fc2(h) + x)


def dense():
    return nn.Sequential(
        [nn.Affine(8), nn.BatchNorm(), nn.ReLU(), nn.Affine(8), nn.LayerNorm(), nn.Tanh(), nn.Affine(3)],
        input_shape=(6,), rng=43, dtype="float64")  # fmt: skip


def networks():
    """The networks by name, with weights and statistics as after some training."""
    found = {"wide": Wide(), "block": Block(), "dense": dense()}
    rng = np.random.default_rng(44)
    for net in found.values():
        X = (0.4 + 1.1 * rng.standard_normal((16, *net._input_shapes[0]))).astype(np.float32)
        for _ in range(4):
            net.loss(X, rng.integers(0, 3, 16))
        for w in net.params.values():
            w += (0.13 * rng.standard_normal(w.shape)).astype(w.dtype)
    return found


def numpy_wide(w):
    from math import sqrt

    from scipy.signal import correlate2d
    from scipy.special import erf

    def im2col(x, kh, kw, stride, pad):
        x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        win = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(2, 3))
        return win[:, :, ::stride, ::stride]

    def conv(x, W, b=None, stride=1, pad=0):
        cols = im2col(x, W.shape[2], W.shape[3], stride, pad)
        out = np.einsum("nchwij,fcij->nfhw", cols, W)
        return out if b is None else out + b.reshape(1, -1, 1, 1)

    def depthwise(x, W, b):
        out = np.zeros_like(x)
        for n in range(len(x)):
            for c in range(x.shape[1]):
                out[n, c] = correlate2d(x[n, c], W[c, 0], mode="same") + b[c]
        return out

    def dilated(x, W, b, d):
        big = np.zeros((*W.shape[:2], 1 + 2 * d, 1 + 2 * d), W.dtype)
        big[:, :, ::d, ::d] = W
        return conv(x, big, b, pad=d)

    def bn(x, k):
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, var = w[k + ".running_mean"].reshape(shape), w[k + ".running_var"].reshape(shape)
        xhat = (x - mean) / np.sqrt(var + 1e-5)
        return w[k + ".gamma"].reshape(shape) * xhat + w[k + ".beta"].reshape(shape)

    def gn(x, groups):
        N, C, H, W_ = x.shape
        g = x.reshape(N, groups, C // groups, H, W_)
        mu = g.mean(axis=(2, 3, 4), keepdims=True)
        var = g.var(axis=(2, 3, 4), keepdims=True)
        x = ((g - mu) / np.sqrt(var + 1e-5)).reshape(N, C, H, W_)
        return x * w["gn.gamma"].reshape(1, C, 1, 1) + w["gn.beta"].reshape(1, C, 1, 1)

    def bilinear(x, s):
        for axis in (2, 3):
            n = x.shape[axis]
            pos = (np.arange(n * s) + 0.5) / s - 0.5
            pos = np.clip(pos, 0, n - 1)
            lo = np.floor(pos).astype(int)
            hi = np.minimum(lo + 1, n - 1)
            frac = (pos - lo).reshape(-1, *[1] * (3 - axis))
            x = x.take(lo, axis) * (1 - frac) + x.take(hi, axis) * frac
        return x

    def forward(x):
        x = bn(conv(x, w["stem.W"], stride=2, pad=1), "bn0")
        x = np.where(x > 0, x, 0.2 * x)
        x = depthwise(x, w["depth.W"], w["depth.b"])
        x = conv(x, w["point.W"], w["point.b"])
        x = gn(x, 4)
        x = 0.5 * x * (1 + erf(x / sqrt(2)))
        x = im2col(x, 3, 3, 2, 1).sum(axis=(4, 5)) / 9
        x = bilinear(x, 2)
        x = np.tanh(dilated(x, w["dil.W"], w["dil.b"], 2))
        N, C, H, W_ = x.shape
        x = x.reshape(N, C, H // 2, 2, W_ // 2, 2).max(axis=(3, 5))
        x = x.reshape(N, -1)
        x = bn(x @ w["fc1.W"] + w["fc1.b"], "bn1")
        x = np.maximum(0, x)
        return x @ w["fc2.W"] + w["fc2.b"]

    return forward


def numpy_dense(w):
    class Net:
        def __init__(self):
            self.params = {k: np.array(v) for k, v in w.items() if "running" not in k}
            self.mean, self.var = w["batchnorm1.running_mean"], w["batchnorm1.running_var"]
            self.reg = 0.05

        def loss(self, X, y=None):
            p, n = self.params, len(X)
            a1 = X @ p["affine1.W"] + p["affine1.b"]
            if y is None:
                xhat = (a1 - self.mean) / np.sqrt(self.var + 1e-5)
            else:
                mu, var = a1.mean(0), a1.var(0)
                inv = 1 / np.sqrt(var + 1e-5)
                xhat = (a1 - mu) * inv
            z = p["batchnorm1.gamma"] * xhat + p["batchnorm1.beta"]
            h = np.maximum(z, 0)
            a2 = h @ p["affine2.W"] + p["affine2.b"]
            lmu, lvar = a2.mean(1, keepdims=True), a2.var(1, keepdims=True)
            lhat = (a2 - lmu) / np.sqrt(lvar + 1e-5)
            t = np.tanh(p["layernorm1.gamma"] * lhat + p["layernorm1.beta"])
            scores = t @ p["affine3.W"] + p["affine3.b"]
            if y is None:
                return scores
            logp = scores - scores.max(1, keepdims=True)
            logp = logp - np.log(np.exp(logp).sum(1, keepdims=True))
            loss = -logp[np.arange(n), y].mean()
            g = {}
            ds = np.exp(logp)
            ds[np.arange(n), y] -= 1
            ds /= n
            g["affine3.W"], g["affine3.b"] = t.T @ ds, ds.sum(0)
            dt = ds @ p["affine3.W"].T
            dl = dt * (1 - t**2)
            g["layernorm1.gamma"], g["layernorm1.beta"] = (dl * lhat).sum(0), dl.sum(0)
            dlhat = dl * p["layernorm1.gamma"]
            da2 = (
                dlhat - dlhat.mean(1, keepdims=True) - lhat * (dlhat * lhat).mean(1, keepdims=True)
            )
            da2 = da2 / np.sqrt(lvar + 1e-5)
            g["affine2.W"], g["affine2.b"] = h.T @ da2, da2.sum(0)
            dh = da2 @ p["affine2.W"].T
            dz = dh * (z > 0)
            g["batchnorm1.gamma"], g["batchnorm1.beta"] = (dz * xhat).sum(0), dz.sum(0)
            dxhat = dz * p["batchnorm1.gamma"]
            da1 = inv / n * (n * dxhat - dxhat.sum(0) - xhat * (dxhat * xhat).sum(0))
            g["affine1.W"], g["affine1.b"] = X.T @ da1, da1.sum(0)
            for k in ("affine1.W", "affine2.W", "affine3.W"):
                loss += 0.5 * self.reg * np.sum(p[k] ** 2)
                g[k] = g[k] + self.reg * p[k]
            return loss, g

    return Net()


def keras_block(w):
    from handgrad.interop.optional import library

    keras = library("keras", "the tests")
    K = keras.layers
    put = []

    def conv(x, key, filters, size, strides):
        if size == 3:
            x = K.ZeroPadding2D(1)(x)
        layer = K.Conv2D(filters, size, strides=strides, use_bias=False)
        put.append((layer, [w[key + ".W"].transpose(2, 3, 1, 0)]))
        return layer(x)

    def norm(x, key):
        layer = K.BatchNormalization(epsilon=1e-5, momentum=0.9)
        put.append(
            (layer, [w[f"{key}.{n}"] for n in ("gamma", "beta", "running_mean", "running_var")])
        )
        return layer(x)

    def fc(x, key, units):
        layer = K.Dense(units)
        put.append((layer, [w[key + ".W"], w[key + ".b"]]))
        return layer(x)

    inputs = keras.Input((9, 8, 4))
    y = norm(conv(inputs, "a", 6, 3, 2), "bn_a")
    slopes = K.PReLU(shared_axes=[1, 2])
    put.append((slopes, [w["act_a.a"].reshape(1, 1, -1)]))
    y = slopes(y)
    y = norm(conv(y, "b", 6, 3, 1), "bn_b")
    s = norm(conv(inputs, "short", 6, 1, 2), "bn_s")
    x = K.Activation("relu")(K.add([y, s]))
    x = K.GlobalAveragePooling2D()(x)
    h = fc(x, "fc1", 6)
    ln = K.LayerNormalization(epsilon=1e-5)
    put.append((ln, [w["ln.gamma"], w["ln.beta"]]))
    h = K.ELU()(ln(h))
    h = fc(h, "fc2", 6)
    out = fc(K.add([h, x]), "out", 5)
    for layer, arrays in put:
        layer.set_weights(arrays)
    return keras.Model(inputs, out)


def torch_wide(w):
    import torch
    import torch.nn.functional as F
    from torch import nn as tnn

    class Net(tnn.Module):
        def __init__(self):
            super().__init__()
            self.stem = tnn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
            self.bn0 = tnn.BatchNorm2d(8)
            self.depth = tnn.Conv2d(8, 8, 3, padding="same", groups=8)
            self.point = tnn.Conv2d(8, 12, 1)
            self.gn = tnn.GroupNorm(4, 12)
            self.dil = tnn.Conv2d(12, 6, 3, padding=2, dilation=2)
            self.fc1 = tnn.Linear(72, 10)
            self.bn1 = tnn.BatchNorm1d(10)
            self.drop = tnn.Dropout(0.2)
            self.fc2 = tnn.Linear(10, 4)

        def forward(self, x):
            x = F.leaky_relu(self.bn0(self.stem(x)), 0.2)
            x = F.gelu(self.gn(self.point(self.depth(x))))
            x = F.avg_pool2d(x, 3, 2, 1)
            x = F.interpolate(x, scale_factor=2, mode="bilinear")
            x = F.max_pool2d(torch.tanh(self.dil(x)), 2)
            x = torch.flatten(x, 1)
            x = self.drop(F.relu(self.bn1(self.fc1(x))))
            return self.fc2(x)

    net = Net()
    state = {}
    for key, value in w.items():
        layer, kind = key.split(".")
        kind = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}.get(kind, kind)
        value = value.T if layer.startswith("fc") and kind == "weight" else value
        state[f"{layer}.{kind}"] = torch.tensor(np.ascontiguousarray(value))
    net.load_state_dict(state, strict=False)
    return net


def numpy_block(w):
    class Conv:
        def __init__(self, kernel, stride, pad):
            self.kernel = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))  # HWIO
            self.stride, self.pad = stride, pad

        def __call__(self, x):
            p, s = self.pad, self.stride
            kh, kw, _, _ = self.kernel.shape
            x = np.pad(x, [(0, 0), (p, p), (p, p), (0, 0)])
            rows, cols = (x.shape[1] - kh) // s + 1, (x.shape[2] - kw) // s + 1
            out = 0
            for i in range(kh):
                for j in range(kw):
                    part = x[:, i : i + s * (rows - 1) + 1 : s, j : j + s * (cols - 1) + 1 : s]
                    out = out + part @ self.kernel[i, j]
            return out

    class Norm:
        def __init__(self, name, eps=1e-5):
            scale = w[name + ".gamma"] / np.sqrt(w[name + ".running_var"] + eps)
            self.scale, self.shift = scale, w[name + ".beta"] - w[name + ".running_mean"] * scale

        def __call__(self, x):
            return x * self.scale + self.shift

    class Dense:
        def __init__(self, name):
            self.W, self.b = w[name + ".W"], w[name + ".b"]

        def __call__(self, x):
            return np.einsum("ni,io->no", x, self.W) + self.b

    class Net:
        def __init__(self):
            self.main = [
                Conv(w["a.W"], 2, 1),
                Norm("bn_a"),
                self.prelu,
                Conv(w["b.W"], 1, 1),
                Norm("bn_b"),
            ]
            self.short = [Conv(w["short.W"], 2, 0), Norm("bn_s")]
            self.fc1, self.fc2, self.out = Dense("fc1"), Dense("fc2"), Dense("out")

        def prelu(self, x):
            return np.where(x >= 0, x, w["act_a.a"] * x)

        def __call__(self, x):
            x = y = np.moveaxis(x, 1, -1)
            for layer in self.main:
                y = layer(y)
            for layer in self.short:
                x = layer(x)
            x = np.maximum(x + y, 0)
            x = x.mean(axis=(1, 2))
            h = self.fc1(x)
            centred = h - h.mean(axis=-1, keepdims=True)
            h = centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
            h = h * w["ln.gamma"] + w["ln.beta"]
            h = np.where(h > 0, h, np.expm1(np.minimum(h, 0)))
            return self.out(self.fc2(h) + x)

    return Net()


NUMPY = {"block": numpy_block, "wide": numpy_wide, "dense": numpy_dense}
KERAS = {"block": keras_block}
TORCH = {"wide": torch_wide}
