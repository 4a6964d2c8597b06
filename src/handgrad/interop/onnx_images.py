"""ONNX's operators of images and sequences in the neutral form; see `handgrad.interop.onnx_ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.interop.onnx_graph import (
    Graph,
    Made,
    constant_of,
    floats_of,
    image_of,
    input_of,
    params_of,
    value_of,
)
from handgrad.interop.reader import (
    NoCounterpart,
    Value,
    as_images,
    as_seen,
    is_sequence,
    padded,
    pooled,
    same_pads,
)


def _windows(
    o: dict[str, Any], x: Value, kernel: Any
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Kernel, strides, dilations and pads (top, left, bottom, right) of a window operator."""
    kernel = [int(k) for k in kernel]
    strides = [int(s) for s in o["strides"]] or [1, 1]
    dilations = [int(d) for d in o.get("dilations", [])] or [1, 1]
    pads = [int(p) for p in o["pads"]] or [0, 0, 0, 0]
    if len(kernel) != 2 or len(strides) != 2 or len(dilations) != 2 or len(pads) != 4:
        raise NoCounterpart("windows that are not of two dimensions")
    if min(kernel + strides + dilations) < 1 or max(kernel + strides + dilations + pads) > 1 << 20:
        raise NoCounterpart("windows of impossible sizes")
    kind = o["auto_pad"]
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
        pads = same_pads(x.shape, reach, strides, kind == "SAME_UPPER")
    elif kind == "VALID":
        pads = [0, 0, 0, 0]
    elif kind != "NOTSET":
        raise NoCounterpart(f"auto_pad={kind!r}")
    return kernel, strides, dilations, pads


def conv(g: Graph, node: Any, given: list[Any]) -> Made:
    """Conv."""
    x, W, b = value_of(given[0]), floats_of(given[1], "weights"), input_of(given, 2)
    o = g.options(
        node, auto_pad="NOTSET", dilations=[], group=1, kernel_shape=[], pads=[], strides=[]
    )
    is_row = W.ndim == 3
    if is_row:
        x, o, W = _rows(g, node, x), _wide(o), W[:, :, None]
    if W.ndim != 4:
        raise NoCounterpart("convolutions that are not of two dimensions")
    if len(x.shape) == 1 and x.view == (*x.shape, 1, 1) and W.shape[2:] == (1, 1) and o["group"] == 1 and (
        not any(o["pads"])):  # fmt: skip
        arrays = {"W": np.ascontiguousarray(W[:, :, 0, 0].T)} | (
            {} if b is None else {"b": floats_of(b, "a bias")}
        )
        params, name = params_of(node, W=1, b=2), g.name(node, node.input[1])
        out = g.growing.add("affine", [x], {}, arrays, params=params, name=name)
        return out._replace(view=(*out.shape, 1, 1))  # images of one pixel are rows
    x = image_of(x)
    _, strides, dilations, pads = _windows(o, x, W.shape[2:])
    name = g.name(node, node.input[1])
    wide, pad = padded(g.growing, x, pads, name)
    options = {
        "stride": tuple(strides),
        "pad": pad,
        "dilation": tuple(dilations),
        "groups": o["group"],
    }
    arrays = {"W": W} | ({} if b is None else {"b": floats_of(b, "a bias")})
    out = g.growing.add(
        "conv", [wide], options, arrays, params=params_of(node, W=1, b=2), name=name
    )
    return as_seen(out) if is_row else out


def _rows(g: Graph, node: Any, x: Any) -> Value:
    """Sequences as images of one row."""
    image = as_images(g.growing, value_of(x), str(node.output[0]))
    return image._replace(view=image.shape)


def _wide(o: dict[str, Any]) -> dict[str, Any]:
    """The options of windows of sequences, for images of one row."""
    wide = dict(o)
    for key in ("strides", "dilations", "kernel_shape"):
        if len(o.get(key) or ()) == 1:
            wide[key] = [1, o[key][0]]
    if len(o.get("pads") or ()) == 2:
        wide["pads"] = [0, o["pads"][0], 0, o["pads"][1]]
    return wide


def conv_transpose(g: Graph, node: Any, given: list[Any]) -> Made:
    """ConvTranspose."""
    x, W, b = image_of(given[0]), floats_of(given[1], "weights"), input_of(given, 2)
    o = g.options(
        node,
        auto_pad="NOTSET",
        dilations=[],
        group=1,
        kernel_shape=[],
        output_padding=[],
        pads=[],
        strides=[],
    )
    if W.ndim != 4 or o["auto_pad"] != "NOTSET":
        raise NoCounterpart("a transposed convolution with auto_pad, or not of two dimensions")
    _, strides, dilations, pads = _windows(o, x, W.shape[2:])
    extra = [int(n) for n in o["output_padding"]] or [0, 0]
    top, left, bottom, right = pads
    # a smaller pad at the far end is more of the output there
    extra = [extra[0] + top - bottom, extra[1] + left - right]
    if min(extra) < 0:
        raise NoCounterpart(f"a far end that is cut off more than the near one, pads {pads}")
    options = {"stride": tuple(strides), "pad": (top, left), "output_pad": tuple(extra),
               "dilation": tuple(dilations), "groups": o["group"]}  # fmt: skip
    arrays = {"W": W} | ({} if b is None else {"b": floats_of(b, "a bias")})
    params, name = params_of(node, W=1, b=2), g.name(node, node.input[1])
    return g.growing.add("conv_transpose", [x], options, arrays, params=params, name=name)


def pool(g: Graph, node: Any, given: list[Any]) -> Made:
    """MaxPool and AveragePool."""
    x = value_of(given[0])
    if len([name for name in node.output if name]) > 1:
        raise NoCounterpart("the places of the maxima as a second output")
    o = g.options(
        node,
        auto_pad="NOTSET",
        ceil_mode=0,
        count_include_pad=0,
        dilations=[],
        kernel_shape=[],
        pads=[],
        storage_order=0,
        strides=[],
    )
    is_row = len(o["kernel_shape"]) == 1
    x, o = (_rows(g, node, x), _wide(o)) if is_row else (image_of(x), o)
    kernel, strides, dilations, pads = _windows(o, x, o["kernel_shape"])
    if dilations != [1, 1]:
        raise NoCounterpart("windows with gaps (dilations)")
    op = "max_pool" if node.op_type == "MaxPool" else "avg_pool"
    ceil, counts = bool(o["ceil_mode"]), bool(o["count_include_pad"])
    out = pooled(g.growing, op, x, kernel, strides, pads, ceil, counts, node.output[0])
    return as_seen(out) if is_row else out


def global_avg_pool(g: Graph, node: Any, given: list[Any]) -> Made:
    """GlobalAveragePool."""
    g.options(node)
    x = value_of(given[0])
    is_row = is_sequence(x)
    out = g.growing.add("global_avg_pool", [x if is_row else image_of(x)], name=node.output[0])
    return out._replace(view=(*out.shape, 1) if is_row else (*out.shape, 1, 1))


def global_max_pool(g: Graph, node: Any, given: list[Any]) -> Made:
    """GlobalMaxPool."""
    g.options(node)
    x = image_of(given[0])
    return pooled(
        g.growing, "max_pool", x, x.shape[1:], x.shape[1:], [0] * 4, False, False, node.output[0]
    )


def reduce(g: Graph, node: Any, given: list[Any]) -> Made:
    """ReduceMean of pixels, and ReduceMax of the pieces of a maxout."""
    o = g.options(node, axes=[], keepdims=1, noop_with_empty_axes=0)
    x = value_of(given[0])
    axes = [
        int(a)
        for a in (constant_of(given[1], "axes") if input_of(given, 1) is not None else o["axes"])
    ]
    ndim = len(x.view) + 1
    axes = sorted(a % ndim for a in axes)
    if (
        node.op_type == "ReduceMax"
        and axes == [2]
        and not o["keepdims"]
        and len(x.view) == len(x.shape) + 1
    ):
        pieces = x.view[1]

        return g.growing.add(
            "maxout", [x._replace(view=x.shape)], {"pieces": pieces}, name=node.output[0]
        )
    if node.op_type == "ReduceMean" and axes == [2] and is_sequence(x):
        out = g.growing.add("global_avg_pool", [x], name=node.output[0])
        return out._replace(view=(*out.shape, 1)) if o["keepdims"] else out
    if node.op_type == "ReduceMean" and axes == [2, 3] and x.view == x.shape:
        out = g.growing.add("global_avg_pool", [image_of(x)], name=node.output[0])
        return out._replace(view=(*out.shape, 1, 1)) if o["keepdims"] else out
    raise NoCounterpart(f"over the axes {axes}")


def resize(g: Graph, node: Any, given: list[Any]) -> Made:
    """Resize and Upsample."""
    x = image_of(given[0])
    o = g.options(
        node,
        antialias=0,
        axes=[],
        coordinate_transformation_mode="half_pixel",
        cubic_coeff_a=-0.75,
        exclude_outside=0,
        extrapolation_value=0.0,
        keep_aspect_ratio_policy="stretch",
        mode="nearest",
        nearest_mode="round_prefer_floor",
        scales=[],
    )
    scales, sizes = input_of(given, 1 if node.op_type == "Upsample" else 2), input_of(given, 3)
    if sizes is not None and np.size(sizes):
        wanted = [int(n) for n in constant_of(sizes, "sizes")][-2:]
        if any(w % n for w, n in zip(wanted, x.shape[1:], strict=True)):
            raise NoCounterpart(f"to {wanted}, no multiple of {x.shape[1:]}")
        factors = [w / n for w, n in zip(wanted, x.shape[1:], strict=True)]
    else:
        table = o["scales"] if scales is None else constant_of(scales, "scales")
        factors = [float(s) for s in table][-2:]
    if len(factors) != 2 or any(f != int(f) or not 1 <= f < 1 << 16 for f in factors):
        raise NoCounterpart(f"by {factors}")
    scale = tuple(int(f) for f in factors)
    way = o["coordinate_transformation_mode"]
    name = node.output[0]
    if node.op_type == "Upsample" or (
        o["mode"] == "nearest" and way == "asymmetric" and o["nearest_mode"] == "floor"
    ):
        if o["mode"] != "nearest":
            raise NoCounterpart("bilinear, counted from the corners")
        return g.growing.add("upsample", [x], {"scale": scale, "mode": "nearest"}, name=name)
    if o["mode"] == "linear" and way in ("half_pixel", "pytorch_half_pixel") and not o["antialias"]:
        if way == "pytorch_half_pixel" and 1 in [
            n * s for n, s in zip(x.shape[1:], scale, strict=True)
        ]:
            raise NoCounterpart("to one pixel")
        return g.growing.add("upsample", [x], {"scale": scale, "mode": "bilinear"}, name=name)
    raise NoCounterpart(f"mode {o['mode']}, {way}, {o['nearest_mode']}")


def pad(g: Graph, node: Any, given: list[Any]) -> Made:
    """Pad."""
    x = image_of(given[0])
    o = g.options(node, mode="constant", pads=[], value=0.0)
    pads = [
        int(p)
        for p in (constant_of(given[1], "widths") if input_of(given, 1) is not None else o["pads"])
    ]
    value = input_of(given, 2)
    number = o["value"] if value is None else float(constant_of(value, "a value").reshape(-1)[0])
    if o["mode"] != "constant" or len(pads) != 8 or input_of(given, 3) is not None:
        raise NoCounterpart(f"mode {o['mode']}")
    if pads[0] or pads[1] or pads[4] or pads[5] or min(pads) < 0 or max(pads) > 1 << 20:
        raise NoCounterpart(f"by {pads}")
    options = {"pads": (pads[2], pads[6], pads[3], pads[7]), "value": number}
    return g.growing.add("pad", [x], options, name=node.output[0])
