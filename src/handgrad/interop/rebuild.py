"""From the neutral form to a network of `handgrad.nn` that trains on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from handgrad import nn
from handgrad.errors import (
    OptionError,
    as_items,
    check_dictionary,
    check_known,
    is_one_of,
    keywords_of,
    required,
    shown,
)
from handgrad.interop.network import Images, Network, Node

_LAYERS = {
    "affine": "Affine", "conv": "Conv2d", "conv_transpose": "ConvTranspose2d",
    "batchnorm": "BatchNorm", "layernorm": "LayerNorm", "groupnorm": "GroupNorm",
    "instancenorm": "InstanceNorm", "prelu": "PReLU", "relu": "ReLU", "sigmoid": "Sigmoid",
    "tanh": "Tanh", "softplus": "Softplus", "leaky_relu": "LeakyReLU", "elu": "ELU", "gelu": "GELU",
    "maxout": "Maxout", "dropout": "Dropout", "flatten": "Flatten", "add": "Add",
    "concat": "Concat", "max_pool": "MaxPool", "avg_pool": "AvgPool",
    "global_avg_pool": "GlobalAvgPool", "upsample": "Upsample",
    **{name.lower(): f"handgrad.interop.extras:{name}"
       for name in ("Scale", "Standardize", "Pad", "Permute", "Reshape")},
}  # fmt: skip


class GraphModel(nn.Model):
    """A network of `handgrad.nn` that a table connects, as the readers of foreign files make it.

    Attributes beside those of `handgrad.nn.Model`: images, the preprocessing and class names that
    came with the file.

    >>> net = GraphModel(
    ...     [{"name": "fc", "layer": "Affine", "width": 3, "inputs": ["x"]},
    ...      {"name": "again", "same_as": "fc", "inputs": ["fc"]},
    ...      {"name": "sum", "layer": "Add", "inputs": ["fc", "again"]}],
    ...     input_shape=(3,), rng=0,
    ... )
    >>> net.loss(np.ones((2, 3))).shape
    (2, 3)
    """

    _is_static = True

    def __init__(
        self,
        nodes: Sequence[Mapping[str, Any]],
        inputs: Sequence[str] = ("x",),
        output: str | None = None,
        input_shape: Any = None,
        **options: Any,
    ) -> None:
        """Make the layers.

        Args:
            nodes: tables, one a call: name; inputs, the names of the values that go in; and layer with
                its options, as `handgrad.nn.build_layer` takes them, or same_as, the name of an earlier
                node whose layer is used again.
            inputs: the names of the network's inputs.
            output: the node that gives the scores; None is the last one.
            input_shape: of one row; a list of such for several inputs.
            **options: those of `handgrad.nn.Model`.

        Raises OptionError for a table that is not as above.
        """
        super().__init__(input_shape, **options)
        self.images = Images()
        names = as_items("GraphModel", "inputs", inputs, "names")
        if not names or not all(isinstance(name, str) for name in names):
            raise OptionError(f"GraphModel: inputs must be names, got {shown(inputs)}")
        self._inputs = names
        self.layers: dict[str, Any] = {}
        self._steps: list[tuple[str, str, tuple[str, ...]]] = []
        known = {*self._inputs}
        for i, table in enumerate(as_items("GraphModel", "nodes", nodes, "tables")):
            where = f"GraphModel: nodes[{i}]"
            check_dictionary(where, "the node", table)
            name = required(where, "the node", table, "name")
            given = required(where, "the node", table, "inputs")
            sources = tuple(as_items(where, "inputs", given, "names"))
            unknown = [source for source in sources if not is_one_of(source, known)]
            if not isinstance(name, str) or name in known or unknown:
                raise OptionError(
                    f"{where}: a name must be new and inputs be earlier nodes, got {name!r} of {sources}"
                )
            layer = table.get("same_as", name)
            if layer == name:
                rest = {k: v for k, v in table.items() if k not in ("name", "inputs", "same_as")}
                self.layers[name] = nn.build_layer({**rest, "name": name})
            elif layer not in self.layers:
                raise OptionError(f"{where}: same_as must name an earlier node, got {layer!r}")
            self._steps.append((name, layer, sources))
            known.add(name)
        self._output = self._steps[-1][0] if output is None and self._steps else output
        if not is_one_of(self._output, known):
            raise OptionError(f"GraphModel: output must name a node, got {shown(output)}")

    def _forget_init(self) -> None:
        """Let the layers that are made later draw as any network's do."""
        del self._arguments["init"]

    def forward(self, *values: nn.Value) -> nn.Value:
        """Call the layers in order."""
        if len(values) != len(self._inputs):
            raise OptionError(f"GraphModel: takes {len(self._inputs)} inputs, got {len(values)}")
        found: dict[str, Any] = dict(zip(self._inputs, values, strict=True))
        for name, layer, sources in self._steps:
            found[name] = self.layers[layer](*(found[source] for source in sources))
        return found[str(self._output)]


def check_options(where: str, options: Mapping[str, Any]) -> None:
    """Raise OptionError for options that no network of `handgrad.nn` has."""
    own = ("nodes", "inputs", "output", "input_shape", "dtype")
    names = [name for name in keywords_of(GraphModel, nn.Model) if name not in own]
    check_known(where, options, names)


def layer_table(node: Node) -> dict[str, Any]:
    """Return the table of `handgrad.nn.build_layer` that makes the layer of `node`."""
    options = dict(node.options)
    op, arrays = node.op, node.arrays
    if op == "affine":
        options |= {"width": arrays["W"].shape[1], "bias": "b" in arrays}
    elif op in ("conv", "conv_transpose"):
        W = arrays["W"]
        filters = W.shape[0] if op == "conv" else W.shape[1] * options["groups"]
        options |= {"num_filters": filters, "filter_size": W.shape[2:], "bias": "b" in arrays}
    elif op in ("batchnorm", "layernorm", "groupnorm", "instancenorm"):
        options |= {"scale": "gamma" in arrays, "shift": "beta" in arrays}
    elif op == "prelu":
        options["shared"] = arrays["a"].size == 1
    elif op == "standardize":
        options |= {role: arrays[role].tolist() for role in ("mean", "std")}
    return {"layer": _LAYERS[op], **{key: _plain(value) for key, value in options.items()}}


def model_of(network: Network, **options: Any) -> GraphModel:
    """Return a network of `handgrad.nn` with the structure, weights and statistics of `network`.

    options: those of `handgrad.nn.Model`, as reg and loss.  A layer without trained weights in the
    neutral form, as `Whitening`, becomes one with.
    """
    tables: list[dict[str, Any]] = []
    first: dict[Any, str] = {}
    for node in network.nodes:
        table: dict[str, Any] = {"name": node.name, "inputs": list(node.inputs)}
        key = (node.op, repr(sorted(node.options.items())), tuple(sorted(node.params.items())))
        if node.params and key in first:
            tables.append({**table, "same_as": first[key]})
        else:
            first[key] = node.name
            tables.append({**layer_table(node), **table})
    shapes = list(network.inputs.values())
    model: GraphModel = GraphModel(
        tables,
        list(network.inputs),
        network.output,
        **{"input_shape": shapes if len(shapes) > 1 else shapes[0], "dtype": network.dtype.name,
           "rng": 0, "init": _zeros, **options},
    )  # fmt: skip
    if "init" not in options:
        model._forget_init()  # these start as those of the file, at once
    fill(model, network)
    model.images = network.images
    return model


def _zeros(shape: tuple[int, ...], rng: Any) -> np.ndarray:
    """Weights that are about to be replaced: nothing is drawn for them."""
    return np.zeros(shape, np.float32)


def fill(model: GraphModel, network: Network) -> None:
    """Put the weights and statistics of `network` into `model`, which was made of it."""
    buffers: dict[str, np.ndarray] = {}
    own = {name for name, layer, _ in model._steps if name == layer}
    for node in network.nodes:
        if node.name not in own:
            continue
        for role, array in node.arrays.items():
            if node.op == "batchnorm" and role in ("mean", "var"):
                buffers[f"{node.name}.running_{role}"] = np.array(array)
            elif node.op != "standardize":
                model.params[f"{node.name}.{role}"][...] = array
    model.load_buffers(buffers)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
