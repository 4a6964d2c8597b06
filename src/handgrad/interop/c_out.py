"""A network as one header in C99: no dependency, no allocation, of the mathematical library expf alone.

The header holds the weights, the functions of ``c_float.h`` (or ``c_int8.h``) that the network needs, and

    void <name>_predict(const float *x, float *scores);

for one image or row.  What lies between the layers is in one static buffer, so it is for one thread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handgrad.errors import OptionError
from handgrad.interop.c_memory import plan
from handgrad.interop.columns import Columns
from handgrad.interop.network import (
    Network,
    Node,
    folded,
    identifiers,
    scale_and_shift,
    size,
    without_dropout,
)

_NEEDS = {
    "conv": ["clip", "begin", "end"],
    "max_pool": ["clip"], "avg_pool": ["clip"], "bilinear": ["clip"], "groupnorm": ["rsqrt"],
    "elu": ["expm1"], "tanh": ["tanh_of", "expm1"], "gelu_tanh": ["tanh_of", "expm1"],
    "tanh_of": ["expm1"],
}  # fmt: skip


class Sizes(NamedTuple):
    """Bytes: weights, constants in the file; memory, the static buffer."""

    weights: int
    memory: int


def header(network: Network, name: str, *, bare: bool = False) -> tuple[str, Sizes]:
    """Return the text of the header in float, and its sizes."""
    network = folded(without_dropout(network))
    text = Text(network, name, Path(__file__).with_name("c_float.h"), _NEEDS)
    memory = plan(network)
    for value, offset in memory.offsets.items():
        text.places[value] = f"{text.name}_memory" + (f" + {offset}" if offset else "")
    text.places[network.output] = "scores"
    prepared = network.images.mean is not None and not bare
    text.callers(network, prepared)
    lines = _prepared(text, network, memory.numbers) if prepared else []
    extra = size(next(iter(network.inputs.values()))) if prepared else 0
    for node in network.nodes:
        lines += _call(text, node)
    if network.output in network.inputs:
        lines.append(text.call("copy", text.places[network.output], "scores", "0"))
    buffers = [f"static float {text.name}_memory[{max(memory.numbers + extra, 1)}];"]
    sizes = Sizes(text.bytes, 4 * (memory.numbers + extra))
    return text.whole(network, lines, buffers, sizes, bare, "float"), sizes


class Text:
    """The parts of a header while it is written."""

    def __init__(
        self, network: Network, name: str, layers: Path, needs: dict[str, list[str]]
    ) -> None:
        (self.name,) = identifiers([name]).values()
        self.names = identifiers([node.name for node in network.nodes])
        self.needs, self.used = needs, dict[str, None]()
        self.arrays: list[str] = []
        self.known: dict[str, int] = {}  # arrays by name -> the id of what they hold
        self.bytes = 0
        self.places: dict[str, str] = {}
        self.shapes = network.shapes
        parts = re.split(r"/\* --- (\w+)", layers.read_text("utf-8"))
        self.library = {
            n: f"/* {n}{body}" for n, body in zip(parts[1::2], parts[2::2], strict=True)
        }

    def callers(self, network: Network, prepared: bool) -> None:
        """Name the arguments of the predict function."""
        self.given = [
            f"x{i + 1}" if len(network.inputs) > 1 else "x" for i in range(len(network.inputs))
        ]
        if not prepared:
            self.places |= dict(zip(network.inputs, self.given, strict=True))

    def array(self, label: str, values: np.ndarray, kind: str = "float") -> str:
        """Write a constant array, once for each label; return its name."""
        name = f"{self.name}_{label}"
        if name in self.known:
            return name
        self.known[name] = values.size
        flat = values.reshape(-1)
        self.bytes += flat.size * {"float": 4, "int8_t": 1, "int32_t": 4, "uint8_t": 1}[kind]
        if kind == "float":
            if not np.isfinite(flat.astype(np.float32)).all():
                raise OptionError(f"export to C: {label} must hold finite float32 numbers")
            texts = [_float(v) for v in flat]
        else:
            # the smallest int32 has no literal of its own in C
            texts = [str(int(v)) if v > -(2**31) else "(-2147483647 - 1)" for v in flat]
        lines, line = [], ""
        for text in texts:
            if len(line) + len(text) > 110:
                lines.append(line)
                line = ""
            line += text + ","
        body = "\n  ".join([*lines, line.rstrip(",")])
        self.arrays.append(f"static const {kind} {name}[{flat.size}] = {{\n  {body}}};")
        return name

    def call(self, function: str, *arguments: Any) -> str:
        """A call of a layer's function, which is then part of the file."""
        for other in self.needs.get(function, ()):
            self.used[other] = None
        self.used[function] = None
        return f"{self.name}_{function}({', '.join(map(str, arguments))});"

    def whole(
        self,
        network: Network,
        lines: Iterable[str],
        buffers: list[str],
        sizes: Sizes,
        bare: bool,
        kind: str,
    ) -> str:
        """The text of the file."""
        name, images = self.name, network.images
        guard = f"HANDGRAD_{name.upper()}_H"
        functions = [body for n, body in self.library.items() if n in self.used]
        functions = [f.replace("NAME", name).rstrip() for f in functions]
        takes = ", ".join(f"const float *{x}" for x in self.given)
        prepared = images.mean is not None and not bare
        given = [images.raw_shape(s) if prepared else s for s in network.inputs.values()]
        shapes = " and ".join(str(list(s)) for s in given)
        pixels = f", {images.said}" if prepared and images.raw != "rows" else ""
        count = size(network.shapes[network.output])
        head = [
            f"/* {network.name}, written by Handgrad: {kind} in C99 without allocation.",
            f"   {name}_predict takes {shapes}{pixels}, and gives {count} scores; one thread at a time.",
            f"   {sizes.weights} bytes of weights, {sizes.memory} bytes of static memory. */",
            f"#ifndef {guard}", f"#define {guard}", "",
        ]  # fmt: skip
        uses = "\n".join(functions)
        if prepared and images.columns is not None:
            head += ["/* " + str(images.columns).replace("*/", "* /") + " */"]
        head += ["#include <math.h>"] if "expf(" in uses else []
        head += (
            ["#include <stdint.h>"]
            if "int8_t" in uses or "uint32_t" in uses or "int32_t" in uses
            else []
        )
        head += ["#include <string.h>"] if "memcpy(" in uses else []
        body = ["", *self.arrays, "", *buffers, "", *functions, ""]
        if images.class_names and not bare:
            table = ", ".join(json.dumps(c, ensure_ascii=True) for c in images.class_names)
            table = re.sub(r"\\u([0-9a-f]{4})", lambda m: _utf8(m[0]), table)
            body += [f"static inline const char *{name}_class(int k) {{",
                     f"  static const char *const names[{len(images.class_names)}] = {{{table}}};",
                     "  return names[k];", "}", ""]  # fmt: skip
        body += [f"static inline void {name}_predict({takes}, float *scores) {{"]
        body += [f"  {line}" for line in lines]
        return "\n".join([*head, *body, "}", "", f"#endif /* {guard} */", ""])


def _utf8(escape: str) -> str:
    """The escape of a character in JSON as those of its bytes in C."""
    data = json.loads(f'"{escape}"').encode("utf-8", "replace")
    return "".join(f"\\{byte:03o}" for byte in data)


def _float(value: Any) -> str:
    text = f"{np.float32(value)!s}"
    return f"{text}f" if any(c in text for c in ".en") else f"{text}.0f"


def _prepared(text: Text, network: Network, offset: int) -> list[str]:
    (name, shape), *_ = network.inputs.items()
    images = network.images
    mean, scale, each = channel_arrays(images, shape)
    x, out = "x", f"{text.name}_memory + {offset}"
    text.places[name] = out
    lines = []
    if images.columns is not None:
        lines, x = columns_lines(text, images.columns, out), out
    arrays = text.array(f"{images.raw}_mean", mean), text.array(f"{images.raw}_scale", scale)
    return [*lines, text.call("standardize", x, *arrays, out, size(shape), each)]


def columns_lines(text: Text, columns: Columns, out: str) -> list[str]:
    """The line that makes the D numbers of the K of a table's columns."""
    kinds = np.where(columns.gap, 2, np.where(columns.is_level, 1, 0))
    value = np.where(columns.is_level, columns.level, columns.fill)
    arrays = (
        text.array("columns_source", columns.source, "int32_t"),
        text.array("columns_kind", kinds, "uint8_t"),
        text.array("columns_value", value),
    )
    return [text.call("columns", "x", *arrays, out, len(kinds))]


def channel_arrays(images: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean and 1 / std of the pixels, and how many neighbouring ones share them."""
    mean, std = np.asarray(images.mean, np.float64), np.asarray(images.std, np.float64)
    whole = [np.broadcast_to(a, shape) for a in (mean, std)]
    per_channel = all(a.size == 1 or a.shape[-2:] == (1, 1) for a in (mean, std))
    if len(shape) == 3 and per_channel:
        whole, each = [a[:, 0, 0] for a in whole], shape[1] * shape[2]
    else:
        each = 1
    return whole[0].reshape(-1), 1 / whole[1].reshape(-1), each


def window_numbers(before: tuple[int, ...], node: Node, window: tuple[int, int]) -> list[int]:
    """C, H, W of the image, rows and columns of windows, and what a window is."""
    o = node.options
    return [*before, *node.shape[1:], *window, *o["stride"], *o["pad"]]


def _call(text: Text, node: Node) -> list[str]:
    """The lines that compute a layer."""
    o, op, n = node.options, node.op, text.names[node.name]
    xs, out = [text.places[name] for name in node.inputs], text.places[node.name]
    (x, *_), before = xs, text_shape(text, node)
    count, each = size(node.shape), size(node.shape[1:])
    if op in ("flatten", "reshape"):
        return [text.call("copy", x, out, count)] if x != out else []
    if op in ("affine", "conv", "conv_transpose"):
        W = text.array(_label(node, "W", n), node.arrays["W"])
        filters = node.shape[0]
        b = node.arrays.get("b", np.zeros(filters, np.float32))
        b_name = text.array(_label(node, "b", n), b)
        if op == "affine":
            return [text.call(op, x, W, b_name, out, *node.arrays["W"].shape)]
        C, H, Wd = before
        numbers = [C, H, Wd, filters, *node.shape[1:], *node.arrays["W"].shape[2:]]
        numbers += [*o["stride"], *o["pad"], *o["dilation"], o["groups"]]
        return [text.call(op, x, W, b_name, out, *numbers)]
    if op == "batchnorm":
        factor, shift = scale_and_shift(node)
        arrays = text.array(f"{n}_factor", factor), text.array(f"{n}_shift", shift)
        return [text.call("channels", x, *arrays, out, count, each)]
    if op in ("layernorm", "groupnorm", "instancenorm"):
        groups = {"layernorm": 1, "instancenorm": node.shape[0]}.get(op, o.get("groups"))
        ones, zeros = np.ones(node.shape[0]), np.zeros(node.shape[0])
        gamma = text.array(_label(node, "gamma", n), node.arrays.get("gamma", ones))
        beta = text.array(_label(node, "beta", n), node.arrays.get("beta", zeros))
        return [text.call("groupnorm", x, gamma, beta, out, count, groups, each, _float(o["eps"]))]
    if op == "prelu":
        a = node.arrays["a"]
        wide = each if a.size > 1 else count
        return [text.call(op, x, text.array(_label(node, "a", n), a), out, count, wide)]
    if op == "standardize":
        mean, std = (np.broadcast_to(node.arrays[r], node.shape) for r in ("mean", "std"))
        arrays = text.array(f"{n}_mean", mean), text.array(f"{n}_scale", 1 / std)
        return [text.call(op, x, *arrays, out, count, 1)]
    if op in ("relu", "sigmoid", "tanh", "softplus"):
        return [text.call(op, x, out, count)]
    if op in ("leaky_relu", "elu", "scale"):
        return [text.call(op, x, out, count, _float(o["factor" if op == "scale" else "alpha"]))]
    if op == "gelu":
        name = "gelu_tanh" if o["approximate"] == "tanh" else "gelu"
        return [text.call(name, x, out, count)]
    if op == "add":
        return [text.call(op, *xs, out, count)]
    if op == "concat":
        return concat_lines(text, node, out)
    if op == "maxout":
        return [text.call(op, x, out, node.shape[0], o["pieces"], each)]
    if op in ("max_pool", "avg_pool"):
        more = [int(o["count_include_pad"])] if op == "avg_pool" else []
        return [text.call(op, x, out, *window_numbers(before, node, o["size"]), *more)]
    if op == "global_avg_pool":
        C, H, Wd = before
        return [text.call("avg_pool", x, out, C, H, Wd, 1, 1, H, Wd, 1, 1, 0, 0, 0)]
    if op == "upsample":
        return [text.call(o["mode"], x, out, *before, *o["scale"])]
    if op == "pad":
        top, _, left, _ = o["pads"]
        return [text.call(op, x, out, *before, *node.shape[1:], top, left, _float(o["value"]))]
    assert op == "permute", op
    return [text.call(op, x, out, *permuted(before, o["order"]))]


def permuted(before: tuple[int, ...], order: tuple[int, ...]) -> list[int]:
    """Three sizes of the output of a permutation, and the strides of the input that they go along."""
    strides = [size(before[i + 1 :]) for i in order]
    sizes = [before[i] for i in order]
    lacking = 3 - len(order)
    return [*[1] * lacking, *sizes, *[0] * lacking, *strides]


def concat_lines(text: Text, node: Node, out: str) -> list[str]:
    """Copy each input behind the one before it."""
    lines, offset = [], 0
    for name in node.inputs:
        count = size(text.shapes[name])
        lines.append(text.call("copy", text.places[name], f"{out} + {offset}", count))
        offset += count
    return lines


def text_shape(text: Text, node: Node) -> tuple[int, ...]:
    """The shape of a node's first input."""
    return text.shapes[node.inputs[0]]


def _label(node: Node, role: str, name: str) -> str:
    """The name of an array: that of the parameter, so that a layer used twice is written once."""
    parameter = node.params.get(role)
    return f"{name}_{role}" if parameter is None else identifiers([parameter])[parameter].strip("_")
