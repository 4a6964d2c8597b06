"""The sixth set: mistakes in the ports of `sixth`, written before a look at what names them.

Each row: the network, the layer (or those that may be named: a gradient alone shows at the parameters
below), the edits of the port's source or of the file, a pattern of the cause.
"""

from __future__ import annotations

import numpy as np
from interop.strangers_onnx import array, attribute, nodes, renamed, skipped

W, B, D = "wide", "block", "dense"
SHIFTED = "pad|edge|shift|side|later|start"

IN_NUMPY = {
    "kernel turned for a convolution of signals": (
        W,
        "depth",
        [("correlate2d(x[n, c], W[c, 0]", "correlate2d(x[n, c], W[c, 0, ::-1, ::-1]")],
        "flip|turned|180",
    ),
    "padding behind alone": (
        W,
        "stem",
        [
            (
                "x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))",
                "x = np.pad(x, ((0, 0), (0, 0), (pad - (stride == 2 and kh == 3 and x.shape[1] == 3), "
                "pad + (stride == 2 and x.shape[1] == 3)), (pad, pad)))",
            )
        ],
        SHIFTED,
    ),
    "edges repeated": (
        W,
        "depth",
        [
            (
                'mode="same")',
                "mode='valid') if 0 else correlate2d(np.pad(x[n, c], 1, 'edge'), W[c, 0], 'valid')",
            )
        ],
        "edge|replicat|repeat|nearest",
    ),
    "bias of the depthwise twice": (
        W,
        "depth",
        [("+ b[c]", "+ b[c] + b[c]")],
        "bias|twice|2 times| b ",
    ),
    "groups over every fourth channel": (
        W,
        "gn",
        [
            (
                "g = x.reshape(N, groups, C // groups, H, W_)",
                "g = x.reshape(N, C // groups, groups, H, W_).swapaxes(1, 2)",
            ),
            (
                "np.sqrt(var + 1e-5)).reshape(N, C, H, W_)",
                "np.sqrt(var + 1e-5)).swapaxes(1, 2).reshape(N, C, H, W_)",
            ),
        ],
        "group|interleav|every|order",
    ),
    "statistics of the pixel": (
        W,
        "gn",
        [
            ("mu = g.mean(axis=(2, 3, 4), keepdims=True)", "mu = g.mean(axis=2, keepdims=True)"),
            ("var = g.var(axis=(2, 3, 4), keepdims=True)", "var = g.var(axis=2, keepdims=True)"),
        ],
        "pixel|position|axis|axes|place|each",
    ),
    "GELU without its half": (
        W,
        "gelu",
        [("x = 0.5 * x * (1 + erf", "x = x * (1 + erf")],
        "2 times|twice|half|0.5|factor|multipl",
    ),
    "GELU's root forgotten": (W, "gelu", [("erf(x / sqrt(2))", "erf(x)")], "root|erf|GELU|sqrt"),
    "mean of those inside": (
        W,
        "avg",
        [
            (
                ".sum(axis=(4, 5)) / 9",
                ".sum(axis=(4, 5)) / im2col(np.ones_like(x), 3, 3, 2, 1).sum(axis=(4, 5))",
            )
        ],
        "count_include_pad|border|inside",
    ),
    "divided by the wrong window": (
        W,
        "avg",
        [(".sum(axis=(4, 5)) / 9", ".sum(axis=(4, 5)) / 4")],
        "2.25|factor|multipl|times",
    ),
    "corners aligned": (
        W,
        "up",
        [("pos = (np.arange(n * s) + 0.5) / s - 0.5", "pos = np.linspace(0, n - 1, n * s)")],
        "align_corners",
    ),
    "pixels without their half": (
        W,
        "up",
        [("pos = (np.arange(n * s) + 0.5) / s - 0.5", "pos = np.arange(n * s) / s")],
        "half|asymmetric|corner",
    ),
    "fractions exchanged": (
        W,
        "up",
        [
            (
                "x.take(lo, axis) * (1 - frac) + x.take(hi, axis) * frac",
                "x.take(lo, axis) * frac + x.take(hi, axis) * (1 - frac)",
            )
        ],
        "exchang|fraction|weights|neighbour",
    ),
    "mean for the maximum": (
        W,
        "pool",
        [(".max(axis=(3, 5))", ".mean(axis=(3, 5))")],
        "mean|averag",
    ),
    "ReLU6": (W, "relu", [("x = np.maximum(0, x)", "x = np.clip(x, 0, 1)")], "1|cut|clip"),
    "variance for the deviation": (
        W,
        "bn1",
        [
            (
                "xhat = (x - mean) / np.sqrt(var + 1e-5)",
                "xhat = (x - mean) / (np.sqrt(var + 1e-5) if k == 'bn0' else var + 1e-5)",
            )
        ],
        "root|variance|square",
    ),
    "in place, and used again": (
        W,
        "bn1",
        [
            (
                'x = bn(x @ w["fc1.W"] + w["fc1.b"], "bn1")',
                'x = x @ w["fc1.W"] + w["fc1.b"]\n        x -= w["bn1.running_mean"]\n        x = bn(x, "bn1")',  # noqa: E501
            )
        ],
        "mean|twice|subtract",
    ),
    # gradients alone
    "no mean in the gradient of the loss": (
        D,
        "affine3",
        [("ds /= n", "pass")],
        "sum|mean|rows|16|times",
    ),
    "statistics held for constants": (
        D,
        ("batchnorm1", "affine1"),
        [
            (
                "da1 = inv / n * (n * dxhat - dxhat.sum(0) - xhat * (dxhat * xhat).sum(0))",
                "da1 = inv * dxhat",
            )
        ],
        "constant|statistics|mean|through",
    ),
    "weight decay doubled": (
        D,
        ("affine1", "affine2", "affine3"),
        [("g[k] = g[k] + self.reg * p[k]", "g[k] = g[k] + 2 * self.reg * p[k]")],
        "decay|reg|L2|penalt|times W|W ",
    ),
    "derivative of the tanh": (
        D,
        ("tanh1", "layernorm1"),
        [("dl = dt * (1 - t**2)", "dl = dt * (1 - t)")],
        "tanh|derivative|square|1 - ",
    ),
    "gamma's gradient without the normalised": (
        D,
        "layernorm1",
        [("(dl * lhat).sum(0), dl.sum(0)", "(dl * a2).sum(0), dl.sum(0)")],
        "normali|gamma|xhat|input",
    ),
    "gamma forgotten on the way back": (
        D,
        ("layernorm1", "affine2"),
        [('dlhat = dl * p["layernorm1.gamma"]', "dlhat = dl")],
        "gamma",
    ),
    "mask of the wrong tensor": (
        D,
        ("relu1", "batchnorm1"),
        [("dz = dh * (z > 0)", "dz = dh * (xhat > 0)")],
        "mask|ReLU|where|passes",
    ),
}


def both(*edits):
    def edit(graph):
        for one in edits:
            one(graph)

    return edit


def before(kind, op, which=0, **options):
    """A node of `op` in front of the node."""

    def edit(graph):
        from onnx import helper

        node = nodes(graph, kind, which)
        extra = [options.pop("second")] if "second" in options else []
        for i, value in enumerate(extra):
            graph.initializer.append(helper.make_tensor(f"more{i}", 1, value.shape, value.ravel()))
        new = helper.make_node(
            op, [node.input[0], *[f"more{i}" for i in range(len(extra))]], ["before"], **options
        )
        node.input[0] = "before"
        graph.node.insert(list(graph.node).index(node), new)

    return edit


IN_ONNX = {
    "SAME_UPPER": (
        W,
        "stem",
        both(attribute("Conv", "pads", None), attribute("Conv", "auto_pad", "SAME_UPPER")),
        SHIFTED,
    ),
    "auto_pad VALID, padded behind": (W, "stem", attribute("Conv", "pads", [0, 0, 2, 2]), SHIFTED),
    "kernel's rows and columns": (
        W,
        "stem",
        array("Conv", 1, lambda a: a.swapaxes(2, 3)),
        "transpos|exchang|rows",
    ),
    "BGR": (W, "stem", array("Conv", 1, lambda a: a[:, ::-1]), "BGR|revers|channel"),
    "filters of another channel": (
        W,
        "depth",
        array("Conv", 1, lambda a: np.roll(a, 1, 0), 1),
        "roll|order|shift|channel",
    ),
    "dilation 1, padding 1": (
        W,
        "dil",
        both(attribute("Conv", "dilations", [1, 1], 3), attribute("Conv", "pads", [1, 1, 1, 1], 3)),
        "dilation",
    ),
    "bilinear with corners": (
        W,
        "up",
        attribute("Resize", "coordinate_transformation_mode", "align_corners"),
        "corners",
    ),
    "nearest": (
        W,
        "up",
        both(attribute("Resize", "mode", "nearest"), attribute("Resize", "nearest_mode", "floor")),
        "nearest",
    ),
    "GELU by tanh": (W, "gelu", attribute("Gelu", "approximate", "tanh"), "tanh|approx"),
    "weights of half the precision": (
        W,
        "fc1",
        array("Gemm", 1, lambda a: a.astype(np.float16).astype(np.float32)),
        "float16|half|round",
    ),
    "gamma of ones": (
        W,
        "bn1",
        array("BatchNormalization", 1, np.ones_like, 1),
        "gamma|1|scale",
    ),
    "variance given as deviation": (
        B,
        "bn_a",
        array("BatchNormalization", 4, np.sqrt, 0),
        "root|deviation|var",
    ),
    "residual from the wrong place": (
        B,
        ("add1", "bn_s", "short", "act"),
        lambda graph: (
            nodes(graph, "Conv", 2).input.__setitem__(0, nodes(graph, "Conv", 2).input[0])
            or nodes(graph, "Add").input.__setitem__(1, nodes(graph, "Conv", 2).output[0])
        ),
        "bn_s|left out|missing|another|other",
    ),
    "activation behind the second sum": (
        B,
        "add2",
        lambda graph: nodes(graph, "Add", 1).__setattr__("op_type", "Max"),
        "max|largest",
    ),
    "slope of one channel for all": (
        B,
        "act_a",
        array("PRelu", 1, lambda a: np.full_like(a, a.ravel()[0])),
        "slope|shared|first|one|all",
    ),
    "alpha of SELU": (B, "elu", attribute("Elu", "alpha", 1.6733), r"alpha.*1\.67"),
    "matrix read in the other order": (
        B,
        "out",
        array("Gemm", 1, lambda a: a.T.reshape(a.shape), 2),
        "order|read|reshap|transpos",
    ),
    "bias of the wrong Dense": (
        B,
        "fc1",
        lambda graph: nodes(graph, "Gemm").input.__setitem__(2, nodes(graph, "Gemm", 1).input[2]),
        "fc2|another|other|bias",
    ),
    "sigmoid at the end": (
        B,
        "out",
        lambda graph: (
            nodes(graph, "Gemm", 2).output.__setitem__(0, "logits"),
            graph.node.append(
                __import__("onnx").helper.make_node("Sigmoid", ["logits"], [graph.output[0].name])
            ),
        ),
        "sigmoid",
    ),
    "no ReLU behind the sum": (B, "act", skipped("Relu"), "missing|left out"),
    "layer norm without gamma": (
        B,
        "ln",
        array("LayerNormalization", 1, np.ones_like),
        "gamma|scale|1",
    ),
    "an axis too few": (B, "gap", renamed("GlobalAveragePool", "GlobalMaxPool"), "max|largest"),
}

IN_KERAS = {
    "the channels' weights of the other branch": (
        B,
        "bn_b",
        [('norm(conv(y, "b", 6, 3, 1), "bn_b")', 'norm(conv(y, "b", 6, 3, 1), "bn_s")')],
        "bn_s|another|other",
    ),
    "SAME at stride 2": (
        B,
        "a",
        [
            ("x = K.ZeroPadding2D(1)(x)", "pass"),
            (
                "strides=strides, use_bias=False)",
                "strides=strides, use_bias=False, padding='same' if size == 3 else 'valid')",
            ),
        ],
        SHIFTED,
    ),
    "Keras' eps": (B, "bn_a", [("epsilon=1e-5, momentum", "momentum")], r"eps.*0\.001"),
    "slopes of Keras' LeakyReLU": (
        B,
        "act_a",
        [
            ("y = slopes(y)", "y = K.LeakyReLU(negative_slope=0.3)(y)"),
            ('put.append((slopes, [w["act_a.a"].reshape(1, 1, -1)]))', "pass"),
        ],
        r"0\.3|slope",
    ),
    "one slope for each pixel, set by the mean": (
        B,
        "act_a",
        [('w["act_a.a"].reshape(1, 1, -1)', 'np.full((1, 1, 6), w["act_a.a"].mean())')],
        "slope|mean|shared|one|all",
    ),
    "shortcut after the convolution": (
        B,
        ("short", "bn_s"),
        [("s = norm(conv(inputs, ", "s = norm(conv(K.ReLU()(inputs), ")],
        "relu|ReLU|between|input",
    ),
    "average for the sum": (
        B,
        "add1",
        [('K.Activation("relu")(K.add([y, s]))', 'K.Activation("relu")(K.average([y, s]))')],
        "0.5|half|mean|averag",
    ),
    "strided by leaving out": (
        B,
        "short",
        [
            (
                'conv(inputs, "short", 6, 1, 2)',
                'conv(K.AveragePooling2D(2, padding="same")(inputs), "short", 6, 1, 1)',
            )
        ],
        "pool|mean|averag",
    ),
    "GELU for ELU": (B, "elu", [("K.ELU()(ln(h))", "K.Activation('gelu')(ln(h))")], "GELU|gelu"),
    "norm of all rows": (
        B,
        "ln",
        [
            (
                "K.LayerNormalization(epsilon=1e-5)",
                "K.LayerNormalization(epsilon=1e-5, center=False)",
            ),
            ('[w["ln.gamma"], w["ln.beta"]]', '[w["ln.gamma"]]'),
        ],
        "beta|shift",
    ),
    "sum of the wrong tensors": (
        B,
        "add2",
        [("K.add([h, x])", "K.add([h, h])")],
        "twice|another|h|branch|shortcut|2 ",
    ),
    "frozen norm": (
        B,
        "bn_a",
        [
            (
                "layer = K.BatchNormalization(epsilon=1e-5, momentum=0.9)",
                "layer = K.BatchNormalization(epsilon=1e-5, momentum=0.9, trainable=False)",
            )
        ],
        "running|frozen|statistics|test mode",
    ),
}

IN_TORCH = {
    "mean and deviation of ImageNet twice": (
        W,
        "stem",
        [
            (
                "x = F.leaky_relu(self.bn0(self.stem(x)), 0.2)",
                "x = F.leaky_relu(self.bn0(self.stem((x - 0.45) / 0.225)), 0.2)",
            )
        ],
        "subtract|added|scale|mean|multipl|times|-2",
    ),
    "whole numbers": (
        W,
        "stem",
        [
            (
                "x = F.leaky_relu(self.bn0(self.stem(x)), 0.2)",
                "x = F.leaky_relu(self.bn0(self.stem(x.trunc())), 0.2)",
            )
        ],
        "whole|integer|round|trunc",
    ),
    "PyTorch's order of arguments": (
        W,
        "leaky",
        [("self.bn0(self.stem(x)), 0.2)", "self.bn0(self.stem(x)))")],
        r"0\.01",
    ),
    "unbiased at test": (
        W,
        "bn0",
        [
            (
                "net.load_state_dict(state, strict=False)",
                "state['bn0.running_var'] = state['bn0.running_var'] * 16 / 15\n    net.load_state_dict(state, strict=False)",  # noqa: E501
            )
        ],
        "var|1.06|16",
    ),
    "not loaded, since strict is False": (
        W,
        "gn",
        [
            (
                "net.load_state_dict(state, strict=False)",
                "state = {k: v for k, v in state.items() if not k.startswith('gn')}\n    net.load_state_dict(state, strict=False)",  # noqa: E501
            )
        ],
        "gamma|beta|1 and 0|start|loaded",
    ),
    "dropout in front of the activation's norm": (
        W,
        ("drop", "relu", "fc2", "bn1"),
        [
            (
                "x = self.drop(F.relu(self.bn1(self.fc1(x))))",
                "x = F.relu(self.bn1(self.drop(self.fc1(x))))",
            )
        ],
        "drop|order",
    ),
    "softmax over the rows": (
        W,
        "fc2",
        [("return self.fc2(x)", "return F.softmax(self.fc2(x), 0)")],
        "softmax",
    ),
    "no gradient through the first half": (
        W,
        ("avg", "gelu"),
        [("x = F.avg_pool2d(x, 3, 2, 1)", "x = F.avg_pool2d(x.detach(), 3, 2, 1)")],
        "detach|0|stop|gradient|cut",
    ),
    "flattened by columns": (
        W,
        "flat",
        [("x = torch.flatten(x, 1)", "x = torch.flatten(x.transpose(2, 3), 1)")],
        "order|rows and columns|exchang|transpos",
    ),
    "float16 inside": (
        W,
        "dil",
        [("torch.tanh(self.dil(x))", "torch.tanh(self.dil(x.half().float()))")],
        "float16|half|round",
    ),
}
