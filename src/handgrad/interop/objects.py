"""Python objects that are compared with a network: functions of PyTorch, and what shows its scores alone.

A function of PyTorch becomes a module, whose values are seen.  A function of NumPy, or a model of the
courses' form (``params``, ``loss(X)``, ``loss(X, y)``), shows scores and gradients.  Where the scores differ,
its arrays are watched (`handgrad.interop.watched`); where they do not show the layers, the known mistakes of
each layer are tried until the scores are the object's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad import nn
from handgrad.errors import OptionError
from handgrad.interop import bounds
from handgrad.interop.bounds import Value
from handgrad.interop.causes import causes
from handgrad.interop.comparison import Comparison
from handgrad.interop.differences import backward_difference, forward_difference
from handgrad.interop.gradients import gradients
from handgrad.interop.match import BOTH, Found, fits, layouts, match
from handgrad.interop.network import Network, Node
from handgrad.interop.steps import loss_gradient
from handgrad.interop.trace import CONSTANTS, Trace
from handgrad.interop.watched import watch
from handgrad.interop.widened import widened

Array = np.ndarray
_MOST_TRIES = 4_000


class Blind:
    """An object whose layers are not seen; `learns`: it has the courses' form, and gives gradients."""

    def __init__(self, thing: Any) -> None:
        self.learns = _has_protocol(thing)
        self.thing = thing if self.learns else widened(thing)
        self.name = getattr(thing, "__name__", type(thing).__name__)

    def scores(self, xs: Sequence[Array]) -> Array:
        """Its scores on `xs`."""
        try:
            found = self.thing.loss(*xs) if self.learns else self.thing(*xs)
        except Exception as error:  # somebody else's code
            text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise OptionError(
                f"compare: {self.name} cannot be computed on these rows: {text}"
            ) from error
        return np.asarray(found)


def _has_protocol(thing: Any) -> bool:
    return isinstance(getattr(thing, "params", None), Mapping) and callable(
        getattr(thing, "loss", None)
    )


def is_object(thing: Any) -> bool:
    """Whether it is a function, or a model of the courses' form that is none of Handgrad's own."""
    if isinstance(thing, type | nn.Model) or type(thing).__module__.startswith("handgrad."):
        return False
    return _has_protocol(thing) or callable(thing)


def is_compiled(thing: Any) -> bool:
    """Whether it is a module of TorchScript, whose functions cannot be watched."""
    return type(thing).__module__.startswith("torch.jit")


def _called(module: Any) -> Any:
    """A function of NumPy that calls a module of TorchScript in test mode."""
    import torch

    weights = [p.detach().numpy() for p in module.parameters()]
    kind = weights[0].dtype if weights else np.dtype(np.float32)

    def script(*xs: Array) -> Array:
        module.eval()
        with torch.no_grad():
            found: Array = module(*(torch.tensor(x.astype(kind)) for x in xs)).numpy()
        return found

    return script


def party(thing: Any) -> Any:
    """A module of PyTorch that calls the function, or a `Blind` object."""
    if is_compiled(thing):
        return Blind(_called(thing))
    if not _has_protocol(thing) and _is_torch_function(thing):
        import torch

        class Function(torch.nn.Module):  # type: ignore[misc, unused-ignore]
            is_function = True

            def forward(self, *xs: Any) -> Any:
                return thing(*xs)

        Function.__name__ = getattr(thing, "__name__", "Function")
        return Function()
    return Blind(thing)


def _is_torch_function(thing: Any, depth: int = 2) -> bool:
    """Whether a function's code, or what it closes over, is PyTorch's."""
    function = getattr(thing, "__func__", thing)
    code = getattr(function, "__code__", None) or getattr(type(thing).__call__, "__code__", None)
    owner = function if hasattr(function, "__globals__") else type(thing).__call__
    known = dict(getattr(owner, "__globals__", {}))
    names = [*getattr(code, "co_names", ()), *getattr(code, "co_freevars", ())]
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    if any(_is_torch(known.get(name)) for name in names) or any(map(_is_torch, cells)):
        return True
    inner = [cell for cell in cells if callable(cell) and hasattr(cell, "__code__")]
    return depth > 0 and any(_is_torch_function(cell, depth - 1) for cell in inner)


def _is_torch(value: Any) -> bool:
    name = getattr(value, "__name__", "") if isinstance(value, type(np)) else type(value).__module__
    return name.partition(".")[0] == "torch"


def compare_blind(
    network: Network, other: Blind, xs: Sequence[Array], dtype: str | None
) -> Comparison:
    """Compare scores, and where the object learns its loss and gradients."""
    weights = [np.asarray(w) for w in other.thing.params.values()] if other.learns else []
    kind = np.dtype(dtype or (np.result_type(*weights) if weights else np.float64))
    given = [x.astype(kind) for x in xs]
    try:
        scores = other.scores(given)
    except OptionError:
        broken = _watched(network, other, given, np.zeros(0), float(np.finfo(kind).eps) / 2)
        if broken is None:
            raise
        return broken
    if scores.dtype.kind == "f" and scores.dtype.itemsize < kind.itemsize:
        kind = scores.dtype  # whatever goes in, it computes in that
    unit = float(np.finfo(kind).eps) / 2
    values = _walked(network, given, unit, "test")
    right = values[network.output].out
    most = None
    if unit > 1e-10:
        most = _measured(network, given, unit, right.value)
        right = Value(right.value, np.minimum(right.error, most))
    if scores.size != right.value.size:
        words = f"it gives scores of the shape {scores.shape}, not {right.value.shape}"
        return Comparison(False, network.output, "output", "test", cause=words)
    scores = scores.reshape(right.value.shape)
    if not fits(scores, right):
        rounded = _walked(network, given, unit, "test", constants=CONSTANTS)[network.output].out
        is_off = not fits(scores, rounded)
        seen = _watched(network, other, given, scores, unit) if is_off else None
        if seen is not None and seen.cause:
            return seen
        found = _of_scores(network, other, given, scores, values, unit, most)
        if seen is not None and found.layer != seen.layer:
            return seen
        if found.cause or is_off:
            return found
    if not other.learns or len(xs[0]) < 2:
        note = f"{other.name} shows no gradients: the scores were compared alone"
        return Comparison(True, layers=len(network.nodes), notes=(note,))
    return _trained(network, other, given, unit)


def _shows(network: Network, seen: Trace, found: Found) -> bool:
    """Whether what was seen has room for the first layer that differs, or a layer that does not."""
    if {*found.place} - {*network.inputs}:
        return True
    (first,) = (node for node in network.nodes if node.name == found.off[0])
    out = found.done[first.name].out.value
    inner = [one.value for one in seen.values[len(network.inputs) :]]
    return any(
        any(layouts(a, out.shape)) or (a.ndim == out.ndim > 2 and a.shape[:2] == out.shape[:2])
        for a in inner
        if a.size != seen.scores.size
    )


def _watched(
    network: Network, other: Blind, xs: Sequence[Array], scores: Array, unit: float
) -> Comparison | None:
    """Compare the arrays that the object makes on the way; None where they do not show the layers."""
    function = other.thing.loss if other.learns else other.thing
    sizes = {len(xs[0]) * int(np.prod(shape)) for shape in network.shapes.values()}
    values, broken = watch(function, xs, sizes)
    if not values or values[0].value.shape != xs[0].shape:
        return None
    params = {name: np.asarray(w) for name, w in other.thing.params.items()} if other.learns else {}
    seen = Trace(other.name, values, scores, unit, params, broken=broken)
    found = match(network, seen, "test")
    if not found.off or not _shows(network, seen, found):
        return None
    note = f"the arrays that {other.name} makes on the way were watched, in test mode"
    return replace(forward_difference(network, seen, found, "test"), broken=broken, notes=(note,))


def _walked(
    network: Network,
    xs: Sequence[Array],
    unit: float,
    mode: str,
    changed: Mapping[str, Value] | None = None,
    constants: float = 0.0,
) -> dict[str, bounds.Done]:
    """The layers' passes; `changed` are values that take the place of layers' outputs.

    constants: how far the other's constants may be off, as shares of them.
    """
    inputs = dict(zip(network.inputs, map(Value.exact, xs), strict=True))
    done: dict[str, bounds.Done] = {}
    for node in network.nodes:
        if changed and node.name in changed:
            done[node.name] = bounds.Done(changed[node.name], None, None)
            continue
        given = [inputs[n] if n in inputs else done[n].out for n in node.inputs]
        one = bounds.forward(node, given, unit, mode)
        if constants:
            one = one._replace(out=bounds.of_constants(node, given, one.out, constants))
        done[node.name] = one
    return done


def _measured(network: Network, xs: Sequence[Array], unit: float, right: Array) -> Array:
    """How far the scores move where each layer's output is moved by what rounding explains there.

    The bounds of layers that follow one another multiply; where no layer in between is seen, that is far
    more than happens.  Of six trials the largest counts, four times.
    """
    rng, spread = np.random.default_rng(0), np.zeros(right.shape)
    for _ in range(6):
        values: dict[str, Array] = dict(zip(network.inputs, xs, strict=True))
        for node in network.nodes:
            out = bounds.forward(node, [Value.exact(values[n]) for n in node.inputs], unit).out
            values[node.name] = out.value + out.error * rng.uniform(-1, 1, out.error.shape)
        spread = np.maximum(spread, np.abs(values[network.output] - right))
    return 4 * np.maximum(spread, spread.mean())


def _of_scores(
    network: Network,
    other: Blind,
    xs: Sequence[Array],
    scores: Array,
    done: dict[str, bounds.Done],
    unit: float,
    most: Array | None,
) -> Comparison:
    """Find the layer and the mistake whose scores are the object's."""
    right = _at_most(done[network.output].out, most)
    off = np.abs(scores - right.value)
    worst = np.unravel_index(np.argmax(off - BOTH * right.error), off.shape)
    result = Comparison(
        False,
        network.output,
        "output",
        "test",
        float(off[worst]),
        float(BOTH * right.error[worst]),
        layers=len(network.nodes),
        notes=(f"{other.name} shows its scores alone: any layer may be the first that differs",),
    )
    note = f"{other.name} shows its scores alone: the layer was found by trying the known mistakes"
    inputs = dict(zip(network.inputs, map(Value.exact, xs), strict=True))
    tries = 0
    for node in network.nodes:
        given = [inputs[n] if n in inputs else done[n].out for n in node.inputs]
        for words, out in causes(node, given, unit, "test"):
            tries += 1
            if out is None or tries > _MOST_TRIES:
                continue
            found = _scores_after(network, xs, unit, node, out)
            found = None if found is None else _at_most(found, most)
            if (
                found is not None
                and _says_something(found)
                and not fits(found.value, right)
                and fits(scores, found)
            ):
                return replace(result, layer=node.name, cause=words, notes=(note,))
    return result


def _at_most(out: Value, most: Array | None) -> Value:
    return out if most is None else Value(out.value, np.minimum(out.error, most))


def _says_something(out: Value) -> bool:
    """Whether its bound is small beside its numbers."""
    return float(out.error.max(initial=0)) <= 1e-2 * float(np.sqrt((out.value**2).mean()))


def _scores_after(
    network: Network, xs: Sequence[Array], unit: float, node: Node, out: Value
) -> Value | None:
    """The scores, were `out` what `node` gives; None where the layers behind do not take it."""
    if not np.isfinite(out.value).all():
        return None
    try:
        return _walked(network, xs, unit, "test", {node.name: out})[network.output].out
    except Exception:  # shapes that a mistake changes
        return None


def _trained(network: Network, other: Blind, xs: Sequence[Array], unit: float) -> Comparison:
    """Compare the loss and the parameters' gradients, in training mode, without regularisation."""
    count = len(network.nodes)
    if any(node.op == "dropout" for node in network.nodes):
        note = "dropout draws its masks: training mode was not compared"
        return Comparison(True, layers=count, notes=(note,))
    thing = copy.deepcopy(other.thing)
    if hasattr(thing, "reg"):
        thing.reg = 0.0
    done = _walked(network, xs, unit, "train")
    scores = done[network.output].out
    flat = scores.value.reshape(len(scores.value), -1)
    y = np.arange(len(flat)) % flat.shape[1]
    with np.errstate(all="ignore"):
        loss, grads = thing.loss(*xs, y)
    wanted = _softmax_loss(flat, y)
    explained = BOTH * (2 * float(scores.error.max()) + 64 * unit * (1 + float(np.abs(flat).max())))
    off = abs(float(loss) - wanted)
    if off > explained:
        factors: dict[str, float] = {"summed over the rows, not averaged": len(flat)}
        factors |= {"divided by the classes, too": 1 / flat.shape[1]}
        words = [t for t, f in factors.items() if abs(float(loss) - f * wanted) <= f * explained]
        cause = f"the loss is {words[0]}" if words else None
        what = "the softmax loss, without regularisation"
        return Comparison(False, network.output, what, "train", off, explained, cause, count)
    inputs = {name: Value.exact(x) for name, x in zip(network.inputs, xs, strict=True)}
    found = Found({**inputs, **{name: one.out for name, one in done.items()}}, done=done)
    trace = Trace(other.name, [], scores.value, unit, learns=True)
    trace.params = {name: np.asarray(w) for name, w in thing.params.items()}
    trace.grads = {name: np.asarray(g) for name, g in grads.items()}
    wrong = gradients(network, trace, found, loss_gradient(scores.value), "train")
    if wrong is not None:
        return replace(backward_difference(wrong, network), mode="train")
    return Comparison(True, layers=count)


def _softmax_loss(scores: Array, y: Array) -> float:
    top = scores.max(axis=1)
    sums = np.exp(scores - top[:, None]).sum(axis=1)
    return float((np.log(sums) + top - scores[np.arange(len(scores)), y]).mean())
