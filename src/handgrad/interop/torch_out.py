"""A network as an ``nn.Module`` of PyTorch: readable source, and its weights in safetensors.

The source is text that is written without PyTorch.  Weights are stored as PyTorch has them: those of
an affine layer transposed, (outputs, inputs).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.interop.columns import Columns
from handgrad.interop.network import Network, Node, identifiers
from handgrad.interop.numpy_out import more_of
from handgrad.interop.onnx_out import metadata


def files(network: Network, name: str, *, bare: bool = False) -> dict[str, bytes]:
    """Return the files by name: ``<name>.py`` and ``<name>.safetensors``."""
    from safetensors.numpy import save

    text = _Source(network, bare)
    source = text.source(name)
    weights = {key: np.asarray(array, order="C") for key, array in text.weights.items()}
    return {
        f"{name}.py": source.encode(),
        f"{name}.safetensors": save(weights, metadata(network, bare=bare) | {"format": "pt"}),
    }


class _Source:
    def __init__(self, network: Network, bare: bool) -> None:
        self.network, self.bare = network, bare
        values = identifiers([*network.inputs, *(node.name for node in network.nodes)])
        self.values = values
        self.weights: dict[str, np.ndarray] = {}
        self.made: list[str] = []  # lines of __init__
        self.modules: dict[tuple[str, ...], str] = {}  # parameters of a layer -> its attribute
        self.frozen: list[str] = []

    def module(self, node: Node, call: str, arrays: dict[str, np.ndarray]) -> str:
        """Make a module once, with its arrays; return its attribute."""
        key = tuple(sorted(node.params.values()))
        if key and key in self.modules:
            return self.modules[key]
        attribute = self.values[node.name]
        self.modules[key or (node.name,)] = attribute
        self.made.append(f"self.{attribute} = {call}")
        self.weights |= {f"{attribute}.{role}": array for role, array in arrays.items()}
        return attribute

    def line(self, node: Node) -> str:
        """The line of forward; the module is made on the way."""
        xs = [self.values[name] for name in node.inputs]
        shape = str(("N", *node.shape)).replace("'", "")
        return f"{self.values[node.name]} = {LINES[node.op](self, node, xs)}  # {shape}"

    def source(self, name: str) -> str:
        """The whole text."""
        network = self.network
        lines = [self.line(node) for node in network.nodes]
        inputs = [self.values[x] for x in network.inputs]
        images, raw = network.images, network.images.raw
        prepared = images.mean is not None and not self.bare
        if prepared:
            self.weights |= {
                f"{raw}_{role}": np.asarray(array, network.dtype)
                for role, array in (("mean", images.mean), ("std", images.std))
            }
            for role in ("mean", "std"):
                shape = tuple(self.weights[f"{raw}_{role}"].shape)
                self.made.append(f'self.register_buffer("{raw}_{role}", torch.zeros({shape}))')
            x = inputs[0]
            front = self.columns(images.columns, x) if images.columns else []
            lines = [*front, f"{x} = ({x} - self.{raw}_mean) / self.{raw}_std", *lines]
        takes = images.said if prepared else "inputs"
        given = [images.raw_shape(s) if prepared else s for s in network.inputs.values()]
        shapes = " and ".join(str(("N", *s)).replace("'", "") for s in given)
        text = [
            f'"""{network.name}, written by Handgrad; '
            f'the weights are in {name}.safetensors beside this file."""',
            "",
            "from pathlib import Path",
            "",
            "import torch",
            "import torch.nn.functional as F",
            "from safetensors.torch import load_file",
            "from torch import nn",
            "",
        ]
        if images.class_names and not self.bare:
            text += [f"CLASSES = {list(images.class_names)!r}", ""]
        text += [
            "",
            f"class {_class_name(network.name)}(nn.Module):",
            f'    """{takes} {shapes} -> scores {("N", *network.shapes[network.output])!s}"""'.replace(
                "'", ""
            ),
            "",
            "    def __init__(self):",
            "        super().__init__()",
        ]
        text += [f"        {line}" for line in [*self.made, *self.frozen]]
        text += ["", f"    def forward(self, {', '.join(inputs)}):"]
        text += [f"        {line}" for line in lines]
        text += [f"        return {self.values[network.output]}", "", "",
                 "def load(path=None):", '    """The network with its weights, ready to predict."""',
                 f"    model = {_class_name(network.name)}()",
                 '    weights = load_file(path or Path(__file__).with_suffix(".safetensors"))',
                 f"    model.to(torch.{network.dtype.name}).load_state_dict(weights)",
                 "    return model.eval()", ""]  # fmt: skip
        return "\n".join(text)

    def columns(self, columns: Columns, x: str) -> list[str]:
        """The lines that make the D numbers of the K of a table's columns."""
        arrays = {"source": columns.source, "fill": columns.fill.astype(self.network.dtype)}
        parts = [f"{x} = {x}[:, self.columns_source]", f"missing = torch.isnan({x})"]
        parts.append(f"filled = torch.where(missing, self.columns_fill, {x})")
        if columns.is_level.any():
            arrays |= {"level": columns.level.astype(self.network.dtype)}
            parts.append(
                f"filled = torch.where(torch.isnan(self.columns_level), filled, {x} == self.columns_level)"
            )
        if columns.gap.any():
            arrays |= {"gap": columns.gap}
            parts.append("filled = torch.where(self.columns_gap, missing, filled)")
        for role, array in arrays.items():
            self.weights[f"columns_{role}"] = array
            kind = {"i": ", dtype=torch.int64", "b": ", dtype=torch.bool"}.get(array.dtype.kind, "")
            self.made.append(
                f'self.register_buffer("columns_{role}", torch.zeros({array.shape}{kind}))'
            )
        return [*parts, f"{x} = filled.to({x}.dtype)"]


def _class_name(name: str) -> str:
    """A class name that hides nothing of PyTorch."""
    return name if name not in ("Sequential", "Model", "GraphModel") else "Network"


def _pair(value: Any) -> str:
    """A pair, as one number where both are equal."""
    a, b = value
    return repr(int(a)) if a == b else repr((int(a), int(b)))


def _arguments(**given: str | None) -> str:
    return "".join(f", {key}={value}" for key, value in given.items() if value is not None)


def _window_options(o: Any) -> dict[str, str | None]:
    return {
        "stride": None if tuple(o["stride"]) == (1, 1) else _pair(o["stride"]),
        "padding": None if tuple(o["pad"]) == (0, 0) else _pair(o["pad"]),
        "dilation": None if tuple(o["dilation"]) == (1, 1) else _pair(o["dilation"]),
        "groups": None if o["groups"] == 1 else repr(o["groups"]),
    }


def _affine(s: _Source, node: Node, xs: list[str]) -> str:
    W = node.arrays["W"]
    bias = None if "b" in node.arrays else "False"
    arrays = {"weight": W.T} | ({} if bias else {"bias": node.arrays["b"]})
    call = f"nn.Linear({W.shape[0]}, {W.shape[1]}{_arguments(bias=bias)})"
    flat = len(s.network.shapes[node.inputs[0]]) > 1
    x = f"{xs[0]}.flatten(1)" if flat else xs[0]
    return f"self.{s.module(node, call, arrays)}({x})"


def _conv(s: _Source, node: Node, xs: list[str]) -> str:
    W, o = node.arrays["W"], node.options
    bias = None if "b" in node.arrays else "False"
    arrays = {"weight": W} | ({} if bias else {"bias": node.arrays["b"]})
    channels = (W.shape[1] * o["groups"], W.shape[0])
    kind, more = "nn.Conv2d", {}
    if node.op == "conv_transpose":
        kind, channels = "nn.ConvTranspose2d", (W.shape[0], W.shape[1] * o["groups"])
        more = {"output_padding": None if not any(o["output_pad"]) else _pair(o["output_pad"])}
    options = _arguments(**_window_options(o), **more, bias=bias)
    call = f"{kind}({channels[0]}, {channels[1]}, {_pair(W.shape[2:])}{options})"
    attribute = s.module(node, call, arrays)
    if not node.params:  # as of whitening: nothing here is trained
        s.frozen.append(f"self.{attribute}.requires_grad_(False)")
    return f"self.{attribute}({xs[0]})"


def _norm(s: _Source, node: Node, xs: list[str]) -> str:
    o, channels, images = node.options, node.shape[0], len(node.shape) == 3
    arrays: dict[str, np.ndarray] = {}
    kind = {"batchnorm": "BatchNorm2d" if images else "BatchNorm1d", "layernorm": "LayerNorm",
            "groupnorm": "GroupNorm", "instancenorm": "InstanceNorm2d"}[node.op]  # fmt: skip
    affine = {role for role in ("gamma", "beta") if role in node.arrays}
    if affine:
        dtype = s.network.dtype
        arrays["weight"] = node.arrays.get("gamma", np.ones(channels, dtype))
        arrays["bias"] = node.arrays.get("beta", np.zeros(channels, dtype))
    first = f"{o['groups']}, {channels}" if kind == "GroupNorm" else f"{channels}"
    options: dict[str, str | None] = {"eps": None if o["eps"] == 1e-5 else repr(o["eps"])}
    if node.op == "batchnorm":
        arrays |= {f"running_{role}": node.arrays[role] for role in ("mean", "var")}
        arrays["num_batches_tracked"] = np.array(0)
        momentum = round(1 - o["momentum"], 12)
        options["momentum"] = None if momentum == 0.1 else repr(momentum)
    elementwise = "elementwise_affine" if kind == "LayerNorm" else "affine"
    if kind == "InstanceNorm2d":
        options[elementwise] = "True" if affine else None
    elif not affine:
        options[elementwise] = "False"
    attribute = s.module(node, f"nn.{kind}({first}{_arguments(**options)})", arrays)
    for role, name in (("gamma", "weight"), ("beta", "bias")):
        line = f"self.{attribute}.{name}.requires_grad_(False)"
        if affine and role not in affine and line not in s.frozen:
            s.frozen.append(line)
    return f"self.{attribute}({xs[0]})"


def _prelu(s: _Source, node: Node, xs: list[str]) -> str:
    a = node.arrays["a"]
    return f"self.{s.module(node, f'nn.PReLU({a.size})', {'weight': a.reshape(-1)})}({xs[0]})"


def _dropout(s: _Source, node: Node, xs: list[str]) -> str:
    drop = round(1 - node.options["p"], 12)
    return f"self.{s.module(node, f'nn.Dropout({drop!r})', {})}({xs[0]})"


def _maxout(s: _Source, node: Node, xs: list[str]) -> str:
    return f"{xs[0]}.unflatten(1, ({node.shape[0]}, {node.options['pieces']})).amax(2)"


def _pool(s: _Source, node: Node, xs: list[str]) -> str:
    o = node.options
    given = {
        "stride": None if o["stride"] == o["size"] else _pair(o["stride"]),
        "padding": _pair(o["pad"]) if any(o["pad"]) else None,
        "ceil_mode": "True" if any(more_of(node, s.network.shapes[node.inputs[0]])) else None,
    }
    if node.op == "avg_pool" and not o["count_include_pad"] and any(o["pad"]):
        given["count_include_pad"] = "False"
    function = "max_pool2d" if node.op == "max_pool" else "avg_pool2d"
    return f"F.{function}({xs[0]}, {_pair(o['size'])}{_arguments(**given)})"


def _upsample(s: _Source, node: Node, xs: list[str]) -> str:
    more = ', mode="bilinear", align_corners=False' if node.options["mode"] == "bilinear" else ""
    scale = tuple(float(n) for n in node.options["scale"])
    return f"F.interpolate({xs[0]}, scale_factor={scale}{more})"


def _standardize(s: _Source, node: Node, xs: list[str]) -> str:
    attribute = s.values[node.name]
    for role in ("mean", "std"):
        name = f"{attribute}_{role}"
        s.weights[name] = node.arrays[role].astype(s.network.dtype)
        shape = tuple(node.arrays[role].shape)
        s.made.append(f'self.register_buffer("{name}", torch.zeros({shape}))')
    return f"({xs[0]} - self.{attribute}_mean) / self.{attribute}_std"


def _pad(s: _Source, node: Node, xs: list[str]) -> str:
    top, bottom, left, right = node.options["pads"]
    return f"F.pad({xs[0]}, ({left}, {right}, {top}, {bottom}), value={node.options['value']!r})"


def _permute(s: _Source, node: Node, xs: list[str]) -> str:
    return f"{xs[0]}.permute(0, {', '.join(str(i + 1) for i in node.options['order'])})"


def _gelu(s: _Source, node: Node, xs: list[str]) -> str:
    more = ', approximate="tanh"' if node.options["approximate"] == "tanh" else ""
    return f"F.gelu({xs[0]}{more})"


def _call(function: str, **options: str) -> Callable[[_Source, Node, list[str]], str]:
    def line(s: _Source, node: Node, xs: list[str]) -> str:
        given = "".join(f", {ours}={node.options[theirs]!r}" for ours, theirs in options.items())
        return f"{function}({', '.join(xs)}{given})"

    return line


LINES: dict[str, Callable[[_Source, Node, list[str]], str]] = {
    "affine": _affine,
    "conv": _conv,
    "conv_transpose": _conv,
    **dict.fromkeys(("batchnorm", "layernorm", "groupnorm", "instancenorm"), _norm),
    "prelu": _prelu,
    "dropout": _dropout,
    "maxout": _maxout,
    "max_pool": _pool,
    "avg_pool": _pool,
    "upsample": _upsample,
    "standardize": _standardize,
    "pad": _pad,
    "permute": _permute,
    "gelu": _gelu,
    "relu": _call("F.relu"),
    "sigmoid": _call("torch.sigmoid"),
    "tanh": _call("torch.tanh"),
    "softplus": _call("F.softplus"),
    "leaky_relu": _call("F.leaky_relu", negative_slope="alpha"),
    "elu": _call("F.elu", alpha="alpha"),
    "flatten": lambda s, node, xs: f"{xs[0]}.flatten(1)",
    "reshape": lambda s, node, xs: (
        f"{xs[0]}.reshape(-1, {', '.join(map(str, node.options['to']))})"
    ),
    "add": lambda s, node, xs: " + ".join(xs),
    "concat": lambda s, node, xs: f"torch.cat([{', '.join(xs)}], 1)",
    "global_avg_pool": lambda s, node, xs: f"{xs[0]}.mean((2, 3))",
    "scale": lambda s, node, xs: f"{xs[0]} * {node.options['factor']!r}",
}
