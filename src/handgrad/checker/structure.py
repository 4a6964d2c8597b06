"""When no hypothesis explains a result: in which situations it is wrong, and what the error looks like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handgrad.checker.known.layer import Layer
from handgrad.checker.records import Call, Cause, Raised, is_numeric


def describe(key: str, calls: Sequence[Call], layer: Layer) -> Cause:
    """Return a cause that says no more than what can be seen."""
    from handgrad.checker.diagnosis import worst

    present = [call for call in calls if key in call.expected]
    failing = [call for call in present if call.wrong(key)]
    raised = [call.got[key] for call in failing if isinstance(call.got[key], Raised)]
    text = worst([key], calls)
    where = _situations(failing, present)
    if raised and len(raised) == len(failing):
        kind = "missing" if raised[0].kind == "Missing" else "raises"
        says = raised[0].message if kind == "missing" else f"it raises {raised[0]}"
        return Cause(kind, says + where, (key,), text, raised[0].line, certain=kind == "missing")
    parts = [f"{key} is wrong{where}; no known mistake explains the numbers"]
    comparable = [call for call in failing if _comparable(call, key)]
    if comparable:
        parts += _pattern(max(comparable, key=lambda call: np.size(call.expected[key])), key)
    return Cause("unexplained", "; ".join(parts), (key,), text, certain=False)


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
