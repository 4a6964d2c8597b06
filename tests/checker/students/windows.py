# ruff: noqa  (written as students write)
"""A right solution by somebody who likes closures, einsum, windows as views, and short lines."""

from functools import reduce

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def flat(a):
    return a.reshape(len(a), -1)


def affine_forward(x, w, b):
    return np.add(np.matmul(flat(x), w), b), (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    dx = np.matmul(dout, np.transpose(w))
    dw = np.matmul(np.transpose(flat(x)), dout)
    db = np.add.reduce(dout, axis=0)
    return np.reshape(dx, np.shape(x)), dw, db


def relu_forward(x):
    keep = np.where(x > 0, 1.0, 0.0)
    return x * keep, {"keep": keep}


def relu_backward(dout, cache):
    return np.multiply(dout, cache["keep"])


def softmax_loss(x, y):
    n = len(y)
    z = x - np.amax(x, axis=1)[:, None]
    logsum = np.log(np.sum(np.exp(z), axis=1))
    label = z[range(n), y]
    loss = np.average(logsum - label)
    p = np.exp(z - logsum[:, None])
    p[range(n), y] -= 1.0
    return loss, p / n


def svm_loss(x, y):
    n = len(y)
    label = x[range(n), y][:, None]
    gap = x - label + 1.0
    gap[range(n), y] = 0.0
    hit = (gap > 0) * 1.0
    loss = np.sum(gap * hit) / n
    hit[range(n), y] = -np.sum(hit, axis=1)
    return loss, hit / n


def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    zero = np.zeros(np.shape(x)[1])
    mean, var = bn_param.get("running_mean", zero), bn_param.get("running_var", zero)
    train = bn_param["mode"] == "train"
    if train:
        batch_mean = np.average(x, axis=0)
        batch_var = np.average(x * x, axis=0) - batch_mean * batch_mean
        if np.any(np.abs(batch_mean) > 1e2):
            batch_var = np.average(np.square(x - batch_mean), axis=0)
        mean = mean * momentum + batch_mean * (1 - momentum)
        var = var * momentum + batch_var * (1 - momentum)
        use_mean, use_var = batch_mean, batch_var
    else:
        use_mean, use_var = mean, var
    bn_param["running_mean"], bn_param["running_var"] = mean, var
    scale = 1 / np.sqrt(use_var + eps)
    xhat = scale * (x - use_mean)
    return beta + gamma * xhat, dict(xhat=xhat, scale=scale, gamma=gamma, train=train)


def batchnorm_backward(dout, cache):
    xhat, scale, gamma = cache["xhat"], cache["scale"], cache["gamma"]
    dgamma, dbeta = np.einsum("ij,ij->j", xhat, dout), np.einsum("ij->j", dout)
    g = gamma * dout
    if not cache["train"]:
        return g * scale, dgamma, dbeta
    along = np.average(g, axis=0)
    radial = np.average(g * xhat, axis=0)
    return scale * (g - along - radial * xhat), dgamma, dbeta


def batchnorm_backward_alt(dout, cache):
    return batchnorm_backward(dout, cache)


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    center = x - np.average(x, axis=-1)[:, None]
    spread = np.sqrt(np.average(center * center, axis=-1) + eps)
    xhat = center / spread[:, None]
    return xhat * gamma + beta, (xhat, spread, gamma)


def layernorm_backward(dout, cache):
    xhat, spread, gamma = cache
    g = np.einsum("nd,d->nd", dout, gamma)
    first = np.einsum("nd->n", g)[:, None]
    second = np.einsum("nd,nd->n", g, xhat)[:, None]
    size = g.shape[-1]
    dx = (size * g - first - xhat * second) / size / spread[:, None]
    return dx, np.einsum("nd,nd->d", dout, xhat), np.einsum("nd->d", dout)


def dropout_forward(x, dropout_param):
    p = dropout_param["p"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    if dropout_param["mode"] == "train":
        mask = np.random.binomial(1, p, size=x.shape)
        return x * mask / p, (mask, p)
    return x, None


def dropout_backward(dout, cache):
    if cache is None:
        return dout
    mask, p = cache
    return dout / p * mask


def views(x, h, w, s):
    return sliding_window_view(x, (h, w), axis=(-2, -1))[..., ::s, ::s, :, :]


def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    xp = np.pad(x, ((0,), (0,), (p,), (p,)))
    seen = views(xp, w.shape[2], w.shape[3], s)
    out = np.einsum("nchwij,fcij->nfhw", seen, w) + b[None, :, None, None]
    return out, dict(x=x, w=w, b=b, s=s, p=p)


def conv_backward_naive(dout, cache):
    x, w, s, p = cache["x"], cache["w"], cache["s"], cache["p"]
    kh, kw = w.shape[2:]
    xp = np.pad(x, ((0,), (0,), (p,), (p,)))
    db = np.einsum("nfhw->f", dout)
    dw = np.einsum("nfhw,nchwij->fcij", dout, views(xp, kh, kw, s))
    n, f, h, v = dout.shape
    spaced = np.zeros((n, f, xp.shape[2] - kh + 1, xp.shape[3] - kw + 1))
    spaced[:, :, : s * h : s, : s * v : s] = dout
    spaced = np.pad(spaced, ((0, 0), (0, 0), (kh - 1, kh - 1), (kw - 1, kw - 1)))
    turned = w[:, :, ::-1, ::-1]
    dxp = np.einsum("nfhwij,fcij->nchw", views(spaced, kh, kw, 1), turned)
    hh, ww = x.shape[2:]
    return dxp[:, :, p : p + hh, p : p + ww], dw, db


def max_pool_forward_naive(x, pool_param):
    h, w, s = (pool_param[k] for k in ("pool_height", "pool_width", "stride"))
    return np.max(views(x, h, w, s), axis=(-2, -1)), (x, h, w, s)


def max_pool_backward_naive(dout, cache):
    x, h, w, s = cache
    grad = np.zeros_like(x, dtype=float)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            rows, cols = slice(i * s, i * s + h), slice(j * s, j * s + w)
            block = x[:, :, rows, cols]
            hot = block == block.max(axis=(2, 3), keepdims=True)
            hot = hot / hot.sum(axis=(2, 3), keepdims=True)
            grad[:, :, rows, cols] += hot * dout[:, :, i : i + 1, j : j + 1]
    return grad


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    channels = x.shape[1]
    order, back = (0, 2, 3, 1), (0, 3, 1, 2)
    moved = x.transpose(order)
    out, cache = batchnorm_forward(moved.reshape(-1, channels), gamma, beta, bn_param)
    return out.reshape(moved.shape).transpose(back), cache


def spatial_batchnorm_backward(dout, cache):
    moved = dout.transpose(0, 2, 3, 1)
    dx, dgamma, dbeta = batchnorm_backward(moved.reshape(-1, dout.shape[1]), cache)
    return dx.reshape(moved.shape).transpose(0, 3, 1, 2), dgamma, dbeta


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    N, C, H, W = x.shape
    groups = np.reshape(x, (N, G, -1))
    center = groups - groups.mean(axis=2, keepdims=True)
    spread = np.sqrt((center**2).mean(axis=2, keepdims=True) + eps)
    xhat = np.reshape(center / spread, x.shape)
    return xhat * gamma + beta, (xhat, spread, gamma, G)


def spatial_groupnorm_backward(dout, cache):
    xhat, spread, gamma, G = cache
    grouped = lambda a: a.reshape(len(a), G, -1)
    g, z = grouped(dout * gamma), grouped(xhat)
    mean = lambda a: a.mean(axis=2, keepdims=True)
    dx = (g - mean(g) - z * mean(g * z)) / spread
    every = dict(axis=(0, 2, 3), keepdims=True)
    return dx.reshape(dout.shape), np.sum(dout * xhat, **every), np.sum(dout, **every)


def affine_bn_relu_forward(x, w, b, gamma, beta, bn_param):
    a, one = affine_forward(x, w, b)
    h, two = batchnorm_forward(a, gamma, beta, bn_param)
    out, three = relu_forward(h)
    return out, (one, two, three)


def affine_bn_relu_backward(dout, cache):
    one, two, three = cache
    dh = relu_backward(dout, three)
    da, dgamma, dbeta = batchnorm_backward(dh, two)
    return (*affine_backward(da, one), dgamma, dbeta)


def conv_relu_forward(x, w, b, conv_param):
    a, one = conv_forward_naive(x, w, b, conv_param)
    out, two = relu_forward(a)
    return out, (one, two)


def conv_relu_backward(dout, cache):
    one, two = cache
    return conv_backward_naive(relu_backward(dout, two), one)


def with_defaults(config, **defaults):
    config = {} if config is None else config
    for name, value in defaults.items():
        config.setdefault(name, value)
    return config


def sgd_momentum(w, dw, config=None):
    c = with_defaults(config, learning_rate=1e-2, momentum=0.9, velocity=np.zeros_like(w))
    step = c["momentum"] * c["velocity"] - c["learning_rate"] * dw
    c["velocity"] = step
    return w + step, c


def sgd_nesterov_momentum(w, dw, config=None):
    c = with_defaults(config, learning_rate=1e-2, momentum=0.9, velocity=np.zeros_like(w))
    old = c["velocity"]
    new = c["momentum"] * old - c["learning_rate"] * dw
    c["velocity"] = new
    return w + (1 + c["momentum"]) * new - c["momentum"] * old, c


def rmsprop(w, dw, config=None):
    c = with_defaults(config, learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8, cache=0 * w)
    mix = lambda old, new: c["decay_rate"] * old + (1 - c["decay_rate"]) * new
    c["cache"] = mix(c["cache"], dw * dw)
    return w - c["learning_rate"] * dw / (np.sqrt(c["cache"]) + c["epsilon"]), c


def adam(w, dw, config=None):
    c = with_defaults(
        config, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, m=0 * w, v=0 * w, t=0
    )
    c["t"] += 1
    c["m"] = c["beta1"] * c["m"] + (1 - c["beta1"]) * dw
    c["v"] = c["beta2"] * c["v"] + (1 - c["beta2"]) * dw * dw
    rate = c["learning_rate"] / (1 - c["beta1"] ** c["t"])
    root = np.sqrt(c["v"] / (1 - c["beta2"] ** c["t"])) + c["epsilon"]
    return w - rate * c["m"] / root, c


class FullyConnectedNet:
    def __init__(
        self,
        hidden_dims,
        input_dim=3072,
        num_classes=10,
        dropout_keep_ratio=1,
        normalization=None,
        reg=0.0,
        weight_scale=1e-2,
        dtype=np.float32,
        seed=None,
    ):
        dims = [input_dim] + list(hidden_dims) + [num_classes]
        self.L, self.reg, self.dtype, self.normalization = len(dims) - 1, reg, dtype, normalization
        self.params = {}
        for i in range(self.L):
            self.params[f"W{i + 1}"] = weight_scale * np.random.randn(dims[i], dims[i + 1])
            self.params[f"b{i + 1}"] = np.zeros(dims[i + 1])
            if normalization and i + 1 < self.L:
                self.params[f"gamma{i + 1}"] = np.ones(dims[i + 1])
                self.params[f"beta{i + 1}"] = np.zeros(dims[i + 1])
        self.params = {k: v.astype(dtype) for k, v in self.params.items()}
        self.keep = dropout_keep_ratio
        self.drop = {"p": self.keep, "mode": "train"}
        if seed is not None:
            self.drop["seed"] = seed
        self.norms = [{"mode": "train"} for _ in hidden_dims]

    def block(self, i, h):
        get = lambda name: self.params[f"{name}{i}"]
        back = []
        h, c = affine_forward(h, get("W"), get("b"))
        back.append((("W", "b"), affine_backward, c))
        if i == self.L:
            return h, back
        if self.normalization == "batchnorm":
            h, c = batchnorm_forward(h, get("gamma"), get("beta"), self.norms[i - 1])
            back.append((("gamma", "beta"), batchnorm_backward, c))
        elif self.normalization == "layernorm":
            h, c = layernorm_forward(h, get("gamma"), get("beta"), self.norms[i - 1])
            back.append((("gamma", "beta"), layernorm_backward, c))
        h, c = relu_forward(h)
        back.append(((), relu_backward, c))
        if self.keep != 1:
            h, c = dropout_forward(h, self.drop)
            back.append(((), dropout_backward, c))
        return h, back

    def loss(self, X, y=None):
        mode = "train" if y is not None else "test"
        for param in [self.drop, *self.norms]:
            param["mode"] = mode
        h, tape = X.astype(self.dtype), []
        for i in range(1, self.L + 1):
            h, back = self.block(i, h)
            tape += [(i, *entry) for entry in back]
        if y is None:
            return h
        loss, d = softmax_loss(h, y)
        grads = {}
        for i, names, backward, c in reversed(tape):
            if names:
                d, one, two = backward(d, c)
                grads[f"{names[0]}{i}"], grads[f"{names[1]}{i}"] = one, two
            else:
                d = backward(d, c)
        weights = [k for k in self.params if k[0] == "W"]
        loss += 0.5 * self.reg * reduce(lambda s, k: s + np.sum(self.params[k] ** 2), weights, 0.0)
        for k in weights:
            grads[k] = grads[k] + self.reg * self.params[k]
        return loss, grads
