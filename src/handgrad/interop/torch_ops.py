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
    padded,
    pooled,
    scaled,
    standardized,
)

Made = Any
_Reader = Any


class Weight:
    """A tensor of the module with its name."""

    def __init__(self, array: np.ndarray, name: str) -> None:
        self.array, self.name = array, name


def numbers_of(torch: Any, tensor: Any) -> np.ndarray:
    """Return a tensor as an array; of 16 bits as float32."""
    tensor = tensor.detach().cpu()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    array: np.ndarray = tensor.numpy().copy()
    return array


def _value(x: Any) -> Value:
    if not isinstance(x, Value):
        raise NoCounterpart("of something that is not computed from the input")
    return x


def _weight(x: Any, what: str) -> Weight:
    if not isinstance(x, Weight):
        raise NoCounterpart(f"{what} that the module computes")
    return x


def _layer(place: str, weight: Weight, node: Any) -> str:
    """The name of a layer: that of its weights without their role."""
    return weight.name.rpartition(".")[0] or weight.name or place


def _pair(n: Any, default: Any = None) -> tuple[int, int]:
    if n is None or n == []:
        return default
    if isinstance(n, int):
        return n, n
    return (int(n[0]), int(n[0])) if len(n) == 1 else (int(n[0]), int(n[1]))


def _products(
    op: str, W: np.ndarray, weight: Weight, bias: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    arrays, params = {"W": W}, {"W": weight.name}
    if bias is not None:
        b = _weight(bias, "a bias")
        arrays["b"], params["b"] = b.array, b.name
    return arrays, params


def _linear(r: _Reader, node: Any, place: str, x: Any, w: Any, b: Any = None) -> Made:
    x, w = _value(x), _weight(w, "weights")
    if len(x.shape) != 1:
        raise NoCounterpart(f"on rows of {x.shape}")
    arrays, params = _products("affine", np.ascontiguousarray(w.array.T), w, b)
    return r.growing.add("affine", [x], {}, arrays, params=params, name=_layer(place, w, node))


def _addmm(r: _Reader, node: Any, place: str, b: Any, x: Any, w: Any) -> Made:
    w = _weight(w, "weights")
    arrays, params = _products("affine", w.array, w, b)
    return r.growing.add(
        "affine", [_value(x)], {}, arrays, params=params, name=_layer(place, w, node)
    )


def _matmul(r: _Reader, node: Any, place: str, x: Any, w: Any) -> Made:
    x, w = _value(x), _weight(w, "weights")
    if len(x.shape) != 1 or w.array.ndim != 2:
        raise NoCounterpart(f"of rows {x.shape} and {w.array.shape}")
    return r.growing.add(
        "affine", [x], {}, {"W": w.array}, params={"W": w.name}, name=_layer(place, w, node)
    )


def _turned(r: _Reader, node: Any, place: str, x: Any, *dims: Any) -> Made:
    if isinstance(x, Weight) and x.array.ndim == 2:
        return Weight(np.ascontiguousarray(x.array.T), x.name)
    return _permute(r, node, place, x, dims)


def _permute(r: _Reader, node: Any, place: str, x: Any, dims: Any) -> Made:
    x = _value(x)
    dims = [int(d) % (len(x.shape) + 1) for d in dims]
    if not dims or dims[0] != 0:
        raise NoCounterpart(f"that moves the batch, {dims}")
    return r.growing.add("permute", [x], {"order": tuple(d - 1 for d in dims[1:])}, name=node.name)


def _conv(
    r: _Reader, node: Any, place: str, x: Any, w: Any, b: Any = None, stride: Any = None, padding: Any = 0,
    dilation: Any = None, groups: int = 1,
) -> Made:  # fmt: skip
    x, w = _value(x), _weight(w, "weights")
    if w.array.ndim != 4 or len(x.shape) != 3:
        raise NoCounterpart("not of two dimensions")
    stride, dilation = _pair(stride, (1, 1)), _pair(dilation, (1, 1))
    name = _layer(place, w, node)
    if padding == "same":
        reach = [d * (n - 1) for d, n in zip(dilation, w.array.shape[2:], strict=True)]
        pads = [n // 2 for n in reach] + [n - n // 2 for n in reach]
        x, pad = padded(r.growing, x, pads, name)
    else:
        pad = (0, 0) if padding == "valid" else _pair(padding, (0, 0))
    arrays, params = _products("conv", w.array, w, b)
    options = {"stride": stride, "pad": pad, "dilation": dilation, "groups": groups}
    return r.growing.add("conv", [x], options, arrays, params=params, name=name)


def _conv_transpose(
    r: _Reader, node: Any, place: str, x: Any, w: Any, b: Any = None, stride: Any = None, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = None,
) -> Made:  # fmt: skip
    x, w = _value(x), _weight(w, "weights")
    arrays, params = _products("conv_transpose", w.array, w, b)
    options = {
        "stride": _pair(stride, (1, 1)),
        "pad": _pair(padding, (0, 0)),
        "dilation": _pair(dilation, (1, 1)),
        "output_pad": _pair(output_padding, (0, 0)),
        "groups": groups,
    }
    return r.growing.add(
        "conv_transpose", [x], options, arrays, params=params, name=_layer(place, w, node)
    )


def _convolution(
    r: _Reader, node: Any, place: str, x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int,
) -> Made:  # fmt: skip
    if transposed:
        return _conv_transpose(
            r, node, place, x, w, b, stride, padding, output_padding, groups, dilation
        )
    return _conv(r, node, place, x, w, b, stride, padding, dilation, groups)


def _scales(weight: Any, bias: Any) -> tuple[dict[str, Any], dict[str, str]]:
    arrays, params = {}, {}
    for role, w in (("gamma", weight), ("beta", bias)):
        if w is not None:
            w = _weight(w, "a scale")
            arrays[role], params[role] = w.array, w.name
    return arrays, params


def _batchnorm(
    r: _Reader,
    node: Any,
    place: str,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    *rest: Any,
) -> Made:
    training, momentum, eps = rest[:3] if len(rest) >= 3 else (False, *rest)
    if training or mean is None:
        raise NoCounterpart("statistics of the batch in test mode")
    arrays, params = _scales(weight, bias)
    m, v = _weight(mean, "a mean"), _weight(var, "a variance")
    arrays |= {"mean": m.array, "var": v.array}
    options = {"eps": float(eps), "momentum": round(1 - float(momentum), 12)}
    name = m.name.rpartition(".")[0] or place
    return r.growing.add("batchnorm", [_value(x)], options, arrays, params=params, name=name)


def _layernorm(
    r: _Reader,
    node: Any,
    place: str,
    x: Any,
    shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *_: Any,
) -> Made:
    x = _value(x)
    if len(x.shape) != 1 or list(shape) != list(x.shape):
        raise NoCounterpart(f"of rows {x.shape} over {list(shape)}")
    arrays, params = _scales(weight, bias)
    return r.growing.add(
        "layernorm", [x], {"eps": float(eps)}, arrays, params=params, name=_norm_name(place, params)
    )


def _norm_name(place: str, params: dict[str, str]) -> str:
    return next(iter(params.values()), place + ".").rpartition(".")[0] or place


def _groupnorm(
    r: _Reader,
    node: Any,
    place: str,
    x: Any,
    groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *_: Any,
) -> Made:
    arrays, params = _scales(weight, bias)
    options = {"eps": float(eps), "groups": int(groups)}
    return r.growing.add(
        "groupnorm", [_value(x)], options, arrays, params=params, name=_norm_name(place, params)
    )


def _instancenorm(
    r: _Reader, node: Any, place: str, x: Any, weight: Any, bias: Any, mean: Any, var: Any, use_input: bool,
    momentum: float, eps: float, *_: Any,
) -> Made:  # fmt: skip
    if not use_input:
        raise NoCounterpart("with running statistics")
    arrays, params = _scales(weight, bias)
    return r.growing.add("instancenorm", [_value(x)], {"eps": float(eps)}, arrays, params=params,
                         name=_norm_name(place, params))  # fmt: skip


def _max_pool(
    r: _Reader,
    node: Any,
    place: str,
    x: Any,
    size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Made:
    if _pair(dilation, (1, 1)) != (1, 1):
        raise NoCounterpart("windows with gaps (dilation)")
    size, pad = _pair(size), _pair(padding, (0, 0))
    stride = _pair(stride, size)
    return pooled(
        r.growing,
        "max_pool",
        _value(x),
        size,
        stride,
        [*pad, *pad],
        ceil_mode,
        False,
        place or node.name,
    )


def _avg_pool(
    r: _Reader,
    node: Any,
    place: str,
    x: Any,
    size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    counts: bool = True,
    divisor: Any = None,
) -> Made:
    if divisor is not None:
        raise NoCounterpart("divisor_override")
    size, pad = _pair(size), _pair(padding, (0, 0))
    stride = _pair(stride, size)
    return pooled(
        r.growing,
        "avg_pool",
        _value(x),
        size,
        stride,
        [*pad, *pad],
        ceil_mode,
        counts,
        place or node.name,
    )


def _adaptive(op: str) -> Callable[..., Made]:
    def make(r: _Reader, node: Any, place: str, x: Any, size: Any) -> Made:
        x, size = _value(x), _pair(size)
        if op == "avg_pool" and size == (1, 1):
            out = r.growing.add("global_avg_pool", [x], name=place or node.name)
            return out._replace(view=(*out.shape, 1, 1))
        if size == x.shape[1:]:
            return x
        if any(n % s for n, s in zip(x.shape[1:], size, strict=True)):
            raise NoCounterpart(f"from {x.shape[1:]} to {size}, which does not divide it")
        window = tuple(n // s for n, s in zip(x.shape[1:], size, strict=True))
        return pooled(r.growing, op, x, window, window, [0] * 4, False, True, place or node.name)

    return make


def _mean(
    r: _Reader, node: Any, place: str, x: Any, dims: Any = None, keepdim: bool = False, **_: Any
) -> Made:
    x = _value(x)
    if len(x.shape) != 3 or sorted(int(d) % 4 for d in dims or []) != [2, 3]:
        raise NoCounterpart(f"over {dims}")
    out = r.growing.add("global_avg_pool", [x], name=node.name)
    return out._replace(view=(*out.shape, 1, 1)) if keepdim else out


def _flatten(r: _Reader, node: Any, place: str, x: Any, start: int = 0, end: int = -1) -> Made:
    x = _value(x)
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
    x = _value(x)
    sizes = [int(n) for n in node.meta["val"].shape]
    rest = tuple(sizes[1:])
    if rest == x.shape:
        return x._replace(view=x.shape)
    if len(rest) == 1 and rest[0] == int(np.prod(x.shape)):
        return _flat(r, node, x)
    if x.view == x.shape and len(rest) == len(x.shape) + 1 and rest[2:] == x.shape[1:]:
        return x._replace(view=rest)
    raise NoCounterpart(f"from {x.view} to {rest}")


def _amax(r: _Reader, node: Any, place: str, x: Any, dims: Any = (), keepdim: bool = False) -> Made:
    x = _value(x)
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
        x = _value(x)
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
        return r.growing.add("relu", [_value(x)], name=node.name)
    raise NoCounterpart(f"between {low} and {high}")


def _prelu(r: _Reader, node: Any, place: str, x: Any, a: Any) -> Made:
    a = _weight(a, "slopes")
    return r.growing.add("prelu", [_value(x)], {}, {"a": a.array.reshape(-1)}, params={"a": a.name},
                         name=_layer(place, a, node))  # fmt: skip


def _dropout(r: _Reader, node: Any, place: str, x: Any, p: float = 0.5, *_: Any) -> Made:
    x = _value(x)
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
    x = _value(x)
    if isinstance(c, Weight) and r.growing.add_bias(x, c.array, c.name):
        return x
    return standardized(r.growing, x, -_constant(c), np.ones(1), node.name)


def _constant(c: Any) -> np.ndarray:
    if isinstance(c, int | float):
        return np.array([float(c)])
    return _weight(c, "a constant").array


def _sub(r: _Reader, node: Any, place: str, a: Any, b: Any) -> Made:
    return standardized(r.growing, _value(a), _constant(b), np.ones(1), node.name)


def _mul(r: _Reader, node: Any, place: str, a: Any, b: Any) -> Made:
    x, c = (a, b) if isinstance(a, Value) else (b, a)
    if isinstance(c, Value):
        raise NoCounterpart("of two values")
    return scaled(r.growing, _value(x), _constant(c), np.zeros(1), node.name)


def _div(r: _Reader, node: Any, place: str, a: Any, b: Any) -> Made:
    c = _constant(b)
    if not c.all():
        raise NoCounterpart("by 0")
    return standardized(r.growing, _value(a), np.zeros(1), c, node.name)


def _cat(r: _Reader, node: Any, place: str, xs: Any, dim: int = 0) -> Made:
    xs = [_value(x) for x in xs]
    if dim % (len(xs[0].view) + 1) != 1 or any(x.view != x.shape for x in xs):
        raise NoCounterpart(f"along the axis {dim}")
    return xs[0] if len(xs) == 1 else r.growing.add("concat", xs, name=node.name)


def _pad(
    r: _Reader, node: Any, place: str, x: Any, pads: Any, mode: Any = "constant", value: Any = 0.0
) -> Made:
    if isinstance(mode, int | float) and not isinstance(mode, bool):
        mode, value = "constant", mode
    pads = [int(p) for p in pads]
    pads = [*pads, *[0] * (4 - len(pads))]
    if mode != "constant" or len(pads) != 4 or min(pads) < 0:
        raise NoCounterpart(f"mode {mode}, {pads}")
    left, right, top, bottom = pads
    options = {"pads": (top, bottom, left, right), "value": float(value or 0.0)}
    return r.growing.add("pad", [_value(x)], options, name=place if place else node.name)


def _upsample(mode: str) -> Callable[..., Made]:
    def make(r: _Reader, node: Any, place: str, x: Any, size: Any, *rest: Any) -> Made:
        x = _value(x)
        if mode == "bilinear" and rest and rest[0]:
            raise NoCounterpart("align_corners")
        wanted = tuple(int(n) for n in node.meta["val"].shape[2:])
        if any(w % n for w, n in zip(wanted, x.shape[1:], strict=True)):
            raise NoCounterpart(f"from {x.shape[1:]} to {wanted}, no multiple of it")
        scale = tuple(w // n for w, n in zip(wanted, x.shape[1:], strict=True))
        return r.growing.add(
            "upsample", [x], {"scale": scale, "mode": mode}, name=place or node.name
        )

    return make


def _softmax(r: _Reader, node: Any, place: str, x: Any, dim: int = -1, *_: Any) -> Made:
    x = _value(x)
    if len(x.shape) != 1 or dim not in (1, -1):
        raise NoCounterpart(f"over the axis {dim}")
    name = r.growing.fresh(node.name)
    r.softmaxes[name] = x
    return Value(name, x.shape, x.shape)


def _same(r: _Reader, node: Any, place: str, x: Any, *_: Any, **__: Any) -> Made:
    return x


def _squeeze(r: _Reader, node: Any, place: str, x: Any, *dims: Any) -> Made:
    x = _value(x)
    shape = tuple(int(n) for n in node.meta["val"].shape[1:])
    if int(np.prod(shape)) == int(np.prod(x.shape)) and (len(x.shape) == 1 or shape == x.shape):
        return x._replace(view=shape)
    raise NoCounterpart(f"to {shape}")


FUNCTIONS: dict[str, Callable[..., Made]] = {
    "linear": _linear, "addmm": _addmm, "matmul": _matmul, "mm": _matmul, "t": _turned,
    "permute": _permute, "conv2d": _conv, "conv_transpose2d": _conv_transpose,
    "convolution": _convolution, "batch_norm": _batchnorm,
    "_native_batch_norm_legit_no_training": _batchnorm, "layer_norm": _layernorm,
    "group_norm": _groupnorm, "instance_norm": _instancenorm, "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool, "adaptive_avg_pool2d": _adaptive("avg_pool"),
    "adaptive_max_pool2d": _adaptive("max_pool"), "mean": _mean, "flatten": _flatten,
    "view": _view, "reshape": _view, "_unsafe_view": _view, "unflatten": _view, "amax": _amax,
    "relu": _pointwise("relu"), "sigmoid": _pointwise("sigmoid"), "tanh": _pointwise("tanh"),
    "softplus": _pointwise("softplus", beta=1, threshold=20),
    "leaky_relu": _pointwise("leaky_relu", alpha=0.01),
    "elu": _pointwise("elu", alpha=1.0, scale=1, input_scale=1),
    "gelu": _pointwise("gelu", approximate="none"), "clamp": _clamp, "clamp_min": _clamp,
    "prelu": _prelu, "_prelu_kernel": _prelu, "dropout": _dropout, "feature_dropout": _dropout,
    "add": _add, "sub": _sub, "mul": _mul, "div": _div, "cat": _cat, "pad": _pad,
    "constant_pad_nd": _pad, "upsample_nearest2d": _upsample("nearest"),
    "upsample_bilinear2d": _upsample("bilinear"), "softmax": _softmax, "log_softmax": _softmax,
    "_softmax": _softmax, "clone": _same, "contiguous": _same, "alias": _same, "detach": _same,
    "lift_fresh_copy": _same, "squeeze": _squeeze, "unsqueeze": _squeeze, "to": _same,
    "_assert_tensor_metadata": _same,
}  # fmt: skip
