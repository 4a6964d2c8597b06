"""The values of one network found again among those of another, layer by layer.

The first network is known by its layers (`handgrad.interop.network`), the other by what it computed
(`handgrad.interop.trace`).  Each layer is computed in float64 on the other's own values, so that nothing
adds up from layer to layer; what comes out is looked for among the other's later values, in any layout.  A
layer that the other computes in one with its neighbours is not found, and need not be, if what follows is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from handgrad.interop import bounds
from handgrad.interop.bounds import Value
from handgrad.interop.network import Network, Node
from handgrad.interop.trace import CONSTANTS, Seen, Trace

Array = np.ndarray
BOTH = 2.0
"""Two computations, each off by a bound, differ by two of them."""


@dataclass
class Found:
    """What the other network has of the first.

    Attributes:
        values: by the first's names, the other's where they were found.
        place: where in the other's order.
        seen: the value there.
        twins: others of the same numbers.
        done: the layers' passes.
        off: the names of those that are not found and whose followers are not, either.
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
    if value.ndim == 3 and len(shape) == 4 and shape[2] == 1:  # sequences with their channels last
        turned = value.transpose(0, 2, 1)
        if (*turned.shape[:2], 1, turned.shape[2]) == shape:
            yield (0, 2, 1), turned.reshape(shape)
    if value.size == int(np.prod(shape)) and len(value) == shape[0] and value.ndim != len(shape):
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
        # files hold mean and deviation of pixels in float32; behind other layers it would add up
        share = CONSTANTS if node.op == "standardize" else trace.constants
        if share and not any(x.error.any() for x in xs):
            done = done._replace(out=bounds.of_constants(node, xs, done.out, share))
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
