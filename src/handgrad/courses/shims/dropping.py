"""Keys that the courses' own code never reads: the library refuses them, the shims drop them."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

from handgrad import optim

READ: Mapping[str, Collection[str]] = {
    "bn_param": ("mode", "eps", "momentum", "running_mean", "running_var"),
    "ln_param": ("eps",),
    "gn_param": ("eps",),
    "dropout_param": ("p", "mode", "seed"),
    "conv_param": ("stride", "pad"),
    "pool_param": ("pool_height", "pool_width", "stride"),
}
"""What the courses' functions read, by argument; of the config of an update rule, see `_rule_keys`."""

CONVOLUTION = ("num_filters", "filter_size", "stride", "pad")
"""What skynet's networks read of each convolution."""


@functools.cache
def lenient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` without the keys that the courses do not read; itself, if it takes no dictionary.

    What the function writes into a dictionary, as running statistics, is written into the caller's.
    """
    names = list(inspect.signature(function).parameters)
    read = {name: READ[name] for name in names if name in READ}
    if "config" in names:
        read["config"] = _rule_keys(function) or ()
    if not read:
        return function
    places = [(names.index(name), name, keys) for name, keys in read.items()]

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        values, originals = list(args), []
        for place, name, keys in places:
            value = values[place] if place < len(values) else options.get(name)
            if isinstance(value, dict) and any(key not in keys for key in value):
                kept = read_of(value, keys)
                originals.append((value, kept, dict(kept)))
                if place < len(values):
                    values[place] = kept
                else:
                    options[name] = kept
        result = function(*values, **options)
        for value, kept, before in originals:
            value.update({k: v for k, v in kept.items() if k not in before or v is not before[k]})
        return _with(result, originals)

    return call


def _with(result: Any, originals: list[tuple[Any, Any, Any]]) -> Any:
    """Return `result`, with the caller's dictionary in place of the one that the function was given."""
    if not isinstance(result, tuple):
        return result
    theirs = {id(kept): value for value, kept, _ in originals}
    return tuple(theirs.get(id(part), part) for part in result)


def read_of(table: Any, keys: Collection[str]) -> Any:
    """Return what `table` holds of `keys`; itself, if it is no dictionary."""
    if not isinstance(table, Mapping):
        return table
    return {key: value for key, value in table.items() if key in keys}


def _rule_keys(rule: optim.Rule) -> Collection[str] | None:
    """Return the keys that a course's `rule` reads: it has no decays; None for a student's own."""
    keys = optim.keys_of(rule)
    return None if keys is None else keys - set(optim.DECAYS)


def known_to(rule: optim.Rule, optim_config: Any) -> Any:
    """Return `optim_config` without the keys that `rule` does not read, after a warning that names them."""
    keys = _rule_keys(rule)
    if keys is None or not isinstance(optim_config, dict):
        return optim_config
    unread = [str(key) for key in optim_config if key not in keys]
    if not unread:
        return optim_config
    warnings.warn(
        f"Solver: {', '.join(unread)} in optim_config changes nothing: {rule.__name__} does not read it "
        f"(it reads {', '.join(sorted(keys))})",
        stacklevel=3,
    )
    return read_of(optim_config, keys)
