"""Checking a pair that is at hand in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from handgrad.checker import networks, pairs
from handgrad.checker.adapters import as_functions
from handgrad.checker.calling import Pair
from handgrad.checker.known import by_function
from handgrad.checker.known.layer import Layer
from handgrad.checker.records import Config, Report
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
) -> Report:
    """Judge a forward/backward pair: right, wrong (and what is probably wrong), or not testable here.

    A pair of the courses is recognised by its name and needs no inputs.

    Args:
        forward: ``forward(*arrays, *options)`` returns (out, cache); or an object with ``forward``
            and ``backward``, a ``torch.autograd.Function``, or a JAX ``custom_vjp``; or a loss, an
            update rule or a model of the courses; or a network or layer of `handgrad.nn`.
        backward: ``backward(dout, cache)`` returns one gradient for each array.
        inputs: the arrays, as a dictionary by name or a list in argument order; or several of
            these, each a configuration; or a function ``rng -> inputs``.  Points at kinks and ties
            are moved.
        options: the arguments behind the arrays, which are not differentiated.
        layer: the name of a known layer that the pair computes, such as "conv".
        drops: dropout's p is the probability of dropping, as in the courses before 2018.

    Raises:
        OptionError: the pair is not a known one, and no inputs were given.

    >>> import numpy as np
    >>> def forward(x):
    ...     return x**3, x
    >>> def backward(dout, x):
    ...     return 3 * x * dout
    >>> report = check(forward, backward, [np.array([1.0, 2.0, 3.0])])
    >>> bool(report), report.verdicts[1].function
    (False, 'backward')
    """
    from handgrad.checker.discover import judge_named, with_meaning

    if backward is None and networks.is_network(forward):
        return Report(
            [networks.judge(getattr(forward, "__name__", type(forward).__name__), forward)]
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
            verdicts = judge_named(name, forward, drops)
            if verdicts is None:
                raise OptionError(
                    f"check: {name} is not the name of a function of the courses; give inputs, the "
                    "arrays that it takes, or layer, the name of the layer that it computes"
                )
            return Report(verdicts)
        known = with_meaning(found[0], drops)
        if known.loss:
            return Report(pairs.judge(loss_pair(forward, known)))
    else:
        known = Layer("", lambda: configurations(forward, inputs, options))
    backwards = {}
    if backward is not None:
        backwards[getattr(backward, "__name__", "backward")] = backward
    return Report(pairs.judge(Pair(forward, backwards, name, known)))


def loss_pair(function: Callable[..., Any], layer: Layer) -> Pair:
    """See a loss as a pair: its gradient is what forward caches, times dout."""

    def backward(dout: Any, dx: Any) -> Any:
        return dout * dx

    backward.__wrapped__ = function  # type: ignore[attr-defined]
    return Pair(function, {function.__name__: backward}, function.__name__, layer)


def configurations(
    forward: Callable[..., Any], inputs: Any, options: Sequence[Any] = ()
) -> list[Config]:
    """Return the configurations that somebody's inputs describe; see `check`."""
    if callable(inputs):
        inputs = inputs(np.random.default_rng(231))
    several = (
        isinstance(inputs, list | tuple) and inputs and isinstance(inputs[0], dict | list | tuple)
    )
    return [
        Config(f"inputs {i}", _named(forward, one), tuple(options))
        for i, one in enumerate(inputs if several else [inputs])
    ]


def _named(forward: Callable[..., Any], inputs: Inputs) -> dict[str, np.ndarray]:
    if not isinstance(inputs, Mapping):
        names = _parameters(forward)
        names += [f"input{i}" for i in range(len(names), len(inputs))]
        inputs = dict(zip(names, inputs, strict=False))
    return {name: np.array(array, np.float64) for name, array in inputs.items()}


def _parameters(forward: Callable[..., Any]) -> list[str]:
    import inspect

    try:
        parameters = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


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
