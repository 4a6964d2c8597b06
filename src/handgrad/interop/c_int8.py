"""The header in C of a network in 8-bit integers (`handgrad.interop.int8`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handgrad.interop.c_memory import plan
from handgrad.interop.c_out import Sizes, Text, _float, columns_lines, permuted, window_numbers
from handgrad.interop.int8_parts import Quantized, Step
from handgrad.interop.network import POINTWISE, Node, size

_SUMS = ["scaled", "narrow"]
_NEEDS = {
    "affine": [*_SUMS, "affine_sum"], "scores": ["affine_sum"],
    "conv": [*_SUMS, "patch", "dots"],
    "conv_rows": [*_SUMS, "clip", "begin", "end"],
    "conv_transpose": _SUMS, "channels": _SUMS, "prelu": _SUMS, "add": _SUMS, "rescale": _SUMS,
    "quantize": ["nearest_int"], "groupnorm": ["rsqrt", "nearest_int"], "max_pool": ["clip"],
    "avg_pool": ["clip", "narrow", "divided"], "bilinear": ["clip", "narrow", "divided"],
}  # fmt: skip


def header(net: Quantized, name: str, *, bare: bool = False) -> tuple[str, Sizes]:
    """Return the text of the header in int8, and its sizes."""
    network = net.network
    text = Text(network, name, Path(__file__).with_name("c_int8.h"), _NEEDS)
    memory = plan(network)
    for value, offset in memory.offsets.items():
        text.places[value] = f"{text.name}_memory" + (f" + {offset}" if offset else "")
    text.places[network.output] = "scores"
    text.callers(network, prepared=True)
    lines, end, buffers = [], memory.numbers, []
    columns = network.images.columns if not bare else None
    if columns is not None:
        buffers.append(f"static float {text.name}_row[{len(columns.source)}];")
        lines += columns_lines(text, columns, f"{text.name}_row")
    for given, (value, shape) in zip(text.given, network.inputs.items(), strict=True):
        factor, shift, each = net.first[value]
        x = given if columns is None else f"{text.name}_row"
        text.places[value] = f"{text.name}_memory + {end}"
        end += size(shape)
        arrays = text.array(f"{given}_factor", factor), text.array(f"{given}_shift", shift)
        lines.append(text.call("quantize", x, *arrays, text.places[value], size(shape), each))
    for step in net.steps:
        lines += _call(text, step)
    buffers.append(f"static int8_t {text.name}_memory[{max(end, 1)}];")
    convs = [node for node in network.nodes if node.op == "conv"]
    sums = max((node.shape[2] for node in convs if _by_rows(node)), default=0)
    patches = max((4 * node.arrays["W"][0].size for node in convs if not _by_rows(node)), default=0)
    if sums:
        buffers.append(f"static int32_t {text.name}_sums[{sums}];")
    if patches:
        buffers.append(f"static int16_t {text.name}_patches[{patches}];")
    floats = 0 if columns is None else len(columns.source)
    sizes = Sizes(text.bytes, end + 4 * (sums + floats) + 2 * patches)
    return text.whole(network, lines, buffers, sizes, bare, "int8"), sizes


def _by_rows(node: Node) -> bool:
    """Whether a group of the convolution has so few filters that copying patches does not pay."""
    return node.shape[0] // int(node.options["groups"]) < 4


def _call(text: Text, step: Step) -> list[str]:
    """The lines that compute a layer."""
    node, n, a = step.node, step.numbers, step.arrays
    o, op, label = node.options, node.op, text.names[node.name]
    xs, out = [text.places[name] for name in node.inputs], text.places[node.name]
    x, before = xs[0], text.shapes[node.inputs[0]]
    count, each = size(node.shape), size(node.shape[1:])

    def array(role: str, kind: str) -> str:
        return text.array(f"{label}_{role}", a[role], kind)

    def sums() -> tuple[str, str]:
        return array("M", "int32_t"), array("shift", "int8_t")

    if op in ("affine", "scores"):
        W, b = array("W", "int8_t"), array("b", "int32_t")
        D, M = size(before), node.shape[0]
        if op == "scores":
            return [text.call(op, x, W, b, array("scale", "float"), out, D, M, n["zero"])]
        return [text.call(op, x, W, b, *sums(), out, D, M, n["zero"], n["next"], n["low"])]
    if op in ("conv", "conv_transpose"):
        W, b = array("W", "int8_t"), array("b", "int32_t")
        numbers = [*before, node.shape[0], *node.shape[1:], *a["W"].shape[2:], *o["stride"]]
        numbers += [*o["pad"], *o["dilation"], o["groups"], n["zero"], n["next"], n["low"]]
        if op == "conv_transpose":
            return [text.call(op, x, W, b, *sums(), out, *numbers)]
        op, buffer = ("conv_rows", "sums") if _by_rows(node) else ("conv", "patches")
        return [text.call(op, x, W, b, *sums(), f"{text.name}_{buffer}", out, *numbers)]
    if op == "batchnorm":
        plus = array("plus", "int32_t")
        return [text.call("channels", x, *sums(), plus, out, count, each, n["zero"], n["low"])]
    if op == "prelu":
        wide = each if a["M"].size > 1 else count
        numbers = [count, wide, n["zero"], n["next"], n["M1"], n["shift1"]]
        return [text.call(op, x, *sums(), out, *numbers)]
    if op == "add":
        keys = ("zero_a", "Ma", "shift_a", "zero_b", "Mb", "shift_b", "next", "low")
        return [text.call(op, *xs, out, count, *(n[key] for key in keys))]
    if op == "concat":
        lines, offset = [], 0
        for name, (zero, M, shift) in zip(node.inputs, n["parts"], strict=True):
            many = size(text.shapes[name])
            place = f"{out} + {offset}"
            lines.append(
                text.call("rescale", text.places[name], place, many, zero, M, shift, n["next"])
            )
            offset += many
        return lines
    if op in POINTWISE:
        return [text.call("table", x, array("table", "int8_t"), out, count)]
    if op == "dequantize":
        return [text.call(op, x, out, count, _float(n["scale"]), n["zero"])]
    if op in ("layernorm", "groupnorm", "instancenorm"):
        groups = {"layernorm": 1, "instancenorm": node.shape[0]}.get(op, o.get("groups"))
        arrays = array("gamma", "float"), array("beta", "float")
        return [text.call("groupnorm", x, *arrays, out, count, groups, each, _float(n["eps"]))]
    return _moved(text, step, x, out, before)


def _moved(text: Text, step: Step, x: str, out: str, before: tuple[int, ...]) -> list[str]:
    node, n = step.node, step.numbers
    o, op = node.options, node.op
    if op in ("flatten", "reshape"):
        return [text.call("copy", x, out, size(node.shape))] if x != out else []
    if op == "maxout":
        return [text.call(op, x, out, node.shape[0], o["pieces"], size(node.shape[1:]))]
    if op == "max_pool":
        return [text.call(op, x, out, *window_numbers(before, node, o["size"]))]
    if op == "avg_pool":
        numbers = window_numbers(before, node, o["size"])
        return [text.call(op, x, out, *numbers, int(o["count_include_pad"]), n["zero"])]
    if op == "global_avg_pool":
        C, H, Wd = before
        return [text.call("avg_pool", x, out, C, H, Wd, 1, 1, H, Wd, 1, 1, 0, 0, 0, n["zero"])]
    if op == "upsample":
        more: list[Any] = [n["zero"]] if o["mode"] == "bilinear" else []
        return [text.call(o["mode"], x, out, *before, *o["scale"], *more)]
    if op == "pad":
        top, _, left, _ = o["pads"]
        return [text.call(op, x, out, *before, *node.shape[1:], top, left, n["value"])]
    assert op == "permute", op
    return [text.call(op, x, out, *permuted(before, o["order"]))]
