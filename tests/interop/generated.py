"""Graphs of random layers: branches, sums, dense connections, every operator, every option."""

from __future__ import annotations

import numpy as np

from handgrad import nn
from handgrad.errors import HandgradError
from handgrad.interop.rebuild import GraphModel


def _pick(rng, *choices):
    return choices[int(rng.integers(len(choices)))]


def _image_layer(rng, shape):
    C = shape[0]
    k = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    flag = [bool(n) for n in rng.integers(0, 2, 4)]
    groups = _pick(rng, *[g for g in (1, 2, 3, C) if C % g == 0])
    size = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    pad = tuple(int(rng.integers(0, s // 2 + 1)) for s in size)
    pool = {
        "size": size,
        "stride": tuple(int(n) for n in rng.integers(1, 4, 2)),
        "pad": pad,
        "ceil_mode": flag[0],
    }
    return _pick(
        rng,
        {
            "layer": "Conv2d",
            "num_filters": groups * int(rng.integers(1, 5)),
            "filter_size": k,
            "groups": groups,
            "stride": tuple(int(n) for n in rng.integers(1, 3, 2)),
            "pad": tuple(int(n) for n in rng.integers(0, 3, 2)),
            "dilation": _pick(rng, (1, 1), (1, 1), (2, 1), (2, 2)),
            "bias": flag[1],
        },
        {
            "layer": "Conv2d",
            "num_filters": int(rng.integers(1, 7)),
            "filter_size": 3,
            "pad": 1,
            "bias": flag[1],
        },
        {
            "layer": "ConvTranspose2d",
            "num_filters": int(rng.integers(1, 5)),
            "filter_size": k,
            "stride": (2, 1),
            "output_pad": _pick(rng, (0, 0), (1, 0)),
            "pad": _pick(rng, (0, 0), (1, 0)),
            "bias": flag[1],
        },
        {"layer": "BatchNorm", "eps": _pick(rng, 1e-5, 1e-3), "scale": flag[2], "shift": flag[3]},
        {"layer": "BatchNorm"},
        {"layer": "GroupNorm", "groups": groups, "scale": flag[2], "shift": flag[3]},
        {"layer": "LayerNorm", "scale": flag[2]},
        {"layer": "InstanceNorm", "shift": flag[3]},
        {"layer": "MaxPool", **pool},
        {"layer": "AvgPool", **pool, "count_include_pad": flag[1]},
        {
            "layer": "Upsample",
            "scale": _pick(rng, 2, (1, 2)),
            "mode": _pick(rng, "nearest", "bilinear"),
        },
        {"layer": "PReLU", "shared": flag[0]},
        {
            "layer": "handgrad.interop.extras:Pad",
            "pads": tuple(int(n) for n in rng.integers(0, 3, 4)),
        },
    )


def _row_layer(rng, shape):
    flag = [bool(n) for n in rng.integers(0, 2, 2)]
    return _pick(
        rng,
        {"layer": "Affine", "width": int(rng.integers(2, 9)), "bias": flag[0]},
        {"layer": "Affine", "width": int(rng.integers(2, 9))},
        {"layer": "BatchNorm", "scale": flag[0], "shift": flag[1]},
        {"layer": "LayerNorm", "shift": flag[1]},
        {"layer": "PReLU"},
        {"layer": "Dropout", "p": 0.7},
    )


def _any_layer(rng, shape):
    return _pick(
        rng,
        {"layer": "ReLU"},
        {"layer": "ReLU"},
        {"layer": "Sigmoid"},
        {"layer": "Tanh"},
        {"layer": "Softplus"},
        {"layer": "LeakyReLU", "alpha": 0.1},
        {"layer": "ELU", "alpha": 0.8},
        {"layer": "GELU", "approximate": _pick(rng, "none", "tanh")},
        {"layer": "Maxout", "pieces": 2 if shape[0] % 2 == 0 else 1},
        {"layer": "handgrad.interop.extras:Scale", "factor": 0.5},
    )


def graph(seed: int) -> GraphModel:
    """The network number `seed`."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 5)), int(rng.integers(5, 10)), int(rng.integers(5, 10)))
    nodes, shapes = [], {"x": shape}
    last = "x"
    for i in range(int(rng.integers(4, 13))):
        name = f"n{i}"
        here = shapes[last]
        same = [n for n, s in shapes.items() if s == here]
        alike = [n for n, s in shapes.items() if s[1:] == here[1:] and len(s) == len(here)]
        kind = rng.random()
        if kind < 0.12 and len(same) > 1:
            table = {"layer": "Add", "inputs": [last, _pick(rng, *same)]}
        elif kind < 0.2 and len(alike) > 1 and here[0] < 12:
            table = {"layer": "Concat", "inputs": [last, _pick(rng, *alike)]}
        elif len(here) == 3 and kind > 0.93:
            table = {"layer": _pick(rng, "Flatten", "GlobalAvgPool"), "inputs": [last]}
        else:
            own = _image_layer if len(here) == 3 else _row_layer
            table = {**(_any_layer if rng.random() < 0.35 else own)(rng, here), "inputs": [last]}
        options = {k: v for k, v in table.items() if k != "inputs"}
        try:
            layer = nn.build_layer(options)
            layer.weights(*(shapes[n] for n in table["inputs"]))
            out = layer.shape(*(shapes[n] for n in table["inputs"]))
        except HandgradError:
            continue  # it does not fit the image
        if int(np.prod(out)) > 4000:
            continue
        nodes.append({**table, "name": name})
        shapes[name] = out
        last = name
    nodes.append({"name": "scores", "layer": "Affine", "width": 3, "inputs": [last]})
    used = {"scores"}
    for node in reversed(nodes):
        if node["name"] in used:
            used.update(node["inputs"])
    net = GraphModel([n for n in nodes if n["name"] in used], input_shape=shape, rng=seed)
    X = rng.standard_normal((6, *shape)).astype(np.float32)
    for _ in range(2):
        net.loss(X, rng.integers(0, 3, 6))
    for w in net.params.values():
        w += (0.1 * rng.standard_normal(w.shape)).astype(w.dtype)
    return net
