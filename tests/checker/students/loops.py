# ruff: noqa  (written as students write)
"""A right solution by somebody who writes small helpers, shifted slices, and plain Python loops."""

import numpy as np


def _rows(a):
    return a.reshape((a.shape[0], int(np.prod(a.shape[1:]))))


def affine_forward(x, w, b):
    X = _rows(x)
    out = np.tile(b, (X.shape[0], 1)).astype(np.result_type(x, w, b))
    for k in range(w.shape[0]):
        out = out + X[:, k : k + 1] * w[k]
    return out, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    X = _rows(x)
    dX = np.zeros((X.shape[0], X.shape[1]))
    dW = np.zeros(w.shape)
    db = 0
    for n in range(len(X)):
        dX[n] = w @ dout[n]
        dW = dW + np.outer(X[n], dout[n])
        db = db + dout[n]
    return dX.reshape(x.shape), dW, db


def relu_forward(x):
    out = x.copy()
    out[out < 0] = 0
    return out, out > 0


def relu_backward(dout, cache):
    gate = cache.astype(dout.dtype)
    return gate * dout


def softmax_loss(x, y):
    total, grad = 0.0, np.zeros(x.shape)
    n = x.shape[0]
    for i in range(n):
        row = x[i] - x[i].max()
        norm = np.exp(row).sum()
        total = total + np.log(norm) - row[y[i]]
        for c in range(x.shape[1]):
            grad[i, c] = np.exp(row[c]) / norm
        grad[i, y[i]] -= 1
    return total / n, grad / n


def svm_loss(x, y):
    n, classes = x.shape
    loss = 0.0
    dx = np.zeros((n, classes))
    for i in range(n):
        good = x[i, y[i]]
        for j in range(classes):
            if j == y[i]:
                continue
            over = x[i, j] - good + 1.0
            if over > 0:
                loss += over
                dx[i, j] += 1.0 / n
                dx[i, y[i]] -= 1.0 / n
    return loss / n, dx


def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    m = bn_param.get("momentum", 0.9)
    D = x.shape[1]
    if "running_mean" not in bn_param:
        bn_param["running_mean"] = np.zeros(D)
    if "running_var" not in bn_param:
        bn_param["running_var"] = np.zeros(D)
    if bn_param["mode"] == "test":
        mu, var = bn_param["running_mean"], bn_param["running_var"]
    else:
        mu = x.mean(axis=0)
        var = ((x - mu) ** 2).mean(axis=0)
        bn_param["running_mean"] = m * bn_param["running_mean"] + (1 - m) * mu
        bn_param["running_var"] = m * bn_param["running_var"] + (1 - m) * var
    sd = np.sqrt(var + eps)
    norm = (x - mu) / sd
    return norm * gamma + beta, (bn_param["mode"], norm, sd, gamma, x - mu)


def batchnorm_backward(dout, cache):
    mode, norm, sd, gamma, diff = cache
    N = dout.shape[0]
    dgamma = np.sum(dout * norm, axis=0)
    dbeta = np.sum(dout, axis=0)
    dnorm = dout * gamma
    if mode == "test":
        return dnorm / sd, dgamma, dbeta
    dsd = np.sum(dnorm * diff, axis=0) * (-1.0 / (sd * sd))
    dvar = dsd / (2.0 * sd)
    ddiff = dnorm / sd + (2.0 / N) * diff * dvar
    dmu = np.sum(-ddiff, axis=0)
    return ddiff + dmu / N, dgamma, dbeta


def batchnorm_backward_alt(dout, cache):
    mode, norm, sd, gamma, diff = cache
    N = len(dout)
    dgamma, dbeta = (dout * norm).sum(axis=0), dout.sum(axis=0)
    if mode == "test":
        return dout * gamma / sd, dgamma, dbeta
    dx = (gamma / sd) * (dout - dbeta / N - norm * dgamma / N)
    return dx, dgamma, dbeta


def layernorm_forward(x, gamma, beta, ln_param):
    eps = ln_param.get("eps", 1e-5)
    out = np.zeros(x.shape, dtype=np.result_type(x, gamma, beta))
    norm, sd = out.copy(), out[:, 0].copy()
    for n in range(len(x)):
        mu = np.mean(x[n])
        sd[n] = np.sqrt(np.mean((x[n] - mu) ** 2) + eps)
        norm[n] = (x[n] - mu) / sd[n]
        out[n] = gamma * norm[n] + beta
    return out, (norm, sd, gamma)


def layernorm_backward(dout, cache):
    norm, sd, gamma = cache
    dx = np.zeros(dout.shape)
    dgamma = np.zeros(dout.shape[1])
    dbeta = np.zeros(dout.shape[1])
    for n in range(len(dout)):
        dgamma += dout[n] * norm[n]
        dbeta += dout[n]
        g = gamma * dout[n]
        dx[n] = (g - g.mean() - norm[n] * np.mean(g * norm[n])) / sd[n]
    return dx, dgamma, dbeta


def dropout_forward(x, dropout_param):
    mode, p = dropout_param["mode"], dropout_param["p"]
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    if mode != "train":
        return x, (mode, None)
    mask = np.random.uniform(0.0, 1.0, x.shape)
    mask = np.where(mask < p, 1.0 / p, 0.0)
    return mask * x, (mode, mask)


def dropout_backward(dout, cache):
    mode, mask = cache
    if mode == "train":
        return mask * dout
    return dout


def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, R, S = w.shape
    Ho = (H - R + 2 * p) // s + 1
    Wo = (W - S + 2 * p) // s + 1
    big = np.zeros((N, C, H + 2 * p, W + 2 * p), dtype=np.result_type(x, w))
    big[:, :, p : p + H, p : p + W] = x
    out = np.zeros((N, F, Ho, Wo), dtype=np.result_type(x, w, b, 1.0))
    for r in range(R):
        for q in range(S):
            part = big[:, :, r : r + s * Ho : s, q : q + s * Wo : s][:, :, :Ho, :Wo]
            out += np.tensordot(part, w[:, :, r, q], axes=([1], [1])).transpose(0, 3, 1, 2)
    out += b.reshape(1, -1, 1, 1)
    return out, (x, w, b, conv_param)


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, _, R, S = w.shape
    Ho, Wo = dout.shape[2], dout.shape[3]
    big = np.zeros((N, C, H + 2 * p, W + 2 * p))
    big[:, :, p : p + H, p : p + W] = x
    dbig = np.zeros(big.shape)
    dw = np.zeros(w.shape)
    for r in range(R):
        for q in range(S):
            rows, cols = slice(r, r + s * (Ho - 1) + 1, s), slice(q, q + s * (Wo - 1) + 1, s)
            dw[:, :, r, q] = np.tensordot(dout, big[:, :, rows, cols], axes=([0, 2, 3], [0, 2, 3]))
            back = np.tensordot(dout, w[:, :, r, q], axes=([1], [0]))
            dbig[:, :, rows, cols] += back.transpose(0, 3, 1, 2)
    db = np.array([dout[:, f].sum() for f in range(F)])
    return dbig[:, :, p : p + H, p : p + W], dw, db


def max_pool_forward_naive(x, pool_param):
    h, w, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    N, C, H, W = x.shape
    Ho, Wo = (H - h) // s + 1, (W - w) // s + 1
    out = np.full((N, C, Ho, Wo), -np.inf)
    where = np.zeros((N, C, Ho, Wo), dtype=int)
    for r in range(h):
        for q in range(w):
            part = x[:, :, r : r + s * (Ho - 1) + 1 : s, q : q + s * (Wo - 1) + 1 : s]
            better = part > out
            out = np.where(better, part, out)
            where[better] = r * w + q
    return out, (x.shape, where, pool_param)


def max_pool_backward_naive(dout, cache):
    shape, where, pool_param = cache
    w, s = pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros(shape)
    for n, c, i, j in np.ndindex(*dout.shape):
        r, q = divmod(where[n, c, i, j], w)
        dx[n, c, s * i + r, s * j + q] += dout[n, c, i, j]
    return dx


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    columns = np.swapaxes(x, 0, 1).reshape(C, N * H * W)
    out, cache = batchnorm_forward(columns.T, gamma, beta, bn_param)
    out = np.swapaxes(out.T.reshape(C, N, H, W), 0, 1)
    return out, cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    columns = np.swapaxes(dout, 0, 1).reshape(C, N * H * W)
    dx, dgamma, dbeta = batchnorm_backward_alt(columns.T, cache)
    return np.swapaxes(dx.T.reshape(C, N, H, W), 0, 1), dgamma, dbeta


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    eps = gn_param.get("eps", 1e-5)
    N, C, H, W = x.shape
    norm, sd = np.zeros((N, C, H, W), dtype=x.dtype), np.zeros((N, C, 1, 1), dtype=x.dtype)
    size = C // G
    for n in range(N):
        for g in range(G):
            block = x[n, g * size : (g + 1) * size]
            mu = block.mean()
            dev = np.sqrt(((block - mu) ** 2).mean() + eps)
            norm[n, g * size : (g + 1) * size] = (block - mu) / dev
            sd[n, g * size : (g + 1) * size] = dev
    return gamma * norm + beta, (G, norm, sd, gamma)


def spatial_groupnorm_backward(dout, cache):
    G, norm, sd, gamma = cache
    N, C, H, W = dout.shape
    dgamma, dbeta = np.zeros((1, C, 1, 1)), np.zeros((1, C, 1, 1))
    for c in range(C):
        dgamma[0, c, 0, 0] = (dout[:, c] * norm[:, c]).sum()
        dbeta[0, c, 0, 0] = dout[:, c].sum()
    dx, size = np.zeros(dout.shape), C // G
    for n in range(N):
        for g in range(G):
            part = slice(g * size, (g + 1) * size)
            d, z = dout[n, part] * gamma[0, part], norm[n, part]
            dx[n, part] = (d - d.mean() - z * (d * z).mean()) / sd[n, part]
    return dx, dgamma, dbeta


def affine_relu_forward(x, w, b):
    middle, first = affine_forward(x, w, b)
    out, second = relu_forward(middle)
    return out, [first, second]


def affine_relu_backward(dout, cache):
    first, second = cache
    return affine_backward(relu_backward(dout, second), first)


def conv_bn_relu_forward(x, w, b, gamma, beta, conv_param, bn_param):
    a, conv = conv_forward_naive(x, w, b, conv_param)
    z, norm = spatial_batchnorm_forward(a, gamma, beta, bn_param)
    out, gate = relu_forward(z)
    return out, (conv, norm, gate)


def conv_bn_relu_backward(dout, cache):
    conv, norm, gate = cache
    dz = relu_backward(dout, gate)
    da, dgamma, dbeta = spatial_batchnorm_backward(dz, norm)
    dx, dw, db = conv_backward_naive(da, conv)
    return dx, dw, db, dgamma, dbeta


def sgd(w, dw, config=None):
    if config is None:
        config = {}
    lr = config.get("learning_rate", 1e-2)
    for place in np.ndindex(*w.shape):
        w[place] = w[place] - lr * dw[place]
    return w, config


def sgd_momentum(w, dw, config=None):
    if config is None:
        config = dict()
    lr = config.get("learning_rate", 1e-2)
    if config.get("velocity") is None:
        config["velocity"] = np.zeros(w.shape)
    config["velocity"] = config.get("momentum", 0.9) * config["velocity"]
    config["velocity"] = config["velocity"] - lr * dw
    return config["velocity"] + w, config


def rmsprop(w, dw, config=None):
    if config is None:
        config = dict()
    lr, decay = config.get("learning_rate", 1e-2), config.get("decay_rate", 0.99)
    if config.get("cache") is None:
        config["cache"] = np.zeros(w.shape)
    config["cache"] *= decay
    config["cache"] += (1.0 - decay) * dw * dw
    root = config["cache"] ** 0.5 + config.get("epsilon", 1e-8)
    return w - lr * dw / root, config


def adam(w, dw, config=None):
    if config is None:
        config = dict()
    lr = config.get("learning_rate", 1e-3)
    b1, b2 = config.get("beta1", 0.9), config.get("beta2", 0.999)
    small = config.get("epsilon", 1e-8)
    m, v, t = config.get("m"), config.get("v"), config.get("t", 0)
    if m is None:
        m, v = np.zeros(w.shape), np.zeros(w.shape)
    t += 1
    m = m * b1 + dw * (1 - b1)
    v = v * b2 + dw * dw * (1 - b2)
    config.update(m=m, v=v, t=t)
    m_hat, v_hat = m / (1 - np.power(b1, t)), v / (1 - np.power(b2, t))
    return w - lr * m_hat / (v_hat**0.5 + small), config


class TwoLayerNet(object):
    def __init__(self, input_dim=3072, hidden_dim=100, num_classes=10, weight_scale=1e-3, reg=0.0):
        self.reg = reg
        shapes = {"W1": (input_dim, hidden_dim), "W2": (hidden_dim, num_classes)}
        self.params = {k: np.random.normal(scale=weight_scale, size=s) for k, s in shapes.items()}
        self.params.update(b1=np.zeros(hidden_dim), b2=np.zeros(num_classes))

    def loss(self, X, y=None):
        p = self.params
        flat = _rows(X)
        pre = flat.dot(p["W1"]) + p["b1"]
        hid = np.maximum(pre, 0)
        scores = hid.dot(p["W2"]) + p["b2"]
        if y is None:
            return scores
        data, ds = softmax_loss(scores, y)
        penalty = np.sum(p["W1"] ** 2) + np.sum(p["W2"] ** 2)
        loss = data + 0.5 * self.reg * penalty
        dhid = ds.dot(p["W2"].T)
        dhid = dhid * (pre > 0)
        grads = {"W2": hid.T.dot(ds), "b2": ds.sum(axis=0)}
        grads["W1"] = flat.T.dot(dhid)
        grads["b1"] = dhid.sum(axis=0)
        for name in ("W1", "W2"):
            grads[name] += self.reg * p[name]
        return loss, grads


class ThreeLayerConvNet(object):
    def __init__(
        self,
        input_dim=(3, 32, 32),
        num_filters=32,
        filter_size=7,
        hidden_dim=100,
        num_classes=10,
        weight_scale=1e-3,
        reg=0.0,
        dtype=np.float32,
    ):
        self.reg, self.dtype = reg, dtype
        C, H, W = input_dim
        pooled = num_filters * (H // 2) * (W // 2)
        draw = lambda *shape: (weight_scale * np.random.randn(*shape)).astype(dtype)
        zero = lambda size: np.zeros(size, dtype=dtype)
        self.params = {
            "W1": draw(num_filters, C, filter_size, filter_size),
            "b1": zero(num_filters),
            "W2": draw(pooled, hidden_dim),
            "b2": zero(hidden_dim),
            "W3": draw(hidden_dim, num_classes),
            "b3": zero(num_classes),
        }

    def loss(self, X, y=None):
        p = self.params
        pad = (p["W1"].shape[2] - 1) // 2
        conv, c1 = conv_forward_naive(X, p["W1"], p["b1"], {"stride": 1, "pad": pad})
        act, c2 = relu_forward(conv)
        pool = {"pool_height": 2, "pool_width": 2, "stride": 2}
        small, c3 = max_pool_forward_naive(act, pool)
        hid, c4 = affine_relu_forward(small, p["W2"], p["b2"])
        scores, c5 = affine_forward(hid, p["W3"], p["b3"])
        if y is None:
            return scores
        loss, d = softmax_loss(scores, y)
        g = {}
        d, g["W3"], g["b3"] = affine_backward(d, c5)
        d, g["W2"], g["b2"] = affine_relu_backward(d, c4)
        d = max_pool_backward_naive(d, c3)
        d = relu_backward(d, c2)
        d, g["W1"], g["b1"] = conv_backward_naive(d, c1)
        for layer in "123":
            weights = p["W" + layer]
            loss += 0.5 * self.reg * np.sum(weights * weights)
            g["W" + layer] = g["W" + layer] + self.reg * weights
        return loss, g
