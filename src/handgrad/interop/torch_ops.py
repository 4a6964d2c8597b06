"""ATen's functions in the neutral form: for each a function of the reader, the node, its place and arguments.

It returns a value of the network or a weight, or raises `NoCounterpart` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.interop.reader import (
    NoCounterpart,
    Value,
    as_seen,
    is_sequence,
    pooled,
    scaled,
    shuffled,
    standardized,
)
from handgrad.interop.torch_images import (
    adaptive,
    avg_pool,
    conv,
    conv_transpose,
    convolution,
    max_pool,
    mean,
    pad_images,
    upsample,
)
from handgrad.interop.torch_norms import batchnorm, groupnorm, instancenorm, layernorm
from handgrad.interop.torch_rows import adaptive_avg_pool1d, avg_pool1d, conv1d, max_pool1d
from handgrad.interop.torch_values import (
    Weight,
    constant_of,
    layer_name,
    products,
    value_of,
    weight_of,
)

Made = Any
_Reader = Any


def _linear(r: _Reader, node: Any, place: str, x: Any, w: Any, b: Any = None) -> Made:
    x, w = value_of(x), weight_of(w, "weights")
    if len(x.shape) != 1:
        raise NoCounterpart(f"on rows of {x.shape}")
    arrays, params = products("affine", np.ascontiguousarray(w.array.T), w, b)
    return r.growing.add("affine", [x], {}, arrays, params=params, name=layer_name(place, w, node))


def _addmm(r: _Reader, node: Any, place: str, b: Any, x: Any, w: Any) -> Made:
    w = weight_of(w, "weights")
    arrays, params = products("affine", w.array, w, b)
    return r.growing.add(
        "affine", [value_of(x)], {}, arrays, params=params, name=layer_name(place, w, node)
    )


def _matmul(r: _Reader, node: Any, place: str, x: Any, w: Any) -> Made:
    x, w = value_of(x), weight_of(w, "weights")
    if len(x.shape) != 1 or w.array.ndim != 2:
        raise NoCounterpart(f"of rows {x.shape} and {w.array.shape}")
    return r.growing.add(
        "affine", [x], {}, {"W": w.array}, params={"W": w.name}, name=layer_name(place, w, node)
    )


def _turned(r: _Reader, node: Any, place: str, x: Any, *dims: Any) -> Made:
    if isinstance(x, Weight) and x.array.ndim == 2:
        return Weight(np.ascontiguousarray(x.array.T), x.name)
    return _permute(r, node, place, x, dims)


def _permute(r: _Reader, node: Any, place: str, x: Any, dims: Any) -> Made:
    x = value_of(x)
    axes = len(x.view) + 1
    dims = [int(d) % axes for d in dims]
    if sorted(dims) != list(range(axes)) or dims[0] != 0:
        raise NoCounterpart(f"that moves the batch, {dims}")
    if is_sequence(x):
        x = r.growing.add("reshape", [x], {"to": x.view}, name=f"{node.name}.rows")
    if x.view != x.shape:
        made = shuffled(r.growing, x, [d - 1 for d in dims[1:]], node.name)
        if made is None:
            raise NoCounterpart(f"of {x.view}")
        return made
    return r.growing.add("permute", [x], {"order": tuple(d - 1 for d in dims[1:])}, name=node.name)


def _transpose(r: _Reader, node: Any, place: str, x: Any, first: Any, second: Any) -> Made:
    if isinstance(x, Weight):
        if x.array.ndim != 2 or first % 2 == second % 2:
            raise NoCounterpart("of weights")
        return _turned(r, node, place, x)
    dims = list(range(len(value_of(x).view) + 1))
    dims[first], dims[second] = dims[second], dims[first]
    return _permute(r, node, place, x, dims)


def _movedim(r: _Reader, node: Any, place: str, x: Any, source: Any, to: Any) -> Made:
    axes = len(value_of(x).view) + 1
    given = source if isinstance(source, list) else [source]
    places = to if isinstance(to, list) else [to]
    moved = {p % axes: d % axes for d, p in zip(given, places, strict=True)}
    rest = iter(d for d in range(axes) if d not in moved.values())
    dims = [moved[i] if i in moved else next(rest) for i in range(axes)]
    return _permute(r, node, place, x, dims)


def _flatten(r: _Reader, node: Any, place: str, x: Any, start: int = 0, end: int = -1) -> Made:
    x = value_of(x)
    if start == 1 and end in (-1, len(x.view)):
        return _flat(r, node, x)
    if start == 2 and x.view == x.shape and len(x.shape) == 3 and x.shape[1:] == (1, 1):
        raise NoCounterpart("of the pixels alone")
    raise NoCounterpart(f"of the axes {start} to {end}")


def _flat(r: _Reader, node: Any, x: Value) -> Value:
    if len(x.shape) == 1:
        return x._replace(view=x.shape)
    return r.growing.add("flatten", [x], name=node.name)


def _view(r: _Reader, node: Any, place: str, x: Any, *_: Any) -> Made:
    x = value_of(x)
    sizes = [int(n) for n in node.meta["val"].shape]
    rest = tuple(sizes[1:])
    if rest == x.shape:
        return x._replace(view=x.shape)
    if {len(rest), len(x.shape)} == {2, 3} and x.view == x.shape and rest[0] == x.shape[0]:
        return r.growing.add("reshape", [x], {"to": rest}, name=node.name)  # sequences and images
    if len(rest) == 1 and rest[0] == int(np.prod(x.shape)):
        return _flat(r, node, x)
    if x.view == x.shape and len(rest) == len(x.shape) + 1 and rest[2:] == x.shape[1:]:
        return x._replace(view=rest)
    if len(x.shape) in (1, 3) and x.view == x.shape and len(rest) == 3:  # other images, or rows
        return r.growing.add("reshape", [x], {"to": rest}, name=node.name)
    raise NoCounterpart(f"from {x.view} to {rest}")


def _amax(r: _Reader, node: Any, place: str, x: Any, dims: Any = (), keepdim: bool = False) -> Made:
    x = value_of(x)
    if [int(d) for d in dims] == [2] and not keepdim and len(x.view) == len(x.shape) + 1:
        return r.growing.add("maxout", [x], {"pieces": x.view[1]}, name=node.name)
    if sorted(int(d) % 4 for d in dims) == [2, 3] and len(x.shape) == 3:
        out = pooled(
            r.growing, "max_pool", x, x.shape[1:], x.shape[1:], [0] * 4, False, False, node.name
        )
        return out if keepdim else _flat(r, node, out)
    raise NoCounterpart(f"over {dims}")


def _pointwise(op: str, **options: Any) -> Callable[..., Made]:
    def make(r: _Reader, node: Any, place: str, x: Any, *rest: Any, **named: Any) -> Made:
        given = dict(zip(options, rest, strict=False)) | named
        found = {key: given.get(key, default) for key, default in options.items()}
        x = value_of(x)
        name = place or node.name
        return r.growing.add(op, [x], _checked(op, found), name=name)._replace(view=x.view)

    return make


def _checked(op: str, given: dict[str, Any]) -> dict[str, Any]:
    """The options of an activation; NoCounterpart for such as no pair has."""
    if op == "elu":
        if given["scale"] != 1 or given["input_scale"] != 1:
            raise NoCounterpart("with scales (SELU)")
        return {"alpha": float(given["alpha"])}
    if op == "softplus":
        if given["beta"] != 1 or given["threshold"] < 20:
            raise NoCounterpart("with a beta or threshold of its own")
        return {}
    return given


def _clamp(r: _Reader, node: Any, place: str, x: Any, low: Any = None, high: Any = None) -> Made:
    if low == 0 and high is None:
        return r.growing.add("relu", [value_of(x)], name=node.name)
    raise NoCounterpart(f"between {low} and {high}")


def _prelu(r: _Reader, node: Any, place: str, x: Any, a: Any) -> Made:
    a = weight_of(a, "slopes")
    return r.growing.add("prelu", [value_of(x)], {}, {"a": a.array.reshape(-1)}, params={"a": a.name},
                         name=layer_name(place, a, node))  # fmt: skip


def _dropout(r: _Reader, node: Any, place: str, x: Any, p: float = 0.5, *_: Any) -> Made:
    x = value_of(x)
    p = r.dropouts.get(place, p)
    if not 0 <= p < 1:
        raise NoCounterpart(f"with p={p}")
    return r.growing.add("dropout", [x], {"p": round(1 - p, 12)}, name=place)._replace(view=x.view)


def _add(r: _Reader, node: Any, place: str, a: Any, b: Any, alpha: float = 1) -> Made:
    if alpha != 1:
        raise NoCounterpart(f"alpha={alpha}")
    if isinstance(a, Value) and isinstance(b, Value):
        if a.shape != b.shape or a.view != b.view:
            raise NoCounterpart(f"of {a.view} and {b.view}")
        return r.growing.add("add", [a, b], name=node.name)._replace(view=a.view)
    x, c = (a, b) if isinstance(a, Value) else (b, a)
    x = value_of(x)
    if isinstance(c, Weight) and r.growing.add_bias(x, c.array, c.name):
        return x
    return standardized(r.growing, x, -constant_of(c), np.ones(1), node.name)


def _sub(r: _Reader, node: Any, place: str, a: Any, b: Any) -> Made:
    return standardized(r.growing, value_of(a), constant_of(b), np.ones(1), node.name)


def _mul(r: _Reader, node: Any, place: str, a: Any, b: Any) -> Made:
    x, c = (a, b) if isinstance(a, Value) else (b, a)
    if isinstance(c, Value):
        raise NoCounterpart("of two values")
    return scaled(r.growing, value_of(x), constant_of(c), np.zeros(1), node.name)


def _div(r: _Reader, node: Any, place: str, a: Any, b: Any) -> Made:
    c = constant_of(b)
    if not c.all():
        raise NoCounterpart("by 0")
    return standardized(r.growing, value_of(a), np.zeros(1), c, node.name)


def _cat(r: _Reader, node: Any, place: str, xs: Any, dim: int = 0) -> Made:
    xs = [value_of(x) for x in xs]
    rows = [is_sequence(x) for x in xs]
    if dim % (len(xs[0].view) + 1) != 1 or (
        not all(rows) and (any(rows) or any(x.view != x.shape for x in xs))
    ):
        raise NoCounterpart(f"along the axis {dim}")
    if len(xs) == 1:
        return xs[0]
    out = r.growing.add("concat", xs, name=node.name)
    return as_seen(out) if all(rows) else out


def _softmax(r: _Reader, node: Any, place: str, x: Any, dim: int = -1, *_: Any) -> Made:
    x = value_of(x)
    if len(x.shape) != 1 or dim not in (1, -1):
        raise NoCounterpart(f"over the axis {dim}")
    name = r.growing.fresh(node.name)
    r.softmaxes[name] = x
    return Value(name, x.shape, x.shape)


def _same(r: _Reader, node: Any, place: str, x: Any, *_: Any, **__: Any) -> Made:
    return x


def _squeeze(r: _Reader, node: Any, place: str, x: Any, *dims: Any) -> Made:
    x = value_of(x)
    shape = tuple(int(n) for n in node.meta["val"].shape[1:])
    if int(np.prod(shape)) == int(np.prod(x.shape)) and (len(x.shape) == 1 or shape == x.shape):
        return x._replace(view=shape)
    raise NoCounterpart(f"to {shape}")


FUNCTIONS: dict[str, Callable[..., Made]] = {
    "linear": _linear, "addmm": _addmm, "matmul": _matmul, "mm": _matmul, "t": _turned,
    "permute": _permute, "transpose": _transpose, "swapaxes": _transpose, "swapdims": _transpose,
    "movedim": _movedim, "moveaxis": _movedim, "conv1d": conv1d,
    "max_pool1d": max_pool1d, "avg_pool1d": avg_pool1d,
    "adaptive_avg_pool1d": adaptive_avg_pool1d, "conv2d": conv, "conv_transpose2d": conv_transpose,
    "convolution": convolution, "batch_norm": batchnorm,
    "_native_batch_norm_legit_no_training": batchnorm, "layer_norm": layernorm,
    "group_norm": groupnorm, "instance_norm": instancenorm, "max_pool2d": max_pool,
    "avg_pool2d": avg_pool, "adaptive_avg_pool2d": adaptive("avg_pool"),
    "adaptive_max_pool2d": adaptive("max_pool"), "mean": mean, "flatten": _flatten,
    "view": _view, "reshape": _view, "_unsafe_view": _view, "unflatten": _view, "amax": _amax,
    "relu": _pointwise("relu"), "sigmoid": _pointwise("sigmoid"), "tanh": _pointwise("tanh"),
    "softplus": _pointwise("softplus", beta=1, threshold=20),
    "leaky_relu": _pointwise("leaky_relu", alpha=0.01),
    "elu": _pointwise("elu", alpha=1.0, scale=1, input_scale=1),
    "gelu": _pointwise("gelu", approximate="none"), "clamp": _clamp, "clamp_min": _clamp,
    "prelu": _prelu, "_prelu_kernel": _prelu, "dropout": _dropout, "feature_dropout": _dropout,
    "add": _add, "sub": _sub, "mul": _mul, "div": _div, "cat": _cat, "pad": pad_images,
    "constant_pad_nd": pad_images, "upsample_nearest2d": upsample("nearest"),
    "upsample_bilinear2d": upsample("bilinear"), "softmax": _softmax, "log_softmax": _softmax,
    "_softmax": _softmax, "clone": _same, "contiguous": _same, "alias": _same, "detach": _same,
    "lift_fresh_copy": _same, "squeeze": _squeeze, "unsqueeze": _squeeze, "to": _same,
    "_assert_tensor_metadata": _same,
}  # fmt: skip
