# ruff: noqa  (written as students write)
"""A right solution by somebody who thinks in matrices: index arrays, einsum, dictionaries as caches."""

import numpy as np


def affine_forward(x, w, b):
    flat = np.reshape(x, (len(x), -1))
    scores = np.einsum("ij,jk->ik", flat, w)
    scores += b
    return scores, {"shape": x.shape, "flat": flat, "w": w}


def affine_backward(dout, cache):
    flat, w = cache["flat"], cache["w"]
    grad_w = flat.T @ dout
    grad_b = np.ones(dout.shape[0]) @ dout
    grad_x = np.einsum("ik,jk->ij", dout, w)
    return grad_x.reshape(cache["shape"]), grad_w, grad_b


def relu_forward(x):
    positive = x > 0
    return np.where(positive, x, 0 * x), positive


def relu_backward(dout, cache):
    positive = cache
    grad = np.array(dout, copy=True)
    grad[~positive] = 0
    return grad


def softmax_loss(x, y):
    rows = np.arange(len(x))
    top = x.max(axis=1, keepdims=True)
    expd = np.exp(x - top)
    total = expd.sum(axis=1, keepdims=True)
    lse = (top + np.log(total))[:, 0]
    loss = (lse - x[rows, y]).mean()
    target = np.zeros(x.shape)
    target[rows, y] = 1.0
    grad = (expd / total - target) / len(x)
    return loss, grad


def svm_loss(x, y):
    n, k = x.shape
    onehot = np.eye(k)[y]
    right = (x * onehot).sum(axis=1, keepdims=True)
    hinge = np.clip(x - right + 1, 0, None) * (1 - onehot)
    loss = hinge.sum() / n
    active = (hinge > 0).astype(float)
    grad = active - onehot * active.sum(axis=1, keepdims=True)
    return loss, grad / n


def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    keep = bn_param.get("momentum", 0.9)
    mean_sofar = bn_param.get("running_mean")
    var_sofar = bn_param.get("running_var")
    if mean_sofar is None:
        mean_sofar, var_sofar = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    if bn_param["mode"] == "train":
        center = x - x.sum(axis=0) / len(x)
        variance = (center * center).sum(axis=0) / len(x)
        ivar = (variance + eps) ** -0.5
        z = center * ivar
        mean_sofar = mean_sofar + (1 - keep) * (x.mean(axis=0) - mean_sofar)
        var_sofar = var_sofar + (1 - keep) * (variance - var_sofar)
        cache = {"train": True, "z": z, "ivar": ivar, "gamma": gamma, "center": center}
    else:
        ivar = 1.0 / np.sqrt(var_sofar + eps)
        z = (x - mean_sofar) * ivar
        cache = {"train": False, "z": z, "ivar": ivar, "gamma": gamma}
    bn_param.update(running_mean=mean_sofar, running_var=var_sofar)
    return z * gamma + beta, cache


def batchnorm_backward(dout, cache):
    z, ivar, gamma = cache["z"], cache["ivar"], cache["gamma"]
    dbeta = dout.sum(0)
    dgamma = (z * dout).sum(0)
    dz = dout * gamma
    if not cache["train"]:
        return dz * ivar, dgamma, dbeta
    n = dout.shape[0]
    center = cache["center"]
    # step 7: z = center * ivar
    divar = (dz * center).sum(0)
    dcenter1 = dz * ivar
    # step 6: ivar = (variance + eps) ** -0.5
    dvariance = -0.5 * ivar**3 * divar
    # step 5: the mean of the squares
    dsquare = np.ones(dout.shape) * dvariance / n
    dcenter2 = 2 * center * dsquare
    # step 4: the mean
    dcenter = dcenter1 + dcenter2
    dmean = -1 * dcenter.sum(0)
    dx = dcenter + np.ones(dout.shape) * dmean / n
    return dx, dgamma, dbeta


def batchnorm_backward_alt(dout, cache):
    z, ivar, gamma = cache["z"], cache["ivar"], cache["gamma"]
    dbeta, dgamma = dout.sum(0), np.einsum("nd,nd->d", dout, z)
    dz = gamma * dout
    if not cache["train"]:
        return dz * ivar, dgamma, dbeta
    dx = ivar * (dz - dz.mean(0) - z * (dz * z).mean(0))
    return dx, dgamma, dbeta


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    xt = x.T
    mean = xt.mean(axis=0)
    variance = ((xt - mean) ** 2).mean(axis=0)
    ivar = 1 / np.sqrt(variance + eps)
    z = ((xt - mean) * ivar).T
    return z * gamma + beta, [z, ivar, gamma]


def layernorm_backward(dout, cache):
    z, ivar, gamma = cache
    dgamma, dbeta = (dout * z).sum(0), dout.sum(0)
    dz = (dout * gamma).T
    zt = z.T
    d = zt.shape[0]
    dx = (dz - dz.sum(0) / d - zt * (dz * zt).sum(0) / d) * ivar
    return dx.T, dgamma, dbeta


def dropout_forward(x, dropout_param):
    keep, mode = dropout_param["p"], dropout_param["mode"]
    if dropout_param.get("seed") is not None:
        np.random.seed(dropout_param["seed"])
    if mode == "test":
        return x.copy(), (dropout_param, None)
    drawn = np.random.random(x.shape)
    keepers = drawn >= 1 - keep
    scale = 1.0 / keep
    out = (x * keepers * scale).astype(x.dtype)
    return out, (dropout_param, keepers)


def dropout_backward(dout, cache):
    dropout_param, keepers = cache
    if dropout_param["mode"] == "test":
        return dout * 1.0
    return dout * keepers / dropout_param["p"]


def patch_indices(shape, kh, kw, stride, pad):
    _, C, H, W = shape
    oh, ow = (H + 2 * pad - kh) // stride + 1, (W + 2 * pad - kw) // stride + 1
    rows = np.repeat(np.arange(kh), kw)[:, None] + stride * np.repeat(np.arange(oh), ow)[None]
    cols = np.tile(np.arange(kw), kh)[:, None] + stride * np.tile(np.arange(ow), oh)[None]
    return rows, cols, oh, ow


def conv_forward_naive(x, w, b, conv_param):
    stride, pad = conv_param["stride"], conv_param["pad"]
    F, C, kh, kw = w.shape
    rows, cols, oh, ow = patch_indices(x.shape, kh, kw, stride, pad)
    padded = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    patches = padded[:, :, rows, cols].reshape(len(x), C * kh * kw, oh * ow)
    kernels = w.reshape(F, -1)
    out = np.matmul(kernels, patches) + b[:, None]
    return out.reshape(len(x), F, oh, ow), (x.shape, w, b, patches, conv_param)


def conv_backward_naive(dout, cache):
    shape, w, b, patches, conv_param = cache
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = shape
    F, _, kh, kw = w.shape
    rows, cols, oh, ow = patch_indices(shape, kh, kw, stride, pad)
    flat = dout.reshape(N, F, -1)
    db = flat.sum(axis=(0, 2))
    dw = np.einsum("nfp,nkp->fk", flat, patches).reshape(w.shape)
    dpatches = np.einsum("fk,nfp->nkp", w.reshape(F, -1), flat)
    dpatches = dpatches.reshape(N, C, kh * kw, oh * ow)
    canvas = np.zeros((N, C, H + 2 * pad, W + 2 * pad))
    np.add.at(canvas, (slice(None), slice(None), rows, cols), dpatches)
    dx = canvas[:, :, pad : H + pad, pad : W + pad]
    return dx, dw, db


def max_pool_forward_naive(x, pool_param):
    kh, kw, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    rows, cols, oh, ow = patch_indices(x.shape, kh, kw, stride, 0)
    patches = x[:, :, rows, cols]
    winner = patches.argmax(axis=2)
    out = np.take_along_axis(patches, winner[:, :, None], axis=2)
    return out.reshape(x.shape[0], x.shape[1], oh, ow), (x.shape, winner, pool_param)


def max_pool_backward_naive(dout, cache):
    shape, winner, pool_param = cache
    kh, kw, stride = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C = shape[:2]
    rows, cols, oh, ow = patch_indices(shape, kh, kw, stride, 0)
    flat = dout.reshape(N, C, oh * ow)
    n, c, p = np.ogrid[:N, :C, : oh * ow]
    dx = np.zeros(shape)
    np.add.at(dx, (n, c, rows[winner, p], cols[winner, p]), flat)
    return dx


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    C = x.shape[1]
    last = np.moveaxis(x, 1, -1)
    out, cache = batchnorm_forward(last.reshape(-1, C), gamma, beta, bn_param)
    return np.moveaxis(out.reshape(last.shape), -1, 1), cache


def spatial_batchnorm_backward(dout, cache):
    C = dout.shape[1]
    last = np.moveaxis(dout, 1, -1)
    dx, dgamma, dbeta = batchnorm_backward(last.reshape(-1, C), cache)
    return np.moveaxis(dx.reshape(last.shape), -1, 1), dgamma, dbeta


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    N = x.shape[0]
    flat = x.reshape(N * G, -1)
    mean = flat.mean(axis=1, keepdims=True)
    variance = flat.var(axis=1, keepdims=True)
    ivar = 1 / np.sqrt(variance + eps)
    z = (flat - mean) * ivar
    out = gamma * z.reshape(x.shape) + beta
    return out, {"G": G, "z": z, "ivar": ivar, "gamma": gamma}


def spatial_groupnorm_backward(dout, cache):
    G, z, ivar, gamma = cache["G"], cache["z"], cache["ivar"], cache["gamma"]
    N, C, H, W = dout.shape
    dbeta = np.einsum("nchw->c", dout).reshape(1, C, 1, 1)
    dgamma = np.einsum("nchw,nchw->c", dout, z.reshape(dout.shape)).reshape(1, C, 1, 1)
    dz = (dout * gamma).reshape(N * G, -1)
    dx = ivar * (dz - dz.mean(1, keepdims=True) - z * (dz * z).mean(1, keepdims=True))
    return dx.reshape(dout.shape), dgamma, dbeta


def sgd(w, dw, config=None):
    config = {} if config is None else config
    rate = config.setdefault("learning_rate", 0.01)
    return np.subtract(w, rate * dw), config


def sgd_momentum(w, dw, config=None):
    config = {} if config is None else config
    rate = config.setdefault("learning_rate", 0.01)
    mu = config.setdefault("momentum", 0.9)
    speed = config.get("velocity", 0 * w)
    config["velocity"] = mu * speed - rate * dw
    return w + config["velocity"], config


def rmsprop(w, dw, config=None):
    config = {} if config is None else config
    rate = config.setdefault("learning_rate", 0.01)
    rho = config.setdefault("decay_rate", 0.99)
    tiny = config.setdefault("epsilon", 1e-8)
    mean_square = config.get("cache", 0 * w)
    mean_square = mean_square + (1 - rho) * (np.square(dw) - mean_square)
    config["cache"] = mean_square
    return w - rate * dw / (tiny + np.sqrt(mean_square)), config


def adam(w, dw, config=None):
    config = {} if config is None else config
    defaults = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "t": 0}
    for key, value in defaults.items():
        config.setdefault(key, value)
    b1, b2 = config["beta1"], config["beta2"]
    config["t"] = config["t"] + 1
    config["m"] = b1 * config.get("m", 0 * w) + (1 - b1) * dw
    config["v"] = b2 * config.get("v", 0 * w) + (1 - b2) * np.square(dw)
    first = config["m"] / (1 - b1 ** config["t"])
    second = config["v"] / (1 - b2 ** config["t"])
    step = config["learning_rate"] * first / (np.sqrt(second) + config["epsilon"])
    return w - step, config


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
        self.normalization, self.reg, self.dtype = normalization, reg, dtype
        sizes = [input_dim, *hidden_dims, num_classes]
        self.num_layers = len(sizes) - 1
        self.params = {}
        for layer, (rows, cols) in enumerate(zip(sizes[:-1], sizes[1:]), start=1):
            weights = np.random.normal(0, weight_scale, (rows, cols))
            self.params[f"W{layer}"] = weights.astype(dtype)
            self.params[f"b{layer}"] = np.zeros(cols, dtype)
            if normalization and layer < self.num_layers:
                self.params[f"gamma{layer}"] = np.ones(cols, dtype)
                self.params[f"beta{layer}"] = np.zeros(cols, dtype)
        self.dropout_param = None
        if dropout_keep_ratio != 1:
            self.dropout_param = {"mode": "train", "p": dropout_keep_ratio, "seed": seed}
        self.norm_params = {k: {"mode": "train"} for k in range(1, self.num_layers)}

    def loss(self, X, y=None):
        training = y is not None
        for param in self.norm_params.values():
            param["mode"] = "train" if training else "test"
        if self.dropout_param:
            self.dropout_param["mode"] = "train" if training else "test"
        tape = []
        h = X.reshape(len(X), -1).astype(self.dtype)
        for k in range(1, self.num_layers + 1):
            h, cache = affine_forward(h, self.params[f"W{k}"], self.params[f"b{k}"])
            tape.append((affine_backward, cache, (f"W{k}", f"b{k}")))
            if k == self.num_layers:
                break
            if self.normalization:
                names = (f"gamma{k}", f"beta{k}")
                pair = (batchnorm_forward, batchnorm_backward)
                if self.normalization == "layernorm":
                    pair = (layernorm_forward, layernorm_backward)
                h, cache = pair[0](h, *[self.params[n] for n in names], self.norm_params[k])
                tape.append((pair[1], cache, names))
            h, cache = relu_forward(h)
            tape.append((relu_backward, cache, ()))
            if self.dropout_param:
                h, cache = dropout_forward(h, self.dropout_param)
                tape.append((dropout_backward, cache, ()))
        if not training:
            return h
        loss, flow = softmax_loss(h, y)
        grads = {}
        for backward, cache, names in tape[::-1]:
            result = backward(flow, cache)
            if names:
                flow, *rest = result
                grads.update(zip(names, rest))
            else:
                flow = result
        for name, value in self.params.items():
            if name.startswith("W"):
                loss += self.reg / 2 * (value**2).sum()
                grads[name] = grads[name] + self.reg * value
        return loss, grads
