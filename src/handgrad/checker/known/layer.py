"""What the checker knows about a layer, and where its true results come from."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from handgrad import layers
from handgrad.checker.known import sandwiches
from handgrad.checker.records import Call, Config
from handgrad.checker.undisturbed import seeded


class Truth(NamedTuple):
    """The right results of a configuration.

    Attributes:
        results: "out", and what forward leaves in its dictionaries, by name.
        state: those names.
        gradient: upstream gradient -> gradients by name.
    """

    results: dict[str, Any]
    state: tuple[str, ...]
    gradient: Callable[[Any], dict[str, Any]]


@dataclass(frozen=True)
class KnownLayer:
    """A layer, or somebody's own pair of which no more is known than its inputs.

    Attributes:
        name: the pair of `handgrad.layers` that computes it, "" for somebody's own.
        forward, backward: the names that courses give the functions.
        family: whose hypotheses are tried.
        loss: whether forward and backward are one function.
        legitimate: whether gradients at a tie are among the right ones.
        expectations: checks of what gradients cannot see.
        random: whether train mode draws numbers, so that many results are right.
        drops: whether dropout's p is the probability of dropping.
        strict: whether the library's contract is judged, not only the courses'.
        adapt: ("forward" or "backward", function) -> the function as a pair has it.
        reference: what gives the right results where no pair of the library does.
        meant: function -> the layer as this code means it.
        own_word: what the arguments of its functions are, where students and not courses wrote them, so
            that one of other arguments is something else.
        chain: the layers that it must call, in this order, where its name does not say them.
        scored: of a softmax loss, call -> its scores in rows, their labels, and the weight of each row.
    """

    name: str
    make_configs: Callable[[], list[Config]]
    forward: tuple[str, ...] = ()
    backward: tuple[str, ...] = ()
    family: str = ""
    loss: bool = False
    legitimate: Callable[[Config, Any, dict[str, Any], bool], bool] | None = None
    expectations: tuple[Callable[[Any], list[Any]], ...] = ()
    random: bool = False
    drops: bool = False
    strict: bool = False
    adapt: Callable[[str, Any], Any] = lambda side, function: function
    reference: Callable[[Config], Truth] | None = None
    meant: Callable[[Any], KnownLayer] | None = None
    own_word: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    scored: Callable[[Call], tuple[Any, Any, Any]] | None = None
    cache: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def known(self) -> bool:
        """Whether the library can compute it."""
        return bool(self.name)

    def fits(self, function: Any) -> bool:
        """Whether a function that is no course's has the arguments of the layer's forward."""
        if not self.own_word:
            return True
        chained = not self.chain or sandwiches.chain_of(function) == list(self.chain)
        return chained and sandwiches.fits(function, self.own_word)

    def configs(self) -> list[Config]:
        """Return the configurations, made once."""
        if "configs" not in self.cache:
            self.cache["configs"] = self.make_configs()
        return self.cache["configs"]

    def truth(self, config: Config) -> Truth | None:
        """Return the right results, or None for somebody's own pair."""
        if not self.known or (self.random and config.options[0].get("mode") == "train"):
            return None
        key = (config.name, id(config))
        if key not in self.cache:
            self.cache[key] = self._truth(config)
        return self.cache[key]

    def _truth(self, config: Config) -> Truth:
        if self.reference is not None:
            return self.reference(config)
        options = copy.deepcopy(config.options)
        arrays = {k: np.asarray(a, np.float64) for k, a in config.arrays.items()}
        if self.loss:
            loss, dx = getattr(layers, self.name)(*arrays.values(), *options, engine="vectorized")
            return Truth({"out": loss}, (), lambda dout: {"dx": dout * dx})
        forward = self.adapt("forward", getattr(layers, self.name + "_forward"))
        seeded()
        out, cache = forward(*arrays.values(), *options, engine="vectorized")
        state = {
            key: after[key]
            for before, after in zip(config.options, options, strict=True)
            if isinstance(after, dict)
            for key in after
            if key not in before
            or (after[key] is not before[key] and np.any(after[key] != before[key]))
        }
        gradient = functools.partial(self._gradient, cache, tuple("d" + k for k in arrays))
        return Truth({"out": out, **state}, tuple(state), gradient)

    def _gradient(self, cache: Any, names: tuple[str, ...], dout: Any) -> dict[str, Any]:
        result = self.adapt("backward", getattr(layers, self.name + "_backward"))(dout, cache)
        gradients = result if isinstance(result, tuple) else (result,)
        return dict(zip(names, gradients, strict=True))
