"""What the gradients of a pair must be: the derivative of its own forward, at a point where there is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checker.calling import Pair, Passed, call_forward, upstream
from handgrad.checker.records import Call, Config, Raised, is_numeric, same, scales_of
from handgrad.checker.slopes import COMPLEX, SINGLE, Slope

GRADIENT_TOLERANCE = 1e-7
_MOVES = 6
_SHIFTS = ("b", "beta")  # what is only added: with zeros there, many a wrong forward is right


def smooth_point(pair: Pair, config: Config) -> tuple[Config, Passed | Raised, Slope | None]:
    """Move the configuration away from kinks and ties, unless it is there on purpose."""
    rng = np.random.default_rng(7)
    slope = None
    original = config
    for attempt in range(_MOVES):
        passed = call_forward(pair, config.arrays, config.options)
        if isinstance(passed, Raised) or not config.smooth or config.tied:
            return config, passed, None
        options = config.options

        def forward(arrays: dict[str, Any], options: Any = options) -> Any:
            result = call_forward(pair, arrays, options)
            return result if isinstance(result, Raised) else result.out

        slope = Slope(forward, config.arrays, upstream(config, passed.out), rng)
        if not slope.trouble or pair.layer.known:
            break
        moved = {
            key: array
            + 0.02 * (attempt + 1) * (np.std(array) or 1.0) * rng.standard_normal(array.shape)
            for key, array in original.arrays.items()
        }
        config = replace(original, arrays=moved)
    return config, passed, slope


def expect(call: Call, slope: Slope, forward_right: bool, known: bool) -> None:
    """Fill in what the gradients must be; see the head of `pairs`."""
    if known:
        call.scale = scales_of({**call.expected, "dout": call.dout})
        direction = slope.direction(*call.arrays)
        if forward_right and _agrees(call.expected, slope, direction):
            return
        if not forward_right and not any(map(call.wrong, call.expected)):
            return
    expected: dict[str, Any] = {}
    for key, array in call.arrays.items():
        got = call.got["d" + key]
        usable = is_numeric(got) and np.shape(got) == array.shape and np.all(np.isfinite(got))
        if usable and _passes(key, got, slope):
            expected["d" + key] = np.asarray(got)
            continue
        expected["d" + key], error = slope.gradient(key, got if usable else np.zeros(array.shape))
        largest = float(np.max(np.abs(expected["d" + key]), initial=0.0)) or 1.0
        call.tolerance = max(
            call.tolerance,
            slope.tolerance if slope.method != COMPLEX else 0.0,
            10 * error / largest,
        )
    call.expected = expected


def _passes(key: str, got: np.ndarray, slope: Slope) -> bool:
    """Whether the gradient `got` gives the derivative in a few directions; else each entry is looked at.

    Where the tolerance is wide, a wrong factor hides in directions across the gradient: there, one along it
    is among them, and in the others an error is measured by what they see of the gradient.
    """
    gradient = {"d" + key: got}
    if slope.method != SINGLE:
        return all(_agrees(gradient, slope, slope.direction(key)) for _ in range(2))
    along = {key: slope.direction(key)[key]}
    length = float(np.linalg.norm(got))
    if length:
        along[key] = got * (float(np.linalg.norm(along[key])) / length)
    few = [slope.direction(key) for _ in range(4)]
    return _agrees(gradient, slope, along) and all(
        _agrees(gradient, slope, direction, float(np.sqrt(got.size))) for direction in few
    )


def _agrees(
    gradients: dict[str, Any], slope: Slope, direction: dict[str, np.ndarray], seen: float = 1.0
) -> bool:
    """Whether `gradients` give the derivative along `direction`, which sees 1/`seen` of their length."""
    slope_there, error = slope.along(direction)
    terms = [np.sum(gradients["d" + key] * v) for key, v in direction.items()]
    size = sum(
        float(np.linalg.norm(gradients["d" + key]) * np.linalg.norm(v))
        for key, v in direction.items()
    )
    moved = max(float(np.linalg.norm(v)) for v in direction.values())
    floor = 1e-10 * float(np.linalg.norm(slope._dout)) * min(1.0, moved)
    trust = 1 if slope.method == SINGLE else 10
    return bool(
        abs(sum(terms) - slope_there) <= slope.tolerance * size / seen + trust * error + floor
    )


def without_shift(pair: Pair, config: Config) -> tuple[Config, Passed] | None:
    """Return the configuration with zeros for biases, if forward is right there; else None.

    A forward that forgets, or misplaces, a bias says nothing of the backward beside it.
    """
    shifts = [key for key in _SHIFTS if key in config.arrays]
    if not shifts:
        return None
    zeros = {key: np.zeros_like(config.arrays[key]) for key in shifts}
    other = replace(
        config, name=f"{config.name}, {', '.join(shifts)} 0", arrays=config.arrays | zeros
    )
    passed, truth = call_forward(pair, other.arrays, other.options), pair.layer.truth(other)
    if isinstance(passed, Raised) or truth is None:
        return None
    out = truth.results["out"]
    right = same(passed.out, out, scales_of({"out": out})["out"], 1e-8)
    return (other, passed) if right else None


def of_its_mask(call: Call) -> bool:
    """Whether dx is dout times a mask of dropout that is zero only where the output is.

    So it is beside a forward that does more than to drop.
    """
    dx: Any = call.got.get("dx")
    dout, out = np.asarray(call.dout), np.asarray(call.out)
    if not is_numeric(dx) or np.shape(dx) != dout.shape or out.shape != dout.shape:
        return False
    mask = np.asarray(dx) / dout
    kept = mask[~np.isclose(mask, 0)]
    p = call.config.options[0]["p"]
    scaled = kept.size and any(np.allclose(kept, 1 / share) for share in (p, 1 - p))
    return bool(scaled and not np.any(out[np.isclose(mask, 0)]) and kept.size < mask.size)
