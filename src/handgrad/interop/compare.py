"""`compare`: the first layer at which two networks part, and why.

Both walk forward in test mode, and forward and backward in training mode, on the same input and with the
same weights.  What rounding explains is no difference: each layer has its own bound (`bounds`), which
follows from the sizes of its numbers and the roundoff of the computation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np

from handgrad import engines, nn
from handgrad.engines.arrays import as_numpy
from handgrad.errors import (
    HandgradError,
    OperationError,
    OptionError,
    ShapeError,
    as_count,
    as_number,
    is_one_of,
    shown,
)
from handgrad.interop import objects, pairs
from handgrad.interop.comparison import Comparison
from handgrad.interop.describe import describe
from handgrad.interop.differences import backward_difference, forward_difference
from handgrad.interop.gradients import gradients
from handgrad.interop.match import holds, match
from handgrad.interop.network import Network, in_unit, with_pixels
from handgrad.interop.onnx_seen import OnnxFile
from handgrad.interop.rebuild import model_of
from handgrad.interop.shares import place_difference, share_difference
from handgrad.interop.statistics import statistics_difference
from handgrad.interop.steps import stepped
from handgrad.interop.trace import is_keras, is_torch, trace

Array = np.ndarray
_DTYPES = ("float32", "float64")


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
            PyTorch), functions from rows to scores in NumPy or PyTorch, models of the courses' form
            (``params``, ``loss(X)``, ``loss(X, y)``).  b may also be the name of an engine or a dtype: a
            itself, computed so.  Or both are functions, or pairs ``(forward, backward)`` of them.
        X: rows that both get, (N, ...), prepared as the network sees them; None draws five.  Of functions:
            the tuple of their arguments.
        train: steps of training that are compared, too, each from b's weights for both.
        learning_rate: of these steps of SGD on a softmax loss; row i has class i, counted round.
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
    if pairs.are_functions(a, b):
        return pairs.compare_functions(a, b, X, seed)
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
    how: dict[str, Any] = {
        "drawn": X is None,
        "train": train,
        "rate": learning_rate,
        "dtype": dtype,
    }
    found = _compared(network, judged, xs, notes, engine=engine, seed=seed, **how)
    if found.same:
        return found
    known = [found]
    for wide, added, rows, words in _wider(network, xs):
        again = _compared(wide, judged, rows, (*notes, *words), engine=engine, seed=seed, **how)
        if again.same:
            return again
        if again.cause is not None and again.layer not in added:
            known.append(again)
    return known[:2][-1]


def _wider(
    network: Network, xs: Sequence[Array]
) -> Iterator[tuple[Network, set[str], Sequence[Array], list[str]]]:
    """Yield the network with what files of `export` add, the names of that, the rows, and words."""
    unit = in_unit(network)
    in_front = "the other network takes {}: the preprocessing was put in front of this one"
    behind = "the other network answers in the unit of the targets, as this one was made to do"
    known = {*network.shapes}
    if unit is not None:
        yield unit, {*unit.shapes} - known, xs, [behind]
    for inner, words in ((network, []), (unit, [behind])):
        wide = None if inner is None else with_pixels(inner)
        if wide is not None:
            images = network.images
            mean, std = (np.asarray(a, np.float64) for a in (images.mean, images.std))
            words = [in_front.format(images.raw), *words]
            yield wide, {*wide.shapes} - known, [xs[0] * std + mean], words


def _compared(
    network: Network,
    judged: Any,
    xs: Sequence[Array],
    notes: tuple[str, ...],
    *,
    drawn: bool,
    train: int,
    rate: float,
    dtype: str | None,
    engine: str | None,
    seed: int,
) -> Comparison:
    """Compare on the rows `xs`; drawn: they are random ones."""
    rng = np.random.default_rng(seed + 1)  # as the gradient of a mean over the rows
    upstream = rng.standard_normal((len(xs[0]), *network.shapes[network.output])) / len(xs[0])
    if isinstance(judged, objects.Blind):
        if drawn and judged.learns:  # nothing but gradients is seen: a slip may show in few numbers
            more = np.random.default_rng(seed + 2).standard_normal((19, *xs[0].shape[1:]))
            xs = [np.concatenate([xs[0], more]), *xs[1:]] if len(xs) == 1 else xs
        found = objects.compare_blind(network, judged, xs, dtype)
        return replace(found, notes=(*notes, *found.notes))
    kinds: list[str | None] = [None, "float64"]
    modes: tuple[str, ...] = ("test", "train")
    if isinstance(judged, OnnxFile):
        kinds, modes, train = [None], ("test",), 0
        words = "some of its operators have no counterpart here: ONNX Runtime computed it, in test mode alone"
        notes = (*notes, words)
    if dtype or is_keras(judged) or not _keeps_weights(network, judged):
        kinds = [dtype]
    result = Comparison(True)
    if len(xs[0]) < 2:
        notes = (*notes, "one row has no batch statistics: training mode was not compared")
    for kind in kinds:
        for mode in modes if len(xs[0]) > 1 else ("test",):
            result = _once(network, judged, xs, upstream, mode, kind, engine)
            again = not result.same and len(kinds) > 1 and kind == kinds[1]
            if again and trace(judged, xs, upstream, mode, kind, engine).mixed:
                # it has agreed in its own dtype, and cannot leave it
                kinds, result = kinds[:1], Comparison(True, layers=result.layers)
                break
            if not result.same and _has_no_mode(result, judged):
                words = "a function has no training mode: gradients were not compared"
                return Comparison(True, layers=result.layers, notes=(*notes, words))
            if not result.same:
                return replace(result, notes=notes)
            if result.folded:
                text = (
                    f"{', '.join(result.folded)} are folded into other layers: training mode was "
                    "not compared"
                )
                return replace(result, notes=(*notes, text))
    if drawn:  # what cuts off large numbers, as ReLU6 does, shows on these alone
        result = _once(network, judged, [30 * x for x in xs], upstream, "test", kinds[-1], engine)
        if not result.same:
            words = "the rows were multiplied by 30: on small numbers nothing differs"
            return replace(result, notes=(*notes, words))
    share = None if isinstance(judged, OnnxFile) else share_difference(network, judged)
    if share is not None:
        return replace(share, notes=notes)
    for step in range(1, train + 1):
        network, judged = stepped(network, judged, xs, rate, kinds[-1], engine)
        result = _once(network, judged, xs, upstream, "train", kinds[-1], engine)
        if not result.same:
            return replace(result, step=step, notes=notes)
    return replace(result, notes=notes)


# -- who is compared -------------------------------------------------------------------------------


def _party(name: str, thing: Any) -> Any:
    """A network that can be traced: one of layer objects, or a module of PyTorch."""
    from handgrad.interop.export import read
    from handgrad.training import TrainedRun

    if isinstance(thing, nn.Model) or (is_torch(thing) and not objects.is_compiled(thing)):
        return thing
    if objects.is_object(thing):
        return objects.party(thing)
    if isinstance(thing, str | PathLike | TrainedRun):
        try:
            return model_of(read(thing).network)
        except OperationError as error:
            if not str(thing).endswith(".onnx"):
                raise
            return OnnxFile(thing, error)
    try:
        return model_of(describe(thing))
    except OptionError:
        raise OptionError(
            f"compare: {name} must be a network, a run folder, an ONNX file, a module of PyTorch, a model "
            f"of Keras or a function, got {shown(thing)}"
        ) from None


def _roles(a: Any, b: Any, X: Any) -> tuple[Network, Any, tuple[str, ...]]:
    """Whose layers are known, and whose values are looked at."""
    problems = []
    for first, second, is_turned in ((a, b, False), (b, a, True)):
        try:
            if isinstance(first, OnnxFile):
                raise first.why
            if isinstance(first, nn.Model):
                network = describe(first, getattr(first, "images", None))
            else:
                network = _foreign(first, second, X)
        except HandgradError as error:
            problems.append(str(error))
            continue
        shapes = tuple(network.inputs.values())
        theirs = tuple(second._input_shapes or ()) if isinstance(second, nn.Model) else shapes
        if shapes != theirs:
            raise ShapeError(
                f"compare: the networks take rows of other shapes, {_rows(shapes)} and {_rows(theirs)}"
            )
        note = ("the layers are those of the second network; the causes say what the first does",)
        return network, second, note if is_turned else ()
    raise OptionError(f"compare: neither network has layers that Handgrad knows: {problems[0]}")


def _rows(shapes: tuple[tuple[int, ...], ...]) -> str:
    return ", ".join(str(("N", *shape)).replace("'", "") for shape in shapes)


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


def _keeps_weights(network: Network, judged: Any) -> bool:
    """Whether the weights are in the dtype of the network's own, or a wider one."""
    if not is_torch(judged):
        return True
    widths = [p.element_size() for p in judged.parameters() if p.dtype.is_floating_point]
    return not widths or min(widths) >= np.dtype(network.dtype).itemsize


def _has_no_mode(result: Comparison, judged: Any) -> bool:
    """Whether it is a function that normalises with running statistics, in training as in test mode."""
    is_function = getattr(judged, "is_function", False)
    return is_function and result.mode == "train" and "the running ones" in str(result.cause)


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
    if isinstance(judged, OnnxFile):
        seen = judged.trace(xs)
    else:
        seen = trace(judged, xs, upstream, mode, dtype, engine)
    found = match(network, seen, mode)
    if found.off:
        result = forward_difference(network, seen, found, mode)
        return replace(result, broken=seen.broken)
    if seen.broken and isinstance(judged, OnnxFile):
        raise judged.why
    if seen.broken:
        raise OptionError(f"compare: {seen.name} cannot be computed on these rows: {seen.broken}")
    moved = place_difference(network, found, seen) if mode == "test" else None
    if moved is not None:
        return moved
    if mode == "train":
        wrong = gradients(network, seen, found, upstream, mode)
        if wrong is not None:
            return backward_difference(wrong, network)
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
    gone = tuple(
        node.name
        for node in network.nodes
        if node.op == "batchnorm"
        and (
            node.name not in found.place
            or (found.layout.get(node.inputs[0], 0) == 0 and node.inputs[0] not in found.place)
        )
        and not holds(seen, node)
    )
    return Comparison(True, layers=len(network.nodes), folded=gone if mode == "test" else ())
