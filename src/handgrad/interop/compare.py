"""`compare`: the first layer at which two networks part, and why.

Both walk forward in test mode, and forward and backward in training mode, on the same input and with the
same weights.  What rounding explains is no difference: each layer has its own bound (`bounds`), which
follows from the sizes of its numbers and the roundoff of the computation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np

from handgrad import engines, nn
from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    HandgradError,
    OptionError,
    ShapeError,
    as_count,
    as_number,
    is_one_of,
    shown,
)
from handgrad.interop.bounds import Value
from handgrad.interop.match import (
    BOTH,
    Difference,
    Found,
    candidates,
    counterparts,
    fits,
    gradients,
    layouts,
    match,
)
from handgrad.interop.network import Network, describe
from handgrad.interop.rebuild import model_of
from handgrad.interop.search import Search
from handgrad.interop.statistics import statistics_difference
from handgrad.interop.trace import Trace, is_keras, is_torch, trace

Array = np.ndarray
_DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        same: whether rounding explains all differences.
        layer: the name of the first layer that differs, None where none does.
        what: its "output", "the gradient of its input ...", "the gradient of W", or "running statistics".
        mode: 'test' or 'train'.
        difference: the largest difference there; explained: what rounding explains at that place.
        cause: the mistake that explains it, None where no known one does.
        layers: how many were compared.
        step: the step of training at which they part, 0 is the start.
        folded: batch normalisations that b has folded into other layers, so that it cannot train.
        broken: the error with which b's computation ended there.
        notes: what else there is to say.

    >>> Comparison(same=True).layer
    """

    same: bool
    layer: str | None = None
    what: str | None = None
    mode: str | None = None
    difference: float = 0.0
    explained: float = 0.0
    cause: str | None = None
    layers: int = 0
    step: int = 0
    folded: tuple[str, ...] = ()
    broken: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A few lines for people."""
        if self.same:
            text = (
                f"no difference: {self.layers} layers agree, forward and backward, within what "
                "rounding explains"
            )
            if self.folded or self.notes:
                text = f"no difference: {self.layers} layers agree within what rounding explains"
            return "\n".join([text, *self.notes])
        when = f" at training step {self.step}" if self.step else ""
        mode = "training" if self.mode == "train" else "test"
        lines = [f"first difference{when}: layer {self.layer}, {self.what}, in {mode} mode"]
        if self.difference:
            lines.append(
                f"off by {self.difference:.3g}, where rounding explains {self.explained:.3g}"
            )
        lines.append(
            f"likely cause: {self.cause}" if self.cause else "no known mistake explains it"
        )
        if self.broken:
            lines.append(f"the other network ends with {self.broken}")
        return "\n".join([*lines, *self.notes])


def compare(
    a: Any,
    b: Any,
    X: Any = None,
    *,
    train: int = 0,
    learning_rate: float = 0.01,
    dtype: str | None = None,
    seed: int = 0,
) -> Comparison:
    """Find the first layer whose output, input gradient or parameter gradient differs.

    Args:
        a, b: networks: of Handgrad, run folders, ONNX files, modules of PyTorch, models of Keras (on
            PyTorch).  b may also be the name of an engine or a dtype: a itself, computed so.
        X: rows that both get, (N, ...), prepared as the network sees them; None draws five.
        train: steps of training that are compared, too: after each, both have b's weights.
        learning_rate: of these steps of SGD.
        dtype: 'float32' or 'float64' for b's computation; None is its own, then float64 where that shows
            nothing.
        seed: of the random rows and gradients.

    Returns:
        A `Comparison`; ``print`` shows it.

    Raises:
        OptionError: one of them is no network, or neither has layers that Handgrad knows.
        ShapeError: their inputs have other shapes.

    >>> from handgrad import nn
    >>> def net(eps):
    ...     parts = [nn.Affine(4), nn.BatchNorm(eps=eps), nn.ReLU(), nn.Affine(3)]
    ...     return nn.Sequential(parts, input_shape=(6,), rng=0)
    >>> print(compare(net(1e-5), net(1e-3)))  # doctest: +ELLIPSIS
    first difference: layer batchnorm1, output, in ... mode
    off by ..., where rounding explains ...
    likely cause: eps is 0.001, not 1e-05
    """
    train = as_count("compare", "train", train, 0, 10_000)
    seed = as_count("compare", "seed", seed, 0)
    learning_rate = as_number("compare", "learning_rate", learning_rate)
    if dtype is not None and not is_one_of(dtype, _DTYPES):
        raise OptionError(f"compare: dtype must be one of {', '.join(_DTYPES)}; got {shown(dtype)}")
    party = _party("a", a)
    engine = None
    if isinstance(b, str) and b in (*engines.NAMES, "auto"):
        engine, other = b, party
    elif isinstance(b, str) and b in _DTYPES:
        dtype, other = b, party
    else:
        other = _party("b", b)
    network, judged, notes = _roles(party, other, X)
    xs = _inputs(network, X, seed)
    rng = np.random.default_rng(seed + 1)  # as the gradient of a mean over the rows
    upstream = rng.standard_normal((len(xs[0]), *network.shapes[network.output])) / len(xs[0])
    kinds = [dtype] if dtype or is_keras(judged) else [None, "float64"]
    result = Comparison(True)
    if len(xs[0]) < 2:
        notes = (*notes, "one row has no batch statistics: training mode was not compared")
    for kind in kinds:
        for mode in ("test", "train") if len(xs[0]) > 1 else ("test",):
            result = _once(network, judged, xs, upstream, mode, kind, engine)
            if not result.same:
                return replace(result, notes=notes)
            if result.folded:
                text = (
                    f"{', '.join(result.folded)} are folded into other layers: training mode was "
                    "not compared"
                )
                return replace(result, notes=(*notes, text))
    for step in range(1, train + 1):
        network, judged = _stepped(network, judged, xs, upstream, learning_rate, kinds[-1], engine)
        result = _once(network, judged, xs, upstream, "train", kinds[-1], engine)
        if not result.same:
            return replace(result, step=step, notes=notes)
    return replace(result, notes=notes)


# -- who is compared -------------------------------------------------------------------------------


def _party(name: str, thing: Any) -> Any:
    """A network that can be traced: one of layer objects, or a module of PyTorch."""
    from handgrad.interop.export import read
    from handgrad.training import TrainedRun

    if is_torch(thing) or isinstance(thing, nn.Model):
        return thing
    if isinstance(thing, str | PathLike | TrainedRun):
        return model_of(read(thing).network)
    try:
        return model_of(describe(thing))
    except OptionError:
        raise OptionError(
            f"compare: {name} must be a network, a run folder, an ONNX file, a module of PyTorch or a model "
            f"of Keras, got {shown(thing)}"
        ) from None


def _roles(a: Any, b: Any, X: Any) -> tuple[Network, Any, tuple[str, ...]]:
    """Whose layers are known, and whose values are looked at."""
    problems = []
    for first, second, is_turned in ((a, b, False), (b, a, True)):
        try:
            network = describe(first) if isinstance(first, nn.Model) else _foreign(first, second, X)
        except HandgradError as error:
            problems.append(str(error))
            continue
        note = ("the layers are those of the second network; the causes say what the first does",)
        return network, second, note if is_turned else ()
    raise OptionError(f"compare: neither network has layers that Handgrad knows: {problems[0]}")


def _foreign(module: Any, other: Any, X: Any) -> Network:
    from handgrad.interop import readers

    if isinstance(other, nn.Model):
        raise OptionError("compare: the layers of the other network are asked for")
    return readers.network_of_module(module, X)


def _inputs(network: Network, X: Any, seed: int) -> list[Array]:
    shapes = list(network.inputs.values())
    if X is None:
        rng = np.random.default_rng(seed)
        return [rng.standard_normal((5, *shape)) for shape in shapes]
    xs = [
        as_numpy("compare", "X", x, "hold numbers") for x in (X if isinstance(X, tuple) else (X,))
    ]
    for x, shape in zip(xs, shapes, strict=False):
        if x.shape[1:] != shape or x.dtype.kind not in "iuf" or not len(x):
            raise ShapeError(
                f"compare: X must have shape (N, {str(shape)[1:]}, got {x.shape} {x.dtype}"
            )
    if len(xs) != len(shapes):
        raise ShapeError(f"compare: X must be {len(shapes)} arrays, got {len(xs)}")
    return [x.astype(np.float64) for x in xs]


# -- one walk --------------------------------------------------------------------------------------


def _once(
    network: Network,
    judged: Any,
    xs: Sequence[Array],
    upstream: Array,
    mode: str,
    dtype: Any,
    engine: Any,
) -> Comparison:
    seen = trace(judged, xs, upstream, mode, dtype, engine)
    found = match(network, seen, mode)
    if found.off:
        result = _forward_difference(network, seen, found, mode)
        return replace(result, broken=seen.broken)
    if seen.broken:
        raise OptionError(f"compare: {seen.name} cannot be computed on these rows: {seen.broken}")
    if mode == "train":
        wrong = gradients(network, seen, found, upstream, mode)
        if wrong is not None:
            return _backward_difference(wrong, network)
        changed = statistics_difference(network, seen, found)
        if changed is not None:
            node, cause, off, explained = changed
            return Comparison(
                False,
                node.name,
                "running statistics",
                mode,
                off,
                explained,
                cause,
                len(network.nodes),
            )
    gone = tuple(n.name for n in network.nodes if n.op == "batchnorm" and n.name not in found.place)
    gone = gone or tuple(
        node.name
        for node in network.nodes
        if node.op == "batchnorm"
        and found.layout.get(node.inputs[0], 0) == 0
        and node.inputs[0] not in found.place
    )
    return Comparison(True, layers=len(network.nodes), folded=gone if mode == "test" else ())


def _forward_difference(network: Network, seen: Trace, found: Found, mode: str) -> Comparison:
    by_name = {node.name: node for node in network.nodes}
    node = by_name[found.off[0]]
    search = Search(network, seen, found, mode)
    others = candidates(seen, found, node)
    cause = search.cause(node)
    out = found.done[node.name].out
    off, explained = _size(out, others)
    front = by_name.get(node.inputs[0])
    if cause is None and front is not None and front.op == "dropout":
        words = search.of_input(node, front)
        node, cause = (front, words) if words else (node, None)
    if cause is None and len(found.off) > 1:
        after = by_name[found.off[1]]
        if (
            after.inputs[0] == node.name
        ):  # one step of the other network: the mistake may be in either
            words = search.known(after)
            node, cause = (after, words) if words else (node, None)
    return Comparison(False, node.name, "output", mode, off, explained, cause, len(network.nodes))


def _size(out: Value, others: Sequence[Any]) -> tuple[float, float]:
    """How far the first of the other's values in question is off."""
    for other in others:
        for _, value in layouts(other.value, out.value.shape):
            difference = np.abs(value - out.value)
            with np.errstate(all="ignore"):
                worst = np.argmax(difference - BOTH * out.error)
            return float(difference.reshape(-1)[worst]), float(BOTH * out.error.reshape(-1)[worst])
    return 0.0, 0.0


def _backward_difference(wrong: Difference, network: Network) -> Comparison:
    mine, other = wrong.mine, wrong.other
    cause = None
    off = explained = 0.0
    if other is None:
        cause = "no gradient comes back: it is detached, or frozen (requires_grad is False)"
        off = float(np.abs(mine.value).max())
    else:
        difference = np.abs(other - mine.value)
        worst = np.argmax(difference - BOTH * mine.error)
        off, explained = (
            float(difference.reshape(-1)[worst]),
            float(BOTH * mine.error.reshape(-1)[worst]),
        )
        size = float((mine.value**2).sum())
        factor = float((other * mine.value).sum()) / size if size else 0.0
        if not other.any():
            cause = "no gradient comes back: it is detached, or frozen (requires_grad is False)"
        elif factor and fits(other / factor, Value(mine.value, 8 * mine.error)):
            cause = (
                "its sign is the other"
                if abs(factor + 1) < 1e-4
                else f"it is multiplied by {factor:.6g}"
            )
        elif (
            mine.value.ndim == 2
            and mine.value.shape[0] == mine.value.shape[1]
            and fits(other.T, mine)
        ):
            cause = "it is transposed"
        else:
            at = np.abs(difference) > BOTH * mine.error
            if not other[at].any():
                cause = f"{int(at.sum())} of {at.size} of its numbers are 0: some gradient stops on the way"
            elif not mine.value[at].any():
                cause = "a gradient comes through where none should"
    return Comparison(
        False, wrong.node.name, wrong.what, "train", off, explained, cause, len(network.nodes)
    )


# -- training --------------------------------------------------------------------------------------


def _stepped(
    network: Network,
    judged: Any,
    xs: Sequence[Array],
    upstream: Array,
    rate: float,
    dtype: Any,
    engine: Any,
) -> tuple[Network, Any]:
    """Move both by one step of SGD along b's gradients."""
    import copy

    seen = trace(judged, xs, upstream, "train", dtype, engine)
    found = match(network, seen, "train")
    moved = copy.deepcopy(judged)
    new = {
        name: seen.params[name] - rate * grad
        for name, grad in seen.grads.items()
        if grad is not None
    }
    nodes = []
    for node in network.nodes:
        arrays = dict(node.arrays)
        for role in node.params:
            hits = list(counterparts(node, role, np.asarray(arrays[role], np.float64), seen, found))
            for other, turn in hits[:1]:
                if other in new:
                    arrays[role] = turn(np.asarray(new[other], np.float64))
        nodes.append(replace(node, arrays=arrays))
    if isinstance(moved, nn.Model):
        for name, array in new.items():
            moved.params[name] = array.astype(moved.params[name].dtype)
        if seen.unit < 1e-10 and moved.dtype is not None:
            moved.dtype = np.float64
            moved.params = {name: np.asarray(w, np.float64) for name, w in moved.params.items()}
            for name, array in new.items():
                moved.params[name] = array
    else:
        import torch

        moved = moved.double() if seen.unit < 1e-10 else moved
        with torch.no_grad():
            for name, parameter in moved.named_parameters():
                if name in new:
                    parameter.copy_(torch.tensor(new[name]))
    return replace(network, nodes=tuple(nodes)), moved
