"""Where a result is wrong, as numbers that can be drawn: the error along each axis, and in a plane."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.records import Call, Verdict, is_numeric

_LONGEST = 64  # of a drawn axis


def maps(verdict: Verdict, most: int = 4) -> list[dict[str, Any]]:
    """Return the maps of the worst configurations: at most one for each wrong result."""
    found = []
    for key in dict.fromkeys(key for call in verdict.calls for key in call.expected):
        calls = [call for call in verdict.calls if key in call.expected and _drawable(call, key)]
        if calls:
            call = max(calls, key=lambda call: (np.size(call.got[key]), call.difference(key).error))
            found.append(_map(call, key))
    return found[:most]


def _drawable(call: Call, key: str) -> bool:
    got = call.got[key]
    fits = is_numeric(got) and np.shape(got) == np.shape(call.expected[key])
    return fits and np.ndim(got) > 0 and call.wrong(key)


def _map(call: Call, key: str) -> dict[str, Any]:
    error = np.abs(np.asarray(call.got[key], float) - np.asarray(call.expected[key], float))
    error = np.where(np.isfinite(error), error, np.nanmax(error[np.isfinite(error)], initial=1.0))
    error = error[tuple(slice(0, _LONGEST) for _ in error.shape)]
    axes = tuple(range(error.ndim))
    strips = [error.max(axis=tuple(a for a in axes if a != axis)) for axis in axes]
    plane = error.max(axis=axes[:-2]) if error.ndim >= 2 else error[None]
    return {
        "result": key,
        "configuration": call.config.name,
        "largest": float(error.max()),
        "axes": [strip.tolist() for strip in strips],
        "plane": plane.tolist(),
    }
