"""Where the values of a network lie in one static buffer, planned by their lifetimes."""

from __future__ import annotations

from typing import NamedTuple

from handgrad.interop.network import POINTWISE, Network, size

IN_PLACE = (*POINTWISE, "batchnorm", "prelu", "add", "layernorm", "groupnorm", "instancenorm")


class Memory(NamedTuple):
    """offsets: of each value, in numbers; numbers: in the whole buffer.

    A value without an offset is the input or the scores, which the caller holds.
    """

    offsets: dict[str, int]
    numbers: int


def plan(network: Network) -> Memory:
    """Give each value of `network` a place that no other one needs in its lifetime.

    A layer that changes numbers one by one writes over its input where no other layer reads it, and a
    flattened image stays where it is.  The largest values are placed first, each at the lowest place that
    is free while it lives.
    """
    last: dict[str, int] = {}
    for step, node in enumerate(network.nodes):
        for name in node.inputs:
            last[name] = step
    last[network.output] = len(network.nodes)
    home = {name: name for name in network.inputs}  # value -> the value whose place it takes
    begins: dict[str, int] = {}
    ends: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for step, node in enumerate(network.nodes):
        first = home[node.inputs[0]]
        alone = ends.get(first, -1) == step  # this node is the last that looks at that place
        same = node.op in ("flatten", "reshape") or (node.op in IN_PLACE and alone)
        if same and first not in network.inputs and node.name != network.output:
            home[node.name] = first
            ends[first] = max(ends[first], last.get(node.name, step))
        else:
            home[node.name] = node.name
            begins[node.name], sizes[node.name] = step, size(node.shape)
            ends[node.name] = last.get(node.name, step)
            for other in network.nodes[step + 1 :]:  # a flattened image lives as long as its rows
                if other.op in ("flatten", "reshape") and other.inputs[0] == node.name:
                    ends[node.name] = max(ends[node.name], last.get(other.name, step))
    places: dict[str, int] = {}
    for name in sorted(sizes, key=lambda n: (-sizes[n], begins[n])):
        if name == network.output:
            continue
        taken = sorted(
            (places[other], places[other] + sizes[other])
            for other in places
            if begins[name] <= ends[other] and begins[other] <= ends[name]
        )
        start = 0
        for low, high in taken:
            if start + sizes[name] <= low:
                break
            start = max(start, high)
        places[name] = start
    offsets = {value: places[place] for value, place in home.items() if place in places}
    return Memory(offsets, max((places[n] + sizes[n] for n in places), default=0))
