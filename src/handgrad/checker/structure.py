"""When no hypothesis explains a result: in which situations it is wrong, and what the error looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handgrad.checker import misshapen
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import Call, Cause, Raised, is_numeric
from handgrad.checker.wording import worst

_NEAR_ONE = 1e-2  # of 1: what differs by less is no factor that somebody forgot


def describe(key: str, calls: Sequence[Call], layer: KnownLayer) -> Cause:
    """Return a cause that says no more than what can be seen."""
    present = [call for call in calls if key in call.expected]
    failing = [call for call in present if call.wrong(key)]
    raised = [call.got[key] for call in failing if isinstance(call.got[key], Raised)]
    text = worst([key], calls)
    where = _situations(failing, present)
    if raised and len(raised) == len(failing):
        kind = "missing" if raised[0].kind == "Missing" else "raises"
        says = raised[0].message if kind == "missing" else f"it raises {raised[0]}"
        return Cause(kind, says + where, (key,), text, raised[0].line, certain=kind == "missing")
    comparable = [call for call in failing if _comparable(call, key)]
    if not comparable:
        return _misshapen(key, failing, where, text, layer)
    simple = _simple(key, comparable) if len(comparable) == len(failing) else None
    if simple:
        return Cause(simple[0], f"{simple[1]}{where}", (key,), text)
    named = misshapen.explained(key, failing, layer)
    if named:
        return Cause(named[0], f"{named[1]}{where}", (key,), text)
    parts = [f"{key} is wrong{where}; no known mistake explains the numbers"]
    if comparable:
        parts += _pattern(max(comparable, key=lambda call: np.size(call.expected[key])), key)
    return Cause("unexplained", "; ".join(parts), (key,), text, certain=False)


def _misshapen(
    key: str, failing: Sequence[Call], where: str, text: str, layer: KnownLayer
) -> Cause:
    """Nothing that came can be compared number by number."""
    arrays = [call for call in failing if is_numeric(call.got[key])]
    if not arrays:
        raised = [call.got[key] for call in failing if isinstance(call.got[key], Raised)]
        if raised:
            says = f"it raises {raised[0]}{where}"
            return Cause("raises", says, (key,), text, raised[0].line, certain=False)
        what = type(failing[0].got[key]).__name__
        return Cause("no_array", f"{key} must be an array, it is {what}{where}", (key,), text)
    named = misshapen.explained(key, failing, layer)
    if named:
        return Cause(named[0], f"{named[1]}{where}", (key,), text)
    call = arrays[0]
    got, expected = np.shape(call.got[key]), np.shape(call.expected[key])
    says = f"{key} has the wrong shape: {got}, expected {expected}{where}"
    return Cause("shape", says, (key,), text, certain=False)


def _simple(key: str, failing: Sequence[Call]) -> tuple[str, str] | None:
    """Name an error that has one form in all configurations: a factor, or something added."""
    factors = [_multiple(call.got[key], call.expected[key]) for call in failing]
    several = len(failing) > 1 or np.size(failing[0].expected[key]) > 2
    if several and _one_number(factors):
        if abs((factors[0] or 0.0) - 1) < _NEAR_ONE:
            return None  # an epsilon, or digits that are lost: no factor
        return "factor", f"{key} is {factors[0]:.4g} times what it should be"
    for name in failing[0].arrays:
        factors = [
            _multiple(_error(call, key), _like(call.arrays.get(name), call.expected[key]))
            for call in failing
        ]
        if several and _one_number(factors):
            return "added", f"{key} has {factors[0]:.4g} times {name} too much"
    constants = [_constant(_error(call, key)) for call in failing]
    if (
        several
        and _one_number(constants)
        and any(np.size(call.expected[key]) > 1 for call in failing)
    ):
        return "constant_added", f"{key} is too large by {constants[0]:.4g} everywhere"
    return None


def _error(call: Call, key: str) -> np.ndarray:
    return np.asarray(call.got[key], float) - np.asarray(call.expected[key], float)


def _like(array: np.ndarray | None, value: Any) -> np.ndarray | None:
    """Return the array in the shape of `value`: of as many numbers, or one for each channel."""
    shape = np.shape(value)
    if array is None or np.ndim(array) == 0:
        return None
    if array.shape == shape:
        return array
    if array.ndim == 1 and len(shape) > 1 and array.shape[0] == shape[1]:
        return np.broadcast_to(array.reshape(1, -1, *[1] * (len(shape) - 2)), shape)
    return None


def _multiple(value: object, other: object) -> float | None:
    """Return k where value = k other, or None."""
    if other is None:
        return None
    value, other = np.asarray(value, float), np.asarray(other, float)
    if value.shape != other.shape or not np.any(other) or not np.all(np.isfinite(value)):
        return None
    factor = float(np.sum(value * other) / np.sum(other * other))
    close = np.linalg.norm(value - factor * other) <= 1e-6 * np.linalg.norm(factor * other)
    return factor if close and factor else None


def _constant(error: np.ndarray) -> float | None:
    finite = error.size and np.all(np.isfinite(error))
    return (
        float(error.flat[0]) if finite and np.ptp(error) <= 1e-6 * np.max(np.abs(error)) else None
    )


def _one_number(values: Sequence[float | None]) -> bool:
    """Whether all are known, and one number."""
    known = [value for value in values if value is not None]
    return len(known) == len(values) and bool(np.allclose(known, known[0], rtol=1e-5))


def situation(key: str, calls: Sequence[Call]) -> str:
    """Return " where ..." if the result is wrong exactly in the situations that have a trait."""
    present = [call for call in calls if key in call.expected]
    return _situations([call for call in present if call.wrong(key)], present)


def _situations(failing: Sequence[Call], calls: Sequence[Call]) -> str:
    if len(failing) == len(calls):
        return ""
    names = {call.config.name for call in failing}
    for trait in sorted({trait for call in failing for trait in call.config.traits}):
        if names == {call.config.name for call in calls if trait in call.config.traits}:
            return f" where {trait}"
    return f" in {len(failing)} of {len(calls)} configurations ({', '.join(sorted(names)[:3])})"


def among(failing: Sequence[Call], calls: Sequence[Call]) -> str:
    """Return words for where some of the calls are."""
    return _situations(failing, calls)


def _comparable(call: Call, key: str) -> bool:
    got = call.got[key]
    return is_numeric(got) and np.shape(got) == np.shape(call.expected[key])


def _pattern(call: Call, key: str) -> list[str]:
    """Say along which axes the error is concentrated, and what it is proportional to."""
    expected, got = np.asarray(call.expected[key], float), np.asarray(call.got[key], float)
    error = got - expected
    if not np.all(np.isfinite(error)):
        return [f"{np.sum(~np.isfinite(got))} of {got.size} numbers are not finite"]
    wrong = np.abs(error) > call.tolerance * (call.scale.get(key) or 1.0)
    parts = []
    for axis in range(error.ndim):
        size = error.shape[axis]
        lines = np.flatnonzero(np.any(wrong, axis=tuple(i for i in range(error.ndim) if i != axis)))
        if 0 < len(lines) < size:
            border = set(lines) <= {0, size - 1}
            kind = "at the border of" if border and size > 2 else "at " + _list(lines) + " of"
            parts.append(f"only {kind} axis {axis}")
    for name, other in (("the right result", expected), ("dout", call.dout), *call.arrays.items()):
        if other is None or np.shape(other) != error.shape or not np.any(other):
            continue
        factor = float(np.sum(error * other) / np.sum(np.square(other, dtype=float)))
        if np.linalg.norm(error - factor * np.asarray(other)) < 1e-6 * np.linalg.norm(error):
            parts.append(f"the error is {factor:.4g} times {name}")
            break
    else:
        if error.size > 1 and np.ptp(error) <= 1e-6 * np.max(np.abs(error)):
            parts.append(f"the error is {error.flat[0]:.4g} everywhere")
    return parts


def _list(indices: np.ndarray) -> str:
    return ", ".join(map(str, indices[:4])) + (", ..." if len(indices) > 4 else "")


def open_branch(causes: Sequence[Cause], calls: Sequence[Call]) -> str:
    """Return where alone a function gives None, as where the branch for test mode is an exercise; else ""."""
    if not causes or any(cause.name != "no_array" for cause in causes):
        return ""
    failing = [call for call in calls if any(call.wrong(key) for key in call.expected)]
    given = [call.got.get(key) for call in failing for key in call.expected if call.wrong(key)]
    if len(failing) == len(calls) or any(value is not None for value in given):
        return ""
    return f"it returns None{among(failing, calls)}"
