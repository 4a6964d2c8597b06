"""Gradients that an object stores in attributes: found beside their parameters, and checked with dx.

Styles that are known, of parameters W and b:

    self.W, self.dW         self.weights, self.dweights      self.weight, self.grad_weight, self.W_grad
    self.params, self.grads (lists in one order, or dictionaries)     self.grads["W"] of self.W
    self.W.data, self.W.grad            parameters() -> [(W, dW), ...]

They may lie in the object, or in the layers that it holds.  What backward returns behind the gradients of
the inputs is taken as the gradients of the parameters, too.  A parameter is an array that forward leaves
as it is.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from handgrad.checker.records import Config, Raised, is_numeric
from handgrad.checker.undisturbed import fresh, quiet, run

Path = tuple[tuple[str, Any], ...]  # ("attribute", name), ("item", key) or ("call", name)
_DEPTH = 4
_GRADIENT = re.compile(r"^(?:d_?|grad(?:ient)?s?_?)(.+)$|^(.+?)_?(?:grad|gradient|grads)$", re.I)
_OF_PARAMETERS = {"params", "parameters", "weights", "theta", "param"}
_OF_GRADIENTS = {"grads", "gradients", "grad", "dparams", "gradparams", "paramgrads", "dweights"}
_METHODS = ("parameters", "params", "get_params", "get_parameters", "params_and_grads")
_SAME = {"w": "w", "weight": "w", "weights": "w", "b": "b", "bias": "b", "biases": "b",
         "gamma": "gamma", "scale": "gamma", "beta": "beta", "shift": "beta"}  # fmt: skip
OUTPUTS = ("output", "outputs", "out")
INPUT_GRADIENTS = ("dinputs", "dinput", "dx", "dX", "dvalues", "grad_input", "grad_inputs")


class Stored(NamedTuple):
    """A parameter, and where its gradient lies after backward; None: backward returns it."""

    name: str
    parameter: Path
    gradient: Path | None


def with_stored(
    forward: Callable[..., Any], backward: Callable[..., Any], configs: list[Config]
) -> tuple[Callable[..., Any], Callable[..., Any], list[Config]]:
    """Return the pair, and its configurations, with an object's parameters among the arrays."""
    layer = getattr(forward, "layer", None)
    if layer is None or not configs:
        return forward, backward, configs
    with quiet():
        base, found = _look(layer, forward, backward, configs[0])
    if not found:
        return forward, backward, configs
    count = len(configs[0].arrays)
    values = {one.name: np.array(_get(base, one.parameter), np.float64) for one in found}

    def forward_of_all(*arguments: Any) -> Any:
        own = copy.deepcopy(base)
        new = dict(zip(values, arguments[count : count + len(values)], strict=True))
        _put(own, {id(_get(own, one.parameter)): new[one.name] for one in found}, {})
        inputs = (*arguments[:count], *arguments[count + len(values) :])
        return forward.of(own, *inputs)  # type: ignore[attr-defined]

    def backward_of_all(dout: Any, cache: Any) -> Any:
        own, rest = cache
        own = copy.deepcopy(own)
        result = backward(dout, (own, rest))
        kept = {f"d{one.name}": _gradient(own, one) for one in found if one.gradient}
        if isinstance(result, Mapping):
            return {**result, **kept}
        result = tuple(result) if isinstance(result, tuple | list) else (result,)
        return (*result, *kept.values())

    return (
        _named_like(forward_of_all, forward),
        _named_like(backward_of_all, backward),
        [replace(config, arrays={**config.arrays, **values}) for config in configs],
    )


def _named_like(function: Callable[..., Any], original: Any) -> Callable[..., Any]:
    function.__name__ = original.__name__
    function.__wrapped__ = original.__wrapped__  # type: ignore[attr-defined]
    function.layer = original.layer  # type: ignore[attr-defined]
    return function


def _look(
    layer: Any, forward: Callable[..., Any], backward: Callable[..., Any], config: Config
) -> tuple[Any, list[Stored]]:
    """Run both passes; return the object, with parameters that forward made, and what it stores."""
    own = copy.deepcopy(layer)
    other = [array * 1.5 + 0.25 for array in config.arrays.values()]
    first = run(forward.of, own, *fresh(list(config.arrays.values())), *config.options)  # type: ignore[attr-defined]
    if isinstance(first, Raised):
        return layer, []
    base = copy.deepcopy(own)
    kept = copy.deepcopy(own)
    result = run(backward, np.ones(np.shape(first[0])), (own, first[1][1]))
    if isinstance(result, Raised):
        return layer, []
    run(forward.of, kept, *other, *config.options)  # type: ignore[attr-defined]
    found: dict[int, Stored] = {}
    for one in _pairs(own):
        before, after = _tried(base, one.parameter), _tried(kept, one.parameter)
        if _is_parameter(before, after) and one.name not in config.arrays:
            found.setdefault(id(before), one)
    return base, list(found.values()) or _returned(result, base, kept, len(config.arrays))


def _is_parameter(before: Any, after: Any) -> bool:
    numbers = is_numeric(before) and np.asarray(before).dtype.kind == "f" and np.ndim(before) > 0
    return bool(numbers and np.shape(before) == np.shape(after) and np.array_equal(before, after))


def _returned(result: Any, base: Any, kept: Any, count: int) -> list[Stored]:
    """Parameters whose gradients backward returns behind those of the inputs, by their shapes."""
    if not isinstance(result, tuple | list) or len(result) <= count:
        return []
    found: list[Stored] = []
    for gradient in result[count:]:
        for name, value in vars(base).items():
            path: Path = (("attribute", name),)
            unused = all(one.name != name for one in found)
            fits = _is_parameter(value, _tried(kept, path)) and np.shape(value) == np.shape(
                gradient
            )
            if unused and fits:
                found.append(Stored(name, path, None))
                break
    return found if len(found) == len(result) - count else []


def _pairs(own: Any) -> Iterator[Stored]:
    """Every parameter of an object, and of what it holds, that has a gradient beside it."""
    for path, holder in _holders(own, (), set()):
        names = vars(holder)
        for name, value in names.items():
            match = _GRADIENT.match(name.strip("_"))
            if _plain(name) in _OF_GRADIENTS and isinstance(value, Mapping | list | tuple):
                yield from _of_container(path, names, name, value)
            elif match:
                partner = _partner(match.group(1) or match.group(2), names)
                if partner is not None:
                    parameter = (*path, ("attribute", partner))
                    yield Stored(_words(parameter), parameter, (*path, ("attribute", name)))
        arrays = [n for n, v in names.items() if _array(v) and n != "grad"]
        if "grad" in names and len(arrays) == 1:
            parameter = (*path, ("attribute", arrays[0]))
            yield Stored(_words(path) or arrays[0], parameter, (*path, ("attribute", "grad")))
        yield from _of_method(path, holder)


def _of_container(
    path: Path, names: Mapping[str, Any], name: str, gradients: Any
) -> Iterator[Stored]:
    """Gradients in a list or a dictionary, of parameters in another one or in attributes."""
    where = (*path, ("attribute", name))
    others = [other for other in names if _plain(other) in _OF_PARAMETERS]
    if isinstance(gradients, Mapping):
        for key in gradients:
            plain = re.sub(r"^(?:d_?|grad_?)(?=.)", "", str(key))
            for other in others:
                holder = names[other]
                found = next(
                    (k for k in (key, plain) if isinstance(holder, Mapping) and k in holder), None
                )
                if found is not None:
                    parameter = (*path, ("attribute", other), ("item", found))
                    yield Stored(str(found), parameter, (*where, ("item", key)))
            partner = _partner(str(key), names) or _partner(plain, names)
            if partner is not None:
                parameter = (*path, ("attribute", partner))
                yield Stored(_words(parameter), parameter, (*where, ("item", key)))
    elif isinstance(gradients, list | tuple):
        for other in others:
            holder = names[other]
            if isinstance(holder, list | tuple) and len(holder) == len(gradients):
                for i in range(len(holder)):
                    parameter = (*path, ("attribute", other), ("item", i))
                    yield Stored(_words(parameter), parameter, (*where, ("item", i)))


def _of_method(path: Path, holder: Any) -> Iterator[Stored]:
    """Parameters and gradients as pairs that a method returns; the parameters lie in attributes."""
    attributes: dict[int, Path] = {}
    for name in _METHODS:
        method = getattr(type(holder), name, None)
        listed = run(lambda m=method: list(m(holder))) if callable(method) else []
        for i, one in enumerate([] if isinstance(listed, Raised) else listed):
            if not (isinstance(one, tuple | list) and len(one) == 2 and _array(one[0])):
                continue
            attributes = attributes or dict(_arrays(holder, path))
            parameter = attributes.get(id(one[0]))
            if parameter is not None:
                gradient: Path = (*path, ("call", name), ("item", i), ("item", 1))
                yield Stored(_words(parameter), parameter, gradient)


def _arrays(thing: Any, path: Path) -> Iterator[tuple[int, Path]]:
    """The arrays that an object holds, by identity, and where they lie."""
    for inner, holder in _holders(thing, path, set()):
        for name, value in vars(holder).items():
            where: Path = (*inner, ("attribute", name))
            yield id(value), where
            if isinstance(value, Mapping):
                yield from ((id(v), (*where, ("item", key))) for key, v in value.items())
            elif isinstance(value, list | tuple):
                yield from ((id(v), (*where, ("item", i))) for i, v in enumerate(value))


def _holders(thing: Any, path: Path, seen: set[int]) -> Iterator[tuple[Path, Any]]:
    """The object, and the objects in its attributes, lists and dictionaries."""
    if len(path) > _DEPTH or id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, Mapping):
        for key, value in thing.items():
            yield from _holders(value, (*path, ("item", key)), seen)
    elif isinstance(thing, list | tuple):
        for i, value in enumerate(thing):
            yield from _holders(value, (*path, ("item", i)), seen)
    elif hasattr(thing, "__dict__") and not isinstance(thing, type) and not callable_only(thing):
        yield path, thing
        for name, value in list(vars(thing).items()):
            yield from _holders(value, (*path, ("attribute", name)), seen)


def callable_only(thing: Any) -> bool:
    """Whether a thing is a function or a module, not an object that may hold parameters."""
    return type(thing).__name__ in ("function", "module", "builtin_function_or_method", "method")


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _partner(base: str, names: Mapping[str, Any]) -> str | None:
    """Return the attribute whose gradient is called after `base`: itself, or under a like name."""
    exact = [name for name in names if name.strip("_") == base]
    alike = [name for name in names if _plain(name) == _plain(base)]
    same = [
        name
        for name in names
        if _plain(name) in _SAME and _SAME[_plain(name)] == _SAME.get(_plain(base))
    ]
    return next((name for name in [*exact, *alike, *same] if _array(names[name])), None)


def _array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _words(path: Path) -> str:
    text = ""
    for kind, key in path:
        text += f"[{key!r}]" if kind == "item" else f"{'.' * bool(text)}{key}"
    return text


def _get(own: Any, path: Path) -> Any:
    for kind, key in path:
        if kind == "call":
            own = list(getattr(own, key)())
        else:
            own = getattr(own, key) if kind == "attribute" else own[key]
    return own


def _tried(own: Any, path: Path) -> Any:
    return run(_get, own, path)


def _gradient(own: Any, one: Stored) -> Any:
    assert one.gradient is not None
    return _tried(own, one.gradient)


def _put(thing: Any, new: dict[int, Any], seen: dict[int, Any]) -> Any:
    """Put arrays in the place of others, wherever an object holds them."""
    if id(thing) in new:
        return new[id(thing)]
    if id(thing) in seen:
        return seen[id(thing)]
    seen[id(thing)] = thing
    if isinstance(thing, dict):
        for key, value in thing.items():
            thing[key] = _put(value, new, seen)
    elif isinstance(thing, list):
        thing[:] = [_put(value, new, seen) for value in thing]
    elif isinstance(thing, tuple) and type(thing) is tuple:
        return tuple(_put(value, new, seen) for value in thing)
    elif hasattr(thing, "__dict__") and not isinstance(thing, type) and not callable_only(thing):
        for name, value in list(vars(thing).items()):
            changed = _put(value, new, seen)
            if changed is not value:
                setattr(thing, name, changed)
    return thing


def first_attribute(own: Any, names: Sequence[str]) -> Any:
    """Return the first of some attributes that an object has, for what it does not return."""
    return next(
        (getattr(own, name) for name in names if getattr(own, name, None) is not None), None
    )
