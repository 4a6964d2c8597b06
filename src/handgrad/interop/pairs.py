"""Two functions, or two pairs of forward and backward: which result differs, and why.

Functions have no bound that follows from their layers.  What rounding explains is measured: how far each
result moves when every number that goes in is moved by one rounding, times `_FACTOR`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from handgrad import nn
from handgrad.engines.arrays import as_numpy
from handgrad.errors import HandgradError, OptionError, shown
from handgrad.interop.comparison import Comparison
from handgrad.interop.trace import is_torch

Array = np.ndarray
_FACTOR, _TURNS = 64, 6


def are_functions(a: Any, b: Any) -> bool:
    """Whether both are functions or pairs of functions."""
    return _is_function(a) and _is_function(b)


def _is_function(thing: Any) -> bool:
    if isinstance(thing, tuple | list):
        return len(thing) == 2 and all(map(callable, thing))
    is_network = is_torch(thing) or isinstance(thing, nn.Model | type) or hasattr(thing, "loss")
    return callable(thing) and not is_network


def compare_functions(a: Any, b: Any, X: Any, seed: int = 0) -> Comparison:
    """Compare the outputs of two functions, and where both are pairs their gradients.

    X: the arguments, arrays first; a single array stands for one.  Raises OptionError without them, or where
    one of the functions cannot take them.
    """
    if X is None:
        raise OptionError(
            "compare: give X, the tuple of arguments of the functions: arrays, then options"
        )
    given = list(X) if isinstance(X, tuple) else [X]
    args = [
        as_numpy("compare", "X", x, "hold numbers") if hasattr(x, "__array__") else x for x in given
    ]
    sides = [_Side("a", a), _Side("b", b)]
    rng = np.random.default_rng(seed)
    results = [side.results(args, None) for side in sides]
    both_learn = all(side.backward is not None for side in sides)
    dout = None
    if both_learn and results[0]["output"].shape == results[1]["output"].shape:
        dout = rng.standard_normal(results[0]["output"].shape)
        results = [side.results(args, dout) for side in sides]
    moved = [
        _moved(side, args, dout, result, seed) for side, result in zip(sides, results, strict=True)
    ]
    for what, mine in results[0].items():
        other = results[1].get(what)
        if other is None:
            return _said(what, 0.0, 0.0, f"{sides[1].name} gives none", sides, args)
        if mine.shape != other.shape:
            shapes = f"its shape is {other.shape}, not {mine.shape}"
            return _said(what, 0.0, 0.0, shapes, sides, args)
        explained = moved[0][what] + moved[1][what]
        off = np.abs(np.asarray(other, np.float64) - mine)
        if not (off <= explained).all():
            worst = np.unravel_index(np.argmax(off - explained), off.shape) if off.ndim else ()
            words = next(_causes(mine, other, explained), None)
            return _said(what, float(off[worst]), float(explained[worst]), words, sides, args)
    notes = (
        () if both_learn else ("without a backward function in both, outputs were compared alone",)
    )
    notes = (*notes, f"{', '.join(results[0])} agree within what rounding explains")
    return Comparison(True, layers=1, notes=notes)


class _Side:
    def __init__(self, role: str, thing: Any) -> None:
        pair = thing if isinstance(thing, tuple | list) else (thing, None)
        self.forward: Callable[..., Any] = pair[0]
        self.backward: Callable[..., Any] | None = pair[1]
        self.name = getattr(self.forward, "__name__", role)

    def results(self, args: Sequence[Any], dout: Array | None) -> dict[str, Array]:
        """The output, and with `dout` the gradients of the arrays."""
        args = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
        try:
            with np.errstate(all="ignore"):
                out = self.forward(*args)
                cache = None
                if isinstance(out, tuple):
                    out, *rest = out
                    cache = rest[0] if rest else None
                found = {"output": np.asarray(out)}
                if dout is not None and self.backward is not None:
                    grads = self.backward(dout.astype(found["output"].dtype), cache)
                    grads = grads if isinstance(grads, tuple | list) else (grads,)
                    for i, grad in enumerate(grads):
                        if isinstance(grad, np.ndarray | np.generic | float):
                            found[f"the gradient of argument {i + 1}"] = np.asarray(grad)
        except Exception as error:  # somebody else's code
            text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise OptionError(
                f"compare: {self.name} does not take these arguments: {text}"
            ) from error
        if found["output"].dtype.kind not in "fiu":
            raise OptionError(
                f"compare: {self.name} must return an array of numbers, got {shown(out)}"
            )
        return found


def _moved(
    side: _Side, args: Sequence[Any], dout: Array | None, results: dict[str, Array], seed: int
) -> dict[str, Array]:
    """How far rounding may move each result: measured by moving what goes in."""
    rng = np.random.default_rng(seed + 1)
    kinds = [r.dtype for r in results.values() if r.dtype.kind == "f"]
    unit = max([float(np.finfo(kind).eps) / 2 for kind in kinds], default=1e-16)
    largest = {what: np.zeros(a.shape) for what, a in results.items()}
    for _ in range(_TURNS):

        def jolted(a: Any) -> Any:
            if not isinstance(a, np.ndarray) or a.dtype.kind != "f":
                return a
            step = 2 * unit * rng.choice([-1.0, 1.0], a.shape)
            return (a.astype(np.float64) * (1 + step)).astype(a.dtype)

        again = side.results([jolted(a) for a in args], None if dout is None else jolted(dout))
        for what, a in again.items():
            if what in largest and a.shape == largest[what].shape:
                np.maximum(
                    largest[what], np.abs(a.astype(np.float64) - results[what]), out=largest[what]
                )
    found = {}
    for what, a in results.items():
        size = np.abs(a.astype(np.float64))
        typical = float(largest[what].mean()) if largest[what].size else 0.0
        found[what] = _FACTOR * (largest[what] + typical) + 16 * unit * size
    return found


def _said(
    what: str,
    off: float,
    explained: float,
    words: str | None,
    sides: Sequence[_Side],
    args: Sequence[Any],
) -> Comparison:
    mode = "train" if "gradient" in what else "test"
    words = _of_checker(sides, args) or words
    return Comparison(False, sides[0].name, what, mode, off, explained, words, 1)


def _of_checker(sides: Sequence[_Side], args: Sequence[Any]) -> str | None:
    """What `handgrad check` says of the second pair, where the first is one of Handgrad's."""
    from handgrad.checker import WRONG, check

    mine, other = sides
    if not getattr(mine.forward, "__module__", "").startswith("handgrad.layers"):
        return None
    if other.backward is None or not mine.name.endswith("_forward"):
        return None
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    options = [a for a in args if not isinstance(a, np.ndarray)]
    try:
        layer = mine.name.removesuffix("_forward")
        report = check(other.forward, other.backward, arrays, options=options, layer=layer)
    except HandgradError:
        return None
    wrong = [v for v in report.verdicts if v.verdict == WRONG and v.causes]
    return wrong[0].causes[0].says if wrong else None


def _causes(mine: Array, other: Array, explained: Array) -> Iterator[str]:
    """Mistakes that show in the numbers alone."""
    mine, other = np.asarray(mine, np.float64), np.asarray(other, np.float64)

    def is_it(wanted: Array, factor: float = 1.0) -> bool:
        return bool((np.abs(other - wanted) <= 4 * max(abs(factor), 1.0) * explained).all())

    if not np.isfinite(other).all():
        yield f"{int((~np.isfinite(other)).sum())} of its {other.size} numbers are not finite"
        return
    if not other.any():
        yield "all of it is 0"
    if is_it(-mine):
        yield "its sign is the other"
    if mine.ndim > 1:
        for i in range(mine.ndim):
            for j in range(i + 1, mine.ndim):
                if mine.shape[i] == mine.shape[j] and is_it(mine.swapaxes(i, j)):
                    yield f"its axes {i} and {j} are exchanged"
    for axis in range(mine.ndim):
        if mine.shape[axis] > 1 and is_it(np.flip(mine, axis)):
            yield f"its axis {axis} is in reverse order"
    size = float((mine**2).sum())
    factor = float((other * mine).sum()) / size if size else 0.0
    if factor and is_it(factor * mine, factor):
        rows = len(mine) if mine.ndim else 1
        hint = ", the number of rows" if abs(factor - rows) < 1e-6 * rows and rows > 1 else ""
        hint = ", 1 over the number of rows" if abs(factor * rows - 1) < 1e-6 and rows > 1 else hint
        yield f"it is multiplied by {factor:.6g}{hint}"
    shift = float((other - mine).mean()) if mine.size else 0.0
    if shift and is_it(mine + shift):
        yield f"{shift:.6g} is added"
    if is_it(np.maximum(mine, 0)):
        yield "a ReLU follows"
    bad = np.abs(other - mine) > explained
    if not other[bad].any():
        yield f"{int(bad.sum())} of its {bad.size} numbers are 0 where they should not be"
    elif not mine[bad].any():
        yield f"{int(bad.sum())} of its {bad.size} numbers should be 0"
    elif bad.mean() < 0.5:
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        yield f"{int(bad.sum())} of its {bad.size} numbers differ, the first at {place}"
