"""ONNX's normalisations in the neutral form; see `handgrad.interop.onnx_ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.interop.onnx_graph import (
    Graph,
    Made,
    decimal_of,
    floats_of,
    image_of,
    input_of,
    params_of,
    value_of,
)
from handgrad.interop.reader import NoCounterpart


def batchnorm(g: Graph, node: Any, given: list[Any]) -> Made:
    """BatchNormalization."""
    o = g.options(node, epsilon=1e-5, momentum=0.9, training_mode=0, spatial=1, is_test=1,
                  consumed_inputs=[])  # fmt: skip
    if o["training_mode"] or not o["is_test"] or not o["spatial"]:
        raise NoCounterpart("training_mode, or statistics of each pixel")
    gamma, beta, mean, var = (floats_of(a, "weights") for a in given[1:5])
    arrays = {"gamma": gamma, "beta": beta, "mean": mean, "var": var}
    options = {"eps": decimal_of(o["epsilon"]), "momentum": decimal_of(o["momentum"])}
    return _norm(g, node, "batchnorm", given[0], options, arrays)


def _norm(g: Graph, node: Any, op: str, x: Any, options: Any, arrays: Any) -> Made:
    """Ones and zeros that `export` puts in the place of what a layer leaves out are left out again."""
    places = {"gamma": 1, "beta": 2}
    left = {r: a for r, a in arrays.items() if not (
        r in places and node.input[places[r]].endswith((".ones", ".zeros")))}  # fmt: skip
    name = g.name(node, node.input[1] if "gamma" in left else "")
    x = value_of(x)
    out = g.growing.add(op, [x], options, left, params=params_of(node, **places), name=name)
    return out._replace(view=x.view) if op == "batchnorm" else out


def layernorm(g: Graph, node: Any, given: list[Any]) -> Made:
    """LayerNormalization, of rows."""
    o = g.options(node, axis=-1, epsilon=1e-5, stash_type=1)
    x, gamma, beta = value_of(given[0]), floats_of(given[1], "weights"), input_of(given, 2)
    if len(x.shape) != 1 or o["axis"] not in (1, -1):
        raise NoCounterpart(f"rows of the shape {x.view}, axis {o['axis']}")
    arrays = {"gamma": gamma.reshape(-1)} | (
        {} if beta is None else {"beta": floats_of(beta, "weights").reshape(-1)}
    )
    return _norm(g, node, "layernorm", x, {"eps": decimal_of(o["epsilon"])}, arrays)


def groupnorm(g: Graph, node: Any, given: list[Any]) -> Made:
    """GroupNormalization."""
    o = g.options(node, epsilon=1e-5, num_groups=1, stash_type=1)
    x, (gamma, beta) = image_of(given[0]), (floats_of(a, "weights") for a in given[1:3])
    if gamma.size == o["num_groups"] != x.shape[0]:  # of a group, in opset 18
        gamma, beta = (np.repeat(a, x.shape[0] // a.size) for a in (gamma, beta))
    options = {"eps": decimal_of(o["epsilon"]), "groups": o["num_groups"]}
    return _norm(g, node, "groupnorm", x, options, {"gamma": gamma, "beta": beta})


def instancenorm(g: Graph, node: Any, given: list[Any]) -> Made:
    """InstanceNormalization."""
    o = g.options(node, epsilon=1e-5)
    gamma, beta = (floats_of(a, "weights") for a in given[1:3])
    options = {"eps": decimal_of(o["epsilon"])}
    return _norm(
        g, node, "instancenorm", image_of(given[0]), options, {"gamma": gamma, "beta": beta}
    )


def function_layernorm(g: Graph, node: Any, given: list[Any]) -> Made:
    """LayerNorm of `handgrad.interop.onnx_float64`."""
    x, (gamma, beta, eps) = value_of(given[0]), (floats_of(a, "weights") for a in given[1:4])
    if len(x.shape) != 1 or eps.size != 1:
        raise NoCounterpart(f"rows of the shape {x.view}")
    arrays = {"gamma": gamma.reshape(-1), "beta": beta.reshape(-1)}
    return _norm(g, node, "layernorm", x, {"eps": float(eps.reshape(()))}, arrays)
