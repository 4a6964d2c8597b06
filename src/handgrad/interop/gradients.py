"""The first gradient of the other network that rounding does not explain."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from handgrad.interop.bounds import Value, of_constants_back
from handgrad.interop.bounds_back import backward
from handgrad.interop.causes_back import mistaken, mistaken_parameter
from handgrad.interop.match import Found, fits
from handgrad.interop.network import Network, Node
from handgrad.interop.parameters import counterparts
from handgrad.interop.trace import CONSTANTS, Trace

Array = np.ndarray


@dataclass
class Difference:
    """A gradient that rounding does not explain: of a parameter, or of a value, wrong in its taker.

    others: what known mistakes would give in its place.
    """

    node: Node
    what: str
    mine: Value
    other: Array | None
    others: tuple[tuple[str, Array], ...] = ()


def gradients(
    network: Network, trace: Trace, found: Found, upstream: Array, mode: str
) -> Difference | None:
    """Go back through `network` on the other's values; return the first gradient that differs."""
    sums: dict[str, Value] = {
        network.output: Value.exact(upstream.reshape(found.values[network.output].value.shape))
    }
    takers: dict[str, Node] = {}
    parts: dict[str, list[tuple[Node, Array]]] = {}
    own: dict[str, tuple[Node, str, Value]] = {}
    mistakes: dict[str, tuple[tuple[str, Array], ...]] = {}
    for node in reversed(network.nodes):
        if node.name not in sums:
            continue
        dout, wrong = _settled(node.name, sums[node.name], takers, trace, found)
        if wrong is not None:
            wrong = _from_elsewhere(wrong, parts.get(node.name, []))
            return replace(wrong, others=(*wrong.others, *mistakes.get(node.name, ())))
        xs = [found.values[name] for name in node.inputs]
        back = backward(node, xs, found.done[node.name], dout, trace.unit, mode, trace.winograd)
        share = CONSTANTS if node.op == "standardize" else trace.constants
        if share:
            inputs = [of_constants_back(node, dx, dout, share) for dx in back.inputs]
            back = back._replace(inputs=inputs)
        for name, dx in zip(node.inputs, back.inputs, strict=True):
            known = sums.get(name)
            sums[name] = dx if known is None else _added(known, dx, trace.unit)
            takers[name] = node
            parts.setdefault(name, []).append((node, dx.value))
            mistakes[name] = tuple(mistaken(node, xs, dout, mode))
        for role, dw in back.params.items():
            if role in node.params:
                name = node.params[role]
                known_w = own.get(name)
                own[name] = (
                    node,
                    role,
                    dw if known_w is None else _added(known_w[2], dw, trace.unit),
                )
        for role in back.params:
            if role in node.params and _is_last_use(network, node, node.params[role]):
                name = node.params[role]
                wrong = _parameter(*own[name], name, trace, found)
                if wrong is not None:
                    others = tuple(mistaken_parameter(node, role, xs, dout))
                    return replace(wrong, others=(*wrong.others, *others))
    for name in network.inputs:
        if name in sums:
            _, wrong = _settled(name, sums[name], takers, trace, found)
            if wrong is not None:
                wrong = _from_elsewhere(wrong, parts.get(name, []))
                return replace(wrong, others=(*wrong.others, *mistakes.get(name, ())))
    return None


def _from_elsewhere(wrong: Difference, parts: list[tuple[Node, Array]]) -> Difference:
    """The layer from which a part of the sum does not come, where a value has several takers."""
    if len(parts) < 2 or wrong.other is None:
        return wrong
    for node, part in parts:
        rest = wrong.mine.value - part
        if part.any() and fits(wrong.other, Value(rest, 8 * wrong.mine.error)):
            words = f"the gradient that comes through {node.name} is missing: the value is detached there"
            return replace(wrong, node=node, others=((words, rest),))
    return wrong


def _is_last_use(network: Network, node: Node, parameter: str) -> bool:
    """Whether `node` is the first in the network with it, so the last one on the way back."""
    for other in network.nodes:
        if parameter in other.params.values():
            return other.name == node.name
    return True


def _added(a: Value, b: Value, u: float) -> Value:
    total = a.value + b.value
    return Value(total, a.error + b.error + u * (np.abs(a.value) + np.abs(b.value)))


def _settled(
    name: str, mine: Value, takers: dict[str, Node], trace: Trace, found: Found
) -> tuple[Value, Difference | None]:
    """The gradient of a value: the other's own where it is right, so that nothing adds up."""
    seen = found.seen.get(name)
    if seen is None or seen.grad is None:
        if seen is not None and name in takers and not mine.value.any():
            return mine, None
        return mine, None
    other = _laid_out(seen.grad, mine.value.shape, found.layout[name])
    if other is None or name not in takers or _shares_value(name, found):
        return mine, None
    for twin in [seen, *found.twins.get(name, [])]:  # equal numbers may be other tensors
        if twin.grad is not None:
            same = _laid_out(twin.grad, mine.value.shape, found.layout[name])
            if same is not None and fits(same, mine):
                return Value.exact(same), None
    return mine, Difference(takers[name], f"the gradient of its input {name}", mine, other)


def _shares_value(name: str, found: Found) -> bool:
    """Whether another value was found at the same place, so that the gradient may be either's."""
    return any(found.place[other] == found.place[name] for other in found.place if other != name)


def _laid_out(grad: Array, shape: tuple[int, ...], layout: tuple[int, ...] | None) -> Array | None:
    if layout == ():
        return grad.reshape(shape) if grad.size == int(np.prod(shape)) else None
    grad = grad if layout is None else grad.transpose(layout)
    if layout == (0, 2, 1) and grad.size == int(np.prod(shape)):
        grad = grad.reshape(shape)
    return grad if grad.shape == shape else None


def _parameter(
    node: Node, role: str, mine: Value, name: str, trace: Trace, found: Found
) -> Difference | None:
    """Compare the gradient of a parameter with that of the other's that holds the same numbers."""
    array = np.asarray(node.arrays[role], np.float64)
    candidates = list(counterparts(node, role, array, trace, found))
    if not candidates:
        return None
    worst: Difference | None = None
    for other, turn in candidates:
        grad = trace.grads.get(other)
        turned = None if grad is None else turn(grad)
        if turned is not None and fits(turned, mine):
            return None
        if turned is None and not mine.value.any():
            return None
        if worst is None or worst.other is None:
            worst = Difference(node, f"the gradient of {role}", mine, turned)
    return worst
