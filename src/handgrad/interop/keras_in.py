"""A network from a model of Keras, or from a ``.keras`` file.

Images are (N, H, W, C) in Keras and (N, C, H, W) here: the weights of convolutions, and of dense layers behind
a flattened image, are sorted accordingly, and no number of them changes.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.errors import DataError, HandgradError, OptionError, as_path, shown
from handgrad.interop.network import Images, Network
from handgrad.interop.optional import library
from handgrad.interop.reader import (
    Growing,
    NoCounterpart,
    Unknown,
    Value,
    padded,
    pooled,
    same_pads,
    scaled,
    standardized,
)
from handgrad.interop.rebuild import GraphModel, model_of

Made = Any
_LARGEST = 2 << 30  # bytes that the members of a file may unpack to
_MOST = 200  # times the size of the file, likewise


def from_keras(model: Any, **options: Any) -> GraphModel:
    """Read a model of Keras, or a ``.keras`` file, as a network that trains on.

    Args:
        model: a Sequential or functional model, channels last; or the path of a file.
        **options: those of `handgrad.nn.Model`, as reg and loss.

    Returns:
        A `GraphModel` with the weights and running statistics; it takes images as (N, C, H, W).

    Raises:
        OperationError: layers that have no counterpart, all of them with their names.
        DataError: the file is damaged, unpacks to more than it may, or holds code (Lambda layers, classes of
            other packages).
        OptionError: it is no model, or Keras is missing.
    """
    return model_of(network_of(model), **options)


def network_of(model: Any) -> Network:
    """Return the neutral form of a model of Keras, see `from_keras`."""
    keras = library("keras", "from_keras")
    images = Images()
    if isinstance(model, str | PathLike):
        path = as_path("from_keras", "model", model)
        images = _checked_file(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # of many kinds
            raise DataError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(model, keras.Model):
        raise OptionError(f"from_keras: model must be a model of Keras or a file, got {shown(model)}")
    functional = _functional(keras, model)
    if functional is None:
        raise OptionError(
            "from_keras: the layers of a subclassed model are not known; make a functional or Sequential one, "
            "and call or build it once"
        )
    reader = _Reader(keras, f"from_keras: {model.name}")
    growing = reader.growing
    values = {}
    for tensor in functional.inputs:
        shape = tuple(tensor.shape[1:])
        if not all(isinstance(n, int) and n > 0 for n in shape) or not shape:
            raise OptionError(f"from_keras: the shape of the input {tensor.name} is not known: {tensor.shape}")
        shape = (shape[2], *shape[:2]) if len(shape) == 3 else shape
        values[id(tensor)] = growing.input(tensor.name, shape)
    reader.walk(functional, values)
    outputs = functional.outputs
    if len(outputs) != 1:
        growing.problem(f"{len(outputs)} outputs", "a network has one, its scores")
    output = values.get(id(outputs[0]))
    if isinstance(output, Value) and output.name in reader.softmaxes:
        warnings.warn(
            f"{growing.where}: the softmax at the end is left out; the losses take the scores in front of it",
            stacklevel=3,
        )
        output = reader.softmaxes[output.name]
    return growing.network(model.name, output, images)


def _functional(keras: Any, model: Any) -> Any:
    if isinstance(model, keras.Sequential):
        return getattr(model, "_functional", None)
    return model if hasattr(model, "operations") and hasattr(model, "_nodes") else None


def _checked_file(path: Path) -> Images:
    """Look at a ``.keras`` file before Keras does; return what `export` put into it."""
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            whole = sum(m.file_size for m in members)
            if whole > _LARGEST or whole > max(_MOST * size, 1 << 24) or len(members) > 10_000:
                raise DataError(f"{path} unpacks to {whole:,} bytes, which no network of its size does")
            names = [m.filename for m in members]
            if "config.json" not in names or any(n.startswith("/") or ".." in n.split("/") for n in names):
                raise DataError(f"{path} is no .keras file: its members are {shown(names)}")
            config = json.loads(archive.read("config.json"))
            known = json.loads(archive.read("handgrad.json")) if "handgrad.json" in names else {}
    except HandgradError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # damaged archives raise errors of many kinds
        raise DataError(f"{path} is no .keras file, or damaged: {' '.join(str(error).split())[:200]}") from None
    foreign = sorted(set(_code(config)))
    if foreign:
        raise DataError(f"{path} holds code, which is not run: {', '.join(foreign)[:300]}")
    try:
        classes = tuple(str(n) for n in json.loads(known.pop("class_names", "[]")))
        levels = int(known.pop("levels", 255))
    except (AttributeError, TypeError, ValueError):
        return Images()
    return Images(None, None, levels, classes, {str(k): str(v) for k, v in known.items()})


def _code(config: Any, depth: int = 0) -> list[str]:
    """Lambda layers, and classes that are not Keras' own."""
    if depth > 100:
        return ["a configuration that is nested without end"]
    found: list[str] = []
    if isinstance(config, dict):
        name, module = config.get("class_name"), config.get("module")
        if name in ("Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"):
            found.append(str(name))
        elif config.get("registered_name") and isinstance(module, str) and not module.startswith("keras"):
            found.append(f"{module}.{name}")
        elif isinstance(module, str) and module.partition(".")[0] not in ("keras", "builtins"):
            found.append(f"{module}.{name}")
        for value in config.values():
            found += _code(value, depth + 1)
    elif isinstance(config, list):
        for value in config:
            found += _code(value, depth + 1)
    return found


class _Reader:
    def __init__(self, keras: Any, where: str) -> None:
        self.keras, self.growing = keras, Growing(where)
        self.softmaxes: dict[str, Value] = {}
        self.layouts: dict[str, tuple[int, ...]] = {}  # rows that are a flattened image in HWC order
        self.first: set[str] = set()  # values that Keras sees channels first

    def numbers(self, variable: Any) -> np.ndarray:
        array: np.ndarray = np.array(self.keras.ops.convert_to_numpy(variable))
        return array

    def walk(self, functional: Any, values: dict[int, Any]) -> None:
        """Translate the nodes of a functional model in their order."""
        nodes = functional._nodes_by_depth
        for depth in sorted(nodes, reverse=True):
            for node in nodes[depth]:
                if node.is_input:
                    continue
                given = [values.get(id(t), Unknown()) for t in node.input_tensors]
                for t in node.outputs:
                    values[id(t)] = Unknown()
                if any(isinstance(g, Unknown) for g in given):
                    continue
                values[id(node.outputs[0])] = self.translate(node, given)

    def translate(self, node: Any, given: list[Value]) -> Any:
        layer = node.operation
        kind = type(layer).__name__
        inner = _functional(self.keras, layer) if isinstance(layer, self.keras.Model) else None
        if inner is not None:
            values = {id(t): g for t, g in zip(inner.inputs, given, strict=True)}
            self.walk(inner, values)
            return values.get(id(inner.outputs[0]), Unknown())
        try:
            if kind not in LAYERS:
                raise NoCounterpart("")
            if getattr(layer, "data_format", "channels_last") == "channels_first":
                raise NoCounterpart("channels first")
            keeps = kind in _KEEP
            if not keeps and any(g.name in self.layouts for g in given) and kind != "Dense":
                raise NoCounterpart("on a flattened image that no Dense layer takes")
            if not keeps and any(g.name in self.first for g in given) and kind not in ("Flatten", "Permute"):
                raise NoCounterpart("on images with their channels first")
            out = LAYERS[kind](self, layer, given, node)
            if keeps and given[0].name in self.layouts:
                self.layouts[out.name] = self.layouts[given[0].name]
            if keeps and given[0].name in self.first:
                self.first.add(out.name)
            return self.activated(layer, out, kind)
        except NoCounterpart as error:
            self.growing.problem(f"{layer.name} ({kind})", str(error))
            return Unknown()

    def activated(self, layer: Any, x: Value, kind: str) -> Value:
        """The activation that a layer has built in."""
        if kind in ("Dense", "Conv2D", "DepthwiseConv2D", "Conv2DTranspose", "Activation"):
            return self.activation(self.keras.activations.serialize(layer.activation), x, layer.name, kind)
        return x

    def activation(self, name: Any, x: Value, label: str, kind: str) -> Value:
        label = label if kind == "Activation" else f"{label}.{name}"
        known: dict[str, tuple[str, dict[str, Any]]] = {
            "relu": ("relu", {}), "sigmoid": ("sigmoid", {}), "tanh": ("tanh", {}),
            "softplus": ("softplus", {}), "elu": ("elu", {"alpha": 1.0}),
            "gelu": ("gelu", {"approximate": "none"}), "leaky_relu": ("leaky_relu", {"alpha": 0.2}),
        }  # fmt: skip
        if name in ("linear", None):
            return x
        if name in ("softmax", "log_softmax") and len(x.shape) == 1:
            fresh = self.growing.fresh(label)
            self.softmaxes[fresh] = x
            return Value(fresh, x.shape, x.shape)
        if name not in known:
            raise NoCounterpart(f"the activation {name}")
        op, options = known[str(name)]
        out = self.growing.add(op, [x], options, name=label)
        if x.name in self.layouts:
            self.layouts[out.name] = self.layouts[x.name]
        return out


_KEEP = ("Dropout", "Activation", "ReLU", "LeakyReLU", "ELU", "GELU", "Gelu", "Rescaling", "Identity")


def _sided(r: _Reader, layer: Any, x: Value, reach: Any, stride: Any) -> tuple[Value, tuple[int, int]]:
    if len(x.shape) != 3:
        raise NoCounterpart(f"on rows of {x.shape}")
    if layer.padding == "valid":
        return x, (0, 0)
    if layer.padding != "same":
        raise NoCounterpart(f"padding={layer.padding!r}")
    return padded(r.growing, x, same_pads(x.shape, reach, stride, True), layer.name)


def _dense(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    W = r.numbers(layer.kernel)
    if len(x.shape) != 1:
        raise NoCounterpart(f"on rows of {x.shape}")
    layout = r.layouts.get(x.name)
    if layout is not None:
        C, H, Wd = layout
        W = np.ascontiguousarray(W.reshape(H, Wd, C, -1).transpose(2, 0, 1, 3).reshape(W.shape))
    arrays = {"W": W} | ({"b": r.numbers(layer.bias)} if layer.use_bias else {})
    return r.growing.add("affine", [x], {}, arrays, params=_names(layer, arrays), name=layer.name)


def _names(layer: Any, arrays: Any) -> dict[str, str]:
    return {role: f"{layer.name}.{role}" for role in arrays if role not in ("mean", "var")}


def _conv(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    depthwise = type(layer).__name__ == "DepthwiseConv2D"
    kernel = r.numbers(layer.kernel)  # (rows, columns, C / groups, F), depthwise (rows, columns, C, multiplier)
    if depthwise:
        W = kernel.transpose(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2])
        groups = kernel.shape[2]
    else:
        W, groups = kernel.transpose(3, 2, 0, 1), layer.groups
    stride, dilation = (tuple(int(n) for n in v) for v in (layer.strides, layer.dilation_rate))
    reach = [d * (n - 1) + 1 for d, n in zip(dilation, W.shape[2:], strict=True)]
    x, pad = _sided(r, layer, x, reach, stride)
    arrays = {"W": np.ascontiguousarray(W)} | ({"b": r.numbers(layer.bias)} if layer.use_bias else {})
    options = {"stride": stride, "pad": pad, "dilation": dilation, "groups": groups}
    return r.growing.add("conv", [x], options, arrays, params=_names(layer, arrays), name=layer.name)


def _conv_transpose(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    W = np.ascontiguousarray(r.numbers(layer.kernel).transpose(3, 2, 0, 1))
    stride, dilation = (tuple(int(n) for n in v) for v in (layer.strides, layer.dilation_rate))
    if layer.padding != "valid" or layer.output_padding is not None:
        raise NoCounterpart(f"padding={layer.padding!r}")
    reach = [d * (n - 1) + 1 for d, n in zip(dilation, W.shape[2:], strict=True)]
    more = tuple(max(s - n, 0) for s, n in zip(stride, reach, strict=True))
    pad, extra = (0, 0), more
    arrays = {"W": W} | ({"b": r.numbers(layer.bias)} if layer.use_bias else {})
    options = {"stride": stride, "pad": pad, "output_pad": extra, "dilation": dilation, "groups": 1}
    return r.growing.add("conv_transpose", [x], options, arrays, params=_names(layer, arrays), name=layer.name)


def _cropping(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    """Behind a transposed convolution it is that one's padding."""
    (x,) = given
    last = r.growing.nodes[-1]
    (top, bottom), (left, right) = layer.cropping
    if last.name != x.name or last.op != "conv_transpose" or any(last.options["pad"]):
        raise NoCounterpart("")
    extra = [e + a - b for e, a, b in zip(last.options["output_pad"], (top, left), (bottom, right), strict=True)]
    if min(extra) < 0:
        raise NoCounterpart("that cuts off more at the far end")
    r.growing.nodes.pop()
    r.growing._names.discard(last.name)
    options = {**last.options, "pad": (top, left), "output_pad": tuple(extra)}
    front = Value(last.inputs[0], *[r.growing.inputs.get(last.inputs[0]) or _shape_of(r, last.inputs[0])] * 2)
    return r.growing.add("conv_transpose", [front], options, last.arrays, params=dict(last.params), name=last.name)


def _shape_of(r: _Reader, name: str) -> tuple[int, ...]:
    return next(node.shape for node in r.growing.nodes if node.name == name)


def _norm(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    kind = type(layer).__name__
    axis = layer.axis if isinstance(layer.axis, int) else (list(layer.axis) + [None])[0]
    if axis not in (-1, len(x.shape)):
        raise NoCounterpart(f"along the axis {layer.axis}")
    if getattr(layer, "rms_scaling", False):
        raise NoCounterpart("rms_scaling")
    arrays, options = {}, {"eps": float(layer.epsilon)}
    if layer.scale:
        arrays["gamma"] = r.numbers(layer.gamma)
    if layer.center:
        arrays["beta"] = r.numbers(layer.beta)
    if kind == "BatchNormalization":
        arrays |= {"mean": r.numbers(layer.moving_mean), "var": r.numbers(layer.moving_variance)}
        options["momentum"] = float(layer.momentum)
        op = "batchnorm"
    elif kind == "LayerNormalization":
        if len(x.shape) != 1:
            raise NoCounterpart("over the channels of each pixel")
        op = "layernorm"
    else:
        op = "groupnorm"
        options["groups"] = x.shape[0] if layer.groups == -1 else int(layer.groups)
    return r.growing.add(op, [x], options, arrays, params=_names(layer, arrays), name=layer.name)


def _pool(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    size, stride = (tuple(int(n) for n in v) for v in (layer.pool_size, layer.strides))
    op = "max_pool" if type(layer).__name__ == "MaxPooling2D" else "avg_pool"
    if len(x.shape) != 3:
        raise NoCounterpart(f"on rows of {x.shape}")
    pads = [0] * 4 if layer.padding == "valid" else same_pads(x.shape, size, stride, True)
    return pooled(r.growing, op, x, size, stride, pads, False, not any(pads), layer.name)


def _global_avg(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    out = r.growing.add("global_avg_pool", given, name=layer.name)
    return out._replace(view=(*out.shape, 1, 1)) if layer.keepdims else out


def _global_max(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    out = pooled(r.growing, "max_pool", x, x.shape[1:], x.shape[1:], [0] * 4, False, False, layer.name)
    return out if layer.keepdims else r.growing.add("flatten", [out], name=f"{layer.name}.flatten")


def _flatten(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    if len(x.shape) == 1:
        return x._replace(view=x.shape)
    out = r.growing.add("flatten", [x], name=layer.name)
    if x.name not in r.first and min(x.shape[0], x.shape[1] * x.shape[2]) > 1:
        r.layouts[out.name] = x.shape
    return out


def _permute(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    if tuple(layer.dims) == (3, 1, 2) and len(x.shape) == 3 and x.name not in r.first:
        name = r.growing.fresh(layer.name)
        r.first.add(name)
        r.growing.nodes.append(_alias(x, name))
        return Value(name, x.shape, x.shape)
    place = {0: 2, 1: 0, 2: 1}
    dims = [d - 1 for d in layer.dims]
    if len(x.shape) != 3 or x.name in r.first:
        raise NoCounterpart(f"dims={tuple(layer.dims)}")
    back = {v: k for k, v in place.items()}
    order = tuple(back[dims[place[axis]]] for axis in range(3))
    return r.growing.add("permute", [x], {"order": order}, name=layer.name)


def _alias(x: Value, name: str) -> Any:
    """Images as they are, under another name: Keras has moved their channels to the front."""
    from handgrad.interop.network import Node

    return Node(name, "permute", (x.name,), {"order": (0, 1, 2)}, {}, {}, x.shape)


def _reshape(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    target = tuple(int(n) for n in node.outputs[0].shape[1:])
    last = (*x.shape[1:], x.shape[0]) if len(x.shape) == 3 else x.shape
    if target == last:
        return x
    if target[:-2] == last[:-1] and target[-1] * target[-2] == last[-1]:
        return x._replace(view=(target[-2], target[-1], *x.shape[1:]))  # groups of channels, as maxout has them
    if len(target) == 1:
        return _flatten(r, layer, given, node)
    if len(x.shape) == 1 and target == (1, 1, x.shape[0]):
        return x._replace(view=(*x.shape, 1, 1))
    raise NoCounterpart(f"from {last} to {target}")


def _max(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    if len(x.view) == len(x.shape) + 1 and layer.axis in (-1, [-1], (-1,)) and not layer.keepdims:
        return r.growing.add("maxout", [x._replace(view=x.shape)], {"pieces": x.view[1]}, name=layer.name)
    raise NoCounterpart(f"over {layer.axis}")


def _simple(op: str, **options: Callable[[Any], Any]) -> Callable[..., Made]:
    def make(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
        found = {name: read(layer) for name, read in options.items()}
        return r.growing.add(op, given, found, name=layer.name)

    return make


def _relu(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    if layer.max_value is not None or layer.threshold:
        raise NoCounterpart(f"max_value={layer.max_value}, threshold={layer.threshold}")
    slope = float(layer.negative_slope)
    if slope:
        return r.growing.add("leaky_relu", given, {"alpha": slope}, name=layer.name)
    return r.growing.add("relu", given, name=layer.name)


def _prelu(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    a = r.numbers(layer.alpha)
    if a.size not in (1, x.shape[0]) or a.shape[-1] != a.size:
        raise NoCounterpart(f"slopes of the shape {a.shape}")
    return r.growing.add("prelu", [x], {}, {"a": a.reshape(-1)}, params={"a": f"{layer.name}.a"}, name=layer.name)


def _dropout(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    return r.growing.add("dropout", given, {"p": round(1 - float(layer.rate), 12)}, name=layer.name)


def _same(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    return given[0]


def _add(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    out = given[0]
    for i, x in enumerate(given[1:]):
        out = r.growing.add("add", [out, x], name=layer.name if i == len(given) - 2 else f"{layer.name}.{i}")
    return out


def _concat(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    if layer.axis not in (-1, len(given[0].shape)):
        raise NoCounterpart(f"along the axis {layer.axis}")
    return r.growing.add("concat", given, name=layer.name)


def _zero_padding(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (top, bottom), (left, right) = layer.padding
    return r.growing.add("pad", given, {"pads": (top, bottom, left, right), "value": 0.0}, name=layer.name)


def _pad_op(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    sides = [tuple(int(n) for n in side) for side in layer.pad_width]
    value = node.arguments.kwargs.get("constant_values")
    value = node.arguments.args[1] if value is None and len(node.arguments.args) > 1 else value
    if layer.mode != "constant" or len(sides) != 4 or any(sides[0] + sides[3]):
        raise NoCounterpart(f"mode {layer.mode}, {sides}")
    options = {"pads": (*sides[1], *sides[2]), "value": float(value or 0)}
    return r.growing.add("pad", given, options, name=layer.name)


def _upsampling(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    if layer.interpolation not in ("nearest", "bilinear"):
        raise NoCounterpart(f"interpolation={layer.interpolation!r}")
    options = {"scale": tuple(int(n) for n in layer.size), "mode": layer.interpolation}
    return r.growing.add("upsample", given, options, name=layer.name)


def _rescaling(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    factor, shift = (np.atleast_1d(np.asarray(v, np.float64)) for v in (layer.scale, layer.offset))
    return scaled(r.growing, given[0], factor, shift, layer.name)


def _normalization(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    (x,) = given
    if layer.invert:
        raise NoCounterpart("invert")
    mean, var = (np.asarray(r.numbers(v), np.float64) for v in (layer.mean, layer.variance))
    mean, std = mean[0], np.maximum(np.sqrt(var[0]), 1e-7)
    if mean.ndim == 3:
        mean, std = mean.transpose(2, 0, 1), std.transpose(2, 0, 1)
    return standardized(r.growing, x, mean, std, layer.name)


def _multiply(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    """A value and constants, as `export` corrects the means of windows at the edges."""
    constants = [a for a in node.arguments.args if not hasattr(a, "_keras_history")]
    if len(given) != 1 or len(constants) != 1:
        raise NoCounterpart("of two values")
    factor = np.asarray(r.numbers(constants[0]), np.float64)
    if factor.ndim == 4 and len(given[0].shape) == 3:
        factor = factor[0].transpose(2, 0, 1)
    return scaled(r.growing, given[0], factor, np.zeros(1), layer.name)


def _gelu(r: _Reader, layer: Any, given: list[Value], node: Any) -> Made:
    options = {"approximate": "tanh" if layer.approximate else "none"}
    return r.growing.add("gelu", given, options, name=layer.name)


LAYERS: dict[str, Callable[..., Made]] = {
    "Dense": _dense, "Conv2D": _conv, "DepthwiseConv2D": _conv, "Conv2DTranspose": _conv_transpose,
    "Cropping2D": _cropping,
    **dict.fromkeys(("BatchNormalization", "LayerNormalization", "GroupNormalization"), _norm),
    "MaxPooling2D": _pool, "AveragePooling2D": _pool, "GlobalAveragePooling2D": _global_avg,
    "GlobalMaxPooling2D": _global_max, "Flatten": _flatten, "Permute": _permute, "Reshape": _reshape,
    "Max": _max, "Dropout": _dropout, "SpatialDropout2D": _dropout, "Activation": _same,
    "ReLU": _relu, "LeakyReLU": _simple("leaky_relu", alpha=lambda layer: float(layer.negative_slope)),
    "ELU": _simple("elu", alpha=lambda layer: float(layer.alpha)), "PReLU": _prelu, "Add": _add,
    "Concatenate": _concat, "ZeroPadding2D": _zero_padding, "Pad": _pad_op,
    "UpSampling2D": _upsampling, "Rescaling": _rescaling, "Normalization": _normalization,
    "Multiply": _multiply, "Gelu": _gelu, "GELU": _gelu, "Identity": _same,
}  # fmt: skip
