"""The networks of `strangers` in Keras and in NumPy, with the mistakes that are made there.

Each row as in `mistakes_fifth`: the network, the layer, the edits of the port's source, a pattern.
"""

from __future__ import annotations

import numpy as np


def keras_bottleneck(w):
    from handgrad.interop.optional import library

    K = library("keras", "the tests").layers
    keras = library("keras", "the tests")
    weights = {}

    def conv(x, name, kernel, filters, strides=1, pad=0, groups=1):
        if pad:
            x = K.ZeroPadding2D(pad)(x)
        layer = K.Conv2D(
            filters, kernel, strides=strides, padding="valid", groups=groups, use_bias=False
        )
        x = layer(x)
        weights[layer] = [w[f"{name}.W"].transpose(2, 3, 1, 0)]
        return x

    def norm(x, name):
        layer = K.BatchNormalization(momentum=0.9, epsilon=1e-5)
        x = layer(x)
        keys = ("gamma", "beta", "running_mean", "running_var")
        weights[layer] = [w[f"{name}.{key}"] for key in keys]
        return x

    inputs = keras.Input((20, 18, 3))
    x = conv(inputs, "conv0", 7, 8, strides=2, pad=3)
    x = K.ReLU()(norm(x, "bn0"))
    x = K.ZeroPadding2D(1)(x)
    x = K.MaxPooling2D(3, 2)(x)
    y = K.ReLU()(norm(conv(x, "conv1", 1, 6), "bn1"))
    y = conv(y, "conv2", 3, 6, strides=2, pad=1, groups=2)
    y = K.ReLU()(norm(y, "bn2"))
    y = norm(conv(y, "conv3", 1, 12), "bn3")
    s = norm(conv(x, "short", 1, 12, strides=2), "bn4")
    x = K.ReLU()(K.Add()([y, s]))
    x = K.GlobalAveragePooling2D()(x)
    head = K.Dense(6)
    x = head(x)
    weights[head] = [w["fc.W"], w["fc.b"]]
    for layer, arrays in weights.items():
        layer.set_weights(arrays)
    return keras.Model(inputs, x)


def keras_lenet(w):
    from handgrad.interop.optional import library

    keras = library("keras", "the tests")
    K = keras.layers
    model = keras.Sequential([
        keras.Input((12, 16, 1)),
        K.Conv2D(6, 5, padding="same", activation="tanh"),
        K.AveragePooling2D(2),
        K.Conv2D(10, 3, activation="relu"),
        K.ZeroPadding2D(((0, 1), (0, 1))),
        K.MaxPooling2D(3, 2),
        K.Permute((3, 1, 2)),
        K.Flatten(),
        K.Dense(12, activation="sigmoid"),
        K.Dense(12),
        K.LayerNormalization(epsilon=1e-5),
        K.ReLU(),
        K.Dense(5),
    ])  # fmt: skip
    convs = [a for a in model.layers if isinstance(a, K.Conv2D)]
    for i, layer in enumerate(convs):
        layer.set_weights([np.transpose(w[f"conv{i + 1}.W"], (2, 3, 1, 0)), w[f"conv{i + 1}.b"]])
    dense = [a for a in model.layers if isinstance(a, K.Dense)]
    for i, layer in enumerate(dense):
        layer.set_weights([w[f"affine{i + 1}.W"], w[f"affine{i + 1}.b"]])
    model.layers[-3].set_weights([w["layernorm1.gamma"], w["layernorm1.beta"]])
    return model


def numpy_mixer(w):
    def linear(x, name, bias=True):
        out = np.dot(x, w[name + ".W"])
        return out + w[name + ".b"] if bias else out

    def gelu(x):
        return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * np.power(x, 3))))

    def forward(x):
        h = linear(x, "first")
        mean = h.mean(axis=-1, keepdims=True)
        std = np.sqrt(h.var(axis=-1, keepdims=True) + 1e-5)
        h = w["norm1.gamma"] * (h - mean) / std + w["norm1.beta"]
        h = gelu(h)
        h = linear(h, "second")
        h = (h - w["norm2.running_mean"]) / np.sqrt(w["norm2.running_var"] + 1e-5)
        h = w["norm2.gamma"] * h + w["norm2.beta"]
        h = np.where(h > 0, h, np.exp(h) - 1)
        h = h + x
        h = np.tanh(linear(h, "third", bias=False))
        return linear(h, "last")

    return forward


def numpy_lenet(w):
    def conv(x, kernel, bias, pad):
        x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        n, _c, h, width = x.shape
        f, _, kh, kw = kernel.shape
        out = np.zeros((n, f, h - kh + 1, width - kw + 1), x.dtype)
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                patch = x[:, :, i : i + kh, j : j + kw]
                out[:, :, i, j] = np.tensordot(patch, kernel, axes=([1, 2, 3], [1, 2, 3])) + bias
        return out

    def maxpool(x, size, stride):
        rows = -(-(x.shape[2] - size) // stride) + 1
        columns = -(-(x.shape[3] - size) // stride) + 1
        out = np.empty((*x.shape[:2], rows, columns), x.dtype)
        for i in range(rows):
            for j in range(columns):
                a, b = i * stride, j * stride
                out[:, :, i, j] = x[:, :, a : a + size, b : b + size].max(axis=(2, 3))
        return out

    def forward(x):
        x = np.tanh(conv(x, w["conv1.W"], w["conv1.b"], 2))
        n, c, h, width = x.shape
        x = x.reshape(n, c, h // 2, 2, width // 2, 2).mean(axis=(3, 5))
        x = np.maximum(conv(x, w["conv2.W"], w["conv2.b"], 0), 0)
        x = maxpool(x, 3, 2)
        x = x.reshape(n, -1)
        x = 1 / (1 + np.exp(-(x @ w["affine1.W"] + w["affine1.b"])))
        x = x @ w["affine2.W"] + w["affine2.b"]
        x = (x - x.mean(1)[:, None]) / np.sqrt(x.var(1)[:, None] + 1e-5)
        x = x * w["layernorm1.gamma"] + w["layernorm1.beta"]
        return np.maximum(x, 0) @ w["affine3.W"] + w["affine3.b"]

    return forward


KERAS = {"bottleneck": keras_bottleneck, "lenet": keras_lenet}
NUMPY = {"mixer": numpy_mixer, "lenet": numpy_lenet}
B, M, L = "bottleneck", "mixer", "lenet"

IN_KERAS = {
    "SAME in place of the padding": (
        B,
        "conv0",
        [
            ("x = K.ZeroPadding2D(pad)(x)", "pass"),
            ('padding="valid", groups', 'padding="same", groups'),
        ],
        "pad|edge|side|shift",
    ),
    "the pool with SAME": (
        B,
        "pool0",
        [
            ("x = K.ZeroPadding2D(1)(x)\n", "pass\n"),
            ("K.MaxPooling2D(3, 2)", "K.MaxPooling2D(3, 2, padding='same')"),
        ],
        "pad|edge|side|shift",
    ),
    "default eps": (B, "bn0", [("momentum=0.9, epsilon=1e-5", "momentum=0.9")], r"eps.*0\.001"),
    "PyTorch's momentum": (B, "bn0", [("momentum=0.9", "momentum=0.1")], "momentum"),
    "default momentum": (B, "bn0", [("momentum=0.9, ", "")], "momentum"),
    "kernel transposed wrongly": (
        B,
        "conv0",
        [("transpose(2, 3, 1, 0)", "transpose(3, 2, 1, 0)")],
        "transpos|exchang",
    ),
    "kernel reshaped": (
        L,
        "conv2",
        [
            (
                'np.transpose(w[f"conv{i + 1}.W"], (2, 3, 1, 0))',
                'w[f"conv{i + 1}.W"].reshape(layer.kernel.shape) if i else '
                'np.transpose(w["conv1.W"], (2, 3, 1, 0))',
            )
        ],
        "order|reshap|read",
    ),
    "the stride on the first": (
        B,
        "conv1",
        [
            ('conv(x, "conv1", 1, 6)', 'conv(x, "conv1", 1, 6, strides=2)'),
            (
                'conv(y, "conv2", 3, 6, strides=2, pad=1, groups=2)',
                'conv(y, "conv2", 3, 6, pad=1, groups=2)',
            ),
        ],
        "stride",
    ),
    "mean and variance exchanged": (
        B,
        "bn0",
        [
            ('"running_mean", "running_var")', '"running_var", "running_mean")'),
            ('[w[f"{name}.{key}"]', '[abs(w[f"{name}.{key}"])'),
        ],
        "mean|var|exchang|statistics",
    ),
    "maximum of the image": (
        B,
        "gap",
        [("K.GlobalAveragePooling2D()", "K.GlobalMaxPooling2D()")],
        "max|largest",
    ),
    "one activation too few": (
        B,
        "relu3",
        [("K.ReLU()(K.Add()([y, s]))", "K.Add()([y, s])")],
        "missing",
    ),
    "flatten in Keras' order": (L, "flatten1", [("K.Permute((3, 1, 2)),", "")], "NHWC|order"),
    "VALID for SAME": (
        L,
        "conv1",
        [
            (
                'K.Conv2D(6, 5, padding="same", activation="tanh")',
                'K.Conv2D(6, 5, activation="tanh"), K.ZeroPadding2D(2)',
            )
        ],
        "pad|edge",
    ),
    "default eps of the layer norm": (
        L,
        "layernorm1",
        [("LayerNormalization(epsilon=1e-5)", "LayerNormalization()")],
        r"eps.*0\.001",
    ),
    "softmax in the head": (
        L,
        "affine3",
        [("K.Dense(5),", 'K.Dense(5, activation="softmax"),')],
        "softmax",
    ),
    "ReLU6": (
        B,
        "relu1",
        [
            (
                'K.ReLU()(norm(conv(x, "conv1", 1, 6), "bn1"))',
                'K.ReLU(6)(norm(conv(x, "conv1", 1, 6), "bn1"))',
            )
        ],
        "6",
    ),
    "hard sigmoid": (
        L,
        "sigmoid1",
        [('activation="sigmoid"', 'activation="hard_sigmoid"')],
        "hard",
    ),
    "maximum for the average": (
        L,
        "avg_pool1",
        [("K.AveragePooling2D(2)", "K.MaxPooling2D(2)")],
        "max|largest",
    ),
    "multiplied, not added": (
        B,
        "add1",
        [("K.Add()([y, s])", "K.Multiply()([y, s])")],
        "multipl|product",
    ),
}

IN_NUMPY = {
    "statistics of the batch": (
        M,
        "norm2",
        [
            (
                'h = (h - w["norm2.running_mean"]) / np.sqrt(w["norm2.running_var"] + 1e-5)',
                "h = (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5)",
            )
        ],
        "batch",
    ),
    "unbiased": (
        M,
        "norm1",
        [("h.var(axis=-1, keepdims=True)", "h.var(axis=-1, ddof=1, keepdims=True)")],
        "n - 1|unbiased",
    ),
    "norm over the rows": (
        M,
        "norm1",
        [
            ("mean = h.mean(axis=-1, keepdims=True)", "mean = h.mean(axis=0, keepdims=True)"),
            ("h.var(axis=-1, keepdims=True)", "h.var(axis=0, keepdims=True)"),
        ],
        "row|batch|axis",
    ),
    "GELU of the other kind": (
        M,
        "act1",
        [
            (
                "return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * np.power(x, 3))))",
                "return x / (1.0 + np.exp(-1.702 * x))",
            )
        ],
        "1.702|quick|sigmoid",
    ),
    "the constant of GELU without its root": (
        M,
        "act1",
        [("np.sqrt(2.0 / np.pi)", "(2.0 / np.pi)")],
        "root|constant|GELU|function",
    ),
    "the cube forgotten": (
        M,
        "act1",
        [(" + 0.044715 * np.power(x, 3)", "")],
        "cube|0.044715|GELU|function",
    ),
    "ELU without its 1": (M, "act2", [("np.exp(h) - 1", "np.exp(h)")], "1|function"),
    "no residual": (M, "add1", [("h = h + x", "h = h")], "missing"),
    "weights transposed": (
        M,
        "second",
        [
            (
                'out = np.dot(x, w[name + ".W"])',
                'out = np.dot(x, w[name + ".W"].T if name == "second" else w[name + ".W"])',
            )
        ],
        "transpos",
    ),
    "dropout that scales at test": (
        M,
        "drop",
        [('return linear(h, "last")', 'return linear(0.75 * h, "last")')],
        "0.75|dropout|scale",
    ),
    "kernel turned": (
        L,
        "conv1",
        [('conv(x, w["conv1.W"]', 'conv(x, w["conv1.W"][:, :, ::-1, ::-1]')],
        "flip",
    ),
    "flattened channels last": (
        L,
        "flatten1",
        [("x = x.reshape(n, -1)", "x = x.transpose(0, 2, 3, 1).reshape(n, -1)")],
        "NHWC|order",
    ),
    "flattened with F order": (
        L,
        "flatten1",
        [("x = x.reshape(n, -1)", "x = x.reshape(n, -1, order='F')")],
        "order",
    ),
    "sigmoid as tanh": (
        L,
        "sigmoid1",
        [
            (
                '1 / (1 + np.exp(-(x @ w["affine1.W"] + w["affine1.b"])))',
                'np.tanh(x @ w["affine1.W"] + w["affine1.b"])',
            )
        ],
        "tanh",
    ),
    "no bias": (
        L,
        "conv2",
        [('conv(x, w["conv2.W"], w["conv2.b"], 0)', 'conv(x, w["conv2.W"], 0, 0)')],
        "bias|b ",
    ),
    "eps outside": (
        L,
        "layernorm1",
        [("np.sqrt(x.var(1)[:, None] + 1e-5)", "(x.std(1)[:, None] + 1e-5)")],
        "eps",
    ),
}
