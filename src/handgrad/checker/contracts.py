"""The contract of a pair: what it must leave alone, and what must not make a difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad.checker.calling import Pair, Passed, call_backward, call_forward, upstream
from handgrad.checker.records import (
    Breach,
    Config,
    Raised,
    difference,
    is_numeric,
    same,
    scales_of,
)
from handgrad.checker.undisturbed import changed, fresh


def after_forward(pair: Pair, config: Config, passed: Passed, state: Sequence[str]) -> list[Breach]:
    """Inputs and dictionaries are as they were, but for the state that belongs there."""
    findings = []
    for name, array in config.arrays.items():
        if changed(array, passed.arrays[name]) is not None:
            says = f"forward changes its input {name} in place"
            if pair.layer.loss and _same_loss(pair, config, passed):
                findings.append(Breach("scores_changed", f"the loss changes {name} in place"))
            else:
                findings.append(Breach("input_changed", says))
    for before, after in zip(config.options, passed.options, strict=True):
        if isinstance(before, dict):
            before = {key: value for key, value in before.items() if key not in state}
        path = changed(before, after)
        if path is not None:
            findings.append(
                Breach(
                    "option_changed", f"forward changes the option {path or before!r} of its caller"
                )
            )
    return findings


def _same_loss(pair: Pair, config: Config, passed: Passed) -> bool:
    """Whether the changed scores have the same loss, as those that are shifted by their maximum."""
    again = call_forward(pair, passed.arrays, config.options)
    return not isinstance(again, Raised) and _close(again.out, passed.out, 1e-9)


def after_backward(before_dout: Any, dout: Any, before_cache: Any, cache: Any) -> list[Breach]:
    """The upstream gradient and the cache are as they were."""
    findings = []
    if changed(before_dout, dout) is not None:
        findings.append(Breach("dout_changed", "backward changes dout in place"))
    path = changed(before_cache, cache)
    if path is not None:
        what = f"cache{path}"
        findings.append(
            Breach("cache_changed", f"backward changes {what} in place: it can be called only once")
        )
    return findings


def same_again(first: Any, second: Any, known: Sequence[Breach]) -> list[Breach]:
    """A second backward call gives the same answer."""
    if any(finding.name == "cache_changed" for finding in known) or changed(first, second) is None:
        return []
    return [Breach("second_backward", "a second call of backward gives another answer")]


def of_forward(pair: Pair, config: Config) -> list[Breach]:
    """Same seed, same bits; nothing is remembered between calls; memory layout is free."""

    def out(arrays: dict[str, Any]) -> Any:
        passed = call_forward(pair, arrays, config.options)
        return passed if isinstance(passed, Raised) else np.asarray(passed.out)

    first = out(config.arrays)
    if changed(first, out(config.arrays)) is not None:
        return [Breach("not_repeatable", "two calls with the same inputs and the same seed differ")]
    out({name: array * 1.5 + 0.25 for name, array in config.arrays.items()})
    if changed(first, out(config.arrays)) is not None:
        return [Breach("hidden_state", "the output depends on an earlier call: state is kept")]
    strided = out({name: _strided(array) for name, array in config.arrays.items()})
    if not _close(strided, first, 1e-9):
        return [Breach("strides", "the output changes with the memory layout of the inputs")]
    return []


def of_backward(pair: Pair, name: str, config: Config) -> list[Breach]:
    """The gradient belongs to the cache that is passed, not to the latest forward call."""
    one, two, three = (call_forward(pair, config.arrays, config.options) for _ in range(3))
    if isinstance(one, Raised) or isinstance(two, Raised) or isinstance(three, Raised):
        return []
    dout = upstream(config, one.out)
    expected = call_backward(pair, name, fresh(dout), one.cache, config)
    other = {
        key: array[::-1] * 1.5 + 0.25 if array.ndim else array
        for key, array in config.arrays.items()
    }
    call_forward(pair, other, config.options)
    if changed(expected, call_backward(pair, name, fresh(dout), two.cache, config)) is not None:
        return [
            Breach(
                "hidden_state", "backward uses the latest forward call, not the cache it is given"
            )
        ]
    strided = call_backward(pair, name, _strided(dout), three.cache, config)
    if isinstance(expected, dict) and isinstance(strided, dict):
        scales = scales_of({**expected, "dout": dout})
        for key, value in expected.items():
            if is_numeric(value) and not same(strided[key], value, scales[key], 1e-9):
                return [Breach("strides", f"{key} changes with the memory layout of dout")]
    return []


def dtype_notes(pair: Pair, config: Config) -> list[str]:
    """Say what float32 becomes: another dtype is no mistake of the courses' pairs, but it is slow."""
    if any(array.dtype != np.float64 for array in config.arrays.values()):
        return []
    arrays = {name: array.astype(np.float32) for name, array in config.arrays.items()}
    passed = call_forward(pair, arrays, config.options)
    if isinstance(passed, Raised):
        return [f"float32 inputs raise {passed}"]
    dtype = np.asarray(passed.out).dtype
    return [] if dtype == np.float32 else [f"float32 in, {dtype} out"]


def _strided(array: Any) -> Any:
    """Return the same numbers in every other place of a larger Fortran-ordered array."""
    array = np.asarray(array)
    if not array.ndim:
        return array
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), 7, array.dtype, order="F")
    wide[..., ::2] = array
    return wide[..., ::2]


def _close(got: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(got, Raised) or isinstance(expected, Raised):
        return isinstance(got, Raised) and isinstance(expected, Raised)
    if np.shape(got) != np.shape(expected):
        return False
    return difference(got, expected).error <= tolerance
