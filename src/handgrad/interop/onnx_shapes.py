"""ONNX's operators that move numbers, and those that compute constants and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.interop.onnx_graph import Graph, Made, constant_of, input_of, value_of
from handgrad.interop.reader import NoCounterpart, Shape, Value, as_seen, is_sequence, shuffled

_MOST_FILLED = 160_000_000


def flattened(g: Graph, x: Value, name: str) -> Value:
    """Return the rows of images."""
    if len(x.shape) == 1:
        return x._replace(view=x.shape)
    if x.view != x.shape and not is_sequence(x):
        raise NoCounterpart(f"rows of the shape {x.view}")
    return g.growing.add("flatten", [x], name=name)


def flatten(g: Graph, node: Any, given: list[Any]) -> Made:
    """Flatten, at axis 1."""
    o = g.options(node, axis=1)
    x = value_of(given[0])
    if o["axis"] not in (1, -len(x.view)):
        raise NoCounterpart(f"axis {o['axis']}")
    return flattened(g, x, node.output[0])


def reshape(g: Graph, node: Any, given: list[Any]) -> Made:
    """Reshape: to rows, to groups of channels, or of constants."""
    o = g.options(node, allowzero=0)
    x, target = given[0], constant_of(given[1], "a shape")
    sizes = [int(n) for n in target.reshape(-1)]
    if isinstance(x, np.ndarray):
        if any(n < -1 for n in sizes) or len(sizes) > 8:
            raise NoCounterpart("an impossible shape")
        return x.reshape(sizes)
    before = (-1, *x.view)
    if not o["allowzero"]:
        sizes = [before[i] if n == 0 and i < len(before) else n for i, n in enumerate(sizes)]
    count = int(np.prod(x.view))
    rest = sizes[1:]
    if (rest.count(-1) == 1 and sizes[0] != -1) or rest.count(-1) == 1:
        known = int(np.prod([n for n in rest if n != -1]))
        rest = [n if n != -1 else count // max(known, 1) for n in rest]
    if (
        not sizes
        or any(n < 1 for n in rest)
        or int(np.prod(rest)) != count
        or sizes[0] not in (-1, 1, g.batch)
    ):
        raise NoCounterpart(
            f"from (N, {', '.join(map(str, x.view))}) to {[int(n) for n in target.reshape(-1)]}"
        )
    if {len(rest), len(x.shape)} == {2, 3} and x.view == x.shape and rest[0] == x.shape[0] and (
        1 in (*rest[1:-1], *x.shape[1:-1])):  # fmt: skip
        return g.growing.add("reshape", [x], {"to": tuple(rest)}, name=node.output[0])
    if tuple(rest) == x.shape:
        return x._replace(view=x.shape)
    if len(rest) == 1:
        return flattened(g, x, node.output[0])
    if x.view == x.shape and len(rest) == len(x.shape) + 1 and tuple(rest[2:]) == x.shape[1:]:
        return x._replace(view=tuple(rest))  # groups of channels, as maxout has them
    if len(x.shape) == len(rest) == 3 and x.view == x.shape:  # as a shuffle of channels has them
        return g.growing.add("reshape", [x], {"to": tuple(rest)}, name=node.output[0])
    if len(x.shape) == 1 and tuple(rest) == (*x.shape, 1, 1):
        return x._replace(view=tuple(rest))
    if len(x.shape) == 1 and x.view == x.shape and len(rest) == 3:  # rows that become images
        return g.growing.add("reshape", [x], {"to": tuple(rest)}, name=node.output[0])
    raise NoCounterpart(
        f"from (N, {', '.join(map(str, x.view))}) to (N, {', '.join(map(str, rest))})"
    )


def squeeze(g: Graph, node: Any, given: list[Any]) -> Made:
    """Squeeze and Unsqueeze."""
    o = g.options(node, axes=[])
    axes = constant_of(given[1], "axes") if input_of(given, 1) is not None else o["axes"]
    axes = [int(a) for a in np.asarray(axes).reshape(-1)]
    x = given[0]
    if isinstance(x, np.ndarray):
        return (
            np.squeeze(x, tuple(axes))
            if node.op_type == "Squeeze"
            else np.expand_dims(x, tuple(axes))
        )
    if node.op_type == "Squeeze" and x.view == (*x.shape, 1) and [a % 3 for a in axes] == [2]:
        return x._replace(view=x.shape)
    is_pixel = len(x.shape) == 1 and x.view == (*x.shape, 1, 1)
    if node.op_type == "Squeeze" and is_pixel and sorted(a % 4 for a in axes) == [2, 3]:
        return x._replace(view=x.shape)
    raise NoCounterpart(f"of (N, {', '.join(map(str, x.view))}) at {axes}")


def transpose(g: Graph, node: Any, given: list[Any]) -> Made:
    """Transpose, but for the batch."""
    o = g.options(node, perm=[])
    perm = [int(p) for p in o["perm"]]
    x = given[0]
    if isinstance(x, np.ndarray):
        return x.transpose(perm or None)
    if not perm or perm[0] != 0:
        raise NoCounterpart(f"that moves the batch, {perm}")
    if x.view != x.shape:
        made = shuffled(g.growing, x, [p - 1 for p in perm[1:]], node.output[0])
        if made is None:
            raise NoCounterpart(f"of (N, {', '.join(map(str, x.view))}) to the order {perm}")
        return made
    return g.growing.add(
        "permute", [x], {"order": tuple(p - 1 for p in perm[1:])}, name=node.output[0]
    )


def concat(g: Graph, node: Any, given: list[Any]) -> Made:
    """Concat, of channels or of constants."""
    o = g.options(node, axis=1)
    if all(isinstance(x, np.ndarray) for x in given):
        return np.concatenate(given, o["axis"])
    xs = [value_of(x) for x in given]
    rows = all(is_sequence(x) for x in xs)
    if o["axis"] % (len(xs[0].view) + 1) != 1 or not (rows or all(x.view == x.shape for x in xs)):
        raise NoCounterpart(f"along the axis {o['axis']}")
    if len(xs) == 1:
        return xs[0]
    out = g.growing.add("concat", xs, name=node.output[0])
    return as_seen(out) if rows else out


def make_constant(g: Graph, node: Any, given: list[Any]) -> Made:
    """Constant."""
    (attribute,) = node.attribute
    if attribute.name == "value":
        return g.array(attribute.t)
    if attribute.name in ("value_float", "value_floats"):
        return np.array(g.onnx.helper.get_attribute_value(attribute), np.float32)
    if attribute.name in ("value_int", "value_ints"):
        return np.array(g.onnx.helper.get_attribute_value(attribute), np.int64)
    raise NoCounterpart(attribute.name)


def constant_of_shape(g: Graph, node: Any, given: list[Any]) -> Made:
    """An array of one number, as the weights of files that only show an architecture."""
    value = next(
        (g.array(a.t) for a in node.attribute if a.name == "value"), np.zeros(1, np.float32)
    )
    sizes = [int(n) for n in constant_of(given[0], "a shape").reshape(-1)]
    g.filled += int(np.prod([max(n, 0) for n in sizes], dtype=object))
    if any(n < 0 for n in sizes) or value.size != 1 or g.filled > _MOST_FILLED:
        raise NoCounterpart(f"of {sizes}")
    if value.dtype.kind == "f" and value.dtype.itemsize < 4:
        value = value.astype(np.float32)
    return np.broadcast_to(value.reshape(()), sizes)


def shape(g: Graph, node: Any, given: list[Any]) -> Made:
    """Shape; the batch is -1."""
    o = g.options(node, start=0, end=1 << 30)
    x = given[0]
    shape: Shape = x.shape if isinstance(x, np.ndarray) else (-1, *x.view)
    return np.array(shape[o["start"] : o["end"]], np.int64)


def gather(g: Graph, node: Any, given: list[Any]) -> Made:
    """Gather, of constants."""
    o = g.options(node, axis=0)
    table, places = constant_of(given[0], "a value"), constant_of(given[1], "places")
    if places.size > 1 << 20:
        raise NoCounterpart("constants that grow large")
    return np.take(table, places, axis=o["axis"])


def sliced(g: Graph, node: Any, given: list[Any]) -> Made:
    """Slice, of constants."""
    o = g.options(node, starts=[], ends=[], axes=[])
    x = constant_of(given[0], "a value")
    parts = [constant_of(a, "places").tolist() for a in given[1:]] or [
        o["starts"],
        o["ends"],
        o["axes"],
    ]
    starts, ends = parts[0], parts[1]
    axes = parts[2] if len(parts) > 2 and parts[2] else range(len(starts))
    steps = parts[3] if len(parts) > 3 else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        x = x[(slice(None),) * int(axis) + (slice(start, end, step),)]
    return x
