"""Judging one forward/backward pair: the evidence, and the verdicts it leads to.

What forward must return is known for the layers of the courses (`handgrad.layers` computes it); what
backward must return is the derivative of *the code's own* forward.  Where that forward is right, the
derivative is the library's, and the code's forward confirms it along random directions; otherwise it
is taken entry by entry.  A backward that returns the layer's true gradient is right even where the
forward beside it is wrong.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from handgrad.checker import contracts, diagnosis
from handgrad.checker.known.layer import Layer
from handgrad.checker.records import (
    RIGHT,
    UNTESTED,
    WRONG,
    Call,
    Cause,
    Config,
    Finding,
    Raised,
    Verdict,
    is_numeric,
    scales_of,
)
from handgrad.checker.running import fresh, quiet, run, source_file, source_lines
from handgrad.checker.slopes import COMPLEX, Slope

FORWARD_TOLERANCE, GRADIENT_TOLERANCE = 1e-8, 1e-7
_MOVES = 6


class Pair(NamedTuple):
    """A forward pass and its backward passes, by the names that they are reported under."""

    forward: Callable[..., Any]
    backwards: dict[str, Callable[..., Any]]
    forward_name: str
    layer: Layer


class Passed(NamedTuple):
    """What one forward call left behind."""

    out: Any
    cache: Any
    options: tuple[Any, ...]
    arrays: dict[str, np.ndarray]


def judge(pair: Pair) -> list[Verdict]:
    """Return the verdict on the forward pass, then those on the backward passes."""
    with quiet():
        start = time.perf_counter()
        forward, calls = judge_forward(pair)
        forward.seconds = time.perf_counter() - start
        verdicts = [forward]
        right = {call.config.name for call in calls if "out" in call.expected}
        right -= {call.config.name for call in calls if any(map(call.wrong, call.expected))}
        for name in pair.backwards:
            start = time.perf_counter()
            verdict = judge_backward(pair, name, right)
            verdict.seconds = time.perf_counter() - start
            verdicts.append(verdict)
    return _merged(verdicts) if pair.layer.loss else verdicts


def call_forward(pair: Pair, arrays: dict[str, Any], options: Sequence[Any]) -> Passed | Raised:
    """Run forward on copies; what it left in the copies comes back too."""
    copies = {name: np.array(array, order="K") for name, array in arrays.items()}
    options = fresh(tuple(options))
    result = run(pair.forward, *copies.values(), *options)
    if isinstance(result, Raised):
        return result
    out, cache = result, None
    if pair.backwards or pair.layer.known:
        if not (isinstance(result, tuple | list) and len(result) >= 2):
            what = type(result).__name__
            return Raised("Missing", f"forward must return (out, cache), got {what}")
        out, cache = result[0], result[1] if len(result) == 2 else tuple(result[1:])
    if not is_numeric(out):
        return Raised("Missing", f"forward must return an array, got {type(out).__name__}")
    return Passed(out, cache, options, copies)


def call_backward(
    pair: Pair, name: str, dout: Any, cache: Any, config: Config
) -> dict[str, Any] | Raised:
    """Run backward; return the gradients by name."""
    result = run(pair.backwards[name], dout, cache, seed=None)
    if isinstance(result, Raised):
        return result
    gradients = tuple(result) if isinstance(result, tuple | list) else (result,)
    names = ["d" + key for key in config.arrays]
    if len(gradients) != len(names):
        return Raised(
            "Missing",
            f"backward must return {', '.join(names)}; it returned {len(gradients)} results",
        )
    return dict(zip(names, gradients, strict=True))


def upstream(config: Config, out: Any) -> Any:
    """Return a random upstream gradient for `out`, the same in every run."""
    rng = np.random.default_rng(zlib.crc32(config.name.encode()))
    shape = np.shape(out)
    return rng.standard_normal(shape) if shape else float(rng.uniform(0.5, 1.5))


# forward


def judge_forward(pair: Pair) -> tuple[Verdict, list[Call]]:
    """Compare forward with the layer's formula, and check its contract."""
    layer = pair.layer
    calls, findings = [], []
    for config in layer.configs():
        passed = call_forward(pair, config.arrays, config.options)
        truth = layer.truth(config)
        expected = dict(truth.results) if truth else {}
        call = Call(config, expected=expected, scale=scales_of(expected))
        call.tolerance = FORWARD_TOLERANCE
        if isinstance(passed, Raised):
            call.got = dict.fromkeys(expected or ("out",), passed)
            if not expected:
                return _failed(pair.forward_name, pair.forward, passed), []
        else:
            call.got = {
                "out": passed.out,
                **{key: _state(passed, key) for key in expected if key != "out"},
            }
            findings += contracts.after_forward(config, passed, truth.state if truth else ())
        calls.append(call)
    if not any(isinstance(value, Raised) for call in calls for value in call.got.values()):
        findings += contracts.of_forward(pair, calls[0].config)
        for expectation in layer.expectations:
            findings += expectation(pair)
    verdict = _verdict(pair.forward_name, pair.forward, calls, findings, layer, "forward")
    verdict.notes += contracts.dtype_notes(pair, calls[0].config)
    return verdict, calls


def _state(passed: Passed, key: str) -> Any:
    """What forward left under `key` in the dictionaries that it got."""
    for option in passed.options:
        if isinstance(option, dict) and key in option:
            return option[key]
    return Raised("Missing", f"{key} was not stored in the dictionary that came in")


# backward


def judge_backward(pair: Pair, name: str, right: set[str]) -> Verdict:
    """Compare one backward with the derivative of the forward, and check its contract."""
    layer, backward = pair.layer, pair.backwards[name]
    calls: list[Call] = []
    findings: list[Finding] = []
    methods, untested = set(), []
    for config in layer.configs():
        config, passed, slope = _smooth_point(pair, config)
        if isinstance(passed, Raised):
            untested.append(f"forward raises {passed}")
            continue
        dout = upstream(config, passed.out)
        if slope is not None:
            dout = slope._dout
        before_dout, before_cache = fresh(dout), fresh(passed.cache)
        got = call_backward(pair, name, dout, passed.cache, config)
        findings += contracts.after_backward(before_dout, dout, before_cache, passed.cache)
        call = Call(config, dout=before_dout, tolerance=GRADIENT_TOLERANCE, out=passed.out)
        truth = layer.truth(config)
        if truth:
            call.gradient = truth.gradient
            call.expected = truth.gradient(before_dout)
        if isinstance(got, Raised):
            call.expected = call.expected or {"d" + k: v for k, v in config.arrays.items()}
            call.got = dict.fromkeys(call.expected, got)
            calls.append(call)
            continue
        call.got = got
        again = call_backward(pair, name, fresh(before_dout), passed.cache, config)
        findings += contracts.same_again(got, again, findings)
        if config.tied:
            if layer.legitimate and layer.legitimate(config, before_dout, got):
                call.expected = got
        elif slope is not None and slope.trouble and config.name not in right:
            untested.append(slope.trouble)
            continue
        elif slope is not None and not slope.trouble:
            methods.add(slope.method)
            _expect(call, slope, config.name in right, truth is not None)
        if not call.expected:
            untested.append("no derivative to compare with")
            continue
        call.scale = scales_of({**call.expected, "dout": before_dout})
        calls.append(call)
    if not calls:
        reason = untested[0] if untested else "no configuration"
        return Verdict(name, UNTESTED, reason=reason, **_place(backward))
    findings += contracts.of_backward(pair, name, calls[0].config)
    verdict = _verdict(name, backward, calls, findings, layer, "backward")
    verdict.method = COMPLEX if methods == {COMPLEX} else " and ".join(sorted(methods))
    if untested:
        verdict.notes.append(f"{len(untested)} configurations could not be tested: {untested[0]}")
    return verdict


def _smooth_point(pair: Pair, config: Config) -> tuple[Config, Passed | Raised, Slope | None]:
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


def _expect(call: Call, slope: Slope, forward_right: bool, known: bool) -> None:
    """Fill in what the gradients must be; see the head of this file."""
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
        if usable and all(_agrees({"d" + key: got}, slope, slope.direction(key)) for _ in range(2)):
            expected["d" + key] = np.asarray(got)
            continue
        expected["d" + key], error = slope.gradient(key, got if usable else np.zeros(array.shape))
        largest = float(np.max(np.abs(expected["d" + key]), initial=0.0)) or 1.0
        call.tolerance = max(
            call.tolerance, 1e-6 if slope.method != COMPLEX else 0.0, 10 * error / largest
        )
    call.expected = expected


def _agrees(gradients: dict[str, Any], slope: Slope, direction: dict[str, np.ndarray]) -> bool:
    """Whether `gradients` give the derivative along `direction`."""
    slope_there, error = slope.along(direction)
    terms = [np.sum(gradients["d" + key] * v) for key, v in direction.items()]
    size = sum(
        float(np.linalg.norm(gradients["d" + key]) * np.linalg.norm(v))
        for key, v in direction.items()
    )
    tolerance = GRADIENT_TOLERANCE if slope.method == COMPLEX else 1e-6
    floor = 1e-10 * float(np.linalg.norm(slope._dout))
    return bool(abs(sum(terms) - slope_there) <= tolerance * size + 10 * error + floor)


# verdicts


def _verdict(
    name: str,
    function: Callable[..., Any],
    calls: list[Call],
    findings: list[Finding],
    layer: Layer,
    side: str,
) -> Verdict:
    errors: dict[str, float] = {}
    for call in calls:
        for key in call.expected:
            error = call.difference(key).error if not call.wrong(key) else np.inf
            if (
                call.wrong(key)
                and is_numeric(call.got[key])
                and np.shape(call.got[key]) == np.shape(call.expected[key])
            ):
                error = call.difference(key).error
            errors[key] = max(errors.get(key, 0.0), error)
    causes = diagnosis.explain(calls, findings, layer, side, source_lines(function))
    verdict = Verdict(
        name,
        WRONG if causes else RIGHT,
        errors=errors,
        causes=causes,
        configurations=len(calls),
        calls=calls,
        **_place(function),
    )
    if layer.note:
        verdict.notes.append(layer.note)
    return verdict


def _failed(name: str, function: Callable[..., Any], raised: Raised) -> Verdict:
    says = raised.message if raised.kind == "Missing" else f"it raises {raised}"
    cause = Cause("raises", says, line=raised.line)
    return Verdict(name, WRONG, causes=[cause], **_place(function))


def _place(function: Callable[..., Any]) -> dict[str, Any]:
    lines, first = source_lines(function)
    return {"file": source_file(function), "line": first if lines else None}


def _merged(verdicts: list[Verdict]) -> list[Verdict]:
    """A loss is one function: its value and its gradient share a verdict."""
    value, *gradients = verdicts
    for gradient in gradients:
        value.errors = {"loss": value.errors.get("out", 0.0), **gradient.errors}
        known = {cause.name for cause in value.causes}
        value.causes += [cause for cause in gradient.causes if cause.name not in known]
        value.calls += gradient.calls
        value.method = gradient.method
        value.seconds += gradient.seconds
        value.notes += [note for note in gradient.notes if note not in value.notes]
    value.verdict = WRONG if value.causes else value.verdict
    return [value]
