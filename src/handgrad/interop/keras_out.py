"""A network as a ``.keras`` file, for any backend of Keras 3.

Images are channels last there, (N, H, W, C).  The weights of convolutions, and of affine layers that see
an image, are sorted accordingly.  The archive also holds ``handgrad.json``: class names and metadata.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from handgrad.errors import OperationError
from handgrad.interop.columns import Columns
from handgrad.interop.network import Network, Node, identifiers
from handgrad.interop.numpy_images import window_counts
from handgrad.interop.numpy_out import more_of
from handgrad.interop.onnx_out import metadata
from handgrad.interop.optional import library

_LOWEST = float(np.finfo(np.float32).min)


def file(network: Network, *, bare: bool = False) -> bytes:
    """Return the bytes of the ``.keras`` file."""
    model = keras_model(network, bare=bare)
    with TemporaryDirectory() as folder:
        path = Path(folder, "network.keras")
        model.save(path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("handgrad.json", json.dumps(metadata(network, bare=bare)))
        return path.read_bytes()


def keras_model(network: Network, *, bare: bool = False) -> Any:
    """Return the network as a functional model of Keras.

    Raises OperationError that names, all at once, the layers that Keras has no counterpart for.
    """
    builder = _Builder(network)
    keras = builder.keras
    values: dict[str, Any] = {}
    inputs = []
    for name, shape in network.inputs.items():
        images = network.images
        prepared = images.mean is not None and not bare
        first = images.raw_shape(shape) if prepared else shape
        given = keras.Input(_last(first), name=builder.names[name], dtype=network.dtype.name)
        inputs.append(given)
        if prepared:
            x = given if images.columns is None else builder.columns(images.columns, given)
            given = builder.normalization(images.raw, images.mean, images.std, shape)(x)
        values[name] = given
    foreign = []
    for node in network.nodes:
        if any(name not in values for name in node.inputs):
            continue
        try:
            values[node.name] = LAYERS[node.op](builder, node, [values[n] for n in node.inputs])
        except _NoCounterpart as error:
            foreign.append(f"{node.name} ({error})")
    if foreign:
        raise OperationError(f"export to Keras: there is no counterpart for {'; '.join(foreign)}")
    model = keras.Model(
        inputs if len(inputs) > 1 else inputs[0],
        values[network.output],
        name=builder.names[network.name],
    )
    for layer, arrays in builder.weights:
        layer.set_weights(arrays)
    return model


class _NoCounterpart(Exception):
    """Of a layer; says what it has that Keras lacks."""


class _Builder:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.keras = library("keras", "export to Keras")
        names = [*network.inputs, *(n.name for n in network.nodes), network.name]
        self.names = identifiers(names)
        self.weights: list[tuple[Any, list[np.ndarray]]] = []
        self.made: dict[tuple[str, ...], Any] = {}

    def layer(self, kind: str, node: Node | None = None, arrays: Any = (), **options: Any) -> Any:
        """Make a layer, once for each set of parameters."""
        key = tuple(sorted(node.params.values())) if node else ()
        if key and key in self.made:
            return self.made[key]
        options["dtype"] = self.network.dtype.name
        if node:
            options["name"] = self.names[node.name]
        layer = getattr(self.keras.layers, kind)(**options)
        if arrays:
            self.weights.append((layer, list(arrays)))
        if key:
            self.made[key] = layer
        return layer

    def columns(self, columns: Columns, x: Any) -> Any:
        """The D numbers that are made of the K of a table's columns."""
        ops, kind = self.keras.ops, self.network.dtype.name
        v = ops.take(x, columns.source, axis=1)
        missing = ops.isnan(v)
        out = ops.where(missing, columns.fill.astype(kind), v)
        if columns.is_level.any():
            marks = ops.equal(v, np.where(columns.is_level, columns.level, -2.0).astype(kind))
            out = ops.where(columns.is_level, ops.cast(marks, kind), out)
        if columns.gap.any():
            out = ops.where(columns.gap, ops.cast(missing, kind), out)
        return out

    def normalization(self, name: str, mean: Any, std: Any, shape: tuple[int, ...]) -> Any:
        """A layer that standardizes rows of `shape`."""
        mean, std = (np.broadcast_to(np.asarray(a, np.float64), shape) for a in (mean, std))
        if len(shape) > 1:
            mean, std = (np.moveaxis(a, 0, -1) for a in (mean, std))
        if std.min() < 1e-6:  # Normalization takes no deviation below 1e-7
            return self.keras.layers.Rescaling(
                scale=(1 / std).tolist(), offset=(-mean / std).tolist(), name=name,
                dtype=self.network.dtype.name,
            )  # fmt: skip
        each = len(shape) == 3 and all((a == a[:1, :1]).all() for a in (mean, std))
        if each:
            mean, std = mean[0, 0], std[0, 0]
        axis = -1 if each else tuple(range(1, len(shape) + 1))
        # the layer would broadcast lists by itself, but its file needs them as lists
        return self.keras.layers.Normalization(
            axis=axis, mean=mean.tolist(), variance=(std**2).tolist(), name=name,
            dtype=self.network.dtype.name,
        )  # fmt: skip


def _last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with channels last."""
    return (*shape[1:], shape[0]) if len(shape) > 1 else shape


def _affine(b: _Builder, node: Node, xs: list[Any]) -> Any:
    W, before = node.arrays["W"], b.network.shapes[node.inputs[0]]
    x = xs[0]
    if len(before) == 3:
        W = W.reshape(*before, -1).transpose(1, 2, 0, 3).reshape(W.shape)
        x = b.keras.layers.Flatten(dtype=b.network.dtype.name)(x)
    elif len(before) != 1:
        x = b.keras.layers.Flatten(dtype=b.network.dtype.name)(x)
    arrays = [W] + ([node.arrays["b"]] if "b" in node.arrays else [])
    return b.layer("Dense", node, arrays, units=W.shape[1], use_bias="b" in node.arrays)(x)


def _conv(b: _Builder, node: Node, xs: list[Any]) -> Any:
    o, W = node.options, node.arrays["W"]
    reach = [d * (n - 1) + 1 for d, n in zip(o["dilation"], W.shape[2:], strict=True)]
    if max(o["stride"]) > 1 and max(o["dilation"]) > 1:
        raise _NoCounterpart("a stride and a dilation above 1 at once")
    same = tuple(o["stride"]) == (1, 1) and all(
        2 * p == r - 1 for p, r in zip(o["pad"], reach, strict=True)
    )
    x = xs[0] if same else _zero_padded(b, xs[0], o["pad"])
    arrays = [W.transpose(2, 3, 1, 0)] + ([node.arrays["b"]] if "b" in node.arrays else [])
    layer = b.layer(
        "Conv2D", node, arrays, filters=len(W), kernel_size=W.shape[2:], strides=tuple(o["stride"]),
        padding="same" if same else "valid", dilation_rate=tuple(o["dilation"]), groups=o["groups"],
        use_bias="b" in node.arrays,
    )  # fmt: skip
    return layer(x)


def _zero_padded(b: _Builder, x: Any, pad: Any) -> Any:
    if not any(pad):
        return x
    return b.layer("ZeroPadding2D", padding=tuple(int(p) for p in pad))(x)


def _conv_transpose(b: _Builder, node: Node, xs: list[Any]) -> Any:
    o, W = node.options, node.arrays["W"]
    before = b.network.shapes[node.inputs[0]][1:]
    if max(o["stride"]) > 1 and max(o["dilation"]) > 1:
        raise _NoCounterpart("a stride and a dilation above 1 at once")
    crops = []
    for axis in (0, 1):
        reach = o["dilation"][axis] * (W.shape[2 + axis] - 1) + 1
        whole = (before[axis] - 1) * o["stride"][axis] + max(reach, o["stride"][axis])
        crops.append((o["pad"][axis], whole - o["pad"][axis] - node.shape[1 + axis]))
    if min(min(crop) for crop in crops) < 0:
        raise _NoCounterpart("an output_pad that is larger than its pad")
    groups, filters = o["groups"], W.shape[1]
    outs, channels = [], len(W) // groups
    for g in range(groups):  # Keras has no groups here: a layer for each
        part = W[g * channels : (g + 1) * channels].transpose(2, 3, 1, 0)
        bias = [node.arrays["b"][g * filters : (g + 1) * filters]] if "b" in node.arrays else []
        layer = b.layer(
            "Conv2DTranspose", node if groups == 1 else None, [part, *bias], filters=filters,
            kernel_size=W.shape[2:], strides=tuple(o["stride"]),
            dilation_rate=tuple(o["dilation"]), use_bias=bool(bias),
        )  # fmt: skip
        x = xs[0] if groups == 1 else xs[0][..., g * channels : (g + 1) * channels]
        outs.append(layer(x))
    out = outs[0] if groups == 1 else b.layer("Concatenate", axis=-1)(outs)
    crops_text = tuple((int(x), int(y)) for x, y in crops)
    return b.layer("Cropping2D", cropping=crops_text)(out) if np.any(crops) else out


def _norm(b: _Builder, node: Node, xs: list[Any]) -> Any:
    arrays = [node.arrays[role] for role in ("gamma", "beta") if role in node.arrays]
    options = {"epsilon": node.options["eps"], "axis": -1,
               "center": "beta" in node.arrays, "scale": "gamma" in node.arrays}  # fmt: skip
    if node.op == "batchnorm":
        arrays += [node.arrays[role] for role in ("mean", "var")]
        options["momentum"] = node.options["momentum"]
        return b.layer("BatchNormalization", node, arrays, **options)(xs[0])
    if node.op == "layernorm":
        return b.layer("LayerNormalization", node, arrays, **options)(xs[0])
    options["groups"] = node.options.get("groups", node.shape[0])
    return b.layer("GroupNormalization", node, arrays, **options)(xs[0])


def _prelu(b: _Builder, node: Node, xs: list[Any]) -> Any:
    a, ndim = node.arrays["a"], len(node.shape)
    shared = list(range(1, ndim + (a.size == 1 and node.shape[0] > 1)))
    shape = [1] * (ndim - 1) + [a.size]
    return b.layer("PReLU", node, [a.reshape(shape)], shared_axes=shared or None)(xs[0])


def _maxout(b: _Builder, node: Node, xs: list[Any]) -> Any:
    shape = (*_last(node.shape), node.options["pieces"])
    return b.keras.ops.max(b.layer("Reshape", target_shape=shape)(xs[0]), axis=-1)


def _pool(b: _Builder, node: Node, xs: list[Any]) -> Any:
    o, before = node.options, b.network.shapes[node.inputs[0]]
    more = more_of(node, before)
    sides = tuple((int(p), int(p + m)) for p, m in zip(o["pad"], more, strict=True))
    options = {"pool_size": tuple(o["size"]), "strides": tuple(o["stride"])}
    if node.op == "max_pool":
        x = xs[0]
        if any(map(any, sides)):
            x = b.keras.ops.pad(x, ((0, 0), *sides, (0, 0)), constant_values=_LOWEST)
        return b.layer("MaxPooling2D", node, **options)(x)
    x = b.layer("ZeroPadding2D", padding=sides)(xs[0]) if any(map(any, sides)) else xs[0]
    out = b.layer("AveragePooling2D", node, **options)(x)
    ones = np.zeros((1, *before), b.network.dtype)
    counts = window_counts(ones, o["size"], o["stride"], o["pad"], more, o["count_include_pad"])
    factor = o["size"][0] * o["size"][1] / counts
    if (factor == 1).all():
        return out
    return b.keras.ops.multiply(out, factor.astype(b.network.dtype).transpose(0, 2, 3, 1))


def _upsample(b: _Builder, node: Node, xs: list[Any]) -> Any:
    options = {"size": tuple(node.options["scale"]), "interpolation": node.options["mode"]}
    return b.layer("UpSampling2D", node, **options)(xs[0])


def _flatten(b: _Builder, node: Node, xs: list[Any]) -> Any:
    x = xs[0]
    if len(b.network.shapes[node.inputs[0]]) == 3:
        x = b.layer("Permute", dims=(3, 1, 2))(x)
    return b.layer("Flatten", node)(x)


def _reshape(b: _Builder, node: Node, xs: list[Any]) -> Any:
    """Of sequences that become images of one row, or back: their channels are last in both.

    Rows that become images have their channels first, and these go to the end.
    """
    before = b.network.shapes[node.inputs[0]]
    if len(before) == 1 and len(node.shape) == 3:
        images = b.layer("Reshape", target_shape=node.shape)(xs[0])
        return b.layer("Permute", node, dims=(2, 3, 1))(images)
    if {len(before), len(node.shape)} != {2, 3} or before[0] != node.shape[0]:
        raise _NoCounterpart(f"from {before} to {node.shape}")
    return b.layer("Reshape", node, target_shape=_last(node.shape))(xs[0])


def _permute(b: _Builder, node: Node, xs: list[Any]) -> Any:
    order = node.options["order"]
    if len(order) != 3:
        return b.layer("Permute", node, dims=tuple(i + 1 for i in order))(xs[0])
    place = {0: 2, 1: 0, 2: 1}  # of a channels-first axis among the channels-last ones
    dims = tuple(place[order[axis]] + 1 for axis in (1, 2, 0))
    return b.layer("Permute", node, dims=dims)(xs[0])


def _pad(b: _Builder, node: Node, xs: list[Any]) -> Any:
    top, bottom, left, right = node.options["pads"]
    sides = ((0, 0), (top, bottom), (left, right), (0, 0))
    return b.keras.ops.pad(xs[0], sides, constant_values=node.options["value"])


def _gelu(b: _Builder, node: Node, xs: list[Any]) -> Any:
    return b.keras.ops.gelu(xs[0], approximate=node.options["approximate"] == "tanh")


def _named(kind: str, **options: Any) -> Callable[[_Builder, Node, list[Any]], Any]:
    def make(b: _Builder, node: Node, xs: list[Any]) -> Any:
        given = {k: node.options[v[1:]] if str(v)[:1] == "@" else v for k, v in options.items()}
        return b.layer(kind, node, **given)(xs[0] if len(xs) == 1 else xs)

    return make


def _dropout(b: _Builder, node: Node, xs: list[Any]) -> Any:
    return b.layer("Dropout", node, rate=round(1 - node.options["p"], 12))(xs[0])


def _standardize(b: _Builder, node: Node, xs: list[Any]) -> Any:
    mean, std = node.arrays["mean"], node.arrays["std"]
    return b.normalization(b.names[node.name], mean, std, node.shape)(xs[0])


LAYERS: dict[str, Callable[[_Builder, Node, list[Any]], Any]] = {
    "affine": _affine,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    **dict.fromkeys(("batchnorm", "layernorm", "groupnorm", "instancenorm"), _norm),
    "prelu": _prelu,
    "maxout": _maxout,
    "max_pool": _pool,
    "avg_pool": _pool,
    "global_avg_pool": _named("GlobalAveragePooling2D"),
    "upsample": _upsample,
    "flatten": _flatten,
    "reshape": _reshape,
    "permute": _permute,
    "pad": _pad,
    "gelu": _gelu,
    "relu": _named("Activation", activation="relu"),
    "sigmoid": _named("Activation", activation="sigmoid"),
    "tanh": _named("Activation", activation="tanh"),
    "softplus": _named("Activation", activation="softplus"),
    "leaky_relu": _named("LeakyReLU", negative_slope="@alpha"),
    "elu": _named("ELU", alpha="@alpha"),
    "scale": _named("Rescaling", scale="@factor"),
    "add": _named("Add"),
    "concat": _named("Concatenate", axis=-1),
    "dropout": _dropout,
    "standardize": _standardize,
}
