"""Checking a pair that is at hand in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checker import networks, pairs
from handgrad.checker.adapters import as_functions
from handgrad.checker.by_name import Habits, judge_named, with_meaning
from handgrad.checker.calling import Pair, call_forward, loss_pair, upstream
from handgrad.checker.known import by_function
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import Config, Raised
from handgrad.checker.report import Report
from handgrad.checker.stored import with_stored
from handgrad.checker.undisturbed import fresh, quiet, run
from handgrad.errors import OptionError

Inputs = Mapping[str, Any] | Sequence[Any]


def check(
    forward: Any,
    backward: Callable[..., Any] | None = None,
    inputs: Any = None,
    *,
    options: Sequence[Any] = (),
    layer: str | None = None,
    drops: bool = False,
    strict: bool = False,
) -> Report:
    """Judge a forward/backward pair: right, wrong (and what is probably wrong), or not testable here.

    A pair of the courses is recognised by its name and needs no inputs.

    Args:
        forward: ``forward(*arrays, *options)`` returns (out, cache).  Or an object with ``forward`` and
            ``backward``, whose stored gradients (``self.dW``) are checked too.  Or a
            ``torch.autograd.Function``, a JAX ``custom_vjp``, a loss, an update rule or a model of the
            courses, a network or layer of `handgrad.nn`.
        backward: ``backward(dout, cache)`` returns one gradient for each array.
        inputs: the arrays, as a dictionary by name or a list in argument order; or several of
            these, each a configuration; or a function ``rng -> inputs``.  Points at kinks and ties
            are moved.  Integer arrays behind the others are passed on as labels, without a
            gradient, if the pair takes them so.  Of a network: (X, y), what its loss takes.
        options: the arguments behind the arrays, which are not differentiated.
        layer: the name of a known layer that the pair computes, such as "conv".
        drops: dropout's p is the probability of dropping, as in the courses before 2018.
        strict: judge the library's contract too, not only the courses'; see docs/checker.md.

    Raises:
        OptionError: the pair is not a known one, and no inputs, or no backward, were given.

    >>> import numpy as np
    >>> def forward(x):
    ...     return x**3, x
    >>> def backward(dout, x):
    ...     return 3 * x * dout
    >>> report = check(forward, backward, [np.array([1.0, 2.0, 3.0])])
    >>> bool(report), report.verdicts[1].function
    (False, 'backward')
    """
    if backward is None and networks.is_network(forward):
        return Report(
            [networks.judge(getattr(forward, "__name__", type(forward).__name__), forward, inputs)]
        )
    made = getattr(forward, "__handgrad_layer__", None)
    if made is not None and backward is None:  # by handgrad.nn.layer
        forward, backward, given, fixed = made
        inputs, options = (given, fixed) if inputs is None else (inputs, options)
    forward, backward = as_functions(forward, backward)
    name = getattr(forward, "__name__", "forward")
    if inputs is None:
        found = by_function(f"{layer}_forward" if layer else name) or by_function(layer or name)
        if found is None:
            verdicts = judge_named(name, forward, Habits(drops, strict=strict))
            if verdicts is None:
                raise OptionError(
                    f"check: {name} is not the name of a function of the courses; give inputs, the "
                    "arrays that it takes, or layer, the name of the layer that it computes"
                )
            return Report(verdicts)
        known = with_meaning(found[0], drops, strict)
        if known.loss:
            return Report(pairs.judge(loss_pair(forward, known)))
    else:
        if backward is None:
            raise OptionError(f"check: there is no backward to check for {name}: give it")
        configs = configurations(forward, inputs, options, backward)
        forward, backward, configs = with_stored(forward, backward, configs)
        known = KnownLayer("", lambda: configs, strict=strict)
    backwards = {}
    if backward is not None:
        backwards[getattr(backward, "__name__", "backward")] = backward
    return Report(pairs.judge(Pair(forward, backwards, name, known)))


def check_with(
    inputs: Any = None, *, options: Sequence[Any] = (), layer: str | None = None
) -> Callable[[Any], Any]:
    """Mark a class with forward and backward, or a function of autograd, for ``handgrad check``.

    ::

        @check_with({"x": np.linspace(-1, 1, 5)})
        class Cube:
            def forward(self, x):
                self.x = x
                return x**3

            def backward(self, dout):
                return 3 * self.x**2 * dout

    >>> import numpy as np
    >>> @check_with({'x': np.linspace(-1, 1, 5)})
    ... class Cube:
    ...     def forward(self, x):
    ...         self.x = x
    ...         return x**3
    ...     def backward(self, dout):
    ...         return 3 * self.x**2 * dout
    """

    def mark(thing: Any) -> Any:
        thing.__handgrad_check__ = {"inputs": inputs, "options": tuple(options), "layer": layer}
        return thing

    return mark


def configurations(
    forward: Callable[..., Any],
    inputs: Any,
    options: Sequence[Any] = (),
    backward: Callable[..., Any] | None = None,
) -> list[Config]:
    """Return the configurations that somebody's inputs describe; see `check`."""
    if callable(inputs):
        inputs = inputs(np.random.default_rng(231))
    if isinstance(inputs, np.ndarray | int | float) or (
        isinstance(inputs, list | tuple) and inputs and all(map(np.isscalar, inputs))
    ):
        inputs = [np.asarray(inputs)]  # the one array
    several = (
        isinstance(inputs, list | tuple) and inputs and isinstance(inputs[0], dict | list | tuple)
    )
    configs = []
    for i, one in enumerate(inputs if several else [inputs]):
        named = _named(forward, one)
        arrays = {name: np.array(array, np.float64) for name, array in named.items()}
        config = Config(f"inputs {i}", arrays, tuple(options))
        configs.append(_labels_apart(forward, backward, config, named))
    return configs


def _labels_apart(
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None,
    config: Config,
    given: dict[str, Any],
) -> Config:
    """Integer arrays behind the others are labels, not numbers, if the pair takes them so."""
    names = list(config.arrays)
    whole = [np.asarray(given[name]).dtype.kind in "iub" for name in names]
    count = len(names) - next((i for i, one in enumerate(whole[::-1]) if not one), 0)
    if count in (0, len(names)) or all(whole):
        return config
    numbers = {name: config.arrays[name] for name in names[:count]}
    labels = tuple(np.asarray(given[name]) for name in names[count:])
    apart = replace(config, arrays=numbers, options=(*labels, *config.options))
    with quiet():
        as_numbers = _results_of(forward, backward, config)
        as_labels = _results_of(forward, backward, apart)
    return apart if as_labels == count and as_numbers != len(names) else config


def _results_of(
    forward: Callable[..., Any], backward: Callable[..., Any] | None, config: Config
) -> int | None:
    """Return how many gradients backward returns; None if one of the two raises."""
    pair = Pair(
        forward, {"backward": backward} if backward else {}, "forward", KnownLayer("", list)
    )
    passed = call_forward(pair, config.arrays, config.options)
    if isinstance(passed, Raised):
        return None
    if backward is None:
        return len(config.arrays)
    result = run(backward, upstream(config, passed.out), fresh(passed.cache))
    if isinstance(result, Raised):
        return None
    gradients = list(result) if isinstance(result, tuple | list | dict) else [result]
    return len([one for one in gradients if one is not None])


def _named(forward: Callable[..., Any], inputs: Inputs) -> dict[str, Any]:
    if not isinstance(inputs, Mapping):
        names = _parameters(forward)
        names += [f"input{i}" for i in range(len(names), len(inputs))]
        inputs = dict(zip(names, inputs, strict=False))
    return dict(inputs)


def _parameters(forward: Callable[..., Any]) -> list[str]:
    import inspect

    try:
        parameters = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):
        return []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names[1:] if hasattr(forward, "layer") else names  # without self


def backward_of(
    forward: Callable[..., Any], *inputs: Any, options: Sequence[Any] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a function as the backward of `forward`, so that ``handgrad check`` finds the pair.

    ::

        @backward_of(cube_forward, {"x": np.linspace(-1, 1, 5)})
        def cube_backward(dout, x):
            return 3 * x**2 * dout
    """

    def mark(backward: Callable[..., Any]) -> Callable[..., Any]:
        backward.__handgrad_pair__ = (forward, list(inputs), tuple(options))  # type: ignore[attr-defined]
        return backward

    return mark
