"""Mistakes that converters put into ONNX files: a file of `strangers`' networks is edited.

Each row: the network, the layer, a function of the file's graph, a pattern of the cause.
"""

from __future__ import annotations

import numpy as np
from onnx import helper, numpy_helper


def nodes(graph, kind, which=0):
    return [n for n in graph.node if n.op_type == kind][which]


def attribute(kind, name, value, which=0):
    def edit(graph):
        node = nodes(graph, kind, which)
        for a in [a for a in node.attribute if a.name == name]:
            node.attribute.remove(a)
        if value is not None:
            node.attribute.append(helper.make_attribute(name, value))

    return edit


def array(kind, place, f, which=0):
    def edit(graph):
        name = nodes(graph, kind, which).input[place]
        tensor = next(t for t in graph.initializer if t.name == name)
        tensor.CopyFrom(
            numpy_helper.from_array(np.ascontiguousarray(f(numpy_helper.to_array(tensor))), name)
        )

    return edit


def renamed(kind, new, which=0):
    def edit(graph):
        nodes(graph, kind, which).op_type = new

    return edit


def inputs(kind, f, which=0):
    def edit(graph):
        node = nodes(graph, kind, which)
        new = f([*node.input])
        del node.input[:]
        node.input.extend(new)

    return edit


def skipped(kind, which=0):
    """Without the node."""

    def edit(graph):
        node = nodes(graph, kind, which)
        for other in graph.node:
            for i, name in enumerate(other.input):
                if name == node.output[0]:
                    other.input[i] = node.input[0]
        graph.node.remove(node)

    return edit


B, U, M, L = "bottleneck", "unet", "mixer", "lenet"

IN_ONNX = {
    "pads of TensorFlow": (B, "conv0", attribute("Conv", "pads", [2, 2, 3, 3]), "pad|edge|side"),
    "pads as top, bottom, left, right": (
        L,
        "conv1",
        attribute("Conv", "pads", [2, 1, 2, 3]),
        "pad|edge|side",
    ),
    "eps": (B, "bn0", attribute("BatchNormalization", "epsilon", 1e-3), "eps"),
    "slope": (U, "act1", attribute("LeakyRelu", "alpha", None), "alpha"),
    "border": (U, "small", attribute("AveragePool", "count_include_pad", 0), "count|border"),
    "corners": (
        U,
        "big",
        attribute("Resize", "coordinate_transformation_mode", "align_corners"),
        "corners",
    ),
    "asymmetric pixels": (
        U,
        "big",
        attribute("Resize", "coordinate_transformation_mode", "asymmetric"),
        "asymmetric|pixel|corner|half",
    ),
    "dilation": (U, "mix", attribute("Conv", "dilations", [1, 2], 2), "dilation"),
    "bridge": (U, "concat1", inputs("Concat", lambda n: n[::-1]), "order"),
    "difference": (B, "add1", renamed("Add", "Sub"), "subtract"),
    "maximum": (B, "gap", renamed("GlobalAveragePool", "GlobalMaxPool"), "largest"),
    "ceil mode": (L, "max_pool1", attribute("MaxPool", "ceil_mode", 0), "ceil"),
    "a product": (B, "add1", renamed("Add", "Mul"), "multipl"),
    "hard sigmoid": (L, "sigmoid1", renamed("Sigmoid", "HardSigmoid"), "hard"),
    "ELU": (U, "act1", renamed("LeakyRelu", "Selu"), "SELU|function"),
    "maximum of the windows": (
        L,
        "avg_pool1",
        attribute("AveragePool", "strides", [1, 1]),
        "stride",
    ),
    "matrix": (M, "first", array("Gemm", 1, lambda w: w.T), "transpos"),
    "filters": (L, "conv1", array("Conv", 1, lambda w: w[:, :, ::-1, ::-1]), "flip"),
    "half the weights": (
        B,
        "conv1",
        array("Conv", 1, lambda w: w.astype(np.float16).astype(np.float32), 1),
        "float16|half",
    ),
    "statistics": (
        B,
        "bn1",
        inputs("BatchNormalization", lambda n: [n[0], n[1], n[2], n[4], n[4]], 1),
        "mean|statistics",
    ),
    "scale": (
        B,
        "bn2",
        inputs("BatchNormalization", lambda n: [n[0], n[2], n[1], n[3], n[4]], 2),
        "gamma and beta",
    ),
    "no activation": (B, "relu0", skipped("Relu"), "missing"),
    "no bias": (L, "conv2", inputs("Conv", lambda n: n[:2], 1), "bias"),
    "groups": (U, "norm2", attribute("GroupNormalization", "num_groups", 2), "group"),
}
