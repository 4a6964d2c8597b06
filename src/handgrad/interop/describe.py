"""From a network of layer objects to the neutral form, as it is in test mode and without fusion.

Sequences (C, L) become images of one row (C, 1, L), by a reshape behind the input: what is left of the other
rooms then knows images alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad import nn
from handgrad.errors import OperationError, OptionError, shown
from handgrad.interop.extras import Pad, Permute, Reshape, Scale, Standardize
from handgrad.interop.network import Images, Network, Node, Shape
from handgrad.models.network import CourseDropout
from handgrad.models.norms import CourseBatchNorm, CourseLayerNorm
from handgrad.models.speed import scaled
from handgrad.nn.custom import CustomLayer

_SIMPLE: dict[type, str] = {
    nn.ReLU: "relu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh", nn.Softplus: "softplus",
    nn.LeakyReLU: "leaky_relu", nn.ELU: "elu", nn.GELU: "gelu", nn.PReLU: "prelu",
    nn.Maxout: "maxout", nn.Dropout: "dropout", nn.Flatten: "flatten", nn.Add: "add",
    nn.Concat: "concat", nn.MaxPool: "max_pool", nn.AvgPool: "avg_pool",
    nn.GlobalAvgPool: "global_avg_pool", nn.Upsample: "upsample", nn.Affine: "affine",
    nn.Conv2d: "conv", nn.ConvTranspose2d: "conv_transpose", nn.BatchNorm: "batchnorm",
    nn.GroupNorm: "groupnorm", nn.InstanceNorm: "instancenorm", nn.Whitening: "conv",
    CourseBatchNorm: "batchnorm", CourseDropout: "dropout",
    Pad: "pad", Permute: "permute", Scale: "scale", Standardize: "standardize", Reshape: "reshape",
    nn.Conv1d: "conv", nn.BatchNorm1d: "batchnorm", nn.MaxPool1d: "max_pool", nn.AvgPool1d: "avg_pool",
    nn.GlobalAvgPool1d: "global_avg_pool",
}  # fmt: skip

# operator -> its options that are attributes of the layer object, under the same name
_OPTIONS: dict[str, tuple[str, ...]] = {
    "leaky_relu": ("alpha",),
    "elu": ("alpha",),
    "gelu": ("approximate",),
    "maxout": ("pieces",),
    "conv_transpose": ("stride", "pad", "output_pad", "dilation", "groups"),
    "groupnorm": ("groups",),
    "max_pool": ("size", "stride", "pad", "ceil_mode"),
    "avg_pool": ("size", "stride", "pad", "ceil_mode", "count_include_pad"),
    "upsample": ("scale", "mode"),
    "scale": ("factor",),
    "pad": ("pads", "value"),
    "permute": ("order",),
    "reshape": ("to",),
    "batchnorm": ("momentum",),
}


def describe(model: Any, images: Images | None = None) -> Network:
    """Return the neutral form of `model`, a network of `handgrad.nn` or a ready one.

    Raises OptionError if it is none or is not built, and OperationError that names, all at once, the
    layers that have no neutral form: pairs of one's own.
    """
    if isinstance(model, Network):
        return model if images is None else replace(model, images=images)
    if not isinstance(model, nn.Model):
        raise OptionError(
            f"interop: a network of handgrad.nn or handgrad.models is needed, got {shown(model)}"
        )
    network = _of_model(model)
    if network.dtype.kind == "c":
        raise OptionError(f"interop: {network.name} computes in complex numbers; use real ones")
    return network if images is None else replace(network, images=images)


def _of_model(model: nn.Model) -> Network:
    model.check_params()  # which also says what to do where it is not built
    rows = model._input_shapes
    assert rows is not None
    graph, output = model._record([(1, *row) for row in rows], "test")
    names = {i: "x" if len(rows) == 1 else f"x{i + 1}" for i in range(len(rows))}
    inputs = {names[i]: row for i, row in enumerate(rows)}
    values = {f"{name}_image": _image(row) for name, row in inputs.items()} | dict(inputs)
    needed, wanted = [], {output.index}
    for call in reversed(graph.calls):
        if call.output in wanted:
            needed.append(call)
            wanted.update(call.inputs)
    own = model._in_call(model._own_state())  # layers with what the network keeps for them
    nodes, foreign = [], []
    made: dict[str, int] = {}
    for i, row in enumerate(rows):
        if len(row) == 2:  # sequences are images of one row
            name = f"{names[i]}_image"
            nodes.append(_reshaped(name, names[i], _image(row)))
            names[i] = name
    for call in reversed(needed):
        label = call.label
        if call.layer._root is None:  # made in forward, as Add: it may be called often
            made[label] = made.get(label, 0) + 1
            label = f"{label}{made[label]}"
        while label in names.values():
            label += "_"
        names[call.output] = label
        op = _operator(call.layer, call.shape)
        if op is None:
            foreign.append(f"{label}, {call.layer!r}")
            continue
        layer = own.get(id(call.layer), call.layer)
        if any(i not in names for i in call.inputs):
            continue  # a foreign one stands in front of it
        given = tuple(names[i] for i in call.inputs)
        if op == "reshape" and _image(call.shape[1:]) == _image(values[given[0]]):
            names[call.output] = given[0]
            continue
        arrays, params = _arrays(model, layer)
        options, shape = _options(op, layer), _image(call.shape[1:])
        if op == "standardize" and shape != call.shape[1:]:
            arrays = {role: a[:, None] if a.ndim == 2 else a for role, a in arrays.items()}
        if op == "permute" and len(options["order"]) == 2:
            options["order"] = {(0, 1): (0, 1, 2), (1, 0): (2, 1, 0)}[options["order"]]
        nodes.append(Node(label, op, given, options, arrays, params, shape))
        values[label] = shape
    if foreign:
        raise OperationError(
            f"interop: {type(model).__name__} holds layers that are this library's alone or your own, "
            f"and have no form elsewhere: {'; '.join(foreign)}. Use layers of handgrad.nn in their place"
        )
    if len(output.shape) == 3:
        name = f"{names[output.index]}_rows"
        nodes.append(_reshaped(name, names[output.index], output.shape[1:]))
        names[output.index] = name
    loss = {"name": model._loss.name, **model._loss.options}
    reg = float(model.reg)
    return Network(
        type(model).__name__, inputs, tuple(nodes), names[output.index], Images(), loss, reg,
        tuple(model.decayed),
    )  # fmt: skip


def _image(row: Shape) -> Shape:
    """The shape (C, 1, L) of a sequence (C, L); others stay."""
    return (row[0], 1, row[1]) if len(row) == 2 else row


def _reshaped(name: str, value: str, shape: Shape) -> Node:
    return Node(name, "reshape", (value,), {"to": shape}, {}, {}, shape)


def _operator(layer: nn.Layer, shape: Shape) -> str | None:
    if type(layer) in (nn.LayerNorm, CourseLayerNorm):
        return "layernorm" if len(shape) == 2 else "groupnorm"
    if isinstance(layer, CustomLayer) and layer.pair is scaled:
        return "scale"
    return _SIMPLE.get(type(layer))


def _options(op: str, layer: Any) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if isinstance(layer, CustomLayer):
        return {"factor": float({**layer.pair.defaults, **layer.given}["factor"])}
    if isinstance(layer, nn.Whitening):
        return {"stride": (1, 1), "pad": layer._pad, "dilation": (1, 1), "groups": 1}
    if isinstance(layer, nn.Conv2d):
        options |= layer.conv_param
    if isinstance(layer, nn.Conv1d):
        o = layer.conv1d_param
        return {"stride": (1, o["stride"]), "pad": (0, o["pad"]), "dilation": (1, o["dilation"]),
                "groups": o["groups"]}  # fmt: skip
    if isinstance(layer, nn.MaxPool1d | nn.AvgPool1d):
        options = {"size": (1, layer.size), "stride": (1, layer.stride), "pad": (0, layer.pad),
                   "ceil_mode": False}  # fmt: skip
        if isinstance(layer, nn.AvgPool1d):
            options["count_include_pad"] = layer.count_include_pad
        return options
    if op in ("batchnorm", "layernorm", "groupnorm", "instancenorm"):
        options["eps"] = layer.param.get("eps", 1e-5)
    if isinstance(layer, nn.LayerNorm) and op == "groupnorm":
        return {**options, "groups": getattr(layer, "groups", 1)}
    if isinstance(layer, nn.Dropout):
        options["p"] = layer.param["p"]
    return options | {name: getattr(layer, name) for name in _OPTIONS.get(op, ())}


def _arrays(model: nn.Model, layer: nn.Layer) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    (shapes, *_) = [*layer._shapes, ()]
    params = dict(zip(layer.weights(*shapes) if shapes else (), layer.parameters, strict=True))
    arrays = {role: np.asarray(model.params[name]) for role, name in params.items()}
    if isinstance(layer, nn.Conv1d):
        arrays["W"] = arrays["W"][:, :, None]
    if isinstance(layer, nn.Whitening):
        dtype = next(iter(model.params.values())).dtype if model.params else np.float32
        arrays["W"] = layer.buffers()["W"].astype(dtype)
    if isinstance(layer, nn.BatchNorm):
        (shape, *_) = list(layer._shapes)
        arrays |= _statistics(layer.buffers(), shape[0][0], arrays)
    if isinstance(layer, Standardize):
        arrays |= {"mean": layer.mean, "std": layer.std}
    return arrays, params


def _statistics(
    kept: Mapping[str, Any], channels: int, like: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The running statistics; before the first step those that the pair computes with."""
    dtype = next((a.dtype for a in like.values()), np.dtype(np.float32))
    zeros = np.zeros(channels, dtype)
    return {role: np.asarray(kept.get(f"running_{role}", zeros)) for role in ("mean", "var")}
