"""The values of one network found again among those of another, layer by layer.

The first network is known by its layers (`handgrad.interop.network`), the other by what it computed
(`handgrad.interop.trace`).  Each layer is computed in float64 on the other's own values, so that nothing
adds up from layer to layer; what comes out is looked for among the other's later values, in any layout.  A
layer that the other computes in one with its neighbours is not found, and need not be, if what follows is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from handgrad.interop import bounds
from handgrad.interop.bounds import Value
from handgrad.interop.network import Network, Node
from handgrad.interop.trace import Seen, Trace

Array = np.ndarray
BOTH = 2.0
"""Two computations, each off by a bound, differ by two of them."""


@dataclass
class Found:
    """What the other network has of the first.

    Attributes: values, by the first's names, the other's where they were found; place, where in the
    other's order; seen, the value there; twins, others of the same numbers; done, the layers' passes;
    off, the names of those that are not found and whose followers are not, either.
    """

    values: dict[str, Value]
    place: dict[str, int] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    layout: dict[str, tuple[int, ...] | None] = field(default_factory=dict)
    twins: dict[str, list[Seen]] = field(default_factory=dict)
    done: dict[str, bounds.Done] = field(default_factory=dict)
    off: list[str] = field(default_factory=list)


def layouts(value: Array, shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...] | None, Array]]:
    """Yield `value` in the forms in which it has `shape`: as it is, channels last, or reshaped."""
    if value.shape == shape:
        yield None, value
    if value.ndim == 4 == len(shape):
        order = (0, 3, 1, 2)
        turned = value.transpose(order)
        if turned.shape == shape:
            yield order, turned
    elif value.size == int(np.prod(shape)) and len(value) == shape[0] and value.ndim != len(shape):
        yield (), value.reshape(shape)


def fits(other: Array, mine: Value) -> bool:
    """Whether rounding explains the difference."""
    with np.errstate(all="ignore"):
        bad = np.abs(other - mine.value) > BOTH * mine.error
    return not bad.any() and bool(np.isfinite(other).all())


def match(network: Network, trace: Trace, mode: str) -> Found:
    """Find the values of `network` in `trace`."""
    inputs = {
        name: Value.exact(seen.value)
        for name, seen in zip(network.inputs, trace.values, strict=False)
    }
    found = Found(inputs)
    for i, name in enumerate(network.inputs):
        found.place[name], found.seen[name], found.layout[name] = i, trace.values[i], None
    for node in network.nodes:
        xs = [found.values[name] for name in node.inputs]
        done = bounds.forward(node, xs, trace.unit, mode, trace.winograd)
        found.done[node.name] = done
        found.values[node.name] = done.out
        if not _says_something(done.out, xs):
            continue
        start = max((found.place.get(name, 0) for name in node.inputs), default=0)
        order = [*range(start, len(trace.values)), *range(start)]
        if node.op == "flatten" and _is_flattened_otherwise(trace.values[start:], done.out):
            continue
        hits = [(i, *hit) for i in order if (hit := _hit(trace.values[i], done.out)) is not None]
        if not hits:
            continue
        distances = [_distance(value, done.out) for _, _, value in hits]
        best = distances.index(min(distances))
        for k, (i, _, value) in enumerate(
            hits
        ):  # another tensor of the same numbers may learn more
            same = np.array_equal(value, hits[best][2])
            if same and _carries_more(trace.values[i], trace.values[hits[best][0]]):
                best = k
        i, layout, value = hits[best]
        found.place[node.name], found.seen[node.name] = i, trace.values[i]
        found.layout[node.name] = layout
        found.values[node.name] = Value.exact(value)
        if trace.learns:
            found.twins[node.name] = [trace.values[i] for i, other, _ in hits if other == layout]
    _leave_unresolved(network, trace, found)
    return found


def _distance(value: Array, out: Value) -> float:
    """The largest difference, as a share of what rounding explains."""
    with np.errstate(all="ignore"):
        share = np.abs(value - out.value) / out.error
    return float(np.nan_to_num(share, nan=0.0, posinf=np.inf).max(initial=0.0))


def _says_something(out: Value, xs: Sequence[Value]) -> bool:
    """Whether its bound is small beside its numbers; if the inputs are the other's own, it may be any."""
    if not any(x.error.any() for x in xs):
        return True
    spread = float(np.sqrt((out.value**2).mean())) if out.value.size else 0.0
    return float(out.error.max(initial=0.0)) <= 1e-3 * spread


def _carries_more(seen: Seen, known: Seen) -> bool:
    """Whether a gradient came to this value, and none to the other of the same numbers."""
    return bool(np.any(seen.grad)) and not np.any(known.grad)


def _is_flattened_otherwise(values: Sequence[Seen], out: Value) -> bool:
    """Whether the next rows of that size hold the same numbers in another order."""
    for seen in values:
        if seen.value.shape == out.value.shape:
            if fits(seen.value, out):
                return False
            return fits(np.sort(seen.value, axis=1), Value(np.sort(out.value, axis=1), out.error))
    return False


def _hit(seen: Seen, out: Value) -> tuple[tuple[int, ...] | None, Array] | None:
    for layout, value in layouts(seen.value, out.value.shape):
        if fits(value, out):
            return layout, value
    return None


def _leave_unresolved(network: Network, trace: Trace, found: Found) -> None:
    """Note the layers that are not found and lead, through none that is, to scores that differ."""
    near = [node.name for node in network.nodes if _is_near(node, trace, found)]
    last = (
        found.done[network.output].out
        if network.output in found.done
        else found.values[network.output]
    )
    agrees = trace.scores.size == last.value.size and fits(
        trace.scores.reshape(last.value.shape), last
    )
    if agrees and network.output not in found.place:
        (end,) = (node for node in network.nodes if node.name == network.output)
        agrees = _says_something(last, [found.values[name] for name in end.inputs])
    if agrees and not near:
        return
    uses = network.uses()
    off: dict[str, bool] = {}
    for node in reversed(network.nodes):
        leads = [off[after.name] for after in uses[node.name]]
        here = node.name not in found.place
        is_end = node.name == network.output and not agrees
        off[node.name] = here and (is_end or any(leads) or node.name in near)
    found.off = [node.name for node in network.nodes if off[node.name]]
    if not found.off:  # all layers are there, but something comes after them
        found.off = [network.output]


def _is_near(node: Node, trace: Trace, found: Found) -> bool:
    """Whether the other has almost what the layer gives, in no other layer's place; not by rounding."""
    if node.name in found.place or any(name not in found.place for name in node.inputs):
        return False
    out = found.done[node.name].out.value
    start = max((found.place[name] for name in node.inputs), default=0)
    taken = {*found.place.values()}
    size = float((out**2).mean())
    for i in range(start + 1, len(trace.values)):
        if i not in taken:
            for _, value in layouts(trace.values[i].value, out.shape):
                if 0 < float(((value - out) ** 2).mean()) < 1e-4 * size:
                    return True
    return False


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
    own: dict[str, tuple[Node, str, Value]] = {}
    mistakes: dict[str, tuple[tuple[str, Array], ...]] = {}
    for node in reversed(network.nodes):
        if node.name not in sums:
            continue
        dout, wrong = _settled(node.name, sums[node.name], takers, trace, found)
        if wrong is not None:
            return replace(wrong, others=mistakes.get(node.name, ()))
        xs = [found.values[name] for name in node.inputs]
        back = bounds.backward(
            node, xs, found.done[node.name], dout, trace.unit, mode, trace.winograd
        )
        for name, dx in zip(node.inputs, back.inputs, strict=True):
            known = sums.get(name)
            sums[name] = dx if known is None else _added(known, dx, trace.unit)
            takers[name] = node
            mistakes[name] = tuple(bounds.mistaken(node, xs, dout, mode))
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
                    return wrong
    for name in network.inputs:
        if name in sums:
            _, wrong = _settled(name, sums[name], takers, trace, found)
            if wrong is not None:
                return replace(wrong, others=mistakes.get(name, ()))
    return None


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


def counterparts(
    node: Node, role: str, array: Array, trace: Trace, found: Found | None = None
) -> Iterator[tuple[str, Any]]:
    """Yield the other's parameters that hold the numbers of `array`, and what turns them into its form."""
    seen = None if found is None else found.seen.get(node.name)
    asked = seen.params if seen is not None and seen.params else tuple(trace.params)
    for names in (asked, tuple(trace.params)):
        hits = []
        for name in names:
            other = trace.params.get(name)
            if other is None or other.size != array.size:
                continue
            for turn in turns(node, role, array.shape):
                turned = turn(np.asarray(other, np.float64))
                if turned is not None and np.allclose(
                    turned, array, rtol=4 * trace.unit, atol=1e-300
                ):
                    hits.append((name, turn))
                    break
        if hits:
            yield from hits
            return


def turns(node: Node, role: str, shape: tuple[int, ...]) -> list[Any]:
    """The layouts in which other libraries keep a parameter, as functions into ours."""

    def turned(order: tuple[int, ...]) -> Any:
        def turn(a: Array) -> Array | None:
            if a.ndim != len(order):
                return None
            found = a.transpose(order)
            return found if found.shape == shape else None

        return turn

    def same(a: Array) -> Array | None:
        return a.reshape(shape) if a.size == int(np.prod(shape)) and a.ndim <= max(len(shape), 1) + 3 and (
            a.shape == shape or role != "W") else None  # fmt: skip

    if role != "W":
        return [same]
    if len(shape) == 4 and shape[2] == 1:  # of sequences
        return [same, *(_with_row(turn, shape) for turn in (lambda a: a, lambda a: a.transpose(2, 1, 0))),
                *_filter_turns(turned)]  # fmt: skip
    if len(shape) == 2:
        found = [same, turned((1, 0))]
        for c in (k for k in range(2, shape[0]) if shape[0] % k == 0):
            found += [_by_channels(c, shape), _by_channels(c, shape, True)]
        return [*found, _as_filters(shape)]
    return [same, *_filter_turns(turned)]


def _filter_turns(turned: Any) -> list[Any]:
    return [turned(order) for order in ((3, 2, 0, 1), (1, 0, 2, 3), (0, 3, 1, 2), (3, 0, 1, 2))]


def _with_row(turn: Any, shape: tuple[int, ...]) -> Any:
    """Filters of sequences (F, C, LL), or in Keras' order (LL, C, F), as those of images of one row."""

    def turned(a: Array) -> Array | None:
        if a.ndim != 3:
            return None
        found: Array = turn(a)
        return found.reshape(shape) if (*found.shape[:2], 1, found.shape[2]) == shape else None

    return turned


def _as_filters(shape: tuple[int, ...]) -> Any:
    """Affine weights that the other has as filters (M, C, H, W) of one window."""

    def turn(a: Array) -> Array | None:
        if a.ndim != 4 or a.size != int(np.prod(shape)):
            return None
        return a.reshape(len(a), -1).T if len(a) == shape[1] else None

    return turn


def _by_channels(c: int, shape: tuple[int, ...], transposed: bool = False) -> Any:
    """Affine weights whose rows are in NHWC order, for c channels."""

    def turn(a: Array) -> Array | None:
        if a.ndim != 2:
            return None
        a = a.T if transposed else a
        if a.shape != shape:
            return None
        return a.reshape(shape[0] // c, c, -1).transpose(1, 0, 2).reshape(shape)

    return turn


def holds(trace: Trace, node: Node) -> bool:
    """Whether the other network has the arrays of a batch normalisation, so that it is not folded."""
    kept = [*trace.params.values(), *trace.buffers.values()]
    mine = [np.asarray(node.arrays[role], np.float64) for role in ("mean", "var")]
    return all(
        any(
            a.size == b.size and np.allclose(a.reshape(-1), b, rtol=1e-5, atol=1e-300) for a in kept
        )
        for b in mine
    )


def candidates(trace: Trace, found: Found, node: Node) -> Sequence[Seen]:
    """The other's values that may be what it has in the place of `node`."""
    start = max((found.place.get(name, 0) for name in node.inputs), default=0)
    taken = {i for name, i in found.place.items()}
    rest = [s for i, s in enumerate(trace.values) if i > start and i not in taken]
    return [*rest, Seen("scores", trace.scores)]
