"""The seventh set, as the sixth: other mistakes, and a port whose layers are objects, channels last."""

from __future__ import annotations

from interop.mistakes_sixth import both
from interop.strangers_onnx import array, attribute, inputs, nodes, renamed, skipped

W, B, D = "wide", "block", "dense"
SHIFTED = "pad|edge|shift|side|later|start"

IN_NUMPY = {
    "output size without the last window": (
        B,
        ("a", "b"),
        [
            (
                "x = np.pad(x, [(0, 0), (p, p), (p, p), (0, 0)])",
                "x = np.pad(x, [(0, 0), (p, p), (2 * p, 0), (0, 0)])",
            )
        ],
        SHIFTED,
    ),
    "kernel's axes as HWOI": (
        B,
        "b",
        [('Conv(w["b.W"], 1, 1)', 'Conv(w["b.W"].swapaxes(0, 1), 1, 1)')],
        "transpos|exchang",
    ),
    "norm's beta before the mean": (
        B,
        ("bn_a", "bn_b", "bn_s"),
        [
            (
                'self.scale, self.shift = scale, w[name + ".beta"] - w[name + ".running_mean"] * scale',
                'self.scale, self.shift = scale, w[name + ".beta"] - w[name + ".running_mean"]',
            )
        ],
        "mean|added|shift|subtract",
    ),
    "eps forgotten in one norm": (B, "bn_s", [('Norm("bn_s")', 'Norm("bn_s", 0)')], "eps"),
    "slopes given to the wrong side": (
        B,
        "act_a",
        [('np.where(x >= 0, x, w["act_a.a"] * x)', 'np.where(x < 0, x, w["act_a.a"] * x)')],
        "side|sign|positive|negative",
    ),
    "sum before the norm": (
        B,
        ("add1", "bn_b", "bn_s"),
        [("x = np.maximum(x + y, 0)", "x = np.maximum(x, 0) + y")],
        "relu|ReLU|before|front",
    ),
    "mean over the height alone, then the maximum": (
        B,
        "gap",
        [("x = x.mean(axis=(1, 2))", "x = x.mean(axis=1).max(axis=1)")],
        "mean|max|largest|rows|columns",
    ),
    "deviation of the centred by n - 1": (
        B,
        "ln",
        [
            (
                "np.mean(centred**2, axis=-1, keepdims=True)",
                "(np.sum(centred**2, axis=-1, keepdims=True) / 5)",
            )
        ],
        "n - 1|unbiased|biased",
    ),
    "exponential without its lower half": (
        B,
        "elu",
        [("np.expm1(np.minimum(h, 0))", "2 * np.expm1(np.minimum(h, 0))")],
        "alpha|2",
    ),
    "residual of the normalised": (
        B,
        "add2",
        [("self.out(self.fc2(h) + x)", "self.out(self.fc2(h) + h)")],
        "elu|another|branch|input|shortcut",
    ),
    "stride of the pool": (
        W,
        "avg",
        [
            (
                "x = im2col(x, 3, 3, 2, 1).sum(axis=(4, 5)) / 9",
                "x = im2col(x, 3, 3, 1, 1).sum(axis=(4, 5))[:, :, 1::2, 1::2][:, :, :4, :3] / 9; x = np.pad(x, ((0, 0), (0, 0), (0, 4 - x.shape[2]), (0, 3 - x.shape[3])))",  # noqa: E501
            )
        ],
        "pad|shift|side|later|start|stride",
    ),
    "half precision on the way": (
        W,
        "dil",
        [
            (
                'np.tanh(dilated(x, w["dil.W"], w["dil.b"], 2))',
                'np.tanh(dilated(x.astype(np.float16).astype(float), w["dil.W"], w["dil.b"], 2))',
            )
        ],
        "float16|half|round",
    ),
    "softmax behind the scores": (
        W,
        "fc2",
        [
            (
                'return x @ w["fc2.W"] + w["fc2.b"]',
                'x = x @ w["fc2.W"] + w["fc2.b"]\n        return x - np.log(np.exp(x).sum(0))',
            )
        ],
        "softmax|added|log",
    ),
    # gradients alone
    "weights not transposed on the way back": (
        D,
        ("affine2", "relu1", "batchnorm1"),
        [('dh = da2 @ p["affine2.W"].T', 'dh = da2 @ p["affine2.W"]')],
        "transpos",
    ),
    "the mean's part is forgotten": (
        D,
        ("batchnorm1", "affine1"),
        [("(n * dxhat - dxhat.sum(0) - xhat", "(n * dxhat - xhat")],
        "mean",
    ),
    "beta's gradient is the mean": (
        D,
        "batchnorm1",
        [("(dz * xhat).sum(0), dz.sum(0)", "(dz * xhat).sum(0), dz.mean(0)")],
        "mean|rows|times",
    ),
}

IN_ONNX = {
    "stride of one axis": (W, "stem", attribute("Conv", "strides", [2, 1]), "stride"),
    "the negated slope": (W, "leaky", attribute("LeakyRelu", "alpha", -0.2), r"sign|-0\.2"),
    "groups of two": (W, "gn", attribute("GroupNormalization", "num_groups", 2), "group"),
    "eps of the group norm": (W, "gn", attribute("GroupNormalization", "epsilon", 1e-2), "eps"),
    "ceil mode in place of the pads": (
        W,
        "avg",
        both(attribute("AveragePool", "pads", [0, 0, 1, 1])),
        SHIFTED + "|count|ceil",
    ),
    "cubic": (W, "up", attribute("Resize", "mode", "cubic"), "cubic"),
    "tanh of another form": (W, "tanh", renamed("Tanh", "Softsign"), "softsign"),
    "whole matrix scaled": (W, "fc2", array("Gemm", 1, lambda a: 0.5 * a, 1), r"0\.5|half|multipl"),
    "bias negated": (W, "fc1", array("Gemm", 2, lambda a: -a), "bias|b |sign"),
    "branches take each other's norm": (
        B,
        ("bn_b", "bn_s"),
        lambda graph: [
            (a.input.__setitem__(0, y), b.input.__setitem__(0, x))
            for a, b in [
                (nodes(graph, "BatchNormalization", 1), nodes(graph, "BatchNormalization", 2))
            ]
            for x, y in [(a.input[0], b.input[0])]
        ],
        "bn_s|bn_b|short|another|weights|input|other",
    ),
    "norm left out": (
        B,
        "ln",
        skipped("LayerNormalization"),
        "missing|left out|not there|identity|without|nothing",
    ),
    "Gemm without its bias": (B, "fc2", inputs("Gemm", lambda n: n[:2], 1), "bias"),
}

IN_KERAS = {
    "slopes of every pixel in another order": (
        B,
        "act_a",
        [('w["act_a.a"].reshape(1, 1, -1)', 'w["act_a.a"][::-1].reshape(1, 1, -1)')],
        "order|revers",
    ),
    "padding behind alone": (
        B,
        ("a", "b"),
        [("x = K.ZeroPadding2D(1)(x)", "x = K.ZeroPadding2D(((0, 2), (0, 2)))(x)")],
        SHIFTED,
    ),
    "pooled by the maximum": (
        B,
        "gap",
        [("K.GlobalAveragePooling2D()", "K.GlobalMaxPooling2D()")],
        "max|largest",
    ),
    "the norm's momentum as PyTorch's": (
        B,
        "bn_a",
        [("momentum=0.9", "momentum=0.01")],
        "momentum",
    ),
    "dense layers loaded in order of their names": (
        B,
        ("fc1", "fc2"),
        [
            ('h = fc(x, "fc1", 6)', 'h = fc(x, "fc2", 6)'),
            ('h = fc(h, "fc2", 6)', 'h = fc(h, "fc1", 6)'),
        ],
        "fc2|other|weights",
    ),
    "activation left linear": (
        B,
        "act",
        [('K.Activation("relu")(K.add([y, s]))', 'K.Activation("linear")(K.add([y, s]))')],
        "missing|identity|left out",
    ),
}

IN_TORCH = {
    "average over the windows inside": (
        W,
        "avg",
        [("F.avg_pool2d(x, 3, 2, 1)", "F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)")],
        "count_include_pad|border",
    ),
    "align_corners": (
        W,
        "up",
        [('mode="bilinear")', 'mode="bilinear", align_corners=True)')],
        "align_corners",
    ),
    "pool before the tanh's convolution": (
        W,
        ("dil", "tanh", "pool"),
        [("F.max_pool2d(torch.tanh(self.dil(x)), 2)", "torch.tanh(self.dil(F.max_pool2d(x, 2)))")],
        "pool|front|order|stride|between",
    ),
    "padding by repetition": (
        W,
        "depth",
        [('padding="same", groups=8)', 'padding="same", groups=8, padding_mode="replicate")')],
        "repeat|edge|replicat",
    ),
    "momentum of the first norm": (
        W,
        "bn0",
        [("self.bn0 = tnn.BatchNorm2d(8)", "self.bn0 = tnn.BatchNorm2d(8, momentum=None)")],
        "momentum|running|statistic",
    ),
    "gradient scaled in the middle": (
        W,
        ("relu", "fc2", "drop"),
        [("return self.fc2(x)", "return self.fc2(x.detach() + 0.5 * (x - x.detach()))")],
        r"0\.5|times|multipl",
    ),
}
