"""A network as one Python file that needs NumPy alone, and its weights beside it in an ``.npz``.

The file is made of the functions of `handgrad.interop.numpy_images` and `numpy_layers` that the network
needs, as they are written there, and of one line for each layer.
"""

from __future__ import annotations

import inspect
import io
import re
from typing import Any

import numpy as np

from handgrad.errors import OptionError
from handgrad.interop import numpy_columns, numpy_images, numpy_layers
from handgrad.interop.network import Network, Node, identifiers, without_dropout
from handgrad.interop.numpy_use import COLUMNS, prepared_lines, program_lines

_HELPERS = (
    "padded",
    "windows",
    "spread",
    "shares",
    "window_counts",
    "batch_statistics",
    "date_numbers",
)


def files(
    network: Network, name: str, *, bare: bool = False, train: bool = False
) -> dict[str, bytes]:
    """Return the files by name: ``<name>.py`` and ``<name>.npz``.

    bare: without preprocessing and class names; train: with backward passes and a loop of SGD.
    """
    whole = _Text(network if train else without_dropout(network), bare, train)
    return {f"{name}.py": whole.text(name).encode(), f"{name}.npz": _npz(whole.weights)}


def more_of(node: Node, before: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns that a pool with ceil_mode reaches beyond the padded image (C, H, W) `before`."""
    o = node.options
    reach = [
        max(0, (count - 1) * s + w - n - 2 * p)
        for count, s, w, n, p in zip(
            node.shape[1:], o["stride"], o["size"], before[1:], o["pad"], strict=True
        )
    ]
    return reach[0], reach[1]


class _Text:
    """The text of the file, part by part."""

    def __init__(self, network: Network, bare: bool, train: bool) -> None:
        self.network, self.bare, self.train = network, bare, train
        self.names = identifiers([*network.inputs, *(node.name for node in network.nodes)])
        self.weights: dict[str, np.ndarray] = {}
        self.needed: dict[str, None] = {}
        images, self.raw = network.images, network.images.raw
        self.is_prepared = images.mean is not None and not bare
        if self.is_prepared:
            self.weights[f"{self.raw}.mean"] = np.asarray(images.mean)
            self.weights[f"{self.raw}.std"] = np.asarray(images.std)
        self.columns = images.columns if self.is_prepared else None
        if self.columns is not None:
            for role in COLUMNS:
                self.weights[f"columns.{role}"] = getattr(self.columns, role)
            self.needed |= dict.fromkeys(("encoded", "of_columns"))

    # -- one layer -------------------------------------------------------------------------------

    def array(self, node: Node, role: str, default: float | None = None) -> str:
        """The text of an array; `default` fills one that the layer leaves out."""
        if role not in node.arrays:
            count = _channels(node)
            self.weights[f"{node.name}.{role}"] = np.full(count, default, self.network.dtype)
            return f'p["{node.name}.{role}"]'
        name = node.params.get(role, f"{node.name}.{role}")
        name = name if role not in ("mean", "var") else f"{node.name}.{role}"
        self.weights[name] = node.arrays[role].astype(self.network.dtype)
        return f'p["{name}"]'

    def call(self, node: Node) -> tuple[str, list[str], str]:
        """The function, its arrays, and its options as text."""
        o, op = node.options, node.op
        if op in ("affine", "conv", "conv_transpose"):
            arrays = [self.array(node, "W"), self.array(node, "b", 0.0)]
            known = {"conv": {"stride": (1, 1), "pad": (0, 0), "dilation": (1, 1), "groups": 1}}
            given = {k: v for k, v in o.items() if known.get(op, {}).get(k) != v}
            return op, arrays, _options(given)
        if op in ("batchnorm", "layernorm", "groupnorm", "instancenorm"):
            arrays = [self.array(node, "gamma", 1.0), self.array(node, "beta", 0.0)]
            if op == "batchnorm":
                arrays += [self.array(node, role) for role in ("mean", "var")]
                return op, arrays, _options({"eps": o["eps"]})
            groups = {"layernorm": 1, "instancenorm": node.shape[0]}.get(op, o.get("groups"))
            return "groupnorm", arrays, _options({"groups": groups, "eps": o["eps"]})
        if op in ("max_pool", "avg_pool"):
            before = self.network.shapes[node.inputs[0]]
            given = {key: o[key] for key in ("size", "stride", "pad")}
            given["more"] = more_of(node, before)
            if op == "avg_pool":
                given["counts_pad"] = o["count_include_pad"]
            return op, [], _options(given)
        if op == "prelu":
            return op, [self.array(node, "a")], ""
        if op == "gelu":
            return "gelu_tanh" if o["approximate"] == "tanh" else "gelu", [], ""
        if op == "pad":
            return "image_pad", [], _options(o)
        if op == "dropout":
            return op, [f"mask_{self.names[node.name]}"], ""
        return op, [], _options(o)

    def line(self, node: Node, training: bool = False) -> list[str]:
        """The lines that compute a layer."""
        out, xs = self.names[node.name], [self.names[name] for name in node.inputs]
        (x, *_) = xs
        shape = f"  # {('N', *node.shape)}".replace("'", "")
        if node.op == "add":
            return [f"{out} = {' + '.join(xs)}{shape}"]
        if node.op == "scale":
            return [f"{out} = {x} * {node.options['factor']!r}{shape}"]
        if node.op == "standardize":
            mean, std = self.array(node, "mean"), self.array(node, "std")
            return [f"{out} = (({x} - {mean}) / {std}).astype({x}.dtype){shape}"]
        if node.op == "permute":
            order = (0, *(i + 1 for i in node.options["order"]))
            return [f"{out} = {x}.transpose{order}{shape}"]
        if node.op == "reshape":
            return [
                f"{out} = {x}.reshape(len({x}), {', '.join(map(str, node.options['to']))}){shape}"
            ]
        function, arrays, options = self.call(node)
        self.needed[function] = None
        before = []
        if node.op == "dropout":
            keep = node.options["p"]
            before = [
                f"{arrays[0]} = ((rng.random({x}.shape) < {keep}) / {keep}).astype({x}.dtype)"
            ]
        if node.op == "batchnorm" and training:
            self.needed["batch_statistics"] = None
            before = [f"mean_{out}, var_{out} = batch_statistics({x})"]
            arrays[2:] = [f"mean_{out}", f"var_{out}"]
        return [*before, f"{out} = {function}({', '.join([*xs, *arrays])}{options}){shape}"]

    def back(self, node: Node, seen: set[str]) -> list[str]:
        """The lines of a layer's backward pass; `seen` are the values that have a gradient already."""
        out, xs = self.names[node.name], [self.names[name] for name in node.inputs]
        targets, sums = [], []
        known = set(seen)
        for k, x in enumerate(xs):
            if x in known and not (node.op == "add" and x in xs[:k]):
                targets.append(f"more{k or ''}_d{x}")
                sums.append(f"d{x} = d{x} + {targets[-1]}")
            else:
                targets.append(f"d{x}")
            known.add(x)
        if node.op == "add" and len({*xs}) < len(xs):
            targets, sums = targets[:1], sums[:1]
        if node.op == "add":
            lines = [f"{target} = d{out}" for target in dict.fromkeys(targets)]
            if len({*xs}) < len(xs):
                lines = [f"{targets[0]} = {len(xs)} * d{out}"]
        elif node.op == "scale":
            lines = [f"{targets[0]} = d{out} * {node.options['factor']!r}"]
        elif node.op == "standardize":
            lines = [f"{targets[0]} = (d{out} / {self.array(node, 'std')}).astype(d{out}.dtype)"]
        elif node.op == "permute":
            axes = tuple(int(i) for i in np.argsort((0, *(i + 1 for i in node.options["order"]))))
            lines = [f"{targets[0]} = d{out}.transpose{axes}"]
        elif node.op == "reshape":
            lines = [f"{targets[0]} = d{out}.reshape({xs[0]}.shape)"]
        else:
            function, arrays, options = self.call(node)
            self.needed[f"{function}_backward"] = None
            roles = ("W", "b", "gamma", "beta", "a")
            given = {role: name for role, name in node.params.items() if role in roles}
            places = list(
                {
                    "affine": roles[:2],
                    "conv": roles[:2],
                    "conv_transpose": roles[:2],
                    "prelu": roles[4:],
                    "dropout": (),
                }.get(node.op, roles[2:4] if arrays else ())
            )
            used = {name for name in given.values() if f"g {name}" in seen}
            left = list(targets)
            for role in places:
                name = given.get(role)
                left.append(
                    "_" if name is None else f'g["{name}"]' if name not in used else f"d{role}"
                )
            if node.op == "batchnorm":
                arrays[2:] = [f"mean_{out}", f"var_{out}"]
            lines = [
                f"{', '.join(left)} = {function}_backward({', '.join([f'd{out}', *xs, *arrays])}{options})"
            ]
            lines += [f'g["{n}"] = g["{n}"] + d{r}' for r, n in given.items() if n in used]
            seen |= {f"g {name}" for name in given.values()}
        seen |= {*xs}
        return [*lines, *sums]

    # -- the file --------------------------------------------------------------------------------

    def text(self, name: str) -> str:
        """The whole file."""
        network = self.network
        inputs = ", ".join(self.names[x] for x in network.inputs)
        shapes = " and ".join(str(("N", *s)).replace("'", "") for s in network.inputs.values())
        nodes = [n for n in network.nodes if n.op != "dropout"]
        plain = without_dropout(network)
        body = [line for node in plain.nodes for line in self.line(node)]
        parts = [
            f"def scores({inputs}):",
            f'    """{shapes} -> {("N", *network.shapes[network.output])}"""'.replace("'", ""),
        ]
        parts += [f"    {line}" for line in body]
        parts += [f"    return {self.names[plain.output]}", ""]
        if self.is_prepared:
            parts += prepared_lines(network.images, shapes)
        if self.train:
            parts += self.training(inputs, nodes)
        parts += program_lines(network, self.is_prepared, bare=self.bare)
        head = [
            f'"""{network.name}: a network on a few pages, written by Handgrad; NumPy is all it needs.',
            "",
            f"The weights are in {name}.npz beside this file."
            + ("  `train` goes on with them." if self.train else ""),
            '"""',
            "",
        ]
        functions = self.functions()
        uses_math = any("math." in text for text in functions)
        head += ["import csv"] if self.columns else []
        head += ["import math"] if uses_math else []
        head += ["import sys", "from pathlib import Path", "", "import numpy as np", ""]
        head += [
            'p = dict(np.load(Path(__file__).with_suffix(".npz"), allow_pickle=False))',
            f"DTYPE = np.{network.dtype.name}",
        ]
        if network.images.class_names and not self.bare:
            head.append(f"CLASSES = {list(network.images.class_names)!r}")
        if self.columns is not None:
            head += ["FIELDS = [", *(f"    {field!r}," for field in self.columns.table), "]"]
        return "\n".join(
            [
                *head,
                "",
                "",
                *("\n\n" + "\n\n\n".join(functions)).strip("\n").splitlines(),
                "",
                "",
                *parts,
            ]
        )

    def functions(self) -> list[str]:
        """The sources of the layers that are used, and of what they call."""
        written = {**vars(numpy_columns), **vars(numpy_images), **vars(numpy_layers)}
        sources = {
            name: inspect.getsource(thing) for name, thing in written.items() if callable(thing)
        }
        wanted = dict.fromkeys(self.needed)
        for _ in range(2):
            for function in list(wanted):
                used = (h for h in _HELPERS if re.search(rf"(?<!def )\b{h}\(", sources[function]))
                wanted |= dict.fromkeys(used)
        return [source.rstrip() for name, source in sources.items() if name in wanted]

    def training(self, inputs: str, nodes: list[Node]) -> list[str]:
        """The functions `loss_and_gradients` and `train`."""
        network = self.network
        self.needed["softmax_loss"] = None
        loss = dict(network.loss)
        smoothing = loss.pop("label_smoothing", 0.0)
        if loss != {"name": "softmax"}:
            raise OptionError(f"export: train=True is for the softmax loss, not for {loss}")
        smooth = f", smoothing={float(smoothing)!r}" if smoothing else ""
        lines = [line for node in network.nodes for line in self.line(node, training=True)]
        seen: set[str] = set()
        back = [
            f"loss, d{self.names[network.output]} = softmax_loss({self.names[network.output]}, y{smooth})",
            "g = {}",
        ]
        for node in reversed(network.nodes):
            back += self.back(node, seen)
        norms: dict[str, None] = {}
        for node in nodes:
            if node.op == "batchnorm":
                out, keep = self.names[node.name], node.options["momentum"]
                for role in ("mean", "var"):
                    place = f'p["{node.name}.{role}"]'
                    norms[f"{place} += {1 - keep:.6g} * ({role}_{out} - {place})"] = None
        decay = []
        if network.reg and network.decayed:
            decay = [
                f"for name in {list(network.decayed)!r}:  # L2 regularisation",
                f"    loss = loss + {network.reg / 2!r} * (p[name] ** 2).sum()",
                f"    g[name] = g[name] + np.array({network.reg!r}, DTYPE) * p[name]",
            ]
        rng = ", rng" if any(node.op == "dropout" for node in network.nodes) else ""
        parts = [
            "",
            f"def loss_and_gradients({inputs}, y{rng}):",
            '    """The mean loss of a batch, and the gradient of each weight, by its name"""',
        ]
        parts += [f"    {line}" for line in [*lines, *back, *decay, *norms]]
        batch = ", ".join(f"{x}[rows]" for x in inputs.split(", "))
        parts += [
            "    return loss, g",
            "",
            "",
            f"def train({inputs}, y, epochs=1, batch_size=50, learning_rate=0.01, seed=0):",
            '    """SGD: w = w - learning_rate dw, for batches in random order"""',
            "    rng = np.random.default_rng(seed)",
            "    for epoch in range(epochs):",
            "        order = rng.permutation(len(y))",
            "        for start in range(0, len(y), batch_size):",
            "            rows = order[start : start + batch_size]",
            f"            loss, g = loss_and_gradients({batch}, y[rows]{rng})",
            "            for name, dw in g.items():",
            "                p[name] = p[name] - np.array(learning_rate, DTYPE) * dw",
            '        print(f"epoch {epoch + 1}, loss {loss:.4f}")',
            "",
        ]
        return parts


def _channels(node: Node) -> int:
    W = node.arrays.get("W")
    if W is None:
        return node.shape[0]
    if node.op == "conv_transpose":
        return W.shape[1] * node.options["groups"]
    return W.shape[1] if node.op == "affine" else W.shape[0]


def _options(given: Any) -> str:
    plain = {
        k: tuple(v) if isinstance(v, list | tuple) else v.item() if hasattr(v, "item") else v
        for k, v in given.items()
    }
    return "".join(f", {key}={value!r}" for key, value in plain.items())


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    # names with dots are no keywords that Python would write, but npz takes any
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()
